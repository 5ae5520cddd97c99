"""`bench.bounds`: signals and features counted by hand."""

import numpy as np
from scipy.sparse import csr_array

from bench.bounds import Part, nearest
from recsys.dataset.dataset import Dataset
from recsys.dataset.interactions import make_interactions
from recsys.validation.sets import hold_out_items


def part_of_three_users() -> Part:
    """Two users who like item c, which is held out with d; a third has nothing held out."""
    users, items = ("ann", "bob", "eve"), ("a", "b", "c", "d")
    pairs = (("ann", "a"), ("ann", "c"), ("bob", "b"), ("bob", "c"), ("eve", "a"))
    known = make_interactions([user for user, _ in pairs], [item for _, item in pairs], users, items)
    dataset = Dataset(known, ("bolt", "nut", "long bolt", "drill"), np.eye(4, dtype=np.float32), 1.0, 0)
    validation = hold_out_items(dataset, np.array([2, 3]), 0, 10)
    assert validation is not None
    return Part(validation, {"words": np.array([[0.5, 0.1], [0.0, 0.2]], np.float32)})


def test_the_nearest_item_of_a_history_gives_its_cosine():
    histories_UI = csr_array(np.array([[1, 1, 0], [0, 0, 1]], np.float32))
    cosines_IH = np.array([[0.1, 0.9], [0.6, 0.2], [0.3, 0.4]], np.float32)
    np.testing.assert_array_equal(
        nearest(histories_UI, cosines_IH), np.array([[0.6, 0.9], [0.3, 0.4]], np.float32)
    )


def test_each_users_list_is_judged_by_that_users_held_out_likes():
    part = part_of_three_users()
    found_U = part.ndcg(part.signals_UH["words"])
    np.testing.assert_allclose(found_U, [1.0, 1 / np.log2(3)])  # c is first for ann, second for bob


def test_features_and_likes_of_a_pair_stand_in_the_same_row():
    part = part_of_three_users()
    np.testing.assert_array_equal(part.relevant(), [True, False, True, False])
    np.testing.assert_allclose(part.features(), [[0.5, 1], [0.1, -1], [0, -1], [0.2, 1]], atol=1e-6)
