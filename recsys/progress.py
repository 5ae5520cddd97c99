"""Progress of long work on standard error: a bar in a terminal, a line now and then in a log."""

from time import monotonic
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

console = Console(stderr=True, highlight=False)
SHOWN_FROM = 500
SECONDS_BETWEEN_LINES = 15.0


def report_progress(sentence: str) -> None:
    """One line for people."""
    console.print(sentence, soft_wrap=True)


class Progress:
    """Counts towards a total; shows rate and time left. Little work stays silent.

    Args:
        title: what is going on.
        total: how many there are.
    """

    def __init__(self, title: str, total: int) -> None:
        self._title = title
        self._total = total
        self._done = 0
        self._started = self._last_line = monotonic()
        self._bar = _bar() if console.is_terminal and total >= SHOWN_FROM else None

    def __enter__(self) -> "Progress":
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task(self._title, total=self._total, rate="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, n: int) -> None:
        """`n` more are done."""
        self._done += n
        now = monotonic()
        rate = self._done / max(now - self._started, 1e-9)
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, rate=f"{rate:,.0f}/s")
        elif self._total >= SHOWN_FROM and now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            minutes = (self._total - self._done) / rate / 60
            report_progress(
                f"{self._title}: {self._done:,} of {self._total:,}, {rate:,.0f}/s, {minutes:.1f} minutes left"
            )


def _bar() -> Bar:
    return Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
    )
