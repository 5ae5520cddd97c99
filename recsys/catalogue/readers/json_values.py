"""Cut a stream of JSON into rows without parsing it: rows may be in a list, side by side, or span many lines.

Only brackets and strings are inspected. So a row with a mistake inside is one bad row, and deep nesting needs no
stack.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from recsys.catalogue.readers.rows import BOM, MAX_LINE_BYTES

_BLOCK_BYTES = 2**20
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+(?P<end>"?)|[{}\[\]]', re.DOTALL)
_BETWEEN = b" \t\r\n\x1e,"


class JsonCutOff(Exception):  # noqa: N818  caught where rows are read; never leaves the room
    """The stream ends inside a value, or a value is too long.

    Args:
        line: 1-based line where the value begins.
        problem: for people.
    """

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(line, problem)
        self.line, self.problem = line, problem


@dataclass(frozen=True, slots=True)
class JsonValue:
    """One element of a list, or one value beside others."""

    line: int
    """1-based line where it begins."""
    offset: int
    """Bytes before it in the stream."""
    content: bytes
    is_stray: bool = False
    """Whether it is stray text between values: a number, a word, an unmatched bracket."""


def cut_values(stream: BinaryIO, notes: list[str]) -> Iterator[JsonValue]:
    """Cut a stream into objects and lists, out of one list around them where there is one.

    Args:
        stream: UTF-8.
        notes: takes a comma that stands before a closing bracket.

    Yields:
        Every value, in order.

    Raises:
        JsonCutOff: the stream ends inside a value or list, or a value is longer than MAX_LINE_BYTES.
    """
    cutter = _Cutter(notes)
    while block := stream.read(max(_BLOCK_BYTES, cutter.held)):
        yield from cutter.feed(block)
    yield from cutter.finish()


class _Cutter:
    """Holds the bytes that are not cut yet."""

    def __init__(self, notes: list[str]) -> None:
        self._notes, self._has_noted = notes, False
        self._buffer = b""
        self._scanned = 0  # of the buffer
        self._dropped = 0  # bytes before the buffer
        self._depth = 0
        self._in_list = False
        self._begin, self._line = 0, 1  # of the value, or of what stands between values

    @property
    def held(self) -> int:
        """Bytes in the buffer."""
        return len(self._buffer)

    def feed(self, block: bytes) -> Iterator[JsonValue]:
        """Take a block; yields every value that ends in it."""
        self._dropped += self._begin
        self._scanned -= self._begin
        self._buffer = self._buffer[self._begin :] + block
        self._begin = 0
        yield from self._scan()
        if len(self._buffer) - self._begin > MAX_LINE_BYTES:
            raise JsonCutOff(self._line, f"what begins here is longer than {MAX_LINE_BYTES >> 20} MiB")

    def finish(self) -> Iterator[JsonValue]:
        """The end of the stream."""
        if self._depth:
            raise JsonCutOff(self._line, "the object that begins here never ends")
        if self._in_list:
            raise JsonCutOff(self._line, "the list is not closed after this")
        yield from self._between(len(self._buffer))

    def _scan(self) -> Iterator[JsonValue]:
        end = self._scanned
        for token in _TOKEN.finditer(self._buffer, self._scanned):
            symbol = token.group()
            if symbol[0] == ord('"'):
                if not token["end"]:
                    self._scanned = token.start()
                    return
            elif symbol in b"{[":
                yield from self._open(token, symbol)
            else:
                yield from self._close(token, symbol)
            end = token.end()
        self._scanned = max(end, len(self._buffer))

    def _open(self, token: re.Match[bytes], symbol: bytes) -> Iterator[JsonValue]:
        if self._depth == 0:
            yield from self._between(token.start())
            if symbol == b"[" and not self._in_list:
                self._in_list = True
                self._move(token.end())
                return
            self._move(token.start())
        self._depth += 1

    def _close(self, token: re.Match[bytes], symbol: bytes) -> Iterator[JsonValue]:
        if self._depth:
            self._depth -= 1
            if self._depth == 0:
                content = self._buffer[self._begin : token.end()]
                yield JsonValue(self._line, self._dropped + self._begin, content)
                self._move(token.end())
        elif symbol == b"]" and self._in_list:
            ends_in_comma = self._buffer[self._begin : token.start()].rstrip().endswith(b",")
            if ends_in_comma and not self._has_noted:
                line = self._line_at(token.start())
                self._notes.append(f"the comma before the ] in line {line} was ignored")
                self._has_noted = True
            yield from self._between(token.start())
            self._in_list = False
            self._move(token.end())

    def _between(self, end: int) -> Iterator[JsonValue]:
        """Text since the last value that is neither space nor comma."""
        text = self._buffer[self._begin : end].replace(BOM, b"").strip(_BETWEEN)
        if text:
            yield JsonValue(self._line, self._dropped + self._begin, text, is_stray=True)
        self._move(end)

    def _move(self, begin: int) -> None:
        self._line = self._line_at(begin)
        self._begin = begin

    def _line_at(self, place: int) -> int:
        return self._line + self._buffer.count(b"\n", self._begin, place)
