import pytest

from recsys.encoders.analyzer import Analyzer, analyzer_for
from recsys.encoders.stop_words import ENGLISH, stop_words_of
from recsys.encoders.tfidf import fit_tfidf

ENGLISH_TEXTS = [
    "A long winter in the mountains, and a village that waits for the spring",
    "The old sailor tells his grandchildren how he crossed the ocean in a small boat",
    "Two detectives follow the traces of a thief through the streets of the capital",
]
GERMAN_TEXTS = [
    "Ein langer Winter in den Bergen, und ein Dorf, das auf den Frühling wartet",
    "Der alte Seemann erzählt seinen Enkeln, wie er mit dem kleinen Boot über das Meer fuhr",
    "Zwei Kommissare folgen den Spuren eines Diebes durch die Straßen der Hauptstadt",
]
CHINESE_TEXTS = [
    "我们在山里度过了漫长的冬天",
    "老水手告诉他的孙子们他怎样乘小船渡过大海",
    "两个侦探在首都的街道上追踪小偷",
]


def test_english_texts_are_read_as_they_always_were():
    assert analyzer_for(ENGLISH_TEXTS) == Analyzer()


def test_german_texts_lose_german_stop_words_and_keep_what_is_one_in_english():
    analyzer = analyzer_for(GERMAN_TEXTS)
    terms = analyzer.terms("Der Hut und die Hand des Mannes")
    assert terms == ["hut", "hand", "mannes", "hut hand", "hand mannes"]
    assert "so" in ENGLISH and "also" in analyzer.stop_words and "hut" not in analyzer.stop_words
    assert list(Analyzer().terms("die Hut und die")) == [
        "die",
        "hut",
        "und",
        "die",
        "die hut",
        "hut und",
        "und die",
    ]


def test_a_catalogue_of_two_languages_has_the_stop_words_of_both():
    analyzer = analyzer_for([*GERMAN_TEXTS, *ENGLISH_TEXTS])
    assert analyzer.stop_words >= stop_words_of(["de"]) | ENGLISH
    few = analyzer_for([*ENGLISH_TEXTS * 5, *GERMAN_TEXTS])  # a sixth of the texts makes no second language
    assert few.stop_words == ENGLISH


def test_chinese_gives_runs_of_characters_and_words_of_other_scripts_stay_whole():
    analyzer = analyzer_for(CHINESE_TEXTS)
    assert analyzer.terms("iPhone 15手机壳 slim fit") == [
        "iphone", "15", "iphone 15", "slim", "fit", "slim fit", "手", "机", "壳", "手机", "机壳",
    ]  # fmt: skip
    assert "的" in analyzer.stop_words
    by_hand = Analyzer(frozenset({"的", "我们"}), cuts_runs=True)
    assert by_hand.terms("我们的船") == ["我", "们", "船", "们的", "的船"]


@pytest.mark.parametrize("texts", [["x"], ["!"], ["1234 5678"], []])
def test_where_no_language_is_sure_english_stop_words_stay(texts):
    assert analyzer_for(texts) == Analyzer()


def test_a_language_without_a_list_has_no_stop_words_of_its_own():
    assert stop_words_of(["la"]) == ENGLISH and stop_words_of(["la", "de"]) == stop_words_of(["de"])
    assert stop_words_of(["nn"]) == stop_words_of(["nb"]) != ENGLISH


def test_apostrophes_part_a_stop_word_as_they_part_a_text():
    assert "qu" in stop_words_of(["fr"]) and "dell" in stop_words_of(["it"])
    terms = fit_tfidf(["qu'elle dell'arte"], Analyzer(stop_words_of(["fr", "it"]))).terms
    assert "qu" not in terms and "dell" not in terms and "arte" in terms


def test_an_english_catalogue_with_many_chinese_names_finds_them_by_their_characters():
    titles = ["The tale of 红楼梦 retold", "A journey to the west: 西游记", "Outlaws of the marsh 水浒传"]
    encoder = fit_tfidf(titles)
    near = (encoder.encode(["红楼"]) @ encoder.encode(titles).T).toarray()[0]
    assert near.argmax() == 0 and near[0] > 0 == near[1] == near[2]
