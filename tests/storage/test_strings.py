import mmap

import numpy as np
import pyarrow as pa
import pytest

from recsys.storage.strings import MOST_BYTES, UNKNOWN, Strings, distinct, is_among, ordered, unified

WORDS = ("b", "", "a", "é", "b")
CODED = pa.chunked_array(
    [pa.array(["b", "", "a"]).dictionary_encode(), pa.array(["é", "b"]).dictionary_encode()]
)


@pytest.mark.parametrize(
    "values",
    [
        WORDS,
        pa.array(WORDS),
        pa.chunked_array([["b", ""], ["a", "é", "b"]]),
        pa.array(WORDS, pa.large_string()),
    ],
    ids=["tuple", "array", "chunks", "large"],
)
def test_they_read_as_a_tuple_whatever_they_are_made_of(values):
    made = Strings(values)
    assert made == WORDS and made == Strings(WORDS) == made and made != WORDS[:4]
    assert list(made) == list(WORDS) and len(made) == 5 and made[3] == "é" and made[-1] == "b"
    assert made[1:3] == ("", "a") and made.take(pa.array([4, 0]).to_numpy()) == ("b", "b")
    assert made.at([3, 1]) == ["é", ""] and made.index("a") == 2 and "c" not in made
    assert (
        Strings(made).column is made.column
        and Strings(()) == ()
        and Strings(pa.chunked_array([], pa.string())) == ()
    )


def test_strings_of_more_than_two_gib_are_compared_with_short_ones():
    untouched = pa.py_buffer(mmap.mmap(-1, MOST_BYTES + 2))  # takes no memory as long as nobody reads it
    offsets = pa.py_buffer(np.array([0, 1, MOST_BYTES + 2]))
    long = Strings(pa.LargeStringArray.from_buffers(2, offsets, untouched))
    assert Strings(("\0", "a")) != long and long != Strings(("\0", "a")) and long != Strings(("\0",))


@pytest.mark.parametrize(
    "column", [pa.chunked_array([["a", None], ["c", "b"]]), pa.array(["a", None, "c", "b"])]
)
def test_rows_are_found_by_value_and_the_first_of_equal_ones_counts(column):
    for one in (column, column.dictionary_encode()):
        assert Strings(WORDS).rows_in(one).tolist() == [2, UNKNOWN, UNKNOWN, 0]
        assert is_among(one, pa.array(["b", "c"])).tolist() == [False, False, True, True]


def test_a_dictionary_is_one_for_all_rows_and_sorted_by_code_point():
    for column in (CODED, CODED.cast(pa.string())):
        assert unified(column).to_pylist() == list(WORDS) == ordered(column).to_pylist()
        assert ordered(column).dictionary.to_pylist() == sorted(set(WORDS))
        assert distinct(column).to_pylist() == sorted(set(WORDS))
    assert distinct(CODED.slice(2, 1)).to_pylist() == ["a"]  # the dictionary holds others
    assert unified(pa.chunked_array([], pa.string())).to_pylist() == []
