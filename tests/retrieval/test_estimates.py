"""Estimates of inner products are near the exact ones, and searches that read few vectors find what others find."""

from pathlib import Path

import numpy as np
import pytest

from recsys.retrieval.estimates import estimates, near_items
from recsys.retrieval.segments import IndexedSegment, SegmentSearcher
from tests.retrieval.test_segments import all_live, made_for, on_disk, only


@pytest.fixture(scope="module")
def searcher(tmp_path_factory: pytest.TempPathFactory) -> SegmentSearcher:
    """A segment that is searched by signs, and a small one; a tenth of the rows is superseded."""
    vectors, few = made_for("signs", 1, 3000), made_for("signs", 2, 60)
    index = on_disk(Path(tmp_path_factory.mktemp("signs")), vectors)
    live = np.random.default_rng(3).random(3060) < 0.9
    return SegmentSearcher(
        [IndexedSegment(vectors, index), IndexedSegment(few)], only(all_live(3000, 60), live)
    )


@pytest.fixture(scope="module")
def queries() -> np.ndarray:
    return made_for("signs", 4, 400)[:20]


def test_signs_tell_inner_products_about_and_other_segments_exactly(
    searcher: SegmentSearcher, queries: np.ndarray
) -> None:
    items = np.arange(len(searcher.latest.item_ids))
    small = searcher.latest.segment_of_item == 1
    beyond = []
    for query in queries:
        about, off = estimates(searcher, query, items)
        exact = searcher.scores(query, items)
        assert (off[small] == 0).all() and (off[~small] > 0).all()
        np.testing.assert_array_equal(about[small], exact[small])
        beyond.append((np.abs(about - exact) > off)[~small].mean())
    assert 0 < np.mean(beyond) < 0.1  # of real profiles 2 of 100


def test_the_near_ones_hold_what_a_search_finds_first(searcher: SegmentSearcher, queries: np.ndarray) -> None:
    n = len(searcher.latest.item_ids)
    allowed = np.random.default_rng(5).random(n) < 0.7
    for query in queries:
        exclude = set(searcher.search(query[None], 4).rows_QK[0].tolist())
        found = near_items(searcher, query, 50, exclude, allowed, 10)
        assert len(found) >= 50 and (np.diff(found) > 0).all()
        assert allowed[found].all() and not exclude & set(found.tolist())
        read = searcher.search(query[None], 50, [exclude], allowed, sure=10).rows_QK[0]
        assert set(read[:10].tolist()) <= set(found.tolist())


def test_of_few_items_all_are_near(searcher: SegmentSearcher, queries: np.ndarray) -> None:
    allowed = np.zeros(len(searcher.latest.item_ids), bool)
    allowed[[5, 17, 2700]] = True
    assert near_items(searcher, queries[0], 50, {17}, allowed, 50).tolist() == [5, 2700]
    assert near_items(searcher, queries[0], 1, set(), np.zeros_like(allowed), 1).tolist() == []
