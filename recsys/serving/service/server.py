"""The HTTP server of one process: uvicorn, with a pulse, and able to hand its work over to other processes."""

import asyncio
import signal
import socket
from types import FrameType
from typing import cast

import uvicorn

from recsys.serving.service.accepting import Acceptor, Connections

HAND_OVER = signal.SIGUSR1
"""Tells a process that others accept connections from now on: it serves those that it has, and ends."""
JUST_ACCEPTED_S = 0.2
"""A connection that was accepted so long ago is among those that uvicorn knows."""


class Server(uvicorn.Server):
    """uvicorn's server, which can end without cutting a connection off.

    uvicorn closes idle connections when it ends. A client may send its next request at that moment, and gets no answer.
    So one that hands over first asks clients to close: each answer says `Connection: close`. A connection on which no
    request comes is closed once it has been idle for as long as uvicorn lets any be.
    """

    _hands_over = False
    _shared: Connections | None = None

    def hand_over(self, *_: object) -> None:
        """Accept no more connections, and end when those that there are have been served. A handler of signals."""
        self._hands_over = self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End at once, also while handing over.

        Args:
            sig: the signal.
            frame: what it interrupted.
        """
        self._hands_over = False
        super().handle_exit(sig, frame)

    def share(self, connections: Connections) -> None:
        """Count connections where other workers see how many there are. Before `run`, which then gets sockets.

        Args:
            connections: of this worker; none yet.
        """
        self._shared = self.server_state.connections = connections  # type: ignore[assignment]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections, from shared sockets with regard to the other workers, see `Acceptor`.

        Args:
            sockets: bound ones that other processes accept from too; None: one is bound here.
        """
        shared = self._shared
        if sockets is None or shared is None:
            await super().startup(sockets)
            return
        await super().startup([])
        for one in sockets:
            acceptor = Acceptor(one, self._protocol, shared, self.config.backlog)
            self.servers.append(cast("asyncio.base_events.Server", acceptor))

    def _protocol(self) -> asyncio.Protocol:
        make = self.config.http_protocol_class
        return make(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)  # type: ignore[call-arg]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End.

        Args:
            sockets: which it accepted from.
        """
        if self._hands_over:
            await self._drain()
        await super().shutdown(sockets)

    async def _drain(self) -> None:
        for server in self.servers:
            server.close()
        self.server_state.default_headers.append((b"connection", b"close"))
        for connection in list(self.server_state.connections):
            cycle = getattr(connection, "cycle", None)
            if cycle and not cycle.response_complete:
                cycle.keep_alive = False  # the answer to a request under way says it too
        loop = asyncio.get_running_loop()
        until = loop.time() + self.config.timeout_keep_alive + 1
        await asyncio.sleep(JUST_ACCEPTED_S)
        while self._hands_over and self.server_state.connections and loop.time() < until:
            await asyncio.sleep(0.05)
