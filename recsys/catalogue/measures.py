"""Measurements of each row and of the batch as a whole, which the expectations check."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from recsys.catalogue.batch import Batch
from recsys.catalogue.expectations import chars_of
from recsys.catalogue.kinds import CATALOGUE, KINDS, VECTORS
from recsys.catalogue.languages import languages
from recsys.catalogue.near_duplicates import n_near_duplicates
from recsys.catalogue.params import IngestParams
from recsys.catalogue.parts import Arrival, Statistics
from recsys.catalogue.plain_text import plain_text
from recsys.catalogue.vectors import has_width, widths_of

MIN_SAMPLE = 20
"""With fewer texts drift of length or language and boilerplate are not measured."""

LONG_TEXT_CHARS = 60
"""Shorter texts (titles) may be equal for different items."""

LANGUAGE_SAMPLE = 200
NEAR_DUPLICATE_SAMPLE = 5_000
KNOWN_LANGUAGE_SHARE = 0.02
"""A language with a smaller share in earlier samples counts as a detection error."""

_GARBLED = re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd\ue000-\uf8ff]")
_WORD = re.compile(r"[^\W_]")


def row_measures(batch: Batch, widths: Mapping[str, Mapping[str, int]]) -> pd.DataFrame:
    """One row per landed row, index `line`: what the row-level expectations check.

    Args:
        batch: the landed rows.
        widths: of vectors: view -> source -> numbers per vector.

    Returns:
        Columns that the row-level expectations name.
    """
    table, kind = batch.table, KINDS[batch.kind]
    columns: dict[str, object] = {"fault": np.full(table.num_rows, "", dtype=object)}
    for name in kind.names:
        values = table[name]
        columns[name] = np.array([value or None for value in values.to_pylist()], dtype=object)
        columns[chars_of(name)] = pc.utf8_length(values).to_numpy()
    if batch.kind == CATALOGUE:
        columns |= _item_measures(table)
    if batch.kind == VECTORS:
        columns["has_width"] = has_width(table, widths)
    columns["seconds"] = _seconds(table[kind.time])
    readable = pd.DataFrame(columns, index=pd.Index(table["line"].to_numpy(), name="line"))
    unread = pd.DataFrame(
        {"fault": batch.bad.reasons, **dict.fromkeys(kind.names, "")},
        index=pd.Index(batch.bad.lines, dtype=np.int64, name="line"),
    )
    return pd.concat([readable, unread]) if len(unread) else readable


def _item_measures(table: pa.Table) -> dict[str, object]:
    texts = texts_of(table)
    plain = [plain_text(text) for text in texts]
    deleted = table["deleted"].to_numpy()
    longest = [
        pc.utf8_length(table[name]).to_numpy() for name in ("title", "description", "image", "attributes")
    ]
    longest.append(pc.utf8_length(pc.binary_join(table["tags"], "|")).to_numpy())
    return {
        "has_text": deleted | np.array([bool(text) for text in plain], dtype=bool),
        "has_word": deleted | np.array([not text or bool(_WORD.search(text)) for text in plain], dtype=bool),
        "garbled_share": np.array([_garbled_share(text) for text in texts]),
        "longest_chars": np.max(longest, axis=0),
    }


def texts_of(table: pa.Table) -> list[str]:
    """Title, description and tags of each row in one text as landed, a line each."""
    tags = pc.binary_join(table["tags"], " ")
    joined = pc.binary_join_element_wise(table["title"], table["description"], tags, "\n")
    texts: list[str] = pc.utf8_trim_whitespace(joined).to_pylist()
    return texts


def _garbled_share(text: str) -> float:
    return len(_GARBLED.findall(text)) / len(text) if text and _GARBLED.search(text) else 0.0


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
    n_bad: int,
    deleted_share: float,
    before: Sequence[Arrival],
    params: IngestParams,
) -> Measured:
    """Measure a batch as a whole and against what was accepted before.

    Args:
        batch: the landed rows.
        good: those that passed the row-level expectations, one per item.
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
    if batch.kind != CATALOGUE:
        widths = widths_of(good) if batch.kind == VECTORS else {}
        return Measured(metrics, Statistics(n_landed=batch.n_landed, n_deletes=n_deletes, widths=widths), ())
    live = good.filter(pc.invert(good["deleted"]))
    statistics = _statistics(batch.n_landed, live, params).model_copy(update={"n_deletes": n_deletes})
    metrics |= {
        "boilerplate_share": statistics.boilerplate_share,
        "near_duplicate_texts": float(statistics.near_duplicate_texts),
        "length_drift": _length_drift(statistics, before),
        "other_language_share": _other_language_share(statistics, before),
    }
    return Measured(metrics, statistics, _histogram([len(text) for text in texts_of(live)]))


def missing_columns(batch: Batch) -> list[str]:
    """Required columns that the file does not have at all; of a group the ones that people would land."""
    lacking = [group for group in KINDS[batch.kind].required if not batch.columns & {*group}]
    return [" or ".join(", ".join(_landed(group)).rsplit(", ", 1)) for group in lacking]


def _landed(group: Sequence[str]) -> list[str]:
    """The columns of a group that bring something; a delete does not, and pseudonyms only we write."""
    return [name for name in group if name not in {"deleted", "user_pseudonym"}]


def _statistics(n_landed: int, live: pa.Table, params: IngestParams) -> Statistics:
    texts = [plain_text(text) for text in texts_of(live)]
    long_texts = [text for text in texts if len(text) >= LONG_TEXT_CHARS]
    commonest = max(Counter(long_texts).values(), default=0)
    step = max(1, len(long_texts) // NEAR_DUPLICATE_SAMPLE)
    medians = {}
    for name in ("title", "description"):
        lengths = [n for n in pc.utf8_length(live[name]).to_pylist() if n]
        if len(lengths) >= MIN_SAMPLE:
            medians[name] = float(median(lengths))
    return Statistics(
        n_landed=n_landed,
        n_texts=len(texts),
        median_chars=medians,
        languages=languages(texts[:: max(1, len(texts) // LANGUAGE_SAMPLE)][:LANGUAGE_SAMPLE]),
        n_language_sample=min(len(texts), LANGUAGE_SAMPLE),
        boilerplate_share=commonest / len(texts) if commonest > 1 and len(texts) >= MIN_SAMPLE else 0.0,
        near_duplicate_texts=n_near_duplicates(long_texts[::step], params.near_duplicate_similarity),
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


def _histogram(lengths: Sequence[int]) -> tuple[tuple[int, int, int], ...]:
    """Counts over doubling lengths."""
    if not lengths:
        return ()
    edges = [0, *(2**n for n in range(3, 3 + max(1, int(max(lengths)).bit_length() - 2)))]
    counts, _ = np.histogram(lengths, bins=edges)
    return tuple((lo, hi, int(n)) for lo, hi, n in zip(edges[:-1], edges[1:], counts, strict=True))
