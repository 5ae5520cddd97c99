"""What filters cost a search, in recall and in processor time: random ones, and ones that leave nothing near.

A filter is random where each item is allowed with the same chance. One leaves nothing near where it is random among the
nine tenths of the items that are farthest from the query, or allows all but the nearest fifth or the nearest thousand.
"""

import time

import numpy as np
from numpy.typing import NDArray

from bench.serve_recall import SEED, Queries, all_vectors
from recsys.publishing.released_profiles import Profiles
from recsys.retrieval.in_place import NOISE

# Shape suffixes: Q queries, D dimension, I items.
SHARES = (1.0, 0.3, 0.07, 0.02, 0.005)
"""Of the items that are allowed."""
FAR_SHARES = (0.3, 0.07)
FAR = 0.9
"""Share of the items among which such a filter chooses."""
LEFT = {"fifth_out": 0.8, "thousand_out": 0.99}
"""Shares of the farthest items of 100,000, all of which are allowed."""
N_QUERIES = 150
"""Of each kind."""
K = 10


def filtered(profiles: Profiles, queries: Queries) -> dict[str, float]:
    """Search with filters, one query after another, and compare with all products.

    Args:
        profiles: of a release with one segment.
        queries: of users and of items.

    Returns:
        Recall@10 and milliseconds of processor time per search, by kind of filter, share and kind of query.
    """
    vectors_ID = np.array(all_vectors(profiles))
    kinds = {
        "users": (profiles.manifest.search_width or 0, queries.users_QD[:N_QUERIES]),
        "items": (0, queries.items_QD[:N_QUERIES]),
    }
    found = {}
    for kind, (viewed, queries_QD) in kinds.items():
        scores_QI = queries_QD @ vectors_ID.T
        filters = {
            **{f"random_{share:g}": (share, 1.0) for share in SHARES},
            **{f"far_{share:g}": (share, FAR) for share in FAR_SHARES},
            **{name: (1.0, far) for name, far in LEFT.items()},
        }
        for name, (share, far) in filters.items():
            allowed_QI = _allowed(scores_QI, share, far)
            recall, cpu_ms = _measured(profiles, viewed, queries_QD, scores_QI, allowed_QI)
            found[f"{name}_{kind}"] = round(recall, 4)
            found[f"{name}_{kind}_cpu_ms"] = round(cpu_ms, 2)
    return found


def _allowed(scores_QI: NDArray[np.float32], share: float, far: float) -> NDArray[np.bool_]:
    """Mask of the items that each query may find: a share of so many of the farthest."""
    rng = np.random.default_rng(SEED)
    is_drawn_QI: NDArray[np.bool_] = rng.random(scores_QI.shape, np.float32) < share
    if far == 1:
        return is_drawn_QI
    n_far = int(far * scores_QI.shape[1])
    return is_drawn_QI & (scores_QI <= np.partition(scores_QI, n_far, axis=1)[:, n_far, None])


def _measured(
    profiles: Profiles,
    viewed: int,
    queries_QD: NDArray[np.float32],
    scores_QI: NDArray[np.float32],
    allowed_QI: NDArray[np.bool_],
) -> tuple[float, float]:
    """Recall@10, and milliseconds of processor time per search."""
    hits, began = 0, time.process_time()
    lists = [
        profiles.searcher.search(query[None], K, allowed_I=allowed_I, viewed=viewed).scores_QK[0]
        for query, allowed_I in zip(queries_QD, allowed_QI, strict=True)
    ]
    cpu_ms = (time.process_time() - began) / len(queries_QD) * 1000
    for scores_K, scores_I, allowed_I in zip(lists, scores_QI, allowed_QI, strict=True):
        last = np.partition(scores_I[allowed_I], -K)[-K]
        hits += int((scores_K >= last - NOISE).sum())
    return hits / K / len(queries_QD), cpu_ms
