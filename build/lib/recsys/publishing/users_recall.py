"""What an approximate index misses for users: their queries lie elsewhere than the items' own vectors.

Stage `index` measures each index file by queries that are items of its segment. A user's query is
w = (XᵀX + λI)⁻¹ b: its directions are weighted by how much they tell, so an index may be good for one kind of query
and bad for the other. Measured here on the very profiles, users and indexes that a release is about to hold.
"""

import numpy as np
from numpy.typing import NDArray

from recsys.profiles.users import Ridge
from recsys.publishing.objects import Profiles
from recsys.publishing.ranked import published_ranker
from recsys.retrieval.in_place import NOISE
from recsys.retrieval.params import IndexParams
from recsys.retrieval.segments import RECALL_AT, IndexedSegment, SegmentSearcher

# Shape suffixes: Q sampled users, K list, D dimension.


def users_recall(profiles: Profiles, params: IndexParams) -> float | None:
    """Recall@10 of the indexes against exact search, for users drawn from the histories.

    Each user is asked for alone and without the items that they like, as `Release.recommend` does by profiles. A found
    item as near as the tenth true one counts as found. The corrections of item weights are left out: items that have
    weights are all scored, whatever an index finds.

    Args:
        profiles: of the release to be.
        params: `recall_queries` and `seed`.

    Returns:
        A share in [0, 1]; None where every segment is searched exactly, or nobody likes an item that is live.
    """
    if all(segment.index.file is None for segment in profiles.manifest.segments):
        return None
    searcher = profiles.searcher
    likes = _sampled(profiles, params)
    k = min(RECALL_AT, len(profiles.latest.item_ids))
    if not likes or k < 1:
        return None
    sums_QD = np.stack([searcher.vectors_of(np.array(rows)).sum(axis=0, dtype=np.float64) for rows in likes])
    queries_QD = _ridge(profiles).weights(sums_QD)
    queries_QD /= np.linalg.norm(
        queries_QD, axis=1, keepdims=True
    )  # lists stay; NOISE is that of unit vectors
    plain = SegmentSearcher([IndexedSegment(one.vectors) for one in searcher.segments], profiles.latest)
    excluded = [set(rows) for rows in likes]
    truth_QK = plain.search(queries_QD, k, excluded).scores_QK
    found_QK = np.concatenate(
        [searcher.search(queries_QD[[q]], k, [seen]).scores_QK for q, seen in enumerate(excluded)]
    )
    hits_QK = (found_QK >= truth_QK[:, -1:] - NOISE) | np.isneginf(truth_QK)
    return float(hits_QK.mean())


def _sampled(profiles: Profiles, params: IndexParams) -> list[list[int]]:
    """Rows of the live items that each drawn user likes; users who like none are left out."""
    users, row_of_item = profiles.histories.users, profiles.row_of_item
    n = min(params.recall_queries, len(users))
    drawn: NDArray[np.int64] = np.sort(
        np.random.default_rng(params.seed).choice(len(users), n, replace=False)
    )
    histories = (profiles.histories.items_of(users[place]) for place in drawn)
    rows = ([row_of_item[item] for item in items if item in row_of_item] for items in histories)
    return [one for one in rows if one]


def _ridge(profiles: Profiles) -> Ridge:
    """The users' metric as `Release` has it."""
    manifest = profiles.manifest
    growth = published_ranker(manifest, profiles.files).growth(manifest.users.n_items)
    return Ridge(profiles.gram(), manifest.users.ridge_lambda * growth, manifest.model.lexical_width)
