"""What is kept of earlier exact searches changes nothing but how many segments are read."""

import numpy as np
import pytest

from recsys.profiles.item_ids import ItemIds
from recsys.profiles.items import Latest
from recsys.retrieval import best_rows
from recsys.retrieval.best_rows import exact_scores, load_known, save_known
from recsys.retrieval.segment_scores import SegmentScores
from recsys.retrieval.segments import IndexedSegment, SegmentSearcher
from tests.unit_rows import unit_rows

N, SMALL, DIM, K, SPARE = 500, 20, 8, 5, 15
NAMES = ["large", "small"]


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Vectors of a large and a small segment, queries, what they exclude, and how often the large one is searched."""
    monkeypatch.setattr(best_rows, "SPARE_ROWS", SPARE)
    searched = []
    search = best_rows.best_places
    monkeypatch.setattr(
        best_rows, "best_places", lambda *found: searched.append(len(found[2])) or search(*found)
    )
    rng = np.random.default_rng(0)
    vectors = [unit_rows(rng, N, DIM), unit_rows(rng, SMALL, DIM)]
    queries, excluded = (
        unit_rows(rng, 6, DIM),
        [np.sort(rng.choice(N, n, replace=False)) for n in (0, 1, 2, 3, 4, 60)],
    )
    return vectors, queries, excluded, searched


def searcher_of(vectors, dead=()):
    """Rows of the large segment that are `dead` are superseded. Its index is never opened."""
    live = [np.setdiff1d(np.arange(len(vectors[0])), dead), np.arange(len(vectors[1]))]
    latest = Latest(
        ItemIds(map(str, range(sum(map(len, live))))),
        np.repeat(np.arange(2, dtype=np.int32), [len(rows) for rows in live]),
        np.concatenate(live),
    )
    segments = [IndexedSegment(vectors[0], index="none"), IndexedSegment(vectors[1])]  # type: ignore[arg-type]
    return SegmentSearcher(segments, latest)


def expected(searcher, queries, excluded):
    """By a plain product with all live items."""
    everything = searcher.vectors_of(np.arange(len(searcher.latest.item_ids))).astype(np.float64)
    scores = queries.astype(np.float64) @ everything.T
    for q, own in enumerate(excluded):
        scores[q, own] = -np.inf
    return -np.sort(-scores, axis=1)[:, :K]


def test_scores_are_exact_and_nothing_is_searched_for_the_same_queries_again(world, tmp_path):
    vectors, queries, excluded, searched = world
    searcher = searcher_of(vectors)
    found, known = exact_scores(searcher, NAMES, SegmentScores(queries, K, excluded), {})
    np.testing.assert_allclose(found, expected(searcher, queries, excluded), atol=1e-6)
    assert searched == [len(queries)]
    save_known(known, tmp_path / "kept")
    again, _ = exact_scores(
        searcher, NAMES, SegmentScores(queries, K, excluded), load_known(tmp_path / "kept")
    )
    np.testing.assert_array_equal(again, found)
    assert searched == [len(queries)]


def test_new_items_and_queries_that_moved_a_little_need_no_search(world):
    vectors, queries, excluded, searched = world
    _, known = exact_scores(searcher_of(vectors), NAMES, SegmentScores(queries, K, excluded), {})
    rng = np.random.default_rng(1)
    grown = searcher_of([vectors[0], np.concatenate([vectors[1], unit_rows(rng, 9, DIM)])])
    moved = queries + 1e-3 * unit_rows(rng, *queries.shape)
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    searched.clear()
    found, _ = exact_scores(grown, NAMES, SegmentScores(moved, K, excluded), known)
    np.testing.assert_allclose(found, expected(grown, moved, excluded), atol=1e-6)
    assert not searched


@pytest.mark.parametrize("distance", [0.05, 0.3, 2.0])
def test_queries_that_moved_far_are_searched_for_again(world, distance):
    vectors, queries, excluded, searched = world
    searcher = searcher_of(vectors)
    _, known = exact_scores(searcher, NAMES, SegmentScores(queries, K, excluded), {})
    moved = queries.copy()
    moved[3:] += distance * unit_rows(np.random.default_rng(2), 3, DIM)
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    searched.clear()
    found, after = exact_scores(searcher, NAMES, SegmentScores(moved, K, excluded), known)
    np.testing.assert_allclose(found, expected(searcher, moved, excluded), atol=1e-6)
    assert sum(searched) <= 3
    assert len(after["large"].rows) == len(queries)
    if distance == 2.0:
        assert searched == [3]


def test_where_most_of_what_is_kept_is_superseded_more_rows_are_looked_at(world):
    vectors, queries, excluded, searched = world
    _, known = exact_scores(
        searcher_of(vectors), NAMES, SegmentScores(queries, K, [np.empty(0, np.int64)] * 6), {}
    )
    dead = np.unique(np.argsort(-(queries @ vectors[0].T), axis=1)[:, : 3 * SPARE])
    searcher = searcher_of(vectors, dead)
    searched.clear()
    found, _ = exact_scores(searcher, NAMES, SegmentScores(queries, K, [np.empty(0, np.int64)] * 6), known)
    np.testing.assert_allclose(found, expected(searcher, queries, [[]] * 6), atol=1e-6)
    assert searched


def test_lists_are_padded_where_there_are_fewer_items(world):
    vectors, queries, _, _ = world
    searcher = searcher_of([vectors[0][:2], vectors[1][:1]])
    found, _ = exact_scores(searcher, NAMES, SegmentScores(queries, K, [np.array([0])] * 6), {})
    assert np.isneginf(found[:, 2:]).all() and np.isfinite(found[:, :2]).all()
