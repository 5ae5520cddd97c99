import numpy as np
from scipy.sparse import csr_array

from recsys.dataset.histories import only_items, only_pairs, padded

MET = csr_array(np.array([[2.0, 0, 3], [0, 0, 0], [4, 5, 0]]))


def test_the_pairs_of_some_items_stay_in_the_same_shape():
    found = only_items(MET, np.array([True, False, True]))
    np.testing.assert_array_equal(found.toarray(), [[2, 0, 3], [0, 0, 0], [4, 0, 0]])
    found.data[:] = 9
    assert MET.toarray()[0, 0] == 2  # a matrix of its own


def test_some_of_the_pairs_stay_in_the_same_shape():
    found = only_pairs(MET, np.array([False, True, True, False]))
    np.testing.assert_array_equal(found.toarray(), [[0, 0, 3], [0, 0, 0], [4, 0, 0]])


def test_rows_are_padded_on_the_right():
    np.testing.assert_array_equal(padded(MET), [[0, 2], [-1, -1], [0, 1]])
    assert padded(csr_array((2, 3))).shape == (2, 1)
