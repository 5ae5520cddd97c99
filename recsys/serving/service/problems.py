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
    """A body that is no such request: names the first field."""
    assert isinstance(error, RequestValidationError)
    fault = error.errors()[0]
    place = ".".join(str(part) for part in fault["loc"] if part != "body")
    detail = f"{place}: {fault['msg']}" if place else str(fault["msg"])
    return problem_answer(request, 422, detail, remedy="/openapi.json describes every request")


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 400:  # FastAPI could not read the body, as where JSON is nested too deep
        return problem_answer(request, 422, str(error.detail), remedy="/openapi.json describes every request")
    return problem_answer(request, error.status_code, str(error.detail), headers=dict(error.headers or {}))


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
    409: "Known otherwise",
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
