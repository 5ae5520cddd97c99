"""Whether a landed file brings nothing at all: its very content stands already."""

import pyarrow as pa
import pyarrow.compute as pc

from recsys.catalogue.accepted import Accepted
from recsys.catalogue.accepting import Admitted
from recsys.catalogue.known import newest_among, newest_rows
from recsys.catalogue.parts import CATALOGUE
from recsys.catalogue.schemas import RETRY_OF


def changes_nothing(one: Admitted, accepted: Accepted) -> str | None:
    """The part that brought the same content, where accepting it again would change nothing.

    Of a catalogue every row must be the one that stands, as it would be read today: params may have changed since. Of
    interactions every row must have a time, or have been landed again from quarantine: the same event at the same
    moment happened once.

    Args:
        one: a judged file.
        accepted: every accepted part.

    Returns:
        The id of the landed file that brought it, or None.
    """
    before = accepted.of_content(one.landed.kind, one.digest)
    if not before or one.by:
        return None
    ids = {record.part for record in before}
    rows = one.judged.good
    if one.landed.kind != CATALOGUE:
        is_timed = rows["timestamp"].null_count == 0 or RETRY_OF in one.judged.batch.columns
        is_whole = all(record.n_quarantined == 0 for record in before) or RETRY_OF in one.judged.batch.columns
        return before[-1].part if is_timed and is_whole else None
    stands = newest_among(accepted.parts(CATALOGUE), rows["item_id"])
    if not set(pc.unique(stands["part"]).to_pylist()) <= ids:
        return None
    parts = (
        part for part in accepted.parts(CATALOGUE) if any(one.part in ids for one in part.arrival.landed())
    )
    among, names = pc.unique(rows["item_id"]), pa.array(sorted(ids))
    held = [_only(_only(part.rows(), "part", names), "item_id", among) for part in parts]
    return before[-1].part if _content(newest_rows(pa.concat_tables(held))).equals(_content(rows)) else None


def _only(rows: pa.Table, column: str, values: pa.Array) -> pa.Table:
    return rows.filter(pc.is_in(rows[column], value_set=values))


def _content(rows: pa.Table) -> pa.Table:
    """Everything but where the rows came from; one per item, by item."""
    return rows.drop_columns(["part", "line"]).sort_by("item_id")
