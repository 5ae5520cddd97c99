"""Whether a landed file brings nothing at all: its very content stands already."""

import pyarrow.compute as pc

from recsys.catalogue.accepted import Accepted
from recsys.catalogue.accepting import Admitted
from recsys.catalogue.known import newest_among
from recsys.catalogue.parts import CATALOGUE
from recsys.catalogue.schemas import RETRY_OF


def changes_nothing(one: Admitted, accepted: Accepted) -> str | None:
    """The part that brought the same content, where accepting it again would change nothing.

    Of a catalogue every row must be, with its time, the one that stands. Of interactions every row must have a time,
    or have been landed again from quarantine: the same event at the same moment happened once.

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
    now = dict(zip(stands["item_id"].to_pylist(), stands["updated_at"].to_pylist(), strict=True))
    landed = zip(rows["item_id"].to_pylist(), rows["updated_at"].to_pylist(), strict=True)
    return before[-1].part if all(now.get(item) == time for item, time in landed) else None
