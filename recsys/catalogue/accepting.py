"""Turn judged batches into parts: one file becomes one part, or several small files become one part together."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from recsys.artifacts import Artifacts
from recsys.catalogue.arrival import AcceptedBy, Arrival
from recsys.catalogue.judging import Judged
from recsys.catalogue.landing import Landed
from recsys.catalogue.outcomes import ACCEPTED, Outcome
from recsys.catalogue.parts import REPORT, Part, joined_arrival, part_id, write_part
from recsys.catalogue.refusals import batch_id
from recsys.catalogue.report import Title, batch_page, joint_page


@dataclass(frozen=True)
class Admitted:
    """A judged batch that is accepted."""

    landed: Landed
    digest: str
    judged: Judged
    by: AcceptedBy | None
    """The person who accepted it although it was refused."""


def accept(admitted: Sequence[Admitted], sequence: int, at: Artifacts) -> tuple[Part, bytes]:
    """Write one part; the rename into data/ is the acceptance.

    Args:
        admitted: files of one kind, in order of arrival.
        sequence: number of the first of them.
        at: the workspace.

    Returns:
        The part, and its page.
    """
    records = [_record(one, sequence + n) for n, one in enumerate(admitted)]
    if len(admitted) == 1:
        (one,), (arrival,) = admitted, records
        page = batch_page(Title(arrival.part, accepted_by=one.by), one.landed, one.judged)
    else:
        names = [record.part for record in records]
        arrival = joined_arrival(records, sequence + len(records) - 1, names)
        page = joint_page(arrival, [one.judged for one in admitted])
    pairs = list(zip(admitted, records, strict=True))
    rows = (_named(batch, record.part) for one, record in pairs for batch in one.judged.good.batches())
    quarantined = pa.concat_tables([one.judged.bad.table(record.part) for one, record in pairs])
    return write_part(at.staging, at.data, arrival, rows, quarantined, {REPORT: page}), page


def outcome_of(one: Admitted, record: Arrival, warnings: tuple[str, ...]) -> Outcome:
    """The outcome of an accepted file.

    Args:
        one: the file with its verdicts.
        record: its record in the part.
        warnings: what did not work afterwards.

    Returns:
        Its outcome.
    """
    return Outcome(
        one.landed.shown,
        one.landed.kind,
        ACCEPTED,
        batch_id(one.landed, one.digest),
        record.part,
        record.n_rows,
        one.judged.quarantined,
        superseded=record.n_superseded + record.n_outdated,
        pending=record.n_pending,
        reasons=one.judged.reasons(),
        notes=record.notes,
        warnings=warnings,
    )


def _record(one: Admitted, sequence: int) -> Arrival:
    judged = one.judged
    return Arrival(
        part=part_id(sequence, one.digest),
        kind=one.landed.kind,
        source=one.landed.name,
        sha256=one.digest,
        size=one.landed.size,
        arrived_at=one.landed.modified,
        n_rows=judged.good.num_rows,
        n_quarantined=len(judged.bad.lines),
        n_superseded=judged.change.n_superseded,
        n_outdated=judged.change.n_outdated,
        n_pending=judged.change.n_pending,
        notes=judged.notes,
        accepted_by=one.by,
        statistics=judged.measured.statistics,
    )


def _named(rows: pa.RecordBatch, part: str) -> pa.RecordBatch:
    """The rows with the column that names their landed file."""
    place = rows.schema.get_field_index("part")
    return rows.set_column(place, rows.schema.field("part"), pa.array([part] * rows.num_rows, pa.string()))
