"""The part of a large dataset that settings are chosen on, against what it is made of."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_array

from recsys.dataset.interactions import Interactions
from recsys.dataset.traits import Traits
from recsys.features.views import DenseView
from recsys.heads.recipe import Recipe
from recsys.ranking.dot import ridge_of
from recsys.validation.sampling import BY_PAIR, for_items_of, whole_users
from tests.dataset.make import dataset_of

N_USERS, N_ITEMS = 40, 60


@pytest.fixture
def dataset():
    rng = np.random.default_rng(1)
    likes = rng.random((N_USERS, N_ITEMS)) < 0.1
    made = dataset_of(rng.normal(size=(N_ITEMS, 4)).astype(np.float32), likes)
    made = replace(
        made,
        tags=pa.array([[f"tag {row}"] for row in range(N_ITEMS)]),
        traits=Traits({"brand": csr_array(np.eye(N_ITEMS))}, {"price": np.arange(N_ITEMS, dtype=float)}),
        views={"image": DenseView(np.eye(N_ITEMS, dtype=np.float32), "pictures")},
    )
    known, dislikes = made.interactions, csr_array((rng.random((N_USERS, N_ITEMS)) < 0.1) & ~likes)
    numbers = np.arange(known.matrix_UI.nnz)
    disliked = Interactions(
        known.item_ids, known.users, dislikes.astype(float), latest_P=np.arange(dislikes.nnz)
    )
    with_all = replace(known, dislikes=disliked, **{name: numbers for name in BY_PAIR})
    return replace(made, interactions=with_all)


def triples(interactions, name):
    """User, item and value of each pair, by their names."""
    pairs = interactions.matrix_UI.tocoo()
    values = getattr(interactions, name)
    return {
        (interactions.users[user], interactions.item_ids[item], int(value))
        for user, item, value in zip(pairs.row, pairs.col, values, strict=True)
    }


@pytest.mark.parametrize("max_items", [1, 20, 59])
def test_some_users_keep_their_whole_histories_and_items_all_that_is_known_of_them(dataset, max_items):
    held = np.arange(0, N_ITEMS, 3)
    part, (held_there,) = whole_users(dataset, (held,), max_items, seed=0)
    known, whole = part.interactions, dataset.interactions
    assert len(part.item_ids) <= max(max_items, whole.n_items_U.max())
    assert max_items == 1 or len(part.item_ids) > max_items // 2
    assert known.n_items_U.tolist() == [whole.n_items_U[int(user[1:])] for user in known.users]
    assert (known.n_users_I > 0).all()
    for name in BY_PAIR:
        wanted = {one for one in triples(whole, name) if one[0] in known.users}
        assert triples(known, name) == wanted
    disliked = {one for one in triples(whole.dislikes, "latest_P") if one[0] in known.users}
    assert triples(known.dislikes, "latest_P") == {one for one in disliked if one[1] in part.item_ids}
    rows = [int(item[1:]) for item in part.item_ids]
    assert rows == sorted(rows) and part.texts == part.item_ids
    np.testing.assert_array_equal(part.vectors_ID, dataset.vectors_ID[rows])
    assert part.tags.to_pylist() == [[f"tag {row}"] for row in rows]
    assert part.traits.numbers["price"].tolist() == rows
    assert part.traits.sets["brand"].indices.tolist() == rows
    assert part.views["image"].vectors_ND.argmax(axis=1).tolist() == rows
    assert [rows[row] for row in held_there] == [row for row in rows if row in held]


def test_a_dataset_of_no_more_items_is_used_as_it_is(dataset):
    part, (held,) = whole_users(dataset, (np.arange(3),), N_ITEMS, seed=0)
    assert part is dataset and held.tolist() == [0, 1, 2]


def test_the_seed_says_which_users(dataset):
    first, again, other = (whole_users(dataset, (), 30, seed)[0].interactions.users for seed in (0, 0, 1))
    assert first == again != other


def test_lambda_grows_with_the_items_so_that_profiles_of_users_keep_their_direction(dataset):
    """Three copies of every item: XᵀX is three times as large, and so is λ; the weights are a third."""
    unit_ID = dataset.vectors_ID / np.linalg.norm(dataset.vectors_ID, axis=1, keepdims=True)
    few = dataset_of(unit_ID, np.ones((1, N_ITEMS)) > 0)
    many = dataset_of(np.tile(unit_ID, (3, 1)), np.ones((1, 3 * N_ITEMS)) > 0)
    recipe = Recipe(None, None, 2.0, None, {})
    assert for_items_of(recipe, few, few) is recipe
    grown = for_items_of(recipe, many, few)
    b_UD = np.random.default_rng(0).normal(size=(2, 4))
    of_few, of_many = (
        ridge_of(replace(some, ridge_lambda=one.ridge_lambda)).weights(b_UD)
        for some, one in ((few, recipe), (many, grown))
    )
    np.testing.assert_allclose(of_many * 3, of_few, rtol=1e-4)
