"""The weight of words: chosen by queries, and only where it is surely better than that of params.yaml."""

import numpy as np
import pytest

from recsys.validation.queries import Query
from recsys.validation.searching import SearchSlice, choose_lexical_weight, make_slice, ndcg, surely_best

WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)


def made(words_are_right: bool, n: int = 40) -> SearchSlice:
    """Of both parts one finds each query's item, and the other is noise."""
    rng = np.random.default_rng(0)
    right = [np.eye(n, dtype=np.float32)[row] for row in range(n)]
    noise = list(rng.random((n, n)).astype(np.float32))
    queries = tuple(Query("words", {row: 1.0}) for row in range(n))
    return SearchSlice(queries, *((tuple(right), tuple(noise))[:: 1 if words_are_right else -1]))


def test_the_part_that_finds_items_gets_the_weight() -> None:
    assert choose_lexical_weight(made(True), WEIGHTS, 0.25, 2.0).value == 0.5  # of equal ones the first
    found = choose_lexical_weight(made(False), WEIGHTS, 0.75, 2.0)
    assert found.value is not None and found.value < 0.5
    assert found.means[found.value] == max(found.means.values()) and len(found.means) == len(WEIGHTS)


def test_nothing_is_chosen_by_few_queries_or_without_values() -> None:
    assert choose_lexical_weight(made(True, 19), WEIGHTS, 0.25, 2.0).value is None
    assert choose_lexical_weight(made(True), (), 0.25, 2.0).value is None


def test_a_value_must_be_surely_better_than_the_default() -> None:
    rng = np.random.default_rng(1)
    default = rng.random(100)
    little, much = default + rng.normal(0.01, 0.2, 100), default + rng.normal(0.2, 0.2, 100)
    assert surely_best({1.0: default, 2.0: little}, default, 2.0).value is None
    assert surely_best({1.0: default, 2.0: much}, default, 2.0).value == 2.0


def test_the_gain_of_an_item_is_its_grade() -> None:
    query = Query("words", {0: 3.0, 2: 1.0})
    assert ndcg(np.array([0.9, 0.1, 0.5]), query) == pytest.approx(1)
    assert ndcg(np.array([0.5, 0.1, 0.9]), query) == pytest.approx(
        (1 + 3 / np.log2(3)) / (3 + 1 / np.log2(3))
    )


def test_a_slice_asks_words_and_profiles() -> None:
    profiles = np.eye(3, dtype=np.float32)
    found = make_slice(
        ("red kettle", "blue lamp", "green chair"),
        profiles,
        [Query("blue lamp", {1: 1.0})],
        profiles[[2]],
        k1=1.2,
        b=0.75,
    )
    assert np.flatnonzero(found.shares[0]).tolist() == [1]
    assert found.cosines[0].tolist() == [0, 0, 1]
    assert [float(found.ndcg(one)[0]) for one in (0.0, 1.0)] == pytest.approx([1 / np.log2(4), 1])
