"""npy and npz files from elsewhere: nothing is unpickled, and no more memory is taken than the file has bytes."""

import io
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from recsys.storage import arrays
from recsys.storage.arrays import (
    from_npz_bytes,
    let_go,
    npy_bytes,
    npz_bytes,
    read_array,
    read_arrays,
    rows_of,
    shared,
    with_rows,
    write_mapped,
)

A = np.arange(6, dtype=np.float32).reshape(2, 3)


def npz(path, save=np.savez, **arrays):
    save(path, **arrays)
    return path


def header(shape, descr="<f4"):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"shape": shape, "fortran_order": False, "descr": descr})
    return buffer.getvalue()


def test_what_numpy_saved_comes_back(tmp_path):
    found = read_arrays(
        npz(tmp_path / "a.npz", a=A, n=np.int64(7), s=np.array([b"xy"], "S2")), ("a", "n", "s")
    )
    np.testing.assert_array_equal(found["a"], A)
    assert int(found["n"]) == 7 and found["s"].tolist() == [b"xy"]
    np.save(tmp_path / "a.npy", A)
    for in_place in (False, True):
        np.testing.assert_array_equal(read_array(tmp_path / "a.npy", (2, 3), "float32", in_place), A)
    np.save(tmp_path / "none.npy", A[:0])
    assert read_array(tmp_path / "none.npy", (0, 3), "float32", in_place=True).shape == (0, 3)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda p: npz(p, a=A), "holds the arrays a, not a, b"),
        (lambda p: npz(p, a=A, b=A, c=A), "holds the arrays a, b, c"),
        (lambda p: npz(p, np.savez_compressed, a=A, b=np.zeros(10**6)), "compressed"),
        (lambda p: npz(p, a=A, b=np.array([{}], dtype=object)), "not numbers"),
        (lambda p: npz(p, a=A, b=np.zeros((1, 1, 1))), "which is not what its"),
        (lambda p: p.write_bytes(b"PK\x03\x04 and no more"), "not an npz file"),
        (lambda p: p.write_bytes(b""), "not an npz file"),
    ],
)
def test_an_npz_that_is_another_one_is_refused(tmp_path, make, problem):
    make(tmp_path / "a.npz")
    with pytest.raises(ValueError, match=problem):
        read_arrays(tmp_path / "a.npz", ("a", "b"))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "content", [header((10**12,)) + b"1234", header((2**62, 8)), b"no head", header((1,))]
)
def test_an_array_in_an_npz_that_promises_more_than_it_has_is_refused(tmp_path, content):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as packed:
        packed.writestr("a.npy", content)
    with pytest.raises(ValueError, match=r"array a\.npy"):
        read_arrays(tmp_path / "a.npz", ("a",))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as packed:
        packed.writestr("a.npy", header((1,)) + b"1234")
        packed.writestr("a.npy", header((1,)) + b"1234")
    with pytest.raises(ValueError, match="a, a, not a"):
        read_arrays(tmp_path / "a.npz", ("a",))


def test_widened_numbers_are_shared_by_a_file_and_made_anew_where_it_is_another_one(tmp_path):
    path = tmp_path / "wide.npy"
    array = np.random.default_rng(0).random((3000, 4), np.float32)
    first = shared(path, array, np.float64)
    assert isinstance(first.base, np.memmap) or isinstance(first, np.memmap)
    assert first.dtype == np.float64
    np.testing.assert_array_equal(first, array)
    written = path.stat().st_mtime_ns
    shared(path, array, np.float64)
    assert path.stat().st_mtime_ns == written
    changed = array.copy()
    changed[2500, 3] = -1
    np.testing.assert_array_equal(shared(path, changed, np.float64), changed)
    path.write_bytes(path.read_bytes()[:-8])
    np.testing.assert_array_equal(shared(path, array, np.float64), array)


def test_who_starts_together_shares_one_file_of_widened_numbers(tmp_path, monkeypatch):
    path, array = tmp_path / "wide.npy", np.ones((3, 2), np.float32)
    real, together = arrays._mapped, threading.Barrier(4)
    first = threading.local()

    def mapped(*given):
        found = real(*given)
        if not hasattr(first, "look"):  # nobody writes before everybody has seen that there is no file
            first.look = found
            together.wait(30)
        return found

    monkeypatch.setattr(arrays, "_mapped", mapped)
    real_save, saved = np.save, []
    monkeypatch.setattr(arrays.np, "save", lambda *given: saved.append(1) or real_save(*given))
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: shared(path, array, np.float64), range(4)))
    assert len(saved) == 1 and all(isinstance(one, np.memmap) for one in found)


def test_widened_numbers_stay_in_memory_where_nothing_can_be_written(tmp_path):
    array = np.ones((3, 2), np.float32)
    (tmp_path / "no folder").touch()
    found = shared(tmp_path / "no folder" / "wide.npy", array, np.float64)
    assert not isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, array)


def test_pages_that_are_let_go_come_back_and_those_that_no_file_holds_stay(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.arange(2**20))
    mapped, copied = np.load(path, mmap_mode="r"), np.load(path, mmap_mode="c")
    copied[0] = 7
    for one in (mapped[5:], copied, np.arange(3)):
        let_go(one)
    assert mapped.sum() == np.arange(2**20).sum() and copied[0] == 7


def test_bytes_of_arrays_are_the_same_each_time_and_come_back(tmp_path):
    arrays = {"a": A, "names": np.array(["s1", "é"]), "none": A[:0]}
    content = npz_bytes(arrays)
    assert content == npz_bytes(arrays) and content != npz_bytes(arrays | {"a": A + 1})
    found = from_npz_bytes(content)
    assert list(found) == list(arrays) and found["names"].tolist() == ["s1", "é"]
    np.testing.assert_array_equal(found["a"], A)
    (tmp_path / "a.npy").write_bytes(npy_bytes(A))
    np.testing.assert_array_equal(read_array(tmp_path / "a.npy", (2, 3), "float32"), A)


@pytest.mark.parametrize("make", [npy_bytes, lambda array: npz_bytes({"a": array})])
def test_objects_are_never_written(make):
    with pytest.raises(ValueError, match="(?i)object"):
        make(np.array([{}], dtype=object))


def test_blocks_are_written_as_one_file_that_is_mapped(tmp_path):
    mapped = write_mapped(tmp_path / "a.npy", (2, 3), iter([A[:1], A[1:]]))
    assert isinstance(mapped, np.memmap) and not mapped.flags.writeable
    np.testing.assert_array_equal(rows_of(mapped, np.array([1, 0])), A[::-1])
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), A)


@pytest.mark.parametrize("is_mapped", [False, True])
def test_other_rows_are_those_of_a_copy(tmp_path, is_mapped):
    array = write_mapped(tmp_path / "a.npy", A.shape, [A]) if is_mapped else A
    changed = with_rows(array, np.array([1]), np.full((1, 3), 9, np.float32))
    np.testing.assert_array_equal(changed, [[0, 1, 2], [9, 9, 9]])
    np.testing.assert_array_equal(array, A)
    assert not is_mapped or (np.load(tmp_path / "a.npy") == A).all()
