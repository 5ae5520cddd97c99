"""Back-pressure: a request waits for its turn no longer than it is told, and others are turned away at once."""

import asyncio
from collections.abc import Coroutine
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
        self.turned_away = Counter("turned_away", "Requests.", ["status"], registry=CollectorRegistry())
        self.admission = Admission(self._app, params.model_copy(update=changes), self.turned_away)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401  as ASGI has it
        await receive()
        await self.may_answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def ask(self, *, arrives: bool = True) -> tuple[int, dict[bytes, bytes]]:
        """Status and headers of the answer to one request."""
        answer: dict[str, Any] = {}

        async def receive() -> dict[str, Any]:
            if not arrives:
                await asyncio.Event().wait()
            return {"type": "http.request", "body": b"{}"}

        async def send(message: dict[str, Any]) -> None:
            answer.update(message)

        scope = {"type": "http", "method": "POST", "path": "/v1/search", "headers": []}
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


def test_a_body_that_does_not_arrive_holds_no_turn(params: ServeParams) -> None:
    async def asked() -> list[tuple[int, dict[bytes, bytes]]]:
        front = Front(params, max_running=1, wait_s=0.1)
        front.may_answer.set()
        both: list[Coroutine[Any, Any, tuple[int, dict[bytes, bytes]]]] = [
            front.ask(arrives=False),
            front.ask(),
        ]
        return list(await asyncio.gather(*both))

    assert [status for status, _ in asyncio.run(asked())] == [503, 200]
