"""An inverted index of a part as an Arrow file: which words occur in which items, and how often."""

import json
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recsys.catalogue.plain_text import plain_text
from recsys.features.details import live_rows, texts_of
from recsys.features.words import WORDS_VERSION, words
from recsys.storage.tables import in_blocks

# Shape suffixes: N live rows of a part, V terms, P postings.
POSTING = pa.struct([pa.field("row", pa.int32()), pa.field("count", pa.int32())])
SCHEMA = pa.schema(
    [("term", pa.string()), ("postings", pa.large_list(POSTING))], {"words_version": str(WORDS_VERSION)}
)
"""Terms, ascending by their UTF-8 bytes; for each its live rows, ascending, and how often it occurs there. The first
term is empty: its postings are all rows, with their numbers of words."""
SHORT_NUMBER = 4
"""An item id with at most this many digits is a row number, not a word: in a query it would be a year or an amount."""
SUFFIX = ".terms.arrow"


def terms_path(folder: Path, part: str, key: str) -> Path:
    """Where the terms of a part lie; the key is that of its details."""
    return folder / f"{part}-{key}{SUFFIX}"


def item_terms(groups: Iterable[pa.Table], attributes: Sequence[str]) -> pa.Table:
    """Count the words of the live rows of a part: of id, title, tags, description and the chosen attributes.

    Args:
        groups: catalogue rows of one part, in the format of `catalogue/parts.py`, some at a time.
        attributes: names of further columns whose values count as words.

    Returns:
        A table of SCHEMA; row numbers are those of the details of the part.
    """
    return text_terms(text for rows in groups for text in _texts(live_rows(rows), attributes))


def text_terms(texts: Iterable[str]) -> pa.Table:
    """Count the words of some texts, one row each.

    Args:
        texts: any.

    Returns:
        A table of SCHEMA.
    """
    counted = _counted(texts)
    terms = sorted(counted.place_of)  # by code points, which is by UTF-8 bytes
    rank_V = np.empty(len(terms), np.int32)
    rank_V[[counted.place_of[term] for term in terms]] = np.arange(len(terms), dtype=np.int32)
    rank_P = rank_V[counted.place_P]
    order_P = np.argsort(rank_P, kind="stable")  # rows stay ascending within a term
    n_rows = len(counted.n_words_N)
    ends_V = n_rows + np.cumsum(np.bincount(rank_P, minlength=len(terms)))
    row_P = np.concatenate([np.arange(n_rows, dtype=np.int32), counted.row_P[order_P]])
    count_P = np.concatenate([counted.n_words_N, counted.count_P[order_P]])
    postings = pa.StructArray.from_arrays([pa.array(row_P), pa.array(count_P)], fields=list(POSTING))
    offsets_V = pa.array(np.concatenate([[0, n_rows], ends_V]), pa.int64())
    lists = pa.LargeListArray.from_arrays(offsets_V, postings)
    return pa.Table.from_arrays([pa.array(["", *terms], pa.string()), lists], schema=SCHEMA)


@dataclass(frozen=True)
class _Counted:
    """Postings in the order of rows."""

    place_of: Mapping[str, int]
    """Term -> its place, in order of first occurrence."""
    place_P: NDArray[np.int32]
    row_P: NDArray[np.int32]
    count_P: NDArray[np.int32]
    n_words_N: NDArray[np.int32]


def _counted(texts: Iterable[str]) -> _Counted:
    place_of: dict[str, int] = {}
    places, rows, counts, lengths = array("i"), array("i"), array("i"), array("i")
    for row, text in enumerate(texts):
        found = words(text)
        counted = Counter(found)
        places.extend([place_of.setdefault(term, len(place_of)) for term in counted])
        rows.extend([row] * len(counted))
        counts.extend(counted.values())
        lengths.append(len(found))
    return _Counted(place_of, *(np.asarray(one, np.int32) for one in (places, rows, counts, lengths)))


def _texts(live: pa.Table, attributes: Sequence[str]) -> Iterator[str]:
    """All words of each row as one text; a field ends a line, so that no word reaches into the next."""
    for block in in_blocks(live):
        yield from _block_texts(block, attributes)


def _block_texts(live: pa.Table, attributes: Sequence[str]) -> Iterator[str]:
    columns = (live[name].to_pylist() for name in ("item_id", "title", "tags", "description", "attributes"))
    for item, title, tags, description, further in zip(*columns, strict=True):
        values = [] if item.isdigit() and len(item) <= SHORT_NUMBER else [item]
        values += [plain_text(one) for one in (title, *(tags or ()), description) if one]
        known = json.loads(further) if further and attributes else {}
        for name in attributes:
            values += texts_of(known.get(name))
        yield "\n".join(values)
