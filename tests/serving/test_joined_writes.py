"""Answers in one packet, and nothing that is written is lost or kept back."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from recsys.serving.service.joined_writes import JoinedWrites


class Sent(asyncio.Transport):
    """A transport that notes what reaches the connection."""

    def __init__(self) -> None:
        super().__init__()
        self.packets: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.is_closed  # as uvloop's, which raises
        self.packets.append(bytes(data))

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed


async def head_and_body(joined: JoinedWrites, _: Sent) -> None:
    joined.write(b"head ")
    joined.write(b"body")


async def head_that_waits_for_its_body(joined: JoinedWrites, _: Sent) -> None:
    joined.write(b"head ")
    await asyncio.sleep(0)
    joined.write(b"body")


async def two_answers(joined: JoinedWrites, _: Sent) -> None:
    for part in (b"a", b"b", b"c", b"d"):
        joined.write(part)


async def parts_of_a_body(joined: JoinedWrites, _: Sent) -> None:
    joined.write(b"head ")
    joined.writelines([b"bo", b"dy"])


async def answer_and_close(joined: JoinedWrites, _: Sent) -> None:
    joined.write(b"sorry")
    joined.close()


async def client_that_leaves(joined: JoinedWrites, sent: Sent) -> None:
    joined.write(b"head")
    sent.close()


@pytest.mark.parametrize(
    ("writing", "packets"),
    [
        (head_and_body, [b"head body"]),
        (head_that_waits_for_its_body, [b"head ", b"body"]),
        (two_answers, [b"ab", b"cd"]),
        (parts_of_a_body, [b"head body"]),
        (answer_and_close, [b"sorry"]),
        (client_that_leaves, []),
    ],
)
def test_what_is_written_in_one_turn_leaves_together(
    writing: Callable[[JoinedWrites, Sent], Awaitable[None]], packets: list[bytes]
) -> None:
    async def run() -> Sent:
        sent = Sent()
        await writing(JoinedWrites(sent, asyncio.get_running_loop()), sent)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return sent

    assert asyncio.run(run()).packets == packets
