"""A part of a large dataset to choose settings on: some users, with all that they interacted with.

Choosing a head computes profiles of every item several times over. From some number of items on a sample answers the
same questions. Users are sampled, not items, so that histories stay whole: what a history tells, and how long it is,
decides what helps. An item has fewer users there than in the whole dataset, and most of the items are popular ones.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.dataset.dataset import Dataset
from recsys.dataset.interactions import Interactions
from recsys.dataset.traits import Traits
from recsys.features.views import take
from recsys.heads.recipe import Recipe
from recsys.storage.strings import Strings

# Shape suffixes: U users, I items, P pairs, V distinct values of a trait.
BY_PAIR = ("times_P", "strengths_P", "n_likes_P", "latest_P", "events_P")


def whole_users(
    dataset: Dataset, folds: Sequence[NDArray[np.int64]], max_items: int, seed: int
) -> tuple[Dataset, tuple[NDArray[np.int64], ...]]:
    """Keep as many users as have at most `max_items` different items together, at least one user; and these items.

    Args:
        dataset: the whole training side.
        folds: rows of the held-out items of each fold.
        max_items: the most items, at least 1.
        seed: of the order in which users are taken.

    Returns:
        The part and the folds over its rows; the same objects where there are no more items.
    """
    if len(dataset.item_ids) <= max_items:
        return dataset, tuple(folds)
    users = _sampled(dataset.interactions.matrix_UI, max_items, seed)
    items = np.unique(csr_array(dataset.interactions.matrix_UI[users]).indices).astype(np.int64)
    place_I = np.full(len(dataset.item_ids), -1, np.int64)
    place_I[items] = np.arange(len(items))
    part = replace(
        dataset,
        interactions=_part(dataset.interactions, users, items),
        texts=Strings(dataset.texts).take(items),
        vectors_ID=dataset.vectors_ID[items],
        tags=None if dataset.tags is None else dataset.tags.take(pa.array(items)),
        traits=Traits(
            {name: csr_array(values_IV[items]) for name, values_IV in dataset.traits.sets.items()},
            {name: values_I[items] for name, values_I in dataset.traits.numbers.items()},
        ),
        views=take(dataset.views, items),
    )
    return part, tuple(place_I[held][place_I[held] >= 0] for held in folds)


def for_items_of(recipe: Recipe, dataset: Dataset, chosen_on: Dataset) -> Recipe:
    """The recipe over another number of items: λ stands beside XᵀX, a sum over the warm items, and grows with it.

    Args:
        recipe: what was chosen.
        dataset: whose items X has.
        chosen_on: whose items X had when λ was chosen.

    Returns:
        The recipe with that λ; the same object where the datasets are the same.
    """
    if dataset is chosen_on:
        return recipe
    growth = len(dataset.warm) / max(1, len(chosen_on.warm))
    return replace(recipe, ridge_lambda=recipe.ridge_lambda * growth)


def _sampled(matrix_UI: csr_array, max_items: int, seed: int) -> NDArray[np.int64]:
    """Users in random order, as long as they have no more than so many items together; at least one. Ascending."""
    order_U = np.random.default_rng(seed).permutation(matrix_UI.shape[0])
    shuffled_UI = csr_array(matrix_UI[order_U])
    _, first = np.unique(shuffled_UI.indices, return_index=True)
    # How many items each user is the first to have, and then how many all users up to each have together.
    new_U = np.bincount(np.searchsorted(shuffled_UI.indptr, first, side="right") - 1, minlength=len(order_U))
    n = int(np.searchsorted(np.cumsum(new_U), max_items, side="right"))
    return np.sort(order_U[: max(1, n)])


def _part(whole: Interactions, users: NDArray[np.int64], items: NDArray[np.int64]) -> Interactions:
    """The pairs of some users with some items, over rows of these alone."""
    is_user_U, is_item_I = np.zeros(len(whole.users), bool), np.zeros(len(whole.item_ids), bool)
    is_user_U[users], is_item_I[items] = True, True
    kept_P = is_user_U[whole.users_P] & is_item_I[whole.matrix_UI.indices]
    by_pair = {name: values_P[kept_P] for name in BY_PAIR if (values_P := getattr(whole, name)) is not None}
    return replace(
        whole,
        item_ids=Strings(whole.item_ids).take(items),
        users=Strings(whole.users).take(users),
        matrix_UI=csr_array(csr_array(whole.matrix_UI[users])[:, items]),
        dislikes=None if whole.dislikes is None else _part(whole.dislikes, users, items),
        **by_pair,
    )
