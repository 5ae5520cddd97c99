"""One connection of a client, as uvicorn serves it, with bounds on what a client may leave undone.

uvicorn has none: who connects and sends nothing, or a header byte by byte, keeps a connection for ever; headers may be
of any length; and who reads no answers keeps the request that computed them waiting. Bodies are bounded in
`admission.py`. And what uvicorn writes of an answer leaves in one packet (`joined_writes.py`).
"""

import asyncio
from array import array
from collections.abc import Callable
from contextlib import suppress
from fcntl import ioctl
from functools import partial
from termios import TIOCOUTQ
from typing import Any, cast

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from recsys.serving.service.joined_writes import JoinedWrites

LONGEST_HEAD = 64 * 1024
"""Bytes of a request's line and headers, or between two pieces of its body; whole reads are counted."""
UNREAD_S = 20.0
LEAST_READ = 20_000
"""Bytes that a client must read in UNREAD_S of an answer which is too long to be buffered; else it is cut off."""


class Connection(HttpToolsProtocol):
    """uvicorn's protocol, with bounds.

    Args:
        arrival_s: seconds that a request's line and headers may take, from when the connection is open, or from their
            first byte on a connection that had requests before.
        **options: of uvicorn.
    """

    def __init__(self, arrival_s: float, **options: Any) -> None:  # noqa: ANN401  as uvicorn passes them
        super().__init__(**options)
        self._arrival_s = arrival_s
        self._is_in_head = False
        self._n_bare = 0
        """Bytes that have brought neither a whole head nor a piece of a body."""
        self._is_over = False
        """Whether nothing more is read: the connection ends with the answers to what is whole."""
        self._running: RequestResponseCycle | None = None
        self._arrival: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Expect a request."""
        super().connection_made(cast("asyncio.Transport", JoinedWrites(transport, self.loop)))
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing any more. uvicorn tells only the newest request, which need not be the one that runs."""
        if self._running is not None:
            self._running.disconnected = True
        super().connection_lost(exc)
        self._head_is_here()
        self._client_reads()

    def data_received(self, data: bytes) -> None:
        """Read on, within the bounds."""
        if self._is_over:
            return
        self._n_bare += len(data)
        super().data_received(data)
        if self._n_bare > LONGEST_HEAD:
            self._refuse(431)
        elif self._is_in_head and self._arrival is None:
            self._expect_head()

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio keeps the connection open where it is true
        """The client sends no more, but may wait for the answer to what it has sent whole."""
        newest = self._newest
        if self._is_in_head or newest is None or newest.more_body or newest.response_complete:
            return False
        newest.keep_alive = False
        return True

    @property
    def _newest(self) -> RequestResponseCycle | None:
        """The request whose head came last."""
        newest: RequestResponseCycle | None = self.pipeline[0][0] if self.pipeline else self.cycle
        return newest

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._is_in_head = True

    def on_headers_complete(self) -> None:
        """Its body is next."""
        self._is_in_head, self._n_bare = False, 0
        self._head_is_here()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of it is here."""
        self._n_bare = 0
        super().on_body(body)

    def pause_writing(self) -> None:
        """The client reads more slowly than it is answered."""
        super().pause_writing()
        self._expect_reading()

    def resume_writing(self) -> None:
        """The client has read."""
        super().resume_writing()
        self._client_reads()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _expect_head(self) -> None:
        self._arrival = self.loop.call_later(self._arrival_s, self._refuse, 408)

    def _head_is_here(self) -> None:
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None

    def _client_reads(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _expect_reading(self) -> None:
        self._reading = self.loop.call_later(UNREAD_S, self._cut_off_unless_read, self._n_unread())

    def _cut_off_unless_read(self, n_before: int) -> None:
        if n_before - self._n_unread() >= LEAST_READ:
            self._expect_reading()
        else:
            self.transport.abort()

    def _n_unread(self) -> int:
        """Bytes that the client has not acknowledged. The system takes more of them only when a third has gone."""
        held = array("i", [0])
        with suppress(OSError):  # not every system tells
            ioctl(self.transport.get_extra_info("socket").fileno(), TIOCOUTQ, held)
        return self.transport.get_write_buffer_size() + held[0]

    def _refuse(self, status: int) -> None:
        """End the connection; a client that has sent something is told why, unless it waits for another answer."""
        newest = self._newest
        if self.transport.is_closing():
            return
        if self._is_in_head and newest is not None and not newest.response_complete:
            newest.keep_alive, self._is_over = False, True  # what was whole before is answered
            return
        is_answered = not self._is_in_head and newest is not None and newest.response_started
        if self._n_bare and not is_answered and not self.pipeline:
            self.transport.write(STATUS_LINE[status] + b"connection: close\r\ncontent-length: 0\r\n\r\n")
        self.transport.close()


def bounded_connection(arrival_s: float) -> type[asyncio.Protocol]:
    """What uvicorn makes connections with.

    Args:
        arrival_s: as `Connection` has it.

    Returns:
        In place of a class; uvicorn only calls it.
    """
    make: Callable[..., Connection] = partial(Connection, arrival_s)
    return cast("type[asyncio.Protocol]", make)
