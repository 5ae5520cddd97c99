"""Which encoder it is: artifacts/<role>/encoder.json, and the same file inside a packed encoder."""

import hashlib
import shutil
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from recsys.errors import ArtifactMissing, EncoderError
from recsys.storage.atomic import write_whole
from recsys.storage.names import PlainName, Sha256

TOKENIZER = "tokenizer.json"
MODEL = "model.xml"
HEAD = "head.npz"
TERMS = "head.json"
ITEM_WEIGHTS = "item_weights.npz"
FIRST_LIGHT = "first_light.json"
MAX_DIM = 65_536
"""Of a vector; wider ones would not be profiles, but a way to fill the memory."""
STAGING = ".packing-"
"""Begins the names of folders in the making."""
REFERENCE = "encoder.json"


class RegistryEntry(BaseModel):
    """A model version in MLflow."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model: str
    version: str
    run_id: str | None


class PackedFile(BaseModel):
    """One file of a packed encoder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: PlainName
    size: int = Field(ge=0)
    """Bytes."""
    sha256: Sha256

    @classmethod
    def of(cls, path: Path) -> "PackedFile":
        """Describe a file by its content."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(name=path.name, size=path.stat().st_size, sha256=digest)


class EncoderReference(BaseModel):
    """What an encoder is, and the files that make it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hash: Sha256
    """Of the recipe: the same on every machine."""
    dim: int = Field(gt=0, le=MAX_DIM)
    max_tokens: int = Field(gt=2)
    pooling: Literal["mean", "cls"]
    precision: Literal["float32", "int8"]
    source: str
    """As params.yaml named it."""
    registry: RegistryEntry | None = None
    """Where MLflow keeps it."""
    files: tuple[PackedFile, ...]
    """tokenizer.json, model.xml, model.bin; with a head also head.npz and head.json, and perhaps
    item_weights.npz, or first_light.json of a head that no interaction taught."""
    ridge_lambda: float | None = Field(default=None, gt=0)
    """λ of ridge users that was chosen with the head, and holds instead of that of params.yaml."""
    lexical_width: int = Field(default=0, ge=0)
    """Leading dimensions of a profile that hold words: users are plain sums there, see `recsys.profiles.users`."""

    @model_serializer(mode="wrap")
    def _as_before(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What it lacks is not written, as before there was such a thing: ids of releases are hashes of this."""
        written: dict[str, Any] = plain(self)
        if self.ridge_lambda is None:
            del written["ridge_lambda"]
        if self.lexical_width == 0:
            del written["lexical_width"]
        return written

    @property
    def has_head(self) -> bool:
        """Whether a kernel head makes the profiles from the model's vectors."""
        return any(file.name == HEAD for file in self.files)

    @property
    def item_weights(self) -> PackedFile | None:
        """The file of the ranker that was learned with the head."""
        return next((file for file in self.files if file.name == ITEM_WEIGHTS), None)

    @classmethod
    def load(cls, path: Path) -> "EncoderReference":
        """Read an encoder.json.

        Args:
            path: artifacts/<role>/encoder.json, or the file of that name in a packed encoder.

        Returns:
            The reference.

        Raises:
            ArtifactMissing: it is not there.
            EncoderError: it is damaged.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise ArtifactMissing(f"{path} does not exist", remedy="recsys fetch-champion") from error
        except ValidationError as error:
            fault = error.errors()[0]
            words = f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
            raise EncoderError(f"{path} is damaged: {words}", remedy="recsys fetch-champion") from error

    def save(self, path: Path) -> None:
        """Write an encoder.json, atomically; one that says the same is left alone."""
        write_whole(path, (self.model_dump_json(indent=1) + "\n").encode())


def verify_packed(reference: EncoderReference, encoders: Path) -> None:
    """Check every packed file against its size and SHA-256.

    Args:
        reference: which encoder.
        encoders: folder of packed encoders.

    Raises:
        ArtifactMissing: the encoder is not packed here.
        EncoderError: a file is damaged; names it.
    """
    verify_sizes(reference, encoders)
    for file in reference.files:
        path = encoders / reference.hash / file.name
        if PackedFile.of(path) != file:
            raise EncoderError(f"{path} is damaged", remedy=_remedy(path))


def adopt_packed(reference: EncoderReference, folder: Path, encoders: Path) -> None:
    """Put a packed encoder that came by another way (DVC) where encoders are opened; one that is there is left alone.

    Args:
        reference: which encoder.
        folder: its files.
        encoders: folder of packed encoders.
    """
    if not folder.is_dir() or _is_whole(reference, encoders):
        return
    staging = encoders / f"{STAGING}{uuid4().hex}"
    try:
        shutil.copytree(folder, staging)
        found = EncoderReference.load(staging / REFERENCE)
        if found.hash == reference.hash and all(
            PackedFile.of(staging / one.name) == one for one in found.files
        ):
            land_packed(reference, staging, encoders)
    except (ArtifactMissing, EncoderError, FileNotFoundError):
        return  # half of it, or another: whoever opens the encoder says that it is missing
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def land_packed(reference: EncoderReference, staging: Path, encoders: Path) -> None:
    """Rename a finished folder to its hash; one that is whole there already stays, a damaged one goes.

    Args:
        reference: which encoder.
        staging: its files, in `encoders`.
        encoders: folder of packed encoders.

    Raises:
        OSError: the folder cannot be renamed.
    """
    target = encoders / reference.hash
    if not _is_whole(reference, encoders):
        shutil.rmtree(target, ignore_errors=True)
        try:
            staging.rename(target)
        except OSError:  # somebody else may have been faster
            if not _is_whole(reference, encoders):
                raise


def _is_whole(reference: EncoderReference, encoders: Path) -> bool:
    try:
        verify_sizes(reference, encoders)
    except (ArtifactMissing, EncoderError):
        return False
    return (encoders / reference.hash / REFERENCE).is_file()


def verify_sizes(reference: EncoderReference, encoders: Path) -> None:
    """Check that every packed file is there with its size: what can be done each time.

    Args:
        reference: which encoder.
        encoders: folder of packed encoders.

    Raises:
        ArtifactMissing: the encoder is not packed here.
        EncoderError: a file is missing or has another size; names it.
    """
    folder = encoders / reference.hash
    if not folder.is_dir():
        raise ArtifactMissing(f"{folder} does not exist", remedy="recsys fetch-champion")
    for file in reference.files:
        path = folder / file.name
        if not path.is_file() or path.stat().st_size != file.size:
            raise EncoderError(f"{path} is missing or has not {file.size} bytes", remedy=_remedy(path))


def _remedy(path: Path) -> str:
    return f"delete {path.parent} and run recsys fetch-champion"
