"""Errors as RFC 9457 problems: what is wrong, and what to do."""

from collections.abc import Awaitable, Callable

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from recsys.errors import ConflictError, RecsysError, RequestError, UnknownItem

RETRY_S = "2"
"""Seconds after which somebody should ask again, where nothing says more."""


def problem_answer(
    request: Request, status: int, detail: str, *, remedy: str = "", headers: dict[str, str] | None = None
) -> Response:
    """An error as the service answers it; a 503 says when to ask again.

    Args:
        request: names the release that it was to be answered from, once it is known.
        status: of HTTP.
        detail: what is wrong.
        remedy: what to do.
        headers: beside those that every problem has.

    Returns:
        The answer.
    """
    release = getattr(request.state, "release", None)
    problem = {"title": TITLES.get(status, "Error"), "status": status, "detail": detail, "remedy": remedy}
    content = {**problem, "release": release}
    headers = {**({"Retry-After": RETRY_S} if status == 503 else {}), **(headers or {})}
    return JSONResponse(content, status, headers, media_type="application/problem+json")


async def _deliberate(request: Request, error: Exception) -> Response:
    """Errors that are raised on purpose: the caller's, or the release's."""
    assert isinstance(error, RecsysError)
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 503)
    return problem_answer(request, status, error.message, remedy=error.remedy)


async def _invalid(request: Request, error: Exception) -> Response:
    """A body that is no such request: names the first field, and what to give instead."""
    assert isinstance(error, RequestValidationError)
    fault = error.errors()[0]
    kind, place = (
        fault["type"],
        ".".join(str(part) for part in fault["loc"][1:]),
    )  # the first is body or query
    if kind == "json_invalid":
        why = fault.get("ctx", {}).get("error", "it cannot be read")
        detail, remedy = f"the body is not JSON: {why} (character {place})", JSON_BODY
    elif not place:
        detail = "there is no body" if kind == "missing" else "the body is not a JSON object"
        remedy = JSON_BODY
    elif kind == "extra_forbidden":
        detail, remedy = f"{place}: there is no such field", "see its name in /openapi.json, or leave it out"
    elif kind == "missing":
        detail, remedy = f"{place}: is needed", "/openapi.json describes every request"
    else:
        detail = f"{place}: {str(fault['msg']).removeprefix('Value error, ')}"
        remedy = "/openapi.json describes every request"
    return problem_answer(request, 422, detail, remedy=remedy)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 400:  # FastAPI could not read the body, as where JSON is nested too deep
        detail = "the body cannot be read: it is not UTF-8, or nested too deep"
        return problem_answer(request, 422, detail, remedy=JSON_BODY)
    status, detail, remedy = error.status_code, str(error.detail), HTTP_REMEDIES.get(error.status_code, "")
    if detail == "Not Found":  # Starlette's own
        detail, remedy = f"there is nothing at {request.url.path}", "/openapi.json lists the routes"
    if status == 405:
        detail = f"{request.url.path} does not take {request.method}"
    return problem_answer(request, status, detail, remedy=remedy, headers=dict(error.headers or {}))


JSON_BODY = "send a JSON object in UTF-8, with Content-Type: application/json; /openapi.json describes it"
HTTP_REMEDIES = {
    401: "recsys api-key NAME makes one",
    403: "recsys api-key NAME --scope … makes a key that may",
    405: "/openapi.json lists the methods of each route",
    429: "ask again later, or raise serve.requests_per_minute",
    503: "see /version and the log; recsys releases shows what is published",
}
"""What to do about errors that say only what is wrong."""
STATUS: dict[type[RecsysError], int] = {
    UnknownItem: 404,
    ConflictError: 409,
    RequestError: 422,
}
"""Status of errors that the caller can correct. Every other one is 503: a setting, file or store is at fault."""
TITLES = {
    401: "No key",
    403: "Not allowed",
    404: "Not found",
    405: "Not this way",
    409: "Known otherwise",
    413: "Too large",
    421: "Another host",
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
