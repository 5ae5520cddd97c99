"""Receives MLflow's webhook: a POST to /recsys/champion says that the alias moved, and starts `publish_champion`."""

import logging
import os
import time
from collections.abc import Awaitable, Callable, MutableMapping
from functools import cache
from typing import TYPE_CHECKING, Any

from airflow.plugins_manager import AirflowPlugin

if TYPE_CHECKING:
    from fastapi import FastAPI

log = logging.getLogger(__name__)

DAG = "publish_champion"
SECRET = "RECSYS_WEBHOOK_SECRET"
MAX_BODY = 65536
"""Bytes; MLflow sends a few hundred."""


async def receiver(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    """The app, made on the first request: other parts of Airflow load this file too, and need no FastAPI."""
    await app()(scope, receive, send)


@cache
def app() -> "FastAPI":
    """One endpoint, POST /champion; who may use it is decided by the signature alone."""
    from fastapi import FastAPI, Request
    from fastapi.responses import JSONResponse
    from starlette.concurrency import run_in_threadpool

    made = FastAPI(title="Firstlight", docs_url=None, redoc_url=None, openapi_url=None)

    @made.post("/champion")
    async def champion(request: Request) -> JSONResponse:
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > MAX_BODY:
                return JSONResponse({"refused": f"more than {MAX_BODY} bytes"}, 413)
        status, answer = await run_in_threadpool(receive_delivery, dict(request.headers), body)
        return JSONResponse(answer, status)

    return made


def receive_delivery(headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str]]:
    """Verify a delivery and start `publish_champion`. The delivery id becomes the run id, so a replay starts nothing.

    Args:
        headers: of the request.
        body: its bytes.

    Returns:
        HTTP status (200 taken, 401 refused, 503 not set up or to be tried again) and the answer as JSON.
    """
    from recsys.errors import WebhookRefused
    from recsys.registry.webhook import verify

    secret = os.environ.get(SECRET)
    if not secret:
        log.error("a webhook delivery came, but %s is not set: it cannot be verified", SECRET)
        return 503, {"refused": f"{SECRET} is not set"}
    try:
        delivery = verify(headers, body, secret, time.time())
    except WebhookRefused as refused:
        log.warning("a webhook delivery was refused: %s", refused)
        return 401, {"refused": str(refused)}
    if not delivery.moves_champion():
        return 200, {"ignored": f"{delivery.entity}.{delivery.action} does not move the champion"}
    try:
        return 200, {start(f"webhook__{delivery.id}"): DAG}
    except (
        Exception
    ):  # the database is busy or away: MLflow tries again after a 503, and the sweep finds the rest
        log.exception("%s could not be started", DAG)
        return 503, {"refused": f"{DAG} could not be started"}


def start(run_id: str) -> str:
    """Start `publish_champion`; "started", or "known" where this delivery has started it before."""
    from airflow.api.common.trigger_dag import trigger_dag
    from airflow.exceptions import DagRunAlreadyExists
    from airflow.utils.types import DagRunTriggeredByType

    try:
        trigger_dag(DAG, run_id=run_id, triggered_by=DagRunTriggeredByType.REST_API, note="MLflow's webhook")
    except DagRunAlreadyExists:
        return "known"
    return "started"


class ChampionWebhook(AirflowPlugin):
    """Adds the receiver to Airflow's api-server."""

    name = "firstlight_champion_webhook"
    fastapi_apps = [{"app": receiver, "url_prefix": "/recsys", "name": "Firstlight"}]  # noqa: RUF012
