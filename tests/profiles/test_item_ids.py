"""Ids as a column: rows by id, and ids by row, as a list and a dict would give them."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from recsys.profiles.item_ids import ItemIds
from recsys.storage.strings import UNKNOWN

IDS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), unique=True, max_size=30)


@given(IDS, st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), max_size=10))
def test_rows_are_those_of_a_dict(ids: list[str], others: list[str]) -> None:
    found, rows = ItemIds(ids), {item: row for row, item in enumerate(ids)}
    looked_up = [*ids[::-1], *others]
    assert found.rows_of(looked_up).tolist() == [rows.get(item, UNKNOWN) for item in looked_up]
    assert found.rows_by_scan(looked_up).tolist() == found.rows_of(looked_up).tolist()
    assert list(found) == ids and len(found) == len(ids)
    assert found.at(range(len(ids))) == ids
    assert all(item in found for item in ids) and 7 not in found


def test_ids_whose_hashes_collide_keep_their_rows() -> None:
    found = ItemIds(["a", "b", ""])
    found._index = (np.full(3, hash("b"), np.int64), np.array([2, 0, 1], np.int32))
    assert found.row_of("b") == 1 and found.row_of("c") is None


def test_a_column_in_pieces_is_one() -> None:
    found = ItemIds(pa.chunked_array([["a"], ["b", "c"]]))
    assert found.row_of("c") == 2 and found[np.int64(1)] == "b"
