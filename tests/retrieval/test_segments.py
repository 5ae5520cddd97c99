"""Search over segments: exact against a plain matrix product, ANN against exact, latest-wins and exclusion."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.profiles.item_ids import ItemIds
from recsys.profiles.items import Latest
from recsys.retrieval.index_building import build_index
from recsys.retrieval.measuring import index_recall
from recsys.retrieval.params import IndexParams
from recsys.retrieval.segments import (
    FEW_ROWS,
    PAD,
    RARE_SHARE,
    IndexedSegment,
    SegmentSearcher,
)
from tests.retrieval.old_files import hnsw_file, ivf_file
from tests.unit_rows import unit_rows

PARAMS = IndexParams(exact_below=100, links=32, search_width=64, least_recall=0.0, recall_queries=50, seed=7)
KINDS = ["signs", "compact", "hnsw", "ivf"]
WIDE = 768
"""From so many dimensions on an index keeps signs."""


def like_texts(rng: np.random.Generator, n: int, dim: int = 64) -> np.ndarray:
    """Unit vectors around many topics, whose variance falls from direction to direction, as that of profiles does."""
    falling = (1 / np.sqrt(1 + np.arange(dim))).astype(np.float32)
    topics = rng.standard_normal((n // 20, dim)) * falling
    found = topics[rng.integers(len(topics), size=n)] + 0.7 * rng.standard_normal((n, dim)) * falling
    unit_rows: np.ndarray = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
    return unit_rows


def made_for(kind: str, seed: int, n: int) -> np.ndarray:
    """Vectors that an index of this kind is built over."""
    rng = np.random.default_rng(seed)
    return like_texts(rng, n, WIDE) if kind == "signs" else unit_rows(rng, n, 16)


def all_live(*sizes: int, ids: list[str] | None = None) -> Latest:
    segment = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    row = np.concatenate([np.arange(n, dtype=np.int64) for n in sizes])
    return Latest(ItemIds(ids or [f"i{n:05d}" for n in range(len(row))]), segment, row)


def only(latest: Latest, keep: np.ndarray) -> Latest:
    ids = [item for item, kept in zip(latest.item_ids, keep, strict=True) if kept]
    return Latest(ItemIds(ids), latest.segment_of_item[keep], latest.row_of_item[keep])


def on_disk(folder: Path, vectors: np.ndarray, kind: str = "compact") -> Path:
    path = folder / "index.faiss"
    if kind in ("signs", "compact"):
        build_index(vectors, PARAMS, path)
    else:
        path.write_bytes({"hnsw": hnsw_file, "ivf": ivf_file}[kind](vectors))
    return path


def test_hand_made_lists_over_two_segments() -> None:
    first = np.array([[1, 0], [0, 1]], np.float32)
    second = np.array([[0.6, 0.8], [0.8, 0.6]], np.float32)
    searcher = SegmentSearcher(
        [IndexedSegment(first), IndexedSegment(second)], all_live(2, 2, ids=["a", "b", "c", "d"])
    )
    found = searcher.search(np.array([[1.0, 0.0]]), 5)
    assert found.rows_QK.tolist() == [[0, 3, 2, 1, PAD]]
    assert found.scores_QK[0, :4] == pytest.approx([1.0, 0.8, 0.6, 0.0])
    assert found.scores_QK[0, 4] == -np.inf


def test_ties_go_to_the_smaller_id_wherever_the_rows_lie() -> None:
    same = np.array([[1, 0], [1, 0], [1, 0]], np.float32)
    searcher = SegmentSearcher(
        [IndexedSegment(same), IndexedSegment(same[:1])], all_live(3, 1, ids=["z", "m", "b", "a"])
    )
    assert searcher.search(np.array([[1.0, 0.0]]), 2).rows_QK.tolist() == [[3, 2]]


def test_excluded_items_make_room_for_the_next_best() -> None:
    searcher = SegmentSearcher([IndexedSegment(np.eye(3, dtype=np.float32))], all_live(3))
    found = searcher.search(np.array([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1]]), 2, exclude=[{0}, set()])
    assert found.rows_QK.tolist() == [[1, 2], [0, 1]]


def test_a_catalogue_without_items_gives_padded_lists() -> None:
    found = SegmentSearcher([], all_live(0)).search(np.ones((1, 4)), 3)
    assert found.rows_QK.tolist() == [[PAD] * 3]


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.lists(st.integers(1, 60), min_size=1, max_size=5))
def test_exact_search_equals_a_sorted_matrix_product(seed: int, k: int, sizes: list[int]) -> None:
    rng = np.random.default_rng(seed)
    segments = [unit_rows(rng, n, 8) for n in sizes]
    latest = all_live(*sizes)
    live = rng.random(sum(sizes)) < 0.7
    everything = np.concatenate(segments)[live]
    searcher = SegmentSearcher([IndexedSegment(s) for s in segments], only(latest, live))
    query = unit_rows(rng, 1, 8)
    excluded = set(rng.choice(len(everything), min(3, len(everything)), replace=False).tolist())
    scores = (everything.astype(np.float64) * query.astype(np.float64)).sum(axis=1)
    scores[list(excluded)] = -np.inf
    expected = [row for row in np.argsort(-scores, kind="stable")[:k] if np.isfinite(scores[row])]
    found = searcher.search(query, k, exclude=[excluded])
    assert [row for row in found.rows_QK[0] if row != PAD] == expected


@pytest.mark.parametrize("kind", KINDS)
def test_an_index_is_near_exact(kind: str, tmp_path: Path) -> None:
    vectors = made_for(kind, 1, 2000)
    assert index_recall(vectors, on_disk(tmp_path, vectors, kind), PARAMS) > 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_ann_lists_are_full_and_right_when_nearly_everything_is_superseded(kind: str, tmp_path: Path) -> None:
    vectors = made_for(kind, 2, 1000)
    index = on_disk(tmp_path, vectors, kind)
    live = np.zeros(1000, bool)
    live[np.random.default_rng(3).choice(1000, 25, replace=False)] = True
    latest = only(all_live(1000), live)
    queries = made_for(kind, 4, 100)[:5]
    found = SegmentSearcher([IndexedSegment(vectors, index)], latest).search(queries, 20)
    truth = SegmentSearcher([IndexedSegment(vectors)], latest).search(queries, 20)
    assert (found.rows_QK != PAD).all()
    assert np.array_equal(found.rows_QK, truth.rows_QK)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.05, 0.6])
def test_ann_finds_what_is_allowed_though_it_lies_apart(kind: str, share: float, tmp_path: Path) -> None:
    rng, dim = np.random.default_rng(6), WIDE if kind == "signs" else 16
    centres = unit_rows(rng, 20, dim)
    topic = rng.integers(20, size=4000)
    vectors = centres[topic] + 0.3 * (
        like_texts(rng, 4000, dim) if kind == "signs" else unit_rows(rng, 4000, 16)
    )
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    allowed = topic < 20 * share  # whole topics: nothing allowed lies near most queries
    index = on_disk(tmp_path, vectors, kind)
    queries = vectors[rng.choice(4000, 50, replace=False)]
    found = SegmentSearcher([IndexedSegment(vectors, index)], all_live(4000)).search(
        queries, 10, allowed_I=allowed
    )
    truth = SegmentSearcher([IndexedSegment(vectors)], all_live(4000)).search(queries, 10, allowed_I=allowed)
    # Cosines of .05 to .15 are the best that is left of most queries here; 4 bits tell them apart less well.
    least = 0.985 if kind == "signs" else 0.95
    assert (found.scores_QK >= truth.scores_QK[:, -1:] - 1e-5).mean() > least
    assert allowed[found.rows_QK].all()


@pytest.mark.parametrize("kind", ["compact", "hnsw", "ivf"])
def test_where_a_filter_leaves_a_part_all_of_it_is_compared(kind: str, tmp_path: Path) -> None:
    """More than are read one by one, and fewer than a walk along links would compare."""
    vectors = unit_rows(np.random.default_rng(8), 4000, 16)
    allowed, live = np.random.default_rng(9).random((2, 4000)) < [[0.33], [0.9]]
    assert FEW_ROWS < (allowed & live).sum() < RARE_SHARE * 4000
    latest, queries = only(all_live(4000), live), unit_rows(np.random.default_rng(10), 20, 16)
    index = on_disk(tmp_path, vectors, kind)
    found = SegmentSearcher([IndexedSegment(vectors, index)], latest).search(
        queries, 30, allowed_I=allowed[live]
    )
    truth = SegmentSearcher([IndexedSegment(vectors)], latest).search(queries, 30, allowed_I=allowed[live])
    assert np.array_equal(found.rows_QK, truth.rows_QK)
    assert np.array_equal(found.scores_QK, truth.scores_QK)


def test_a_poor_index_is_measured_as_poor(tmp_path: Path) -> None:
    vectors = unit_rows(np.random.default_rng(5), 2000, 16)
    path = tmp_path / "index.faiss"
    path.write_bytes(ivf_file(vectors, lists=50, probes=1))
    assert index_recall(vectors, path, PARAMS) < 0.5


def test_only_allowed_items_are_found() -> None:
    searcher = SegmentSearcher([IndexedSegment(np.eye(3, dtype=np.float32))], all_live(3))
    found = searcher.search(np.array([[0.9, 0.5, 0.1]]), 2, allowed_I=np.array([False, True, True]))
    assert found.rows_QK.tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"queries_QD": np.ones((1, 3)), "k": 0}, "k must be at least 1, got 0"),
        ({"queries_QD": np.ones((1, 4)), "k": 1}, r"queries must be \[Q, \[3\]\], got \[1, 4\]"),
        ({"queries_QD": np.ones((1, 3)), "k": 1, "exclude": []}, "one entry per query, got 0 for 1"),
        ({"queries_QD": np.ones((1, 3)), "k": 1, "allowed_I": np.ones(2, bool)}, "one entry per item, got 2"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, object], words: str) -> None:
    searcher = SegmentSearcher([IndexedSegment(np.eye(3, dtype=np.float32))], all_live(3))
    with pytest.raises(ValueError, match=words):
        searcher.search(**arguments)  # type: ignore[arg-type]
