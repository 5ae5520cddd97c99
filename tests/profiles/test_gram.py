import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.profiles import gram
from recsys.profiles.gram import GramState, bring_up_to_date, gram_of
from tests.unit_rows import unit_rows

DIM = 6
LENGTHS = {"a": 30, "b": 7, "c": 12}


def segment(name, n):
    generator = np.random.default_rng(ord(name))
    rows = generator.normal(size=(n, DIM)).astype(np.float32)
    rows[::3] = (
        np.eye(DIM, dtype=np.float32)[generator.integers(0, DIM, len(rows[::3]))] * -1
    )  # zeros of both signs
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


SEGMENTS = {name: segment(name, n) for name, n in LENGTHS.items()}
wishes = st.dictionaries(st.sampled_from("abc"), st.integers(0, 2**32 - 1)).map(
    lambda found: {
        name: np.random.default_rng(seed).random(LENGTHS[name]) < 0.5 for name, seed in found.items()
    }
)


def chosen(wanted):
    return np.concatenate(
        [np.empty((0, DIM), np.float32), *(SEGMENTS[name][rows] for name, rows in wanted.items())]
    )


@settings(max_examples=60)
@given(st.lists(wishes, min_size=1, max_size=6))
def test_a_state_that_went_through_anything_has_the_bytes_of_one_from_nothing(journey):
    state = None
    for wanted in journey:
        state = bring_up_to_date(state, wanted, SEGMENTS.__getitem__, DIM)
        assert state.gram.tobytes() == gram_of(chosen(wanted)).tobytes()
        assert state.n_rows == len(chosen(wanted))


def test_only_what_changed_is_read():
    read = []

    def vectors_of(name):
        read.append(name)
        return SEGMENTS[name]

    wanted = {name: np.ones(n, np.bool_) for name, n in LENGTHS.items()}
    state = bring_up_to_date(None, wanted, vectors_of, DIM)
    read.clear()
    assert (
        bring_up_to_date(state, wanted, vectors_of, DIM).gram.tobytes() == state.gram.tobytes() and not read
    )
    wanted["b"] = wanted["b"].copy()
    wanted["b"][3] = False
    bring_up_to_date(state, wanted, vectors_of, DIM)
    assert read == ["b"]


def test_a_state_comes_back_as_saved(tmp_path):
    wanted = {"a": np.arange(30) % 4 == 0, "c": np.arange(12) > 5}
    state = bring_up_to_date(None, wanted, SEGMENTS.__getitem__, DIM)
    state.save(tmp_path / "state")
    loaded = GramState.load(tmp_path / "state")
    assert loaded.gram.tobytes() == state.gram.tobytes()
    assert {name: rows.tolist() for name, rows in loaded.rows.items()} == {
        name: rows.tolist() for name, rows in wanted.items()
    }


def test_an_empty_state_comes_back_too(tmp_path):
    bring_up_to_date(None, {}, SEGMENTS.__getitem__, DIM).save(tmp_path / "state")
    assert GramState.load(tmp_path / "state").rows == {}


@pytest.mark.parametrize("place", [0, 40, -1])
def test_a_missing_or_damaged_state_counts_as_none(tmp_path, place):
    path = tmp_path / "state"
    assert GramState.load(path) is None
    bring_up_to_date(None, {"a": np.ones(30, np.bool_)}, SEGMENTS.__getitem__, DIM).save(path)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert GramState.load(path) is None
    path.write_bytes(content[:10])
    assert GramState.load(path) is None


def test_a_state_of_another_width_or_with_segments_that_are_gone_is_not_built_upon():
    state = GramState(np.full((3, 3), 7), {})
    wanted = {"a": np.ones(30, np.bool_)}
    expected = gram_of(SEGMENTS["a"]).tobytes()
    assert bring_up_to_date(state, wanted, SEGMENTS.__getitem__, DIM).gram.tobytes() == expected
    gone = GramState(np.full((DIM, DIM), 7), {"gone": np.ones(5, np.bool_)})
    assert bring_up_to_date(gone, wanted, SEGMENTS.__getitem__, DIM).gram.tobytes() == expected


def test_rounding_keeps_the_direction_of_a_row():
    row = SEGMENTS["a"][1].astype(np.float64)
    rounded = np.rint(row / gram.STEP) * gram.STEP
    assert row @ rounded / np.linalg.norm(rounded) / np.linalg.norm(row) > 1 - 1e-7


def test_sums_are_folded_without_a_change_and_stay_exact_where_float64_would_round(monkeypatch):
    rows = np.concatenate([SEGMENTS["a"]] * 3)
    expected = gram_of(rows)
    monkeypatch.setattr(gram, "CHUNK_ROWS", 8)
    monkeypatch.setattr(gram, "FOLDED_ROWS", 16)
    assert gram_of(rows).tobytes() == expected.tobytes()
    many = GramState(np.full((DIM, DIM), 2**53), {"many": np.ones(1, np.bool_)})
    wanted = {**many.rows, "a": np.ones(LENGTHS["a"], np.bool_)}
    monkeypatch.setattr(gram, "_is_shorter", lambda *_: True)
    added = bring_up_to_date(many, wanted, SEGMENTS.__getitem__, DIM)
    one = bring_up_to_date(None, {"a": wanted["a"]}, SEGMENTS.__getitem__, DIM)
    assert (added.steps_DD - one.steps_DD == 2**53).all() and one.steps_DD.dtype == np.int64


def test_a_state_of_floats_is_still_read(tmp_path):
    state = bring_up_to_date(None, {"a": np.ones(30, np.bool_)}, SEGMENTS.__getitem__, DIM)
    GramState(state.steps_DD.astype(np.float64), state.rows).save(tmp_path / "state")
    assert GramState.load(tmp_path / "state").steps_DD.tobytes() == state.steps_DD.tobytes()


def test_gram_matches_the_plain_product():
    x_ID = unit_rows(np.random.default_rng(2), 9000, 16)  # more than two chunks
    np.testing.assert_allclose(gram_of(x_ID), x_ID.T.astype(np.float64) @ x_ID, atol=5e-3)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_gram_is_the_same_bytes_in_any_order_and_in_any_pieces(seed):
    x_ID = unit_rows(np.random.default_rng(3), 5000, 8)
    shuffled = x_ID[np.random.default_rng(seed).permutation(5000)]
    cut = seed % 4999 + 1
    whole = gram_of(x_ID)
    assert gram_of(shuffled).tobytes() == whole.tobytes()
    rows = np.arange(cut)
    assert gram_of(shuffled, rows).tobytes() == gram_of(shuffled[:cut]).tobytes()
    assert (gram_of(shuffled[:cut]) + gram_of(shuffled[cut:])).tobytes() == whole.tobytes()


def test_gram_of_nothing_is_zero():
    assert not gram_of(np.zeros((0, 4), np.float32)).any()


@pytest.mark.parametrize("value", [np.nan, np.inf, 1.5])
def test_gram_refuses_a_row_that_is_no_unit_vector_and_names_it(value):
    x_ID = unit_rows(np.random.default_rng(4), 4100, 4)
    x_ID[4098, 2] = value
    with pytest.raises(ValueError, match="row 4098"):
        gram_of(x_ID)
