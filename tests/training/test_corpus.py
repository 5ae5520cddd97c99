from dataclasses import replace

import numpy as np
import pytest

from recsys.errors import ConfigError
from recsys.training.corpus import Corpus, further_texts, pieces_of, require_texts
from recsys.training.data import make_training_set
from tests.training.tastes import make_split, make_tastes

TEXTS = (
    "The river runs to the sea. A boat is on it.",
    "one two three four five six seven",
    "小河流过山谷进入大海最后消失",
)


def test_pieces_are_sentences_first_then_windows_within_one_text():
    found = pieces_of(TEXTS, 40, seed=1)
    assert found[:2] == ("The river runs to the sea.", "A boat is on it.")
    assert len(found) == len(set(found)) == 40
    for piece in found:
        assert any(piece in text and piece != text for text in TEXTS), piece
    assert any(piece in TEXTS[2] for piece in found)  # a text without spaces is cut between characters


def test_pieces_depend_on_the_texts_and_the_seed_and_not_on_their_order():
    assert pieces_of(TEXTS, 30, 1) == pieces_of(TEXTS[::-1], 30, 1) != pieces_of(TEXTS, 30, 2)


def test_no_more_pieces_than_the_texts_hold_and_none_where_none_are_wanted():
    assert set(pieces_of(["a b c"], 100, 1)) <= {"a b", "b c", "a", "b", "c"}
    assert pieces_of(TEXTS, 0, 1) == pieces_of(TEXTS, -5, 1) == pieces_of([], 10, 1) == ()


def test_rows_are_distinct_texts_without_those_of_the_validation_slice():
    training_set = make_tastes()
    held = training_set.texts[training_set.held_rows[0]]
    corpus = Corpus(("new one", held, training_set.texts[training_set.fit_rows[0]], "new one", "new two"))
    rows = corpus.rows_to_learn_from(training_set)
    texts = [(*training_set.texts, *corpus.further)[row] for row in rows]
    held_texts = {training_set.texts[row] for row in training_set.held_rows}
    assert len(texts) == len(set(texts)) and not held_texts & set(texts)
    assert texts[-2:] == ["new one", "new two"]
    assert set(texts[:-2]) == {training_set.texts[row] for row in training_set.fit_rows} - held_texts


def test_further_texts_leave_out_what_judging_looks_for_and_what_is_learned_from_anyway():
    texts = {"warm": "w", "cold judged": "j", "cold not judged": "n", "another": "n", "a picture alone": None}
    split, versions = make_split([("u1", "warm")], texts)
    test = split.train.from_pylist([{"user": "u1", "item_id": "cold judged"}], schema=split.train.schema)
    assert further_texts(replace(split, test=test), versions) == ("n",)


def test_agreement_is_the_mean_cosine_over_the_rows():
    targets = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
    corpus = Corpus((), targets, "t")
    vectors = np.array([[1, 0], [1, 0], [1, 0]], np.float32)
    assert corpus.agreement(vectors, np.array([0, 2])) == pytest.approx(0.8)
    assert corpus.agreement(vectors, np.array([], int)) is Corpus().agreement(vectors, np.array([0])) is None


def test_one_text_is_too_few():
    pairs = [(f"u{user}", item) for user in range(4) for item in ("a", "b")]
    split, versions = make_split(pairs, {"a": "same", "b": "same"})
    with pytest.raises(ConfigError, match=r"1 different text\(s\)"):
        require_texts(Corpus(), make_training_set(split, versions, 1e-9, 1))


def test_where_every_item_is_used_there_are_no_further_texts():
    split, versions = make_split([("u1", "warm")], {"warm": "w"})
    assert further_texts(split, versions) == ()
