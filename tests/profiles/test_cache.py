import hashlib
import os
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.profiles.cache import KEYS, MERGE_AT, VECTORS, VectorCache

DIM = 4


def hashes(*numbers):
    return [hashlib.sha256(str(number).encode()).hexdigest() for number in numbers]


def vectors(*numbers):
    return np.array([[number, 1, 2, 3] for number in numbers], np.float32).reshape(-1, DIM)


def filled(folder, *groups):
    cache = VectorCache(folder, DIM)
    for group in groups:
        cache.add(hashes(*group), vectors(*group))
    return cache


def names(folder, suffix=KEYS):
    return sorted(path.name.removesuffix(suffix) for path in folder.glob(f"*{suffix}"))


@settings(max_examples=40)
@given(
    st.lists(st.sets(st.integers(0, 30), max_size=8), max_size=6),
    st.lists(st.integers(0, 40), max_size=20),
    st.booleans(),
)
def test_what_was_added_is_found_by_everyone_and_nothing_else(tmp_path_factory, groups, numbers, reopened):
    folder = tmp_path_factory.mktemp("cache")
    cache = filled(folder, *groups)
    if reopened:
        cache = VectorCache(folder, DIM)
    there = np.array([any(number in group for group in groups) for number in numbers], bool)
    np.testing.assert_array_equal(cache.holds(hashes(*numbers)), there)
    found, is_found = cache.read(hashes(*numbers))
    np.testing.assert_array_equal(is_found, there)
    np.testing.assert_array_equal(found[there], vectors(*numbers)[there])


def test_an_open_cache_sees_what_another_process_adds(tmp_path):
    mine, other = VectorCache(tmp_path, DIM), VectorCache(tmp_path, DIM)
    assert not mine.holds(hashes(1)).any()
    other.add(hashes(1), vectors(1))
    assert mine.holds(hashes(1)).all()


def test_many_small_pairs_become_one_and_keep_every_vector(tmp_path):
    groups = [[number, number + 1] for number in range(MERGE_AT)]  # neighbours overlap
    cache = filled(tmp_path, *groups)
    cache.merge()
    assert len(names(tmp_path)) == 1 == len(names(tmp_path, VECTORS))
    found, is_found = VectorCache(tmp_path, DIM).read(hashes(*range(MERGE_AT + 1)))
    assert is_found.all()
    np.testing.assert_array_equal(found, vectors(*range(MERGE_AT + 1)))
    assert np.load(tmp_path / f"{names(tmp_path)[0]}{KEYS}").shape == (MERGE_AT + 1, 40)


def test_a_large_pair_is_not_written_again_for_small_ones(tmp_path):
    large = list(range(1000, 1300))
    cache = filled(tmp_path, large, *[[number] for number in range(MERGE_AT)])
    before = {path.name: path.stat().st_ino for path in tmp_path.iterdir()}
    cache.merge()
    kept = {name for name in before if (tmp_path / name).exists()}
    assert len(kept) == 2 and len(names(tmp_path)) == 2
    assert cache.holds(hashes(*large, *range(MERGE_AT))).all()


def test_a_reader_keeps_reading_while_another_process_merges(tmp_path):
    reader = filled(tmp_path, *[[number] for number in range(MERGE_AT)])
    assert reader.holds(hashes(3)).all()
    VectorCache(tmp_path, DIM).merge()
    assert reader.read(hashes(*range(MERGE_AT)))[1].all()


def flip(path, at):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "a flipped bit in a vector": lambda name, folder: flip(folder / f"{name}{VECTORS}", -3),
    "a flipped bit in a key": lambda name, folder: flip(folder / f"{name}{KEYS}", -50),
    "cut vectors": lambda name, folder: os.truncate(folder / f"{name}{VECTORS}", 140),
    "cut keys": lambda name, folder: os.truncate(folder / f"{name}{KEYS}", 100),
    "no vectors": lambda name, folder: (folder / f"{name}{VECTORS}").unlink(),
    "empty vectors": lambda name, folder: (folder / f"{name}{VECTORS}").write_bytes(b""),
    "another width": lambda name, folder: np.save(folder / f"{name}{VECTORS}", np.zeros((2, 9), np.float32)),
    "pickled objects": lambda name, folder: np.save(
        folder / f"{name}{KEYS}", np.array([{}], object), allow_pickle=True
    ),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_pair_is_dropped_with_a_warning_and_the_others_stay(tmp_path, caplog, damage, monkeypatch):
    monkeypatch.setattr(
        "recsys.profiles.cache.COPIED_AT_ONCE", 1
    )  # the first vector of the pair is still sound
    filled(tmp_path, [1, 2])
    name = names(tmp_path)[0]
    filled(tmp_path, [3])
    damage(name, tmp_path)
    cache = VectorCache(tmp_path, DIM)
    found, is_found = cache.read(hashes(1, 2, 3))
    assert is_found.tolist() == [False, False, True]
    np.testing.assert_array_equal(found, np.concatenate([np.zeros((2, DIM)), vectors(3)]))
    assert name[:12] in caplog.text and "dropped" in caplog.text
    cache.add(hashes(1, 2), vectors(1, 2))
    assert cache.read(hashes(1, 2, 3))[1].all()


def test_leftovers_of_killed_writers_go_after_a_day_and_not_before(tmp_path):
    cache = filled(tmp_path, [1])
    orphans = [tmp_path / f"{'f' * 64}{VECTORS}", tmp_path / ".tmp-abc"]
    for orphan in orphans:
        orphan.write_bytes(b"half")
    cache.merge()
    assert all(orphan.exists() for orphan in orphans)
    for orphan in orphans:
        os.utime(orphan, (time.time() - 90000,) * 2)
    cache.merge()
    assert not any(orphan.exists() for orphan in orphans)
    assert cache.read(hashes(1))[1].all()


@pytest.mark.parametrize(
    ("keys", "values", "message"),
    [
        (hashes(1), vectors(1, 2), r"needs float32 \[1, 4\]"),
        (hashes(1), vectors(1).astype(np.float64), "got float64"),
        (["ab"], vectors(1), "64 hex digits"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, keys, values, message):
    with pytest.raises(ValueError, match=message):
        VectorCache(tmp_path, DIM).add(keys, values)
