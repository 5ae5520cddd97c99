"""Batching: compute what several threads ask for at the same time in one go.

A computation that reads a large matrix takes little longer for four questions than for one. The first question is
computed alone, at once. Those that arrive meanwhile are computed in one batch by the next thread. No question waits for
a batch to fill.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Question = TypeVar("Question")
Result = TypeVar("Result")


@dataclass(eq=False)
class _Waiting(Generic[Question, Result]):
    question: Question
    results: Sequence[Result] = ()
    """One, once it is known."""


class Batcher(Generic[Question, Result]):
    """Computes the questions of several threads in batches; shared between them.

    Args:
        compute: the results of some questions, in their order. Where it raises for several, each is computed alone,
            so that a bad question fails nobody else's.
        most: questions at once.
    """

    def __init__(self, compute: Callable[[Sequence[Question]], Sequence[Result]], most: int) -> None:
        self._compute, self._most = compute, most
        self._waiting: list[_Waiting[Question, Result]] = []
        self._changes, self._computing = threading.Lock(), threading.Lock()

    def of(self, question: Question) -> Result:
        """The result of one question.

        Args:
            question: as `compute` takes it.

        Returns:
            Its result.
        """
        mine = _Waiting[Question, Result](question)
        with self._changes:
            self._waiting.append(mine)
        with self._computing:
            if not mine.results:
                self._work(mine)
        return mine.results[0]

    def _work(self, mine: _Waiting[Question, Result]) -> None:
        """Compute the waiting questions, `mine` among them."""
        with self._changes:
            self._waiting.remove(mine)
            batch = [mine, *self._waiting[: self._most - 1]]
        try:
            results = self._compute([one.question for one in batch])
        except Exception:
            if len(batch) == 1:
                raise
            batch = [mine]
            results = self._compute([mine.question])
        for one, result in zip(batch, results, strict=True):
            one.results = [result]
        with self._changes:
            self._waiting = [one for one in self._waiting if not one.results]
