"""Measure what approximate indexes miss for users, and look further where it is too much.

Stage `index` measures each index with items of its segment as queries. A user's query is w = (XᵀX + λI)⁻¹ b, which
weights directions differently and is far from every item, so an index may be good for one kind of query and bad for the
other. Where it is, a search that keeps more rows in view finds more: at first light over 100,000 titles 400 rows found
.94 of the best ten, 800 rows .98. The measurement uses exactly the profiles, users and indexes of the new release.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.profiles.item_ids import UNKNOWN
from recsys.profiles.users import Ridge
from recsys.publishing.objects import Profiles
from recsys.publishing.ranked import published_ranker
from recsys.retrieval.in_place import NOISE
from recsys.retrieval.params import WIDEST_SEARCH, IndexParams
from recsys.retrieval.segments import RECALL_AT, IndexedSegment, SegmentSearcher

# Shape suffixes: Q sampled users, K list, D dimension.
WIDENINGS = (2, 4)
"""Factors on `index.search_width` that are tried, one after the other."""


@dataclass(frozen=True)
class UsersRecall:
    """What users' searches find."""

    recall: float
    """Recall@10 of the indexes against exact search, in [0, 1]."""
    search_width: int | None = None
    """Rows of a graph that these searches kept in view; None: as many as the index files say."""


def users_recall(profiles: Profiles, params: IndexParams, minimum: float = 0.0) -> UsersRecall | None:
    """Recall@10 of the indexes against exact search, for a sample of users.

    Each user is searched for alone, without the items of the history, as `Release.recommend` does. A found item that
    scores as much as the true tenth one counts. Item weights are left out, since items with weights are all scored
    anyway.

    Args:
        profiles: of the new release.
        params: `search_width`, `recall_queries` and `seed`.
        minimum: where recall is lower, searches of graphs keep more rows in view, up to WIDENINGS[-1] times as many.

    Returns:
        With the fewest rows in view that reach the minimum, else with the most; None where all search is exact, or
        where no user likes a live item.
    """
    kinds = {segment.index.kind for segment in profiles.manifest.segments}
    if kinds <= {"exact"}:
        return None
    likes = _sampled(profiles, params)
    if not likes:
        return None
    measure = _measured(profiles, likes)
    found = UsersRecall(measure(profiles.searcher))
    for factor in WIDENINGS if kinds & {"compact", "graph", "hnsw"} else ():
        if found.recall >= minimum:
            break
        width = min(factor * params.search_width, WIDEST_SEARCH)
        wider = SegmentSearcher(profiles.searcher.segments, profiles.latest, width)
        found = UsersRecall(measure(wider), width)
    return found


def _measured(profiles: Profiles, likes: list[list[int]]) -> Callable[[SegmentSearcher], float]:
    """The recall of a searcher for users with these likes; exact search runs once."""
    searcher, k = profiles.searcher, min(RECALL_AT, len(profiles.latest.item_ids))
    sums_QD = np.stack([searcher.vectors_of(np.array(rows)).sum(axis=0, dtype=np.float64) for rows in likes])
    queries_QD = _ridge(profiles).weights(sums_QD)
    queries_QD /= np.linalg.norm(
        queries_QD, axis=1, keepdims=True
    )  # the scale does not change lists, and NOISE is for unit vectors
    plain = SegmentSearcher([IndexedSegment(one.vectors) for one in searcher.segments], profiles.latest)
    excluded = [set(rows) for rows in likes]
    truth_QK = plain.search(queries_QD, k, excluded).scores_QK

    def measure(some: SegmentSearcher) -> float:
        found_QK = np.concatenate(
            [some.search(queries_QD[[q]], k, [history]).scores_QK for q, history in enumerate(excluded)]
        )
        hits_QK = (found_QK >= truth_QK[:, -1:] - NOISE) | np.isneginf(truth_QK)
        return float(hits_QK.mean())

    return measure


def _sampled(profiles: Profiles, params: IndexParams) -> list[list[int]]:
    """For each sampled user, the rows of the live items that they like; users without any are left out."""
    users, ids = profiles.histories.users, profiles.latest.item_ids
    n = min(params.recall_queries, len(users))
    drawn: NDArray[np.int64] = np.sort(
        np.random.default_rng(params.seed).choice(len(users), n, replace=False)
    )
    histories = (profiles.histories.items_of(users[place]) for place in drawn)
    rows = (ids.rows_of(items) for items in histories)
    known = (found[found != UNKNOWN].tolist() for found in rows)
    return [one for one in known if one]


def _ridge(profiles: Profiles) -> Ridge:
    """The users' ridge regression, as in `Release`."""
    manifest = profiles.manifest
    growth = published_ranker(manifest, profiles.files).growth(manifest.users.n_items)
    return Ridge(profiles.gram(), manifest.users.ridge_lambda * growth, manifest.model.lexical_width)
