from dataclasses import replace

import numpy as np

from recsys.validation.trained_encoder import is_surely_better

K, MAX_USERS, N_ERRORS = 5, 1000, 2.0


def held_of(dataset):
    """Every fifth warm item."""
    return dataset.warm[::5]


def taught(dataset):
    """Vectors that tell who likes an item: its users, projected."""
    rng = np.random.default_rng(3)
    users_IU = dataset.interactions.matrix_UI.T.toarray()
    vectors_ID = users_IU @ rng.normal(size=(users_IU.shape[1], 32)) + 1e-3 * rng.normal(
        size=(users_IU.shape[0], 32)
    )
    return (vectors_ID / np.linalg.norm(vectors_ID, axis=1, keepdims=True)).astype(np.float32)


def noise(dataset, seed):
    vectors_ID = np.random.default_rng(seed).normal(size=(len(dataset.texts), 32))
    return (vectors_ID / np.linalg.norm(vectors_ID, axis=1, keepdims=True)).astype(np.float32)


def compared(dataset, after_ID, before_ID, held=None):
    trained = replace(dataset, vectors_ID=after_ID)
    held = held_of(dataset) if held is None else held
    return is_surely_better(trained, before_ID, held, K, MAX_USERS, N_ERRORS)


def test_an_encoder_that_knows_tastes_is_surely_better_than_one_that_does_not(dataset):
    assert compared(dataset, taught(dataset), noise(dataset, 1))
    assert not compared(dataset, noise(dataset, 1), taught(dataset))


def test_an_encoder_that_is_only_otherwise_is_not_surely_better(dataset):
    assert not any(compared(dataset, noise(dataset, seed), noise(dataset, seed + 10)) for seed in range(5))


def test_the_same_vectors_are_not_better_than_themselves(dataset):
    assert not compared(dataset, taught(dataset), taught(dataset))


def test_without_a_user_to_judge_by_nothing_is_sure(dataset):
    assert not compared(dataset, taught(dataset), noise(dataset, 1), held=np.array([], np.int64))
