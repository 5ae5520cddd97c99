"""Users of whom little is known take a share of what a typical user likes, in lists, in scores and in explanations."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from recsys import Release
from recsys.dataset.dataset import Dataset
from recsys.models.parts import SearchPart
from recsys.models.reference import ModelReference
from recsys.publishing.release import Manifest
from recsys.ranking.recommender import learn_recommender
from recsys.serving.answers import ListRequest, Taste
from recsys.serving.recommender import Recommender
from recsys.storage.protocol import Storage
from tests.dataset.make import interactions_of
from tests.publishing.film_workspace import UP, FilmWorkspace
from tests.publishing.test_ranked import bring_weights
from tests.serving.test_recommender import of_release

WEIGHT = 8.0


def weighed(film_workspace: FilmWorkspace, weight: float = WEIGHT) -> FilmWorkspace:
    """The workspace under its model with this typical weight."""
    model = ModelReference.load(film_workspace.at.model_reference("champion"))
    film_workspace.set_model(model.with_search(SearchPart(typical_weight=weight)))
    return film_workspace


def judged_scores(recommender: Recommender, likes: Sequence[str], ranker: object) -> dict[str, float]:
    """Every item's score as judging computes it, for one more user beside those of the release."""
    ids = list(recommender.profiles.latest.item_ids)
    histories = recommender.profiles.histories
    matrix = np.zeros((len(histories.users) + 1, len(ids)))
    for row, user in enumerate(histories.users):
        for item in recommender.taste_of(user).likes:
            if item in ids:
                matrix[row, ids.index(str(item))] = 1
    vectors = recommender.profiles.searcher.vectors_of(np.arange(len(ids)))
    ridge_lambda = recommender.manifest.users.ridge_lambda
    dataset = Dataset(
        interactions_of(matrix, ids), tuple(ids), vectors, ridge_lambda, 0, typical_weight=WEIGHT
    )
    learned = learn_recommender(dataset, ranker)  # type: ignore[arg-type]
    matrix[-1, [ids.index(item) for item in likes]] = 1
    users = replace(learned.users, histories_UI=interactions_of(matrix, ids).matrix_UI)
    scores = replace(learned, users=users).scores(np.array([len(matrix) - 1]), np.arange(len(ids)))[0]
    return dict(zip(ids, scores.tolist(), strict=True))


@pytest.mark.parametrize("likes", [("alien",), ("jaws", "up"), ("up",)])
def test_a_list_is_what_judging_gives_such_a_user(
    film_workspace: FilmWorkspace, folder: Storage, likes: tuple[str, ...]
) -> None:
    film_workspace.items(UP, day=1)
    ranker = bring_weights(film_workspace)
    recommender = of_release(weighed(film_workspace).build(), folder)
    expected = judged_scores(recommender, likes, ranker)
    found = recommender.recommend(Taste(likes), ListRequest(k=50, exclude_seen=False)).items
    assert len(found) == len(expected)
    assert [one.score for one in found] == pytest.approx([expected[one.item_id] for one in found], abs=1e-4)
    for item in ("alien", "heat", "rocky"):
        assert recommender.explain(item, Taste(likes)).score == pytest.approx(expected[item], abs=1e-4)


def test_the_rest_of_an_explanation_is_the_share_and_words_are_judged_under_it(
    encoded_workspace: FilmWorkspace, folder: Storage
) -> None:
    recommender = of_release(weighed(encoded_workspace).build(), folder)
    taste = Taste(("alien",), text="a friendly pig")
    found = recommender.explain("babe", taste, with_words=True)
    both = sum(one.profile + one.ranker for one in found.contributions)
    assert both + found.rest == pytest.approx(found.score) and abs(found.rest) > 1e-3
    listed = recommender.recommend(taste, ListRequest(k=50)).items
    assert found.score == pytest.approx(next(one.score for one in listed if one.item_id == "babe"), abs=1e-5)


def test_the_more_is_known_of_a_user_the_smaller_is_the_share(
    film_workspace: FilmWorkspace, folder: Storage
) -> None:
    recommender = of_release(weighed(film_workspace).build(), folder)
    users = recommender._users
    assert [users.typical_share(n) for n in (0, 1, 19, 20, 40)] == pytest.approx([8, 7.6, 0.4, 0, 0])
    plain = Recommender(recommender.manifest, recommender.profiles, {"typical_weight": 0.0})
    wanted = ListRequest(k=50, exclude_seen=False)
    many = Taste(tuple(recommender.profiles.latest.item_ids))
    assert len(many.likes) < 20  # type: ignore[arg-type]
    lists = [one.recommend(many, wanted).items for one in (recommender, plain)]
    assert lists[0] != lists[1]


def test_new_items_among_popular_ones_are_those_that_a_typical_user_would_like(
    encoded_workspace: FilmWorkspace, folder: Storage
) -> None:
    recommender = of_release(weighed(encoded_workspace).build(), folder)
    new = {
        item
        for item, row in zip(recommender.profiles.latest.item_ids, recommender.popular.likes_I, strict=True)
        if not row
    }
    answer = recommender.recommend(Taste(), ListRequest(k=10))
    assert answer.basis == "popular"
    listed = [one.item_id for one in answer.items if one.item_id in new]
    ridge_scores = {
        item: float(
            recommender._users.of(np.empty((0, recommender.manifest.model.dim), np.float32), 1.0) @ vector
        )
        for item, vector in zip(
            recommender.profiles.latest.item_ids,
            recommender.profiles.searcher.vectors_of(np.arange(len(recommender.popular.likes_I))),
            strict=True,
        )
        if item in new
    }
    assert listed == sorted(new, key=lambda item: -ridge_scores[item])[: len(listed)]


def test_a_release_carries_what_validation_chose_and_params_yaml_gives_the_rest(
    film_workspace: FilmWorkspace, folder: Storage
) -> None:
    manifest = weighed(film_workspace).build().publish(folder).manifest
    assert manifest.search is not None and manifest.search.typical_weight == WEIGHT
    assert manifest.search.lexical_weight == film_workspace.settings.search.lexical_weight
    assert Manifest.from_bytes(manifest.to_bytes(), manifest.id) == manifest
    assert Release.open(folder.url).manifest.model.search == SearchPart(typical_weight=WEIGHT)


def test_a_release_from_before_there_was_a_typical_weight_is_read_and_keeps_its_id(
    film_workspace: FilmWorkspace, folder: Storage
) -> None:
    manifest = film_workspace.publish(folder).manifest
    assert manifest.search is not None
    old = manifest.model_copy(update={"search": manifest.search.model_copy(update={"typical_weight": None})})
    assert b"typical_weight" not in old.to_bytes()
    assert Manifest.from_bytes(old.to_bytes(), old.id) == old
    recommender = of_release(film_workspace, folder)
    before = Recommender(old, recommender.profiles)
    wanted = ListRequest(k=50)
    assert (
        before.recommend(Taste(("alien",)), wanted).items
        == recommender.recommend(Taste(("alien",)), wanted).items
    )
