"""Profiles of queries are nearly those of the exact computation, and the same whatever is computed beside them."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from recsys.heads import query_kernel
from recsys.heads.byte_matrix import LARGEST, MOST_COLUMNS, ByteMatrix
from recsys.heads.kernel_head import Kernel
from recsys.heads.query_kernel import QueryKernel


@pytest.fixture(scope="module")
def matrix():
    """Rows of very different size."""
    rng = np.random.default_rng(0)
    return (rng.normal(size=(70, 900)) * np.geomspace(1e-6, 1e3, 70)[:, None]).astype(np.float32)


@pytest.mark.parametrize("scaled", [False, True])
def test_inner_products_with_a_matrix_of_bytes_are_off_by_what_rounding_takes_away(matrix, scaled):
    rng = np.random.default_rng(1)
    vector, scale = rng.normal(size=900).astype(np.float32), rng.uniform(0.5, 2, 900).astype(np.float32)
    rows = matrix / scale if scaled else matrix
    held = ByteMatrix.of(matrix, scale if scaled else None)
    step = np.abs(rows).max(axis=1) / LARGEST
    off = (held.times(vector[None])[0] - rows.astype(float) @ vector) / step
    spread = np.linalg.norm(vector) / np.sqrt(12)  # of even errors of at most half a step
    assert 0.5 * spread < off.std() < 1.5 * spread and np.abs(off).max() < 4 * spread


def test_whole_numbers_and_nothing_at_all_are_exact():
    held = ByteMatrix.of(np.array([[127, -3, 0], [0, 0, 0]], np.float32))
    vectors = np.array([[0, 127, 5], [0, 0, 0]], np.float32)
    assert held.times(vectors).tolist() == [[-3 * 127, 0], [0, 0]]


def test_rows_that_are_too_long_for_whole_sums_are_refused():
    with pytest.raises(ValueError, match=f"at most {MOST_COLUMNS} columns, got {MOST_COLUMNS + 1}"):
        ByteMatrix.of(np.broadcast_to(np.float32(1), (1, MOST_COLUMNS + 1)))
    longest = np.where(np.arange(MOST_COLUMNS) % 2, -1, 1).astype(np.float32)
    found = ByteMatrix.of(longest[None]).times(longest[None])[0]  # the largest sum that there can be
    assert found == pytest.approx([MOST_COLUMNS], rel=1e-6)


@pytest.fixture(scope="module")
def parts():
    """Words of 40 landmarks and 5 queries, and their vectors; the last query has none."""
    rng = np.random.default_rng(2)
    words = csr_array(rng.random((45, 30)) * (rng.random((45, 30)) < 0.2), dtype=np.float32)
    vectors = rng.normal(size=(45, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[-1] = 0
    return words, vectors, rng.normal(size=(40, 7)).astype(np.float32)


@pytest.mark.parametrize(("least", "tolerance"), [(query_kernel.ROUNDED_FROM, 1e-5), (0, 1e-2)])
def test_queries_are_compared_as_items_are(monkeypatch, parts, least, tolerance):
    monkeypatch.setattr(query_kernel, "ROUNDED_FROM", least)
    words, vectors, projection = parts
    by_term = csr_array(words[:40].T)
    kernel = Kernel(None, 0.3, 2.0)  # the words are given
    wanted = kernel.compare(words[40:], vectors[40:].astype(float), by_term, vectors[:40].astype(float))
    asked = QueryKernel(0.3, 2.0, by_term, vectors[:40], projection)
    assert (asked._rounded is None) == (least > 0)  # noqa: SLF001
    found = asked.coordinates(csr_array(words[40:]), vectors[40:], range(5))
    exact = wanted @ projection
    assert (np.linalg.norm(found - exact, axis=1) < tolerance * np.linalg.norm(exact, axis=1)).all()
    for one in range(5):
        alone = asked.coordinates(csr_array(words[40:]), vectors[40:], range(one, one + 1))
        np.testing.assert_array_equal(alone[0], found[one])
