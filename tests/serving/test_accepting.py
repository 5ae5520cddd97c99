"""Connections of a socket that several workers accept from."""

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from recsys.serving.service import accepting
from recsys.serving.service.accepting import Acceptor, Connections, Shares

BACKLOG = 16
Start = Callable[..., Acceptor]


class Greeter(asyncio.Protocol):
    """Says which worker it belongs to, as uvicorn's protocols note their connections."""

    def __init__(self, worker: int, connections: Connections) -> None:
        self.worker, self.connections = worker, connections

    def connection_made(self, transport: Any) -> None:
        self.connections.add(self)
        transport.write(str(self.worker).encode())

    def connection_lost(self, _: Exception | None) -> None:
        self.connections.discard(self)


class Failing(socket.socket):
    """A socket for which the process once has no file descriptor left."""

    n_failures = 1

    def accept(self) -> Any:
        if self.n_failures:
            self.n_failures -= 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return super().accept()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound


@pytest.fixture
def worker(listener: socket.socket) -> Iterator[Start]:
    """Starts a worker that accepts from the socket, here in one event loop with the others."""
    with contextlib.ExitStack() as stack:

        def start(number: int, shares: Shares, kind: type[socket.socket] = socket.socket) -> Acceptor:
            connections = Connections(shares, number)
            own = stack.enter_context(kind(fileno=os.dup(listener.fileno())))
            return Acceptor(own, lambda: Greeter(number, connections), connections, BACKLOG)

        yield start


async def accepted_by(listener: socket.socket, stack: contextlib.AsyncExitStack) -> int:
    """Which worker accepts a new connection, which stays open."""
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    stack.callback(writer.close)
    return int(await asyncio.wait_for(reader.read(1), 60))


def test_workers_share_connections(listener: socket.socket, worker: Start) -> None:
    async def connect() -> None:
        shares = Shares(2)
        workers = [worker(number, shares) for number in range(2)]
        async with contextlib.AsyncExitStack() as stack:
            found = [await accepted_by(listener, stack) for _ in range(8)]
            assert sorted(found) == [0, 0, 0, 0, 1, 1, 1, 1]
            for one in workers:
                one.close()
                await one.wait_closed()

    asyncio.run(connect())


def test_a_worker_with_more_connections_accepts_where_the_other_does_not(
    listener: socket.socket, worker: Start
) -> None:
    async def connect() -> None:
        shares = Shares(2)
        first = worker(0, shares)
        async with contextlib.AsyncExitStack() as stack:
            assert [await accepted_by(listener, stack) for _ in range(3)] == [0, 0, 0]
            assert shares.is_above(0) and not shares.is_above(1)
            first.close()
            second = worker(1, shares)
            assert await accepted_by(listener, stack) == 1
            second.close()

    asyncio.run(connect())


def test_a_closed_acceptor_leaves_what_waits_to_the_others(listener: socket.socket, worker: Start) -> None:
    async def connect() -> None:
        shares = Shares(2)
        first = worker(0, shares)
        shares.note(0, 1)  # it would leave the next one to the other for a moment
        first.close()
        async with contextlib.AsyncExitStack() as stack:
            waiting = asyncio.create_task(accepted_by(listener, stack))
            await asyncio.sleep(2 * accepting.YIELD_S)
            assert not waiting.done()
            second = worker(1, shares)
            assert await waiting == 1
            second.close()

    asyncio.run(connect())


def test_a_worker_without_file_descriptors_accepts_once_it_has_some(
    listener: socket.socket, worker: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def connect() -> None:
        monkeypatch.setattr(accepting, "PAUSE_S", 0.01)
        only = worker(0, Shares(1), Failing)
        async with contextlib.AsyncExitStack() as stack:
            assert await accepted_by(listener, stack) == 0
        assert "cannot accept connections" in caplog.text
        only.close()

    asyncio.run(connect())


def test_a_worker_that_replaces_another_begins_with_no_connection() -> None:
    shares = Shares(2)
    lost = Connections(shares, 0)
    lost.add("one")
    assert lost.has_more_than_another()
    assert not Connections(shares, 0).has_more_than_another()
