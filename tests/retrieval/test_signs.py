"""Signs of vectors: counted and compared as by hand, and good enough to find candidates by."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.retrieval import sign_graph
from recsys.retrieval.index_building import build_index
from recsys.retrieval.index_file import IndexFile
from recsys.retrieval.rotation import rotated
from recsys.retrieval.segments import IndexedSegment, SegmentSearcher
from recsys.retrieval.sign_graph import SignGraph
from recsys.retrieval.signs import agreeing, differing, n_bytes, signs_of
from tests.retrieval.test_segments import PARAMS, WIDE, all_live, like_texts
from tests.unit_rows import unit_rows


def test_a_sign_is_1_above_0_and_bits_beyond_the_last_number_are_0() -> None:
    turned = np.array([[0.1, -0.1, 0, 2, -1, -1, -1, 1, 0.5, -0.5]], np.float32)
    assert signs_of(turned).tolist() == [[0b10010001, 0b10000000]]
    assert [n_bytes(dim) for dim in (1, 8, 9, 1024)] == [1, 1, 2, 128]


@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_signs_are_compared_as_one_by_one(dim: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    some, query = (
        rng.standard_normal((9, dim)).astype(np.float32),
        rng.standard_normal(dim).astype(np.float32),
    )
    signs = signs_of(some)
    expected = ((some > 0) != (query > 0)).sum(axis=1)
    assert differing(signs_of(query[None])[0], signs).tolist() == expected.tolist()
    products = np.where(some > 0, 1, -1) @ query.astype(np.float64)
    offset = query.astype(np.float64).sum()
    rounding = float(np.abs(query).max()) / 127 * dim  # half a step of each number, twice
    assert agreeing(query, signs) == pytest.approx(products + offset, abs=rounding)


def test_a_query_of_zeros_agrees_with_all_vectors_alike() -> None:
    assert agreeing(np.zeros(9, np.float32), signs_of(np.eye(9, dtype=np.float32))).tolist() == [0] * 9


def test_a_scan_and_its_shortlist_hold_the_best_of_what_is_allowed_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)
    vectors = like_texts(rng, 3000, WIDE)
    build_index(vectors, PARAMS, tmp_path / "index.faiss")
    index, allowed = IndexFile(tmp_path / "index.faiss", *vectors.shape), rng.random(3000) < 0.5
    found = [one.rows_R for one in index.scan(vectors[:40], 10, 200, allowed)]
    assert allowed[np.concatenate(found)].all()
    monkeypatch.setattr(sign_graph, "COPYING", 1)  # never compares all rows where they lie
    monkeypatch.setattr(sign_graph, "ROWS_AT_ONCE", 100)
    again = [one.rows_R for one in index.scan(vectors[:40], 10, 200, allowed)]
    assert all(np.array_equal(one, other) for one, other in zip(again, found, strict=True))
    listed = found[0]
    equal_signs = (rotated(vectors)[listed] > 0) == (rotated(vectors[:1]) > 0)
    assert (np.diff(equal_signs.sum(axis=1)) <= 0).all()  # most first
    truth = np.argsort(np.where(allowed, -(vectors[:40] @ vectors.T), 9), axis=1)[:, :10]
    left = [rows[index.shortlist(vectors[q], rows, 10, 10)] for q, rows in enumerate(found)]
    assert np.mean([np.isin(best, one).mean() for best, one in zip(truth, left, strict=True)]) > 0.98
    assert max(map(len, left)) < 200 and np.mean([len(one) for one in left]) < 100
    longer = [rows[index.shortlist(vectors[q], rows, 100, 10)] for q, rows in enumerate(found)]
    assert all(len(more) >= 100 and np.isin(one, more).all() for one, more in zip(left, longer, strict=True))
    assert np.mean([len(one) for one in longer]) < 110  # all 100 as surely best would be many more


def test_true_scores_say_what_a_row_must_reach_where_nothing_near_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = like_texts(np.random.default_rng(5), 3000, WIDE)
    build_index(vectors, PARAMS, tmp_path / "index.faiss")
    index = IndexFile(tmp_path / "index.faiss", *vectors.shape)
    kept, n_listed = dict.fromkeys(("by signs", "all", "estimated"), 0.0), 0
    for query in vectors[:40]:
        scores = (vectors @ query).astype(np.float64)
        allowed = scores <= np.quantile(scores, 0.8)
        truth = np.argsort(np.where(allowed, -scores, 9))[:10]
        for way in kept:
            monkeypatch.setattr(sign_graph, "MOST_ESTIMATED", 10_000 if way == "estimated" else 0)
            scores_of = [] if way == "by signs" else [lambda some, known=scores: known[some]]
            (found,) = index.scan(query[None], 10, 50, allowed, scores_of)
            assert allowed[found.rows_R].all() and found.is_clear == (way == "by signs")
            kept[way] += np.isin(truth, found.rows_R).mean() / 40
        n_listed += len(found.rows_R)
    assert min(kept["all"], kept["estimated"]) > max(0.97, kept["by signs"] + 0.1), kept
    assert n_listed < 40 * 1600  # of 2,400 that are allowed


def test_a_filter_that_leaves_what_is_near_changes_no_list(tmp_path: Path) -> None:
    vectors = like_texts(np.random.default_rng(6), 3000, WIDE)
    build_index(vectors, PARAMS, tmp_path / "index.faiss")
    index, allowed = IndexFile(tmp_path / "index.faiss", *vectors.shape), np.arange(3000) < 2900

    def unasked(_: np.ndarray) -> np.ndarray:
        raise AssertionError("no score is needed")

    for query in vectors[:10]:
        (plain,) = index.scan(query[None], 1, 400, allowed)
        (filtered,) = index.scan(query[None], 1, 400, allowed, [unasked])
        assert filtered.is_clear and np.array_equal(plain.rows_R, filtered.rows_R)


@pytest.mark.parametrize("dim", [WIDE, WIDE + 8])  # in whole words, and not
def test_all_rows_are_compared_where_they_lie_once_that_is_cheaper_than_copies(
    tmp_path: Path, dim: int
) -> None:
    vectors = like_texts(np.random.default_rng(4), 300, dim)
    build_index(vectors, PARAMS, tmp_path / "index.faiss")
    index = IndexFile(tmp_path / "index.faiss", *vectors.shape)
    turned = rotated(vectors) > 0
    differing_N = (turned != turned[5]).sum(axis=1)
    for n_allowed in (300, 299, 43, 42):
        allowed = np.arange(300) < n_allowed
        (found,) = index.scan(vectors[5:6], 5, 5, allowed)
        listed = found.rows_R
        assert listed[0] == 5 and allowed[listed].all()
        fifth = np.sort(differing_N[allowed])[4]
        assert set(np.flatnonzero(allowed & (differing_N < fifth))) <= set(listed.tolist())
    assert sign_graph.n_compared(43, 300) == sign_graph.n_compared(300, 300) == 43
    assert sign_graph.n_compared(42, 300) == 42


@pytest.mark.parametrize("dim", [WIDE, WIDE + 8])  # in whole words, and not
def test_queries_that_are_looked_ahead_are_counted_once_and_find_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dim: int
) -> None:
    vectors = like_texts(np.random.default_rng(6), 300, dim)
    build_index(vectors, PARAMS, tmp_path / "index.faiss")
    searcher = SegmentSearcher([IndexedSegment(vectors, tmp_path / "index.faiss")], all_live(300))
    allowed = np.arange(300) % 5 > 0
    counted, count = [], SignGraph._count

    def spied(graph: SignGraph, signs: np.ndarray, rows: np.ndarray, out: np.ndarray) -> None:
        counted.append((len(signs), len(rows)))
        count(graph, signs, rows, out)

    def found() -> list[list[float]]:
        lists = [searcher.search(vectors[q : q + 1], 5, [{q}], allowed) for q in range(3)]
        return [[*one.rows_QK[0].tolist(), *one.scores_QK[0].tolist()] for one in lists]

    monkeypatch.setattr(SignGraph, "_count", spied)
    monkeypatch.setattr(sign_graph, "ROWS_AHEAD", 128)
    searcher.look_ahead(vectors[:3])
    assert counted == []  # no search has compared all rows yet
    alone = found()
    assert counted == ([(1, 300)] * 3 if dim == WIDE else [])
    counted.clear()
    searcher.look_ahead(vectors[:3])
    assert found() == alone
    assert counted == ([(3, 128), (3, 128), (3, 44)] if dim == WIDE else [])
    assert found() == alone  # what was counted ahead is used once


def test_what_is_compared_elsewhere_is_left_out_without_reading_what_a_filter_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = like_texts(np.random.default_rng(7), 3000, WIDE)
    build_index(vectors, PARAMS, tmp_path / "index.faiss")
    searcher = SegmentSearcher([IndexedSegment(vectors, tmp_path / "index.faiss")], all_live(3000))
    far, near = unit_rows(np.random.default_rng(8), 10, WIDE), vectors[:30] + vectors[30:60]
    n_read = {False: 0, True: 0}
    allowed, scores_of_rows = np.arange(3000) % 7 > 0, SegmentSearcher._scores_of_rows
    found = {}
    for is_filtered in n_read:

        def spied(*args: np.ndarray, is_filtered: bool = is_filtered) -> np.ndarray:
            n_read[is_filtered] += len(args[-1])
            return scores_of_rows(*args)

        monkeypatch.setattr(SegmentSearcher, "_scores_of_rows", spied)
        found[is_filtered] = searcher.search(near, 10, allowed_I=allowed, is_filtered=is_filtered).rows_QK
        searcher.search(far, 10, allowed_I=allowed, is_filtered=is_filtered)
    assert n_read[False] < n_read[True] / 2, n_read
    assert (found[False] == found[True]).mean() > 0.99


def test_a_shortlist_holds_all_rows_where_no_more_are_wanted(tmp_path: Path) -> None:
    vectors = like_texts(np.random.default_rng(3), 200, WIDE)
    build_index(vectors, PARAMS, tmp_path / "index.faiss")
    index = IndexFile(tmp_path / "index.faiss", *vectors.shape)
    assert index.shortlist(vectors[0], np.arange(5), 5, 5).all()
    assert len(index.shortlist(vectors[0], np.arange(0), 5, 5)) == 0


def test_where_fewer_are_allowed_than_wanted_these_are_found(tmp_path: Path) -> None:
    vectors = like_texts(np.random.default_rng(2), 200, WIDE)
    build_index(vectors, PARAMS, tmp_path / "index.faiss")
    index, allowed = IndexFile(tmp_path / "index.faiss", *vectors.shape), np.zeros(200, bool)
    assert [len(one.rows_R) for one in index.scan(vectors[:2], 1, 3, allowed)] == [0, 0]
    allowed[[7, 9]] = True
    (found,) = index.scan(vectors[7:8], 1, 3, allowed)
    assert found.rows_R.tolist() == [7, 9]
