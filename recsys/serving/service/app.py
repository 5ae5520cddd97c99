"""The routes: each parses, asks the `Recommender` of the release that serves now, and shows what it answers."""

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from recsys.catalogue.fields import BadRow, identifier
from recsys.catalogue.pseudonyms import VARIABLE as KEY_VARIABLE
from recsys.catalogue.pseudonyms import Pseudonyms
from recsys.errors import ConflictError, RecsysError, RequestError, UnknownItem
from recsys.serving.answers import Answer, ListRequest, Scored, Taste
from recsys.serving.feedback_events import Event
from recsys.serving.params import ServeParams
from recsys.serving.recommender import Recommender
from recsys.serving.service import schemas
from recsys.serving.service.access import ApiKeys, Scope
from recsys.serving.service.admission import ARRIVED, Admission
from recsys.serving.service.feedback import Feedback
from recsys.serving.service.following import Follower, Served
from recsys.serving.service.metrics import Metrics

log = logging.getLogger(__name__)
PAGE = Path(__file__).parent / "page"
RETRY_S = "2"
"""Seconds after which somebody should ask again, where nothing says more."""
POLICY = "default-src 'self'; img-src * data:; style-src 'self'; script-src 'self'; frame-ancestors 'none'"
"""Content-Security-Policy of the page: nothing of another address but images of items."""


@dataclass(frozen=True)
class Service:
    """What the routes share."""

    follower: Follower
    params: ServeParams
    keys: ApiKeys | None
    """None: everybody may ask; the service then listens on this machine alone."""
    pseudonyms: Pseudonyms | None
    """None: raw user ids cannot be looked up."""
    feedback: Feedback | None = None
    """None: no feedback is taken."""


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
    app.state.limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
    app.middleware("http")(observe)
    app.add_middleware(Admission, params=service.params, turned_away=app.state.metrics.turned_away)
    for kind, handler in HANDLERS.items():
        app.add_exception_handler(kind, handler)
    app.include_router(operation)
    app.include_router(questions)
    app.include_router(feedback_routes)
    app.mount("/page", StaticFiles(directory=PAGE), name="page")
    return app


async def observe(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Count and log every answer, without whom it is about; a fault of ours is an answer too."""
    begun = getattr(request.state, ARRIVED, time.perf_counter())
    try:
        response = await call_next(request)
    except Exception:
        log.exception("failed")
        response = _problem(request, 500, "the service failed", remedy="its log has the traceback")
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


def allowed_to(scope: Scope) -> Callable[[Request], None]:
    """A dependency that lets in who may: by key, and not too often."""

    def check(request: Request) -> None:
        service: Service = request.app.state.service
        who = request.client.host if request.client else "unknown"
        if service.keys is not None:
            header = request.headers.get("authorization", "")
            kind, _, key = header.partition(" ")
            found = service.keys.find(key.strip()) if kind.lower() == "bearer" else None
            if found is None:
                raise HTTPException(
                    401, "an API key is needed: Authorization: Bearer …", {"WWW-Authenticate": "Bearer"}
                )
            if scope not in found.scopes:
                raise HTTPException(403, f"the key of {found.name} lacks the scope {scope!r}")
            who = found.name
        per_minute = service.params.requests_per_minute
        if per_minute and not request.app.state.limiter.hit(RateLimitItemPerMinute(per_minute), who):
            raise HTTPException(429, f"at most {per_minute} requests a minute", {"Retry-After": "5"})

    return check


def serving(request: Request) -> Served:
    """The release that this request is answered from, first to last."""
    service: Service = request.app.state.service
    served = service.follower.served
    if served is None:
        why = service.follower.problem or "the first release is being loaded"
        raise HTTPException(503, f"no release serves yet: {why}")
    request.state.release = served.release
    return served


Now = Annotated[Served, Depends(serving)]
PROBLEMS: dict[int | str, dict[str, Any]] = {
    code: {"model": schemas.Problem} for code in (401, 403, 404, 413, 422, 429, 503)
}
operation = APIRouter(tags=["operation"])
questions = APIRouter(
    prefix="/v1", tags=["questions"], dependencies=[Depends(allowed_to("read"))], responses=PROBLEMS
)
feedback_routes = APIRouter(
    prefix="/v1", tags=["feedback"], dependencies=[Depends(allowed_to("feedback"))], responses=PROBLEMS
)


@questions.post("/recommend")
def recommend(body: schemas.RecommendBody, now: Now, request: Request) -> schemas.ListAnswer:
    """The best items for a user: known, new, described by words, or unknown."""
    taste = taste_of(body, now, request)
    answer = now.recommender.recommend(taste, list_request(body, request))
    return shown_list(answer, now.recommender)


@questions.get("/similar/{item:path}")
def similar(item: str, now: Now, request: Request, k: Annotated[int, Query(ge=1)] = 10) -> schemas.ListAnswer:
    """The items nearest to an item."""
    wanted = list_request(schemas.ListBody(k=k), request)
    return shown_list(now.recommender.similar(item, wanted), now.recommender)


@questions.post("/search")
def search(body: schemas.SearchBody, now: Now, request: Request) -> schemas.ListAnswer:
    """The items that fit words best."""
    bounded(request, "query", len(body.query), "max_text_chars")
    taste = taste_of(body, now, request)
    return shown_list(now.recommender.search(body.query, list_request(body, request), taste), now.recommender)


@questions.post("/profile")
def profile(body: schemas.ProfileBody, now: Now, request: Request) -> schemas.ProfileAnswer:
    """What an item that is not in the catalogue would be: profile, neighbours, audience."""
    if bool(body.text.strip()) == bool(body.row):
        raise RequestError("give either text or row", remedy="text: words; row: fields as in the catalogue")
    text = body.text or now.recommender.text_of_row(body.row)
    bounded(request, "text", len(text), "max_text_chars")
    found = now.recommender.new_item(text, list_request(schemas.ListBody(k=body.k), request))
    return schemas.ProfileAnswer(
        release=found.release,
        profile=[float(f"{value:.6g}") for value in found.profile_D.tolist()],
        neighbours=shown(found.neighbours, now.recommender),
        audience=found.audience,
    )


@questions.post("/explain")
def explain(body: schemas.ExplainBody, now: Now, request: Request) -> schemas.ExplainAnswer:
    """Why an item has its score for a user."""
    taste = taste_of(body, now, request)
    found = now.recommender.explain(body.item, taste, with_words=body.words)
    titles = now.recommender.titles_of([one.item_id for one in found.contributions if one.item_id])
    return schemas.ExplainAnswer(
        release=found.release,
        model=found.model,
        ranker=found.ranker,
        item=shown([Scored(found.item_id, found.score)], now.recommender)[0],
        contributions=[
            schemas.ContributionAnswer(
                source=one.source,
                item_id=one.item_id,
                title=titles.get(one.item_id or ""),
                profile=one.profile,
                ranker=one.ranker,
            )
            for one in found.contributions
        ],
        rest=found.rest,
        words=[schemas.WordAnswer(word=word, effect=effect) for word, effect in found.words],
    )


@feedback_routes.post("/feedback", responses={409: {"model": schemas.Problem}})
def feedback(body: schemas.FeedbackBody, now: Now, request: Request) -> schemas.FeedbackAnswer:
    """Store what users did. It is on disk when this answers, and counts in each user's next answer."""
    service: Service = request.app.state.service
    if service.feedback is None:
        raise RequestError(
            "this service takes no feedback", remedy="start it with --feedback sqlite:///feedback.sqlite"
        )
    bounded(request, "events", len(body.events), "max_events")
    given = []
    for place, one in enumerate(body.events):
        pseudonym = pseudonym_of(one.user, one.pseudonym, now.recommender, service)
        if pseudonym is None:
            raise RequestError(f"events.{place}: of whom is it?", remedy="give user or pseudonym")
        try:
            given.append(
                Event(one.event_id, pseudonym, one.item_id, one.event, one.value, one.at, one.release)
            )
        except ValueError as error:
            raise RequestError(
                f"events.{place}: {error}", remedy="/openapi.json describes an event"
            ) from error
    added = service.feedback.store.add(given)
    return schemas.FeedbackAnswer(n_new=added.n_new, n_known=added.n_known)


@operation.get("/", include_in_schema=False)
def page() -> FileResponse:
    """The page for people."""
    return FileResponse(PAGE / "index.html")


@operation.get("/healthz")
def healthz() -> dict[str, str]:
    """Whether the process answers at all."""
    return {"status": "alive"}


@operation.get("/readyz", responses={503: {"model": schemas.Problem}})
def readyz(now: Now) -> dict[str, str]:
    """Whether a release answers."""
    return {"status": "ready", "release": now.release}


@operation.get("/metrics", response_class=Response)
def metrics(request: Request) -> Response:
    """For Prometheus."""
    return Response(request.app.state.metrics.page(), media_type="text/plain; version=0.0.4")


@operation.get("/version")
def which(request: Request) -> schemas.VersionAnswer:
    """Which software, release and model answer here."""
    service: Service = request.app.state.service
    served = service.follower.served
    found = served.recommender if served else None
    newest = found.popular.newest_at if found else None
    waiting = service.feedback.waiting(served) if service.feedback and served else None
    return schemas.VersionAnswer(
        software=version("firstlight-recsys"),
        release=served.release if served else None,
        sequence=found.manifest.sequence if found else None,
        since=served.since.isoformat(timespec="seconds") if served else None,
        model=found.manifest.model.hash if found else None,
        ranker=found.manifest.model.ranker.name if found else None,
        n_items=len(found.profiles.latest.item_ids) if found else None,
        n_users=len(found.profiles.histories.users) if found else None,
        newest_item_at=newest.isoformat(timespec="seconds") if newest else None,
        attributes=list(found.filters.names) if found else [],
        feedback_waiting=waiting,
        problem=service.follower.problem,
    )


def taste_of(body: schemas.UserBody, now: Served, request: Request) -> Taste:
    """What is known of the user of a request: by the release, by feedback since, and by the request itself."""
    service: Service = request.app.state.service
    bounded(request, "history", len(body.history), "max_ids")
    bounded(request, "text", len(body.text), "max_text_chars")
    pseudonym = pseudonym_of(body.user, body.pseudonym, now.recommender, service)
    known = Taste()
    if pseudonym and service.feedback:
        events = service.feedback.of(pseudonym, now)
        known = now.recommender.taste_of(pseudonym, events, service.feedback.rules)
    elif pseudonym:
        known = now.recommender.taste_of(pseudonym)
    return Taste((*known.likes, *body.history), known.dislikes, body.text, known.feedback)


def pseudonym_of(
    user: str | None, pseudonym: str | None, recommender: Recommender, service: Service
) -> str | None:
    """Whom a request names; None where it names nobody."""
    if user is None or pseudonym is not None:
        if user is not None:
            raise RequestError(
                "give user or pseudonym, not both", remedy="user: a raw id; pseudonym: one of the release's"
            )
        return pseudonym
    if service.pseudonyms is None:
        raise RequestError(
            "this service cannot look raw user ids up",
            remedy=f"start it with {KEY_VARIABLE}, or give a pseudonym",
        )
    release = f"release {recommender.manifest.id}"
    service.pseudonyms.require_check(recommender.manifest.pseudonym_key_check, release)
    try:
        name = identifier(user, "user")
    except BadRow as fault:
        raise RequestError(fault.detail, remedy="give the id as it lands") from fault
    if not name:
        raise RequestError("user has no visible character", remedy="leave it out for somebody unknown")
    return service.pseudonyms.of(name)


def list_request(body: schemas.ListBody, request: Request) -> ListRequest:
    """Which items, within what the service allows."""
    bounded(request, "k", body.k, "max_k")
    if body.candidates is not None:
        bounded(request, "candidates", len(body.candidates), "max_ids")
    candidates = None if body.candidates is None else tuple(body.candidates)
    return ListRequest(body.k, body.where, candidates, body.exclude_seen, body.diversity)


def bounded(request: Request, name: str, size: int, limit: str) -> None:
    """Refuse what is longer than a limit of section `serve`."""
    most: int = getattr(request.app.state.service.params, limit)
    if size > most:
        raise RequestError(
            f"{name}: {size} is more than {most}", remedy=f"ask for less; the limit is serve.{limit}"
        )


def shown_list(answer: Answer, recommender: Recommender) -> schemas.ListAnswer:
    """A list with what a page shows of its items."""
    return schemas.ListAnswer(
        release=answer.release,
        basis=answer.basis,
        items=shown(answer.items, recommender),
        unknown=list(answer.unknown),
    )


def shown(items: Sequence[Scored], recommender: Recommender) -> list[schemas.ShownItem]:
    """Items with title, tags, image and attributes, as far as the release holds them."""
    details = recommender.details_of([one.item_id for one in items])
    return [
        schemas.ShownItem(item_id=one.item_id, score=float(np.float64(one.score)), **detail)
        for one, detail in zip(items, details, strict=True)
    ]


async def _deliberate(request: Request, error: Exception) -> Response:
    """Errors that are raised on purpose: the caller's, or the release's."""
    assert isinstance(error, RecsysError)
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 503)
    return _problem(request, status, error.message, remedy=error.remedy)


async def _invalid(request: Request, error: Exception) -> Response:
    """A body that is no such request: names the first field."""
    assert isinstance(error, RequestValidationError)
    fault = error.errors()[0]
    place = ".".join(str(part) for part in fault["loc"] if part != "body")
    detail = f"{place}: {fault['msg']}" if place else str(fault["msg"])
    return _problem(request, 422, detail, remedy="/openapi.json describes every request")


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 400:  # FastAPI could not read the body, as where JSON is nested too deep
        return _problem(request, 422, str(error.detail), remedy="/openapi.json describes every request")
    return _problem(request, error.status_code, str(error.detail), headers=dict(error.headers or {}))


def _problem(
    request: Request, status: int, detail: str, *, remedy: str = "", headers: dict[str, str] | None = None
) -> Response:
    release = getattr(request.state, "release", None)
    problem = {"title": TITLES.get(status, "Error"), "status": status, "detail": detail, "remedy": remedy}
    content = {**problem, "release": release}
    headers = {**({"Retry-After": RETRY_S} if status == 503 else {}), **(headers or {})}
    return JSONResponse(content, status, headers, media_type="application/problem+json")


STATUS: dict[type[RecsysError], int] = {
    UnknownItem: 404,
    ConflictError: 409,
    RequestError: 422,
}
"""Of errors that the caller can mend. Every other one is 503: a setting, a file or a store of ours is at fault."""
TITLES = {
    401: "No key",
    403: "Not allowed",
    404: "Not found",
    409: "Known otherwise",
    422: "Cannot be answered",
    429: "Too many requests",
    500: "Failed",
    503: "Not now",
}
HANDLERS: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
    RecsysError: _deliberate,
    RequestValidationError: _invalid,
    HTTPException: _http,
}
