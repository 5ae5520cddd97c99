"""The application: routes, what is around every answer, and the threads that run beside them."""

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.concurrency import run_in_threadpool

from recsys.serving.service.access import host_name, is_loopback
from recsys.serving.service.admin import admin
from recsys.serving.service.admission import ARRIVED, Admission
from recsys.serving.service.feedback_route import feedback_routes
from recsys.serving.service.metrics import Metrics
from recsys.serving.service.operation import PAGE, operation
from recsys.serving.service.problems import HANDLERS, problem_answer
from recsys.serving.service.questions import questions
from recsys.serving.service.shared import Service

log = logging.getLogger(__name__)
OWN_NAMES = "ask for localhost or 127.0.0.1; or start the service with API keys"
"""Without keys no other name is answered: a page of another site, whose name is made to lead here (DNS rebinding),
could otherwise read everything."""
POLICY = "default-src 'self'; img-src * data:; style-src 'self'; script-src 'self'; frame-ancestors 'none'"
"""Content-Security-Policy of the page: nothing of another address but images of items."""


def make_app(service: Service) -> FastAPI:
    """The application.

    Args:
        service: what it answers from.

    Returns:
        An ASGI application; the follower runs while it does.
    """

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(service.follower.look)  # a worker accepts requests once it can answer them
        service.follower.start()
        if service.feedback:
            service.feedback.start(lambda: service.follower.served)
        yield
        if service.feedback:
            service.feedback.stop()
        service.follower.stop()

    app = FastAPI(
        title="Firstlight",
        version=version("firstlight-recsys"),
        summary="Recommendations, search and explanations from the published release",
        lifespan=life,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    app.state.service = service
    app.state.metrics = Metrics(service.follower)
    service.follower.after_look = app.state.metrics.note
    app.state.limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
    app.middleware("http")(observe)
    app.add_middleware(Admission, params=service.params, turned_away=app.state.metrics.turned_away)
    for kind, handler in HANDLERS.items():
        app.add_exception_handler(kind, handler)
    app.include_router(operation)
    app.include_router(questions)
    app.include_router(feedback_routes)
    app.include_router(admin)
    app.mount("/page", StaticFiles(directory=PAGE), name="page")
    return app


async def observe(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Count and log every answer, without whom it is about; a fault of ours is an answer too."""
    begun = getattr(request.state, ARRIVED, time.perf_counter())
    service: Service = request.app.state.service
    host = host_name(request.headers.get("host", ""))
    try:
        if service.keys is None and not is_loopback(host):
            response = problem_answer(
                request, 421, f"the host {host!r} is not this machine", remedy=OWN_NAMES
            )
        else:
            response = await call_next(request)
    except Exception:
        log.exception("failed")
        response = problem_answer(request, 500, "the service failed", remedy="its log has the traceback")
    route = request.scope.get("route")
    name, seconds = getattr(route, "path", "page") or "page", time.perf_counter() - begun
    request.app.state.metrics.seconds.labels(name, str(response.status_code)).observe(seconds)
    fields = {
        "method": request.method,
        "route": name,
        "status": response.status_code,
        "ms": round(seconds * 1000, 2),
        "release": getattr(request.state, "release", None),
    }
    log.info("answered", extra={"fields": fields})
    response.headers.setdefault("Content-Security-Policy", POLICY)
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    return response
