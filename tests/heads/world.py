import numpy as np
import pytest

from recsys.encoders.params import FirstLightParams
from recsys.heads.params import FusionParams
from tests.dataset.make import dataset_of

WORDS = ["amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "iris", "jade"]
FIRST_LIGHT = FirstLightParams(
    min_items=20,
    lexical_shares=(0.5, 0.5),
    long_from_terms=40,
    field_terms=0.0,
    gamma=2.0,
    constant=0.1,
    width=64,
    wide_up_to=0,
    max_landmarks=200,
)


@pytest.fixture(scope="session")
def fusion_params():
    return FusionParams(
        width=12,
        wide_up_to=0,
        words_width=6,
        words_weights=(0.0, 1.0),
        standard_errors=1.0,
        lexical_shares=(0.3,),
        metric_powers=(0.0, 0.75),
        constants=(),
        alike_powers=(),
        gamma=2.0,
        view_weights=(0.0, 1.0),
        view_decay=0.3,
        view_gamma=2.0,
        kernel_lambda=0.5,
        smoothing=0.5,
        max_factors=8,
        ease_lambdas=(3.0, 30.0),
        head_factors=(1.0, 0.7),
        lifts=(1.0, 2.0),
        max_weighted_items=100,
        weights_per_item=20,
        items_per_factor=10,
        als_alpha=10.0,
        als_regularization=0.1,
        als_iterations=5,
        max_landmarks=500,
        max_users=500,
        max_validation_items=100_000,
        seed=1,
    )


@pytest.fixture(scope="session")
def dataset():
    """120 items of ten series; the encoder's vectors see only two coarse topics, the words name the series."""
    rng = np.random.default_rng(0)
    series = np.arange(120) % 10
    vectors = np.eye(8)[series % 2] + rng.normal(scale=0.5, size=(120, 8))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    texts = tuple(f"{WORDS[one]} volume number{place}" for place, one in enumerate(series))
    matrix_UI = np.zeros((60, 120))
    for user in range(60):
        likes = np.flatnonzero(np.isin(series, [user % 10, (user + 3) % 10]))
        matrix_UI[user, rng.choice(likes, 14, replace=False)] = 1
    return dataset_of(vectors, matrix_UI, texts, seed=1, item_ids=[f"item{place}" for place in range(120)])
