"""Answers in one packet: uvicorn writes an answer's head and its body apart, and uvloop sends each write at once.

On a busy machine a further packet costs about as much as the rest of the shell: a call of the system here, and a second
time that the client is woken.
"""

import asyncio
from collections.abc import Iterable
from typing import Any


class JoinedWrites:
    """A transport that sends what is written together with what is written next, and at the latest in the next turn.

    Everything but writing is left to the transport that it stands for.

    Args:
        transport: of a connection.
        loop: which runs it.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._held = b""

    def write(self, data: bytes) -> None:
        """Send data: with what is held, or as the first part of what follows."""
        if self._held:
            data, self._held = self._held + data, b""
            self._transport.write(data)
        elif data:
            self._held = data
            self._loop.call_soon(self._send)

    def writelines(self, parts: Iterable[bytes]) -> None:
        """Send some data like `write`. uvicorn does not use it yet: what is held would come after it."""
        self.write(b"".join(parts))

    def close(self) -> None:
        """Send what is held, and close the connection."""
        self._send()
        self._transport.close()

    def _send(self) -> None:
        held, self._held = self._held, b""
        if held and not self._transport.is_closing():  # the client may have left
            self._transport.write(held)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  whatever the transport has
        """What the transport has."""
        return getattr(self._transport, name)
