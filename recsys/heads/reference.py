"""The reference of a head: the part of a model that makes profiles of vectors and words, and its packed files."""

from pathlib import Path
from zipfile import BadZipFile, ZipFile

from pydantic import BaseModel, ConfigDict, Field

from recsys.encoders.reference import HEAD, MAX_DIM, read_reference
from recsys.errors import EncoderError
from recsys.storage.atomic import write_document
from recsys.storage.names import Sha256
from recsys.storage.packed import PackedFile

REFERENCE = "reference.json"
"""In a packed head's folder."""
HEAD_RECIPE = 3
"""Part of every head's hash. Before a change of code that changes profiles, raise it and `HEAD_VERSION`, and let
`read_head` refuse the heads whose profiles would change."""


OF_VIEW = "view_"
"""Names of the arrays of views in head.npz begin so."""


class HeadReference(BaseModel):
    """One head over one encoder: same hash, same profiles."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hash: Sha256
    """Hash over the encoder's hash and the head's files. Profiles are cached under it."""
    dim: int = Field(gt=0, le=MAX_DIM)
    """Width of a profile."""
    lexical_width: int = Field(default=0, ge=0)
    """Number of leading dimensions that ridge regression leaves out, see `recsys.profiles.ridge`. The first completes
    unit length, and users are 0 there. The others, if any, hold separate words, and users are plain sums there."""
    files: tuple[PackedFile, ...]
    """head.npz and head.json; also first_light.json for a head of first light."""

    @classmethod
    def load(cls, path: Path) -> "HeadReference":
        """Read the reference in a packed head's folder.

        Args:
            path: <cache>/heads/<hash>/reference.json.

        Returns:
            The reference.

        Raises:
            ArtifactMissing: it is not there.
            EncoderError: it is damaged.
        """
        return read_reference(cls, path, lambda plain: plain)

    def save(self, path: Path) -> None:
        """Write it atomically. A file with the same content is left alone."""
        write_document(path, self)


def has_views(folder: Path) -> bool:
    """Whether a packed head joins views. Only the names of its arrays are read.

    Args:
        folder: of the packed head.

    Returns:
        False for a head of texts alone.

    Raises:
        EncoderError: its arrays are missing or damaged.
    """
    try:
        with ZipFile(folder / HEAD) as arrays:
            return any(name.startswith(OF_VIEW) for name in arrays.namelist())
    except (OSError, BadZipFile) as error:
        raise EncoderError(
            f"{folder} has no readable head: {error}",
            remedy=f"delete {folder} and run recsys fetch-champion, or dvc repro finetune for a challenger",
        ) from error
