"""What a connection is closed for: a client that says nothing, never ends its headers, or reads no answers."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from recsys.errors import ConfigError
from recsys.serving.service import connection
from recsys.serving.service.connection import LONGEST_HEAD, bounded_connection
from recsys.serving.service.main import Config, run

ARRIVAL_S = 0.2
LONG = b"x" * (4 << 20)
"""An answer that no socket buffers."""
Client = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """The size of the body; a long answer at /long, one that takes longer than a head may at /late."""
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    if scope["path"] == "/late":
        await asyncio.sleep(3 * ARRIVAL_S)
    content = LONG if scope["path"] == "/long" else b"%d" % size
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(content))]}
    )
    await send({"type": "http.response.body", "body": content})


def tried(client: Client) -> ServerState:
    """Let a client at a server; returns what the server knows of its connections and requests in the end."""
    state = ServerState()

    async def both() -> None:
        config = uvicorn.Config(answer, http=bounded_connection(ARRIVAL_S), log_config=None, ws="none")
        config.load()
        made = config.http_protocol_class

        def make() -> asyncio.Protocol:
            return made(config=config, server_state=state, app_state={})  # type: ignore[call-arg]

        server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
        async with server, asyncio.timeout(30):
            reader, writer = await asyncio.open_connection(
                *server.sockets[0].getsockname()[:2], limit=1 << 23
            )
            await client(reader, writer)
            writer.close()

    asyncio.run(both())
    return state


def test_a_client_that_says_nothing_is_left() -> None:
    async def client(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        assert await reader.read() == b""

    tried(client)


@pytest.mark.parametrize("before", [b"", b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"])
def test_headers_must_arrive_in_time(before: bytes) -> None:
    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(before)
        if before:
            assert (await reader.readuntil(b"\r\n\r\n0")).startswith(b"HTTP/1.1 200")
        begun = asyncio.get_running_loop().time()
        for piece in (b"GET / HTTP/1.1\r\n", b"a: b\r\n", b"a: b\r\n"):
            writer.write(piece)
            await asyncio.sleep(ARRIVAL_S / 4)
        assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
        assert asyncio.get_running_loop().time() - begun < 10 * ARRIVAL_S  # no piece has begun it anew

    assert tried(client).total_requests == bool(before)


@pytest.mark.parametrize("more", [b"", b"x" * (LONGEST_HEAD + 1)])
def test_a_head_that_is_refused_takes_no_answer_from_what_came_before(more: bytes) -> None:
    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET /late HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\nlong: ")
        await asyncio.sleep(ARRIVAL_S / 4)
        writer.write(more)
        found = await reader.read()
        assert found.startswith(b"HTTP/1.1 200 ") and found.endswith(b"\r\n\r\n0")
        assert b"connection: close" in found and found.count(b"HTTP/1.1") == 1

    assert tried(client).total_requests == 1


@pytest.mark.parametrize(
    "begun",
    [
        b"GET / HTTP/1.1\r\nlong: ",
        b"GET /",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nlong: ",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1;long=",
    ],
)
def test_headers_and_what_stands_between_pieces_of_a_body_are_bounded(begun: bytes) -> None:
    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(begun)
        await asyncio.sleep(ARRIVAL_S / 4)
        writer.write(b"x" * (LONGEST_HEAD + 1))
        assert (await reader.readline()).startswith(b"HTTP/1.1 431 ")

    assert tried(client).total_requests == 0


def test_a_long_body_in_small_pieces_is_read() -> None:
    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(4 * LONGEST_HEAD // 16):
            writer.write(b"10\r\n" + b"x" * 16 + b"\r\n")
        await writer.drain()
        await asyncio.sleep(2 * ARRIVAL_S)  # only the head has to be there by then
        writer.write(b"0\r\n\r\n")
        assert (await reader.readuntil(b"%d" % (4 * LONGEST_HEAD))).startswith(b"HTTP/1.1 200 ")

    assert tried(client).total_requests == 1


def test_who_reads_no_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "UNREAD_S", 0.1)

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"GET /long HTTP/1.1\r\nhost: a\r\n\r\n" * 8)
        await asyncio.sleep(0.5)
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(8 * len(LONG))

    assert tried(client).total_requests < 8


@pytest.mark.parametrize(("body", "status"), [(b"{}", b"HTTP/1.1 200 "), (b"{", b"")])
def test_who_sends_no_more_gets_the_answer_to_what_is_whole(body: bytes, status: bytes) -> None:
    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n" + body)
        writer.write_eof()
        found = await reader.read()
        assert found.startswith(status) and bool(found) == bool(status)

    assert tried(client).total_requests == bool(status)


def test_who_reads_slowly_gets_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "UNREAD_S", 0.4)

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # else the client's system takes megabytes at once
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        writer.write(b"GET /long HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        n = 0
        for _ in range(10):
            n += len(await reader.read(1 << 16))
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            await asyncio.sleep(0.1)
            writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert n + len(await reader.read()) > len(LONG)

    tried(client)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_port_that_is_taken_is_named_before_anything_is_loaded(workers: int) -> None:
    config = Config("nowhere", "nowhere", None, {}, {}, None, None)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            ConfigError, match=rf"cannot listen at 127\.0\.0\.1, port {port}: Address already in use"
        ):
            run(config, "127.0.0.1", port, workers)
