"""The routes for people and for whoever watches the service: the page, liveness, readiness, figures, version."""

from importlib.metadata import version
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse

from recsys.serving.service import answer_schemas
from recsys.serving.service.shared import Now, Service, key_of

PAGE = Path(__file__).parent / "page"
operation = APIRouter(tags=["operation"])


@operation.get("/", include_in_schema=False)
def page() -> FileResponse:
    """The page for people."""
    return FileResponse(PAGE / "index.html")


@operation.get("/healthz")
def healthz() -> dict[str, str]:
    """Whether the process answers at all."""
    return {"status": "alive"}


@operation.get(
    "/readyz", responses={503: {"model": answer_schemas.Problem}}, response_model_exclude_none=True
)
def readyz(now: Now, request: Request) -> answer_schemas.ReadyAnswer:
    """Whether a release answers. A trial whose release cannot be read does not matter: the current one serves all."""
    service: Service = request.app.state.service
    return answer_schemas.ReadyAnswer(
        release=now.release, trial=answer_schemas.TrialAnswer.of(service.follower.trial)
    )


@operation.get("/metrics", response_class=Response)
def metrics(request: Request) -> Response:
    """Figures for Prometheus."""
    return Response(request.app.state.metrics.page(), media_type="text/plain; version=0.0.4")


@operation.get("/version")
def which(request: Request) -> answer_schemas.VersionAnswer:
    """Which software, release and model answer here."""
    service: Service = request.app.state.service
    served = service.follower.served
    found = served.recommender if served else None
    newest = found.popular.newest_at if found else None
    may_know = service.keys is None or key_of(request) is not None
    waiting = service.feedback.waiting(served) if service.feedback and served and may_know else None
    return answer_schemas.VersionAnswer(
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
        trial=answer_schemas.TrialAnswer.of(service.follower.trial),
        problem=service.follower.problem,
    )
