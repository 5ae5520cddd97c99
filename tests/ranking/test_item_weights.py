import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from recsys.errors import EncoderError
from recsys.ranking.item_weights import UNKNOWN, ItemWeights, digests

KNOWN = ("amber", "birch", "cedar")


@pytest.fixture
def weights():
    """From amber to birch .5, from cedar to birch -.25, from birch to cedar 1; in the order of the digests."""
    order = np.argsort(digests(KNOWN))
    dense = np.array([[0, 0.5, 0], [0, 0, 1], [0, -0.25, 0]])[np.ix_(order, order)]
    return ItemWeights(
        digests(KNOWN)[order], csr_array(dense.astype(np.float32)), np.full(3, 0.5, np.float32), 3
    )


def test_known_items_are_corrected_and_others_keep_their_score(weights):
    items = weights.over(["birch", "new", "cedar", "amber"])
    histories = csr_array(np.array([[0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 0]]))  # columns: those items
    scores = items.score(np.array([[1.0, 2, 3, 4], [5, 6, 7, 8], [1, 1, 1, 1]]), histories, np.arange(4))
    # user 0 has something new and amber, user 1 birch and cedar, user 2 only something new
    expected = [[0.5 + 0.5, 2, 1.5, 2], [2.5 - 0.25, 6, 3.5 + 1, 4], [0.5, 1, 0.5, 0.5]]
    np.testing.assert_allclose(scores, expected)
    assert scores.dtype == np.float32


def test_what_a_history_adds_is_the_score_without_inner_products(weights):
    items, candidates = weights.over(["birch", "new", "cedar", "amber"]), np.arange(4)
    for history in ([], [1], [0, 3], [3, 0, 2, 1]):
        history_1I = csr_array((np.ones(len(history)), history, [0, len(history)]), (1, 4))
        expected = items.score(np.zeros((1, 4)), history_1I, candidates)[0]
        assert items.added(np.array(history, np.int64), candidates).tolist() == expected.tolist()
    assert items.added(np.array([3, 0]), candidates).tolist() == [0.5, 0, 1, 0]


def test_scores_do_not_depend_on_the_other_users(weights):
    items, histories = weights.over(["birch", "new", "cedar", "amber"]), csr_array(np.eye(4))
    raw = np.arange(16.0).reshape(4, 4)
    whole = items.score(raw, histories, np.arange(4))
    alone = items.score(raw[2:3, [3, 0]], histories[[2]], np.array([3, 0]))
    np.testing.assert_array_equal(whole[2:3, [3, 0]], alone)
    assert raw[0, 0] == 0 and raw[3, 3] == 15  # what was given is left as it was


def test_growth_keeps_the_scores_of_a_catalogue_in_which_every_item_has_twice_the_interactions(weights):
    vectors = np.random.default_rng(0).normal(size=(3, 2))
    b = np.array([1.0, 2.0])
    before = np.linalg.solve(vectors.T @ vectors + 5 * np.eye(2), b)
    twice = np.concatenate([vectors, vectors])
    g = weights.growth(6)
    after = g * np.linalg.solve(twice.T @ twice + 5 * g * np.eye(2), b)
    np.testing.assert_allclose(after, before)
    assert g == 2 and weights.growth(0) > 0


@given(st.lists(st.sampled_from([*KNOWN, "new", "", "birch "]), max_size=8))
def test_items_are_found_by_their_id_alone(item_ids):
    known = np.sort(digests(KNOWN))
    weights = ItemWeights(known, csr_array((3, 3), dtype=np.float32), np.ones(3, np.float32), 3)
    place = weights.over(item_ids).place_I
    assert [one in KNOWN for one in item_ids] == (place != UNKNOWN).tolist()
    found = [known[one] for one in place if one != UNKNOWN]
    assert found == [digests([one])[0] for one in item_ids if one in KNOWN]


def test_saved_weights_are_read_as_they_were_and_have_the_same_bytes(weights, tmp_path):
    (path,) = weights.save(tmp_path)
    before = path.read_bytes()
    again = ItemWeights.load([path])
    np.testing.assert_array_equal(again.digests_T, weights.digests_T)
    np.testing.assert_array_equal(again.weights_TT.toarray(), weights.weights_TT.toarray())
    np.testing.assert_array_equal(again.factor_T, weights.factor_T)
    assert again.n_items == weights.n_items
    again.save(tmp_path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"{}", None])
def test_damaged_weights_are_refused_with_their_file(weights, content, tmp_path):
    (path,) = weights.save(tmp_path)
    path.write_bytes(path.read_bytes()[:-30] if content is None else content)
    with pytest.raises(EncoderError, match=r"item_weights.npz holds no readable item weights"):
        ItemWeights.load([path])
    path.unlink()
    with pytest.raises(EncoderError, match=r"recsys fetch-champion"):
        ItemWeights.load([path])


def test_weights_of_a_newer_version_are_refused(weights, tmp_path, monkeypatch):
    monkeypatch.setattr("recsys.ranking.item_weights.ITEM_WEIGHTS_VERSION", 2)
    (path,) = weights.save(tmp_path)
    monkeypatch.undo()
    with pytest.raises(
        EncoderError, match=r"is of version 2, newest known is 1\n  remedy: update Firstlight"
    ):
        ItemWeights.load([path])


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"indices": np.array([9, 0, 1], np.int32)}, "indices"),
        ({"indices": np.array([-5, 0, 1], np.int32)}, "indices"),
        ({"indptr": np.array([0, 90, 2, 3], np.int64)}, "non-decreasing"),
        ({"data": np.array([np.nan, 1, 1], np.float32)}, "finite"),
        ({"data": np.array([{}, 1, 1], object)}, "not numbers"),
        ({"factor": np.array([0, 1, 1], np.float32)}, "factors"),
        ({"factor": np.ones(2, np.float32)}, "factors"),
        ({"digests": np.array([b"b", b"a", b"c"], "S32")}, "ascending"),
        ({"digests": np.array([], "S32")}, "ascending"),
        ({"digests": np.array([b"a", b"b", b"cd"], "S32")}, "hex digits"),
        ({"digests": np.array([b"a" * 32, b"b" * 32, b"z" * 32], "S32")}, "hexadecimal"),
        ({"n_items": np.int64(0)}, "finite float32"),
        ({"version": np.array([1, 2])}, "whole number"),
    ],
)
def test_weights_that_would_point_outside_or_are_no_numbers_are_refused(weights, tmp_path, changes, problem):
    (path,) = weights.save(tmp_path)
    with np.load(path) as saved:
        arrays = {name: saved[name] for name in saved.files}
    np.savez(path, **arrays | changes)
    with pytest.raises(EncoderError, match=f"no readable item weights: .*{problem}"):
        ItemWeights.load([path])
