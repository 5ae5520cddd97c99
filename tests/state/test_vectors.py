"""Vectors of texts between machines by way of a store."""

import pytest

from recsys.profiles.cache import KEYS, MERGE_AT, VectorCache
from recsys.state.vectors import _exchange
from recsys.storage.folder import FolderStorage
from tests.profiles.test_cache import DIM, filled, hashes, names

TEXTS = range(MERGE_AT)


@pytest.fixture
def storage(tmp_path):
    return FolderStorage(str(tmp_path / "state"))


@pytest.fixture
def one(tmp_path, storage):
    """A machine that has encoded a few texts, each a pair of its own, and stored them."""
    cache = filled(tmp_path / "one/encoder", *([number] for number in TEXTS))
    assert _exchange(storage, cache) == (0, MERGE_AT)
    return cache


def stored(storage):
    return sorted(found.key for found in storage.list("vectors/") if found.key.endswith(KEYS))


def test_a_machine_that_merges_pairs_takes_the_small_ones_out_and_others_do_not_bring_them_back(
    one, storage, tmp_path
):
    two = VectorCache(tmp_path / "two/encoder", DIM)
    assert _exchange(storage, two) == (MERGE_AT, 0)
    two.merge()
    assert _exchange(storage, two) == (0, 1)
    (merged,) = names(two.folder)
    assert stored(storage) == [f"vectors/encoder/{merged}{KEYS}"]
    for cache, brought in ((one, 1), (two, 0), (one, 0)):
        assert _exchange(storage, cache) == (brought, 0)
        assert stored(storage) == [f"vectors/encoder/{merged}{KEYS}"]


def test_a_machine_that_has_lost_files_brings_them_again_and_takes_none_from_others(one, storage):
    before = stored(storage)
    lost = names(one.folder)[:3]
    for name in lost:
        (one.folder / f"{name}{KEYS}").unlink()
    assert _exchange(storage, one) == (3, 0)
    assert stored(storage) == before
    assert VectorCache(one.folder, DIM).holds(hashes(*TEXTS)).all()


def test_a_store_that_was_emptied_is_filled_again(one, storage):
    for found in storage.list(""):
        storage.delete(found.key)
    assert _exchange(storage, one) == (0, MERGE_AT)
