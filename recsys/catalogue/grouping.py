"""Which landed files are taken in together, and what is being taken in at the moment.

Small files that follow each other become one part. The plan (var/taking.json) is written before anything else. So the
run after a kill takes in the same files together and ends with the same bytes.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from recsys.catalogue.arrival import write_json
from recsys.catalogue.landing import Landed
from recsys.catalogue.params import IngestParams

MAX_FILES = 10_000
"""Files that one part takes at most."""


@dataclass(frozen=True)
class Move:
    """A landed file on its way out of the landing zone."""

    key: str
    tag: str
    """Version tag of the accepted file. Another version of it stays in the landing zone."""
    to: str


class Plan:
    """The files that are being taken in. On disk from before they are read until they have left the landing zone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: list[tuple[str, str]] = []

    def begin(self, files: Sequence[Landed]) -> None:
        """Write down what is taken in next."""
        self._files = [(file.shown, file.version) for file in files]
        write_json(self._path, {"files": self._files, "moves": []})

    def moving(self, moves: Sequence[Move]) -> None:
        """Write down what leaves the landing zone next."""
        planned = [(move.key, move.tag, move.to) for move in moves]
        write_json(self._path, {"files": self._files, "moves": planned})

    def end(self) -> None:
        """Delete the plan: nothing is under way any more."""
        self._path.unlink(missing_ok=True)

    def left(self) -> list[tuple[str, str]]:
        """(key as text, version) of what a killed run was taking in, in order; none where it ended."""
        return [(str(key), str(version)) for key, version in self._kept().get("files", [])]

    def moves(self) -> list[Move]:
        """What a killed run was moving out of the landing zone."""
        return [Move(str(key), str(tag), str(to)) for key, tag, to in self._kept().get("moves", [])]

    def _kept(self) -> dict[str, list[list[str]]]:
        try:
            found: dict[str, list[list[str]]] = json.loads(self._path.read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return found


def grouped(
    files: Sequence[Landed], params: IngestParams, left: Sequence[tuple[str, str]]
) -> Iterator[tuple[Landed, ...]]:
    """Group files in order; each group becomes one part.

    Args:
        files: what waits, in order of intake.
        params: what counts as small and as many.
        left: what a killed run was taking in; it comes first, grouped as it was then.

    Yields:
        One file, or small files of one kind that follow each other.
    """
    planned = set(left)
    first = tuple(file for file in files if (file.shown, file.version) in planned)
    if first:
        yield first
    rest = [file for file in files if (file.shown, file.version) not in planned]
    for (_, is_small), run in groupby(
        rest, lambda file: (file.kind, file.size <= params.small_file_kb << 10)
    ):
        files = tuple(run)
        if is_small and len(files) > params.group_files:
            yield from _chunks(files, params.group_mb << 20)
        else:
            yield from ((file,) for file in files)


def _chunks(files: Sequence[Landed], max_bytes: int) -> Iterator[tuple[Landed, ...]]:
    chunk: list[Landed] = []
    size = 0
    for file in files:
        if chunk and (size + file.size > max_bytes or len(chunk) == MAX_FILES):
            yield tuple(chunk)
            chunk, size = [], 0
        chunk.append(file)
        size += file.size
    yield tuple(chunk)
