"""What has arrived in the landing zone. Looks at names and versions only: cheap, so it may be asked often."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import PurePosixPath

from recsys.storage import Storage
from recsys.storage.folder import UNFINISHED_PREFIXES, UNFINISHED_SUFFIXES

LANDING_KINDS = ("catalogue", "interactions")
"""Folders of the landing zone in the order of intake: items first, so that their interactions find them."""

ENDINGS = (".jsonl", ".csv", ".parquet", ".json", ".ndjson", ".tsv")
COMPRESSIONS = (".gz", ".zst", ".bz2", ".xz")
"""Of one file; they may stand behind one of ENDINGS."""
PROCESSED = "processed"


@dataclass(frozen=True)
class Landed:
    """One finished file in the landing zone."""

    kind: str
    key: str
    """Slash-separated, relative to the landing zone."""
    size: int
    """Bytes."""
    modified: datetime
    """UTC, aware."""
    tag: str
    """The storage's version tag."""

    @property
    def name(self) -> str:
        """The file's name without folders."""
        return PurePosixPath(self.key.replace("\\", "/")).name

    @property
    def ending(self) -> str:
        """The ending of the file's name in lower case, such as .csv, without that of a compression."""
        return ending(self.name)

    @property
    def version(self) -> str:
        """Changes when the file is written again, be it with the same bytes."""
        return f"{self.tag}@{self.modified.isoformat()}"

    @property
    def is_safe(self) -> bool:
        """Whether the key stays inside its folder and carries no control characters."""
        steps = self.key.replace("\\", "/").split("/")
        return "\\" not in self.key and self.key.isprintable() and not {"", ".", ".."} & set(steps)


def ending(name: str) -> str:
    """The ending that says what a file is, in lower case: .csv for films.csv and for films.CSV.gz."""
    path = PurePosixPath(name.lower())
    return PurePosixPath(path.stem).suffix if path.suffix in COMPRESSIONS else path.suffix


def arrived(landing: Storage) -> tuple[Landed, ...]:
    """Every finished file, refused ones included: catalogue first, then by time of arrival and key.

    Args:
        landing: the landing zone.

    Returns:
        Every file that is complete by its name.

    Raises:
        StorageError: the landing zone cannot be listed.
    """
    return tuple(landed for kind in LANDING_KINDS for landed in _of_kind(landing, kind))


def pending(landing: Storage, refused: Collection[tuple[str, str]] = ()) -> tuple[Landed, ...]:
    """What `ingest` should take in, in order; files refused before wait until they are written again.

    Args:
        landing: the landing zone.
        refused: (key, version) of files that were refused.

    Returns:
        What is left of `arrived`, in its order.

    Raises:
        StorageError: the landing zone cannot be listed.
    """
    known = set(refused)
    return tuple(landed for landed in arrived(landing) if (landed.key, landed.version) not in known)


def fingerprint(landing: Storage) -> str:
    """A short text that changes whenever a file arrives, is written again or leaves.

    Args:
        landing: the landing zone.

    Returns:
        16 hex characters.

    Raises:
        StorageError: the landing zone cannot be listed.
    """
    lines = "\n".join(f"{landed.key}\t{landed.version}" for landed in arrived(landing))
    return sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def current(landing: Storage, key: str) -> Landed | None:
    """The file as it is now, or None when it has gone.

    Args:
        landing: the landing zone.
        key: the file's key.

    Returns:
        The file with its version of now.

    Raises:
        StorageError: the landing zone cannot be listed.
    """
    kind = key.partition("/")[0]
    return next((landed for landed in _of_kind(landing, kind) if landed.key == key), None)


def _of_kind(landing: Storage, kind: str) -> list[Landed]:
    found = [
        Landed(kind, stored.key, stored.size, stored.modified, stored.tag)
        for stored in landing.list(f"{kind}/")
        if _is_finished(stored.key)
    ]
    return sorted(found, key=lambda landed: (landed.modified, landed.key))


def _is_finished(key: str) -> bool:
    name = key.rpartition("/")[2]
    return not (name.startswith(UNFINISHED_PREFIXES) or name.endswith(UNFINISHED_SUFFIXES))
