"""Arrivals as monitoring sees them: a sample of each arrival's rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recsys.features.words import words


@dataclass(frozen=True)
class Arrival:
    """One arrival, or several small ones, as signals see it."""

    name: str
    """Part id of the arrival; the last one if it has several parts."""
    parts: tuple[str, ...]
    at: datetime
    """When its file was written; the last file if it has several."""
    n_rows: int
    """All live rows, not only those of the sample."""
    rows: pa.Table
    """The sample, in a random order that is the same each time."""
    counts: Mapping[str, float] = field(default_factory=dict)
    """Further sums over all rows."""

    def strings(self, column: str) -> list[str]:
        """A column of texts."""
        values: list[str] = self.rows[column].to_pylist()
        return values

    @cached_property
    def words(self) -> list[list[str]]:
        """Words of each row's text."""
        return [words(text) for text in self.strings("text")]

    def numbers(self, column: str) -> NDArray[np.float64]:
        """A column of numbers, NaN where there is none; of lists, the numbers of all of them."""
        if pa.types.is_list(self.rows[column].type):
            return np.concatenate([*self.lists(column), np.empty(0)])
        return np.asarray(self.rows[column].cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)

    def lists(self, column: str) -> list[NDArray[np.float64]]:
        """A column with a list of numbers in each row, NaN where one is missing."""
        lists = self.rows[column].combine_chunks()
        lengths = lists.value_lengths().to_numpy(zero_copy_only=False)
        flat = np.asarray(lists.flatten().cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
        return np.split(flat, np.cumsum(lengths)[:-1]) if len(lists) else []

    def vectors(self) -> NDArray[np.float32]:
        """Profiles [n, D] of the sample; D is 0 where there are none."""
        flat = self.rows["vector"].combine_chunks()
        if not len(flat):
            return np.empty((0, 0), np.float32)
        return np.stack(flat.to_numpy(zero_copy_only=False)).astype(np.float32)
