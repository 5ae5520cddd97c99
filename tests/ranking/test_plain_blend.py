from dataclasses import replace

import numpy as np
import pytest

from recsys.baselines.baselines import BASELINES
from recsys.ranking.dot import RidgeUsers
from recsys.ranking.plain_blend import plain_blend, warm_sample
from tests.dataset.make import dataset_of

TEXTS = ("river one", "river two", "river bank", "engine one", "engine two", "river new", "engine new")
MATRIX_UI = np.array([[1, 1, 0, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0, 0], [0, 0, 0, 1, 1, 0, 0]], float)
USERS, COLD = np.arange(3), np.array([5, 6])


@pytest.fixture
def known():
    vectors = np.array([[1, 0.2], [1, 0.1], [0.9, 0.3], [0.2, 1], [0.1, 1], [1, 0.4], [0.3, 1]], np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return dataset_of(vectors, MATRIX_UI, TEXTS, seed=3)


def test_both_parts_count_alike_in_deviations_over_the_warm_items(known):
    parts = [BASELINES[name](known) for name in ("tfidf_centroid", "ridge")]
    expected = np.zeros((3, 2))
    for part in parts:
        over_UN = np.asarray(part.scores(USERS, warm_sample(known)), np.float64)
        expected += (part.scores(USERS, COLD) - over_UN.mean(axis=1, keepdims=True)) / over_UN.std(
            axis=1, keepdims=True
        )
    np.testing.assert_allclose(plain_blend(known).scores(USERS, COLD), expected, rtol=1e-4)


def test_data_without_words_is_left_to_the_ridge(known):
    assert isinstance(plain_blend(replace(known, texts=("★",) * 7)), RidgeUsers)
