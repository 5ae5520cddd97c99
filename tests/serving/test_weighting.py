"""A model whose users weigh their likes: in histories, releases, lists, explanations and with feedback since."""

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.sparse import csr_array

from recsys.catalogue.opinions import weights_of
from recsys.catalogue.weighting import YES_OR_NO, Scale, Weighting
from recsys.models.reference import ModelReference
from recsys.profiles.alike import alike_factors
from recsys.publishing.formats import ALIKE, BY_EVENT, DETAILED, WEIGHTED
from recsys.ranking.dot import RidgeUsers
from recsys.serving.answers import ListRequest, Taste
from recsys.serving.feedback_events import Event
from recsys.serving.recommender import Recommender
from recsys.storage.protocol import Storage
from tests.publishing.conftest import filled
from tests.publishing.film_workspace import NOON, FilmWorkspace
from tests.publishing.test_ranked import bring_weights
from tests.serving.test_recommender import of_release

SCALE = Scale(values=(-1.0, 1.0, 5.0), strengths=(0.1, 0.5, 1.5))
WEIGHTING = Weighting(value=0.5, dislike=0.25, repeats=1.0, half_life_days=10, scales={"rating": SCALE})
ZOE, NEW = "a" * 32, "b" * 32
STARS = [(ZOE, "alien", 5.0), (ZOE, "jaws", 1.0), (ZOE, "babe", -1.0), (ZOE, "alien", 5.0)]


def starred(workspace: FilmWorkspace, weighting: Weighting = WEIGHTING) -> FilmWorkspace:
    """The workspace with zoe's ratings; a value below 0 is a dislike."""
    model = workspace.model
    workspace.set_model(ModelReference.of(model.encoder, model.head, 2.0, model.ranker, weighting=weighting))
    workspace.ratings([(user, item) for user, item, _ in STARS], day=5, values=[one for *_, one in STARS])
    return workspace.build()


def by_hand(recommender: Recommender, weights: dict[str, float]) -> dict[str, float]:
    """Scores of all items by the formula of the model page."""
    ids = list(recommender.profiles.latest.item_ids)
    vectors = recommender.profiles.searcher.vectors_of(np.arange(len(ids))).astype(float)
    b = sum(weight * vectors[ids.index(item)] for item, weight in weights.items())
    ridge = recommender.manifest.users.ridge_lambda * np.eye(vectors.shape[1])
    user = np.linalg.solve(recommender.profiles.gram() + ridge, b)
    return dict(zip(ids, (vectors @ user).tolist(), strict=True))


def scores(recommender: Recommender, taste: Taste) -> dict[str, float]:
    found = recommender.recommend(taste, ListRequest(k=50, exclude_seen=False)).items
    return {one.item_id: one.score for one in found}


def test_lists_weigh_likes_by_value_repeats_and_age_and_dislikes_against_them(
    film_workspace: FilmWorkspace, folder: Storage
) -> None:
    recommender = of_release(starred(film_workspace), folder)
    assert recommender.manifest.format == WEIGHTED
    taste = recommender.taste_of(ZOE)
    minute = 2 ** (-1 / (24 * 60) / 10)
    expected = {"alien": 1.25 * 1.5, "jaws": 0.75 * minute**2, "babe": -0.25 * minute}
    assert taste.likes == ("alien", "jaws") and taste.dislikes == ("babe",)
    assert taste.weights == pytest.approx(expected)
    assert scores(recommender, taste) == pytest.approx(by_hand(recommender, expected), abs=1e-5)
    assert "babe" not in {one.item_id for one in recommender.recommend(taste, ListRequest(k=50)).items}


def test_likes_that_are_alike_count_less_and_lists_are_those_of_validation(
    film_workspace: FilmWorkspace, folder: Storage
) -> None:
    recommender = of_release(starred(film_workspace, Weighting(alike=1.0)), folder)
    assert recommender.manifest.format == ALIKE
    ids = list(recommender.profiles.latest.item_ids)
    vectors = recommender.profiles.searcher.vectors_of(np.arange(len(ids)))
    cosines = np.triu(vectors @ vectors.T, 1)
    first, second = divmod(
        int(cosines.argmax()), len(ids)
    )  # the two that are most alike, and what is least so
    rows = [first, second, int((vectors @ (vectors[first] + vectors[second])).argmin())]
    taste = Taste(tuple(ids[row] for row in rows))
    expected = dict(zip(taste.likes, alike_factors(vectors[rows], 1.0).tolist(), strict=True))
    assert max(expected.values()) > 1.01 > 0.99 > min(expected.values())
    found = scores(recommender, taste)
    assert found == pytest.approx(by_hand(recommender, expected), abs=1e-5)
    likes = np.zeros((1, len(ids)))
    likes[0, rows] = 1
    users = RidgeUsers(
        recommender.profiles.ridge(1.0), vectors, csr_array(likes), np.arange(len(ids)), alike=1.0
    )
    judged = users.scores(np.array([0]), np.arange(len(ids)))[0]
    assert found == pytest.approx(dict(zip(ids, judged.tolist(), strict=True)), abs=1e-5)
    other = next(item for item in ids if item not in taste.likes)
    why = recommender.explain(other, taste)
    assert why.score == pytest.approx(found[other], abs=1e-5)
    assert sum(one.profile for one in why.contributions) == pytest.approx(why.score, abs=1e-5)
    assert scores(recommender, recommender.taste_of(ZOE)) != {}  # histories stay those of yes or no


def test_an_explanation_sums_to_the_score_and_names_the_dislike(
    film_workspace: FilmWorkspace, folder: Storage
) -> None:
    bring_weights(film_workspace)
    recommender = of_release(starred(film_workspace), folder)
    taste = recommender.taste_of(ZOE)
    found = scores(recommender, taste)
    for item in ("heat", "babe", "rocky"):
        why = recommender.explain(item, taste)
        assert {(one.source, one.item_id) for one in why.contributions} == {
            ("like", "alien"), ("like", "jaws"), ("dislike", "babe"),
        }  # fmt: skip
        assert why.score == pytest.approx(found[item], abs=1e-5) and why.rest == pytest.approx(0, abs=1e-5)
        assert sum(one.profile + one.ranker for one in why.contributions) == pytest.approx(
            why.score, abs=1e-5
        )


def test_feedback_counts_as_it_will_in_the_next_release(
    film_workspace: FilmWorkspace, folder: Storage
) -> None:
    given: Sequence[tuple[str, float]] = [("rocky", 5.0), ("jaws", 5.0), ("alien", -2.0)]
    at = [NOON + timedelta(days=9, minutes=n) for n in range(len(given))]
    events = [Event(f"e{n}", ZOE, item, "rating", value, at[n]) for n, (item, value) in enumerate(given)]
    rules = film_workspace.settings.feedback
    recommender = of_release(starred(film_workspace), folder)
    now = recommender.taste_of(ZOE, events, rules)
    film_workspace.ratings([(ZOE, item) for item, _ in given], day=9, values=[value for _, value in given])
    after = of_release(film_workspace.build(), folder).taste_of(ZOE)
    assert now.weights == pytest.approx(after.weights) and set(now.likes) == set(after.likes) == {
        "jaws",
        "rocky",
    }
    assert now.weights["jaws"] == pytest.approx(1.25 * 1.5 * 2 ** (-1 / 1440 / 10), abs=1e-6)
    assert now.dislikes == after.dislikes and now.weights["alien"] < 0 and now.feedback == {"rocky"}


def test_likes_weigh_by_their_events_in_releases_and_with_feedback_since(
    film_workspace: FilmWorkspace, folder: Storage
) -> None:
    weighting = Weighting(events={"view": 0.25, "purchase": 2.0})
    model = film_workspace.model
    film_workspace.set_model(ModelReference.of(model.encoder, ridge_lambda=2.0, weighting=weighting))
    done = [("alien", "purchase"), ("jaws", "View"), ("babe", "share"), ("alien", "view"), ("heat", "hide")]
    film_workspace.ratings(
        [(ZOE, item) for item, _ in done],
        day=5,
        values=[1.0] * len(done),
        events=[event for _, event in done],
    )
    recommender = of_release(film_workspace.build(), folder)
    assert recommender.manifest.format == BY_EVENT
    taste, expected = recommender.taste_of(ZOE), {"alien": 2.0, "jaws": 0.25, "babe": 1.0, "heat": 0.0}
    assert taste.weights == pytest.approx(expected)
    assert scores(recommender, taste) == pytest.approx(by_hand(recommender, expected), abs=1e-5)
    why = recommender.explain("rocky", taste)
    assert why.score == pytest.approx(scores(recommender, taste)["rocky"], abs=1e-5)

    since = [("jaws", "purchase"), ("rocky", "view"), ("alien", "view")]
    events = [
        Event(f"e{n}", ZOE, item, event, None, NOON + timedelta(days=9, minutes=n))
        for n, (item, event) in enumerate(since)
    ]
    now = recommender.taste_of(ZOE, events, film_workspace.settings.feedback)
    film_workspace.ratings(
        [(ZOE, item) for item, _ in since], day=9, values=[1.0] * 3, events=[event for _, event in since]
    )
    after = of_release(film_workspace.build(), folder).taste_of(ZOE)
    expected = {"alien": 2.0, "jaws": 2.0, "babe": 1.0, "heat": 0.0, "rocky": 0.25}
    assert now.weights == pytest.approx(expected) and after.weights == pytest.approx(expected)


def test_an_unknown_user_of_such_a_release_has_feedback_alone(
    film_workspace: FilmWorkspace, folder: Storage
) -> None:
    recommender = of_release(starred(film_workspace), folder)
    event = Event("e1", NEW, "heat", "rating", 5.0, NOON)
    taste = recommender.taste_of(NEW, [event], film_workspace.settings.feedback)
    assert taste.likes == ("heat",) and taste.weights == pytest.approx({"heat": 1.25})
    assert recommender.taste_of("nobody").likes == () and recommender.taste_of("nobody").weights == {}


def test_under_yes_or_no_files_formats_and_lists_are_those_without_a_weighting(
    make_workspace, folder: Storage
) -> None:
    plain, told = (filled(make_workspace(name)) for name in ("plain", "told"))
    plain.set_model(ModelReference.of(plain.model.encoder, ridge_lambda=2.0))
    plain.ratings([(user, item) for user, item, _ in STARS], day=5, values=[one for *_, one in STARS])
    plain.build()
    starred(told, YES_OR_NO)
    assert told.model == plain.model and "weighting" not in told.model.model_dump_json()
    names = [
        {path.name: path.read_bytes() for path in (one.at.users / "histories").iterdir()}
        for one in (plain, told)
    ]
    assert names[0] == names[1]
    recommender = of_release(plain, folder)
    assert recommender.manifest.format == DETAILED
    taste = recommender.taste_of(ZOE)
    assert taste.weights == {}
    assert scores(recommender, taste) == pytest.approx(
        by_hand(recommender, {"alien": 1, "jaws": 1}), abs=1e-5
    )


def test_histories_hold_strengths_and_counts_only_for_such_a_model(film_workspace: FilmWorkspace) -> None:
    before = {path.name for path in (film_workspace.at.users / "histories").iterdir()}
    starred(film_workspace)
    files = sorted((film_workspace.at.users / "histories").iterdir())
    assert not before & {path.name for path in files}
    found = pq.read_table(files[-1])
    assert dict(zip(found["item_id"].to_pylist(), found["weight"].to_pylist(), strict=True)) == {
        "alien": 1.5, "jaws": 0.5, "babe": -1.0,
    }  # fmt: skip
    assert dict(zip(found["item_id"].to_pylist(), found["n_likes"].to_pylist(), strict=True))["alien"] == 2
    assert weights_of(found.slice(0, 0), WEIGHTING).tolist() == []


def test_a_model_names_its_weighting_in_its_hash(film_workspace: FilmWorkspace, folder: Storage) -> None:
    model = film_workspace.model
    weighed = ModelReference.of(model.encoder, weighting=WEIGHTING)
    assert weighed.hash != model.hash and weighed.profiles_hash == model.profiles_hash
    assert ModelReference.model_validate_json(weighed.model_dump_json()) == weighed
    assert of_release(starred(film_workspace), folder).manifest.model.users.weighting == WEIGHTING
