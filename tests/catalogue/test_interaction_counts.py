"""Interactions in numbers are brought up to date from new parts, and equal those from nothing."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.artifacts import Artifacts
from recsys.catalogue import interaction_counts
from recsys.catalogue.consistency import KnownHashes, check_parts, describe
from recsys.catalogue.interaction_counts import InteractionCounts, count_interactions
from recsys.catalogue.kinds import INTERACTIONS
from recsys.catalogue.parts import list_parts
from recsys.storage.checked import write_checked
from tests.stages.judged_world import T0, Item, World


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    made.land_items([Item("i0", 0), Item("i1", 1)])
    made.land_interactions([("a", "i0", T0), ("b", "gone", None), ("b", "i0", T0)])
    made.land_interactions([("a", "i1", T0), ("c", "gone", T0), ("c", "i2", None)])
    return made


def texts(*ids):
    return pa.array(ids, pa.string())


def parts_of(at: Artifacts):
    return list_parts(at.data, INTERACTIONS)


def reported(at, kept=None):
    return describe(check_parts(at.data, KnownHashes(at.known_hashes)), kept)["interactions"]


def test_a_new_part_is_counted_and_the_others_are_not_read_again(world, tmp_path, monkeypatch):
    first, second = parts_of(world.at)
    kept = tmp_path / "kept"
    before = count_interactions(InteractionCounts(), [first])
    before.save(kept)
    read = []
    count = InteractionCounts.of
    monkeypatch.setattr(
        interaction_counts.InteractionCounts, "of", lambda part: read.append(part.id) or count(part)
    )
    found = count_interactions(InteractionCounts.load(kept), [first, second])
    assert read == [second.id]
    expected = {"n": 6, "users": 3, "items": 4, "of_items_no_longer_live": 3, "without_time": 2}
    assert found.report(live=texts("i0", "i1")) == expected == reported(world.at)
    assert count_interactions(found, [first, second]) is found


def test_a_part_that_went_is_not_counted_any_more(world):
    both, (_, second) = count_interactions(InteractionCounts(), parts_of(world.at)), parts_of(world.at)
    found = count_interactions(both, [second])
    assert found.report(texts("i1")) == InteractionCounts.of(second).report(texts("i1"))
    assert found.report(texts("i1"))["n"] == 3


def test_an_item_that_comes_later_makes_earlier_interactions_those_of_a_live_item(world, tmp_path):
    kept = tmp_path / "kept"
    assert reported(world.at, kept)["of_items_no_longer_live"] == 3
    world.land_items([Item("gone", 2)])
    assert reported(world.at, kept) == reported(world.at)
    assert reported(world.at, kept)["of_items_no_longer_live"] == 1


def test_what_was_kept_is_of_no_part_where_it_is_damaged(world, tmp_path):
    kept = tmp_path / "kept"
    count_interactions(InteractionCounts(), parts_of(world.at)).save(kept)
    kept.write_bytes(kept.read_bytes()[:-4] + b"else")
    assert not InteractionCounts.load(kept).parts and not InteractionCounts.load(tmp_path / "none").parts


def test_where_nobody_has_interacted_all_is_zero():
    assert set(InteractionCounts().report(texts()).values()) == {0}


def test_many_users_are_kept_in_several_rows_and_what_an_older_version_kept_is_read(
    world, tmp_path, monkeypatch
):
    monkeypatch.setattr(interaction_counts, "ROW", 2)
    kept, found = tmp_path / "kept", count_interactions(InteractionCounts(), parts_of(world.at))
    found.save(kept)
    again = InteractionCounts.load(kept)
    assert len(again.users) == 3 and again.report(texts("i0")) == found.report(texts("i0"))
    assert again.users.equals(found.users) and again.n_items.equals(found.n_items)
    columns = {"users": pa.array([["u"]]), "items": pa.array([["i0", "i9"]]), "n_items": pa.array([[2, 3]])}
    buffer = pa.BufferOutputStream()
    about = {interaction_counts.ABOUT: b'[["part"], 1]'}
    pq.write_table(pa.table(columns).replace_schema_metadata(about), buffer)
    write_checked(kept, buffer.getvalue().to_pybytes())
    older = InteractionCounts.load(kept)
    assert older.report(texts("i0")) == {
        "n": 5, "users": 1, "items": 2, "of_items_no_longer_live": 3, "without_time": 1
    }  # fmt: skip
    assert older.users.type == found.users.type
