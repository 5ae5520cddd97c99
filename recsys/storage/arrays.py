"""Arrays as files of NumPy: written as bytes; read with shape and type checked before memory is taken, never a pickle.

Files of `numpy.save` and `numpy.savez` hold as many bytes as their headers say. A file that does not, is compressed, or
holds objects was not written by Firstlight and is refused.
"""

import io
import math
import mmap
import zipfile
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from recsys.storage.atomic import whole_file

Real = TypeVar("Real", np.float32, np.float64)
MAX_DIMENSIONS = 2
BLOCK_ROWS = 1024


def npy_bytes(array: NDArray[np.generic]) -> bytes:
    """The bytes of an npy file; the same array gives the same bytes."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def npz_bytes(arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    """The bytes of an uncompressed npz file; the same arrays in the same order give the same bytes."""
    buffer = io.BytesIO()
    named: dict[str, Any] = dict(arrays)
    np.savez(buffer, allow_pickle=False, **named)
    return buffer.getvalue()


def from_npz_bytes(content: bytes) -> dict[str, NDArray[Any]]:
    """Read what `npz_bytes` made. For files of this workspace; `read_arrays` is for those of others."""
    with np.load(io.BytesIO(content), allow_pickle=False) as saved:
        return dict(saved)


def read_arrays(
    path: Path, names: Collection[str], optional: Collection[str] = ()
) -> dict[str, NDArray[np.generic]]:
    """Read an npz file.

    Args:
        path: the file.
        names: of the arrays that it must hold; any other is refused.
        optional: names of arrays that it may hold as well.

    Returns:
        Name -> array. Together they are no larger than the file.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no such file; says why.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            members = packed.infolist()
            found = sorted(member.filename.removesuffix(".npy") for member in members)
            if sorted(set(found) - set(optional)) != sorted(names) or len(set(found)) < len(found):
                raise ValueError(f"holds the arrays {', '.join(found[:9])}, not {', '.join(sorted(names))}")
            return {one.filename.removesuffix(".npy"): _member(packed, one) for one in members}
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError, RuntimeError) as error:
        raise ValueError(f"is not an npz file: {error}") from error


def head_of(file: IO[bytes], n_bytes: int) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    """Read the head of an npy file and compare it with the file's size.

    Args:
        file: at its beginning; afterwards at its data.
        n_bytes: size of the whole file.

    Returns:
        Shape and type of the array.

    Raises:
        ValueError: it is not an npy file, holds objects, or not as many bytes as its head says.
    """
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"is an npy file of version {version}")
    read_head = (
        np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    )
    shape, is_fortran, dtype = read_head(file)
    if dtype.hasobject or dtype.fields is not None or dtype.subdtype is not None:
        raise ValueError(f"holds {dtype}, not numbers")
    if is_fortran and len(shape) > 1:
        raise ValueError("is ordered by columns")
    promised = math.prod(shape) * dtype.itemsize
    if len(shape) > MAX_DIMENSIONS or min(shape, default=0) < 0 or promised != n_bytes - file.tell():
        raise ValueError(f"says {dtype}{list(shape)}, which is not what its {n_bytes} bytes hold")
    return shape, dtype


def read_array(path: Path, shape: tuple[int, ...], dtype: str, in_place: bool = False) -> NDArray[np.generic]:
    """Read an npy file whose shape and type are known.

    Args:
        path: the file.
        shape: what it must have.
        dtype: likewise, such as "float32".
        in_place: whether the array is mapped rather than read.

    Returns:
        The array.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no such file; says why.
    """
    with path.open("rb") as file:
        found, kind = head_of(file, path.stat().st_size)
        if found != shape or kind != np.dtype(dtype):
            raise ValueError(f"holds {kind}{list(found)}, not {dtype}{list(shape)}")
        start = file.tell()
        if 0 in shape:  # an empty region of a file cannot be mapped
            return np.empty(shape, kind)
        if in_place:
            return np.memmap(path, kind, "r", start, shape)
        return np.fromfile(file, kind, math.prod(shape)).reshape(shape)


def shared(path: Path, array: NDArray[np.floating], kind: type[Real]) -> NDArray[Real]:
    """The same numbers, mapped from a file beside the original, so that processes share the memory.

    The file is only a cache: it is compared with the original, and written anew where it differs or is missing. Of
    several processes that need it at once one writes it, and all map that file.

    Args:
        path: of the file, an npy.
        array: the original, float32 [n, d].
        kind: float32 or float64.

    Returns:
        Read-only where it is mapped; in memory where the file cannot be written.
    """
    if (found := _mapped(path, array, kind)) is not None:
        return found
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")):
            if (found := _mapped(path, array, kind)) is not None:
                return found
            with whole_file(path) as temporary, temporary.open("wb") as file:
                np.save(file, array.astype(kind, copy=False))
            if (found := _mapped(path, array, kind)) is not None:
                return found
    return array.astype(kind, copy=False)


def write_mapped(
    path: Path, shape: tuple[int, ...], blocks: Iterable[NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Write an array of float32 block by block, and map it, so that all of it is never in memory.

    Args:
        path: of the file, an npy; whatever it held before is replaced.
        shape: of the whole array.
        blocks: its rows, in order.

    Returns:
        Mapped, read-only.
    """
    with whole_file(path) as temporary, temporary.open("wb") as file:
        head = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, head)
        for block in blocks:
            file.write(np.ascontiguousarray(block, "<f4").data)
    mapped: NDArray[np.float32] = np.load(path, mmap_mode="r")
    return mapped


def rows_of(array_ND: NDArray[Real], rows: NDArray[np.int64]) -> NDArray[Real]:
    """Some rows in memory of their own; what was mapped to read them is let go."""
    found: NDArray[Real] = np.asarray(array_ND[rows])
    let_go(array_ND)
    return found


def with_rows(
    array_ND: NDArray[np.float32], rows: NDArray[np.int64], others: NDArray[np.float32]
) -> NDArray[np.float32]:
    """A copy with other values in some rows; of a mapped file only the pages with these rows are copied."""
    changed: NDArray[np.float32]
    if isinstance(array_ND, np.memmap):
        changed = np.memmap(str(array_ND.filename), np.float32, "c", array_ND.offset, array_ND.shape)
    else:
        changed = array_ND.copy()
    changed[rows] = others
    return changed


def let_go(array: NDArray[np.generic]) -> None:
    """Take the pages of a mapped array out of this process's memory; whoever reads on maps them again.

    Args:
        array: mapped to be read, or a view of one that is; nothing happens to another.
    """
    if array.flags.writeable:  # pages may hold what no file does
        return
    owner: object = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        owner.madvise(mmap.MADV_DONTNEED)


def _mapped(path: Path, array: NDArray[np.floating], kind: type[Real]) -> NDArray[Real] | None:
    """The file's numbers where they are those of the array; None where they are not, or it cannot be read."""
    try:
        found = read_array(path, array.shape, np.dtype(kind).name, in_place=True)
    except (OSError, ValueError):
        return None
    if not all(np.array_equal(found[part], array[part]) for part in _blocks(len(array))):
        return None
    return found.astype(kind, copy=False)


def _blocks(n_rows: int) -> list[slice]:
    """Rows in pieces, so that comparing takes little memory."""
    return [slice(start, start + BLOCK_ROWS) for start in range(0, n_rows, BLOCK_ROWS)]


def _member(packed: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[np.generic]:
    if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
        raise ValueError(f"array {member.filename} is compressed")
    with packed.open(member) as file:
        try:
            shape, dtype = head_of(file, member.file_size)
            content = file.read()
            if len(content) != math.prod(shape) * dtype.itemsize:
                raise ValueError(f"ends after {len(content)} bytes")
        except ValueError as error:
            raise ValueError(f"array {member.filename} {error}") from error
    return np.frombuffer(bytearray(content), dtype).reshape(shape)
