import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from recsys.errors import EncoderError
from recsys.ranking.item_weights import UNKNOWN, ItemWeights, digests, hashes

TEXTS = ("amber", "birch", "cedar")


@pytest.fixture
def weights():
    """From amber to birch .5, from cedar to birch -.25, from birch to cedar 1; in the order of the digests."""
    known = digests(hashes(TEXTS))
    order = np.argsort(known)
    dense = np.array([[0, 0.5, 0], [0, 0, 1], [0, -0.25, 0]])[np.ix_(order, order)]
    return ItemWeights(known[order], csr_array(dense.astype(np.float32)), 0.5)


def test_known_texts_are_corrected_and_others_keep_their_score(weights):
    place = weights.places(hashes(["birch", "new", "cedar", "amber"]))
    histories = csr_array(np.array([[0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 0]]))  # columns: those items
    met = weights.met(histories, place)
    scores = weights.corrected(np.array([[1.0, 2, 3, 4], [5, 6, 7, 8], [1, 1, 1, 1]]), met, place)
    # user 0 met something new and amber, user 1 birch and cedar, user 2 only something new
    expected = [[0.5 + 0.5, 2, 1.5, 2], [2.5 - 0.25, 6, 3.5 + 1, 4], [0.5, 1, 0.5, 0.5]]
    np.testing.assert_allclose(scores, expected)
    assert scores.dtype == np.float32


def test_scores_do_not_depend_on_who_else_is_asked_for(weights):
    place = weights.places(hashes(["birch", "new", "cedar", "amber"]))
    met = weights.met(csr_array(np.eye(4)), place)
    raw = np.arange(16.0).reshape(4, 4)
    whole = weights.corrected(raw, met, place)
    alone = weights.corrected(raw[2:3, [3, 0]], csr_array(met[[2]]), place[[3, 0]])
    np.testing.assert_array_equal(whole[2:3, [3, 0]], alone)
    assert raw[0, 0] == 0 and raw[3, 3] == 15  # what was given is left as it was


def test_two_items_of_one_text_are_met_as_one(weights):
    place = weights.places(hashes(["amber", "amber", "birch"]))
    met = weights.met(csr_array(np.array([[1, 1, 0], [0, 1, 1]])), place)
    assert met.toarray().sum(axis=1).tolist() == [1, 2] and met.toarray().max() == 1


@given(st.lists(st.sampled_from([*TEXTS, "new", "", "birch "]), max_size=8))
def test_texts_are_found_by_their_hash_alone(texts):
    known = np.sort(digests(hashes(TEXTS)))
    weights = ItemWeights(known, csr_array((3, 3), dtype=np.float32), 1.0)
    place = weights.places(hashes(texts))
    assert [text in TEXTS for text in texts] == (place != UNKNOWN).tolist()
    found = [known[one] for one in place if one != UNKNOWN]
    assert found == [digests(hashes([text]))[0] for text in texts if text in TEXTS]


def test_saved_weights_are_read_as_they_were_and_have_the_same_bytes(weights, tmp_path):
    (path,) = weights.save(tmp_path)
    before = path.read_bytes()
    again = ItemWeights.load(path)
    np.testing.assert_array_equal(again.digests_T, weights.digests_T)
    np.testing.assert_array_equal(again.weights_TT.toarray(), weights.weights_TT.toarray())
    assert again.factor == weights.factor
    again.save(tmp_path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"{}", None])
def test_damaged_weights_are_refused_with_their_file(weights, content, tmp_path):
    (path,) = weights.save(tmp_path)
    path.write_bytes(path.read_bytes()[:-30] if content is None else content)
    with pytest.raises(EncoderError, match=r"item_weights.npz holds no readable item weights"):
        ItemWeights.load(path)
    path.unlink()
    with pytest.raises(EncoderError, match=r"recsys fetch-champion"):
        ItemWeights.load(path)
