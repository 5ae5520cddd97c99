"""Files of one part of a model, in a folder named by its hash: described, checked, and laid down whole."""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field

from recsys.errors import ArtifactMissing, EncoderError
from recsys.storage.atomic import time_of_folder
from recsys.storage.checksums import sha256_of_file
from recsys.storage.names import PlainName, Sha256

STAGING = ".packing-"
"""Begins the names of folders in the making."""
ABANDONED_S = 24 * 3600
"""A folder in the making that is older was left by a killed process: nothing takes so long."""


class PackedFile(BaseModel):
    """One file of a packed part."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: PlainName
    size: int = Field(ge=0)
    """Bytes."""
    sha256: Sha256

    @classmethod
    def of(cls, path: Path) -> "PackedFile":
        """Describe a file by its content."""
        return cls(name=path.name, size=path.stat().st_size, sha256=sha256_of_file(path))


def verify_sizes(folder: Path, files: Iterable[PackedFile]) -> None:
    """Check that every file is there with its size. Cheap enough for every start.

    Args:
        folder: the part's.
        files: what it must hold.

    Raises:
        ArtifactMissing: there is no such folder.
        EncoderError: a file is missing or has another size; names it.
    """
    if not folder.is_dir():
        raise ArtifactMissing(f"{folder} does not exist", remedy="recsys fetch-champion")
    for file in files:
        path = folder / file.name
        if not path.is_file() or path.stat().st_size != file.size:
            raise EncoderError(f"{path} is missing or has not {file.size} bytes", remedy=_remedy(path))


def verify_files(folder: Path, files: Iterable[PackedFile]) -> None:
    """Check every file against its size and SHA-256.

    Args:
        folder: the part's.
        files: what it must hold.

    Raises:
        ArtifactMissing: there is no such folder.
        EncoderError: a file is missing or damaged; names it.
    """
    wanted = tuple(files)
    verify_sizes(folder, wanted)
    for file in wanted:
        if PackedFile.of(folder / file.name) != file:
            raise EncoderError(f"{folder / file.name} is damaged", remedy=_remedy(folder / file.name))


def are_whole(folder: Path, files: Iterable[PackedFile]) -> bool:
    """Whether every file is there with its size and SHA-256."""
    try:
        verify_files(folder, files)
    except (ArtifactMissing, EncoderError):
        return False
    return True


def land(staging: Path, target: Path, files: Iterable[PackedFile]) -> None:
    """Rename a finished folder to its name. A whole one that is there already stays, a damaged one is replaced.

    Args:
        staging: the files, on the same file system as the target.
        target: the part's folder.
        files: what it must hold.

    Raises:
        OSError: the folder cannot be renamed.
    """
    wanted = tuple(files)
    if are_whole(target, wanted):
        return
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        staging.rename(target)
    except OSError:  # another process may have been faster
        if not are_whole(target, wanted):
            raise


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """Give an empty folder beside packed parts, to be filled and renamed by `land`; what is left of it is removed.

    Args:
        folder: of packed parts; it is made where it does not exist. What killed processes left there is removed.

    Yields:
        The new folder.
    """
    _remove_abandoned(folder)
    staging = folder / f"{STAGING}{uuid4().hex}"
    staging.mkdir(parents=True)
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _remove_abandoned(folder: Path) -> None:
    """Remove what killed processes left half made."""
    left = list(folder.glob(f"{STAGING}*"))
    now = time_of_folder(folder) if left else 0.0
    for staging in left:
        try:
            if now - staging.stat().st_mtime > ABANDONED_S:
                shutil.rmtree(staging, ignore_errors=True)
        except FileNotFoundError:  # another process finished or removed it
            continue


def _remedy(path: Path) -> str:
    return f"delete {path.parent} and run recsys fetch-champion"
