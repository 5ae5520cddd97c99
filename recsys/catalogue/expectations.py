"""Great Expectations: one suite for rows (a bad row is quarantined), one for the batch (a bad batch is refused).

It gets measurements (`measures.py`), never a raw user id or a text.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from recsys.catalogue.fields import AS_UTF8
from recsys.catalogue.kinds import CATALOGUE, KINDS, VECTORS
from recsys.catalogue.params import IngestParams
from recsys.catalogue.suite_engine import suite_engine
from recsys.errors import RecsysError

MEANINGS = {
    "not_json": "the line is not a JSON object",
    "not_utf8": "a text is not UTF-8",
    "nul_byte": "a text holds a NUL character",
    "wrong_fields": "a CSV row has more or fewer fields than the header",
    "repeated_header": "a CSV row repeats the header",
    "duplicate_key": "a JSON object has a key twice",
    "wrong_type": "a value does not have the type of its column, or is ambiguous",
    "not_finite": "a number or time is NaN or infinite",
    "bad_timestamp": "a time has no form that is clear in its column",
    "bad_id": "an id holds a control character, or lost digits in a spreadsheet",
    "missing_user": "an interaction has no user_id",
    "unsigned_pseudonym": "a pseudonym has no valid signature",
    "bad_event": "an event is not one short word",
    "missing_id": "item_id is missing",
    "missing_name": "head, relation, tail, view or source is missing",
    "bad_view": "a view's name is not one short word, or is one of Firstlight's own views",
    "bad_vector": "a vector is missing, longer than ingest.max_vector_width, or all zeros",
    "bad_position": "a place in a list is below 1",
    "bad_propensity": "a probability to be shown is 0 or less, or above 1",
    "other_width": "a vector has another width than its view and source",
    "id_too_long": "an id is longer than ingest.max_id_chars",
    "future_timestamp": "a time lies in the future",
    "ancient_timestamp": "a time lies before ingest.earliest_year",
    "text_too_long": "a field is longer than ingest.max_text_chars",
    "no_text": "title, description and tags are empty, or only markup",
    "garbled_text": "a text is made of control and replacement characters",
    "no_word": "a text holds neither letter nor digit",
    "unknown_item": "the item did not arrive within ingest.max_pending_days",
}
"""Every quarantine reason, for people."""

REMEDIES = {
    "missing_user": "write user_id in every interaction",
    "unsigned_pseudonym": "land user_id; only `quarantine retry` lands pseudonyms",
    "id_too_long": "shorten the id, or raise ingest.max_id_chars in params.yaml",
    "bad_vector": "land a list of finite numbers, or a row with deleted",
    "other_width": "land all vectors of one source with one width; name another source for another model",
    "text_too_long": "shorten the text, or raise ingest.max_text_chars in params.yaml",
    "future_timestamp": "write times in UTC; ingest.future_tolerance_s says how far ahead they may lie",
    "ancient_timestamp": "write the time, or leave it out; ingest.earliest_year says what is too old",
    "bad_timestamp": "write times as ISO 8601 with a time zone, or as seconds since 1970",
    "wrong_type": "write one value of that type; of an object ingest.column_names takes one value: {title.en: title}",
    "bad_event": "write one short word for each kind of event, such as view; Product Viewed may be product_viewed",
    "not_utf8": AS_UTF8,
    "wrong_fields": "write as many fields as the header names; quote fields that hold a comma",
    "unknown_item": "land the item, then `recsys quarantine retry PART`",
}
"""Remedies for reasons where correcting the row is not the answer."""

MISSING_COLUMNS = "missing_columns"
MEND = "correct the rows in their source and land them again"

MAX_GARBLED_SHARE = 0.1
"""Share of control, private-use and replacement characters; text with more is garbled."""


@dataclass(frozen=True)
class Expected:
    """One expectation: what holds for every row (or for the batch), and the reason when it does not."""

    reason: str
    """Quarantine reason, or name of the batch check."""
    requirement: str
    """What must hold, for people."""
    column: str
    least: float | None = None
    most: float | None = None
    allowed: tuple[object, ...] = ()
    remedy: str = ""
    can_be_accepted: bool = False
    """Whether a person may overrule it with `--accept`."""


@dataclass(frozen=True)
class Verdict:
    """The result of one expectation."""

    expected: Expected
    lines: tuple[int, ...]
    """Source lines of the rows that failed."""

    @property
    def holds(self) -> bool:
        """Whether nothing failed."""
        return not self.lines


def row_expectations(kind: str, params: IngestParams, now: datetime) -> tuple[Expected, ...]:
    """What every row must satisfy; the first failure names the reason."""
    # What reading a row found out is in the measurement `fault`, under its own reason.
    readable = Expected("unreadable", "rows can be read: format, encoding, types", "fault", allowed=("",))
    return (
        readable,
        *_name_expectations(kind, params),
        *_time_expectations(params, now),
        *_of_kind(kind, params),
    )


def _name_expectations(kind: str, params: IngestParams) -> Iterator[Expected]:
    for name in KINDS[kind].names:
        yield Expected("missing_id" if name == "item_id" else "missing_name", f"{name} is there", name)
    for name in KINDS[kind].names:
        yield Expected("id_too_long", f"{name} has at most {params.max_id_chars:,} characters", chars_of(name),
                       most=params.max_id_chars)  # fmt: skip


def chars_of(name: str) -> str:
    """The measurement that holds the length of a column's values in characters."""
    return "id_chars" if name == "item_id" else f"{name}_chars"


def _time_expectations(params: IngestParams, now: datetime) -> Iterator[Expected]:
    earliest = datetime(params.earliest_year, 1, 1, tzinfo=UTC).timestamp()
    latest = now.timestamp() + params.future_tolerance_s
    yield Expected("future_timestamp", f"times lie at most {params.future_tolerance_s:,} s in the future", "seconds",
                   most=latest)  # fmt: skip
    yield Expected(
        "ancient_timestamp", f"times lie in {params.earliest_year} or later", "seconds", least=earliest
    )


def _of_kind(kind: str, params: IngestParams) -> tuple[Expected, ...]:
    yes = (True,)
    if kind == VECTORS:
        same = "vectors of one view and source have one width"
        return (Expected("other_width", same, "has_width", allowed=yes),)
    if kind != CATALOGUE:
        return ()
    chars = f"texts have at most {params.max_text_chars:,} characters"
    texts = "title, description or tags hold text, unless the item is deleted"
    return (
        Expected("text_too_long", chars, "longest_chars", most=params.max_text_chars),
        *(() if params.allow_without_text else (Expected("no_text", texts, "has_text", allowed=yes),)),
        Expected("garbled_text", "texts are not made of control and replacement characters", "garbled_share",
                 most=MAX_GARBLED_SHARE),
        Expected("no_word", "texts hold a letter or a digit", "has_word", allowed=yes),
    )  # fmt: skip


def batch_expectations(kind: str, params: IngestParams) -> tuple[Expected, ...]:
    """What a batch must satisfy as a whole."""
    accept = "correct the file and land it again, or let it in with `recsys ingest --accept BATCH --why TEXT`"
    common = (
        Expected("no_rows", "the file holds rows", "n_rows", least=1, remedy="write the file again with its rows"),
        Expected(MISSING_COLUMNS, "required columns are there", "missing_columns", most=0,
                 remedy="docs/landing.md lists the required columns; check the file's folder and ending, too"),
        Expected("too_many_columns", f"at most {params.max_columns} columns", "n_columns", most=params.max_columns,
                 remedy="land fewer columns, or raise ingest.max_columns in params.yaml"),
        Expected("too_many_bad_rows", f"at most {params.max_quarantined_share:.0%} of the rows are bad",
                 "quarantined_share", most=params.max_quarantined_share, remedy=accept, can_be_accepted=True),
        Expected("volume_drift", f"at most {params.max_volume_ratio:g} times the usual number of rows",
                 "volume_ratio", most=params.max_volume_ratio, remedy=accept, can_be_accepted=True),
    )  # fmt: skip
    if kind != CATALOGUE:
        return (*common, *_delete_expectations(kind, params))
    return (
        *common,
        *_delete_expectations(kind, params),
        Expected("boilerplate", f"at most {params.max_boilerplate_share:.0%} of the rows share one long text",
                 "boilerplate_share", most=params.max_boilerplate_share, remedy=accept, can_be_accepted=True),
        Expected("length_drift", f"texts are at most {params.max_length_drift:g} times longer or shorter than usual",
                 "length_drift", most=params.max_length_drift, remedy=accept, can_be_accepted=True),
        Expected("language_drift",
                 f"at most {params.max_other_language_share:.0%} of the texts are in a language new to the catalogue",
                 "other_language_share", most=params.max_other_language_share, remedy=accept, can_be_accepted=True),
    )  # fmt: skip


def _delete_expectations(kind: str, params: IngestParams) -> Iterator[Expected]:
    if KINDS[kind].key:
        whole = f"{KINDS[kind].holder}'s {KINDS[kind].things}"
        yield Expected("mass_delete", f"at most {params.max_deleted_share:.0%} of {whole} are deleted at once",
                       "deleted_share", most=params.max_deleted_share, can_be_accepted=True,
                       remedy="if intended: `recsys ingest --accept BATCH --why TEXT`; else land the file without "
                       "them")  # fmt: skip


def judge(frame: pd.DataFrame, expected: Sequence[Expected]) -> tuple[Verdict, ...]:
    """Check a frame against expectations.

    Args:
        frame: measurements, the source line as index `line`.
        expected: in the order of their precedence.

    Returns:
        One verdict per expectation, in the same order.

    Raises:
        RecsysError: Great Expectations could not evaluate one of them.
    """
    with _quiet():
        gx, whole = suite_engine()
        suite = gx.ExpectationSuite(
            name="suite", expectations=[_as_gx(gx, n, e) for n, e in enumerate(expected)]
        )
        batch = whole.get_batch({"dataframe": frame})
        found = batch.validate(suite, result_format={"result_format": "COMPLETE"})
    verdicts = {r.expectation_config.meta["number"]: _verdict(r, expected) for r in found.results}
    return tuple(verdicts[n] for n in range(len(expected)))


def _as_gx(gx: Any, number: int, wanted: Expected) -> Any:  # noqa: ANN401  great_expectations is loaded late
    kinds = gx.expectations
    meta = {"reason": wanted.reason, "number": number}
    if wanted.allowed:
        return kinds.ExpectColumnValuesToBeInSet(
            column=wanted.column, value_set=list(wanted.allowed), meta=meta
        )
    if wanted.least is None and wanted.most is None:
        return kinds.ExpectColumnValuesToNotBeNull(column=wanted.column, meta=meta)
    return kinds.ExpectColumnValuesToBeBetween(
        column=wanted.column, min_value=wanted.least, max_value=wanted.most, meta=meta
    )


def _verdict(result: Any, expected: Sequence[Expected]) -> Verdict:  # noqa: ANN401
    wanted = expected[result.expectation_config.meta["number"]]
    if result.success:
        return Verdict(wanted, ())
    if "unexpected_index_list" not in result.result:
        words = str(result.exception_info)[:500]
        raise RecsysError(f"Great Expectations could not check {wanted.reason!r}: {words}")
    return Verdict(wanted, tuple(int(entry["line"]) for entry in result.result["unexpected_index_list"]))


@contextmanager
def _quiet() -> Iterator[None]:
    """No telemetry, no progress bars, no log lines, no warnings from inside the library."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
