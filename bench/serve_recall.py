"""Recall of a release's indexes, and the same of usearch and faiss HNSW over the same profiles, without HTTP.

Queries are profiles of users, who are looked for as `recommend` does, and profiles of items. A found item that scores
as much as the true last one counts.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.serve_world import CACHE, World
from recsys.publishing.object_files import ObjectFiles
from recsys.publishing.ranked import published_ranker
from recsys.publishing.released_profiles import Profiles
from recsys.publishing.store import ReleaseStore
from recsys.retrieval.in_place import NOISE
from recsys.retrieval.segments import IndexedSegment, SegmentSearcher
from recsys.storage.opening import open_storage

# Shape suffixes: Q queries, I items, K list, D dimension, B block of items.
K = 100
N_QUERIES = 300
SEED = 20260101
BLOCK = 32_768
EXPANSIONS = (128, 256, 512, 1024)
"""Widths of a rival's search; the first that reaches our recall counts, else the last."""
Search = Callable[[NDArray[np.float32], int], NDArray[np.int64]]


@dataclass(frozen=True)
class Queries:
    """Unit vectors to look for, with the score of the true last item of each."""

    users_QD: NDArray[np.float32]
    items_QD: NDArray[np.float32]
    users_last_Q: NDArray[np.float64]
    items_last_Q: NDArray[np.float64]


@dataclass(frozen=True)
class Recall:
    """Of one index."""

    users: float
    items: float
    p50_ms: float
    """Of one query of a user, alone."""
    p99_ms: float


def opened(world: World) -> Profiles:
    """The profiles of a published catalogue."""
    store = ReleaseStore(open_storage(world.store))
    manifest = store.manifest(store.current().current.release)
    return Profiles(manifest, ObjectFiles(store.storage, CACHE / "releases"))


def all_vectors(profiles: Profiles) -> NDArray[np.float32]:
    """The profiles of all live items, mapped where one segment holds them all."""
    (segment,) = profiles.searcher.segments
    return segment.vectors


def make_queries(profiles: Profiles) -> Queries:
    """Sample users and items, and search exactly for them."""
    rng = np.random.default_rng(SEED)
    manifest, searcher = profiles.manifest, profiles.searcher
    growth = published_ranker(manifest, profiles.files).growth(manifest.users.n_items)
    ridge = profiles.ridge(growth)
    users = profiles.histories.users
    sums = []
    for place in np.sort(rng.choice(len(users), min(N_QUERIES, len(users)), replace=False)):
        rows = profiles.latest.item_ids.rows_of(profiles.histories.items_of(users[place]))
        sums.append(searcher.vectors_of(rows).sum(axis=0, dtype=np.float64))
    users_QD = ridge.weights(np.stack(sums))
    users_QD = (users_QD / np.linalg.norm(users_QD, axis=1, keepdims=True)).astype(np.float32)
    vectors_ID = all_vectors(profiles)
    items_QD = np.array(vectors_ID[np.sort(rng.choice(len(vectors_ID), N_QUERIES, replace=False))])
    # As `similar` asks: this number only brings profiles to unit length.
    items_QD[:, : min(1, manifest.model.lexical_width)] = 0
    items_QD /= np.linalg.norm(items_QD, axis=1, keepdims=True)
    return Queries(users_QD, items_QD, _last(users_QD, vectors_ID), _last(items_QD, vectors_ID))


def _last(queries_QD: NDArray[np.float32], vectors_ID: NDArray[np.float32]) -> NDArray[np.float64]:
    """The K-th best inner product of every query, over all items."""
    best_QK = np.full((len(queries_QD), K), -np.inf, np.float32)
    for start in range(0, len(vectors_ID), BLOCK):
        both = np.concatenate([best_QK, queries_QD @ vectors_ID[start : start + BLOCK].T], axis=1)
        best_QK = -np.partition(-both, K - 1, axis=1)[:, :K]
    last_Q: NDArray[np.float64] = best_QK.min(axis=1).astype(np.float64)
    return last_Q


def recall_of(
    search: Search, queries: Queries, vectors_ID: NDArray[np.float32], of_users: Search | None = None
) -> Recall:
    """Ask an index for every query, one after another.

    Args:
        search: gives the rows of one query's best items.
        queries: with the truth.
        vectors_ID: what was indexed.
        of_users: searches for users; None: `search` does.

    Returns:
        The recall, and how long a user's query took.
    """
    users, seconds_Q = _measured(of_users or search, queries.users_QD, queries.users_last_Q, vectors_ID)
    items, _ = _measured(search, queries.items_QD, queries.items_last_Q, vectors_ID)
    p50, p99 = np.percentile(seconds_Q, (50, 99)) * 1000
    return Recall(round(users, 4), round(items, 4), round(float(p50), 2), round(float(p99), 2))


def _measured(
    search: Search,
    queries_QD: NDArray[np.float32],
    last_Q: NDArray[np.float64],
    vectors_ID: NDArray[np.float32],
) -> tuple[float, list[float]]:
    """The mean recall, and the seconds of every query."""
    hits, seconds = 0, []
    for query_D, last in zip(queries_QD, last_Q, strict=True):
        began = time.perf_counter()
        rows = search(query_D, K)
        seconds.append(time.perf_counter() - began)
        hits += int((vectors_ID[rows[rows >= 0]] @ query_D >= last - NOISE).sum())
    return hits / K / len(queries_QD), seconds


def ours(profiles: Profiles, viewed: int = 0) -> Search:
    """Search as `similar` does; with the release's width in view, as `recommend` does."""
    searcher: SegmentSearcher = profiles.searcher
    return lambda query_D, k: searcher.search(query_D[None], k, viewed=viewed).rows_QK[0]


def exact(profiles: Profiles) -> Search:
    """Search without an index."""
    plain = SegmentSearcher(
        [IndexedSegment(one.vectors) for one in profiles.searcher.segments], profiles.latest
    )
    return lambda query_D, k: plain.search(query_D[None], k).rows_QK[0]


@dataclass(frozen=True)
class Rival:
    """An index of others over the same vectors."""

    recall: Recall
    expansion: int
    build_s: float
    file_mb: float


def usearch_i8(vectors_ID: NDArray[np.float32], queries: Queries, target: float, scratch: Path) -> Rival:
    """Usearch with 8-bit numbers and its defaults, filled by all cores (so its bytes differ from run to run)."""
    from usearch.index import Index

    index = Index(ndim=vectors_ID.shape[1], metric="ip", dtype="i8")
    began = time.perf_counter()
    for start in range(0, len(vectors_ID), BLOCK):
        block = np.array(vectors_ID[start : start + BLOCK])
        index.add(np.arange(start, start + len(block)), block)
    build_s = time.perf_counter() - began
    path = scratch / "usearch.index"
    index.save(str(path))

    def search_with(expansion: int) -> Search:
        index.expansion_search = expansion  # type: ignore[misc]  # its stubs lack the setter
        return lambda query_D, k: np.asarray(index.search(query_D, k, threads=1).keys, np.int64)

    return _chosen(search_with, queries, vectors_ID, target, build_s, path)


def faiss_hnsw(vectors_ID: NDArray[np.float32], queries: Queries, target: float, scratch: Path) -> Rival:
    """Faiss HNSW over float32 (M 32, efConstruction 80), filled by all cores."""
    import faiss

    faiss.omp_set_num_threads(os.cpu_count() or 1)
    index = faiss.IndexHNSWFlat(vectors_ID.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 80
    began = time.perf_counter()
    for start in range(0, len(vectors_ID), BLOCK):
        index.add(np.array(vectors_ID[start : start + BLOCK]))
    build_s = time.perf_counter() - began
    path = scratch / "faiss.index"
    faiss.write_index(index, str(path))
    faiss.omp_set_num_threads(1)

    def search_with(expansion: int) -> Search:
        index.hnsw.efSearch = expansion
        return lambda query_D, k: index.search(query_D[None], k)[1][0]

    return _chosen(search_with, queries, vectors_ID, target, build_s, path)


def _chosen(
    search_with: Callable[[int], Search],
    queries: Queries,
    vectors_ID: NDArray[np.float32],
    target: float,
    build_s: float,
    path: Path,
) -> Rival:
    """The narrowest search that reaches the target for both kinds of query, else the widest."""
    found: Sequence[tuple[int, Recall]] = []
    for expansion in EXPANSIONS:
        found = [*found, (expansion, recall_of(search_with(expansion), queries, vectors_ID))]
        if min(found[-1][1].users, found[-1][1].items) >= target:
            break
    expansion, recall = found[-1]
    return Rival(recall, expansion, round(build_s, 1), round(path.stat().st_size / 2**20, 1))
