"""Interactions that came before their items. They are accepted at once and count as soon as the item arrives.

Every reader of interactions leaves out items that the catalogue does not hold, as it does with deleted ones. So a
pending interaction needs no special storage, and nothing has to be done when its item comes. One that waits too long
goes to quarantine; its part is rewritten without it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.artifacts import Artifacts
from recsys.catalogue.arrival import Arrival
from recsys.catalogue.batch import BadRows, raw_row
from recsys.catalogue.fields import BadRow
from recsys.catalogue.kinds import INTERACTIONS
from recsys.catalogue.known import newest_among
from recsys.catalogue.parts import REPORT, Part, joined_arrival, sequence_of, write_part
from recsys.catalogue.standing import is_pending

UNKNOWN_ITEM = BadRow("unknown_item", "the item did not arrive within ingest.max_pending_days")


def n_waiting(interactions: Sequence[Part], catalogue: Sequence[Part]) -> int:
    """How many accepted interactions name an item that the catalogue never held.

    Args:
        interactions: parts; only those that had such rows when they were accepted are read.
        catalogue: every catalogue part.

    Returns:
        Rows.

    Raises:
        DataDamaged: a part cannot be read; names the file.
    """
    parts = [part for part in interactions if any(record.n_pending for record in part.arrival.landed())]
    return sum(int(np.count_nonzero(_waits(part.rows(["item_id"]), catalogue))) for part in parts)


def settle(
    at: Artifacts, interactions: Sequence[Part], catalogue: Sequence[Part], max_days: float, now: datetime
) -> list[Part]:
    """Quarantine what has waited too long. Measured by the times of landed files, so the clock changes no result.

    Killed at any point, the same call ends in the same bytes. Afterwards `remove_merged`.

    Args:
        at: the workspace.
        interactions: parts in order.
        catalogue: every catalogue part.
        max_days: how long rows may wait.
        now: upper bound for the times of files.

    Returns:
        Parts that replace those whose rows have waited too long.

    Raises:
        DataDamaged: a part cannot be read; names the file.
    """
    newest = max((part.arrival.arrived_at for part in (*interactions, *catalogue)), default=now)
    limit = min(newest, now) - timedelta(days=max_days)
    settled = []
    for part in interactions:
        due = [record for record in part.arrival.landed() if record.n_pending and record.arrived_at < limit]
        if due:
            settled.append(_settled(at, part, due, catalogue))
    return settled


def _settled(at: Artifacts, part: Part, due: Sequence[Arrival], catalogue: Sequence[Part]) -> Part:
    """The part with rows of overdue files whose items never came moved to quarantine."""
    rows = part.rows()
    names = pa.array([record.part for record in due])
    is_lost = np.asarray(pc.is_in(rows["part"], value_set=names)) & _waits(rows, catalogue)
    lost = rows.filter(pa.array(is_lost)).to_pylist()
    before, quarantined, records = part.quarantined(), [], []
    for record in part.arrival.landed():
        bad = BadRows()
        for row in (row for row in lost if row["part"] == record.part):
            bad.add(row["line"], UNKNOWN_ITEM, raw_row(INTERACTIONS, row))
        of_file = before.filter(pc.equal(before["part"], record.part))
        quarantined.append(pa.concat_tables([of_file, bad.table(record.part)]).sort_by("line"))
        n_lost = len(bad.lines)
        counts = {"n_rows": record.n_rows - n_lost, "n_quarantined": record.n_quarantined + n_lost}
        records.append(record.model_copy(update=counts | ({"n_pending": 0} if record in due else {})))
    ids = [part.id, *(record.part for record in due)]
    arrival = joined_arrival(records, sequence_of(part.id), ids, merges=(part.id,))
    files = {REPORT: part.report_path.read_bytes()} if part.report_path.is_file() else {}
    kept = rows.filter(pa.array(~is_lost))
    return write_part(at.staging, at.data, arrival, kept, pa.concat_tables(quarantined), files)


def _waits(rows: pa.Table, catalogue: Sequence[Part]) -> NDArray[np.bool_]:
    return is_pending(rows, newest_among(catalogue, rows["item_id"])["item_id"])
