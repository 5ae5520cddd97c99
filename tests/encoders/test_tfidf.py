import numpy as np
import pytest

from recsys.encoders.tfidf import fit_tfidf
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


def test_characters_bring_chinese_titles_together():
    words, characters = (
        fit_tfidf(["红楼梦 小说", "西游记"]),
        fit_tfidf(["红楼梦 小说", "西游记"], characters=(1, 2)),
    )
    assert words.encode(["红楼"]).nnz == 0
    close = characters.encode(["红楼"]) @ characters.encode(["红楼梦 小说", "西游记"]).T
    same, other = close.toarray()[0]
    assert same > 0.6 and same > 3 * other


def test_texts_without_a_term_are_refused():
    with pytest.raises(EncoderError, match="no terms in 2 texts"):
        fit_tfidf(["", "!"])
