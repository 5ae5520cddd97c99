"""Scores of searches in segments are kept as long as nothing that they depend on has changed, and no longer."""

import numpy as np
import pytest

from recsys.profiles.item_ids import ItemIds
from recsys.profiles.items import Latest
from recsys.retrieval.index_building import build_index
from recsys.retrieval.params import IndexParams
from recsys.retrieval.segment_scores import SegmentScores, best_scores
from recsys.retrieval.segments import IndexedSegment, SegmentSearcher
from tests.unit_rows import unit_rows

N, DIM, K = 300, 16, 5
NAMES = ("indexed", "plain")
PARAMS = IndexParams(exact_below=1, links=16, search_width=64, least_recall=0, recall_queries=1, seed=0)


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Two segments, one with an index; queries with what they exclude; the segments that are searched."""
    rng = np.random.default_rng(0)
    vectors = [unit_rows(rng, N, DIM), unit_rows(rng, 40, DIM)]
    build_index(vectors[0], PARAMS, tmp_path / "index")
    segments = [IndexedSegment(vectors[0], tmp_path / "index"), IndexedSegment(vectors[1])]
    excluded = [np.arange(n, dtype=np.int64) + 298 for n in (0, 1, 4, 9)]
    searched = []
    search = SegmentSearcher.best_of_segment
    monkeypatch.setattr(
        SegmentSearcher,
        "best_of_segment",
        lambda self, place, *found, **more: searched.append(place) or search(self, place, *found, **more),
    )
    return segments, unit_rows(rng, len(excluded), DIM), excluded, searched


def searcher_of(segments, dead=(), width=0):
    """Rows of the second segment that are `dead` are superseded."""
    live = [np.arange(N), np.setdiff1d(np.arange(len(segments[1].vectors)), dead)]
    ids = ItemIds(map(str, range(sum(map(len, live)))))
    latest = Latest(ids, np.repeat(np.arange(2, dtype=np.int32), list(map(len, live))), np.concatenate(live))
    return SegmentSearcher(segments, latest, width)


def all_scores(asked, searcher):
    return np.concatenate([asked.of(searcher, place, NAMES[place]) for place in (0, 1)], axis=1)


def test_scores_are_those_of_searching_for_each_query_alone(world):
    segments, queries, excluded, _ = world
    searcher = searcher_of(segments, dead=[3, 7])
    found = best_scores(all_scores(SegmentScores(queries, K, excluded), searcher), K)
    for query, own, scores in zip(queries, excluded, found, strict=True):
        np.testing.assert_array_equal(scores, searcher.search(query[None], K, [own]).scores_QK[0])


def test_nothing_is_searched_again_until_something_changes(world, tmp_path):
    segments, queries, excluded, searched = world
    kept = tmp_path / "kept"

    def searched_by(searcher, queries=queries, excluded=excluded, code="abc"):
        searched.clear()
        asked = SegmentScores(queries, K, excluded, kept, code)
        found = all_scores(asked, searcher)
        asked.save()
        fresh = all_scores(SegmentScores(queries, K, excluded), searcher)
        np.testing.assert_array_equal(found, fresh)
        return set(searched[: len(searched) - len(queries) - 1])

    assert searched_by(searcher_of(segments)) == {0, 1}
    assert searched_by(searcher_of(segments)) == set()
    assert searched_by(searcher_of(segments, dead=[3])) == {1}
    assert searched_by(searcher_of(segments, dead=[3], width=128)) == {0}
    others = [own[own < N] for own in excluded]
    assert searched_by(searcher_of(segments, dead=[3], width=128), excluded=others) == {1}
    assert searched_by(searcher_of(segments, width=128), queries[::-1].copy(), others) == {0, 1}
    assert searched_by(searcher_of(segments, width=128), queries[::-1].copy(), others, code="def") == {0, 1}
    kept.write_bytes(kept.read_bytes()[:-1])
    assert searched_by(searcher_of(segments, width=128), queries[::-1].copy(), others, code="def") == {0, 1}


def test_best_scores_are_padded():
    assert best_scores(np.array([[1.0, 3.0], [2.0, -np.inf]]), 3).tolist() == [
        [3.0, 1.0, -np.inf],
        [2.0, -np.inf, -np.inf],
    ]
    assert best_scores(np.empty(0), 2).tolist() == [-np.inf, -np.inf]
