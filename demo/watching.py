"""Wait for Airflow, and show what it does meanwhile."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from rich.console import Console

from demo.airflow_client import FINISHED, Airflow, Run, Task
from demo.processes import DemoError

POLL_S = 1.0
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
    """Follows the runs of one DAG that had not ended when it began; ended tasks become lines, once."""

    airflow: Airflow
    dag: str
    console: Console
    told: set[tuple[str, str, int]] = field(default_factory=set)
    old: set[str] = field(default_factory=set)
    idle: bool = True
    """Whether every run had ended at the last look."""

    def __post_init__(self) -> None:
        self.old = {run.id for run in self.airflow.runs(self.dag) if run.state in FINISHED}

    def until(self, done: Callable[[], bool], what: str, timeout_s: float) -> float:
        """Poll until `done()` is true.

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
                running = self._look()
                passed = time.monotonic() - since
                if done():
                    return passed
                if passed > timeout_s:
                    raise WalkFailed(
                        f"{what}: not done after {timeout_s:.0f} s; running: {', '.join(running) or 'nothing'}"
                    )
                status.update(f"{what}: {', '.join(running) or 'waiting for Airflow'} ({passed:.0f} s)")
                time.sleep(POLL_S)

    def until_idle(self, what: str, timeout_s: float) -> None:
        """Poll until no run is under way, so that what follows the swap in a run is seen to go well too."""
        self.until(lambda: self.idle, what, timeout_s)

    def _look(self) -> list[str]:
        """Tell what has ended since the last look; the names of the tasks under way."""
        runs = [run for run in reversed(self.airflow.runs(self.dag)) if run.id not in self.old]
        running = [name for run in runs for name in self._tell(run)]
        ended = {run.id for run in runs if run.state in FINISHED}
        self.old |= ended
        self.idle = len(ended) == len(runs)
        return running

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
