"""The reference of an encoder: the part of a model that makes vectors of content, and its packed files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from recsys.encoders.params import Precision
from recsys.errors import ArtifactMissing, EncoderError
from recsys.storage.atomic import write_document
from recsys.storage.names import Sha256
from recsys.storage.packed import PackedFile

AnyReference = TypeVar("AnyReference", bound=BaseModel)
TOKENIZER = "tokenizer.json"
MODEL = "model.xml"
HEAD = "head.npz"
TERMS = "head.json"
ITEM_WEIGHTS = "item_weights.npz"
FIRST_LIGHT = "first_light.json"
MAX_DIM = 65_536
"""Dimensions of a vector, at most. A file that claims more would only fill the memory."""
REFERENCE = "encoder.json"
"""In a packed encoder's folder."""
OF_THE_MODEL = ("registry", "ridge_lambda")
"""Keys of an encoder.json from before models had parts. They belong to the model, see `recsys.models.legacy`."""


def read_reference(kind: type[AnyReference], path: Path, reshape: Callable[[Any], Any]) -> AnyReference:
    """Read a reference from JSON.

    Args:
        kind: its type.
        path: the file.
        reshape: parsed JSON -> what `kind` validates.

    Returns:
        The reference.

    Raises:
        ArtifactMissing: it is not there.
        EncoderError: it is damaged.
    """
    try:
        return kind.model_validate_json(json.dumps(reshape(json.loads(path.read_bytes()))))
    except FileNotFoundError as error:
        raise ArtifactMissing(f"{path} does not exist", remedy="recsys fetch-champion") from error
    except ValidationError as error:
        fault = error.errors()[0]
        words = f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
        raise EncoderError(f"{path} is damaged: {words}", remedy="recsys fetch-champion") from error
    except (ValueError, RecursionError) as error:
        raise EncoderError(f"{path} is damaged: {error}", remedy="recsys fetch-champion") from error


class EncoderReference(BaseModel):
    """One encoder: same hash, same vectors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hash: Sha256
    """Hash over everything that decides about the vectors; the same on every machine."""
    dim: int = Field(gt=0, le=MAX_DIM)
    """Width of its vectors."""
    max_tokens: int = Field(gt=2)
    pooling: Literal["mean", "cls", "last"]
    precision: Precision
    source: str
    """`encoder.source` of params.yaml."""
    files: tuple[PackedFile, ...]
    """tokenizer.json, model.xml, model.bin. An encoder from before models had parts may also hold a head's files,
    item_weights.npz and first_light.json."""
    lexical_width: int = Field(default=0, ge=0)
    """Number of leading dimensions for words, where a head is among the files."""
    item_prefix: str = ""
    """Stands before every text of an item."""
    query_prefix: str = ""
    """Stands before every text that looks for items."""

    @model_serializer(mode="wrap")
    def _without_defaults(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out a width of 0 and empty prefixes: ids of releases are hashes of this, older ones lack the keys."""
        written: dict[str, Any] = plain(self)
        for key in ("lexical_width", "item_prefix", "query_prefix"):
            if not written[key]:
                del written[key]
        return written

    @property
    def needs_new_readers(self) -> bool:
        """Whether a reader from before prefixes, decoders and 16 bits would refuse it, or read it wrongly."""
        is_older = self.pooling != "last" and self.precision in ("float32", "int8")
        return bool(self.item_prefix or self.query_prefix) or not is_older

    @property
    def carries_head(self) -> bool:
        """Whether a head is among the files, as before models had parts. Its vectors are then profiles."""
        return any(file.name == HEAD for file in self.files)

    @classmethod
    def load(cls, path: Path) -> "EncoderReference":
        """Read an encoder.json.

        Args:
            path: the file in a packed encoder.

        Returns:
            The reference.

        Raises:
            ArtifactMissing: it is not there.
            EncoderError: it is damaged.
        """

        def alone(plain: Any) -> Any:  # noqa: ANN401  any JSON value
            if not isinstance(plain, dict):
                return plain
            return {key: value for key, value in plain.items() if key not in OF_THE_MODEL}

        return read_reference(cls, path, alone)

    def save(self, path: Path) -> None:
        """Write encoder.json atomically. A file with the same content is left alone."""
        write_document(path, self)
