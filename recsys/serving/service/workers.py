"""Workers of one service: processes that are forked once a release is open, so that they share its memory.

What the first process opened is not copied: a page is, once somebody writes to it. A worker that ends is replaced,
and its successor opens the release itself. On Linux workers end when the first process ends, even if it is killed: they
would keep the port that its successor needs.
"""

import gc
import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess

from recsys.processes import end_with
from recsys.storage.memory import give_memory_back

log = logging.getLogger(__name__)
STARTUP_FAILURE = 3
"""Exit status of a worker whose application could not start, as of uvicorn's own workers: none would start."""
LOOK_S = 0.5
"""Seconds between two looks for a signal or for a worker that ended; a worker is replaced no sooner."""
ENDING = (signal.SIGTERM, signal.SIGINT)


def run_workers(
    n: int,
    listener: socket.socket,
    work: Callable[[socket.socket], None],
    started: Callable[[], None] = lambda: None,
) -> bool:
    """Run workers until a signal ends them, and replace those that end before.

    The calling process must have no thread that holds a lock: a worker has the locks, but not the threads.

    Args:
        n: how many.
        listener: a bound socket, which all of them accept from.
        work: what each does. It returns after SIGTERM, when its requests are answered.
        started: called once all have been forked, to let go of what only they need.

    Returns:
        False where a worker could not start.
    """
    ending = threading.Event()
    for number in ENDING:
        signal.signal(number, lambda *_: ending.set())
    gc.collect()
    gc.freeze()  # a collection writes to each object that it looks at, which would copy them all
    workers = list[ForkProcess]()
    try:
        for _ in range(n):
            workers.append(_started(work, listener))
        gc.unfreeze()
        started()
        gc.collect()
        give_memory_back()
        return _watched(workers, lambda: _started(work, listener), ending)
    finally:  # also where a worker could not be forked, for lack of memory
        for one in workers:
            one.terminate()
        for one in workers:
            one.join()


def _watched(workers: list[ForkProcess], start: Callable[[], ForkProcess], ending: threading.Event) -> bool:
    """Replace workers that end until all shall end; False where one could not start."""
    while not ending.is_set():
        wait([one.sentinel for one in workers], LOOK_S)
        for place, one in enumerate(workers):
            if one.is_alive() or ending.is_set():
                continue
            one.join()
            log.error("a worker ended", extra={"fields": {"worker": one.pid, "status": one.exitcode}})
            if one.exitcode == STARTUP_FAILURE:
                return False
            time.sleep(LOOK_S)
            workers[place] = start()
    return True


def _started(work: Callable[[socket.socket], None], listener: socket.socket) -> ForkProcess:
    """A new worker. It ends by a signal's default action until uvicorn handles signals."""
    worker = multiprocessing.get_context("fork").Process(target=_run, args=(os.getpid(), work, listener))
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        worker.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    return worker


def _run(starter: int, work: Callable[[socket.socket], None], listener: socket.socket) -> None:
    for number in ENDING:
        signal.signal(number, signal.SIG_DFL)
    end_with(starter, signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    work(listener)
