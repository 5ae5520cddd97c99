"""Wait for Airflow, and show what it does meanwhile."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from localplatform.airflow_client import FINISHED, Airflow, Run, Task
from localplatform.errors import LocalError
from localplatform.patience import Patience, seconds_of_commands

POLL_S = 1.0
QUIET_S = 600.0
"""Seconds without any sign of work after which a wait is given up."""
MOST_QUIETS = 20
"""After so many times that a wait is given up anyway: sweeps that find nothing to do look like work."""
SLOW_S = 120.0
"""A task that runs longer than this is named."""
GLYPHS = {
    "success": "[green]✓[/]",
    "skipped": "[dim]–[/]",
    "failed": "[red]✗[/]",
    "up_for_retry": "[yellow]↻[/]",
}


class WalkFailed(LocalError):
    """The demo did not do what it claims."""


@dataclass
class Watch:
    """Follows the runs of one DAG that had not ended when it began; ended tasks become lines, once."""

    airflow: Airflow
    dag: str
    console: Console
    workspace: Path
    """Where the tasks work. CPU time of their processes there is a sign of progress."""
    printed: set[tuple[str, str, int]] = field(default_factory=set)
    signs: set[tuple[str, str, str, int]] = field(default_factory=set)
    """Every state and try of every task so far."""
    running: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Task -> when it was first found running, and after how many seconds this is printed next."""
    old: set[str] = field(default_factory=set)
    idle: bool = True
    """Whether every run had ended at the last look."""

    def __post_init__(self) -> None:
        self.old = {run.id for run in self.airflow.runs(self.dag) if run.state in FINISHED}

    def until(self, done: Callable[[], bool], what: str, quiet_s: float = QUIET_S) -> float:
        """Poll until `done()` is true; patience ends when nothing moves: no task's state or try, and no task computes.

        Args:
            done: called at every poll.
            what: for the status line and the error.
            quiet_s: patience while nothing moves.

        Returns:
            Seconds that it took.

        Raises:
            WalkFailed: a task failed for good, or nothing has moved for too long.
        """
        since, patience = time.monotonic(), Patience(quiet_s, most_s=MOST_QUIETS * quiet_s)
        with self.console.status(what) as status:
            while True:
                running = self._look()
                passed = time.monotonic() - since
                if done():
                    return passed
                if patience.is_over(len(self.signs), seconds_of_commands(self.workspace)):
                    raise WalkFailed(
                        f"{what}: not done after {passed:.0f} s, nothing has moved for {patience.still_s:.0f} s; "
                        f"running: {', '.join(running) or 'nothing'}"
                    )
                self._print_slow(running)
                status.update(f"{what}: {', '.join(running) or 'waiting for Airflow'} ({passed:.0f} s)")
                time.sleep(POLL_S)

    def until_idle(self, what: str, quiet_s: float = QUIET_S) -> None:
        """Poll until no run is under way, so that a failure after the swap is noticed too."""
        self.until(lambda: self.idle, what, quiet_s)

    def _print_slow(self, running: list[str]) -> None:
        """A line for each task that has been running for 1, 2, 4, … times SLOW_S."""
        now = time.monotonic()
        self.running = {name: self.running.get(name, (now, SLOW_S)) for name in running}
        for name, (since, next_s) in self.running.items():
            if now - since > next_s:
                self.running[name] = (since, 2 * next_s)
                self.console.print(
                    f"    [dim]… {name} has been running for {now - since:.0f} s[/]",
                    highlight=False,
                )

    def _look(self) -> list[str]:
        """Tell what has ended since the last look; the names of the tasks under way."""
        runs = [run for run in reversed(self.airflow.runs(self.dag)) if run.id not in self.old]
        running = [name for run in runs for name in self._print_ended(run)]
        ended = {run.id for run in runs if run.state in FINISHED}
        self.old |= ended
        self.idle = len(ended) == len(runs)
        return running

    def _print_ended(self, run: Run) -> list[str]:
        """Print tasks that have ended; the names of those under way."""
        tasks = self.airflow.tasks(run)
        self.signs |= {(run.id, task.name, task.state, task.try_number) for task in tasks}
        if all(task.state in ("skipped", "waiting") for task in tasks) and run.state in FINISHED:
            return []  # a sweep that found nothing
        for task in tasks:
            line = (run.id, f"{task.name} {task.state}", task.try_number)
            if task.state in GLYPHS and task.state != "skipped" and line not in self.printed:
                self.printed.add(line)
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
