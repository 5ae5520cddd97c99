"""Whether a landed file brings nothing new."""

import pyarrow as pa
import pyarrow.compute as pc

from recsys.catalogue.accepted import Accepted
from recsys.catalogue.accepting import Admitted
from recsys.catalogue.kinds import KINDS
from recsys.catalogue.known import keys_of, newest_among, newest_rows
from recsys.catalogue.schemas import RETRY_OF


def changes_nothing(one: Admitted, accepted: Accepted) -> str | None:
    """The landed file that brought the same content, if accepting it again would change nothing.

    Kinds with a key: every row must equal the row that stands, as it would be read today (params may have changed).
    Interactions: every row must have a time, or come from a quarantine retry; the same event at the same moment
    happened once.

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
    kind = one.landed.kind
    if not KINDS[kind].key:
        is_timed = rows["timestamp"].null_count == 0 or RETRY_OF in one.judged.batch.columns
        is_whole = all(record.n_quarantined == 0 for record in before) or RETRY_OF in one.judged.batch.columns
        return before[-1].part if is_timed and is_whole else None
    stands = newest_among(accepted.parts(kind), keys_of(rows, kind), kind)
    if not set(pc.unique(stands["part"]).to_pylist()) <= ids:
        return None
    parts = (part for part in accepted.parts(kind) if any(one.part in ids for one in part.arrival.landed()))
    among, names = pc.unique(keys_of(rows, kind)), pa.array(sorted(ids))
    of_files = (
        rows.filter(pc.is_in(rows["part"], value_set=names)) for rows in (part.rows() for part in parts)
    )
    held = [rows.filter(pc.is_in(keys_of(rows, kind), value_set=among)) for rows in of_files]
    found = _content(newest_rows(pa.concat_tables(held), kind), kind)
    return before[-1].part if found.equals(_content(rows, kind)) else None


def _content(rows: pa.Table, kind: str) -> pa.Table:
    """Everything except where the rows came from; one row per key, by key."""
    by_key = [(name, "ascending") for name in KINDS[kind].key]
    return rows.drop_columns(["part", "line"]).sort_by(by_key)
