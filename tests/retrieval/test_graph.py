"""The graph of an index: the same whoever builds it, complete, and good on vectors like those of real texts."""

from pathlib import Path

import numpy as np
import pytest

from recsys.retrieval import cells, links
from recsys.retrieval.cells import overlapping_cells
from recsys.retrieval.graph import build_graph
from recsys.retrieval.index_building import build_index
from recsys.retrieval.index_file import IndexFile
from recsys.retrieval.links import KEPT, NONE, neighbours, workers
from recsys.retrieval.repair import attach_equal, connect, first_of_equal, reachable
from tests.retrieval.test_segments import PARAMS, like_texts
from tests.unit_rows import unit_rows


@pytest.fixture
def small_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few thousand vectors are divided as a million are."""
    monkeypatch.setattr(cells, "CELL_SIZE", 120)
    monkeypatch.setattr(cells, "MAX_CELL_SIZE", 300)


def lowest(vectors: np.ndarray, n_links: int = 32) -> tuple[np.ndarray, int]:
    """Links of the lowest level, and the entry."""
    graph = build_graph(vectors, n_links, seed=3)
    starts = graph.offsets[:-1].astype(np.int64)
    return graph.neighbours[starts[:, None] + np.arange(n_links)], graph.entry


@pytest.mark.usefixtures("small_cells")
def test_any_number_of_threads_writes_the_same_bytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    vectors = np.concatenate([like_texts(rng, 3000), np.eye(64, dtype=np.float32)[:1].repeat(40, axis=0)])
    for threads in (1, 2, 5):
        build_index(vectors, PARAMS, tmp_path / f"{threads}.faiss", threads)
    contents = {path.read_bytes() for path in tmp_path.iterdir()}
    assert len(contents) == 1
    build_index(vectors, PARAMS.model_copy(update={"seed": 8}), tmp_path / "other.faiss")
    assert (tmp_path / "other.faiss").read_bytes() not in contents


@pytest.mark.usefixtures("small_cells")
def test_users_and_items_find_nearly_all_of_their_best_hundred(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    vectors = like_texts(rng, 5000)
    build_index(vectors, PARAMS.model_copy(update={"search_width": 300}), tmp_path / "index.faiss")
    index = IndexFile(tmp_path / "index.faiss", *vectors.shape)
    gram = vectors.T.astype(np.float64) @ vectors
    liked = np.stack([vectors[rng.choice(5000, 8, replace=False)].sum(axis=0) for _ in range(100)])
    users = np.linalg.solve(gram / 10 + 3 * np.eye(64), liked.T).T.astype(np.float32)
    for queries in (vectors[:100], users):
        truth = np.argsort(-(queries @ vectors.T), axis=1)[:, :100]
        found = index.search(queries, 140)
        shares = [len(np.intersect1d(one, best)) / 100 for one, best in zip(found, truth, strict=True)]
        assert np.mean(shares) > 0.98


@pytest.mark.usefixtures("small_cells")
@pytest.mark.parametrize("kind", ["texts", "apart", "equal"])
def test_every_vector_can_be_reached(kind: str) -> None:
    rng = np.random.default_rng(2)
    if kind == "apart":  # bundles that have nothing near each other
        vectors = np.eye(40, dtype=np.float32).repeat(30, axis=0) + 1e-3 * unit_rows(rng, 1200, 40)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    else:
        vectors = like_texts(rng, 1500)
        if kind == "equal":
            vectors = np.concatenate(
                [vectors, vectors[:1].repeat(900, axis=0), vectors[5:55].repeat(4, axis=0)]
            )
    found, entry = lowest(vectors)
    assert reachable(found, entry).all()
    assert ((found >= NONE) & (found < len(vectors))).all()
    assert (found != np.arange(len(vectors))[:, None]).all()
    for row in found:
        ends = row[row != NONE]
        assert len(set(ends.tolist())) == len(ends)
        assert (row[: len(ends)] != NONE).all()  # faiss stops at the first free place


def test_all_equal_vectors_are_found(tmp_path: Path) -> None:
    vectors = like_texts(np.random.default_rng(3), 2000)
    vectors[100:350] = vectors[100]
    build_index(vectors, PARAMS, tmp_path / "index.faiss")
    found = IndexFile(tmp_path / "index.faiss", *vectors.shape).search(vectors[100:101], 250)
    assert sorted(found[0].tolist()) == list(range(100, 350))


@pytest.mark.parametrize("n", [1, 2, 3, 17])
def test_few_vectors_are_all_found(n: int, tmp_path: Path) -> None:
    vectors = unit_rows(np.random.default_rng(4), n, 16)
    build_index(vectors, PARAMS, tmp_path / "index.faiss")
    found = IndexFile(tmp_path / "index.faiss", n, 16).search(vectors, n)
    assert np.array_equal(np.sort(found, axis=1), np.tile(np.arange(n), (n, 1)))
    assert np.array_equal(found[:, 0], np.arange(n))


@pytest.mark.usefixtures("small_cells")
def test_cells_cover_every_row_and_none_is_too_large() -> None:
    rng = np.random.default_rng(5)
    vectors = np.concatenate([like_texts(rng, 2000), unit_rows(rng, 1, 64).repeat(1000, axis=0)])
    rows = np.arange(7, 3000)
    with workers(2) as pool:
        found = overlapping_cells(vectors, rows, 0, pool)
    assert max(map(len, found)) <= cells.MAX_CELL_SIZE
    assert all((np.diff(cell) > 0).all() for cell in found)
    times = np.bincount(np.concatenate(found), minlength=3000)
    assert (times[7:] >= 1).all()
    assert (times[:7] == 0).all()
    assert times.max() <= np.prod(cells.OVERLAPS)


def test_a_neighbour_behind_another_one_is_left_out() -> None:
    angles = np.deg2rad([0, 10, 12, -20])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    places, scores = neighbours(vectors)
    assert places[0].tolist() == [1, 3, NONE]  # 12° lies behind 10°, -20° on the other side
    assert scores[0, :2] == pytest.approx(np.cos(np.deg2rad([10, 20])))
    assert scores[0, 2] == -np.inf


def test_neighbours_are_as_one_by_one() -> None:
    vectors = like_texts(np.random.default_rng(6), 200)
    places, _ = neighbours(vectors)
    for row in range(0, 200, 20):
        scores = vectors @ vectors[row]
        scores[row] = -np.inf
        kept: list[int] = []
        for other in np.argsort(-scores, kind="stable")[: links.NEAREST].tolist():
            to_kept = 1 - vectors[kept] @ vectors[other]
            if len(kept) < KEPT and not (to_kept * links.DOMINANCE < 1 - scores[other]).any():
                kept.append(other)
        assert places[row, : len(kept)].tolist() == kept
        assert (places[row, len(kept) :] == NONE).all()


def test_what_no_path_reaches_is_linked_from_the_nearest_of_its_cell() -> None:
    vectors = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
    found = np.array([[1, NONE, NONE], [0, NONE, NONE], [0, NONE, NONE]], np.int32)
    connect(vectors, found, [np.arange(3)], entry=0)
    assert found.tolist() == [[1, NONE, NONE], [0, 2, NONE], [0, NONE, NONE]]


def test_cells_without_a_path_between_them_are_joined() -> None:
    vectors = np.eye(4, dtype=np.float32)
    found = np.array([[1, NONE], [0, NONE], [3, NONE], [2, NONE]], np.int32)
    connect(vectors, found, [np.array([0, 1]), np.array([2, 3])], entry=1)
    assert reachable(found, 1).all()


def test_equal_vectors_are_recognised_by_their_bytes() -> None:
    vectors = unit_rows(np.random.default_rng(7), 6, 16)
    vectors[[3, 5]] = vectors[1]
    assert first_of_equal(vectors).tolist() == [0, 1, 2, 1, 4, 1]


@pytest.mark.parametrize("n_links", [4, 8, 9, 16])
def test_equal_vectors_are_reached_however_few_links_there_are(n_links: int) -> None:
    first_N = np.zeros(300, np.int64)
    links_NL = np.full((300, n_links), NONE, np.int32)
    attach_equal(links_NL, first_N)
    assert reachable(links_NL, 0).all() and reachable(links_NL, 299).all()


def test_rows_that_are_split_off_one_by_one_end_in_small_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    n_divided = []

    def one_by_one(_: np.ndarray, rows: np.ndarray, *more: object) -> list[np.ndarray]:
        n_divided.append(len(rows))
        return [rows[:1], rows[1:]]

    monkeypatch.setattr(cells, "_divided", one_by_one)
    rows = np.arange(5 * cells.MAX_CELL_SIZE)
    found = list(cells._small(np.zeros((len(rows), 2), np.float32), rows, 0))
    assert len(n_divided) <= cells.MOST_DIVISIONS and max(map(len, found)) <= cells.MAX_CELL_SIZE
    np.testing.assert_array_equal(np.concatenate(found), rows)
