"""Measurements of each catalogue row's text, made batch by batch: of a text only numbers and a hash stay in memory."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.catalogue.landed_rows import LandedRows
from recsys.catalogue.plain_text import plain_text

# Shape suffix: R rows of a batch.
TEXT_COLUMNS = ("title", "description", "tags")
_MEASURED = (*TEXT_COLUMNS, "image", "attributes")
_GARBLED = re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd\ue000-\uf8ff]")
_WORD = re.compile(r"[^\W_]")


@dataclass(frozen=True)
class TextMeasures:
    """One entry per row. A text is title, description and tags, a line each; plain is without markup."""

    chars_R: NDArray[np.int64]
    """Characters of the text as it landed."""
    plain_chars_R: NDArray[np.int64]
    plain_hash_R: NDArray[np.uint64]
    """Equal for equal plain texts."""
    has_word_R: NDArray[np.bool_]
    """Whether the plain text holds a letter or a digit."""
    garbled_share_R: NDArray[np.float64]
    """Share of control, private-use and replacement characters."""
    longest_R: NDArray[np.int64]
    """Characters of the longest field, attributes included."""
    title_chars_R: NDArray[np.int64]
    description_chars_R: NDArray[np.int64]


def text_measures(rows: LandedRows) -> TextMeasures:
    """Measure the texts of a catalogue's rows.

    Args:
        rows: of one file.

    Returns:
        One entry per row.
    """
    schema = pa.schema([rows.schema.field(name) for name in _MEASURED])
    measured = [_measured(batch) for batch in rows.batches(_MEASURED)]
    measured = measured or [_measured(pa.RecordBatch.from_pylist([], schema))]
    return TextMeasures(*(np.concatenate(column) for column in zip(*measured, strict=True)))


def plain_texts(rows: LandedRows, places_P: NDArray[np.int64]) -> list[str]:
    """The plain texts of a few rows.

    Args:
        rows: of one file.
        places_P: rows in ascending order, without repeats.

    Returns:
        A text each.
    """
    is_wanted_R = np.zeros(rows.num_rows, np.bool_)
    is_wanted_R[places_P] = True
    return [
        plain_text(text) for batch in rows.where(is_wanted_R).batches(TEXT_COLUMNS) for text in _texts(batch)
    ]


def _measured(batch: pa.RecordBatch) -> tuple[NDArray[np.generic], ...]:
    """Fields of `TextMeasures`, in order."""
    texts = _texts(batch)
    plain = [plain_text(text) for text in texts]
    lengths = {name: _chars(batch[name]) for name in _MEASURED if name != "tags"}
    tags = _chars(pc.binary_join(batch["tags"], "|"))
    return (
        _whole(map(len, texts)),
        _whole(map(len, plain)),
        np.fromiter(map(_hash, plain), np.uint64, len(plain)),
        np.array([bool(_WORD.search(text)) for text in plain], np.bool_),
        np.array([_garbled_share(text) for text in texts], np.float64),
        np.max([*lengths.values(), tags], axis=0),
        lengths["title"],
        lengths["description"],
    )


def _texts(batch: pa.RecordBatch) -> list[str]:
    tags = pc.binary_join(batch["tags"], " ")
    joined = pc.binary_join_element_wise(batch["title"], batch["description"], tags, "\n")
    texts: list[str] = pc.utf8_trim_whitespace(joined).to_pylist()
    return texts


def _chars(column: pa.Array) -> NDArray[np.int64]:
    return np.asarray(pc.utf8_length(column), np.int64)


def _whole(numbers: Iterable[int]) -> NDArray[np.int64]:
    return np.fromiter(numbers, np.int64)


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def _garbled_share(text: str) -> float:
    return len(_GARBLED.findall(text)) / len(text) if text and _GARBLED.search(text) else 0.0
