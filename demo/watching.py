"""Wait for Airflow, and show what it does meanwhile."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from rich.console import Console

from demo.airflow_client import FINISHED, Airflow, Run, Task
from demo.processes import DemoError

POLL_S = 0.5
GLYPHS = {
    "success": "[green]✓[/]",
    "skipped": "[dim]–[/]",
    "failed": "[red]✗[/]",
    "up_for_retry": "[yellow]↻[/]",
}


class WalkFailed(DemoError):
    """The demo did not go as it claims; says what was seen."""


@dataclass
class Watch:
    """Follows runs of one DAG from a moment on; finished tasks become lines, the rest a status line."""

    airflow: Airflow
    dag: str
    console: Console
    told: set[tuple[str, str, int]] = field(default_factory=set)
    old: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.old = {run.id for run in self.airflow.runs(self.dag) if run.state in FINISHED}

    def until(self, done: Callable[[bool], bool], what: str, timeout_s: float) -> float:
        """Poll until `done(idle)` is true, where idle says that no run is under way.

        Args:
            done: asked between two looks.
            what: for the status line and the error.
            timeout_s: patience.

        Returns:
            Seconds that it took.

        Raises:
            WalkFailed: a task failed for good, or the time is over.
        """
        since = time.monotonic()
        with self.console.status(what) as status:
            while True:
                runs = [run for run in self.airflow.runs(self.dag) if run.id not in self.old]
                running = [name for run in reversed(runs) for name in self._tell(run)]
                passed = time.monotonic() - since
                if done(all(run.state in FINISHED for run in runs)):
                    return passed
                if passed > timeout_s:
                    raise WalkFailed(
                        f"{what}: not done after {timeout_s:.0f} s; running: {', '.join(running) or 'nothing'}"
                    )
                status.update(f"{what}: {', '.join(running) or 'waiting for Airflow'} ({passed:.0f} s)")
                time.sleep(POLL_S)

    def _tell(self, run: Run) -> list[str]:
        """Print tasks that have ended; the names of those under way."""
        tasks = self.airflow.tasks(run)
        if all(task.state in ("skipped", "waiting") for task in tasks) and run.state in FINISHED:
            return []  # a sweep that found nothing
        for task in tasks:
            seen = (run.id, f"{task.name} {task.state}", task.try_number)
            if task.state in GLYPHS and task.state != "skipped" and seen not in self.told:
                self.told.add(seen)
                self.console.print(
                    f"    {GLYPHS[task.state]} {task.name} [dim]{_seconds(task)}[/]", highlight=False
                )
        failed = [task for task in tasks if task.state == "failed"]
        if failed:
            raise WalkFailed(
                f"{run.dag}: task {failed[0].name} failed for good.\n{self.airflow.log(run, failed[0])}"
            )
        return [
            task.name for task in tasks if task.state in ("running", "queued", "scheduled", "up_for_retry")
        ]


def _seconds(task: Task) -> str:
    from datetime import datetime

    if not task.start or not task.end:
        return ""
    passed = datetime.fromisoformat(task.end) - datetime.fromisoformat(task.start)
    return f"{passed.total_seconds():.1f} s"
