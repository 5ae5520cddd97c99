"""A landed vector -> the vectors' schema: what any model made of an item's sound, pictures or anything else."""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.catalogue.arrival import Arrival
from recsys.catalogue.fields import EVENT_FORM, BadRow
from recsys.catalogue.kinds import KINDS, VECTORS
from recsys.catalogue.landed_rows import LandedRows
from recsys.catalogue.row_reader import OneFile, readable, unknown_columns

RESERVED_VIEWS = frozenset({"text", "words", "relations", "image"})
"""Views that Firstlight makes itself; a landed vector needs another name."""

_SEPARATOR = re.compile(r"[,;|]")
_BRACKETS = {"[": "]", "(": ")", "{": "}"}


class VectorRows:
    """Reads rows of item_id, view, vector and source."""

    def __init__(self, file: OneFile) -> None:
        self._file = file

    def prepared(self, values: dict[str, Any]) -> dict[str, Any]:
        """The row under our names of the columns."""
        return self._file.columns.names.renamed(values)

    def normal(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """One row in the vectors' columns, without part and line.

        Args:
            values: our column -> value as landed.

        Returns:
            Column -> value; a delete has no vector and needs no source.

        Raises:
            BadRow: a value is missing, has the wrong type or cannot be stored; its detail never holds a value.
        """
        columns = self._file.columns
        deleted = columns.flag(values, "deleted")
        source = columns.identifier(values, "source")
        if not deleted and not source:
            raise BadRow("missing_name", "source is missing: name what made the vector, such as a model")
        return {
            "item_id": columns.identifier(values, "item_id"),
            "view": self._view(values),
            "source": source,
            "vector": [] if deleted else self._vector(values),
            "updated_at": columns.moment(values, "updated_at") or self._file.arrived_at,
            "deleted": deleted,
        }

    def retained(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Known columns of a bad row."""
        columns = self._file.columns
        kept = {name: value for name, value in values.items() if name in KINDS[VECTORS].columns}
        ids = dict.fromkeys(KINDS[VECTORS].ids, columns.identifier)
        return readable(kept, {**ids, "updated_at": columns.moment})

    def finished(self, rows: LandedRows, columns: Collection[str]) -> tuple[LandedRows, list[str]]:
        """Every row stays."""
        return rows, []

    def ignored(self, columns: Collection[str]) -> dict[str, str]:
        """Columns that vectors do not know."""
        return unknown_columns(VECTORS, columns, self._file.columns.names)

    def _view(self, values: Mapping[str, Any]) -> str:
        view = self._file.columns.identifier(values, "view")
        if view and not EVENT_FORM.fullmatch(view):
            raise BadRow("bad_view", "view should be one short word such as audio or clip")
        if view in RESERVED_VIEWS:
            raise BadRow("bad_view", f"view {view} is made by Firstlight itself; give yours another name")
        return view

    def _vector(self, values: Mapping[str, Any]) -> list[float]:
        value = values.get("vector")
        if self._file.columns.is_missing(value):
            raise BadRow("bad_vector", "vector is missing")
        numbers = _numbers(value)
        most = self._file.params.max_vector_width
        if len(numbers) > most:
            raise BadRow("bad_vector", f"vector has {len(numbers):,} numbers, the limit is {most:,}")
        with np.errstate(over="ignore"):
            vector = numbers.astype(np.float32)
        if not np.isfinite(vector).all():
            raise BadRow("not_finite", "vector holds NaN, an infinity or a number too large for float32")
        if not vector.any():
            raise BadRow("bad_vector", "vector is empty or all zeros: it has no direction")
        found: list[float] = vector.tolist()
        return found


def _numbers(value: object) -> np.ndarray:
    """The numbers of a list, or of a text such as `[0.1, 0.2]`, `0.1 0.2` or `0.1|0.2`."""
    if isinstance(value, str):
        value = _listed(value.strip())
    if not isinstance(value, list) or any(isinstance(one, bool | str | list | dict) for one in value):
        raise BadRow("wrong_type", "vector should be a list of numbers")
    try:
        return np.array([math.nan if one is None else float(one) for one in value], np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadRow("wrong_type", "vector should be a list of numbers") from error


def _listed(text: str) -> object:
    if text[:1] in _BRACKETS and text[-1:] == _BRACKETS[text[0]]:
        text = text[1:-1].strip()
    separators = set(_SEPARATOR.findall(text))
    if len(separators) > 1:
        raise BadRow(
            "wrong_type", "vector mixes separators; write [0.5, 0.3] or 0.5|0.3, with decimal points"
        )
    written = text.split(separators.pop()) if separators else text.split()
    try:
        return [float(one) for one in written]
    except ValueError:
        return text


def with_widths(rows: LandedRows) -> pa.Table:
    """Whose vectors are how wide.

    Args:
        rows: in the vectors' schema; of the vectors a batch at a time is in memory.

    Returns:
        View, source, deleted and width (numbers of the vector), a row each.
    """
    widths = [np.asarray(pc.list_value_length(batch["vector"])) for batch in rows.batches(["vector"])]
    width_R = np.concatenate([np.empty(0, np.int32), *widths])
    return rows.table(["view", "source", "deleted"]).append_column("width", pa.array(width_R))


def widths_of(table: pa.Table) -> dict[str, dict[str, int]]:
    """The usual width of each view's vectors by source: the most common one, the smaller where two are.

    Args:
        table: as `with_widths` makes it; deletes count for nothing.

    Returns:
        View -> source -> numbers per vector.
    """
    live = table.filter(pc.invert(table["deleted"]))
    by = live.group_by(["view", "source", "width"], use_threads=False)
    counted = by.aggregate([([], "count_all")])
    found: dict[str, dict[str, int]] = {}
    for row in counted.sort_by([("count_all", "descending"), ("width", "ascending")]).to_pylist():
        found.setdefault(row["view"], {}).setdefault(row["source"], row["width"])
    return found


def joined_widths(
    first: Mapping[str, Mapping[str, int]], then: Mapping[str, Mapping[str, int]]
) -> dict[str, dict[str, int]]:
    """The widths of both; where both know a source, those of the first."""
    return {view: {**then.get(view, {}), **first.get(view, {})} for view in sorted({*first, *then})}


def first_widths(arrivals: Sequence[Arrival]) -> dict[str, dict[str, int]]:
    """The width of each view and source that was accepted first.

    Args:
        arrivals: records of landed files, oldest first.

    Returns:
        View -> source -> numbers per vector.
    """
    found: dict[str, dict[str, int]] = {}
    for record in arrivals:
        found = joined_widths(found, record.statistics.widths) if record.statistics.widths else found
    return found


def has_width(table: pa.Table, widths: Mapping[str, Mapping[str, int]]) -> NDArray[np.bool_]:
    """Which rows have the width that their view and source are known by.

    Args:
        table: as `with_widths` makes it.
        widths: view -> source -> numbers per vector.

    Returns:
        bool, one per row; a delete has no vector and always passes.
    """
    names = zip(table["view"].to_pylist(), table["source"].to_pylist(), strict=True)
    wanted = [widths.get(view, {}).get(source, 0) for view, source in names]
    found = table["width"].to_numpy()
    deleted = np.asarray(table["deleted"].to_numpy(), np.bool_)
    return np.asarray(deleted | (found == np.array(wanted, np.int64)), np.bool_)
