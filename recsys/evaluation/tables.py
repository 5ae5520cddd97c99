"""Read items, interactions, relations, vectors and lists of ids from a benchmark's files. User ids are not changed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from recsys.catalogue.columns import columns_of
from recsys.catalogue.feedback import learn_scales, weighed
from recsys.catalogue.fields import BadRow, plain_id
from recsys.catalogue.folding import folded
from recsys.catalogue.kinds import CATALOGUE, INTERACTIONS, KINDS
from recsys.catalogue.opinions import WITHDRAWAL, opinions
from recsys.catalogue.params import FeedbackParams, IngestParams
from recsys.catalogue.readers.opening import read
from recsys.catalogue.weighting import EVENTS, N_LIKES, Scales
from recsys.errors import UnreadableFile
from recsys.evaluation.own_files import (
    OwnFile,
    notes_of,
    open_file,
    read_all,
    refuse_faults,
    refuse_faulty_rows,
    require_columns,
)
from recsys.evaluation.words import as_text

WEIGHT = "weight"
_PART = "000001-benchmark"


@dataclass(frozen=True)
class OwnInteractions(OwnFile):
    """Interactions, and how their values were read."""

    scales: Scales
    """Event -> strengths of its values."""


def read_items(path: Path, params: IngestParams, needed: Sequence[str] = ()) -> OwnFile:
    """Read the items.

    Args:
        path: a file that may land in catalogue/.
        params: section `ingest`: limits, and words for missing values.
        needed: columns that must be kept.

    Returns:
        item_id (text) and every other column that intake keeps, with one row per item.

    Raises:
        UnreadableFile: it cannot be parsed, lacks item_id, or has a faulty row; names file, row, column and value.
        BatchRefused: it is empty or too wide.
    """
    batch = read_all(path, CATALOGUE, params, columns_of(CATALOGUE, params), ("item_id",), needed)
    refuse_faulty_rows(path, batch, {"item_id": "item_id"})
    is_live = pc.invert(batch.table["deleted"])
    live = batch.table.filter(is_live)
    notes = list(notes_of(batch))
    if n_deleted := batch.table.num_rows - live.num_rows:
        notes.append(f"{n_deleted:,} deleted items left out")
    plain = [name for name in KINDS[CATALOGUE].columns if name in batch.columns and name != "deleted"]
    columns: dict[str, Any] = {name: live[name] for name in plain} | _attributes(
        live["attributes"].to_pylist()
    )
    return OwnFile(pa.table(columns), batch.n_landed, tuple(notes))


def read_interactions(
    path: Path, params: IngestParams, feedback: FeedbackParams, cold: Sequence[str] = ()
) -> OwnInteractions:
    """Read the interactions.

    Args:
        path: a file that may land in interactions/. A column `weight` may replace `value`: how much a row counts.
        params: section `ingest`.
        feedback: section `feedback`: which rows are likes.
        cold: items of which nothing is known: strengths are learned without their values.

    Returns:
        user_id, item_id, timestamp (the first known time, or null), latest, weight (above 0 for a like, by its value
        where values differ), n_likes and events. Every user of the file is in it.

    Raises:
        UnreadableFile: it cannot be parsed, lacks a column, or has a faulty row; names file, row, column and value.
        BatchRefused: it is empty or too wide.
    """
    columns = columns_of(INTERACTIONS, params, also={WEIGHT: "value"}, shows_values=True)
    batch = read_all(path, INTERACTIONS, params, columns, ("user_id", "item_id"))
    is_weighted = folded(columns.names.theirs("value")) == WEIGHT
    refuse_faulty_rows(path, batch, {"item_id": "item_id"} | ({"value": WEIGHT} if is_weighted else {}))
    found, nothing = (_by_weight if is_weighted else _as_they_are)(batch.table)
    is_cold = pc.is_in(found["item_id"], value_set=pa.array(cold, pa.string()))
    scales = learn_scales(found.filter(pc.invert(is_cold)), feedback)
    pairs, n_ended = _pairs(found, nothing, feedback, scales)
    notes = list(notes_of(batch))
    if nothing.num_rows:
        notes.append(f"{nothing.num_rows:,} rows have a weight of 0 or less: no interactions")
    if n_ended:
        notes.append(f"{n_ended:,} pairs are dislikes or were taken back (section feedback of params.yaml)")
    if scales:
        rated = ", ".join(repr(name) if name else "rows without an event" for name in scales)
        notes.append(f"values say how strong likes are: {rated}")
    return OwnInteractions(pairs, batch.n_landed, tuple(notes), scales)


def read_live(path: Path, kind: str, params: IngestParams) -> OwnFile:
    """Read relations or vectors, without rows that delete, in the schema of the kind. Raises what `read_items` does."""
    required = [group[0] for group in KINDS[kind].required]
    batch = read_all(path, kind, params, columns_of(kind, params), required)
    refuse_faulty_rows(path, batch, {name: name for name in KINDS[kind].names})
    live = batch.table.filter(pc.invert(batch.table["deleted"]))
    return OwnFile(live, batch.n_landed, tuple(notes_of(batch)))


def read_ids(path: Path, params: IngestParams) -> list[str]:
    """Read item ids: column item_id of a table, or the lines of a .txt file.

    Args:
        path: the file.
        params: section `ingest`.

    Returns:
        Distinct ids, in order.

    Raises:
        UnreadableFile: it cannot be read, lacks the column, has a faulty row, or holds no id.
        BatchRefused: it is empty or too wide.
    """
    ids = _lines(path) if path.suffix.lower() == ".txt" else _column_of_ids(path, params)
    if not ids:
        raise UnreadableFile(f"{path} lists no item", remedy="list at least one cold item")
    return list(dict.fromkeys(ids))


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableFile(
            f"{path} cannot be read: {error}", remedy="write UTF-8, one id per line"
        ) from error
    return list(filter(None, map(plain_id, lines)))


def _column_of_ids(path: Path, params: IngestParams) -> list[str]:
    file, columns = open_file(path, CATALOGUE, params), columns_of(CATALOGUE, params)
    survey = read(file)
    columns.survey(survey.rows, survey.columns, file.key)
    require_columns(path, {columns.names.ours(name) for name in survey.columns}, survey.columns, ("item_id",))
    ids, faults = [], []
    for row in read(file).rows:
        try:
            if row.fault:
                raise row.fault
            ids.append(columns.identifier(columns.names.renamed(row.values), "item_id"))
        except BadRow as fault:
            faults.append((row.line, fault.detail))
    refuse_faults(path, faults)
    return list(filter(None, ids))


def _attributes(written: Sequence[str]) -> dict[str, pa.Array]:
    """Further columns, from the attributes that a catalogue stores as JSON."""
    rows: list[Mapping[str, object]] = [json.loads(text) for text in written]
    names = sorted({name for row in rows for name in row})
    return {name: _column([row.get(name) for row in rows]) for name in names}


def _column(values: list[object]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # numbers beside words, lists beside single values
        return pa.array([None if value is None else as_text(value) for value in values], pa.string())


def _pairs(
    found: pa.Table, nothing: pa.Table, feedback: FeedbackParams, scales: Scales
) -> tuple[pa.Table, int]:
    """Pairs with their weights, also of rows that are no interactions; and the number of withdrawn likes."""
    part = pa.repeat(_PART, found.num_rows)
    landed = found.set_column(found.column_names.index("part"), "part", part)
    likes = opinions(weighed(landed, feedback, scales, (N_LIKES, EVENTS)))
    n_ended = pc.sum(pc.less_equal(likes[WEIGHT], WITHDRAWAL)).as_py() or 0
    columns = [nothing[name] for name in ("user", "item_id", "timestamp", "timestamp")]
    columns += [pa.repeat(pa.scalar(WITHDRAWAL, pa.float32()), nothing.num_rows)]
    columns += [
        pa.repeat(pa.scalar(0, pa.int32()), nothing.num_rows),
        pa.nulls(nothing.num_rows, pa.string()),
    ]
    pairs = pa.concat_tables([likes, pa.table(columns, names=likes.column_names).cast(likes.schema)])
    return pairs.rename_columns(["user_id", *likes.column_names[1:]]), n_ended


def _by_weight(rows: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Rows that count, without weights, and rows with a weight of 0 or less."""
    counts = pc.greater(rows["value"], 0)
    kept = rows.filter(counts)
    unrated = pa.nulls(kept.num_rows, pa.float64())
    return kept.set_column(kept.column_names.index("value"), "value", unrated), rows.filter(pc.invert(counts))


def _as_they_are(rows: pa.Table) -> tuple[pa.Table, pa.Table]:
    return rows, rows.slice(0, 0)
