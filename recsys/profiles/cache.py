"""The vector cache: vectors by the hash of their text, in immutable pairs of files that runs and workspaces share.

A pair is `<content hash>.keys.npy`, uint8 [n, 40] (SHA-256 of the text, then 8 bytes of BLAKE2b of its vector), and
`<content hash>.vectors.npy`, float32 [n, D]. The name is the SHA-256 of the keys, and the keys hold checksums of the
vectors, so each vector is checked when it is read, without reading the others. Vectors are written first: a pair exists
if its keys exist. A loss of files costs time, never a result.
"""

import hashlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recsys.storage.arrays import let_go
from recsys.storage.atomic import TEMPORARY_PREFIX, time_of_folder, whole_file

# Shape suffixes: N requested rows, M rows of a pair, D dimension.
KEYS = ".keys.npy"
VECTORS = ".vectors.npy"
HASH_BYTES = 32
SUM_BYTES = 8
# Pairs of similar size are merged: 16 pairs of 256..4,095 rows become one, then 16 of 4,096..65,535, and so on. So a
# vector is rewritten only a few times, and an arrival never touches large pairs.
MERGE_AT = 16
ABANDONED_S = 24 * 3600
COPIED_AT_ONCE = 65_536
"""Vectors that are read from a file at once; bounds memory."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Pair:
    name: str
    keys: NDArray[np.uint8]
    vectors: NDArray[np.float32]
    """Memory-mapped."""

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """Rows, sorted by the first bytes of their hashes."""
        return np.argsort(_prefixes(self.keys), kind="stable")

    @cached_property
    def sorted_prefixes(self) -> NDArray[np.uint64]:
        return _prefixes(self.keys)[self.order]


class VectorCache:
    """Vectors of one encoder and one preprocessing version, in one folder."""

    def __init__(self, folder: Path, dim: int) -> None:
        self.folder = folder
        self.dim = dim
        self._pairs: dict[str, _Pair] = {}

    def holds(self, text_hashes: Sequence[str]) -> NDArray[np.bool_]:
        """Whether there is a vector for each text hash [N]; only `read` checks the vectors themselves."""
        found_N = np.zeros(len(text_hashes), np.bool_)
        wanted = key_rows(text_hashes)
        for _, of_N, _ in self._hits(wanted):
            found_N[of_N] = True
        return found_N

    def read(self, text_hashes: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read vectors by text hash.

        Args:
            text_hashes: 64 hex digits each.

        Returns:
            float32 [N, D], and whether each was found. A damaged pair is dropped with a warning; its vectors are not
            found.
        """
        vectors_ND = np.zeros((len(text_hashes), self.dim), np.float32)
        found_N = np.zeros(len(text_hashes), np.bool_)
        wanted = key_rows(text_hashes)
        for pair, of_N, rows in self._hits(wanted):
            # In the order of the file, so that a memory map is read forward.
            order = np.argsort(rows)
            of_N, rows = of_N[order], rows[order]
            if _copied(pair, rows, vectors_ND, of_N):
                found_N[of_N] = True
            else:
                vectors_ND[of_N] = 0
                self._drop(pair.name, "a vector is not what was written")
        return vectors_ND, found_N

    def add(self, text_hashes: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Store vectors as one new pair.

        Args:
            text_hashes: 64 hex digits each, without repeats.
            vectors: float32 [N, D], in the same order.

        Raises:
            ValueError: counts differ, or width or type is wrong.
        """
        if vectors.dtype != np.float32 or vectors.shape != (len(text_hashes), self.dim):
            wanted = f"float32 [{len(text_hashes)}, {self.dim}]"
            raise ValueError(f"needs {wanted}, got {vectors.dtype} {list(vectors.shape)}")
        if len(vectors):
            self._write(np.hstack([key_rows(text_hashes), _sums(vectors)]), [vectors])

    def merge(self) -> None:
        """Merge small pairs of similar size into larger ones, and delete what killed writers left over a day ago.

        Safe to kill: the merged pair is complete before the small ones are deleted.
        """
        while pairs := self._full_tier():
            self._merge_pairs(pairs)
        self._sweep()

    def _full_tier(self) -> list[_Pair]:
        tiers: dict[int, list[_Pair]] = {}
        for pair in self._current():
            tier = tiers.setdefault(_tier(len(pair.keys)), [])
            tier.append(pair)
            if len(tier) == MERGE_AT:
                return tier
        return []

    def _merge_pairs(self, pairs: list[_Pair]) -> None:
        keys = np.concatenate([pair.keys for pair in pairs])
        _, first = np.unique(keys[:, :HASH_BYTES], axis=0, return_index=True)
        kept = np.zeros(len(keys), np.bool_)
        kept[first] = True
        ends = np.cumsum([len(pair.keys) for pair in pairs])
        chosen = np.split(kept, ends[:-1])
        # Pair by pair, since the merged vectors may exceed memory. Checksums are copied, so damage stays detectable.
        blocks = (np.asarray(pair.vectors[rows]) for pair, rows in zip(pairs, chosen, strict=True))
        name = self._write(np.ascontiguousarray(keys[kept]), blocks)
        for pair in pairs:
            if pair.name != name:
                self._forget(pair.name)

    def _write(self, keys: NDArray[np.uint8], blocks: Iterable[NDArray[np.float32]]) -> str:
        name = hashlib.sha256(keys.tobytes()).hexdigest()
        # Equal keys hold equal checksums: an existing pair has the same vectors, or its damage is detected.
        header = {"descr": "<f4", "fortran_order": False, "shape": (len(keys), self.dim)}
        with whole_file(self.folder / f"{name}{VECTORS}") as temporary, temporary.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for block in blocks:
                file.write(np.ascontiguousarray(block).data)
        with whole_file(self.folder / f"{name}{KEYS}") as temporary, temporary.open("wb") as file:
            np.save(file, keys)
        return name

    def _current(self) -> list[_Pair]:
        """Every undamaged pair, by name. Only pairs that are new since the last call are opened."""
        if not self.folder.is_dir():
            return []
        names = {path.name.removesuffix(KEYS) for path in self.folder.glob(f"[!.]*{KEYS}")}
        self._pairs = {name: pair for name, pair in self._pairs.items() if name in names}
        for name in sorted(names - self._pairs.keys()):
            self._open(name)
        return [self._pairs[name] for name in sorted(self._pairs)]

    def _open(self, name: str) -> None:
        try:
            keys = np.load(self.folder / f"{name}{KEYS}")
            vectors = np.load(self.folder / f"{name}{VECTORS}", mmap_mode="r")
        except FileNotFoundError:
            if (self.folder / f"{name}{KEYS}").exists():
                self._drop(name, "its vectors are missing")
            return  # else another process merged it since the listing: its texts are encoded again at worst
        except (ValueError, OSError, EOFError) as error:
            self._drop(name, str(error))
            return
        if (
            keys.ndim != 2
            or keys.shape[1] != HASH_BYTES + SUM_BYTES
            or vectors.shape != (len(keys), self.dim)
        ):
            self._drop(name, f"keys {list(keys.shape)} do not belong to vectors {list(vectors.shape)}")
        elif hashlib.sha256(keys.tobytes()).hexdigest() != name:
            self._drop(name, "its keys are not those of its name")
        else:
            self._pairs[name] = _Pair(name, keys, vectors)

    def _hits(
        self, wanted: NDArray[np.uint8]
    ) -> Iterator[tuple[_Pair, NDArray[np.int64], NDArray[np.int64]]]:
        """For each pair, positions in `wanted` and the matching rows of the pair."""
        prefixes_N = _prefixes(wanted)
        order_N = np.argsort(prefixes_N, kind="stable")
        sorted_N = prefixes_N[order_N]
        for pair in self._current() if len(wanted) else []:
            # The first 8 bytes find a candidate, all 32 decide. If two hashes share their first bytes, one of
            # them counts as missing and is encoded again: slower, never wrong.
            at_N = np.minimum(np.searchsorted(pair.sorted_prefixes, sorted_N), len(pair.order) - 1)
            rows_N = pair.order[at_N]
            same_N = (pair.keys[rows_N, :HASH_BYTES] == wanted[order_N]).all(axis=1)
            if same_N.any():
                yield pair, order_N[same_N], rows_N[same_N]

    def _drop(self, name: str, reason: str) -> None:
        log.warning(
            "vector cache: %s in %s dropped, it will be encoded again: %s", name[:12], self.folder, reason
        )
        self._forget(name)

    def _forget(self, name: str) -> None:
        self._pairs.pop(name, None)
        for suffix in (KEYS, VECTORS):  # keys first, since a pair without keys does not exist
            (self.folder / f"{name}{suffix}").unlink(missing_ok=True)

    def _sweep(self) -> None:
        for path in self.folder.glob("*") if self.folder.is_dir() else ():
            stem = path.name.removesuffix(VECTORS)
            orphan = path.name.endswith(VECTORS) and not (self.folder / f"{stem}{KEYS}").exists()
            if not orphan and not path.name.startswith(TEMPORARY_PREFIX):
                continue
            try:
                if time_of_folder(self.folder) - path.stat().st_mtime > ABANDONED_S:
                    path.unlink()
            except FileNotFoundError:  # another process finished or deleted it
                continue


def key_rows(text_hashes: Sequence[str]) -> NDArray[np.uint8]:
    """Convert hex digests to bytes.

    Args:
        text_hashes: 64 hex digits each.

    Returns:
        uint8 [N, 32].

    Raises:
        ValueError: one is not 64 hex digits.
    """
    joined = bytes.fromhex("".join(text_hashes))
    if len(joined) != HASH_BYTES * len(text_hashes):
        raise ValueError("text hashes are 64 hex digits each")
    return np.frombuffer(joined, np.uint8).reshape(-1, HASH_BYTES)


def _copied(
    pair: _Pair, rows: NDArray[np.int64], vectors_ND: NDArray[np.float32], of_N: NDArray[np.int64]
) -> bool:
    """Copy rows of a pair to places of `vectors_ND`; False at the first vectors that are not what was written."""
    for start in range(0, len(rows), COPIED_AT_ONCE):
        part = slice(start, start + COPIED_AT_ONCE)
        vectors = np.asarray(pair.vectors[rows[part]])
        if not (_sums(vectors) == pair.keys[rows[part], HASH_BYTES:]).all():
            return False
        vectors_ND[of_N[part]] = vectors
        let_go(pair.vectors)
    return True


def _prefixes(keys: NDArray[np.uint8]) -> NDArray[np.uint64]:
    return np.ascontiguousarray(keys[:, :8]).view(np.uint64)[:, 0]


def _sums(vectors: NDArray[np.float32]) -> NDArray[np.uint8]:
    """BLAKE2b-64 of each row's bytes, uint8 [N, 8]."""
    rows = np.ascontiguousarray(vectors)
    sums = b"".join(hashlib.blake2b(row.data, digest_size=SUM_BYTES).digest() for row in rows)
    return np.frombuffer(sums, np.uint8).reshape(-1, SUM_BYTES)


def _tier(n_rows: int) -> int:
    """Size class: 0 up to 255 rows, 1 up to 4,095, 2 up to 65,535 and so on."""
    return max(0, (max(1, n_rows).bit_length() - 5) // 4)
