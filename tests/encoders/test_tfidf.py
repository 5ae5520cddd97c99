from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, TfidfVectorizer

from recsys.encoders.analyzer import Analyzer
from recsys.encoders.stop_words import ENGLISH
from recsys.encoders.tfidf import TfidfEncoder, fit_tfidf
from recsys.errors import EncoderError


def test_weights_match_values_counted_by_hand():
    # idf = ln((1 + 3) / (1 + df)) + 1: "cat" is in two of three texts, "dog" and "cat dog" in one
    encoder = fit_tfidf(["cat dog", "cat", "fish"])
    cat, rare = np.log(4 / 3) + 1, np.log(4 / 2) + 1
    row = encoder.encode(["cat dog"]).toarray()[0]
    terms = encoder.terms
    assert terms == ["cat", "cat dog", "dog", "fish"]
    length = np.sqrt(cat**2 + 2 * rare**2)
    np.testing.assert_allclose(row, [cat / length, rare / length, rare / length, 0], rtol=1e-6)


def test_stop_words_are_no_terms_and_join_their_neighbours():
    encoder = fit_tfidf(["the cat and the dog"])
    assert encoder.terms == ["cat", "cat dog", "dog"]


def test_a_long_field_is_scaled_down_to_a_few_rare_terms_and_a_common_one_keeps_its_small_weight():
    texts = ["mann\nusa\nheist cop bank crew", "lee\nusa\nheist", "hill\nusa\ncop"]
    encoder = fit_tfidf(texts, field_terms=1)
    rare, twice, always = np.log(4 / 2) + 1, np.log(4 / 3) + 1, 1.0
    assert encoder.longest_field == pytest.approx(rare) and "usa heist" not in encoder.terms
    # four words and their three pairs: heist and cop are in two texts, all else in one
    plot = np.sqrt(2 * twice**2 + 5 * rare**2)
    length = np.sqrt(rare**2 + always**2 + rare**2)  # of director, country and plot
    row = dict(zip(encoder.terms, encoder.encode(texts[:1]).toarray()[0], strict=True))
    assert row["mann"] == pytest.approx(rare / length)
    assert row["usa"] == pytest.approx(always / length)
    assert row["bank"] == pytest.approx(rare * rare / plot / length)


def test_each_word_beyond_what_is_usual_at_its_place_makes_a_field_count_less():
    names = [f"name{one}" for one in range(40)]
    texts = [f"{name}\nplot of {' '.join(names[one : one + 9])}" for one, name in enumerate(names)]
    encoder = fit_tfidf(texts, field_terms=100)  # so much that no row is too long by itself
    assert encoder.usual_terms[0] == 1 and encoder.usual_terms[1] > 9

    def share_of_plot(first: str) -> float:
        row = encoder.encode([f"{first}\nplot"]).toarray()[0]
        return float(row[list(encoder.terms).index("plot")] ** 2)

    stuffed = [share_of_plot(" ".join(names[1 : 1 + n])) for n in (1, 2, 4, 8)]
    assert stuffed == sorted(stuffed) and stuffed[-1] > 2 * stuffed[0]
    in_full = replace(encoder, usual_terms=())
    assert (in_full.encode(texts) != encoder.encode(texts)).nnz == 0  # all of these are usual
    np.testing.assert_array_equal(
        in_full.encode([" ".join(names)]).toarray(), encoder.encode([" ".join(names)]).toarray()
    )
    third = [f"{names[0]}\nplot\n{' '.join(names)}"]  # at a place that no text had
    np.testing.assert_array_equal(in_full.encode(third).toarray(), encoder.encode(third).toarray())


def test_a_text_of_one_field_has_the_same_vector_whether_fields_are_told_apart_or_not():
    texts = ["cat dog bird cat", "cat\ndog", "fish"]
    apart = fit_tfidf(texts, field_terms=1)
    bag = replace(apart, longest_field=None)
    one, many = ["cat dog dog bird fish", "", "cat"], ["cat dog bird\nfish"]
    np.testing.assert_array_equal(apart.encode(one).toarray(), bag.encode(one).toarray())
    assert (apart.encode(many) != bag.encode(many)).nnz
    np.testing.assert_array_equal(apart.encode([*many, *one])[:1].toarray(), apart.encode(many).toarray())


def test_a_word_in_two_fields_counts_in_both():
    encoder = fit_tfidf(["cat\ncat", "dog"], field_terms=9)
    both = encoder.encode(["cat\ncat", "cat\ndog"]).toarray()
    assert both[0].tolist() == [1, 0] and both[1] == pytest.approx([np.sqrt(0.5)] * 2)


def test_nothing_is_learned_from_what_is_encoded_later():
    encoder = fit_tfidf(["cat dog"])
    assert encoder.dim == 3
    assert encoder.encode(["bird"]).nnz == 0 and encoder.dim == 3


def test_chinese_titles_meet_by_their_characters():
    titles = ["红楼梦 小说", "西游记"]
    encoder = fit_tfidf(titles)
    same, other = (encoder.encode(["红楼"]) @ encoder.encode(titles).T).toarray()[0]
    assert same > 0.6 and same > 3 * other
    assert encoder.analyzer.cuts_runs


def test_a_stray_name_in_another_script_changes_nothing():
    texts = ["a novel 红", *["one long journey through many countries of the far east and west"] * 10]
    assert fit_tfidf(texts).analyzer == Analyzer()


LETTERS = "abcdefAÉßİ12_ -'.,!\n\t\u3000红楼梦\u0301"
text = st.one_of(
    st.lists(st.sampled_from(["Cat", "dog", "the", "and", "x", "fish's", "ab-1", "红楼"]), max_size=9).map(
        " ".join
    ),
    st.text(LETTERS, max_size=30),
)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(text, min_size=1, max_size=6),
    st.lists(text, min_size=1, max_size=6),
    st.sampled_from([None, (1, 2), (2, 4), (3, 3)]),
)
def test_vectors_are_those_of_scikit_learn_to_the_last_bit(known, texts, characters):
    known = [*known, "cat dog"]
    options = (
        {"stop_words": "english", "ngram_range": (1, 2)}
        if characters is None
        else {"analyzer": "char_wb", "ngram_range": characters}
    )
    theirs = TfidfVectorizer(sublinear_tf=True, dtype=np.float32, **options).fit(known)
    ours = TfidfEncoder(theirs.get_feature_names_out().tolist(), theirs.idf_, Analyzer(characters=characters))
    expected, found = theirs.transform([*known, *texts]), ours.encode([*known, *texts])
    assert found.dtype == np.float32 and found.shape == expected.shape and found.has_sorted_indices
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_stop_words_are_those_of_scikit_learn():
    assert ENGLISH == ENGLISH_STOP_WORDS


def test_texts_without_a_term_are_refused():
    with pytest.raises(EncoderError, match="no terms in 2 texts"):
        fit_tfidf(["", "!"])
