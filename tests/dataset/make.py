"""Interactions and datasets from plain arrays."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_array

from recsys.dataset.dataset import Dataset
from recsys.dataset.interactions import Interactions


def interactions_of(matrix, item_ids: Sequence[str] | None = None) -> Interactions:
    """Rows are users u0, u1, …; columns are items i0, i1, … where no ids are given."""
    matrix_UI = csr_array(matrix, dtype=np.float64)
    matrix_UI.sort_indices()
    n_users, n_items = matrix_UI.shape
    ids = tuple(item_ids or (f"i{row}" for row in range(n_items)))
    return Interactions(ids, tuple(f"u{row}" for row in range(n_users)), matrix_UI)


def dataset_of(vectors, matrix, texts=None, tags=(), ridge_lambda=1.0, seed=0, item_ids=None) -> Dataset:
    """A dataset whose texts are its ids where none are given."""
    interactions = interactions_of(matrix, item_ids)
    return Dataset(
        interactions,
        tuple(texts or interactions.item_ids),
        vectors,
        ridge_lambda,
        seed,
        tags=pa.array(tags) if tags else None,
    )


def with_matrix(dataset: Dataset, matrix) -> Dataset:
    """The same items with other interactions."""
    return replace(dataset, interactions=interactions_of(matrix, dataset.item_ids))
