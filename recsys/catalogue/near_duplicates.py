"""Near-duplicate texts: MinHash over word 3-shingles proposes pairs, their exact Jaccard similarity decides.

Same texts in the same order give the same answer on every machine: word hashes are BLAKE2, the seed is fixed.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

SHINGLE_WORDS = 3
PERMUTATIONS = 128
SEED = 20260101
MISS_RATE = 0.001  # a pair exactly at the threshold is overlooked at most this often

# A word, or one character of a script that is written without spaces.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]|[^\W_]+")
_ODD = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x165667B19E3779F9))


@dataclass(frozen=True)
class NearDuplicate:
    """A text of the first list and the text of the second that is most like it."""

    a: int
    b: int
    similarity: float
    """Jaccard similarity of their shingles, 0 to 1."""


def near_duplicates(
    texts_a: Sequence[str], texts_b: Sequence[str], similarity: float
) -> tuple[NearDuplicate, ...]:
    """For each text of `texts_a` that has a near duplicate in `texts_b`: the most similar one, ties first.

    Args:
        texts_a: the texts that are asked about; case and punctuation do not count.
        texts_b: the texts they are compared with.
        similarity: least Jaccard similarity of word 3-shingles, in (0, 1].

    Returns:
        At most one entry per text of `texts_a`, in their order. Texts without a word have no duplicates.

    Raises:
        ValueError: similarity lies outside (0, 1].

    Source: Broder 1997, On the resemblance and containment of documents; bands as in Leskovec et al., ch. 3.
    """
    sets, set_of = _distinct_shingles([*texts_a, *texts_b])
    of_a, of_b = set_of[: len(texts_a)], set_of[len(texts_a) :]
    first_b = _first_places(of_b, len(sets))
    best: dict[int, tuple[float, int]] = {
        s: (1.0, first_b[s]) for s in np.unique(of_a[of_a >= 0]).tolist() if first_b[s] >= 0
    }
    in_a = np.zeros(len(sets), dtype=bool)
    in_a[of_a[of_a >= 0]] = True
    for one, other, found in _similar_sets(sets, similarity):
        for s, t in ((one, other), (other, one)):
            if in_a[s] and first_b[t] >= 0:
                best[s] = max(best.get(s, (0.0, 0)), (found, first_b[t]), key=lambda hit: (hit[0], -hit[1]))
    hits = ((a, best[s]) for a, s in enumerate(of_a.tolist()) if s in best)
    return tuple(NearDuplicate(a, b, found) for a, (found, b) in hits)


def near_duplicate_pairs(texts: Sequence[str], similarity: float) -> int:
    """How many pairs of *different* shingle sets in one list are at least so similar; exact repeats count as one text.

    Raises:
        ValueError: similarity lies outside (0, 1].
    """
    return len(_similar_sets(_distinct_shingles(texts)[0], similarity))


def _similar_sets(sets: list[NDArray[np.uint64]], similarity: float) -> list[tuple[int, int, float]]:
    """Pairs (one < other, Jaccard) of distinct shingle sets at or above the similarity, sorted."""
    rows = _rows_per_band(similarity)
    if len(sets) < 2:
        return []
    found = []
    for one, other in _candidates(_signatures(sets), rows):
        shared = len(np.intersect1d(sets[one], sets[other], assume_unique=True))
        jaccard = shared / (len(sets[one]) + len(sets[other]) - shared)
        if jaccard >= similarity:
            found.append((one, other, jaccard))
    return found


def _rows_per_band(similarity: float) -> int:
    if not 0 < similarity <= 1:
        raise ValueError(f"similarity must lie in (0, 1], got {similarity}")
    fitting = (
        rows for rows in (32, 16, 8, 4, 2) if (1 - similarity**rows) ** (PERMUTATIONS // rows) <= MISS_RATE
    )
    return next(fitting, 1)


def _signatures(sets: list[NDArray[np.uint64]]) -> NDArray[np.uint32]:
    """MinHash signatures [n, PERMUTATIONS]."""
    from rensa import RMinHash

    offsets = np.concatenate(([0], np.cumsum([len(s) for s in sets]))).astype(np.uint64)
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(np.concatenate(sets), offsets, PERMUTATIONS, SEED)
    return np.array(matrix.to_rows(), dtype=np.uint32)


def _candidates(signatures: NDArray[np.uint32], rows: int) -> list[tuple[int, int]]:
    """Pairs that agree in all rows of at least one band."""
    pairs: set[tuple[int, int]] = set()
    for start in range(0, PERMUTATIONS, rows):
        band = np.ascontiguousarray(signatures[:, start : start + rows])
        keys = band.view(np.dtype((np.void, band.dtype.itemsize * rows))).ravel()
        order = np.argsort(keys, kind="stable")
        edges = np.flatnonzero(np.append(keys[order][1:] != keys[order][:-1], True)) + 1
        begin = 0
        for end in edges.tolist():
            group = np.sort(order[begin:end]).tolist()
            pairs.update((group[i], other) for i in range(len(group)) for other in group[i + 1 :])
            begin = end
    return sorted(pairs)


def _distinct_shingles(texts: Sequence[str]) -> tuple[list[NDArray[np.uint64]], NDArray[np.int64]]:
    """Distinct shingle sets, in order of appearance, and the set of each text (-1: no words)."""
    hashes: dict[str, int] = {}
    number: dict[bytes, int] = {}
    sets: list[NDArray[np.uint64]] = []
    set_of = np.full(len(texts), -1, dtype=np.int64)
    for place, text in enumerate(texts):
        shingles = _shingles(text, hashes)
        if len(shingles) == 0:
            continue
        key = shingles.tobytes()
        if key not in number:
            number[key] = len(sets)
            sets.append(shingles)
        set_of[place] = number[key]
    return sets, set_of


def _shingles(text: str, hashes: dict[str, int]) -> NDArray[np.uint64]:
    """Sorted hashes of the text's 3-word windows; a shorter text is one shingle."""
    words = [_word_hash(word, hashes) for word in _WORD.findall(text.lower())]
    if not words:
        return np.empty(0, dtype=np.uint64)
    padded = np.array(words + [0] * (SHINGLE_WORDS - len(words)), dtype=np.uint64)
    n = len(padded) - SHINGLE_WORDS + 1
    mixed = np.zeros(n, dtype=np.uint64)
    for place, odd in enumerate(_ODD):
        mixed = (mixed ^ padded[place : place + n]) * odd
        mixed ^= mixed >> np.uint64(29)
    return np.unique(mixed)


def _word_hash(word: str, hashes: dict[str, int]) -> int:
    found = hashes.get(word)
    if found is None:
        found = hashes[word] = int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "big")
    return found


def _first_places(set_of: NDArray[np.int64], n_sets: int) -> list[int]:
    """The first place of each set, -1 where it has none."""
    first = np.full(n_sets, -1, dtype=np.int64)
    places = np.flatnonzero(set_of >= 0)[::-1]
    first[set_of[places]] = places
    return first.tolist()
