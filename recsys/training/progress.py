"""Progress of training on standard error: a bar in a terminal, a line now and then in a log."""

from collections.abc import Callable
from time import monotonic
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from recsys.training.checkpoint import Epoch

SECONDS_BETWEEN_LINES = 15.0
SMOOTHING = 0.05
"""Weight of the newest loss in the smoothed one that is shown."""


class TrainingProgress:
    """A `Watcher` that shows loss, examples per second and time left.

    Args:
        after_epoch: called with each epoch after it was shown; it may raise, which ends the training.
        shows: False: nothing is shown, in a process that trains along.
    """

    def __init__(self, after_epoch: Callable[[Epoch], None] | None = None, shows: bool = True) -> None:
        self._after_epoch = after_epoch
        self._console = Console(stderr=True, highlight=False, quiet=not shows)
        self._bar = Progress(
            TextColumn("finetune"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[words]}"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("finetune", total=None, words="")
        self._loss: float | None = None
        self._steps = self._total = self._before = self._examples = 0
        self._started = self._last_line = monotonic()

    def __enter__(self) -> "TrainingProgress":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def on_start(self, done: int, total: int) -> None:
        """Training starts or continues: `done` of at most `total` steps are done."""
        self._steps, self._before, self._total = done, done, total
        self._started = self._last_line = monotonic()
        self._bar.update(self._task, completed=done, total=total)

    def on_step(self, loss: float, n_examples: int) -> None:
        """A step is done."""
        self._steps += 1
        self._examples += n_examples
        self._loss = loss if self._loss is None else self._loss + SMOOTHING * (loss - self._loss)
        now = monotonic()
        seconds = max(now - self._started, 1e-9)
        words = f"loss {self._loss:.4f}, {self._examples / seconds:,.0f} examples/s"
        self._bar.update(self._task, completed=self._steps, words=words)
        if not self._console.is_terminal and now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            minutes = (self._total - self._steps) * seconds / (self._steps - self._before) / 60
            self.report(f"step {self._steps:,} of {self._total:,}: {words}, {minutes:.1f} minutes left")

    def on_epoch(self, epoch: Epoch) -> None:
        """An epoch was validated."""
        loss = "before training" if epoch.loss is None else f"loss {epoch.loss:.4f}"
        found = (
            "no user to validate with"
            if epoch.ndcg is None
            else f"ndcg {epoch.ndcg:.4f}, recall {epoch.recall:.4f}"
        )
        if epoch.cosine is not None:
            found += f", cosine with the champion {epoch.cosine:.4f}"
        if epoch.older is not None:
            found += f", ndcg of older items {epoch.older:.4f}"
        self.report(f"epoch {epoch.epoch}, step {epoch.step:,}: {loss}; validation {found}")
        if self._after_epoch is not None:
            self._after_epoch(epoch)

    def report(self, sentence: str) -> None:
        """One line for people."""
        self._console.print(f"finetune: {sentence}", soft_wrap=True)
