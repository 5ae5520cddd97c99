"""Interactions with strengths: what each pair teaches under a weighting."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from recsys.catalogue.opinions import OPINIONS_SCHEMA
from recsys.catalogue.weighting import YES_OR_NO, Weighting
from recsys.dataset.interactions import with_opinions
from recsys.ranking.dot import ridge_users
from tests.dataset.make import dataset_of, interactions_of

MATRIX = [[1, 1, 0, 0], [0, 1, 1, 0]]
ROWS = [
    ("u0", "i0", 1, 0.5),
    ("u0", "i1", 11, 1.5),
    ("u0", "i2", 21, -1.0),
    ("u0", "i3", 21, -1.0),
    ("u1", "i2", 5, 0.0),
    ("stranger", "i1", 5, 1.0),
]


def told():
    """Two users; u0 dislikes i2, which is warm, and i3, which nobody likes."""
    rows = [
        {"user": u, "item_id": i, "timestamp": None, "latest": datetime(2026, 1, d, tzinfo=UTC), "weight": w}
        for u, i, d, w in ROWS
    ]
    return pa.Table.from_pylist(rows, schema=OPINIONS_SCHEMA)


def test_a_pair_has_its_strength_others_are_typical_and_cold_dislikes_are_left_out():
    found = with_opinions(interactions_of(MATRIX), told())
    assert found.strengths_P.tolist() == [0.5, 1.5, 1, 1]
    assert found.dislikes.matrix_UI.toarray().tolist() == [[0, 0, 1, 0], [0, 0, 0, 0]]
    assert found.grades().toarray().tolist() == [[0.25, 0.75, 0, 0], [0, 0.5, 0.5, 0]]
    kept = with_opinions(interactions_of(MATRIX), told(), of_cold_items=True)
    assert kept.dislikes.matrix_UI.toarray().tolist() == [[0, 0, 1, 1], [0, 0, 0, 0]]


def test_signals_by_hand():
    found = with_opinions(interactions_of(MATRIX), told())
    assert found.signals(YES_OR_NO) is found.matrix_UI
    weighed = found.signals(Weighting(value=0.5, dislike=0.25, half_life_days=10)).toarray()
    np.testing.assert_allclose(weighed, [[0.75 / 4, 1.25 / 2, -0.25, 0], [0, 1, 1, 0]])
    assert found.n_items_U.tolist() == [2, 2] and found.warm.tolist() == [0, 1, 2]


def test_what_is_held_out_takes_its_strengths_and_dislikes_along():
    found = with_opinions(interactions_of(MATRIX), told())
    rest = found.without(np.array([2]))
    assert (
        rest.strengths_P.tolist() == [0.5, 1.5, 1]
        and rest.latest_P[:2].tolist() == found.latest_P[:2].tolist()
    )
    assert rest.dislikes.matrix_UI.nnz == 0
    some = found.only_pairs(np.array([False, True, True, False]))
    assert some.strengths_P.tolist() == [1.5, 1] and some.dislikes is found.dislikes


def test_likes_that_are_all_typical_are_as_without_strengths():
    opinions = told().filter(pa.array([False] * 4 + [True] * 2))
    found = with_opinions(interactions_of(MATRIX), opinions)
    assert found.strengths_P is None and found.dislikes is None


def test_users_are_the_weighted_sums_of_their_items():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(4, 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    dataset = dataset_of(vectors, MATRIX, ridge_lambda=2.0)
    weighting = Weighting(value=0.5, dislike=0.25)
    weighed = replace(dataset, interactions=with_opinions(dataset.interactions, told()), weighting=weighting)
    warm = vectors[:3].astype(float)
    b = 0.75 * vectors[0] + 1.25 * vectors[1] - 0.25 * vectors[2]
    by_hand = vectors @ np.linalg.solve(warm.T @ warm + 2 * np.eye(3), b.astype(float))
    users = ridge_users(weighed)
    assert users.scores(np.array([0]), np.arange(4))[0] == pytest.approx(by_hand, rel=1e-3)
    assert users.histories(np.array([0])).toarray().tolist() == [[1, 1, 0, 0]]
