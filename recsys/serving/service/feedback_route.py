"""The route that takes feedback."""

import logging

from fastapi import APIRouter, Depends, Request

from recsys.errors import RequestError
from recsys.evaluation.off_policy_lists import REWARDED
from recsys.serving.feedback_events import Event
from recsys.serving.service import answer_schemas, request_schemas
from recsys.serving.service.shared import PROBLEMS, Now, Service, allowed_to, bounded, whose

log = logging.getLogger(__name__)
feedback_routes = APIRouter(
    prefix="/v1", tags=["feedback"], dependencies=[Depends(allowed_to("feedback"))], responses=PROBLEMS
)


@feedback_routes.post(
    "/feedback", responses={409: {"model": answer_schemas.Problem}}, response_model_exclude_defaults=True
)
def feedback(body: request_schemas.FeedbackBody, now: Now, request: Request) -> answer_schemas.FeedbackAnswer:
    """Store what users did. It is on disk when this answers, and counts in each user's next answer."""
    service: Service = request.app.state.service
    if service.feedback is None:
        raise RequestError(
            "this service takes no feedback", remedy="start it with --feedback sqlite:///feedback.sqlite"
        )
    bounded(request, "events", len(body.events), "max_events")
    given = []
    for place, one in enumerate(body.events):
        who = whose(one.user, one.pseudonym, now, request)
        if who.pseudonym is None:
            raise RequestError(f"events.{place}: of whom is it?", remedy="give user or pseudonym")
        try:
            given.append(
                Event(
                    one.event_id,
                    who.pseudonym,
                    one.item_id,
                    one.event,
                    one.value,
                    one.at,
                    one.release or who.now.release,
                )
            )
        except ValueError as error:
            raise RequestError(
                f"events.{place}: {error}", remedy="/openapi.json describes an event"
            ) from error
    request.state.release = now.release
    added = service.feedback.add(given, service.follower.trial)
    for one in body.events:
        if one.list_id is not None:  # the store has no use for it: `recsys off-policy` reads the log
            # without the event's id, by which the store knows whose it is
            fields = {name: getattr(one, name) for name in ("list_id", "item_id", "event", "value")}
            log.info(REWARDED, extra={"fields": fields})
    notes = service.feedback.notes(one.event for one in given)
    return answer_schemas.FeedbackAnswer(n_new=added.n_new, n_known=added.n_known, notes=notes)
