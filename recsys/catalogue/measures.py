"""Measurements of each row and of the batch as a whole, which the expectations check."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.catalogue.arrival import Arrival, Statistics
from recsys.catalogue.batch import Batch
from recsys.catalogue.expectations import chars_of
from recsys.catalogue.kinds import KINDS, VECTORS
from recsys.catalogue.languages import languages
from recsys.catalogue.near_duplicates import n_near_duplicates
from recsys.catalogue.params import IngestParams
from recsys.catalogue.text_measures import TextMeasures, plain_texts
from recsys.catalogue.vectors import widths_of

MIN_SAMPLE = 20
"""With fewer texts drift of length or language and boilerplate are not measured."""

LONG_TEXT_CHARS = 60
"""Shorter texts (titles) may be equal for different items."""

LANGUAGE_SAMPLE = 200
NEAR_DUPLICATE_SAMPLE = 5_000
KNOWN_LANGUAGE_SHARE = 0.02
"""A language with a smaller share in earlier samples counts as a detection error."""


def row_measures(
    batch: Batch, texts: TextMeasures | None, has_width_R: NDArray[np.bool_] | None
) -> pd.DataFrame:
    """One row per landed row, index `line`: what the row-level expectations check.

    Args:
        batch: the landed rows.
        texts: of a catalogue's rows; None: it is another kind.
        has_width_R: of vectors: whether each is as wide as its view and source say; None: it is another kind.

    Returns:
        Columns that the row-level expectations name.
    """
    kind = KINDS[batch.kind]
    more = ["deleted"] if texts else []
    table = batch.rows.table([*kind.names, kind.time, "line", *more])
    columns: dict[str, object] = {"fault": np.full(table.num_rows, "", dtype=object)}
    for name in kind.names:
        values = table[name]
        columns[name] = np.array([value or None for value in values.to_pylist()], dtype=object)
        columns[chars_of(name)] = pc.utf8_length(values).to_numpy()
    if texts:
        columns |= _item_measures(texts, np.asarray(table["deleted"].to_numpy(), np.bool_))
    if has_width_R is not None:
        columns["has_width"] = has_width_R
    columns["seconds"] = _seconds(table[kind.time])
    readable = pd.DataFrame(columns, index=pd.Index(table["line"].to_numpy(), name="line"))
    unread = pd.DataFrame(
        {"fault": batch.bad.reasons, **dict.fromkeys(kind.names, "")},
        index=pd.Index(batch.bad.lines, dtype=np.int64, name="line"),
    )
    return pd.concat([readable, unread]) if len(unread) else readable


def _item_measures(texts: TextMeasures, deleted_R: NDArray[np.bool_]) -> dict[str, object]:
    has_text_R = texts.plain_chars_R > 0
    return {
        "has_text": deleted_R | has_text_R,
        "has_word": deleted_R | ~has_text_R | texts.has_word_R,
        "garbled_share": texts.garbled_share_R,
        "longest_chars": texts.longest_R,
    }


def _seconds(times: pa.ChunkedArray) -> np.ndarray:
    """Seconds since 1970, NaN where there is no time."""
    micros = times.cast(pa.int64()).cast(pa.float64(), safe=False).to_numpy()
    return np.asarray(micros, dtype=np.float64) / 1e6


@dataclass(frozen=True)
class Measured:
    """A batch as a whole."""

    metrics: dict[str, float]
    """What the batch-level expectations check."""
    statistics: Statistics
    """What later batches are compared with."""
    length_histogram: tuple[tuple[int, int, int], ...]
    """(from, below, count) of text lengths in characters, for the report."""


def batch_measures(
    batch: Batch,
    good: pa.Table,
    texts: TextMeasures | None,
    n_bad: int,
    deleted_share: float,
    before: Sequence[Arrival],
    params: IngestParams,
) -> Measured:
    """Measure a batch as a whole and against what was accepted before.

    Args:
        batch: the landed rows.
        good: those that passed the row-level expectations, one per item, as `narrow` gives them.
        texts: of a catalogue's landed rows; None: it is another kind.
        n_bad: rows for quarantine.
        deleted_share: share of the catalogue that it deletes.
        before: records of the last landed files of this kind, oldest first; none where there is nothing to compare.
        params: windows and similarities.

    Returns:
        Metrics for the expectations, statistics for later batches, a histogram for the page.
    """
    kind = KINDS[batch.kind]
    n_deletes = int(pc.sum(good["deleted"]).as_py() or 0) if kind.key else 0
    metrics = {
        "n_rows": float(batch.n_landed),
        "n_columns": float(len(batch.columns)),
        "missing_columns": float(len(missing_columns(batch))),
        "quarantined_share": n_bad / max(1, batch.n_landed),
        # A list of tombstones that grows from day to day is ordinary: `deleted_share` looks at deletes.
        "volume_ratio": _volume_ratio(batch.n_landed - n_deletes, before),
    }
    if kind.key:
        metrics["deleted_share"] = deleted_share
    if texts is None:
        widths = widths_of(good) if batch.kind == VECTORS else {}
        return Measured(metrics, Statistics(n_landed=batch.n_landed, n_deletes=n_deletes, widths=widths), ())
    live_lines = good.filter(pc.invert(good["deleted"]))["line"].to_numpy()
    live_P = np.flatnonzero(np.isin(batch.rows.table(["line"])["line"].to_numpy(), live_lines))
    statistics = _statistics(batch, texts, live_P, params).model_copy(update={"n_deletes": n_deletes})
    metrics |= {
        "boilerplate_share": statistics.boilerplate_share,
        "near_duplicate_texts": float(statistics.near_duplicate_texts),
        "length_drift": _length_drift(statistics, before),
        "other_language_share": _other_language_share(statistics, before),
    }
    return Measured(metrics, statistics, _histogram(texts.chars_R[live_P]))


def missing_columns(batch: Batch) -> list[str]:
    """Required columns that the file does not have at all; of a group the ones that people would land."""
    lacking = [group for group in KINDS[batch.kind].required if not batch.columns & {*group}]
    return [" or ".join(", ".join(_landed(group)).rsplit(", ", 1)) for group in lacking]


def _landed(group: Sequence[str]) -> list[str]:
    """The columns of a group that bring something; a delete does not, and pseudonyms only we write."""
    return [name for name in group if name not in {"deleted", "user_pseudonym"}]


def _statistics(
    batch: Batch, texts: TextMeasures, live_P: NDArray[np.int64], params: IngestParams
) -> Statistics:
    """Statistics of the rows at these places: texts are read again only where they are sampled."""
    long_P = live_P[texts.plain_chars_R[live_P] >= LONG_TEXT_CHARS]
    counts = np.unique(texts.plain_hash_R[long_P], return_counts=True)[1]
    commonest = int(counts.max(initial=0))
    medians = {}
    for name, chars_R in (("title", texts.title_chars_R), ("description", texts.description_chars_R)):
        chars_P = chars_R[live_P]
        if np.count_nonzero(chars_P) >= MIN_SAMPLE:
            medians[name] = float(np.median(chars_P[chars_P > 0]))
    n_texts = len(live_P)
    sampled_P = live_P[:: max(1, n_texts // LANGUAGE_SAMPLE)][:LANGUAGE_SAMPLE]
    compared_P = long_P[:: max(1, len(long_P) // NEAR_DUPLICATE_SAMPLE)]
    return Statistics(
        n_landed=batch.n_landed,
        n_texts=n_texts,
        median_chars=medians,
        languages=languages(plain_texts(batch.rows, sampled_P)),
        n_language_sample=len(sampled_P),
        boilerplate_share=commonest / n_texts if commonest > 1 and n_texts >= MIN_SAMPLE else 0.0,
        near_duplicate_texts=n_near_duplicates(
            plain_texts(batch.rows, compared_P), params.near_duplicate_similarity
        ),
    )


def _volume_ratio(n_rows: int, before: Sequence[Arrival]) -> float:
    sizes = [a.statistics.n_landed - a.statistics.n_deletes for a in before]
    sizes = [size for size in sizes if size]
    return n_rows / max(1.0, median(sizes)) if sizes else 1.0


def _length_drift(now: Statistics, before: Sequence[Arrival]) -> float:
    """The largest factor by which a field's median length moved, up or down."""
    drift = 1.0
    for name, chars in now.median_chars.items():
        earlier = [a.statistics.median_chars[name] for a in before if name in a.statistics.median_chars]
        if earlier:
            ratio = chars / median(earlier)
            drift = max(drift, ratio, 1 / ratio)
    return drift


def _other_language_share(now: Statistics, before: Sequence[Arrival]) -> float:
    """Share of sampled texts in a language that is new to the catalogue."""
    counts: Counter[str] = Counter()
    for arrival in before:
        counts.update(arrival.statistics.languages)
    total = sum(counts.values())
    if total < MIN_SAMPLE or now.n_language_sample < MIN_SAMPLE:
        return 0.0
    known = {language for language, n in counts.items() if n >= KNOWN_LANGUAGE_SHARE * total}
    return sum(n for language, n in now.languages.items() if language not in known) / now.n_language_sample


def _histogram(lengths: NDArray[np.int64]) -> tuple[tuple[int, int, int], ...]:
    """Counts over doubling lengths."""
    if not len(lengths):
        return ()
    edges = [0, *(2**n for n in range(3, 3 + max(1, int(max(lengths)).bit_length() - 2)))]
    counts, _ = np.histogram(lengths, bins=edges)
    return tuple((lo, hi, int(n)) for lo, hi, n in zip(edges[:-1], edges[1:], counts, strict=True))
