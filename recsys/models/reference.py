"""Which model it is: artifacts/<role>/model.json, and the same in the registry and in a release.

Each part has a hash of its own, and what is computed is keyed by the parts it depends on:

    vectors of texts       encoder
    profiles, segments     encoder and head     (`profiles_hash`)
    users, lists           users and ranker     (nothing is encoded or projected for them)
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from recsys.encoders.reference import EncoderReference, read_reference
from recsys.errors import ArtifactMissing
from recsys.heads.reference import HeadReference
from recsys.models.lump import parts_of_lump
from recsys.storage.atomic import write_whole
from recsys.storage.names import Sha256
from recsys.storage.packed import PackedFile

REFERENCE = "model.json"
LUMP = "encoder.json"
"""The same from before models had parts; read where there is no model.json yet."""
DOT = "dot"
"""The ranker without files: the inner product of user and item profile."""


class RegistryEntry(BaseModel):
    """A model version in MLflow."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model: str
    version: str
    run_id: str | None


class UsersPart(BaseModel):
    """How users are placed among the profiles."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ridge_lambda: float | None = Field(default=None, gt=0)
    """λ that validation chose; None: `users.ridge_lambda` of params.yaml holds."""


class RankerPart(BaseModel):
    """How candidates become a list."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = DOT
    hash: Sha256 | None = None
    """Of its name and files; None where it has no files."""
    files: tuple[PackedFile, ...] = ()


@dataclass(frozen=True)
class Part:
    """Files of one part, as a cache holds them."""

    kind: Literal["encoder", "head", "ranker"]
    hash: str
    files: tuple[PackedFile, ...]

    def folder(self, cache: Path) -> Path:
        """<cache>/encoders/<hash>, and likewise heads and rankers."""
        return cache / f"{self.kind}s" / self.hash


class ModelReference(BaseModel):
    """One model: its parts, their files, and where the registry keeps it."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    encoder: EncoderReference
    head: HeadReference | None = None
    """None: the encoder's vectors are the profiles."""
    users: UsersPart = UsersPart()
    ranker: RankerPart = RankerPart()
    hash: Sha256
    """Of all parts: what the gate judges, the registry keeps and a release is made of."""
    registry: RegistryEntry | None = None

    @classmethod
    def of(
        cls,
        encoder: EncoderReference,
        head: HeadReference | None = None,
        ridge_lambda: float | None = None,
        ranker: RankerPart | None = None,
    ) -> "ModelReference":
        """Join parts. The hash of an encoder with nothing else is the encoder's own.

        Args:
            encoder: makes the vectors.
            head: makes profiles of them; None: they are the profiles.
            ridge_lambda: λ that was chosen for the users; None: that of params.yaml.
            ranker: makes lists; None: the inner product.

        Returns:
            The model, without a registry entry.
        """
        ranker, users = ranker or RankerPart(), UsersPart(ridge_lambda=ridge_lambda)
        named = _hash_of(encoder, head, users, ranker)
        return cls(hash=named, encoder=encoder, head=head, users=users, ranker=ranker)

    @model_validator(mode="after")
    def _hash_is_of_its_parts(self) -> Self:
        """A hash stands for the parts wherever models are compared, so it cannot be another's."""
        is_carried = self.head is None and set(self.ranker.files) <= set(self.encoder.files)
        if self.is_lump and self.encoder.carries_head and is_carried:
            return self  # it was made over the encoder's files and λ together
        if self.ranker.files and self.ranker.hash is None:
            raise ValueError(f"ranker {self.ranker.name} has files and no hash")
        if self.hash != _hash_of(self.encoder, self.head, self.users, self.ranker):
            raise ValueError(f"{self.hash[:10]} is not the hash of these parts")
        return self

    @property
    def profiles_hash(self) -> str:
        """What profiles are keyed by: the head's hash, which covers the encoder's, or the encoder's own."""
        return self.head.hash if self.head else self.encoder.hash

    @property
    def dim(self) -> int:
        """Width of a profile."""
        return self.head.dim if self.head else self.encoder.dim

    @property
    def lexical_width(self) -> int:
        """Leading dimensions of a profile that no ridge learns from, see `HeadReference.lexical_width`."""
        return self.head.lexical_width if self.head else self.encoder.lexical_width

    @property
    def has_head(self) -> bool:
        """Whether profiles are made by a head."""
        return self.head is not None or self.encoder.carries_head

    @property
    def is_lump(self) -> bool:
        """Whether one hash says all of it: an encoder as it comes, or a model from before there were parts."""
        return self.hash == self.encoder.hash

    @property
    def parts(self) -> tuple[Part, ...]:
        """Every part that has files. A ranker whose files the encoder carries is no part of its own."""
        return tuple(self._parts())

    @property
    def ranker_part(self) -> Part | None:
        """The part that holds the ranker's files; None for a ranker without files."""
        if not self.ranker.files or self.ranker.hash is None:
            return None
        carried = set(self.ranker.files) <= set(self.encoder.files)
        if carried:
            return Part("encoder", self.encoder.hash, self.encoder.files)
        return Part("ranker", self.ranker.hash, self.ranker.files)

    @property
    def files(self) -> tuple[PackedFile, ...]:
        """Every file of every part."""
        return tuple(file for part in self.parts for file in part.files)

    @classmethod
    def load(cls, path: Path) -> "ModelReference":
        """Read a model.json, or the encoder.json beside it from before models had parts.

        Args:
            path: artifacts/<role>/model.json, or the file of that name in a laid-out model.

        Returns:
            The reference.

        Raises:
            ArtifactMissing: neither is there.
            EncoderError: it is damaged.
        """
        found = path if path.exists() else path.with_name(LUMP)
        try:
            return read_reference(cls, found, parts_of_lump if found.name == LUMP else lambda plain: plain)
        except ArtifactMissing as error:
            raise ArtifactMissing(f"{path} does not exist", remedy="recsys fetch-champion") from error

    def save(self, path: Path) -> None:
        """Write a model.json, atomically; one that says the same is left alone.

        An encoder.json beside it goes: it would be read in place of a model.json that is deleted later.
        """
        write_whole(path, (self.model_dump_json(indent=1) + "\n").encode())
        if path.name == REFERENCE:
            path.with_name(LUMP).unlink(missing_ok=True)

    @staticmethod
    def is_at(path: Path) -> bool:
        """Whether `load` finds a model.json, or the encoder.json from before models had parts."""
        return path.exists() or path.with_name(LUMP).exists()

    def _parts(self) -> Iterator[Part]:
        yield Part("encoder", self.encoder.hash, self.encoder.files)
        if self.head is not None:
            yield Part("head", self.head.hash, self.head.files)
        if (ranker := self.ranker_part) is not None and ranker.kind == "ranker":
            yield ranker


def _hash_of(
    encoder: EncoderReference, head: HeadReference | None, users: UsersPart, ranker: RankerPart
) -> str:
    if head is None and users.ridge_lambda is None and ranker.hash is None:
        return encoder.hash
    hashes = [encoder.hash, head.hash if head else None, users.ridge_lambda, ranker.hash]
    return hashlib.sha256(json.dumps(hashes).encode()).hexdigest()
