"""Generations of workers: each release is opened by a process of its own, whose workers share its memory.

A first process binds the port. It opens nothing, so that it stays small and can fork at any time. For each release it
forks a second process, which opens the release and forks the workers (`workers.py`). Once all of them answer, the
generation before accepts no more connections, serves those that it has, and ends. A generation that cannot open its
release, or whose workers cannot start, is refused: the one before goes on.
"""

import gc
import logging
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from multiprocessing.connection import wait
from typing import Any

from recsys.serving.service.handover import Handover, Outcome
from recsys.serving.service.loading import Attempts
from recsys.serving.service.orphans import Orphans
from recsys.serving.service.pulse import LONGEST_START_S, Pulse
from recsys.serving.service.server import HAND_OVER
from recsys.serving.service.workers import ENDING, LONGEST_LEAVE_S, LOOK_S, STARTUP_FAILURE, Watched, end

log = logging.getLogger(__name__)

Lead = Callable[[int, Pulse, bool], None]
"""What the process of a generation does, with the generation's number and its pulse. The flag says whether it is the
first, which starts its workers even where no release can be opened. It tells `ready` or `problem` through the handover,
and ends with STARTUP_FAILURE where it, or one of its workers, could not start."""


@dataclass
class Generation:
    """A process that leads workers."""

    number: int
    tag: str
    """Of CURRENT, where workers have asked for it; empty: nobody has."""
    one: Watched
    problem: str = ""
    since: float = field(default_factory=time.monotonic)
    """When it was started, or told to leave."""


class Generations:
    """Keeps one generation answering, and replaces it by the next.

    Args:
        lead: what the process of a generation does.
        handover: made for this run.
        wait_s: seconds between the first attempt at a release and the second.
        silent_s: seconds without a beat after which a process is taken to hang.
        ended: called with the number of a generation that has ended.
        lost: called where a generation was lost that served, with the reason: `ended` or `silent`.
    """

    def __init__(
        self,
        lead: Lead,
        handover: Handover,
        wait_s: float,
        silent_s: float,
        ended: Callable[[int], None] = lambda number: None,
        lost: Callable[[str], None] = lambda why: None,
    ) -> None:
        self._lead, self._handover, self._silent_s = lead, handover, silent_s
        self._ended, self._was_lost = ended, lost
        self._orphans = Orphans(LONGEST_LEAVE_S)
        self._attempts = Attempts(wait_s)
        self._lost = set[int]()
        """Numbers that are given to no other generation."""
        self._leaving = list[Generation]()
        self._serving: Generation | None = None
        self._coming: Generation | None = None
        self._outcome = Outcome()

    def run(self) -> bool:
        """Serve until a signal ends it.

        Returns:
            False where the first generation, or one that replaces a generation that ended, could not start.
        """
        told = list[int]()
        for number in ENDING:
            signal.signal(number, lambda number, _: told.append(number))
        gc.collect()
        gc.freeze()  # what is imported here is shared by all, see `run_workers`
        self._serving = self._started("", is_first=True)
        looked = time.monotonic()
        try:
            while not told:
                wait([self._handover.pipe, *(one.one.process.sentinel for one in self._alive)], LOOK_S)
                for message in self._handover.messages():
                    self._heard(message)
                passed_s, looked = min(time.monotonic() - looked, 2 * LOOK_S), time.monotonic()
                if not told and not self._look(passed_s):
                    return False
            return True
        finally:
            end([one.one for one in self._alive], signal.SIGTERM, LONGEST_LEAVE_S)
            self._orphans.end()

    @property
    def _alive(self) -> list[Generation]:
        return [one for one in (self._serving, self._coming, *self._leaving) if one]

    def _started(self, tag: str, *, is_first: bool) -> Generation:
        taken = self._lost.union(one.number for one in self._alive)
        number = next(number for number in count() if number not in taken)

        def call(pulse: Pulse) -> None:
            self._handover.generation = number
            self._lead(number, pulse, is_first)

        return Generation(number, tag, Watched.start(call, self._silent_s))

    def _heard(self, message: dict[str, Any]) -> None:
        """Act on what a process has told."""
        sender, coming = message["generation"], self._coming
        if coming and sender == coming.number:
            if "problem" in message:
                coming.problem = message["problem"]
            elif "ready" in message:
                self._take_over(coming, message["ready"])
        elif self._serving and sender == self._serving.number:
            if "ready" in message:
                if message["ready"] not in (None, self._outcome.release):  # it is told again and again
                    self._note(release=message["ready"], n_swaps=self._outcome.n_swaps + 1)
            elif "look" in message and not coming and self._attempts.is_due(message["look"]):
                try:
                    self._coming = self._started(message["look"], is_first=False)
                except OSError as error:  # no memory, or too many processes
                    self._refuse(message["look"], f"its workers cannot be forked: {error}")

    def _take_over(self, coming: Generation, release: str) -> None:
        if self._serving:
            self._serving.one.tell(HAND_OVER)
            self._serving.since = time.monotonic()
            self._leaving.append(self._serving)
        self._serving, self._coming = coming, None
        self._note(release=release, n_swaps=self._outcome.n_swaps + 1, refused="", problem="")

    def _note(self, **changes: Any) -> None:  # noqa: ANN401  fields of Outcome
        self._outcome = replace(self._outcome, **changes)
        try:
            self._handover.note(self._outcome)
        except OSError:  # a full disk: workers go on, and ask again
            log.exception("the outcome was not noted")

    def _refuse(self, tag: str, problem: str) -> None:
        log.error("release refused", extra={"fields": {"problem": problem, "still": self._outcome.release}})
        self._note(n_refused=self._outcome.n_refused + 1, refused=tag, problem=problem)

    def _revive(self) -> None:
        """Start workers again after their generation ended; where they cannot be forked, the next look tries again."""
        time.sleep(LOOK_S)
        try:
            self._serving = self._started("", is_first=True)
        except OSError:
            log.exception("workers cannot be forked")

    def _look(self, passed_s: float) -> bool:
        """See who has ended or hangs; False where the service cannot go on."""
        for one in self._alive:
            silent = "" if one in self._leaving else one.one.silence.look(passed_s)  # who ends beats no more
            why = silent or self._lateness(one)
            if one.one.process.is_alive() and why:
                fields = {"leader": one.one.process.pid, "why": why}
                log.error("a generation of workers hangs, and is ended", extra={"fields": fields})
                one.one.process.kill()  # its workers end with it
                one.one.process.join()
            if not one.one.process.is_alive() and not self._has_ended(one, "silent" if why else "ended"):
                return False
        self._orphans.look([one.one.process.pid for one in self._alive])
        if self._serving is None:
            self._revive()
        return True

    def _lateness(self, one: Generation) -> str:
        if one is self._serving:
            return ""
        longest_s = LONGEST_START_S if one is self._coming else 2 * LONGEST_LEAVE_S
        return f"not done after {longest_s:g} s" if time.monotonic() - one.since > longest_s else ""

    def _has_ended(self, one: Generation, why: str) -> bool:
        """Replace a generation that served, forget another one; False where the service cannot go on."""
        one.one.process.join()
        status = one.one.process.exitcode
        self._ended(one.number)
        if status is None or status < 0:
            self._lost.add(one.number)  # workers of a process that was killed may use its places for a while
        if one is self._coming:
            self._coming = None
            problem = one.problem or f"its workers could not start (status {status}); the log says why"
            self._refuse(one.tag, problem)
        elif one is not self._serving:
            self._leaving.remove(one)
        elif status == STARTUP_FAILURE:
            return False
        else:
            log.error(
                "a generation of workers ended",
                extra={"fields": {"leader": one.one.process.pid, "status": status}},
            )
            self._serving = None
            self._was_lost(why)
        return True
