"""Counts and logs every answer, without whom it is about; a fault of ours is an answer too.

What `Admission` turns away does not come here: it is counted there.
"""

import logging
import time

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recsys.serving.service.access import host_name, is_loopback
from recsys.serving.service.admission import ARRIVED
from recsys.serving.service.metrics import Metrics
from recsys.serving.service.problems import problem_answer

log = logging.getLogger(__name__)
OWN_NAMES = "ask for localhost or 127.0.0.1; or start the service with API keys"
"""Without keys no other name is answered: a page of another site, whose name is made to lead here (DNS rebinding),
could otherwise read everything."""
POLICY = "default-src 'self'; img-src * data:; style-src 'self'; script-src 'self'; frame-ancestors 'none'"
"""Content-Security-Policy of the page: nothing of another address but images of items."""
SAFE = [(b"content-security-policy", POLICY.encode()), (b"x-content-type-options", b"nosniff")]
"""Headers of every answer that comes here."""


class Observing:
    """ASGI middleware. Starlette's own kind would run every request in a task of its own.

    Args:
        app: what answers.
        metrics: where answers are counted.
        own_names_only: answer only where this machine is asked for by a name that no other has.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, *, own_names_only: bool) -> None:
        self._app = app
        self._metrics = metrics
        self._own_names_only = own_names_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and note its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = scope.setdefault("state", {}).get(ARRIVED, time.perf_counter())
        is_answered = False

        async def noted(message: Message) -> None:
            nonlocal is_answered
            if message["type"] == "http.response.start":
                is_answered = True
                self._note(scope, message["status"], time.perf_counter() - begun)
                message["headers"] = [*message["headers"], *SAFE]
            await send(message)

        host = host_name(Headers(scope=scope).get("host", ""))
        if self._own_names_only and not is_loopback(host):
            detail = f"the host {host!r} is not this machine"
            await problem_answer(Request(scope), 421, detail, remedy=OWN_NAMES)(scope, receive, noted)
            return
        try:
            await self._app(scope, receive, noted)
        except Exception:
            if is_answered:  # half of an answer cannot be taken back
                raise
            log.exception("failed")
            answer = problem_answer(
                Request(scope), 500, "the service failed", remedy="its log has the traceback"
            )
            await answer(scope, receive, noted)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        name = getattr(scope.get("route"), "path", "page") or "page"
        self._metrics.seconds.labels(name, str(status)).observe(seconds)
        fields = {
            "method": scope["method"],
            "route": name,
            "status": status,
            "ms": round(seconds * 1000, 2),
            "release": scope["state"].get("release"),
        }
        if log.isEnabledFor(logging.INFO):  # `log.info` would look for its caller in the stack
            record = logging.LogRecord(log.name, logging.INFO, __file__, 0, "answered", None, None)
            record.fields = fields
            log.handle(record)
