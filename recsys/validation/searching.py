"""Choose the weight of words against profiles in search, by queries with known answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recsys.dataset.histories import sample
from recsys.retrieval.fusing import fused
from recsys.retrieval.lexical import LexicalIndex
from recsys.validation.bounds import lower_bound
from recsys.validation.queries import Query

# Shape suffixes: Q queries, U users, I items, D dimension, K list length.
K = 10
LEAST_QUERIES = 20
"""With fewer, nothing is chosen."""
MAX_ITEMS = 20_000
"""Search is tried over at most so many items, and those that queries should find."""


@dataclass(frozen=True)
class Choice:
    """One weight."""

    value: float | None
    """None: no value is surely better than that of params.yaml, which stays."""
    means: Mapping[float, float]
    """Value -> mean of the metric."""


@dataclass(frozen=True)
class SearchSlice:
    """Queries over the items of a catalogue, with the scores of both parts of search."""

    queries: tuple[Query, ...]
    shares: tuple[NDArray[np.float32], ...]
    """For each query, BM25 of each item over its bound, [I]."""
    cosines: tuple[NDArray[np.float32], ...]
    """For each query, the cosine with each item's profile, [I]."""

    def ndcg(self, lexical_weight: float) -> NDArray[np.float64]:
        """ndcg@10 of each query, [Q].

        Args:
            lexical_weight: to try.

        Returns:
            The gain of an item is its grade.
        """
        weights = {"lexical_weight": lexical_weight, "user_weight": 0.0}
        return np.array(
            [
                ndcg(fused(shares_I, cosines_I, None, weights), query)
                for query, shares_I, cosines_I in zip(self.queries, self.shares, self.cosines, strict=True)
            ]
        )


def make_slice(
    texts: Sequence[str],
    profiles_ID: NDArray[np.float32],
    queries: Sequence[Query],
    queries_QD: NDArray[np.float32],
    *,
    k1: float,
    b: float,
) -> SearchSlice:
    """Score all items for every query by both parts of search.

    Args:
        texts: of all items.
        profiles_ID: of the same.
        queries: what to ask.
        queries_QD: their profiles.
        k1: of BM25.
        b: the same.

    Returns:
        The slice.
    """
    lexical = LexicalIndex.of_texts(texts, k1=k1, b=b)
    shares, cosines = [], []
    for query, query_D in zip(queries, queries_QD, strict=True):
        shares_I = np.zeros(len(texts), np.float32)
        rows, found = lexical.shares(query.text)
        shares_I[rows] = found
        shares.append(shares_I)
        cosines.append(profiles_ID @ query_D)
    return SearchSlice(tuple(queries), tuple(shares), tuple(cosines))


def narrowed(
    queries: Sequence[Query], n_items: int, n: int, seed: int
) -> tuple[NDArray[np.int64], tuple[Query, ...]]:
    """Choose what search is tried on.

    Args:
        queries: over rows of a catalogue.
        n_items: of the catalogue.
        n: the most queries.
        seed: of the samples.

    Returns:
        Rows of the items to search, ascending; and the queries with places among these rows.
    """
    chosen = [queries[place] for place in sample(np.arange(len(queries)), n, seed).tolist()]
    relevant = np.array(sorted({row for query in chosen for row in query.relevant}), np.int64)
    rows = np.union1d(sample(np.arange(n_items), MAX_ITEMS, seed), relevant)
    place_of = {row: place for place, row in enumerate(rows.tolist())}
    return rows, tuple(
        replace(query, relevant={place_of[row]: grade for row, grade in query.relevant.items()})
        for query in chosen
    )


def choose_lexical_weight(
    made: SearchSlice, weights: Sequence[float], default: float, n_errors: float
) -> Choice:
    """Choose by ndcg@10, see `surely_best`; nothing is chosen where there are too few queries.

    Args:
        made: queries.
        weights: to try.
        default: the weight of params.yaml.
        n_errors: standard errors.

    Returns:
        The choice.
    """
    if len(made.queries) < LEAST_QUERIES:
        return Choice(None, {})
    return surely_best({one: made.ndcg(one) for one in weights}, made.ndcg(default), n_errors)


def surely_best(
    tried: Mapping[float, NDArray[np.float64]], default_U: NDArray[np.float64], n_errors: float
) -> Choice:
    """The value with the best mean, of equal ones the first, where it is surely better than the default.

    Args:
        tried: value -> metric of each user or query.
        default_U: the same for the value of params.yaml.
        n_errors: it must be better by more than so many standard errors of the paired difference.

    Returns:
        The choice.
    """
    means = {value: round(float(metric_U.mean()), 6) for value, metric_U in tried.items()}
    if not means:
        return Choice(None, {})
    best = max(means, key=means.__getitem__)
    is_sure = lower_bound([tried[best] - default_U], n_errors) > 0
    return Choice(best if is_sure else None, means)


def ndcg(scores_I: NDArray[np.floating], query: Query) -> float:
    """ndcg@10 of one query; of equal scores the item of the smaller row comes first."""
    order = np.argsort(-scores_I, kind="stable")[:K]
    discounts_K = 1 / np.log2(np.arange(2, K + 2))
    gains = np.array([query.relevant.get(row, 0.0) for row in order.tolist()])
    ideal = np.sort(np.array(list(query.relevant.values())))[::-1][:K]
    return float(gains @ discounts_K[: len(gains)] / (ideal @ discounts_K[: len(ideal)]))
