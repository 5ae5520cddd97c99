"""A machine's record of a state: the version that it has, and files that need not be read again."""

import json
from dataclasses import dataclass
from pathlib import Path

from recsys.state.document import CarriedFile, State
from recsys.storage.atomic import write_whole

Known = dict[str, tuple[int, int, str]]
"""Name of a file in the state -> size, time of change in ns, SHA-256."""


@dataclass(frozen=True)
class Record:
    """A machine's record of a state: the last version that it has."""

    nonce: str
    """The version that this machine has completely; empty: it has none, or others have added to it."""
    state: State
    """The content of this machine when it was last brought or stored."""
    known: Known
    """So that unchanged files are not read again."""

    @classmethod
    def load(cls, path: Path) -> "Record":
        """Read a record; an unreadable one counts as empty."""
        try:
            plain = json.loads(path.read_bytes())
            known = {name: (int(size), int(ns), str(sha)) for name, (size, ns, sha) in plain["known"].items()}
            return cls(plain["nonce"], State.model_validate(plain["state"]), known)
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return cls("", State(), {})

    def save(self, path: Path) -> None:
        """Write it."""
        plain = {
            "nonce": self.nonce,
            "state": self.state.model_dump(mode="json"),
            "known": {name: list(values) for name, values in sorted(self.known.items())},
        }
        write_whole(path, (json.dumps(plain, indent=1) + "\n").encode())


def carried(name: str, path: Path, known: Known) -> CarriedFile:
    """Size and checksum of a file. An unchanged file is not read again.

    Args:
        name: in the state.
        path: the file.
        known: gets what was read.

    Returns:
        The file as a state names it.

    Raises:
        FileNotFoundError: it is gone.
    """
    stat = stat_of(path)
    if name not in known or known[name][:2] != stat:
        known[name] = (*stat, CarriedFile.of(path).sha256)
    return CarriedFile(sha256=known[name][2], size=known[name][0])


def stat_of(path: Path) -> tuple[int, int]:
    """Size and time of change in ns."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns
