import numpy as np
import pytest

from recsys.training.texts import Tokens, tokenise
from tests.encoders.models import texts


@pytest.fixture(scope="module")
def tokens(tiny_encoder):
    return tokenise(texts(40), tiny_encoder, 32)


def test_a_prefix_stands_before_each_text_and_leaves_less_room_for_it(tiny_encoder):
    plain = tokenise(["cab", "a" * 60], tiny_encoder, 16)
    prefixed = tokenise(["cab", "a" * 60], tiny_encoder, 16, prefix="d e")
    found = [whole(one, range(2)) for one in (plain, prefixed)]
    begin, end = found[0][0][0], found[0][0][-1]
    before = whole(tokenise(["d e"], tiny_encoder, 16), [0])[0][1:-1]
    joined = whole(tokenise(["d ecab"], tiny_encoder, 16), [0])[0]
    assert found[1][0] == joined and joined[:2] == [begin, before[0]] and joined[-1] == end
    assert prefixed.lengths_N.tolist()[1] == plain.lengths_N.tolist()[1] == 16


def read(tokens, words):
    """Token ids of each text of a batch, as they are fed."""
    found = {}
    for pack in words.packs(64):
        for rows in pack:
            for row, places in zip(rows, words.block(rows), strict=True):
                found[int(row)] = tokens.ids_T[places].tolist()
    return [found[row] for row in range(len(found))]


def whole(tokens, rows):
    ends = [*tokens.starts_N[1:], len(tokens.ids_T)]
    return [tokens.ids_T[tokens.starts_N[row] : ends[row]].tolist() for row in rows]


def test_packs_hold_every_text_once_whole_and_no_more_tokens_than_the_limit(tokens):
    rows = np.array([7, 3, 39, 0, 12])
    words = tokens.words(rows)
    assert read(tokens, words) == whole(tokens, rows)
    packs = list(tokens.words(np.arange(40)).packs(64))
    sizes = [sum(int(tokens.lengths_N[row]) for rows in pack for row in rows) for pack in packs]
    assert max(sizes) <= 64 and sum(sizes) == len(tokens.ids_T) and len(sizes) > 2


def test_each_token_is_left_out_by_its_chance_in_short_texts_too():
    """Texts of 3, 5 and 9 tokens: 1, 3 and 7 between the ends, of which one always stays."""
    tokens = Tokens(np.arange(17), np.array([0, 3, 8]), np.array([3, 3, 3, 3]))
    kept = np.zeros(17)
    n = 4000
    for seed in range(n):
        words = tokens.words(np.arange(3), 0.5, np.random.default_rng(seed))
        kept[words.places_S] += 1
        assert words.lengths_B.min() >= 3 and words.lengths_B.sum() == len(words.places_S)
    share = kept / n
    assert (share[[0, 2, 3, 7, 8, 16]] == 1).all(), "the ends stay"
    assert share[1] == 1, "the only word stays"
    # of three: half, and the last one left stays where all three would go (1/8 of the time, 1/3 each)
    np.testing.assert_allclose(share[4:7], 0.5 + 1 / 24, atol=0.03)
    np.testing.assert_allclose(share[9:16], 0.5 + 1 / 128 / 7, atol=0.03)


def test_what_is_left_out_depends_on_the_batch_and_keeps_its_order(tokens):
    rows = np.arange(40)
    one, again, other = (
        read(tokens, tokens.words(rows, 0.3, np.random.default_rng(seed))) for seed in (1, 1, 2)
    )
    assert one == again != other
    for left, full in zip(one, whole(tokens, rows), strict=True):
        rest = iter(full)
        assert all(token in rest for token in left)
        assert (left[0], left[-1]) == (full[0], full[-1]) and len(left) >= min(3, len(full))
