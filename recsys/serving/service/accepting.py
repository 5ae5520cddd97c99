"""Accepting connections from a socket that several workers share, so that each gets its share of them."""

import asyncio
import ctypes
import logging
import multiprocessing
import socket
from collections.abc import Callable

log = logging.getLogger(__name__)
YIELD_S = 0.005
"""A worker that has more connections than another leaves it the next one for so long; then it takes it itself."""
PAUSE_S = 1.0
"""Seconds without accepting, where the process has no file descriptor left: another worker may have some."""


class Shares:
    """How many connections each worker has, in memory that they share; made before they are forked.

    Args:
        n_workers: how many workers; each begins with none.
    """

    def __init__(self, n_workers: int) -> None:
        self._counts = multiprocessing.get_context("fork").RawArray(ctypes.c_int64, n_workers)

    def note(self, worker: int, n_connections: int) -> None:
        """Tell the others.

        Args:
            worker: which worker tells, from 0.
            n_connections: that it has.
        """
        self._counts[worker] = n_connections

    def is_above(self, worker: int) -> bool:
        """Whether another worker has fewer connections.

        Args:
            worker: which worker asks, from 0.

        Returns:
            True if one has fewer.
        """
        return bool(self._counts[worker] > min(self._counts))


class Connections(set[object]):
    """The open connections of one worker. Their number is noted in the shares at each change.

    Args:
        shares: of all workers; also where a worker before had some at this place, this one begins with none.
        worker: which this is, from 0.
    """

    def __init__(self, shares: Shares, worker: int) -> None:
        super().__init__()
        self._shares, self._worker = shares, worker
        shares.note(worker, 0)

    def add(self, connection: object) -> None:
        """Add one.

        Args:
            connection: its protocol.
        """
        super().add(connection)
        self._shares.note(self._worker, len(self))

    def discard(self, connection: object) -> None:
        """Leave one out that is closed.

        Args:
            connection: its protocol.
        """
        super().discard(connection)
        self._shares.note(self._worker, len(self))

    def has_more_than_another(self) -> bool:
        """Whether another worker has fewer."""
        return self._shares.is_above(self._worker)


class Acceptor:
    """Accepts a connection at a time, and leaves it to another worker for a moment where that has fewer.

    A server of asyncio or uvloop takes all connections that wait at once: where a client opened eight, one of two
    workers had all of them every other time, and the other core nothing to do. A socket for each worker (SO_REUSEPORT)
    would share them as well, but connections that wait at a worker's own socket are lost when that worker ends.

    It begins at once, in the running event loop.

    Args:
        listener: a bound socket.
        make_protocol: called for each connection; the protocol adds itself to `connections`.
        connections: of this worker.
        backlog: at most so many connections wait to be accepted.
    """

    def __init__(
        self,
        listener: socket.socket,
        make_protocol: Callable[[], asyncio.Protocol],
        connections: Connections,
        backlog: int,
    ) -> None:
        self._listener, self._make_protocol, self._connections = listener, make_protocol, connections
        self._loop = asyncio.get_running_loop()
        self._begun = set[asyncio.Task[object]]()
        self._is_serving = True
        listener.setblocking(False)
        listener.listen(backlog)
        self._watch()

    def close(self) -> None:
        """Accept no more. Connections that were accepted stay."""
        if self._is_serving:
            self._is_serving = False
            self._loop.remove_reader(self._listener)

    async def wait_closed(self) -> None:
        """Wait until each connection that was accepted has its protocol."""
        if self._begun:
            await asyncio.wait(self._begun)

    def _watch(self) -> None:
        if self._is_serving:
            self._loop.add_reader(self._listener, self._look)

    def _look(self) -> None:
        if self._connections.has_more_than_another():
            self._loop.remove_reader(self._listener)
            self._loop.call_later(YIELD_S, self._take_and_watch)
        else:
            self._take()

    def _take_and_watch(self) -> None:
        self._watch()
        if self._is_serving:
            self._take()

    def _take(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another worker was faster, or the client has left
        except OSError as error:
            log.error("cannot accept connections", extra={"fields": {"why": str(error)}})
            self._loop.remove_reader(self._listener)
            self._loop.call_later(PAUSE_S, self._watch)
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        begun = self._loop.create_task(self._loop.connect_accepted_socket(self._make_protocol, connection))
        self._begun.add(begun)
        begun.add_done_callback(self._begun.discard)
