"""Numbers of pairs by traits, counted by hand."""

import numpy as np
import pyarrow as pa
import pytest

from recsys.dataset.trait_names import TraitNames
from recsys.dataset.traits import Traits, set_trait
from recsys.ranking.traits import TraitNumbers, ranks

TAGS = set_trait(pa.array([["war"], ["war", "drama"], ["drama"], None]))
POPULARITY = np.array([2.0, 1.0, 0.0, 5.0], np.float32)


def numbers(names, sets=None, values=None):
    return TraitNumbers(Traits(sets or {}, values or {}), names, POPULARITY)


def test_a_set_gives_the_mean_cosine_and_the_popularity_of_items_that_share_it():
    found = numbers(TraitNames(("tags",)), {"tags": TAGS}).of(np.arange(4), np.array([0, 2]))
    half = np.sqrt(0.5)  # both tags are on two of four items, so they weigh alike
    assert found[:, 0] == pytest.approx([0.5, half, 0.5, 0], abs=1e-6)
    war, drama = (2 + half * 1) / (1 + half), (half * 1 + 0) / (1 + half)
    assert found[:, 1] == pytest.approx([war, (war + drama) / 2, drama, 0], abs=1e-6)


def test_rare_values_weigh_more():
    tags = set_trait(pa.array([["common", "rare"], ["rare"], ["common"], ["common"]]))
    found = numbers(TraitNames(("tags",)), {"tags": tags}).of(np.array([1, 2]), np.array([0]))
    assert found[0, 0] > found[1, 0] > 0


def test_a_number_gives_its_rank_and_the_distance_from_the_ranks_of_the_history():
    assert ranks(np.array([10.0, np.nan, 30, 10])) == pytest.approx(
        [1 / 3, np.nan, 5 / 6, 1 / 3], nan_ok=True
    )
    names, prices = TraitNames((), ("price",)), {"price": np.array([10.0, np.nan, 30, 10])}
    found = numbers(names, None, prices).of(np.arange(4), np.array([0, 1]))
    assert found[:, 0] == pytest.approx([1 / 3, 0, 5 / 6, 1 / 3])
    assert found[:, 1] == pytest.approx([0, 0, 0.5, 0])
    scaled = numbers(names, None, {"price": 100 * prices["price"] + 7}).of(np.arange(4), np.array([0, 1]))
    np.testing.assert_array_equal(scaled, found)


def test_without_history_traits_or_values_all_is_finite_and_0():
    names = TraitNames(("tags", "brand"), ("price", "age"))
    nothing = np.empty(0, np.int64)
    empty = numbers(names).of(np.arange(4), np.array([0]))
    assert empty.shape == (4, 8) and not empty.any()
    lacking = {"price": np.full(4, np.nan)}
    found = numbers(names, {"tags": TAGS}, lacking).of(np.arange(4), nothing)
    assert np.isfinite(found).all() and not found[:, [0, 2, 3, 4, 5, 6, 7]].any() and found[:, 1].any()


def test_columns_stand_in_the_order_of_the_names():
    values = {"price": np.array([1.0, 2, 3, 4]), "age": np.array([4.0, 3, 2, 1])}
    found = numbers(TraitNames(("tags",), ("age", "price")), {"tags": TAGS}, values).of(
        np.arange(4), np.array([0])
    )
    assert found[:, 2] == pytest.approx([7 / 8, 5 / 8, 3 / 8, 1 / 8])
    assert found[:, 4] == pytest.approx([1 / 8, 3 / 8, 5 / 8, 7 / 8])
