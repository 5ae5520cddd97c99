"""Inputs of the plans of batches: data, parameters, the last profiles, and the further texts of an objective."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from recsys.profiles.gram import gram_of
from recsys.profiles.ridge import Ridge
from recsys.training.corpus import Corpus
from recsys.training.data import TrainingSet
from recsys.training.params import FinetuneParams

# Shape suffixes: B items of the batch, I items, E items learned from, D dimension, T texts learned from.


@dataclass(frozen=True)
class Plan:
    """One batch."""

    rows: NDArray[np.int64]
    """Texts to encode with gradient [B]: rows of items; objectives `texts` and `distill` have further texts after them.
    Distinct, but for objective `texts`, which encodes each text twice."""
    loss: Callable[[Tensor], Tensor]
    """Loss of the vectors x_BD, which are in the order of `rows`: a scalar."""


@dataclass(frozen=True)
class Known:
    """What plans are made of."""

    training_set: TrainingSet
    params: FinetuneParams
    vectors_ID: NDArray[np.float32]
    """Profiles of all items at the start of the epoch."""
    ridge_lambda: float
    corpus: Corpus = field(default_factory=Corpus)
    """Further texts and the champion's vectors, where training reads any."""

    @cached_property
    def ridge(self) -> Ridge:
        """Ridge regression over the items to learn from."""
        return Ridge(gram_of(self.vectors_ID, self.training_set.fit_rows), self.ridge_lambda)

    @cached_property
    def chance_E(self) -> NDArray[np.float64]:
        """Each item's probability to be drawn first."""
        training_set = self.training_set
        weight_E = (
            np.maximum(training_set.fit.n_users_I[training_set.fit_rows], 1) ** self.params.popularity_power
        )
        return np.asarray(weight_E / weight_E.sum(), np.float64)

    @cached_property
    def steps_per_epoch(self) -> int:
        """Batches that visit every item, or every text, about once."""
        return batches_per_epoch(self.training_set, self.params, self.corpus)

    @cached_property
    def rows_T(self) -> NDArray[np.int64]:
        """Texts that objectives `texts` and `distill` learn from."""
        return self.corpus.rows_to_learn_from(self.training_set)


def batch_size(training_set: TrainingSet, params: FinetuneParams) -> int:
    """Items per batch: at most half of all, since a user is represented by items *outside* the batch."""
    return min(params.batch_items, max(1, len(training_set.fit_rows) // 2))


def batches_per_epoch(training_set: TrainingSet, params: FinetuneParams, corpus: Corpus) -> int:
    """Batches that visit every item, or every text of objectives `texts` and `distill`, about once."""
    if params.learns_from_texts:
        return -(-len(corpus.rows_to_learn_from(training_set)) // params.batch_items)
    return -(-len(training_set.fit_rows) // batch_size(training_set, params))


def step_rng(seed: int, number: int, purpose: str) -> np.random.Generator:
    """A generator for one purpose of one step."""
    digest = hashlib.blake2b(f"{seed} {number} {purpose}".encode(), digest_size=8).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))
