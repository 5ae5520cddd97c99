"""What every ranker promises: how it is learned, kept and asked, and that the sparse way gives the whole list."""

import textwrap
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_array

from recsys.dataset.trait_names import TraitNames
from recsys.dataset.traits import Traits, set_trait
from recsys.ranking.event_learning import MlpSettings
from recsys.ranking.learning import ItemWeightsSettings
from recsys.ranking.ranker import ItemGroups
from recsys.ranking.rankers import RANKERS
from recsys.ranking.recommender import learn_recommender
from recsys.ranking.tasks import rank
from tests.dataset.make import dataset_of, with_matrix
from tests.ranking.heads import heads_of

ROOT = Path(__file__).resolve().parents[2]
N_ITEMS = 40
WEIGHTS_SETTINGS = ItemWeightsSettings(5.0, 0.8, 0.2, 2.0, max_items=20, weights_per_item=6)
"""Of `item_weights`: fewer items have weights than are warm, so that all three kinds of item are there."""
SETTINGS = {
    "dot": None,
    "item_weights": WEIGHTS_SETTINGS,
    "mlp": MlpSettings(
        heads_of(dim=6, width=3, seed=0, n_traits=2),
        WEIGHTS_SETTINGS,
        depth=25,
        purchase_weight=0.4,
        traits=TraitNames(("brand",), ("age",)),
    ),
}
"""Ranker -> what validation would have chosen. `mlp` ranks 25 of 40 items again."""


@pytest.fixture(scope="module")
def dataset():
    """Users of four tastes; the last eight items are cold."""
    rng = np.random.default_rng(0)
    tastes = np.arange(N_ITEMS) % 4
    vectors = np.eye(6)[tastes] + rng.normal(scale=0.4, size=(N_ITEMS, 6))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    chance = np.where(np.arange(60)[:, None] % 4 == tastes, 0.5, 0.05) * np.linspace(1, 0.3, N_ITEMS)
    matrix = rng.random((60, N_ITEMS)) < chance
    matrix[:, -8:] = False
    brands = Traits({"brand": set_trait(pa.array([f"brand {n % 7}" for n in range(N_ITEMS)]))})
    return replace(dataset_of(vectors, matrix, ridge_lambda=2.0), traits=brands)


@pytest.fixture(scope="module", params=list(RANKERS))
def ranker(request, dataset):
    return RANKERS[request.param].learn(dataset, SETTINGS[request.param])


def test_all_kinds_of_items_are_there(dataset):
    groups = RANKERS["item_weights"].learn(dataset, WEIGHTS_SETTINGS).over(dataset.item_ids).groups
    assert len(groups.scored) and len(groups.by_dot) == 2 and all(mask.any() for mask, _ in groups.by_dot)


def test_what_is_saved_scores_as_before_and_has_the_same_bytes(ranker, dataset, tmp_path):
    paths = ranker.save(tmp_path)
    before = [path.read_bytes() for path in paths]
    assert len(paths) == ranker.n_files
    again = type(ranker).load(paths)
    assert [path.read_bytes() for path in again.save(tmp_path)] == before
    everybody, everything = np.arange(60), np.arange(N_ITEMS)
    np.testing.assert_array_equal(
        learn_recommender(dataset, again).scores(everybody, everything),
        learn_recommender(dataset, ranker).scores(everybody, everything),
    )


def test_a_score_depends_on_its_user_and_item_alone(ranker, dataset):
    items, histories = ranker.over(dataset.item_ids), dataset.interactions.matrix_UI
    dots = np.random.default_rng(1).normal(size=(60, N_ITEMS)).astype(np.float32)
    whole = items.score(dots, histories, np.arange(N_ITEMS))
    users, candidates = np.array([41, 3]), np.array([39, 0, 17])
    some = items.score(dots[np.ix_(users, candidates)], csr_array(histories[users]), candidates)
    np.testing.assert_array_equal(some, whole[np.ix_(users, candidates)])


def test_cold_items_alone_stay_in_the_order_of_their_profiles(ranker, dataset):
    cold = np.arange(N_ITEMS - 8, N_ITEMS)
    dots = np.random.default_rng(1).normal(size=(60, 8)).astype(np.float32)
    scores = ranker.over(dataset.item_ids).score(dots, dataset.interactions.matrix_UI, cold)
    np.testing.assert_array_equal(np.argsort(scores, axis=1), np.argsort(dots, axis=1))


def test_every_item_is_scored_or_in_one_group_whose_factor_gives_its_score(ranker, dataset):
    items, histories = ranker.over(dataset.item_ids), dataset.interactions.matrix_UI
    dots = np.random.default_rng(1).normal(size=(60, N_ITEMS)).astype(np.float32)
    whole = items.score(dots, histories, np.arange(N_ITEMS))
    n_times = np.bincount(items.groups.scored, minlength=N_ITEMS)
    for mask, factor in items.groups.by_dot:
        n_times += mask
        np.testing.assert_allclose(whole[:, mask], dots[:, mask] * factor, rtol=1e-6)
        assert factor > 0
    assert (n_times == 1).all()


def test_the_recipe_for_a_ranker_names_factors_of_the_items_that_must_be_scored():
    page = (ROOT / "docs/recipes.md").read_text("utf-8")
    recipe = next(one for one in page.split("```") if "def groups(self)" in one)
    found = {"np": np, "ItemGroups": ItemGroups}
    exec(textwrap.dedent(recipe.removeprefix("python")), found)
    groups = found["groups"](SimpleNamespace(bonus_I=np.array([0.0, 0.5, 0.0, 0.1])))
    assert groups.scored.tolist() == [1, 3] and groups.factor_S.tolist() == [1, 1]
    assert [(mask.tolist(), factor) for mask, factor in groups.by_dot] == [([True, False, True, False], 1.0)]


def test_the_factor_of_an_item_that_is_always_scored_is_that_of_its_inner_product(ranker, dataset):
    items, histories = ranker.over(dataset.item_ids), dataset.interactions.matrix_UI
    scored, dots = items.groups.scored, np.random.default_rng(1).normal(size=(60, N_ITEMS)).astype(np.float32)
    assert (np.diff(scored) > 0).all() and items.groups.factor_S.shape == scored.shape
    whole = items.score(dots[:, scored], histories, scored)
    added = items.score(np.zeros_like(dots[:, scored]), histories, scored)
    np.testing.assert_allclose(whole, dots[:, scored] * items.groups.factor_S + added, rtol=1e-5, atol=1e-6)
    assert (items.groups.factor_S > 0).all()


def test_items_of_another_catalogue_are_scored_by_their_profiles(ranker):
    ids, nobody = [f"new{row}" for row in range(N_ITEMS)], csr_array((3, N_ITEMS))
    dots = np.random.default_rng(1).normal(size=(3, N_ITEMS)).astype(np.float32)
    np.testing.assert_array_equal(ranker.over(ids).score(dots, nobody, np.arange(N_ITEMS)), dots)


def test_a_second_ranker_orders_its_best_candidates_and_leaves_the_others_behind_them(dataset, monkeypatch):
    mlp = RANKERS["mlp"].learn(dataset, SETTINGS["mlp"])
    judged = learn_recommender(dataset, mlp)
    users, everything = np.arange(60), np.arange(N_ITEMS)
    first_UI, scores_UI = judged.first.scores(users, everything), judged.scores(users, everything)
    for user in users:
        own = dataset.interactions.matrix_UI[[user]].indices
        others = np.setdiff1d(everything, own)
        best = others[np.argsort(-first_UI[user, others], kind="stable")][:25]
        expected = mlp.second.scores(judged.shortlist(user, best))
        np.testing.assert_allclose(scores_UI[user, best], expected, rtol=1e-4)
        behind = np.setdiff1d(others, best)
        assert scores_UI[user, behind].max() < 0 < scores_UI[user, best].min()
        np.testing.assert_array_equal(
            np.argsort(-scores_UI[user, behind]), np.argsort(-first_UI[user, behind])
        )
    lists_UK = rank(judged, users, everything, 10).rows_UK
    monkeypatch.setattr(
        "recsys.ranking.tasks.CANDIDATES_AT_ONCE", 7
    )  # of no concern to it: it sees all of them
    np.testing.assert_array_equal(rank(judged, users, everything, 10).rows_UK, lists_UK)


def test_growth_is_one_at_the_size_of_training(ranker, dataset):
    assert ranker.growth(len(dataset.warm)) == 1 and ranker.growth(0) > 0


def test_nothing_is_learned_where_there_is_too_little(dataset):
    nothing = with_matrix(dataset, np.zeros((3, N_ITEMS)))
    found = {name: RANKERS[name].learn(nothing, settings) is not None for name, settings in SETTINGS.items()}
    assert found == {"dot": True, "item_weights": False, "mlp": False}
