"""Ranking tasks: who is ranked for, what is relevant and what is excluded, against plain loops."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.dataset.histories import PAD
from recsys.ranking.tasks import make_task, rank, rank_each
from tests.dataset.make import interactions_of

N_USERS, N_ITEMS = 5, 6
matrices = st.lists(
    st.lists(st.booleans(), min_size=N_ITEMS, max_size=N_ITEMS), min_size=N_USERS, max_size=N_USERS
).map(np.array)
orders = st.permutations(range(N_ITEMS)).flatmap(
    lambda order: st.integers(1, N_ITEMS).map(lambda n: np.array(order[:n]))
)


class Fixed:
    """Scores that are given."""

    def __init__(self, scores_UI):
        self.scores_UI = scores_UI
        self.learned_from = np.empty(0, np.int64)

    def scores(self, users, candidates):
        return self.scores_UI[np.ix_(users, candidates)]


@given(matrices, matrices, orders)
def test_users_with_a_history_and_something_held_out_are_ranked_for(known, held, candidates):
    held = held & ~known
    task = make_task("any", candidates, interactions_of(known), interactions_of(held).matrix_UI, 100, 0)
    expected = [u for u in range(N_USERS) if known[u].any() and held[u][candidates].any()]
    assert task.users.tolist() == expected
    for user, relevant, excluded in zip(task.users, task.relevant_UR, task.excluded_UE, strict=True):
        assert set(relevant) - {PAD} == set(candidates[held[user][candidates]])
        assert set(excluded) - {PAD} == set(candidates[known[user][candidates]])


@given(matrices, orders, st.integers(1, 8), st.integers(0, 3), st.integers(1, N_ITEMS))
def test_a_list_is_what_sorting_the_candidates_gives(excluded, candidates, k, seed, at_once):
    scores = np.random.default_rng(seed).integers(0, 3, (N_USERS, N_ITEMS)).astype(np.float32)  # many ties
    excluded_UE = np.where(excluded, np.arange(N_ITEMS), PAD)
    with patch("recsys.ranking.tasks.CANDIDATES_AT_ONCE", at_once):  # all candidates, or piece by piece
        found = rank(Fixed(scores), np.arange(N_USERS), candidates, k, excluded_UE).rows_UK
    for user in range(N_USERS):
        allowed = [item for item in candidates if not excluded[user, item]]
        best = sorted(allowed, key=lambda item: -scores[user, item])[:k]  # stable: the first of equals wins
        assert found[user].tolist() == best + [PAD] * (k - len(best))


@pytest.mark.parametrize("at", [0, N_ITEMS - 1])
def test_a_score_that_is_no_number_is_refused_in_any_piece(monkeypatch, at):
    scores = np.ones((N_USERS, N_ITEMS), np.float32)
    scores[1, at] = np.nan
    monkeypatch.setattr("recsys.ranking.tasks.CANDIDATES_AT_ONCE", 2)
    with pytest.raises(ValueError, match="NaN"):
        rank(Fixed(scores), np.arange(N_USERS), np.arange(N_ITEMS), 1)


def test_choices_are_ranked_side_by_side_in_blocks_of_users(monkeypatch):
    known, held = np.eye(N_USERS, N_ITEMS, dtype=bool), np.eye(N_USERS, N_ITEMS, 1, dtype=bool)
    task = make_task(
        "any", np.arange(N_ITEMS), interactions_of(known), interactions_of(held).matrix_UI, 100, 0
    )
    models = [Fixed(np.random.default_rng(seed).random((N_USERS, N_ITEMS))) for seed in (0, 1)]
    monkeypatch.setattr("recsys.ranking.tasks.BLOCK_SCORES", 2 * N_ITEMS)
    sizes = []

    def scores_of(users):
        sizes.append(len(users))
        return [(place, model.scores(users, task.candidates)) for place, model in enumerate(models)]

    found = rank_each(task, scores_of, 3)
    assert sizes == [2, 2, 1]
    for place, model in enumerate(models):
        alone = rank(model, task.users, task.candidates, 3, task.excluded_UE).rows_UK
        np.testing.assert_array_equal(found[place], alone)
