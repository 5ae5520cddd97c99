"""Back-pressure: a request waits for its turn no longer than it is told, and others are turned away at once."""

import asyncio
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter

from recsys.serving.params import ServeParams
from recsys.serving.service.admission import Admission
from recsys.settings import Settings, shipped_params


@pytest.fixture
def params() -> ServeParams:
    return Settings.load(shipped_params()).serve


class Front:
    """Admission in front of an application that answers once it may."""

    def __init__(self, params: ServeParams, **changes: float) -> None:
        self.may_answer = asyncio.Event()
        self.quick = set[str]()
        """Paths that are answered at once."""
        self.turned_away = Counter("turned_away", "Requests.", ["status"], registry=CollectorRegistry())
        self.admission = Admission(self._app, params.model_copy(update=changes), self.turned_away)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401  as ASGI has it
        await receive()
        if scope["path"] not in self.quick:
            await self.may_answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def ask(
        self,
        path: str = "/v1/search",
        *,
        arrives: bool = True,
        begun: bytes = b"",
        reads: asyncio.Event | None = None,
    ) -> tuple[int, dict[bytes, bytes]]:
        """Status and headers of the answer to one request, whose client may send or read slowly."""
        answer: dict[str, Any] = {}
        pieces = [{"type": "http.request", "body": begun, "more_body": True}] if begun else []

        async def receive() -> dict[str, Any]:
            if pieces:
                return pieces.pop()
            if not arrives:
                await asyncio.Event().wait()
            return {"type": "http.request", "body": b"{}"}

        async def send(message: dict[str, Any]) -> None:
            answer.update(message)
            if reads is not None:
                await reads.wait()

        scope = {"type": "http", "method": "POST", "path": path, "headers": []}
        await self.admission(scope, receive, send)
        return answer["status"], dict(answer["headers"])


def test_who_does_not_get_a_turn_in_time_is_told_when_to_ask_again(params: ServeParams) -> None:
    async def asked() -> None:
        front = Front(params, max_running=2, max_waiting=100, queue_s=0.05)
        first = [asyncio.create_task(front.ask()) for _ in range(2)]
        await asyncio.sleep(0)
        late = await asyncio.gather(*(front.ask() for _ in range(30)))
        assert {status for status, _ in late} == {503} and not any(one.done() for one in first)
        assert {headers[b"retry-after"] for _, headers in late} == {b"1"}
        assert front.turned_away.labels("503")._value.get() == 30  # noqa: SLF001
        front.may_answer.set()
        assert [status for status, _ in await asyncio.gather(*first)] == [200, 200]
        assert (await front.ask())[0] == 200  # the turns were given back

    asyncio.run(asked())


def test_more_than_may_wait_are_turned_away_at_once(params: ServeParams) -> None:
    async def asked() -> None:
        front = Front(params, max_running=1, max_waiting=1, queue_s=60)
        two = [asyncio.create_task(front.ask()) for _ in range(2)]
        await asyncio.sleep(0)
        assert (await asyncio.wait_for(front.ask(), 30))[0] == 503
        front.may_answer.set()
        assert [status for status, _ in await asyncio.gather(*two)] == [200, 200]

    asyncio.run(asked())


@pytest.mark.parametrize("slow", ["/v1/feedback", "/v1/admin/follow"])
def test_lists_wait_neither_for_feedback_nor_for_the_next_release(params: ServeParams, slow: str) -> None:
    async def asked() -> None:
        front = Front(params, max_running=1, max_waiting=0)
        front.quick = {"/v1/recommend"}
        first = asyncio.create_task(front.ask(slow))
        await asyncio.sleep(0)
        assert (await front.ask("/v1/recommend"))[0] == 200 and not first.done()
        assert (await front.ask(slow))[0] == 503  # it is bounded too
        front.may_answer.set()
        assert (await first)[0] == 200

    asyncio.run(asked())


def test_bodies_that_do_not_arrive_hold_neither_turns_nor_places(params: ServeParams) -> None:
    async def asked() -> list[tuple[int, dict[bytes, bytes]]]:
        front = Front(params, max_running=1, max_waiting=1, wait_s=0.1)
        front.may_answer.set()
        slow = [front.ask(arrives=False) for _ in range(10)]
        return list(await asyncio.gather(*slow, front.ask()))

    *slow, (status, _) = asyncio.run(asked())
    assert status == 200 and {one for one, _ in slow} == {503}
    assert all(headers[b"connection"] == b"close" for _, headers in slow)  # more of the body may come


def test_bodies_that_are_arriving_take_bounded_memory(params: ServeParams) -> None:
    async def asked() -> list[int]:
        front = Front(params, max_running=1, max_waiting=1, wait_s=0.5, max_body_kb=1)
        front.may_answer.set()
        some = [front.ask(arrives=False, begun=b"x" * 1000) for _ in range(5)]
        return [status for status, _ in await asyncio.gather(*some, front.ask())]

    *slow, last = asyncio.run(asked())
    assert last == 200 and slow == [503] * 5


def test_who_reads_an_answer_slowly_holds_neither_turn_nor_place(params: ServeParams) -> None:
    async def asked() -> None:
        front, reads = Front(params, max_running=1, max_waiting=0), asyncio.Event()
        front.may_answer.set()
        slow = asyncio.create_task(front.ask(reads=reads))
        await asyncio.sleep(0.05)
        assert (await front.ask())[0] == 200 and not slow.done()
        reads.set()
        assert (await slow)[0] == 200
        assert (await front.ask())[0] == 200

    asyncio.run(asked())
