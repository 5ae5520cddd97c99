"""The bytes of a text file as readers need them: decompressed, UTF-8, LF line ends, limited in size."""

import bz2
import codecs
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

import pyarrow as pa

from recsys.catalogue.readers.rows import LandedFile, Reading

SAMPLE_BYTES = 2**18
"""How many bytes a reader may peek at."""

_BLOCK_BYTES = 2**18
_BROKEN_ARCHIVE = (EOFError, OSError, zlib.error, lzma.LZMAError, pa.ArrowException)
# UTF-32 first: its little-endian byte order mark begins like that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_QUOTED = re.compile(rb'"[^"]*+"')
_ZIP = b"PK\x03\x04"
_BROKEN_ZIP = (*_BROKEN_ARCHIVE, zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError)
_ADDED = re.compile(r"(\A|/)(__MACOSX/|\._|\.DS_Store\Z)")
"""What macOS adds to an archive. Any other file counts, though its name may begin with a dot, as ./shop.csv."""
_DOCUMENT = re.compile(r"\[Content_Types\]\.xml|mimetype|content\.xml|(xl|word|ppt|META-INF|Index)/.*")
"""A file of an Office document or of another format that is a zip archive."""
_ENCRYPTED = 1
_WRITE_AGAIN = "write it again under another name and rename when done"


@contextmanager
def open_decoded(file: LandedFile, reading: Reading) -> Iterator[io.BufferedReader]:
    """Open a text file; `peek` shows up to SAMPLE_BYTES of its beginning.

    Args:
        file: the staged copy.
        reading: takes what was decoded.

    Yields:
        A stream of UTF-8; invalid bytes pass unchanged.

    Raises:
        UnreadableFile: a compressed file is damaged or cut off; while reading too.
        BatchRefused: it decodes to too much; while reading too.
    """
    with (
        file.path.open("rb") as source,
        io.BufferedReader(_open(source, file, reading), SAMPLE_BYTES) as stream,
    ):
        yield cast("io.BufferedReader", stream)  # typeshed: generic in what it buffers


def _open(source: BinaryIO, file: LandedFile, reading: Reading) -> "_Stream":
    blocks = _bounded(_unpacked(source, file, reading), file)
    start = next(blocks, b"")
    while len(start) < SAMPLE_BYTES and (block := next(blocks, None)):
        start += block
    blocks = _preceded(start, blocks)
    encoding = _encoding(start)
    if encoding:
        reading.notes.append(f"read as {encoding.upper()}")
        reading.is_decoded = True
        blocks = _as_utf8(blocks, encoding, file)
        start = start.decode(encoding, errors="ignore").encode("utf-8", "ignore")
    if _ends_lines_with_cr(start):
        reading.notes.append("lines end in CR alone")
        blocks = (block.replace(b"\r", b"\n") for block in blocks)
    return _Stream(blocks)


class _Stream(io.RawIOBase):
    """Blocks of bytes as a stream; every read but the last fills the buffer it was given."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  typeshed: WriteableBuffer
        filled = 0
        while filled < len(buffer):
            if not self._left:
                block = next(self._blocks, None)
                if block is None:
                    break
                self._left = memoryview(block)
            n = min(len(buffer) - filled, len(self._left))
            buffer[filled : filled + n] = self._left[:n]
            self._left = self._left[n:]
            filled += n
        return filled


def _zstd(source: BinaryIO) -> pa.CompressedInputStream:
    return pa.CompressedInputStream(source, "zstd")


_COMPRESSIONS: tuple[tuple[re.Pattern[bytes], str, Callable[[BinaryIO], Any]], ...] = (
    (re.compile(rb"\x1f\x8b"), "gzip", gzip.open),
    (re.compile(rb"\x28\xb5\x2f\xfd"), "zstd", _zstd),
    (re.compile(rb"BZh[1-9](1AY&|\x17rE)"), "bzip2", bz2.open),
    (re.compile(rb"\xfd7zXZ\0"), "xz", lzma.open),
)


def _unpacked(source: BinaryIO, file: LandedFile, reading: Reading) -> Iterator[bytes]:
    start = source.read(8)
    source.seek(0)
    if start.startswith(_ZIP) and (member := _only_member(source, file)):
        reading.notes.append("decompressed (zip)")
        reading.is_decoded, reading.member = True, member
        yield from _unzipped(source, member, file)
        return
    packed = next((found for found in _COMPRESSIONS if found[0].match(start)), None)
    if packed is None:
        yield from iter(lambda: source.read(_BLOCK_BYTES), b"")
        return
    _, name, unpack = packed
    reading.notes.append(f"decompressed ({name})")
    reading.is_decoded = True
    try:
        with unpack(source) as stream:
            yield from iter(lambda: stream.read(_BLOCK_BYTES), b"")
    except _BROKEN_ARCHIVE as error:
        cut = isinstance(error, EOFError) or "runcated" in str(error)
        problem = "is cut off: the file is incomplete" if cut else f"is damaged ({type(error).__name__})"
        raise file.unreadable(f"its {name} compression {problem}", _WRITE_AGAIN) from error


def _only_member(source: BinaryIO, file: LandedFile) -> str | None:
    """Name of the only file in a zip archive; None for several files, and for formats that are zip archives inside."""
    try:
        with zipfile.ZipFile(source) as archive:
            members = [
                one for one in archive.infolist() if not one.is_dir() and not _ADDED.search(one.filename)
            ]
    except _BROKEN_ZIP as error:
        raise file.unreadable("its zip archive is damaged or cut off", _WRITE_AGAIN) from error
    finally:
        source.seek(0)
    if len(members) != 1 or _DOCUMENT.fullmatch(members[0].filename):
        return None
    if members[0].flag_bits & _ENCRYPTED:
        raise file.unreadable("its zip archive has a password", "land it without one")
    return members[0].filename


def _unzipped(source: BinaryIO, member: str, file: LandedFile) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(source) as archive, archive.open(member) as stream:
            yield from iter(lambda: stream.read(_BLOCK_BYTES), b"")
    except _BROKEN_ZIP as error:
        raise file.unreadable(f"its zip archive is damaged ({type(error).__name__})", _WRITE_AGAIN) from error


def _bounded(blocks: Iterator[bytes], file: LandedFile) -> Iterator[bytes]:
    decoded = 0
    for block in blocks:
        decoded += len(block)
        file.check_decoded(decoded)
        yield block


def _preceded(start: bytes, blocks: Iterator[bytes]) -> Iterator[bytes]:
    if start:
        yield start
    yield from blocks


def _encoding(start: bytes) -> str | None:
    """UTF-16 or UTF-32 by its byte order mark, or by the zero in every second byte of plain text."""
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return encoding
    even, odd = set(start[0:64:2]), set(start[1:64:2])
    if len(start) >= 4 and odd == {0} and 0 not in even:
        return "utf-16-le"
    if len(start) >= 4 and even == {0} and 0 not in odd:
        return "utf-16-be"
    return None


def _as_utf8(blocks: Iterator[bytes], encoding: str, file: LandedFile) -> Iterator[bytes]:
    # Half a surrogate pair passes: the row that holds it is named later, and the others are read.
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
    try:
        for block in blocks:
            yield decoder.decode(block).encode("utf-8", "surrogatepass")
        yield decoder.decode(b"", final=True).encode("utf-8", "surrogatepass")
    except UnicodeError as error:
        problem = f"the text is no sound {encoding.upper()}, or cut off"
        raise file.unreadable(problem, "write the whole file in UTF-8") from error


def _ends_lines_with_cr(start: bytes) -> bool:
    outside_quotes = _QUOTED.sub(b"", start)
    return b"\r" in outside_quotes.rstrip(b"\r") and b"\n" not in outside_quotes
