"""The routes that ask the `Recommender` of the release that serves now, and show what it answers."""

import dataclasses
import logging
from collections.abc import Sequence, Sized
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel

from recsys.errors import RequestError
from recsys.evaluation.off_policy_lists import EXPLORED
from recsys.serving.answers import Answer, Exploration, ListRequest, Scored, Taste
from recsys.serving.exploration import Explorer
from recsys.serving.recommender import Recommender
from recsys.serving.service import answer_schemas, request_schemas
from recsys.serving.service.at_once import Begun
from recsys.serving.service.body_route import BodyRoute
from recsys.serving.service.list_json import list_answered, search_answered
from recsys.serving.service.shared import (
    PROBLEMS,
    Now,
    Service,
    TakesLonger,
    Whose,
    allowed_to,
    bounded,
    whose,
)
from recsys.serving.service.trial import Group
from recsys.serving.user_profiles import User

log = logging.getLogger(__name__)
questions = APIRouter(prefix="/v1", tags=["questions"], responses=PROBLEMS, route_class=BodyRoute)
by_path = APIRouter(
    prefix="/v1", tags=["questions"], dependencies=[Depends(allowed_to("read"))], responses=PROBLEMS
)
"""Questions without a body."""


@questions.post("/recommend", response_model=answer_schemas.ExploredListAnswer | answer_schemas.ListAnswer)
def recommend(body: request_schemas.RecommendBody, now: Now, request: Request) -> Response | Begun:
    """The best items for a user: known, new, described by words, or unknown."""
    service: Service = request.app.state.service
    who = whose(body.user, body.pseudonym, now, request)
    whose_list = who.pseudonym or ""
    wanted = replace(list_request(body, request), request_id=body.request_id, whose=whose_list)
    recommender = who.now.recommender
    taste = taste_of(body, who, request)

    def finish(user: User) -> Response:
        answer = recommender.list_for(user, wanted, service.explorer)
        if service.feedback and service.feedback.count_list(who.pseudonym, answer, service.follower.trial):
            group: Group = "current" if who.now is now else "trial"
            request.app.state.metrics.lists.labels(group).inc()
        if answer.exploration is not None and service.explorer is not None:
            return answered(_explored(answer, answer.exploration, recommender, service.explorer))
        return list_answered(answer, recommender)

    if request.state.at_once:
        return Begun(recommender, taste, finish)
    return finish(recommender.users([taste])[0])


@by_path.get("/similar/{item:path}", response_model=answer_schemas.ListAnswer)
def similar(
    item: str, now: Now, request: Request, query: Annotated[request_schemas.SimilarQuery, Query()]
) -> Response:
    """The items nearest to an item."""
    wanted = list_request(request_schemas.ListBody(k=query.k), request)
    return list_answered(now.recommender.similar(item, wanted), now.recommender)


@questions.post("/search", response_model=answer_schemas.SearchAnswer)
def search(body: request_schemas.SearchBody, now: Now, request: Request) -> Response:
    """The items that fit words best, each with P(item | query, candidates)."""
    bounded(request, "query", len(body.query), "max_text_chars")
    with_words(body.query, "query", "give some words")
    who = whose(body.user, body.pseudonym, now, request)
    recommender = who.now.recommender
    found = recommender.search(body.query, list_request(body, request), taste_of(body, who, request))
    return search_answered(found, recommender)


@questions.post("/profile", response_model=answer_schemas.ProfileAnswer)
def profile(body: request_schemas.ProfileBody, now: Now, request: Request) -> Response:
    """What an item that is not in the catalogue would be: profile, neighbours, audience."""
    if bool(body.text.strip()) == bool(body.row):
        raise RequestError("give either text or row", remedy="text: words; row: fields as in the catalogue")
    texts = now.recommender.texts
    text = body.text if body.text.strip() else texts.text_of_row(body.row)
    if body.row:
        with_words(text, "row", f"give at least one of: {', '.join(texts.fields)}")
    bounded(request, "text", len(text), "max_text_chars")
    found = now.recommender.new_item(text, list_request(request_schemas.ListBody(k=body.k), request))
    return answered(
        answer_schemas.ProfileAnswer(
            release=found.release,
            profile=[float(f"{value:.6g}") for value in found.profile_D.tolist()],
            neighbours=shown(found.neighbours, now.recommender),
            audience=found.audience,
        )
    )


@questions.post("/explain", response_model=answer_schemas.ExplainAnswer)
def explain(body: request_schemas.ExplainBody, now: Now, request: Request) -> Response:
    """Why an item has its score for a user."""
    who = whose(body.user, body.pseudonym, now, request)
    recommender = who.now.recommender
    found = recommender.explain(body.item, taste_of(body, who, request), with_words=body.words)
    titles = recommender.items.titles_of([one.item_id for one in found.contributions if one.item_id])
    return answered(
        answer_schemas.ExplainAnswer(
            release=found.release,
            model=found.model,
            ranker=found.ranker,
            item=shown([Scored(found.item_id, found.score)], recommender)[0],
            contributions=[
                answer_schemas.ContributionAnswer(
                    source=one.source,
                    item_id=one.item_id,
                    title=titles.get(one.item_id or ""),
                    profile=one.profile,
                    ranker=one.ranker,
                    shared=[answer_schemas.SharedAnswer(**dataclasses.asdict(fact)) for fact in one.shared],
                )
                for one in found.contributions
            ],
            rest=found.rest,
            words=[answer_schemas.WordAnswer(word=word, effect=effect) for word, effect in found.words],
            has_text=found.has_text,
            withheld=found.withheld,
            view_shares=dict(found.view_shares),
        )
    )


@questions.post("/predict", response_model=answer_schemas.PredictAnswer)
def predict(body: request_schemas.PredictBody, now: Now, request: Request) -> Response:
    """Whether a user clicks given items, buys what was clicked, and for what value."""
    bounded(request, "items", len(body.items), "max_ids")
    who = whose(body.user, body.pseudonym, now, request)
    found = who.now.recommender.predict(taste_of(body, who, request), tuple(body.items))
    return answered(
        answer_schemas.PredictAnswer(
            release=found.release,
            items=[answer_schemas.PredictedItem(**vars(one)) for one in found.items],
            unknown=list(found.unknown),
        )
    )


def _explored(
    answer: Answer, explored: Exploration, recommender: Recommender, explorer: Explorer
) -> answer_schemas.ExploredListAnswer:
    """A list with its propensities; logs the places that explored."""
    if explored.draws:
        log.info(EXPLORED, extra={"fields": explorer.log_fields(answer)})
    return answer_schemas.ExploredListAnswer(
        release=answer.release,
        basis=answer.basis,
        items=[
            answer_schemas.ExploredItem(**one, propensity=propensity)
            for one, propensity in zip(
                fields_of(answer.items, recommender), explored.propensities, strict=True
            )
        ],
        unknown=list(answer.unknown),
        list_id=explored.list_id,
        explored=[draw.place for draw in explored.draws],
    )


def taste_of(body: request_schemas.UserBody, who: Whose, request: Request) -> Taste:
    """What is known of the user of a request: by the release, by feedback since, and by the request itself.

    Args:
        body: of the request.
        who: the user whom it names.
        request: says whether the answer is computed at once.

    Returns:
        The taste.

    Raises:
        TakesLonger: it is much, and the answer was to be computed at once.
    """
    service: Service = request.app.state.service
    bounded(request, "history", len(body.history), "max_ids")
    bounded(request, "text", len(body.text), "max_text_chars")
    pseudonym, now, known, at_once = who.pseudonym, who.now, Taste(), request.state.at_once
    if at_once and pseudonym and service.feedback and not service.feedback.surely_knows_nothing_of(pseudonym):
        raise TakesLonger
    if pseudonym and service.feedback and not at_once:
        events = service.feedback.of(pseudonym, now)
        known = now.recommender.taste_of(pseudonym, events, service.feedback.rules)
    elif pseudonym:
        known = now.recommender.taste_of(pseudonym)
    n_known = sum(len(one) for one in (known.likes, known.dislikes) if isinstance(one, Sized))
    if at_once and n_known > request_schemas.QUICK:
        raise TakesLonger
    likes = (*known.likes, *body.history) if body.history else known.likes
    return Taste(likes, known.dislikes, body.text, known.feedback, known.weights)


def with_words(text: str, name: str, remedy: str) -> None:
    """Refuse a field that says nothing."""
    if not text.replace("\x00", " ").strip():
        raise RequestError(f"{name}: an empty text has no neighbours", remedy=remedy)


def list_request(body: request_schemas.ListBody, request: Request) -> ListRequest:
    """Which items, within what the service allows."""
    bounded(request, "k", body.k, "max_k")
    if body.candidates is not None:
        bounded(request, "candidates", len(body.candidates), "max_ids")
    candidates = None if body.candidates is None else tuple(body.candidates)
    return ListRequest(body.k, body.where, candidates, body.exclude_seen, body.diversity)


def answered(answer: BaseModel) -> Response:
    """An answer as JSON; FastAPI would first check and copy what is made here."""
    return Response(answer.__pydantic_serializer__.to_json(answer), media_type="application/json")


def shown(items: Sequence[Scored], recommender: Recommender) -> list[answer_schemas.ShownItem]:
    """Items with title, tags, image and attributes, as far as the release holds them."""
    return [answer_schemas.ShownItem(**one) for one in fields_of(items, recommender)]


def fields_of(items: Sequence[Scored], recommender: Recommender) -> list[dict[str, Any]]:
    """Fields of `ShownItem`, for each item."""
    details = recommender.items.details_of([one.item_id for one in items])
    return [
        {**detail, "item_id": one.item_id, "score": float(np.float64(one.score))}
        for one, detail in zip(items, details, strict=True)
    ]
