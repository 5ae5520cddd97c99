"""A landed batch before its judges: which rows are good, which are bad and why, and whether the batch may enter."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from recsys.catalogue.batch import BadRows, Batch, raw_row
from recsys.catalogue.columns import likely_names
from recsys.catalogue.expectations import Expected, Verdict, batch_expectations, judge, row_expectations
from recsys.catalogue.fields import BadRow
from recsys.catalogue.measures import Measured, batch_measures, missing_columns, newest_lines, row_measures
from recsys.catalogue.params import IngestParams
from recsys.catalogue.parts import Arrival, Part

MAX_LINES_SHOWN = 20


@dataclass(frozen=True)
class Judged:
    """A batch with its verdicts."""

    batch: Batch
    good: pa.Table
    """Rows that may enter, by line, still without a part id."""
    bad: BadRows
    """Rows for quarantine."""
    measured: Measured
    of_rows: tuple[Verdict, ...]
    of_batch: tuple[Verdict, ...]

    @property
    def failed(self) -> tuple[Verdict, ...]:
        """Batch-level expectations that do not hold."""
        return tuple(verdict for verdict in self.of_batch if not verdict.holds)

    @property
    def quarantined(self) -> dict[str, int]:
        """Reason -> rows, by name."""
        return dict(sorted(Counter(self.bad.reasons).items()))

    def lines(self) -> dict[str, tuple[int, ...]]:
        """Reason -> the first source lines."""
        found: dict[str, list[int]] = {}
        for line, reason in sorted(zip(self.bad.lines, self.bad.reasons, strict=True)):
            found.setdefault(reason, []).append(line)
        return {reason: tuple(found[reason][:MAX_LINES_SHOWN]) for reason in sorted(found)}


def judge_batch(
    batch: Batch, catalogue: Sequence[Part], before: Sequence[Arrival], params: IngestParams, now: datetime
) -> Judged:
    """Hold a batch against both suites.

    Args:
        batch: as read.
        catalogue: catalogue parts accepted so far.
        before: records of the last landed files of this kind.
        params: limits.
        now: the clock, for times in the future.

    Returns:
        Good rows, bad rows and every verdict.

    Raises:
        RecsysError: Great Expectations could not evaluate, or a part is damaged.
    """
    frame = row_measures(batch, catalogue)
    of_rows = judge(frame, row_expectations(batch.kind, params, now)) if len(frame) else ()
    of_rows = tuple(_among_sound_rows(verdict, batch, of_rows) for verdict in of_rows)
    good, bad = _parted(batch, of_rows, frame)
    measured = batch_measures(batch, good, before, params)
    whole = pd.DataFrame([measured.metrics], index=pd.Index([1], name="line"))
    of_batch = judge(whole, batch_expectations(batch.kind, params))
    return Judged(batch, good, bad, measured, of_rows, of_batch)


def latest_arrivals(parts: Sequence[Part], kind: str, window: int) -> tuple[Arrival, ...]:
    """Records of the last landed files of a kind, oldest first, merged ones included."""
    return tuple(landed for part in parts if part.kind == kind for landed in part.arrival.landed())[-window:]


def found_value(judged: Judged, expected: Expected) -> str:
    """What was measured where a batch-level expectation looked, for people."""
    if expected.reason == "missing_columns":
        return "missing: " + (", ".join(missing_columns(judged.batch)) or "none")
    value = judged.measured.metrics[expected.column]
    return f"{value:.1%}" if expected.column.endswith("share") else f"{value:,.6g}"


def remedy_of(judged: Judged, expected: Expected) -> str:
    """What to do where a batch-level expectation fails; names columns that may be the missing ones."""
    if expected.reason != "missing_columns":
        return expected.remedy
    lacking = [name.strip() for one in missing_columns(judged.batch) for name in re.split(",| or ", one)]
    likely = [(found[0], name) for name in lacking if (found := likely_names(judged.batch.columns, name))]
    return "; ".join([*(f"rename column {theirs!r} to {name}" for theirs, name in likely), expected.remedy])


def _among_sound_rows(verdict: Verdict, batch: Batch, verdicts: Sequence[Verdict]) -> Verdict:
    """Of duplicates: those that have a newer row which is sound itself; a bad row takes no good one with it."""
    if verdict.expected.reason != "duplicate_id" or verdict.holds:
        return verdict
    bad = {line for other in verdicts if other is not verdict for line in other.lines}
    is_sound = ~np.isin(batch.table["line"].to_numpy(), np.fromiter(bad, np.int64, len(bad)))
    kept = set(newest_lines(batch.table.filter(pa.array(is_sound))).tolist())
    return Verdict(verdict.expected, tuple(line for line in verdict.lines if line not in kept))


def _parted(batch: Batch, verdicts: Sequence[Verdict], frame: pd.DataFrame) -> tuple[pa.Table, BadRows]:
    """Good rows, and bad rows with the first reason that applies."""
    given = batch.bad
    bad = BadRows([*given.lines], [*given.reasons], [*given.details], [*given.rows])
    unread = set(batch.bad.lines)
    verdict_of: dict[int, Expected] = {}
    for verdict in verdicts:
        for line in verdict.lines:
            if line not in unread:
                verdict_of.setdefault(line, verdict.expected)
    is_bad = np.isin(batch.table["line"].to_numpy(), np.fromiter(verdict_of, np.int64, len(verdict_of)))
    for row in batch.table.filter(pa.array(is_bad)).to_pylist():
        expected = verdict_of[row["line"]]
        fault = BadRow(expected.reason, _detail(expected, frame, row["line"]))
        bad.add(row["line"], fault, raw_row(batch.kind, row))
    return batch.table.filter(pa.array(~is_bad)), bad


def _detail(expected: Expected, frame: pd.DataFrame, line: int) -> str:
    """What should hold and, where it is a size, what was found; no value of the row itself."""
    if expected.column not in {"id_chars", "longest_chars", "garbled_share"}:
        return f"expected: {expected.says}"
    found = float(frame[expected.column].loc[line])
    shown = f"{found:.0%}" if expected.column.endswith("share") else f"{int(found):,} characters"
    return f"expected: {expected.says}; found {shown}"
