"""Back-pressure before anything is computed: bodies of bounded size, few requests at once, few that wait.

A service that takes every request collapses for all of them. This one computes `max_running` at once, lets
`max_waiting` wait, and answers the next one 503 with Retry-After at once. None waits longer than `queue_s`: whoever
asked has given up by then, and what is answered is answered soon.

Feedback has a queue of its own, since it waits for a disk or a database, and so have the routes of who runs the
service: a look at CURRENT lasts until the next release serves. Lists would wait behind them.
"""

import asyncio
import time
from contextlib import ExitStack

from prometheus_client import Counter
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recsys.serving.params import ServeParams
from recsys.serving.service.problems import problem_answer

ARRIVED = "arrived"
"""Field of a request's state: when it had arrived whole. The time it then waits in the queue counts as time of the
answer."""
OPEN = ("/healthz", "/readyz", "/metrics", "/version")
"""Paths that are always answered: monitoring must see that the service is busy, not dead."""
APART = ("/v1/feedback", "/v1/admin/")
"""What paths begin with whose requests have a queue of their own, one for each; the other requests share one."""
TOO_MANY = "too many requests wait"
AGAIN = "ask again as Retry-After says; more workers or replicas answer more at once"


class ClientGone(Exception):
    """The client left before its body had arrived."""


class BodyTooLarge(Exception):
    """The body is longer than `max_body_kb`, whatever its header said."""


class TooMuchArrives(Exception):
    """The bodies that are still arriving are as long as those of all requests that may wait could be."""


class _Queue:
    """Requests that wait for the same turns."""

    def __init__(self, params: ServeParams) -> None:
        self.turns = asyncio.Semaphore(params.max_running)
        self._most = params.max_running + params.max_waiting
        self._n_inside = 0
        """Requests that have arrived whole, and are not answered."""

    def is_full(self) -> bool:
        """Whether no further request may wait."""
        return self._n_inside >= self._most

    def enter(self) -> None:
        """Count a request that has arrived whole."""
        self._n_inside += 1

    def leave(self) -> None:
        """Count it no more: it is answered."""
        self._n_inside -= 1


class Admission:
    """ASGI middleware.

    Args:
        app: what computes.
        params: section `serve`.
        turned_away: counts what is not computed, by status.
    """

    def __init__(self, app: ASGIApp, params: ServeParams, turned_away: Counter) -> None:
        self._app = app
        self._params = params
        self._turned_away = turned_away
        self._queues = {start: _Queue(params) for start in ("", *APART)}
        self._n_arriving = 0
        """Bytes of requests that have not arrived whole."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or turn it away."""
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        queue = self._queues[next((start for start in APART if scope["path"].startswith(start)), "")]
        if queue.is_full():
            await self._refuse(503, TOO_MANY, AGAIN, scope, receive, send)
        elif (body := await self._arrived(scope, receive, send)) is None:
            return
        elif queue.is_full():  # others were faster
            await self._refuse(503, TOO_MANY, AGAIN, scope, receive, send)
        else:
            await self._in_turn(queue, body, scope, receive, send)

    async def _arrived(self, scope: Scope, receive: Receive, send: Send) -> bytes | None:
        """The body of a request; None where it does not come, which is answered."""
        try:
            async with asyncio.timeout(self._params.wait_s):
                return await self._read(receive)
        except ClientGone:
            return None
        except BodyTooLarge:
            status, why = 413, f"a body has at most {self._params.max_body_kb} kB"
            remedy = "send less at once; the limit is serve.max_body_kb"
        except TooMuchArrives:
            status, why, remedy = 503, "too many bodies are arriving", AGAIN
        except TimeoutError:
            status, why, remedy = 503, f"the request did not arrive within {self._params.wait_s:g} s", AGAIN
        await self._refuse(status, why, remedy, scope, receive, send, is_last=True)
        return None

    async def _in_turn(self, queue: _Queue, body: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        """Compute an answer once there is a turn. Who reads it slowly holds neither turn nor place."""
        scope.setdefault("state", {})[ARRIVED] = time.perf_counter()
        with ExitStack() as place:
            queue.enter()
            place.callback(queue.leave)
            try:
                if queue.turns.locked():
                    async with asyncio.timeout(self._params.queue_s):
                        await queue.turns.acquire()
                else:
                    await queue.turns.acquire()  # it is free, so nothing waits
            except TimeoutError:
                why = f"the request did not get its turn within {self._params.queue_s:g} s"
                await self._refuse(503, why, AGAIN, scope, receive, send)
                return
            place.callback(queue.turns.release)

            async def sent(message: Message) -> None:
                place.close()
                await send(message)

            await self._app(scope, _replayed(body, receive), sent)

    async def _read(self, receive: Receive) -> bytes:
        """The whole body: a slow sender holds no turn."""
        chunks, size, more = [], 0, True
        longest = self._params.max_body_kb * 1024
        try:
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                chunks.append(message.get("body", b""))
                size += len(chunks[-1])
                self._n_arriving += len(chunks[-1])
                if size > longest:
                    raise BodyTooLarge
                more = message.get("more_body", False)
                if more and self._n_arriving > longest * (
                    self._params.max_running + self._params.max_waiting
                ):
                    raise TooMuchArrives
            return b"".join(chunks)
        finally:
            self._n_arriving -= size

    async def _refuse(
        self,
        status: int,
        why: str,
        remedy: str,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        is_last: bool = False,
    ) -> None:
        """Turn a request away; where its body may still be arriving, close the connection after that."""
        self._turned_away.labels(str(status)).inc()
        headers = {"Retry-After": "1"} if status == 503 else {}
        headers |= {"Connection": "close"} if is_last else {}
        answer = problem_answer(Request(scope), status, why, remedy=remedy, headers=headers)
        await answer(scope, receive, send)


def _replayed(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
