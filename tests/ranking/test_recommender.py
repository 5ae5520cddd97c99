"""What is judged is what a release would answer; the slice that mixes warm and cold items, by hand."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from recsys.baselines.baselines import BASELINES
from recsys.catalogue.split import Split
from recsys.dataset.histories import PAD
from recsys.evaluation.slices import slice_of
from recsys.ranking.dot import Dot
from recsys.ranking.item_weights import ItemWeights, digests
from recsys.ranking.recommender import learn_recommender
from recsys.ranking.tasks import rank
from recsys.stages import split
from recsys.stages.evaluate_inputs import load_holdout
from tests.dataset.make import dataset_of
from tests.stages.judged_world import make_world

IDS = ("a", "b", "c", "d", "e")


@pytest.fixture
def known():
    """Items a to d are warm, e is cold."""
    vectors = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    matrix_UI = csr_array(np.array([[1.0, 1, 0, 0, 0], [0, 1, 1, 1, 0]]))
    return dataset_of(vectors, matrix_UI, IDS, ridge_lambda=2.0, item_ids=IDS)


def weights_of(ids, dense, factor, n_items):
    order = np.argsort(digests(ids))
    placed = csr_array(np.array(dense, np.float32)[np.ix_(order, order)])
    return ItemWeights(digests(ids)[order], placed, np.full(len(ids), factor), n_items)


def test_without_weights_it_is_ridge_users(known):
    everybody, everything = np.arange(2), np.arange(5)
    np.testing.assert_array_equal(
        learn_recommender(known, Dot()).scores(everybody, everything),
        BASELINES["ridge"](known).scores(everybody, everything),
    )


def test_scores_are_the_users_in_their_own_scale_corrected_for_known_items(known):
    weights = weights_of(("a", "b", "gone"), [[0, 0.3, 9], [0.2, 0, 9], [9, 9, 0]], 0.5, 2)
    found = learn_recommender(known, weights).scores(np.arange(2), np.arange(5))
    warm = known.vectors_ID[:4].astype(float)
    growth = 4 / 2
    users = growth * np.linalg.solve(
        warm.T @ warm + 2.0 * growth * np.eye(3), (known.interactions.matrix_UI.toarray()[:, :4] @ warm).T
    )
    expected = (known.vectors_ID @ users).T
    expected[:, :2] = 0.5 * expected[:, :2] + [[0.2, 0.3], [0.2, 0]]
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_lists_are_the_same_in_blocks_of_users(known, monkeypatch):
    served = learn_recommender(known, weights_of(("a", "b"), [[0, 0.3], [0.2, 0]], 0.5, 4))
    whole = rank(served, np.arange(2), np.arange(5), 5)
    monkeypatch.setattr("recsys.ranking.tasks.BLOCK_SCORES", 1)
    np.testing.assert_array_equal(rank(served, np.arange(2), np.arange(5), 5).rows_UK, whole.rows_UK)


def test_mixed_lists_ask_for_all_that_cold_and_warm_ones_ask_for(tmp_path):
    world = make_world(tmp_path)
    split.run(world.settings, world.at)
    holdout = load_holdout(Split.load(world.at.split), world.settings, world.at)
    cold, warm, mixed = (slice_of(holdout, name, 10**6, 0) for name in ("cold", "warm", "mixed"))
    assert mixed.candidates.tolist() == sorted([*cold.candidates, *warm.candidates])
    assert mixed.users.tolist() == sorted({*cold.users, *warm.users})

    def rows(part, of):
        return {user: set(some) - {PAD} for user, some in zip(part.users, of(part).tolist(), strict=True)}

    for of in (lambda part: part.relevant_UR, lambda part: part.excluded_UE):
        apart = rows(cold, of), rows(warm, of)
        for user, wanted in rows(mixed, of).items():
            together = apart[0].get(user, set()) | apart[1].get(user, set())
            assert together <= wanted and all(holdout.is_judged[row] for row in wanted)
    wanted = rows(mixed, lambda part: part.relevant_UR)
    assert sum(map(len, wanted.values())) == (cold.relevant_UR != PAD).sum() + (warm.relevant_UR != PAD).sum()
