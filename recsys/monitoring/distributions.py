"""Measures of distributions: how far an arrival's words, names or profiles are from those of others.

Shape suffixes: R rows of a sample, F features, A arrivals, D dimensions of profiles, V words.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recsys.monitoring.judging import Measured
from recsys.monitoring.measures import Compared, each_against_rest


@dataclass(frozen=True)
class Distances:
    """Squared distance between the distributions of two sets of rows: the maximum mean discrepancy (MMD).

    Each row is a vector of features whose inner products are a kernel. The rows are halved by their order, which is
    random. The first halves give the direction in which the arrival differs from the others (the witness), the second
    halves how far it lies along this direction. Along a fixed direction, the distance is a mean of rows with a known
    error, so no permutations are needed; where nothing differs, its expected value is 0.

    Sources: Gretton et al. 2012, A Kernel Two-Sample Test; Shekhar, Kim & Ramdas 2022, A Permutation-Free Kernel
    Two-Sample Test.
    """

    features: Sequence[NDArray[np.float32]]
    """[R, F] for each arrival, rows of length 1 at most."""
    floor: float
    """Rows differ along the witness by at least this standard deviation, for a witness of length 1."""

    def compare(self, one: int, others: Sequence[int]) -> Compared:
        """Squared distances, without bias, and their errors."""
        freedom = sum(max(0, len(self.features[other]) - 1) for other in others)
        covariance_FF = self._scatter_of(others) / np.float32(max(1, freedom))
        totals_2F, n_2 = self._sums[list(others)].sum(0), self._counts[list(others)].sum(0)

        def measure(place: int, rest: list[int]) -> Measured | None:
            if len(rest) == len(others):
                return self._distance(place, totals_2F, n_2, covariance_FF)
            return self._distance(
                place, totals_2F - self._sums[place], n_2 - self._counts[place], covariance_FF
            )

        return each_against_rest(one, others, measure)

    def _distance(
        self,
        one: int,
        totals_2F: NDArray[np.float32],
        n_2: NDArray[np.int64],
        covariance_FF: NDArray[np.float32],
    ) -> Measured | None:
        """Distance of an arrival from others, of which each half has the sums `totals_2F` over `n_2` rows."""
        sums, counts = self._sums, self._counts
        if min(counts[one].min(), n_2.min()) < 1:
            return None
        gaps_2F = sums[one] / counts[one][:, None] - totals_2F / n_2[:, None]
        witness_F, gap_F = gaps_2F
        length = float(np.linalg.norm(witness_F))
        within = float(witness_F @ covariance_FF @ witness_F)
        deviation = np.sqrt(max(within, (self.floor * length) ** 2))
        error = deviation * np.sqrt(1 / counts[one][1] + 1 / n_2[1])
        least = self.floor**2 / np.sqrt(counts[one][0] * counts[one][1])  # where all rows are the same
        return Measured(float(witness_F @ gap_F), float(max(error, least)))

    def unlike(self, one: int, others: Sequence[int]) -> NDArray[np.float64]:
        """Place of each row along the witness of all rows."""
        sums, counts = self._sums.sum(1), self._counts.sum(1)
        others = list(others)
        witness_F = sums[one] / max(1, counts[one]) - sums[others].sum(0) / max(1, counts[others].sum())
        return np.asarray(self.features[one] @ witness_F, np.float64)

    @cached_property
    def _sums(self) -> NDArray[np.float32]:
        """[A, 2, F], sums of the rows of each half."""
        return np.stack([np.stack([some[0::2].sum(0), some[1::2].sum(0)]) for some in self.features])

    @cached_property
    def _counts(self) -> NDArray[np.int64]:
        """[A, 2], rows of each half."""
        return np.array([[len(some[0::2]), len(some[1::2])] for some in self.features], np.int64)

    def _scatter_of(self, others: Sequence[int]) -> NDArray[np.float32]:
        """[F, F]: sums of products of the rows' distances from their arrival's mean."""
        first, end = min(others), max(others) + 1
        found: NDArray[np.float32] = self._scatter_until[end] - self._scatter_until[first]
        for missing in set(range(first, end)).difference(others):
            found = found - (self._scatter_until[missing + 1] - self._scatter_until[missing])
        return found

    @cached_property
    def _scatter_until(self) -> NDArray[np.float32]:
        """[A + 1, F, F]: the same of all arrivals before each place, so that a window's is a difference."""
        width = self.features[0].shape[1]
        found = np.zeros((len(self.features) + 1, width, width), np.float32)
        for place, some in enumerate(self.features):
            centred = some - some.mean(0, keepdims=True) if len(some) else some
            found[place + 1] = found[place] + centred.T @ centred
        return found


@dataclass(frozen=True)
class NewWords:
    """Share of each row's words that no row of the others has."""

    words: Sequence[Sequence[frozenset[int]]]
    """For each arrival the words of each row."""
    floor: float

    def compare(self, one: int, others: Sequence[int]) -> Compared:
        """Mean shares, and their errors by the spread of the rows."""
        arrivals_V = self._presence[list(others)].sum(0, dtype=np.int32)

        def measure(place: int, rest: list[int]) -> Measured | None:
            at_least = 1 if len(rest) == len(others) else 1 + self._presence[place]
            return self._share(self._shares(place, np.greater_equal(arrivals_V, at_least)))

        return each_against_rest(one, others, measure)

    def _share(self, shares: NDArray[np.float64]) -> Measured | None:
        if not len(shares):
            return None
        deviation = max(self.floor, float(shares.std(ddof=1)) if len(shares) > 1 else 0.0)
        return Measured(float(shares.mean()), deviation / float(np.sqrt(len(shares))))

    def unlike(self, one: int, others: Sequence[int]) -> NDArray[np.float64]:
        """Share of each row."""
        return self._shares(one, np.greater(self._presence[list(others)].sum(0, dtype=np.int32), 0))

    def _shares(self, one: int, known_V: NDArray[np.bool_]) -> NDArray[np.float64]:
        rows, ids, lengths = self._flat[one]
        unknown = np.bincount(rows, weights=~known_V[ids], minlength=len(lengths))
        return np.asarray(unknown / np.maximum(1, lengths), np.float64)

    @cached_property
    def _flat(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
        """For each arrival: row and number of every word, and the number of words of each row."""
        found = []
        for some in self.words:
            lengths = np.array([len(row) for row in some], np.int64)
            ids = np.fromiter((word for row in some for word in row), np.int64, int(lengths.sum()))
            found.append((np.repeat(np.arange(len(some)), lengths), ids, lengths))
        return found

    @cached_property
    def _presence(self) -> NDArray[np.bool_]:
        """[A, V], whether a row of the arrival has the word."""
        n_words = 1 + max((int(ids.max()) for _, ids, _ in self._flat if len(ids)), default=0)
        found = np.zeros((len(self.words), n_words), np.bool_)
        for place, (_, ids, _) in enumerate(self._flat):
            found[place, ids] = True
        return found


QUERIES, REFERENCES = 60, 30
"""Rows of an arrival that look for a nearest neighbour, and among which those of others look: the first of a sample."""
FAR_SHARE = 0.05
"""Share of earlier rows that count as having no neighbour: those whose nearest neighbours are least similar."""


@dataclass(frozen=True)
class Neighbours:
    """Share of rows whose nearest neighbour among the others is further away than that of nearly all earlier rows."""

    vectors: Sequence[NDArray[np.float32]]
    """Unit vectors [R, D] for each arrival."""
    floor: float

    def compare(self, one: int, others: Sequence[int]) -> Compared:
        """Shares without a neighbour; their errors are those of shares."""
        threshold = self._threshold(others)
        return each_against_rest(one, others, lambda place, rest: self._share(place, rest, threshold))

    def _share(self, one: int, others: Sequence[int], threshold: float) -> Measured | None:
        if not len(self.vectors[one]):
            return None
        far = self._nearest(one, others) < threshold
        share, n = float(far.mean()), len(far)
        spread = max(self.floor, float(np.sqrt(max(share * (1 - share), FAR_SHARE * (1 - FAR_SHARE)))))
        return Measured(share, spread / float(np.sqrt(n)))

    def unlike(self, one: int, others: Sequence[int]) -> NDArray[np.float64]:
        """How far the nearest neighbour of each row is, 1 - cosine."""
        found = np.zeros(len(self.vectors[one]))
        found[:QUERIES] = 1 - self._nearest(one, others)
        return found

    def _nearest(self, one: int, others: Sequence[int]) -> NDArray[np.float64]:
        return np.asarray(self._best[one][:, list(others)].max(1), np.float64)

    def _threshold(self, others: Sequence[int]) -> float:
        """Cosine below which a row counts as without a neighbour."""
        nearest = [self._nearest(other, [one for one in others if one != other]) for other in others]
        return float(np.quantile(np.concatenate(nearest), FAR_SHARE)) if any(map(len, nearest)) else -1.0

    @cached_property
    def _best(self) -> list[NDArray[np.float32]]:
        """[QUERIES at most, A] for each arrival: the highest cosine with a reference of each arrival."""
        some = [vectors[:REFERENCES] for vectors in self.vectors]
        lengths = np.array([len(one) for one in some])
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        filled = np.flatnonzero(lengths)
        references = np.concatenate([some[place] for place in filled]) if len(filled) else None
        found = []
        for whole in self.vectors:
            vectors = whole[:QUERIES]
            best = np.full((len(vectors), len(some)), -1.0, np.float32)
            if references is not None and len(vectors):
                best[:, filled] = np.maximum.reduceat(vectors @ references.T, starts[filled], axis=1)
            found.append(best)
        return found


def hashed_features(
    rows: Sequence[Sequence[str]], width: int, hashed: Callable[[str], int]
) -> NDArray[np.float32]:
    """Turn lists of names (words, tags) into vectors of length 1 by feature hashing.

    Args:
        rows: names of each row.
        width: features.
        hashed: name -> integer; its lowest bit is the sign, the rest chooses the feature.

    Returns:
        float32 [R, width]; 0 for rows without names.

    Source: Weinberger et al. 2009, Feature Hashing for Large Scale Multitask Learning.
    """
    found = np.zeros((len(rows), width), np.float32)
    for row, names in enumerate(rows):
        codes = np.array([hashed(name) for name in set(names)], np.int64)
        if len(codes):
            np.add.at(found[row], (codes >> 1) % width, np.where(codes & 1, 1.0, -1.0).astype(np.float32))
    lengths_R1: NDArray[np.float32] = np.linalg.norm(found, axis=1, keepdims=True)
    found /= np.maximum(lengths_R1, 1e-9)
    return found


def share_features(
    rows: Sequence[Sequence[str]], width: int, hashed: Callable[[str], int]
) -> NDArray[np.float32]:
    """Turn lists of names into the share of each name, by feature hashing as in `hashed_features`.

    Args:
        rows: names of each row, such as the events of a user.
        width: features.
        hashed: name -> integer.

    Returns:
        float32 [R, width], rows of length 1 at most; 0 for rows without names.
    """
    found = np.zeros((len(rows), width), np.float32)
    for row, names in enumerate(rows):
        for name, n in Counter(names).items():
            number = hashed(name)
            found[row, (number >> 1) % width] += (1 if number & 1 else -1) * n / len(names)
    return found


def kernel_features(vectors: NDArray[np.float32], width: int, seed: int) -> NDArray[np.float32]:
    """Random Fourier features of the kernel exp(-||x - y||²), for unit vectors exp(2 (cosine - 1)).

    It is the kernel by which heads compare the encoder's vectors (`first_light.gamma`).

    Args:
        vectors: [R, D].
        width: features, an even number.
        seed: of the frequencies.

    Returns:
        float32 [R, width], rows of length 1.

    Source: Rahimi & Recht 2007, Random Features for Large-Scale Kernel Machines.
    """
    generator = np.random.default_rng(seed)
    frequencies = generator.standard_normal((vectors.shape[1], width // 2)).astype(np.float32) * np.sqrt(2.0)
    angles = vectors @ frequencies.astype(np.float32)
    scale = np.float32(np.sqrt(2.0 / width))
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1) * scale
