"""Perturbed texts: the same for the same seed and item, in any script."""

import numpy as np
import pytest

from recsys.evaluation.perturbing import (
    LETTERS_PER_TYPO,
    N_STUFFED_WORDS,
    PERTURBATIONS,
    cut_off,
    perturbed,
    popular_words,
    with_typos,
)

TEXTS = [
    "The Good, the Bad and the Ugly. A bounty hunting scam joins two men in an uneasy alliance.",
    "千与千寻：小女孩走进了神灵的世界，父母变成了猪。",
    "Война и мир — роман-эпопея Льва Толстого, описывающий русское общество.",
    "naïve café",
]


def rng():
    return np.random.default_rng(3)


def distance(a, b):
    """Edits between two texts, a swap of neighbours being one."""
    table = np.arange(len(b) + 1)
    before = None
    for i, x in enumerate(a, 1):
        row = np.empty_like(table)
        row[0] = i
        for j, y in enumerate(b, 1):
            row[j] = min(table[j] + 1, row[j - 1] + 1, table[j - 1] + (x != y))
            if before is not None and j > 1 and x == b[j - 2] and a[i - 2] == y:
                row[j] = min(row[j], before[j - 2] + 1)
        before, table = table, row
    return int(table[-1])


@pytest.mark.parametrize("text", TEXTS)
def test_typing_errors_are_few_and_only_in_letters(text):
    found = [with_typos(text, np.random.default_rng(seed)) for seed in range(20)]
    n_letters = sum(map(str.isalpha, text))
    most = -(-n_letters // LETTERS_PER_TYPO)
    edits = [distance(text, one) for one in found]
    assert max(edits) <= most and len(set(found)) > 10 and np.mean(edits) > most / 2
    for one in found:
        assert {c for c in one if c.isalpha()} <= set(text)  # no foreign letter
    assert with_typos("7", rng()) == "7" and with_typos("a", rng()) == "a" and with_typos("", rng()) == ""


@pytest.mark.parametrize("text", TEXTS)
def test_a_cut_text_is_its_beginning(text):
    found = cut_off(text, rng())
    assert text.startswith(found) and 0.2 * len(text) < len(found) <= 0.5 * len(text) + 1
    assert cut_off("x", rng()) == "x"


def test_an_items_text_does_not_depend_on_the_other_items_and_repeats():
    ids = ["a", "b", "c", "d"]
    whole = perturbed("typos", ids, TEXTS, "", 7)
    assert perturbed("typos", ids[::-1], TEXTS[::-1], "", 7) == whole[::-1]
    assert perturbed("typos", ids, TEXTS, "", 8) != whole
    assert perturbed("typos", ["e", *ids[1:]], TEXTS, "", 7)[1:] == whole[1:]


def test_stuffing_holds_the_words_of_popular_items_and_none_that_all_have():
    texts = ["the star war", "the star trek", "the quiet garden", "the old garden"]
    # shares of interactions minus shares of items: star 18/20 - 2/4, war 10/20 - 1/4, trek 8/20 - 1/4; garden below 0
    assert popular_words(texts, [10, 8, 1, 1]) == "star war trek"
    assert popular_words(texts, [10, 8, 1, 1], n=1) == "star"
    assert popular_words(texts, [1, 1, 1, 1]) == "" and popular_words([], []) == ""
    many = [f"w{n}" for n in range(2 * N_STUFFED_WORDS)]
    assert len(popular_words(many, [3] * 59 + [1]).split()) == N_STUFFED_WORDS


def test_stuffed_words_stand_first_and_the_text_stays():
    (found,) = perturbed("stuffed", ["a"], ["my own text"], "star war", 1)
    assert found == "star war my own text"
    assert perturbed("stuffed", ["a"], ["my own text"], "", 1) == ["my own text"]
    assert set(PERTURBATIONS) == {"typos", "cut", "stuffed"}
