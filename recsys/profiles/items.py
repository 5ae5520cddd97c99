"""Item profiles in segments, one pair of files per part; and the live row of each item."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recsys.catalogue.known import part_ranks
from recsys.catalogue.parts import sequence_of
from recsys.errors import ArtifactMissing
from recsys.profiles.item_ids import ItemIds

# Shape suffixes: R rows of all segments, I live items, D dimension.
SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("text_hash", pa.string()),
        ("updated_at", pa.timestamp("us", tz="UTC")),
        ("deleted", pa.bool_()),  # true as well for a live row that waits for a profile
        ("tags", pa.list_(pa.string())),
        ("part", pa.string()),
        ("line", pa.int64()),
    ]
)
CONTENT_HASH = "content_hash"
"""Further column where the head joins views: then the key of a profile does not depend on the text alone."""
VIEW_SHARES = "view_shares"
"""Further column where the head joins views: a struct with the share of each part in an item's profile, see
`heads/view_shares.py`; null for a deleted item."""
NAME = re.compile(r"(?P<part>\d+-.+)-(?P<key>[0-9a-f]{16})")
ROWS = ".rows.parquet"
VECTORS = ".vectors.npy"
HASH_DIGITS = 64


@dataclass(frozen=True)
class Segment:
    """The profiles of one part: rows (live rows, then deletes), and vectors of the live rows."""

    name: str
    """<part>-<key16>."""
    parts: tuple[str, ...]
    """Parts whose rows it holds."""
    rows_path: Path
    vectors_path: Path

    def rows(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows as SCHEMA, with CONTENT_HASH and VIEW_SHARES where the head joins views; or only the named columns."""
        with pq.ParquetFile(self.rows_path) as file:  # pq.read_table would import pandas
            return file.read() if columns is None else file.read(list(columns)).select(list(columns))

    @property
    def has_shares(self) -> bool:
        """Whether the rows say how much text, words and views contribute to the profiles."""
        return VIEW_SHARES in pq.read_schema(self.rows_path).names

    def shares(self) -> pa.Table:
        """A column for each part of the head, float32; see VIEW_SHARES, which the rows must have."""
        return pa.Table.from_struct_array(self.rows([VIEW_SHARES])[VIEW_SHARES])

    def vectors(self) -> NDArray[np.float32]:
        """float32 [n_live, D], memory-mapped; row i belongs to row i of `rows`."""
        with self.vectors_path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            header = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = header(file)
        if 0 in shape:  # an empty region cannot be mapped
            return np.empty(shape, dtype)
        vectors: NDArray[np.float32] = np.load(self.vectors_path, mmap_mode="r")
        return vectors

    def n_waiting(self) -> int:
        """How many of its items have no profile yet, see `SegmentDraft.finish`."""
        n_vectors = len(self.vectors())
        return int(np.asarray(self.rows(["deleted"])["deleted"], bool)[:n_vectors].sum())


@dataclass(frozen=True)
class Latest:
    """The newest row of every live item, in order of segment and row."""

    item_ids: ItemIds
    segment_of_item: NDArray[np.int32]
    """Position of the segment among the given ones."""
    row_of_item: NDArray[np.int64]
    """Row in the segment, and in its vectors."""

    def bounds(self, n_segments: int) -> NDArray[np.int64]:
        """Where the live items of each segment begin, and those of the last one end, [n_segments + 1].

        They are one stretch, since items are in order of segment.
        """
        return np.searchsorted(self.segment_of_item, np.arange(n_segments + 1))


@dataclass(frozen=True)
class ItemProfiles:
    """All live profiles."""

    ids: tuple[str, ...]
    vectors: NDArray[np.float32]
    """[I, D], rows of length 1, in the order of `ids`."""


def list_segments(folder: Path) -> tuple[Segment, ...]:
    """List every complete segment of a folder, in order of parts.

    Args:
        folder: artifacts/profiles/<role>.

    Returns:
        Segments, oldest part first.

    Raises:
        ArtifactMissing: the folder does not exist; stage `profiles` makes it.
    """
    if not folder.is_dir():
        remedy = f"dvc repro profiles@{folder.name}"
        raise ArtifactMissing(f"{folder} does not exist", remedy=remedy)
    names = (path.name.removesuffix(ROWS) for path in folder.glob(f"[!.]*{ROWS}"))
    found = [segment_of(folder, name) for name in names if NAME.fullmatch(name)]
    return tuple(sorted(found, key=lambda segment: (sequence_of(segment.parts[0]), segment.name)))


def segment_of(folder: Path, name: str) -> Segment:
    """The segment `<part>-<key16>` of a folder, whether or not it exists.

    Args:
        folder: artifacts/profiles/<role>.
        name: the segment's.

    Returns:
        The segment with its paths.

    Raises:
        ValueError: the name has another form.
    """
    match = NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"a segment is called <part>-<key16>, got {name!r}")
    return Segment(name, (match["part"],), folder / f"{name}{ROWS}", folder / f"{name}{VECTORS}")


def segment_name(part: str, content_key: str, profiles_hash: str) -> str:
    """<part>-<16 hex digits of the SHA-256 over `FeatureFile.content_key` and `ModelReference.profiles_hash`>."""
    return f"{part}-{hashlib.sha256(f'{content_key} {profiles_hash}'.encode()).hexdigest()[:16]}"


def segment_is_whole(segment: Segment, n_rows: int, dim: int) -> bool:
    """Whether both files exist with readable headers and the expected sizes; cheap enough for every run."""
    if not is_sound(segment, dim):
        return False
    found: int = pq.read_metadata(segment.rows_path).num_rows
    return found == n_rows


def is_sound(segment: Segment, dim: int) -> bool:
    """Whether both files exist with readable headers that fit each other."""
    try:
        n_rows: int = pq.read_metadata(segment.rows_path).num_rows
        n_live, width = segment.vectors().shape
    except (OSError, ValueError, pa.ArrowException):
        return False
    return bool(n_live <= n_rows and width == dim)


def latest(segments: Sequence[Segment]) -> Latest:
    """Find the newest row of every item: by `updated_at`, then part, then line.

    Deleted items are left out. A missing `updated_at` counts as oldest.
    """
    if not segments:
        return Latest(ItemIds([]), np.empty(0, np.int32), np.empty(0, np.int64))
    tables = [segment.rows(["item_id", "deleted"]) for segment in segments]
    all_rows, lengths = pa.concat_tables(tables), [len(table) for table in tables]
    segment_R = np.repeat(np.arange(len(segments), dtype=np.int32), lengths)
    row_R = np.concatenate([np.arange(n, dtype=np.int64) for n in lengths])
    is_newest_R = _is_newest(segments, _codes(all_rows["item_id"]), segment_R, row_R)
    winners = np.flatnonzero(is_newest_R & ~np.asarray(all_rows["deleted"], bool))
    ids = all_rows["item_id"].combine_chunks()
    if len(winners) < len(ids):
        ids = ids.take(pa.array(winners))
    return Latest(ItemIds(ids), segment_R[winners], row_R[winners])


def _is_newest(
    segments: Sequence[Segment],
    item_R: NDArray[np.int64],
    segment_R: NDArray[np.int32],
    row_R: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Which rows of all segments are the newest of their items; only items with several rows are compared."""
    is_newest_R: NDArray[np.bool_] = np.bincount(item_R)[item_R] == 1
    if is_newest_R.all():
        return is_newest_R
    repeated = np.flatnonzero(~is_newest_R)
    table = pa.concat_tables([segment.rows(["updated_at", "part", "line"]) for segment in segments])
    stamps = table["updated_at"].cast(pa.int64()).fill_null(np.iinfo(np.int64).min).to_numpy()[repeated]
    lines, ranks = table["line"].to_numpy()[repeated], part_ranks(table["part"])[repeated]
    items = item_R[repeated]
    newest_last = np.lexsort((row_R[repeated], segment_R[repeated], lines, ranks, stamps, items))
    is_last = np.append(np.diff(items[newest_last]) != 0, True)
    is_newest_R[repeated[newest_last[is_last]]] = True
    return is_newest_R


def same_content(
    segments: Sequence[Segment], hashes_N: NDArray[np.bytes_], column: str = "text_hash"
) -> Iterator[tuple[Segment, NDArray[np.int64], NDArray[np.int64]]]:
    """Find content that segments hold too, so that its profiles can be copied.

    Args:
        segments: made by the wanted encoder and head.
        hashes_N: hashes of 64 hex digits, ascending and distinct.
        column: holds the hashes in the segments: text_hash, or CONTENT_HASH where the head joins views.

    Yields:
        A segment; places among `hashes_N`; and the segment's live row for each of them. A later one overrules.
    """
    for segment in segments if len(hashes_N) else ():
        theirs = hash_array(segment.rows([column])[column])[: len(segment.vectors())]
        places = np.minimum(np.searchsorted(hashes_N, theirs), len(hashes_N) - 1)
        same = np.flatnonzero(hashes_N[places] == theirs)
        yield segment, places[same], same


def hash_array(column: pa.ChunkedArray) -> NDArray[np.bytes_]:
    """A column of hashes, 64 hex digits each, without a Python object for each of them: S64 [N]."""
    fixed = column.cast(pa.binary(HASH_DIGITS)).combine_chunks()
    values = np.frombuffer(fixed.buffers()[1] or b"", f"S{HASH_DIGITS}")
    return values[fixed.offset : fixed.offset + len(fixed)]


def load_profiles(segments: Sequence[Segment]) -> ItemProfiles:
    """Gather the vectors of all live items, in the order of `latest`.

    Args:
        segments: of one model.

    Returns:
        Ids and vectors.

    Raises:
        ValueError: segments have different dimensions.
    """
    found = latest(segments)
    all_vectors = [segment.vectors() for segment in segments]
    dims = {vectors.shape[1] for vectors in all_vectors}
    if len(dims) > 1:
        raise ValueError(f"segments have vectors of different dimensions {sorted(dims)}: not of one encoder")
    gathered = np.empty((len(found.item_ids), dims.pop() if dims else 0), np.float32)
    bounds = found.bounds(len(segments))
    for position, vectors in enumerate(all_vectors):
        start, end = bounds[position], bounds[position + 1]
        gathered[start:end] = vectors[found.row_of_item[start:end]]
    return ItemProfiles(tuple(found.item_ids), gathered)


def _codes(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """One integer per distinct string, in order of first occurrence."""
    indices = column.combine_chunks().dictionary_encode().indices
    return np.asarray(indices.to_numpy(zero_copy_only=False), np.int64)
