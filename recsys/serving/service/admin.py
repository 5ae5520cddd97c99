"""The routes for who runs the service: look at CURRENT now, and what this worker knows."""

import os

from fastapi import APIRouter, Depends, Request

from recsys.serving.service import answer_schemas
from recsys.serving.service.shared import PROBLEMS, Service, allowed_to

admin = APIRouter(
    prefix="/v1/admin", tags=["admin"], dependencies=[Depends(allowed_to("admin"))], responses=PROBLEMS
)


@admin.post("/follow")
def follow(request: Request) -> answer_schemas.StateAnswer:
    """Look at CURRENT now, instead of after up to `serve.poll_s`: the webhook of who publishes.

    It answers once the new release serves. Where the service has several workers, new ones serve it: the one that was
    asked names it as `next_release`, and accepts no connections from a second later on.
    """
    service: Service = request.app.state.service
    service.follower.look()
    return state(request)


@admin.get("/state")
def state(request: Request) -> answer_schemas.StateAnswer:
    """What the worker that was asked knows."""
    service: Service = request.app.state.service
    follower = service.follower
    return answer_schemas.StateAnswer(
        worker=os.getpid(),
        release=follower.served.release if follower.served else None,
        next_release=follower.next_release,
        since=follower.served.since.isoformat(timespec="seconds") if follower.served else None,
        swaps=follower.n_swaps,
        refusals=follower.n_refused,
        problem=follower.problem,
        trial=answer_schemas.TrialAnswer.of(follower.trial),
        feedback_waiting=service.feedback.waiting(follower.served)
        if service.feedback and follower.served
        else None,
        feedback_ships=service.feedback.ships if service.feedback else False,
    )
