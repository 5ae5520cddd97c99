"""Files in the landing zone. Only names and versions are read, so it is cheap to call often."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath

from recsys.catalogue.kinds import KINDS
from recsys.storage.protocol import PassedOver, Storage, Stored
from recsys.storage.surveying import is_unfinished

ENDINGS = (".jsonl", ".csv", ".parquet", ".json", ".ndjson", ".tsv", ".txt")
COMPRESSIONS = (".gz", ".zst", ".bz2", ".xz", ".zip")
"""Endings of compressed files, after one of ENDINGS."""
ZIP = ".zip"
"""May stand alone: an archive names the file inside itself."""
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
    def shown(self) -> str:
        """The key as text for pages and JSON; bytes that are not UTF-8 become hexadecimal."""
        return as_text(self.key)

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
        """Changes when the file is written again, even with the same bytes."""
        return f"{self.tag}@{self.modified.isoformat()}"

    @property
    def is_safe(self) -> bool:
        """Whether the key stays inside its folder and holds no control characters."""
        steps = self.key.replace("\\", "/").split("/")
        return "\\" not in self.key and self.key.isprintable() and not {"", ".", ".."} & set(steps)


def ending(name: str) -> str:
    """The ending that says what a file is: .csv for films.csv and for films.CSV.gz, .zip for films.zip."""
    path = PurePosixPath(name.lower())
    inner = PurePosixPath(path.stem).suffix if path.suffix in COMPRESSIONS else path.suffix
    return path.suffix if path.suffix == ZIP and inner not in ENDINGS else inner


@dataclass(frozen=True)
class Survey:
    """What one look at the landing zone found."""

    landed: tuple[Landed, ...]
    """Every finished file, refused ones included: in the order of KINDS, then by time of arrival and key."""
    passed_over: tuple[PassedOver, ...]
    """Entries that are no regular file or cannot be read; keys as text."""


def survey(landing: Storage) -> Survey:
    """List everything in the landing zone; nothing in it can stop the listing.

    Args:
        landing: the landing zone.

    Returns:
        Finished files, and what was skipped.

    Raises:
        StorageError: the landing zone as a whole is out of reach.
    """
    landed: list[Landed] = []
    passed_over: list[PassedOver] = []
    for kind in KINDS:
        found, others = landing.survey(f"{kind}/")
        of_kind = (
            _landed(kind, stored) for stored in found if not is_unfinished(stored.key.rpartition("/")[2])
        )
        landed += sorted(of_kind, key=lambda file: (file.modified, file.key))
        passed_over += (PassedOver(as_text(one.key), one.why) for one in others)
    return Survey(tuple(landed), tuple(passed_over))


def arrived(landing: Storage) -> tuple[Landed, ...]:
    """Every finished file, refused ones included: in the order of KINDS, then by time of arrival and key.

    Args:
        landing: the landing zone.

    Returns:
        Every file that is complete by its name.

    Raises:
        StorageError: the landing zone cannot be listed.
    """
    return survey(landing).landed


def waiting(landed: Collection[Landed], refused: Collection[tuple[str, str]]) -> tuple[Landed, ...]:
    """Files that the next `ingest` takes in, in order.

    Args:
        landed: every file in the landing zone.
        refused: (key as text, version) of files that it leaves alone, see `refusals.still_refused`.

    Returns:
        What is left of them.
    """
    known = set(refused)
    return tuple(file for file in landed if (file.shown, file.version) not in known)


def is_current(landing: Storage, landed: Landed) -> bool:
    """Whether the file still is the version that was found.

    Args:
        landing: the landing zone.
        landed: the file as it was found.

    Returns:
        False where it was written again or has gone.

    Raises:
        StorageError: the landing zone is out of reach.
    """
    now = landing.find(landed.key)
    return now is not None and _landed(landed.kind, now) == landed


def as_text(key: str) -> str:
    """A key of any bytes as text; bytes that are not UTF-8 become hexadecimal."""
    return key.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _landed(kind: str, stored: Stored) -> Landed:
    return Landed(kind, stored.key, stored.size, stored.modified, stored.tag)
