"""What was found and what to do where an expectation fails, in words for people."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

import pandas as pd

from recsys.catalogue.batch import Batch
from recsys.catalogue.expectations import MISSING_COLUMNS, Expected
from recsys.catalogue.kinds import KINDS
from recsys.catalogue.likely_columns import as_our_own, likely_names
from recsys.catalogue.measures import missing_columns


def found_value(batch: Batch, metrics: Mapping[str, float], expected: Expected) -> str:
    """The measured value that a batch-level expectation checks, for people."""
    if expected.reason == MISSING_COLUMNS:
        return "missing: " + (", ".join(missing_columns(batch)) or "none")
    value = metrics[expected.column]
    return f"{value:.1%}" if expected.column.endswith("share") else f"{value:,.6g}"


def remedy_of(batch: Batch, expected: Expected) -> str:
    """What to do where a batch-level expectation fails; names columns that may be the missing ones."""
    if expected.reason != MISSING_COLUMNS:
        return expected.remedy
    lacking = [name.strip() for one in missing_columns(batch) for name in re.split(",| or ", one)]
    lacking += [name for name in KINDS[batch.kind].columns if name not in {*lacking, *batch.columns}]
    likely = {name: found[0] for name in lacking if (found := likely_names(batch.candidates, name))}
    if (
        batch.list_of_items
        and "item_id" in lacking
        and (KINDS[batch.kind].of_people or "item_id" not in likely)
    ):
        return f"a row holds several items, in {batch.list_of_items!r}: write a row for each of them"
    theirs = {
        column: name for name, column in reversed(likely.items())
    }  # a column has one meaning, the first
    first = [as_our_own(batch.kind, dict(reversed(theirs.items())))] if theirs else []
    if batch.columns and not theirs and not batch.columns & {*KINDS[batch.kind].columns}:
        first = [
            "ingest.column_names in params.yaml says what your columns mean; if the first row holds values, write a "
            "row of column names above it"
        ]
    elif "item_id" in lacking and "item_id" not in likely and len(batch.ignored) > 1:
        first.append("if each item has a column of its own, write a row for each user and item")
    return "; ".join([*first, expected.remedy])


def detail_of(expected: Expected, frame: pd.DataFrame, line: int) -> str:
    """What was expected and what was found: a size or a time, never a text of the row."""
    if expected.column not in {"garbled_share", "seconds"} and not expected.column.endswith("_chars"):
        return f"expected: {expected.requirement}"
    found = float(frame[expected.column].loc[line])
    if expected.column == "seconds":
        # Of interactions no value may be shown; these have no text measures.
        if "has_text" not in frame:
            return f"expected: {expected.requirement}"
        return f"expected: {expected.requirement}; found updated_at {_time(found)}"
    shown = f"{found:.0%}" if expected.column.endswith("share") else f"{int(found):,} characters"
    return f"expected: {expected.requirement}; found {shown}"


def _time(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    except (OverflowError, ValueError, OSError):
        return f"{seconds:,.0f} s after 1970"
