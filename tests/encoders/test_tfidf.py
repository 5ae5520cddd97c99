import numpy as np
import pytest

from recsys.encoders.tfidf import fit_tfidf, tfidf_of
from recsys.errors import EncoderError


def test_weights_match_values_counted_by_hand():
    # idf = ln((1 + 3) / (1 + df)) + 1: "cat" is in two of three texts, "dog" and "cat dog" in one
    encoder = fit_tfidf(["cat dog", "cat", "fish"])
    cat, rare = np.log(4 / 3) + 1, np.log(4 / 2) + 1
    row = encoder.encode(["cat dog"]).toarray()[0]
    terms = encoder.vectorizer.get_feature_names_out().tolist()
    assert terms == ["cat", "cat dog", "dog", "fish"]
    length = np.sqrt(cat**2 + 2 * rare**2)
    np.testing.assert_allclose(row, [cat / length, rare / length, rare / length, 0], rtol=1e-6)


def test_stop_words_are_no_terms_and_join_their_neighbours():
    encoder = fit_tfidf(["the cat and the dog"])
    assert encoder.vectorizer.get_feature_names_out().tolist() == ["cat", "cat dog", "dog"]


def test_nothing_is_learned_from_what_is_encoded_later():
    encoder = fit_tfidf(["cat dog"])
    assert encoder.dim == 3
    assert encoder.encode(["bird"]).nnz == 0 and encoder.dim == 3


def test_chinese_titles_meet_by_their_characters():
    titles = ["红楼梦 小说", "西游记"]
    encoder = fit_tfidf(titles)
    same, other = (encoder.encode(["红楼"]) @ encoder.encode(titles).T).toarray()[0]
    assert same > 0.6 and same > 3 * other
    assert fit_tfidf(["a novel 红", "another tale"]).vectorizer.analyzer == "word"


@pytest.mark.parametrize("texts", [["cat dog", "cat", "fish"], ["红楼梦 小说", "西游记"]])
def test_an_encoder_made_from_its_parts_gives_the_same_vectors(texts):
    encoder = fit_tfidf(texts)
    again = tfidf_of(*encoder.parts())
    more = [*texts, "dog fish 西游"]
    np.testing.assert_allclose(again.encode(more).toarray(), encoder.encode(more).toarray(), rtol=1e-6)


def test_texts_without_a_term_are_refused():
    with pytest.raises(EncoderError, match="no terms in 2 texts"):
        fit_tfidf(["", "!"])
