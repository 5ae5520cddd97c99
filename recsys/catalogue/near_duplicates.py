"""Near-duplicate texts: MinHash over word 3-shingles proposes pairs, their exact Jaccard similarity decides.

Same texts in the same order give the same answer on every machine: word hashes are BLAKE2, the seed is fixed.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

SHINGLE_WORDS = 3
PERMUTATIONS = 128
SEED = 20260101
MISS_RATE = 0.001  # a pair exactly at the threshold is overlooked at most this often
SLACK = 0.17  # four standard deviations of an estimate from 128 permutations, at its widest
SETS_AT_ONCE = 16_384
PAIRS_AT_ONCE = 65_536
KNOWN_WORDS = 2**20  # words whose hash is kept: a language has fewer, random letters have no end
GROUP_LIMIT = 16  # of a crowd of texts that agree in a band, each is compared with so many: no quadratic time

# A word, or one character of a script that is written without spaces.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]|[^\W_]+")
_ODD = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x165667B19E3779F9))


@dataclass(frozen=True)
class NearDuplicate:
    """A text of the first list and the most similar text of the second."""

    a: int
    b: int
    similarity: float
    """Jaccard similarity of their shingles, 0 to 1."""


def near_duplicates(
    texts_a: Sequence[str], texts_b: Sequence[str], similarity: float
) -> tuple[NearDuplicate, ...]:
    """For each text of `texts_a` that has a near duplicate in `texts_b`: the most similar one, ties first.

    Args:
        texts_a: texts to check; case and punctuation do not count.
        texts_b: the texts they are compared with.
        similarity: least Jaccard similarity of word 3-shingles, in (0, 1].

    Returns:
        At most one entry per text of `texts_a`, in their order. Texts without a word have no duplicates.
        If very many texts are alike, the most similar of the first GROUP_LIMIT candidates is returned.

    Raises:
        ValueError: similarity lies outside (0, 1].

    Source: Broder 1997, On the resemblance and containment of documents; bands as in Leskovec et al., ch. 3.
    """
    sets, set_of = _distinct_shingles(chain(texts_a, texts_b), len(texts_a) + len(texts_b))
    of_a, of_b = set_of[: len(texts_a)], set_of[len(texts_a) :]
    first_b = _first_places(of_b, len(sets))
    in_a = _first_places(of_a, len(sets)) >= 0
    best = {s: (1.0, int(first_b[s])) for s in np.flatnonzero(in_a & (first_b >= 0)).tolist()}
    for one, other in _candidates(sets, similarity, in_a, first_b >= 0):
        found = _jaccard(sets[one], sets[other])
        if found >= similarity:
            hit = (found, int(first_b[other]))
            best[one] = max(best.get(one, hit), hit, key=lambda known: (known[0], -known[1]))
    hits = ((a, best[s]) for a, s in enumerate(of_a.tolist()) if s in best)
    return tuple(NearDuplicate(a, b, found) for a, (found, b) in hits)


def n_near_duplicates(texts: Sequence[str], similarity: float) -> int:
    """How many distinct texts of one list are nearly the same as another; exact repeats count as one text.

    Args:
        texts: case and punctuation do not count.
        similarity: least Jaccard similarity of word 3-shingles, in (0, 1].

    Returns:
        The number of distinct texts that have a near duplicate among the others.

    Raises:
        ValueError: similarity lies outside (0, 1].
    """
    sets, _ = _distinct_shingles(texts, len(texts))
    everywhere = np.ones(len(sets), dtype=bool)
    alike: set[int] = set()
    for one, other in _candidates(sets, similarity, everywhere, everywhere):
        if not alike >= {one, other} and _jaccard(sets[one], sets[other]) >= similarity:
            alike |= {one, other}
    return len(alike)


def _jaccard(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> float:
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / (len(one) + len(other) - shared)


def _rows_per_band(similarity: float) -> int:
    if not 0 < similarity <= 1:
        raise ValueError(f"similarity must lie in (0, 1], got {similarity}")
    fitting = (
        rows for rows in (32, 16, 8, 4, 2) if (1 - similarity**rows) ** (PERMUTATIONS // rows) <= MISS_RATE
    )
    return next(fitting, 1)


@dataclass(frozen=True)
class _Sets:
    """Distinct shingle sets, one after the other: as a million objects they would take twice as much."""

    hashes: NDArray[np.uint64]
    starts: NDArray[np.int64]
    """Of each set, and the end of the last."""

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, number: int) -> NDArray[np.uint64]:
        return self.hashes[self.starts[number] : self.starts[number + 1]]


def _signatures(sets: _Sets) -> NDArray[np.uint32]:
    """MinHash signatures [n, PERMUTATIONS], in blocks: rensa gives them as Python numbers, 4 KB for each set."""
    from rensa import RMinHash

    signatures = np.empty((len(sets), PERMUTATIONS), np.uint32)
    for start in range(0, len(sets), SETS_AT_ONCE):
        starts = sets.starts[start : start + SETS_AT_ONCE + 1]
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(
            sets.hashes[starts[0] : starts[-1]], (starts - starts[0]).astype(np.uint64), PERMUTATIONS, SEED
        )
        signatures[start : start + len(starts) - 1] = matrix.to_rows()
    return signatures


def _candidates(
    sets: _Sets, similarity: float, left: NDArray[np.bool_], right: NDArray[np.bool_]
) -> Iterator[tuple[int, int]]:
    """Pairs (one of `left`, another of `right`) that agree in a whole band and, by estimate, nearly enough; sorted."""
    rows = _rows_per_band(similarity)
    if len(sets) < 2:
        return
    signatures = _signatures(sets)
    numbers = np.empty(0, np.int64)  # of pairs: one of them times the number of sets, plus the other
    for start in range(0, PERMUTATIONS, rows):
        grouped = [numbers]
        for group in _groups(signatures[:, start : start + rows]):
            ones, others = group[left[group]], group[right[group]][:GROUP_LIMIT]
            grouped.append((ones[:, None] * len(sets) + others).ravel())
        numbers = np.unique(np.concatenate(grouped))
    for start in range(0, len(numbers), PAIRS_AT_ONCE):
        ones, others = np.divmod(numbers[start : start + PAIRS_AT_ONCE], len(sets))
        estimate = (signatures[ones] == signatures[others]).mean(axis=1)
        kept = (ones != others) & (estimate >= similarity - SLACK)
        yield from zip(ones[kept].tolist(), others[kept].tolist(), strict=True)


def _groups(band: NDArray[np.uint32]) -> Iterator[NDArray[np.int64]]:
    """Groups of at least two rows that agree in the whole band, each in ascending order."""
    band = np.ascontiguousarray(band)
    keys = band.view(np.dtype((np.void, band.dtype.itemsize * band.shape[1]))).ravel()
    order = np.argsort(keys, kind="stable")
    edges = np.flatnonzero(np.append(keys[order][1:] != keys[order][:-1], True)) + 1
    begin = 0
    for end in edges.tolist():
        if end - begin > 1:
            yield np.sort(order[begin:end])
        begin = end


def _distinct_shingles(texts: Iterable[str], n: int) -> tuple[_Sets, NDArray[np.int64]]:
    """Distinct shingle sets of n texts, in order of appearance, and the set of each text (-1: no words)."""
    known: dict[str, int] = {}
    lengths = np.zeros(n, np.int64)
    digests = np.zeros((n, 2), np.uint64)
    blocks, left = [], iter(texts)
    for start in range(0, n, SETS_AT_ONCE):
        found = [_shingles(text, known) for text in islice(left, SETS_AT_ONCE)]
        lengths[start : start + len(found)] = [len(shingles) for shingles in found]
        digest = b"".join(blake2b(shingles.tobytes(), digest_size=16).digest() for shingles in found)
        digests[start : start + len(found)] = np.frombuffer(digest, np.uint64).reshape(-1, 2)
        blocks.append(np.concatenate(found))
    set_of, is_first = _numbered(digests, lengths > 0)
    hashes = np.concatenate([np.empty(0, np.uint64), *blocks])[np.repeat(is_first, lengths)]
    return _Sets(hashes, np.concatenate(([0], np.cumsum(lengths[is_first])))), set_of


def _numbered(
    digests: NDArray[np.uint64], has_words: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The number of each distinct digest, in order of appearance (-1: no words); which texts are the first of one."""
    set_of = np.full(len(digests), -1, np.int64)
    is_first = np.zeros(len(digests), bool)
    rows = np.flatnonzero(has_words)
    order = rows[
        np.lexsort((digests[rows, 1], digests[rows, 0]))
    ]  # stable: the first of equal ones comes first
    begins = np.append(True, (digests[order[1:]] != digests[order[:-1]]).any(axis=1))[: len(order)]
    is_first[order[begins]] = True
    number_of = np.cumsum(is_first) - 1
    set_of[order] = number_of[order[begins]][np.cumsum(begins) - 1]
    return set_of, is_first


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
        found = int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "big")
        if len(hashes) < KNOWN_WORDS:
            hashes[word] = found
    return found


def _first_places(set_of: NDArray[np.int64], n_sets: int) -> NDArray[np.int64]:
    """The first place of each set, -1 where it has none."""
    first = np.full(n_sets, -1, dtype=np.int64)
    places = np.flatnonzero(set_of >= 0)[::-1]
    first[set_of[places]] = places
    return first
