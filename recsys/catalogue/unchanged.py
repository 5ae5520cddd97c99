"""Whether a landed file brings nothing new."""

from collections.abc import Iterable, Iterator
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.catalogue.accepted import Accepted
from recsys.catalogue.accepting import Admitted
from recsys.catalogue.kinds import KINDS
from recsys.catalogue.known import keys_of, newest_among
from recsys.catalogue.parts import Part
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
        is_timed = (
            rows.table(["timestamp"])["timestamp"].null_count == 0 or RETRY_OF in one.judged.batch.columns
        )
        is_whole = all(record.n_quarantined == 0 for record in before) or RETRY_OF in one.judged.batch.columns
        return before[-1].part if is_timed and is_whole else None
    stands = newest_among(accepted.parts(kind), keys_of(rows.table(KINDS[kind].key), kind), kind)
    if stands.num_rows != rows.num_rows or not set(pc.unique(stands["part"]).to_pylist()) <= ids:
        return None
    parts = (part for part in accepted.parts(kind) if any(one.part in ids for one in part.arrival.landed()))
    held = (batch for part in parts for batch in _among(part, stands))
    return before[-1].part if _content(held) == _content(rows.batches()) else None


def _among(part: Part, wanted: pa.Table) -> Iterator[pa.RecordBatch]:
    """The rows of a part that a table names by landed file and line."""
    lines = {
        name: wanted.filter(pc.equal(wanted["part"], name))["line"].to_numpy()
        for name in pc.unique(wanted["part"]).to_pylist()
    }
    for batch in part.batches():
        names, line_R = np.asarray(batch["part"]), batch["line"].to_numpy()
        is_wanted_R = np.zeros(batch.num_rows, np.bool_)
        for name, of_file in lines.items():
            is_wanted_R |= (names == name) & np.isin(line_R, of_file)
        yield batch.filter(pa.array(is_wanted_R))


def _content(batches: Iterable[pa.RecordBatch]) -> set[bytes]:
    """A hash of each row, without where it came from; rows of one file differ, at least in their keys."""
    return {
        blake2b(repr(row).encode(), digest_size=16).digest()
        for batch in batches
        for row in batch.drop_columns(["part", "line"]).to_pylist()
    }
