import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.catalogue import near_duplicates as module
from recsys.catalogue.near_duplicates import NearDuplicate, n_near_duplicates, near_duplicates

STORY = "a ring is found by a small man who walks far to throw it into a burning mountain"


def jaccard(one, other):
    """The plain reference: sets of three-word strings."""

    def shingles(text):
        words = text.lower().split()
        return {" ".join(words[i : i + 3]) for i in range(max(1, len(words) - 2))}

    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b)


def test_similarity_is_the_exact_jaccard_of_three_word_shingles():
    changed = STORY.replace("burning", "frozen")
    # 18 words make 16 shingles; changing the last but one breaks 2: 14 shared of 18 in all.
    (found,) = near_duplicates([changed], ["nothing like it at all", STORY], 0.7)
    assert found == NearDuplicate(0, 1, pytest.approx(14 / 18))


def test_case_and_punctuation_do_not_count():
    assert near_duplicates(["Alien: the Director's cut!"], ["alien the director s CUT"], 1.0) == (
        NearDuplicate(0, 0, 1.0),
    )


def test_the_most_similar_text_is_named_and_ties_go_to_the_first():
    near = f"{STORY} again"
    (found,) = near_duplicates([STORY], [near, STORY, STORY], 0.5)
    assert (found.b, found.similarity) == (1, 1.0)


def test_texts_without_words_and_unlike_texts_have_no_duplicate():
    assert near_duplicates(["", "…", "one two three four"], ["", "…", "five six seven eight"], 0.5) == ()


def test_scripts_without_spaces_are_compared_by_character():
    (found,) = near_duplicates(["机器学习方法在推荐系统中的应用"], ["机器学习方法在推荐系统中的应用吗"], 0.9)
    assert found.similarity == pytest.approx(13 / 14)


def test_a_thousand_copies_of_one_text_stay_quick_and_count_as_one():
    assert len(near_duplicates([STORY] * 3000, [STORY] * 3000, 0.9)) == 3000
    assert n_near_duplicates([STORY] * 3000 + [f"{STORY} again"], 0.9) == 2


def test_small_blocks_find_what_one_block_finds(monkeypatch):
    texts = [f"{STORY} {'by night ' * (n % 3)}{n % 5}" for n in range(12)]
    whole = near_duplicates(texts[:6], texts[6:], 0.6), n_near_duplicates(texts, 0.6)
    assert whole[0] and whole[1] > 2
    monkeypatch.setattr(module, "SETS_AT_ONCE", 5)
    monkeypatch.setattr(module, "PAIRS_AT_ONCE", 4)
    assert (near_duplicates(texts[:6], texts[6:], 0.6), n_near_duplicates(texts, 0.6)) == whole


@pytest.mark.whole
def test_a_crowd_of_texts_from_one_template_takes_no_quadratic_time():
    crowd = [f"{STORY} {STORY[::-1]} {number}" for number in range(5000)]
    assert n_near_duplicates(crowd, 0.8) == 5000
    assert len(near_duplicates(crowd[:2500], crowd[2500:], 0.8)) == 2500


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_every_planted_pair_above_the_threshold_is_found(seed):
    rng = np.random.default_rng(seed)
    originals = [" ".join(f"w{w}" for w in rng.integers(0, 5000, 60)) for _ in range(20)]
    copies = []
    for text in originals:
        words = text.split()
        words[rng.integers(0, 60)] = "changed"
        copies.append(" ".join(words))
    found = near_duplicates(copies, originals, 0.85)
    assert [(hit.a, hit.b) for hit in found] == [(n, n) for n in range(20)]
    assert all(hit.similarity == pytest.approx(jaccard(copies[hit.a], originals[hit.b])) for hit in found)


@pytest.mark.parametrize("similarity", [0, 1.01])
def test_a_threshold_outside_its_range_is_refused(similarity):
    with pytest.raises(ValueError, match="similarity must lie in"):
        near_duplicates(["a"], ["b"], similarity)
