"""Questions that several threads ask at about the same time, answered in one call.

Where matrices are read for each question, several questions cost little more than one. But none waits for company: one
that comes alone is answered at once. Those that come while a thread computes wait until it is done, and the first of
them then answers them all. So the busier a service is, the less each question costs. Servers of models call this
dynamic batching.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Generic, TypeVar, cast

Question = TypeVar("Question")
Answer = TypeVar("Answer")
MOST = 8
"""Questions of one call: the first of them waits for the last."""


class Together(Generic[Question, Answer]):
    """Called by threads with one question each.

    Args:
        answer: answers some questions in their order, each as if it were alone. It is called by one thread at a time.
    """

    def __init__(self, answer: Callable[[Sequence[Question]], Sequence[Answer]]) -> None:
        self._answer = answer
        self._state = Lock()
        self._waiting: list[_Pending[Question, Answer]] = []
        self._is_led = False

    def __call__(self, question: Question) -> Answer:
        """Answer a question; raises what `answer` raises for this one alone."""
        mine: _Pending[Question, Answer] = _Pending(question)
        with self._state:
            self._waiting.append(mine)
            mine.leads, self._is_led = not self._is_led, True
        if not mine.leads:
            self._wait(mine)
        if not mine.is_done:
            self._lead(mine)
        if mine.error is not None:
            raise mine.error
        return cast("Answer", mine.answer)

    def _wait(self, mine: "_Pending[Question, Answer]") -> None:
        try:
            mine.wait()
        except BaseException:  # such as Ctrl-C in the main thread: it neither waits nor leads any more
            with self._state:
                self._waiting = [one for one in self._waiting if one is not mine]
                if mine.leads:
                    self._let_next_lead()
            raise

    def _let_next_lead(self) -> None:
        """Wake the question that has waited longest, if there is one."""
        self._is_led = bool(self._waiting)
        if self._waiting:
            self._waiting[0].leads = True
            self._waiting[0].go_on()

    def _lead(self, first: "_Pending[Question, Answer]") -> None:
        """Answer the question that has waited longest, and those behind it. Then the next one leads."""
        with self._state:
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        try:
            self._answer_all(batch)
        finally:
            others = [one for one in batch if one is not first]
            done = [one for one in others if one.is_done]
            with self._state:
                self._waiting[:0] = [one for one in others if one not in done]  # this thread is being ended
                self._let_next_lead()
            for one in done:
                one.go_on()

    def _answer_all(self, batch: "Sequence[_Pending[Question, Answer]]") -> None:
        try:
            answers = self._answer([one.question for one in batch])
        except Exception as error:
            if len(batch) == 1:
                batch[0].finish(error=error)
                return
            for one in batch:  # it may be the fault of one alone
                self._answer_all([one])
            return
        for one, answer in zip(batch, answers, strict=True):
            one.finish(answer)


@dataclass(eq=False)
class _Pending(Generic[Question, Answer]):
    """A question, and what became of it."""

    question: Question
    answer: Answer | None = None
    error: Exception | None = None
    is_done: bool = False
    leads: bool = False
    _gate: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self._gate.acquire()

    def finish(self, answer: Answer | None = None, error: Exception | None = None) -> None:
        self.answer, self.error, self.is_done = answer, error, True

    def wait(self) -> None:
        """Until `go_on`: the question is answered, or is the next to lead."""
        self._gate.acquire()

    def go_on(self) -> None:
        self._gate.release()
