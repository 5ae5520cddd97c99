"""The application: routes, middleware, and background threads."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.concurrency import run_in_threadpool

from recsys.serving.service.admin import admin
from recsys.serving.service.admission import Admission
from recsys.serving.service.at_once import AtOnce
from recsys.serving.service.feedback_route import feedback_routes
from recsys.serving.service.metrics import Metrics
from recsys.serving.service.observing import Observing
from recsys.serving.service.operation import PAGE, operation
from recsys.serving.service.problems import HANDLERS
from recsys.serving.service.questions import by_path, questions
from recsys.serving.service.shared import Service


def make_app(service: Service) -> FastAPI:
    """The application.

    Args:
        service: what it answers from.

    Returns:
        An ASGI application; the follower runs while it does.
    """

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(
            service.follower.start_up
        )  # a worker accepts requests once it can answer them
        service.follower.start()
        if service.feedback:
            service.feedback.start(lambda: service.follower.served)
        yield
        if service.feedback:
            service.feedback.stop()
        service.follower.stop()
        app.state.threads.shutdown(wait=False, cancel_futures=True)

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
    app.state.threads = ThreadPoolExecutor(service.params.max_running, "answer")  # it starts them when needed
    app.state.at_once = AtOnce()
    app.state.limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
    app.add_middleware(Observing, metrics=app.state.metrics, own_names_only=service.keys is None)
    app.add_middleware(Admission, params=service.params, turned_away=app.state.metrics.turned_away)
    for kind, handler in HANDLERS.items():
        app.add_exception_handler(kind, handler)
    app.include_router(questions)  # first: routes are tried in turn
    app.include_router(operation)
    app.include_router(by_path)
    app.include_router(feedback_routes)
    app.include_router(admin)
    app.mount("/page", StaticFiles(directory=PAGE), name="page")
    return app
