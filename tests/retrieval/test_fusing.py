"""Fusing words, cosines and a user: each is scaled by its best, and words that match little count little."""

import numpy as np
import pytest

from recsys.retrieval.fusing import fused, possible_best

WEIGHTS = {"lexical_weight": 0.4, "user_weight": 0.2}
COSINE = np.array([0.2, 0.4, 0])


def test_each_part_is_scaled_by_its_best() -> None:
    words, user = np.array([0.6, 0, 0.3]), np.array([-1.0, 0, 0.5])
    assert fused(words, COSINE, None, WEIGHTS) == pytest.approx([0.4 + 0.3, 0.6, 0.2])
    assert fused(words, COSINE, user, WEIGHTS) == pytest.approx([0.5, 0.6, 0.3])
    assert fused(np.zeros(0), np.zeros(0), None, WEIGHTS).shape == (0,)


def test_where_no_word_occurs_the_cosine_decides_alone() -> None:
    assert fused(np.zeros(3), COSINE, None, WEIGHTS) == pytest.approx([0.5, 1, 0])


def test_words_that_match_little_of_a_query_count_less() -> None:
    assert fused(np.array([0.01, 0, 0]), COSINE, None, WEIGHTS) == pytest.approx([0.4 * 0.1 + 0.3, 0.6, 0])


def test_at_equal_weights_the_item_with_most_words_comes_before_all_items_without_any() -> None:
    words, cosine = np.array([0.3, 0, 0]), np.array([0.0, 0.9, 0.8])
    scores = fused(words, cosine, None, {"lexical_weight": 0.5, "user_weight": 0})
    assert scores[0] >= scores[1:].max()


@pytest.mark.parametrize("seed", range(20))
def test_the_best_are_among_those_that_may_be_best_and_most_others_are_not(seed: int) -> None:
    rng = np.random.default_rng(seed)
    words, cosine = np.maximum(rng.normal(0, 0.4, 300), 0), rng.normal(0.3, 0.15, 300)
    off = np.where(rng.random(300) < 0.8, 0.05, 0)
    off[cosine.argmax()] = 0  # the largest one is exact
    about = np.minimum(cosine + rng.uniform(-1, 1, 300) * off, cosine.max())
    best = np.argsort(-fused(words, cosine, None, WEIGHTS))[:10]
    may_be = possible_best(words, about, off, WEIGHTS, 10)
    assert may_be[best].all() and 10 <= may_be.sum() < 60


def test_all_of_a_short_list_may_be_best() -> None:
    assert possible_best(np.zeros(3), COSINE, np.full(3, 0.1), WEIGHTS, 3).all()
    assert possible_best(np.zeros(0), np.zeros(0), np.zeros(0), WEIGHTS, 3).shape == (0,)
