import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from recsys.dataset.histories import padded, sample, sums


def test_rows_are_padded_on_the_right():
    matrix = csr_array(np.array([[2.0, 0, 3], [0, 0, 0], [4, 5, 0]]))
    np.testing.assert_array_equal(padded(matrix), [[0, 2], [-1, -1], [0, 1]])
    assert padded(csr_array((2, 3))).shape == (2, 1)


@given(st.sets(st.integers(0, 50)), st.integers(0, 60), st.integers(0, 9))
def test_a_sample_is_some_of_the_rows_in_order_and_the_seed_says_which(rows, n, seed):
    rows = np.array(sorted(rows), np.int64)
    found = sample(rows, n, seed)
    assert len(found) == min(n, len(rows)) and set(found) <= set(rows)
    assert (np.diff(found) > 0).all() and np.array_equal(found, sample(rows, n, seed))


@given(st.integers(0, 9), st.sampled_from([np.float32, np.float64]))
def test_sums_are_those_of_the_product_to_the_bit(seed, kind):
    rng = np.random.default_rng(seed)
    histories_UI = csr_array((rng.random((4, 30)) < 0.2) * rng.random((4, 30)).astype(kind))
    vectors_ID = rng.normal(size=(30, 5)).astype(np.float32)
    found, product = sums(histories_UI, vectors_ID), histories_UI @ vectors_ID
    assert found.dtype == product.dtype
    np.testing.assert_array_equal(found, product)
