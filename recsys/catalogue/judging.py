"""Judge landed batches: which rows are good, which are bad and why, and whether a batch is accepted."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from recsys.catalogue.arrival import Arrival
from recsys.catalogue.batch import BadRows, Batch, raw_row
from recsys.catalogue.covering import coverage_notes
from recsys.catalogue.expectations import (
    MEANINGS,
    MEND,
    MISSING_COLUMNS,
    REMEDIES,
    Expected,
    Verdict,
    batch_expectations,
    judge,
    row_expectations,
)
from recsys.catalogue.fields import BadRow
from recsys.catalogue.kinds import CATALOGUE, KINDS, VECTORS
from recsys.catalogue.known import keys_of, newest_among
from recsys.catalogue.landed_rows import LandedRows
from recsys.catalogue.measures import Measured, batch_measures, row_measures
from recsys.catalogue.params import IngestParams
from recsys.catalogue.parts import Part
from recsys.catalogue.refusals import Reason
from recsys.catalogue.standing import Change, keyed_changes, pending_changes, without_older
from recsys.catalogue.text_measures import text_measures
from recsys.catalogue.vectors import has_width, joined_widths, widths_of, with_widths
from recsys.catalogue.verdict_words import detail_of

MAX_LINES_SHOWN = 20
WIDE = {"title", "description", "tags", "image", "attributes", "vector"}
"""Columns that are read batch by batch: they may be much larger than memory."""
SMALL_CATALOGUE = 20
"""With fewer items, relations or vectors any number may be deleted at once: a share says nothing."""


@dataclass(frozen=True)
class Judged:
    """A batch with its verdicts."""

    batch: Batch
    good: LandedRows
    """Rows that may enter, one per key of the kind, by line, still without a part id."""
    bad: BadRows
    """Rows for quarantine."""
    change: Change
    """What the good rows change in the accepted data."""
    measured: Measured
    of_rows: tuple[Verdict, ...]
    of_batch: tuple[Verdict, ...]

    @property
    def failed(self) -> tuple[Verdict, ...]:
        """Batch-level expectations that do not hold. Of a file that lacks columns it is this one alone."""
        failed = tuple(verdict for verdict in self.of_batch if not verdict.holds)
        return self._lacking or failed

    @property
    def _lacking(self) -> tuple[Verdict, ...]:
        """The expectation of required columns if the file lacks some; then every row is bad, but not for itself."""
        if not self.batch.columns:  # no row could be read, and these say why
            return ()
        return tuple(one for one in self.of_batch if not one.holds and one.expected.reason == MISSING_COLUMNS)

    @property
    def quarantined(self) -> dict[str, int]:
        """Reason -> rows, by name."""
        return dict(sorted(Counter(self.bad.reasons).items()))

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for people: how the file was read, what was left out, which rows were superseded."""
        ignored = (f"column {name} is ignored: {why}" for name, why in sorted(self.batch.ignored.items()))
        n_near = self.measured.statistics.near_duplicate_texts
        near = [f"{n_near:,} long texts nearly repeat another one"] if n_near else []
        return (*self.batch.notes, *ignored, *self.change.notes, *near)

    def reasons(self) -> tuple[Reason, ...]:
        """Why rows are bad: how many, the first lines, the detail of the first, and what to do.

        Empty where the file lacks columns: every row is bad for that.
        """
        if self._lacking:
            return ()
        found: dict[str, list[tuple[int, str]]] = {}
        bad = zip(self.bad.lines, self.bad.reasons, self.bad.details, strict=True)
        for line, reason, detail in sorted(bad):
            found.setdefault(reason, []).append((line, detail))
        return tuple(
            Reason(
                reason=reason,
                meaning=MEANINGS.get(reason, ""),
                n_rows=len(rows),
                lines=tuple(line for line, _ in rows[:MAX_LINES_SHOWN]),
                detail=rows[0][1],
                remedy=REMEDIES.get(reason, MEND),
            )
            for reason, rows in sorted(found.items())
        )


@dataclass(frozen=True)
class _Sorted:
    """The rows of a batch, sorted into good and bad."""

    good: LandedRows
    bad: BadRows
    superseded: Change


def judge_batches(
    batches: Sequence[Batch],
    catalogue: Sequence[Part],
    own: Sequence[Part],
    before: Sequence[Arrival],
    params: IngestParams,
    now: datetime,
    widths: Mapping[str, Mapping[str, int]] = MappingProxyType({}),
) -> list[Judged]:
    """Check batches of one kind against both suites, each by itself, in one call of Great Expectations.

    Args:
        batches: as read, in order of arrival.
        catalogue: catalogue parts accepted so far.
        own: parts of this kind accepted so far.
        before: records of the last landed files of this kind; none where there is nothing to compare with.
        params: limits.
        now: the clock, for times in the future.
        widths: of the vectors accepted so far: view -> source -> numbers per vector.

    Returns:
        Good rows, bad rows and every verdict, per batch.

    Raises:
        RecsysError: Great Expectations could not evaluate, or a part is damaged.
    """
    kind, frames = batches[0].kind, list[pd.DataFrame]()
    texts = [text_measures(batch.rows) if kind == CATALOGUE else None for batch in batches]
    for batch, measures in zip(batches, texts, strict=True):
        fits = None
        if kind == VECTORS:  # the first file that brings a view and source decides how wide they are
            found = narrow(batch.rows, kind)
            widths = joined_widths(widths, widths_of(found))
            fits = has_width(found, widths)
        frames.append(row_measures(batch, measures, fits))
    of_rows = _each(frames, row_expectations(kind, params, now))
    sorted_rows = [
        _good_and_bad(batch, verdicts, frame)
        for batch, verdicts, frame in zip(batches, of_rows, frames, strict=True)
    ]
    goods = [narrow(one.good, kind) for one in sorted_rows]
    changes, n_live = _changes(kind, goods, catalogue, own)
    covered = coverage_notes(kind, goods, catalogue)
    measured = [
        batch_measures(
            batch, good, of_texts, len(one.bad.lines), _share(change.n_deleted, n_live), before, params
        )
        for batch, good, of_texts, one, change in zip(
            batches, goods, texts, sorted_rows, changes, strict=True
        )
    ]
    wholes = [pd.DataFrame([one.metrics], index=pd.Index([1], name="line")) for one in measured]
    of_batch = _each(wholes, batch_expectations(kind, params))
    return [
        Judged(batch, one.good, one.bad, _joined(one.superseded, change, notes), whole, rows, verdicts)
        for batch, one, change, notes, whole, rows, verdicts in zip(
            batches, sorted_rows, changes, covered, measured, of_rows, of_batch, strict=True
        )
    ]


def narrow(rows: LandedRows, kind: str) -> pa.Table:
    """The short columns of rows, in memory: all but texts and vectors, and how wide vectors are.

    Args:
        rows: of one file.
        kind: of the rows.

    Returns:
        One row each.
    """
    table = rows.table([name for name in rows.schema.names if name not in WIDE])
    if kind != VECTORS:
        return table
    return table.append_column("width", with_widths(rows)["width"])


def latest_arrivals(arrivals: Sequence[Arrival], params: IngestParams) -> tuple[Arrival, ...]:
    """What later batches are compared with; nothing during the trial (`trial_rows`).

    Args:
        arrivals: records of every landed file of a kind, oldest first.
        params: `drift_window` and `trial_rows`.

    Returns:
        The last ones, oldest first.
    """
    if sum(record.n_rows for record in arrivals) <= params.trial_rows:
        return ()
    return tuple(arrivals[-params.drift_window :])


def _each(frames: Sequence[pd.DataFrame], expected: Sequence[Expected]) -> list[tuple[Verdict, ...]]:
    """Check every frame in one call; each verdict names lines of its own frame."""
    lengths = [len(frame) for frame in frames]
    ends = np.cumsum(lengths)
    if not ends[-1]:
        return [()] * len(frames)
    lines = np.concatenate([frame.index.to_numpy() for frame in frames])
    joined = pd.concat(frames) if len(frames) > 1 else frames[0].copy()
    joined.index = pd.Index(np.arange(len(joined)), name="line")
    verdicts = judge(joined, expected)
    found: list[list[Verdict]] = [[] for _ in frames]
    for verdict in verdicts:
        rows = np.array(sorted(verdict.lines), np.int64)
        places = np.searchsorted(rows, [0, *ends])
        for n, of_frame in enumerate(found):
            of_frame.append(Verdict(verdict.expected, tuple(lines[rows[places[n] : places[n + 1]]].tolist())))
    return [tuple(one) if length else () for one, length in zip(found, lengths, strict=True)]


def _good_and_bad(batch: Batch, verdicts: Sequence[Verdict], frame: pd.DataFrame) -> _Sorted:
    """Good rows (the newest of each key), and bad rows with the first reason that applies."""
    given = batch.bad
    bad = BadRows([*given.lines], [*given.reasons], [*given.details], [*given.rows])
    unread = set(given.lines)
    verdict_of: dict[int, Expected] = {}
    for verdict in verdicts:
        for line in verdict.lines:
            if line not in unread:
                verdict_of.setdefault(line, verdict.expected)
    lines = batch.rows.table(["line"])["line"].to_numpy()
    is_bad = np.isin(lines, np.fromiter(verdict_of, np.int64, len(verdict_of)))
    for row in (row for some in batch.rows.where(is_bad).batches() for row in some.to_pylist()):
        expected = verdict_of[row["line"]]
        fault = BadRow(expected.reason, detail_of(expected, frame, row["line"]))
        bad.add(row["line"], fault, raw_row(batch.kind, row))
    good = batch.rows.where(~is_bad)
    kept, superseded = without_older(good, batch.kind) if KINDS[batch.kind].key else (good, Change())
    return _Sorted(kept, bad, superseded)


def _changes(
    kind: str, goods: Sequence[pa.Table], catalogue: Sequence[Part], own: Sequence[Part]
) -> tuple[Sequence[Change], int]:
    """What each batch changes, and how many things the kind holds (only computed if a batch deletes)."""
    if not KINDS[kind].key:
        ids = pa.chunked_array([chunk for rows in goods for chunk in rows["item_id"].chunks], pa.string())
        return pending_changes(goods, newest_among(catalogue, ids)["item_id"]), 0
    keys = pa.chunked_array([key for rows in goods for key in keys_of(rows, kind).chunks], pa.string())
    changes = keyed_changes(goods, newest_among(own, keys, kind), kind)
    if not any(change.n_deleted for change in changes):
        return changes, 0
    everything = newest_among(own, kind=kind)
    return changes, everything.num_rows - int(pc.sum(everything["deleted"]).as_py() or 0)


def _share(n_deleted: int, n_live: int) -> float:
    return n_deleted / n_live if n_live >= SMALL_CATALOGUE else 0.0


def _joined(within: Change, change: Change, covered: Sequence[str]) -> Change:
    notes = (*within.notes, *change.notes, *covered)
    return replace(change, n_superseded=within.n_superseded, notes=notes)
