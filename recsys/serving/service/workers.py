"""Workers of one release: processes that are forked once it is open, so that they share its memory.

What the first process opened is not copied: a page is, once somebody writes to it. A worker that ends or hangs is
replaced, out of the same open release. On Linux workers end when the process that forked them ends, even if it is
killed: they would keep the port that its successor needs.
"""

import gc
import logging
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess

from recsys.processes import end_with
from recsys.serving.service.pulse import Pulse, Silence
from recsys.serving.service.server import HAND_OVER
from recsys.storage.memory import give_memory_back

log = logging.getLogger(__name__)
STARTUP_FAILURE = 3
"""Exit status of a worker whose application could not start, as of uvicorn's own workers: none would start."""
LOOK_S = 0.5
"""Seconds between two looks for a signal, or for a worker that ended or hangs; a worker is replaced no sooner."""
ENDING = (signal.SIGTERM, signal.SIGINT)
GRACE_S = 20
"""Seconds that requests under way get at the end."""
LONGEST_END_S = GRACE_S + 5
"""A worker that is told to end is killed after so long: it hangs."""
REPEATED_S = 5.0
"""Seconds between two messages that workers are ready."""
LONGEST_LEAVE_S = LONGEST_END_S + 10
"""The same where it hands over, which waits for idle connections first; and for the process that ends its workers."""

Work = Callable[[socket.socket, Pulse, int], None]
"""What a worker does with the socket to accept from, its pulse and its place. It returns after SIGTERM, when its
requests are answered, and after HAND_OVER, when its connections are closed as well."""


@dataclass(frozen=True)
class Watched:
    """A process that was forked here."""

    process: ForkProcess
    pulse: Pulse
    silence: Silence

    @classmethod
    def start(cls, call: Callable[[Pulse], None], silent_s: float) -> "Watched":
        """Fork a process. It ends by a signal's default action until it handles signals.

        Args:
            call: what it does.
            silent_s: seconds without a beat after which it is taken to hang, once it has beaten.

        Returns:
            The process.
        """
        pulse = Pulse()
        process = multiprocessing.get_context("fork").Process(target=_run, args=(os.getpid(), call, pulse))
        signal.pthread_sigmask(signal.SIG_BLOCK, (*ENDING, HAND_OVER))
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (*ENDING, HAND_OVER))
        return cls(process, pulse, Silence(process.pid or 0, pulse, silent_s))

    def tell(self, number: signal.Signals) -> None:
        """Send a signal, if the process lives."""
        if self.process.is_alive() and self.process.pid:
            os.kill(self.process.pid, number)


def run_workers(
    places: range,
    listener: socket.socket,
    work: Work,
    silent_s: float,
    *,
    ready: Callable[[], None] = lambda: None,
    beat: Callable[[], None] = lambda: None,
    replaced: Callable[[int, str], None] = lambda place, why: None,
) -> bool:
    """Run workers until a signal ends them, and replace those that end or hang before.

    The calling process must have no thread that holds a lock: a worker has the locks, but not the threads.

    Args:
        places: of the workers, one each.
        listener: a bound socket, which all of them accept from.
        work: what each does.
        silent_s: seconds without a beat after which a worker is replaced.
        ready: called when every worker has beaten, and each REPEATED_S from then on: who hears it may miss one.
        beat: called at each look.
        replaced: called with the place of a worker that was lost, and why: `ended` or `silent`.

    Returns:
        False where a worker could not start before all were ready. Later ones are tried again.
    """
    told = list[signal.Signals]()
    for one in (*ENDING, HAND_OVER):
        signal.signal(one, lambda number, _: told.append(signal.Signals(number)))
    gc.collect()
    give_memory_back()
    gc.freeze()  # a collection writes to each object that it looks at, which would copy them all
    workers = list[Watched]()

    def start(place: int) -> Watched:
        return Watched.start(lambda pulse: work(listener, pulse, place), silent_s)

    try:
        for place in places:
            workers.append(start(place))
        is_ready, told_s, looked = False, 0.0, time.monotonic()
        while not told:
            wait([worker.process.sentinel for worker in workers], LOOK_S)
            beat()
            is_ready = is_ready or all(worker.pulse.n_beats for worker in workers)
            if is_ready and time.monotonic() - told_s > REPEATED_S:
                told_s = time.monotonic()
                ready()
            passed_s, looked = min(time.monotonic() - looked, 2 * LOOK_S), time.monotonic()
            for n, (place, worker) in enumerate(zip(places, workers, strict=True)):
                why = "" if told else _lost(worker, passed_s)
                if not why:
                    continue
                if worker.process.exitcode == STARTUP_FAILURE and not is_ready:
                    return False
                replaced(place, why)
                beat()
                time.sleep(LOOK_S)
                workers[n] = start(place)
        return True
    finally:  # also where a worker could not be forked, for lack of memory
        if HAND_OVER in told:
            end(workers, HAND_OVER, LONGEST_LEAVE_S)
        else:
            end(workers, signal.SIGTERM, LONGEST_END_S)


def _lost(one: Watched, passed_s: float) -> str:
    """Why a worker must be replaced, `ended` or `silent`; empty where it works. It has ended then."""
    if one.process.is_alive():
        hangs = one.silence.look(passed_s)
        if not hangs:
            return ""
        log.error(
            "a worker hangs, and is replaced", extra={"fields": {"worker": one.process.pid, "why": hangs}}
        )
        one.process.kill()  # one that is stopped takes no other signal
        one.process.join()
        return "silent"
    one.process.join()
    log.error("a worker ended", extra={"fields": {"worker": one.process.pid, "status": one.process.exitcode}})
    return "ended"


def end(processes: list[Watched], by: signal.Signals, longest_s: float) -> None:
    """End processes, and kill those that do not end in time.

    Args:
        processes: which.
        by: SIGTERM; or HAND_OVER, where others have taken their work over. A SIGTERM meanwhile is passed on.
        longest_s: seconds that they get.
    """
    told = list[int]()
    for number in ENDING:
        signal.signal(number, lambda number, _: told.append(number))
    for one in processes:
        one.tell(by)
    until = time.monotonic() + longest_s
    while any(one.process.is_alive() for one in processes):
        if time.monotonic() > until:
            for one in processes:
                one.process.kill()
        elif told and by != signal.SIGTERM:
            by = signal.SIGTERM
            for one in processes:
                one.tell(by)
        wait([one.process.sentinel for one in processes if one.process.is_alive()], LOOK_S)
    for one in processes:
        one.process.join()


def _run(starter: int, call: Callable[[Pulse], None], pulse: Pulse) -> None:
    for number in (*ENDING, HAND_OVER):
        signal.signal(number, signal.SIG_DFL)
    end_with(starter, signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (*ENDING, HAND_OVER))
    call(pulse)
