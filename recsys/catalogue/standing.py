"""What a batch changes in the accepted data: superseded rows, deletes, pending interactions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.catalogue.kinds import KINDS
from recsys.catalogue.known import keys_of
from recsys.catalogue.landed_rows import LandedRows

if TYPE_CHECKING:
    import pandas as pd

BEFORE = -1
"""Number of what stood before the first batch."""


@dataclass(frozen=True)
class Change:
    """The effect of the good rows of one batch."""

    n_superseded: int = 0
    """Rows left out: the file itself holds a newer row of their key."""
    n_outdated: int = 0
    """Rows that are older than what stands: accepted, and without effect."""
    n_deleted: int = 0
    """Items, relations or vectors that go."""
    n_pending: int = 0
    """Interactions whose item the catalogue does not hold yet."""
    notes: tuple[str, ...] = ()
    """The same for people, with an example each."""


def keyed_changes(batches: Sequence[pa.Table], newest: pa.Table, kind: str) -> list[Change]:
    """The changes of batches that are accepted one after the other, of a kind whose newer rows replace older ones.

    Args:
        batches: good rows of each, one per key.
        newest: the newest row of each of their keys before, deletes included.
        kind: of the batches.

    Returns:
        One change per batch.
    """
    import pandas as pd

    frame = pd.concat(
        [_frame(newest, kind, BEFORE), *(_frame(rows, kind, n) for n, rows in enumerate(batches))]
    )
    frame = frame.reset_index(drop=True)
    keys = frame["key"]
    # The newest time so far of each key, and whether the row that has it is a delete.
    frame["stands"] = frame.groupby(keys, sort=False)["time"].cummax().groupby(keys, sort=False).shift(1)
    frame["outdated"] = frame["time"] < frame["stands"]
    effective = frame["deleted"].where(~frame["outdated"])
    was_deleted = effective.groupby(keys, sort=False).ffill().groupby(keys, sort=False).shift(1)
    frame["unknown"] = (frame["deleted"] == 1) & was_deleted.isna()
    frame["goes"] = (frame["deleted"] == 1) & (was_deleted == 0) & ~frame["outdated"]
    of_batch = dict(list(frame.groupby("batch", sort=False)))
    return [_change(of_batch.get(n), kind) for n in range(len(batches))]


def pending_changes(batches: Sequence[pa.Table], known: pa.Array | pa.ChunkedArray) -> list[Change]:
    """Which interactions wait for their items.

    Args:
        batches: good rows of each batch.
        known: ids of the items that the catalogue holds or held.

    Returns:
        One change per batch.
    """
    return [_pending(rows, known) for rows in batches]


def without_older(rows: LandedRows, kind: str) -> tuple[LandedRows, Change]:
    """Keep the newest row of each key of one file: the latest `updated_at`, ties by line.

    Args:
        rows: good rows.
        kind: of the rows.

    Returns:
        The rows that stay, by line, and what was left out.
    """
    table = rows.table([*KINDS[kind].key, "updated_at", "deleted", "line"])
    if pc.count_distinct(keys_of(table, kind)).as_py() == rows.num_rows:
        return rows, Change()
    frame = _frame(table, kind, 0).assign(line=table["line"].to_numpy())
    ordered = frame.sort_values(["time", "line"], kind="stable")
    ordered["by"] = ordered.groupby("key", sort=False)["line"].transform("last")
    lost = ordered[ordered["line"] != ordered["by"]]
    first = lost.sort_values("line").iloc[0]
    rows_are = "1 row is" if len(lost) == 1 else f"{len(lost):,} rows are"
    note = (
        f"{rows_are} superseded by newer rows of the same {KINDS[kind].things} in this file, "
        f"such as line {first['line']}{_shown(first, kind)} by line {first['by']}"
    )
    stays = rows.where(~np.isin(table["line"].to_numpy(), lost["line"].to_numpy()))
    return stays, Change(n_superseded=len(lost), notes=(note,))


def _frame(rows: pa.Table, kind: str, batch: int) -> "pd.DataFrame":
    """Key, time in microseconds, 1.0 for a delete, number of the batch."""
    import pandas as pd  # where rows are pending, nothing here needs it

    return pd.DataFrame(
        {
            "key": keys_of(rows, kind).to_pylist(),
            "time": rows["updated_at"].cast(pa.int64()).to_numpy(),
            "deleted": np.asarray(rows["deleted"].to_numpy(), np.float64),
            "batch": np.full(rows.num_rows, batch),
        }
    )


def _shown(row: "pd.Series[Any]", kind: str) -> str:
    """The key of a row in brackets, where a message may show it."""
    return f" ({row['key']})" if KINDS[kind].shows_values else ""


def _change(rows: "pd.DataFrame | None", kind: str) -> Change:
    if rows is None:
        return Change()
    outdated = rows[rows["outdated"]]
    notes = []
    if len(outdated):
        example = outdated.iloc[0]
        which = f"{example['key']}: this row" if KINDS[kind].shows_values else "a row that"
        notes.append(
            f"{len(outdated):,} {'row is' if len(outdated) == 1 else 'rows are'} older than what stands: "
            f"no change, such as {which} is of {_moment(example['time'])}, "
            f"the one that stands of {_moment(example['stands'])}"
        )
    if n_unknown := int(rows["unknown"].sum()):
        notes.append(f"{n_unknown:,} deletes name {KINDS[kind].things} that {KINDS[kind].holder} never held")
    return Change(
        n_outdated=len(outdated),
        n_deleted=int(rows["goes"].sum()),
        notes=tuple(notes),
    )


def _pending(rows: pa.Table, known: pa.Array | pa.ChunkedArray) -> Change:
    n = int(np.count_nonzero(is_pending(rows, known)))
    if not n:
        return Change()
    whole = "all " if n == rows.num_rows else ""
    hint = "; are these the catalogue's ids?" if n == rows.num_rows else ""
    wait = f"{n:,} row waits" if n == 1 else f"{whole}{n:,} rows wait"
    note = f"{wait} for items that the catalogue does not hold yet{hint}"
    return Change(n_pending=n, notes=(note,))


def is_pending(rows: pa.Table, known: pa.Array | pa.ChunkedArray) -> NDArray[np.bool_]:
    """Which interactions name an item that the catalogue never held.

    Args:
        rows: interactions.
        known: ids of the items that the catalogue holds or held.

    Returns:
        bool, one per row.
    """
    return ~np.asarray(pc.is_in(rows["item_id"], value_set=_one(known)), dtype=bool)


def _one(ids: pa.Array | pa.ChunkedArray) -> pa.Array:
    return ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids


def _moment(microseconds: Any) -> str:  # noqa: ANN401  a number of NumPy
    return datetime.fromtimestamp(float(microseconds) / 1e6, UTC).isoformat(sep=" ", timespec="seconds")
