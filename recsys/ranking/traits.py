"""Numbers of a pair that a second ranker may read beside profiles: by tags, attributes, relations, and age.

Each trait gives two of them:

a set, such as tags      match: mean cosine of the item's values with those of each item of the history, rare values
                         weighing more (IDF); popularity: the mean popularity of the items that share its values
a number, such as price  rank: the share of the items with a lower value, of equal ones half; gap: its distance from the
                         mean rank of the history

An item that lacks a trait has 0 in both, and so has a user without a history in match and gap. Ranks need no unit:
prices in any currency, years and times are read alike. The age is a number that interactions tell: when an item had its
first one, among those that are learned from. So it knows nothing that came later, and needs no clock.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

from recsys.dataset.trait_names import TraitNames
from recsys.dataset.traits import Traits

# Shape suffixes: I items, V distinct values of a trait, K known values, C candidates, H items of a history, F numbers.
PER_TRAIT = 2


class TraitNumbers:
    """Numbers of pairs of a user and an item, over the items of one catalogue.

    Args:
        traits: of its items. What is not there all items lack.
        names: of the traits that are read: sets, then numbers, is the order of the columns.
        popularity_I: of the items, see `shortlist.popularity_of`.
    """

    def __init__(self, traits: Traits, names: TraitNames, popularity_I: NDArray[np.floating]) -> None:
        self._names = names
        self._units = {name: _units(traits.sets[name]) for name in names.sets if name in traits.sets}
        self._popularity = {
            name: _popularity(unit_IV, popularity_I.astype(np.float64))
            for name, unit_IV in self._units.items()
        }
        self._ranks = {name: ranks(traits.numbers[name]) for name in names.numbers if name in traits.numbers}

    @property
    def width(self) -> int:
        """F."""
        return PER_TRAIT * len(self._names)

    def of(self, rows_C: NDArray[np.int64], history_H: NDArray[np.int64]) -> NDArray[np.float32]:
        """Numbers of one user's candidates.

        Args:
            rows_C: item rows.
            history_H: rows of the items that the user interacted with.

        Returns:
            numbers_CF, finite.
        """
        nothing_C = np.zeros(len(rows_C))
        columns: list[NDArray[np.float64]] = []
        for name in self._names.sets:
            columns += (
                self._of_set(name, rows_C, history_H) if name in self._units else [nothing_C] * PER_TRAIT
            )
        for name in self._names.numbers:
            columns += (
                self._of_number(name, rows_C, history_H) if name in self._ranks else [nothing_C] * PER_TRAIT
            )
        return np.stack(columns, axis=1).astype(np.float32)

    def _of_set(
        self, name: str, rows_C: NDArray[np.int64], history_H: NDArray[np.int64]
    ) -> list[NDArray[np.float64]]:
        unit_IV, match_C = self._units[name], np.zeros(len(rows_C))
        if len(history_H):
            match_C = unit_IV[rows_C] @ (unit_IV[history_H].sum(axis=0) / len(history_H))
        return [match_C, self._popularity[name][rows_C]]

    def _of_number(
        self, name: str, rows_C: NDArray[np.int64], history_H: NDArray[np.int64]
    ) -> list[NDArray[np.float64]]:
        rank_C, rank_H, gap_C = self._ranks[name][rows_C], self._ranks[name][history_H], np.zeros(len(rows_C))
        if np.isfinite(rank_H).any():
            gap_C = np.nan_to_num(np.abs(rank_C - np.nanmean(rank_H)))
        return [np.nan_to_num(rank_C), gap_C]


def ranks(values_I: NDArray[np.floating]) -> NDArray[np.float64]:
    """The share of the known values that are lower, of equal ones half, in (0, 1); NaN where there is no value."""
    known_I = np.isfinite(values_I)
    found_I = np.full(len(values_I), np.nan)
    distinct_V, place_K, n_V = np.unique(values_I[known_I], return_inverse=True, return_counts=True)
    if len(distinct_V):
        found_I[known_I] = ((2 * np.cumsum(n_V) - n_V) / (2 * n_V.sum()))[place_K]
    return found_I


def _units(has_IV: csr_array) -> csr_array:
    """Rows at unit length, each value weighing log(1 + items / items that have it)."""
    n_items, n_V = has_IV.shape[0], np.bincount(has_IV.indices, minlength=has_IV.shape[1])
    weighed_IV = csr_array(has_IV @ diags_array(np.log1p(n_items / np.maximum(n_V, 1))))
    length_I = np.sqrt(np.asarray(weighed_IV.multiply(weighed_IV).sum(axis=1)).ravel())
    return csr_array(diags_array(1 / np.where(length_I > 0, length_I, 1)) @ weighed_IV)


def _popularity(unit_IV: csr_array, popularity_I: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean popularity of the items that share an item's values, [I]; 0 for an item without values."""
    weight_V, total_I = (np.asarray(unit_IV.sum(axis=axis)).ravel() for axis in (0, 1))
    mean_V = (unit_IV.T @ popularity_I) / np.where(weight_V > 0, weight_V, 1)
    return np.asarray((unit_IV @ mean_V) / np.where(total_I > 0, total_I, 1))
