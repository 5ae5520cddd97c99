"""A batch as Arrow files and JSON, in which it returns from the process that read it, without pickle.

That process has read hostile input, so nothing of its result is executed, and everything is checked.
"""

import dataclasses
import json
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

import pyarrow as pa
from pydantic import TypeAdapter

from recsys.catalogue.batch import BadRows, Batch
from recsys.catalogue.landed_rows import LandedRows, open_checked
from recsys.catalogue.schemas import SCHEMAS

ROWS, BAD = ".rows", ".bad"
"""Endings of the two files."""

_BAD_SCHEMA = pa.schema(
    [("lines", pa.int64()), ("reasons", pa.string()), ("details", pa.string()), ("rows", pa.string())]
)


def save_batch(batch: Batch, place: Path) -> dict[str, Any]:
    """Write rows and bad rows beside each other.

    Args:
        batch: what was read.
        place: path without ending.

    Returns:
        Everything else of the batch, ready for JSON.
    """
    batch.rows.save(place.with_name(place.name + ROWS))
    bad = {name: getattr(batch.bad, name) for name in ("lines", "reasons", "rows")}
    bad["details"] = [detail.encode("utf-8", "replace").decode() for detail in batch.bad.details]
    LandedRows(pa.table(bad, schema=_BAD_SCHEMA)).save(place.with_name(place.name + BAD))
    others = {name: adapter.dump_python(getattr(batch, name)) for name, adapter in _others().items()}
    # Half surrogate pairs, which a key of JSON may hold, are no text.
    words: dict[str, Any] = json.loads(
        json.dumps(others, ensure_ascii=False, default=list).encode("utf-8", "replace")
    )
    return words


def load_batch(others: dict[str, Any], kind: str, place: Path) -> Batch:
    """Read what `save_batch` wrote, and delete the files.

    Args:
        others: what it returned.
        kind: the expected kind.
        place: path without ending.

    Returns:
        The batch.

    Raises:
        ValueError: it is not what `save_batch` writes.
        ArrowException: it is not valid Arrow file.
    """
    rows = _opened(place.with_name(place.name + ROWS), SCHEMAS[kind])
    bad = _opened(place.with_name(place.name + BAD), _BAD_SCHEMA).table()
    known = _others()
    if set(others) != set(known) or others["kind"] != kind:
        raise ValueError(f"a batch has {sorted(known)} of kind {kind}, got {sorted(others)}")
    found = {name: adapter.validate_python(others[name]) for name, adapter in known.items()}
    return Batch(rows=rows, bad=BadRows(*(column.to_pylist() for column in bad.columns)), **found)


@cache
def _others() -> dict[str, TypeAdapter[Any]]:
    """Fields of a batch other than tables, each with its check."""
    types = get_type_hints(Batch)
    names = [field.name for field in dataclasses.fields(Batch) if field.name not in {"rows", "bad"}]
    return {name: TypeAdapter(types[name]) for name in names}


def _opened(path: Path, schema: pa.Schema) -> LandedRows:
    rows = open_checked(path)
    path.unlink()
    if not rows.schema.equals(schema):
        raise ValueError(f"the reader sent the columns {rows.schema.names}, not {schema.names}")
    return rows
