"""Conditions on items: JSON → which of a release's items are allowed.

    {"tags": "horror", "year": {"gte": 1990, "lt": 2000}, "brand": ["Acme", "Umbrella"], "country": {"not": "US"}}

All conditions must hold. A plain value means equal, a list means any of them. An object holds `eq`, `in`, `not`, `gte`,
`gt`, `lte` and `lt`. An item may have many tags: `eq` and `in` ask whether one of them fits, `not` whether none does.
An item without a value fits no condition but `not`. Values are compared as texts: 1990, 1990.0 and "1990" are one, and
so are true and "true".
"""

import hashlib
import json
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.errors import RequestError
from recsys.features.details import value_text
from recsys.publishing.released_profiles import Profiles

# Shape suffix: I live items.
TAGS = "tags"
RANGES: Mapping[str, Callable[..., Any]] = {
    "gte": np.greater_equal,
    "gt": np.greater,
    "lte": np.less_equal,
    "lt": np.less,
}
VALUES = (str, int, float)
"""Types that a value may have; a bool is one of them."""
OPERATORS = ("eq", "in", "not", *RANGES)
KEPT_BYTES = 16 << 20
"""Masks of the last requests take at most this much memory: a byte per item each."""


class Filters:
    """Masks over the live items of a release.

    Args:
        profiles: of the release.
    """

    def __init__(self, profiles: Profiles) -> None:
        self._profiles = profiles
        self._kept: OrderedDict[str, NDArray[np.bool_]] = OrderedDict()
        self._encoded: dict[str, Encoded] = {}
        self._lock = threading.Lock()

    def allowed(self, where: Mapping[str, Any]) -> NDArray[np.bool_] | None:
        """Mask of the items that fit.

        Args:
            where: conditions by the name of an attribute, or `tags`.

        Returns:
            bool [I], not to be written to; None without conditions.

        Raises:
            RequestError: an attribute or operator is unknown, or a value does not fit; names it.
        """
        if not where:
            return None
        conditions = [
            (name, *one) for name, condition in where.items() for one in self._operators(name, condition)
        ]
        # A digest, because a condition may be as long as a body.
        key = hashlib.sha256(json.dumps(conditions).encode()).hexdigest()
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        allowed_I = np.ones(len(self._profiles.latest.item_ids), np.bool_)
        for name, operator, value in conditions:
            allowed_I &= self._fits(name, operator, value)
        allowed_I.setflags(write=False)
        with self._lock:
            self._kept[key] = allowed_I
            while len(self._kept) > max(1, KEPT_BYTES // max(1, len(allowed_I))):
                self._kept.popitem(last=False)
        return allowed_I

    @property
    def names(self) -> tuple[str, ...]:
        """What conditions may name."""
        details = self._profiles.details
        return (TAGS, *details.attributes) if details else (TAGS,)

    def _operators(self, name: str, condition: object) -> list[tuple[str, object]]:
        """A condition as operators with their values; unknown ones are refused."""
        if name not in self.names:
            raise RequestError(
                f"where: items have no attribute {name!r}",
                remedy=f"name one of: {', '.join(self.names)}; publish.attributes adds more",
            )
        if not isinstance(condition, Mapping):
            condition = {"in" if isinstance(condition, list) else "eq": condition}
        if not condition:
            raise RequestError(
                f"where: {name}: an empty object", remedy=f"use one of: {', '.join(OPERATORS)}"
            )
        for operator, value in condition.items():
            if operator not in OPERATORS:
                raise RequestError(
                    f"where: {name}: unknown operator {operator!r}",
                    remedy=f"use one of: {', '.join(OPERATORS)}",
                )
            if not all(isinstance(one, VALUES) for one in (value if isinstance(value, list) else [value])):
                raise RequestError(
                    f"where: {name}: {operator!r} takes texts and numbers",
                    remedy='such as "Horror", 1990, or a list of them',
                )
        return list(condition.items())

    def _fits(self, name: str, operator: str, value: object) -> NDArray[np.bool_]:
        if operator in RANGES:
            return _within(self._column(name), name, operator, value)
        wanted = {value_text(one) for one in (value if isinstance(value, list) else [value])}
        if name not in self._encoded:
            self._encoded[name] = encoded(self._column(name))
        has_I = self._encoded[name].has(wanted)
        return ~has_I if operator == "not" else has_I

    def _column(self, name: str) -> pa.Array:
        """One value, or a list of them, per live item."""
        details = self._profiles.details
        return details.column(name) if details else self._tags

    @cached_property
    def _tags(self) -> pa.Array:
        """Tags of the live items, of a release from before there were details."""
        latest = self._profiles.latest
        columns = []
        for position, segment in enumerate(self._profiles.segments):
            rows = latest.row_of_item[latest.segment_of_item == position]
            columns.append(segment.rows([TAGS])[TAGS].combine_chunks().take(pa.array(rows)))
        return pa.concat_arrays(columns) if columns else pa.array([], pa.list_(pa.string()))


@dataclass(frozen=True)
class Encoded:
    """A column of values, or of lists of them, as numbers: a condition then looks at each distinct value once."""

    texts_V: pa.Array
    """Distinct values as texts."""
    value_P: NDArray[np.int32]
    """For each value of an item, its place in `texts_V`; len(texts_V) where it has none."""
    starts_I: NDArray[np.int32] | None
    """Where each item's values begin, and the end of the last; None: each item has one."""

    def has(self, wanted: Collection[str]) -> NDArray[np.bool_]:
        """Which items have one of the values."""
        sound = [
            one for one in wanted if one.encode(errors="ignore").decode() == one
        ]  # JSON may hold half a pair
        is_wanted_V = pc.is_in(self.texts_V, value_set=pa.array(sound, pa.string()))
        fits_P: NDArray[np.bool_] = np.append(np.asarray(is_wanted_V, bool), False)[self.value_P]
        if self.starts_I is None:
            return fits_P
        has_I = np.zeros(len(self.starts_I) - 1, np.bool_)
        has_I[np.searchsorted(self.starts_I, np.flatnonzero(fits_P), "right") - 1] = True
        return has_I


def encoded(column: pa.Array) -> Encoded:
    """Encode a column.

    Args:
        column: [I], one value or a list of them per item; null where it has none.

    Returns:
        The same as numbers.
    """
    is_list = pa.types.is_list(column.type)
    found = (pc.list_flatten(column) if is_list else column).dictionary_encode()
    texts = found.dictionary
    if not pa.types.is_string(texts.type):
        texts = pa.array([value_text(one) for one in texts.to_pylist()], pa.string())
    value_P = found.indices.fill_null(len(texts)).to_numpy()
    lengths = pc.list_value_length(column).fill_null(0).to_numpy() if is_list else None
    starts = None if lengths is None else np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return Encoded(texts, value_P, starts)


def _within(column: pa.Array, name: str, operator: str, value: object) -> NDArray[np.bool_]:
    """Which items have a number on the right side of a bound."""
    if not pa.types.is_floating(column.type):
        raise RequestError(
            f"where: {name} holds more than numbers, so {operator!r} has no meaning",
            remedy="use eq, in or not; or land plain numbers, such as 1299.5 instead of '1.299,50 €'",
        )
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RequestError(f"where: {name}: {operator!r} takes a number", remedy="such as 1990")
    numbers_I = column.fill_null(np.nan).to_numpy(zero_copy_only=False)
    try:
        bound = float(value)
    except OverflowError:  # a whole number that is too large for a float is beyond all values
        bound = math.inf if value > 0 else -math.inf
    fits: NDArray[np.bool_] = RANGES[operator](numbers_I, bound)  # a comparison with NaN is false
    return fits
