"""What the routes share: the parts of the service, who may ask, the release that answers, and limits of requests."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request
from limits import RateLimitItemPerMinute
from starlette.exceptions import HTTPException

from recsys.catalogue.fields import BadRow, identifier
from recsys.catalogue.pseudonyms import VARIABLE as KEY_VARIABLE
from recsys.catalogue.pseudonyms import Pseudonyms
from recsys.errors import RequestError
from recsys.serving.exploration import Explorer
from recsys.serving.params import ServeParams
from recsys.serving.recommender import Recommender
from recsys.serving.service import answer_schemas
from recsys.serving.service.access import ApiKey, ApiKeys, Scope
from recsys.serving.service.feedback import Feedback
from recsys.serving.service.following import Follower
from recsys.serving.service.loading import Served
from recsys.serving.service.request_schemas import Body


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
    explorer: Explorer | None = None
    """None: no list explores."""

    def answers_at_once(self, body: Body) -> bool:
        """Whether an answer is soon computed, unless much is known of the user: a thread would only cost time."""
        return body.is_quick and self.explorer is None and (self.feedback is None or self.feedback.is_local)


class TakesLonger(Exception):
    """An answer that was to be computed on the event loop takes longer than others may wait for it."""


def key_of(request: Request) -> ApiKey | None:
    """The API key that a request shows; None where it shows none that is known, or where there are no keys."""
    service: Service = request.app.state.service
    kind, _, key = request.headers.get("authorization", "").partition(" ")
    return service.keys.find(key.strip()) if service.keys and kind.lower() == "bearer" else None


def allowed_to(scope: Scope) -> Callable[[Request], Awaitable[None]]:
    """A dependency that lets in who may: by key, and not too often."""

    async def check(request: Request) -> None:  # what is not async takes a thread
        service: Service = request.app.state.service
        who = request.client.host if request.client else "unknown"
        if service.keys is not None:
            found = key_of(request)
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


async def serving(request: Request) -> Served:
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
    code: {"model": answer_schemas.Problem} for code in (401, 403, 404, 413, 422, 429, 503)
}


@dataclass(frozen=True)
class Whose:
    """The user whom a request is about, and the release that answers it."""

    pseudonym: str | None
    """None: of nobody that is known by a name."""
    now: Served


def whose(user: str | None, pseudonym: str | None, current: Served, request: Request) -> Whose:
    """Whom a request names, and the release of their group.

    Args:
        user: a raw user id.
        pseudonym: or a pseudonym.
        current: the release that answers where there is no trial, or where the user is not in it.
        request: its log line and its problems name the release.

    Returns:
        Both.

    Raises:
        RequestError: both are given, or a raw id cannot be one, or cannot be looked up here.
    """
    service: Service = request.app.state.service
    name = pseudonym_of(user, pseudonym, current.recommender, service)
    trial = service.follower.trial
    tried = trial.serves(name) if trial else None
    request.state.release = (tried or current).release
    return Whose(name, tried or current)


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
    release = f"release {recommender.release}"
    service.pseudonyms.require_check(recommender.manifest.pseudonym_key_check, release)
    try:
        name = identifier(user, "user")
    except BadRow as fault:
        raise RequestError(fault.detail, remedy="give the id as it lands") from fault
    if not name:
        raise RequestError("user has no visible character", remedy="leave it out for somebody unknown")
    return service.pseudonyms.of(name)


def bounded(request: Request, name: str, size: int, limit: str) -> None:
    """Refuse what is longer than a limit of section `serve`."""
    most: int = getattr(request.app.state.service.params, limit)
    if size > most:
        raise RequestError(
            f"{name}: {size} is more than {most}", remedy=f"ask for less; the limit is serve.{limit}"
        )
