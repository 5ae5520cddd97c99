"""Pairs are held out by the hash of their item, or else by their own; in blocks, which change nothing."""

import pyarrow as pa
import pytest

from recsys.catalogue import held_out
from recsys.catalogue.held_out import hash_share, held_out_by_hash
from recsys.catalogue.params import SplitParams

PARAMS = SplitParams(by="item-hash", test_share=0.3, near_duplicate_similarity=0.8, min_test_users=1, seed=7)


@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_pairs_are_held_out_as_counted_by_hand(monkeypatch, at_once):
    monkeypatch.setattr(held_out, "ROWS_AT_ONCE", at_once)
    pairs = [(f"u{n % 13}", f"i{n * 7 % 30}") for n in range(200)]
    table = pa.table(list(zip(*pairs, strict=True)), names=["user", "item_id"])
    found = held_out_by_hash(pa.concat_tables([table.slice(0, 50), table.slice(50)]), PARAMS)
    assert found.tolist() == [
        hash_share(7, item) < 0.3 or hash_share(7, user, item) < 0.3 for user, item in pairs
    ]
    assert 0.3 < found.mean() < 0.8
    assert held_out_by_hash(table.slice(0, 0), PARAMS).tolist() == []
