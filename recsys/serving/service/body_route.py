"""Routes that answer a question: one JSON body in, and the answer computed in a thread; at once where that is soon.

FastAPI describes them in /openapi.json by their signatures, as all routes. To answer, its own handler would solve the
dependencies anew for each request and take a thread by way of a second library: as much work as the rest of the shell.

A list for a user of whom little is known takes some milliseconds. The event loop computes it, one at a time: threads
that hand the interpreter to each other answer a tenth less (docs/benchmarks.md). To use more cores, start more workers.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import cached_property
from typing import Any, cast, get_type_hints

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from recsys.serving.service.request_schemas import Body
from recsys.serving.service.shared import TakesLonger, allowed_to, serving

JSON_TYPE = "application/json"
may_read = allowed_to("read")


class BodyRoute(APIRoute):
    """A route with scope `read`.

    Its endpoint takes `body`, a pydantic model, `now`, the release that serves, and `request`. It returns a response.
    Where `request.state.at_once` is true it returns what `AtOnce` finishes. Or it raises `TakesLonger`, and is then
    called again in a thread.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers: who asks is checked first, then whether a release serves, then the body."""
        endpoint, model = self.endpoint, get_type_hints(self.endpoint)["body"]

        async def answer(request: Request) -> Response:
            await may_read(request)
            now = await serving(request)
            body = checked(model, await request.body(), request.headers.get("content-type", ""))
            app = request.app.state
            request.state.at_once = app.service.answers_at_once(body)
            if request.state.at_once:
                with suppress(TakesLonger):
                    return cast(Response, await app.at_once.finish(endpoint(body, now, request)))
                request.state.at_once = False
            loop = asyncio.get_running_loop()
            return cast(Response, await loop.run_in_executor(app.threads, endpoint, body, now, request))

        return answer

    @cached_property
    def _answer(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return self.get_route_handler()

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As Starlette's, without the contexts that FastAPI opens for dependencies: there are none.

        Args:
            scope: of the request.
            receive: gives its body.
            send: takes the answer.
        """
        if scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)
            return
        response = await self._answer(Request(scope, receive, send))
        await response(scope, receive, send)


def checked(model: type[Body], content: bytes, content_type: str) -> Body:
    """Read a body.

    Args:
        model: what it must be.
        content: as it arrived.
        content_type: as its header says.

    Returns:
        The model.

    Raises:
        RequestValidationError: it is not JSON, or not what the model says.
        HTTPException: it is not UTF-8, or nested too deep.
    """
    if not content:
        raise RequestValidationError([{"type": "missing", "loc": ("body",), "msg": "Field required"}])
    try:
        plain = json.loads(content) if is_json(content_type) else content
    except json.JSONDecodeError as error:
        fault = {"type": "json_invalid", "loc": ("body", error.pos), "ctx": {"error": error.msg}}
        raise RequestValidationError([fault]) from error
    except (ValueError, RecursionError) as error:
        raise HTTPException(400) from error
    try:
        return model.model_validate(plain)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in faults]) from error


def is_json(content_type: str) -> bool:
    """Whether a header Content-Type names JSON, such as `application/json; charset=utf-8` or `application/a+json`."""
    if content_type == JSON_TYPE:
        return True
    kind = content_type.partition(";")[0].strip().lower()
    return kind == JSON_TYPE or (kind.startswith("application/") and kind.endswith("+json"))
