"""Profiles of queries are nearly those of the exact computation, and the same whatever is computed beside them."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from recsys.heads import query_kernel
from recsys.heads.byte_matrix import LARGEST, MOST_ROWS, PARTS, ByteMatrix
from recsys.heads.kernel_head import Kernel
from recsys.heads.query_kernel import QueryKernel


@pytest.fixture(scope="module")
def matrix():
    """Columns of very different size, with some numbers far larger than the others."""
    rng = np.random.default_rng(0)
    return (rng.standard_t(4, (900, 70)) * np.geomspace(1e-6, 1e3, 70)).astype(np.float32)


def test_a_matrix_of_bytes_holds_sixteen_bits_of_each_number(matrix):
    held = ByteMatrix.of(matrix)
    again = (held.step_D[:, None] * (held.whole_DM + held.left_DM / PARTS)).T
    largest = np.abs(matrix).max(axis=0)
    assert (np.abs(again - matrix) <= largest / LARGEST / PARTS * 0.501).all()


def test_rows_of_a_kernel_are_multiplied_to_within_a_hundredth(matrix):
    held = ByteMatrix.of(matrix)
    rows = np.exp(np.random.default_rng(1).normal(0, 0.2, (20, 900)) - 2).astype(np.float32)
    rows[:, 3] = 1  # a landmark with the same text
    exact = rows.astype(np.float64) @ matrix.astype(np.float64)
    found = np.stack([held.times(row) for row in rows])
    scaled = np.geomspace(1e-6, 1e3, 70)
    off = np.linalg.norm((found - exact) / scaled, axis=1) / np.linalg.norm(exact / scaled, axis=1)
    assert 0 < off.max() < 0.01


def test_columns_and_rows_without_anything_to_tell_apart_are_exact():
    matrix = np.array([[0, 2, 1], [0, 2, -1]], np.float32)
    held = ByteMatrix.of(matrix)
    assert held.times(np.array([0.25, 0.25], np.float32)).tolist() == [0, 1, 0]
    assert held.times(np.array([1, 0], np.float32)) == pytest.approx([0, 2, 1], abs=1e-6)


def test_a_matrix_that_is_too_long_for_whole_sums_is_refused():
    with pytest.raises(ValueError, match=f"at most {MOST_ROWS} rows, got {MOST_ROWS + 1}"):
        ByteMatrix.of(np.broadcast_to(np.float32(1), (MOST_ROWS + 1, 1)))
    longest = ByteMatrix.of(np.ones((MOST_ROWS, 1), np.float32))
    alternating = np.where(np.arange(MOST_ROWS) % 2, -1, 1).astype(np.float32)
    halves = ByteMatrix.of(alternating[:, None]).times(alternating)
    assert halves == pytest.approx([MOST_ROWS], rel=1e-6)  # the largest sum that there can be
    assert longest.times(np.full(MOST_ROWS, 0.5, np.float32)).tolist() == [MOST_ROWS / 2]


@pytest.fixture(scope="module")
def parts():
    """Words of 40 landmarks and 5 queries, and their vectors; the last query has none."""
    rng = np.random.default_rng(2)
    words = csr_array(rng.random((45, 30)) * (rng.random((45, 30)) < 0.2), dtype=np.float32)
    vectors = rng.normal(size=(45, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[-1] = 0
    return words, vectors, rng.normal(size=(40, 7)).astype(np.float32)


@pytest.mark.parametrize(("least", "tolerance"), [(query_kernel.BYTES_FROM, 1e-5), (0, 5e-3)])
def test_queries_are_compared_as_items_are(monkeypatch, parts, least, tolerance):
    monkeypatch.setattr(query_kernel, "BYTES_FROM", least)
    words, vectors, projection = parts
    by_term = csr_array(words[:40].T)
    kernel = Kernel(None, 0.3, 2.0)  # the words are given
    wanted = kernel.compare(words[40:], vectors[40:].astype(float), by_term, vectors[:40].astype(float))
    asked = QueryKernel(0.3, 2.0, by_term, vectors[:40], projection)
    assert (asked.bytes is None) == (least > 0)
    found = asked.coordinates(csr_array(words[40:]), vectors[40:], range(5))
    sizes = np.abs(wanted) @ np.abs(projection)
    assert (np.abs(found - wanted @ projection) < tolerance * sizes).all()
    for one in range(5):
        alone = asked.coordinates(csr_array(words[40:]), vectors[40:], range(one, one + 1))
        np.testing.assert_array_equal(alone[0], found[one])
