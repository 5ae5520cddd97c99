"""Measure what approximate indexes miss for users, and look further where it is too much.

Stage `index` measures each index with items of its segment as queries. A user's query is w = (XᵀX + λΣ⁻¹)⁻¹ b, which
weights directions differently and is far from every item, so an index may be good for one kind of query and bad for the
other. Where it is, a search that keeps more rows in view finds more: at first light over 100,000 titles 400 rows found
.94 of the best ten, 800 rows .98. Or fewer rows do for users: among a million mixed profiles items need 1,600, users
400. The measurement uses exactly the profiles, users and indexes of the new release.

An arrival must not cost what the catalogue has grown to. So the sample of users hardly changes from one release to the
next, the rows of large segments that are truly the best for them are kept (`recsys/retrieval/best_rows.py`), and so is
what was found in segments that have not changed (`recsys/retrieval/segment_scores.py`). Each interaction moves what all
users share, and so each user's query a little. Where indexes are those of the newest release, a few users are asked
with its rows in view; all of them, with every width, only if these find too little.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recsys.profiles.histories_by_user import IN_MEMORY, HistoriesByUser
from recsys.profiles.ridge import Ridge
from recsys.publishing.entries import ReleasedSegment
from recsys.publishing.ranked import published_ranker
from recsys.publishing.release import Manifest
from recsys.publishing.released_profiles import Profiles
from recsys.publishing.sampled_users import sampled_likes
from recsys.retrieval.best_rows import exact_scores, load_known, save_known
from recsys.retrieval.in_place import NOISE
from recsys.retrieval.params import RECALL_AT, WIDEST_SEARCH, IndexParams
from recsys.retrieval.segment_scores import SegmentScores, best_scores
from recsys.storage.strings import UNKNOWN

# Shape suffixes: Q sampled users, K list, D dimension.
WIDENINGS = (2, 4, 8)
"""Factors on `index.search_width` that are tried, one after the other. One more than where an index is made, which may
have used these up for its items."""
FEW = 4
"""One user of so many is asked where indexes stay."""
SAMPLE, BEST_ROWS, SCORES = "sample.state", "best-rows.state", "scores.state"
"""Files that are kept; those of a few users in a folder OF_FEW."""
OF_FEW = "few"


@dataclass(frozen=True)
class UsersRecall:
    """What users' searches find."""

    recall: float
    """Recall@10 of the indexes against exact search, in [0, 1]."""
    search_width: int | None = None
    """Rows of a graph that these searches kept in view; None: as many as the index files say."""


def users_recall(
    profiles: Profiles,
    params: IndexParams,
    minimum: float = 0.0,
    kept: Path | None = None,
    by_user: HistoriesByUser = IN_MEMORY,
    head: Manifest | None = None,
) -> UsersRecall | None:
    """Recall@10 of the indexes against exact search, for a sample of users.

    Each user is searched for alone, without the items of the history, as `Release.recommend` does. A found item that
    scores as much as the true tenth one counts. Item weights are left out, since items with weights are all scored
    anyway.

    Args:
        profiles: of the new release.
        params: `search_width`, `least_recall`, `recall_queries` and `seed`.
        minimum: of recall. Where users find less than it or `least_recall`, searches of graphs keep more rows in view,
            up to WIDENINGS[-1] times `search_width`. Where fewer than the files say reach both, they keep fewer: the
            files say what items need.
        kept: folder for what the next release's measurement needs not find again; None: nothing is kept.
        by_user: reads the histories of single users.
        head: the newest release. Where it has the same indexes, its rows in view stay as long as they reach both.

    Returns:
        With the fewest rows in view that reach both, or with those of the newest release, else with the most; None
        where all search is exact, or where no user likes a live item.
    """
    kinds = {segment.index.kind for segment in profiles.manifest.segments}
    if kinds <= {"exact"}:
        return None
    sample = kept / SAMPLE if kept else None
    likes = _rows_of(profiles, sampled_likes(profiles, params.recall_queries, params.seed, by_user, sample))
    if not likes:
        return None
    enough = max(minimum, params.least_recall)
    widths = [min(factor * params.search_width, WIDEST_SEARCH) for factor in (1, *WIDENINGS)]
    if head and head.search_width in (None, *widths) and _indexes(head) == _indexes(profiles.manifest):
        few = _measured(profiles, likes[::FEW], kept, OF_FEW)(head.search_width or 0)
        if few >= enough:
            return UsersRecall(few, head.search_width)
    measure, of_files = _measured(profiles, likes, kept), profiles.searcher.widest
    for width in (one for one in widths if one < of_files):
        if (recall := measure(width)) >= enough:
            return UsersRecall(recall, width)
    found = UsersRecall(measure(0))
    for width in (one for one in widths if one > of_files > 0):
        if found.recall >= enough:
            break
        found = UsersRecall(measure(width), width)
    return found


def _indexes(manifest: Manifest) -> set[str]:
    """The contents of large segments."""
    return {_content_of(segment) for segment in manifest.segments if segment.index.file}


def _measured(
    profiles: Profiles, likes: list[list[int]], kept: Path | None, folder: str = ""
) -> Callable[[int], float]:
    """Recall for users with these likes, by rows in view (0: as files say); exact search runs once.

    What is kept lies in a folder of its own; where that is empty, what is known of all users is read.
    """
    searcher, k = profiles.searcher, min(RECALL_AT, len(profiles.latest.item_ids))
    sums_QD = np.stack([searcher.vectors_of(np.array(rows)).sum(axis=0, dtype=np.float64) for rows in likes])
    queries_QD = _ridge(profiles).weights(sums_QD)
    # The scale does not change lists, and NOISE is for unit vectors.
    queries_QD /= np.linalg.norm(queries_QD, axis=1, keepdims=True)
    whole, kept = kept, kept / folder if kept else None
    code, file = profiles.manifest.code_commit, kept / SCORES if kept else None
    scores = SegmentScores(queries_QD, k, [np.array(rows, np.int64) for rows in likes], file, code)
    segments = profiles.manifest.segments
    known = (load_known(kept / BEST_ROWS) or load_known(whole / BEST_ROWS)) if kept and whole else {}
    truth_QK, known = exact_scores(searcher, [released.name for released in segments], scores, known)
    if kept:
        save_known(known, kept / BEST_ROWS)

    def measure(viewed: int) -> float:
        found = [
            scores.of(searcher, place, _content_of(segments[place]), viewed)
            for place in searcher.live_segments
        ]
        found_QK = best_scores(np.concatenate(found, axis=1), k)
        scores.save()
        hits_QK = (found_QK >= truth_QK[:, -1:] - NOISE) | np.isneginf(truth_QK)
        return float(hits_QK.mean())

    return measure


def _content_of(released: ReleasedSegment) -> str:
    """Names the vectors of a segment and its index."""
    file = released.index.file
    return f"{released.name} {file.sha256}" if file else released.name


def _rows_of(profiles: Profiles, likes: Iterable[Sequence[str]]) -> list[list[int]]:
    """For each user, the rows of the live items that they like; users without any are left out."""
    listed = list(likes)
    rows_N = profiles.latest.item_ids.rows_by_scan([item for items in listed for item in items])
    rows = np.split(rows_N, np.cumsum([len(items) for items in listed])[:-1]) if listed else []
    known = (found[found != UNKNOWN].tolist() for found in rows)
    return [one for one in known if one]


def _ridge(profiles: Profiles) -> Ridge:
    """The users' ridge regression, as in `Release`."""
    manifest = profiles.manifest
    growth = published_ranker(manifest, profiles.files).growth(manifest.users.n_items)
    return profiles.ridge(growth)
