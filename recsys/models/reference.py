"""The reference of a model: its parts and their hashes. It is stored as model.json, in the registry and in releases.

Each part has a hash of its own. What is computed is keyed by the parts it depends on:

    vectors of texts       encoder
    profiles, segments     encoder and head     (`profiles_hash`)
    users, lists, search   users, ranker and weights of search   (nothing is encoded or projected for them)
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer, model_validator

from recsys.catalogue.weighting import YES_OR_NO, Weighting
from recsys.encoders.reference import EncoderReference, read_reference
from recsys.errors import ArtifactMissing
from recsys.heads.reference import HeadReference
from recsys.models.legacy import parts_of_legacy
from recsys.models.parts import Part, RankerPart, SearchPart, UsersPart, hash_of_parts
from recsys.storage.atomic import write_document
from recsys.storage.names import Sha256
from recsys.storage.packed import PackedFile

REFERENCE = "model.json"
LEGACY = "encoder.json"
"""Name of the file before models had parts; read where there is no model.json."""


class RegistryEntry(BaseModel):
    """A model version in MLflow."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model: str
    version: str
    run_id: str | None


class ModelReference(BaseModel):
    """One model: its parts, their files, and its entry in the registry."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    encoder: EncoderReference
    head: HeadReference | None = None
    """None: the encoder's vectors are the profiles."""
    users: UsersPart = UsersPart()
    ranker: RankerPart = RankerPart()
    search: SearchPart | None = None
    """None, and not written, where validation chose no weight; so in models from before there were any."""
    hash: Sha256
    """Hash over all parts. Gate, registry and releases name a model by it."""
    registry: RegistryEntry | None = None

    @classmethod
    def of(
        cls,
        encoder: EncoderReference,
        head: HeadReference | None = None,
        ridge_lambda: float | None = None,
        ranker: RankerPart | None = None,
        search: SearchPart | None = None,
        weighting: Weighting | None = None,
        prior_weight: float | None = None,
    ) -> "ModelReference":
        """Make a model of parts. A model that is only an encoder has the encoder's hash.

        Args:
            encoder: makes the vectors.
            head: makes profiles of vectors; None: the vectors are the profiles.
            ridge_lambda: λ that validation chose for users; None: the one in params.yaml.
            ranker: orders lists; None: the inner product.
            search: weights that validation chose; None: those in params.yaml.
            weighting: how much likes and dislikes count; None: yes or no.
            prior_weight: of users, chosen with λ; None: none was chosen.

        Returns:
            The model, without a registry entry.
        """
        if weighting is not None and weighting.changes_nothing:
            weighting = None
        ranker = ranker or RankerPart()
        users = UsersPart(ridge_lambda=ridge_lambda, weighting=weighting, prior_weight=prior_weight)
        named = hash_of_parts(encoder, head, users, ranker, search)
        return cls(hash=named, encoder=encoder, head=head, users=users, ranker=ranker, search=search)

    @model_validator(mode="after")
    def _hash_is_of_its_parts(self) -> Self:
        """Refuse a hash that does not match the parts: models are compared by their hashes."""
        is_carried = self.head is None and set(self.ranker.files) <= set(self.encoder.files)
        if self.has_one_hash and self.encoder.carries_head and is_carried:
            return self  # the hash of the old form covers the encoder's files and λ together
        if self.ranker.files and self.ranker.hash is None:
            raise ValueError(f"ranker {self.ranker.name} has files and no hash")
        if self.hash != hash_of_parts(self.encoder, self.head, self.users, self.ranker, self.search):
            raise ValueError(f"{self.hash[:10]} is not the hash of these parts")
        return self

    @model_serializer(mode="wrap")
    def _without_unchosen(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave `search` out where it is None, which keeps the bytes of older models and the ids of older releases."""
        written: dict[str, Any] = plain(self)
        if self.search is None:
            written.pop("search", None)
        return written

    def with_search(self, search: SearchPart | None) -> "ModelReference":
        """The same parts with other weights of search. The result has another hash, and no registry entry."""
        users = self.users
        return ModelReference.of(
            self.encoder,
            self.head,
            users.ridge_lambda,
            self.ranker,
            search,
            users.weighting,
            users.prior_weight,
        )

    @property
    def weighting(self) -> Weighting:
        """How much likes and dislikes count in user profiles."""
        return self.users.weighting or YES_OR_NO

    @property
    def profiles_hash(self) -> str:
        """Key of profiles: the head's hash (which covers the encoder's), or the encoder's where there is no head."""
        return self.head.hash if self.head else self.encoder.hash

    @property
    def dim(self) -> int:
        """Width of a profile."""
        return self.head.dim if self.head else self.encoder.dim

    @property
    def lexical_width(self) -> int:
        """Number of leading dimensions that ridge regression leaves out, see `HeadReference.lexical_width`."""
        return self.head.lexical_width if self.head else self.encoder.lexical_width

    @property
    def has_head(self) -> bool:
        """Whether a head makes the profiles."""
        return self.head is not None or self.encoder.carries_head

    @property
    def has_one_hash(self) -> bool:
        """Whether model and encoder have the same hash: an encoder alone, or a model from before models had parts."""
        return self.hash == self.encoder.hash

    @property
    def parts(self) -> tuple[Part, ...]:
        """Every part that has files. A ranker whose files lie among the encoder's is not a part of its own."""
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
        """Read a model.json, or where there is none the encoder.json from before models had parts.

        Args:
            path: artifacts/<role>/model.json, or the file of that name in a laid-out model.

        Returns:
            The reference.

        Raises:
            ArtifactMissing: neither is there.
            EncoderError: it is damaged.
        """
        found = path if path.exists() else path.with_name(LEGACY)
        try:
            return read_reference(
                cls, found, parts_of_legacy if found.name == LEGACY else lambda plain: plain
            )
        except ArtifactMissing as error:
            raise ArtifactMissing(f"{path} does not exist", remedy="recsys fetch-champion") from error

    def save(self, path: Path) -> None:
        """Write model.json atomically. A file with the same content is left alone.

        An encoder.json beside it is deleted: it would be read if model.json is deleted later.
        """
        write_document(path, self)
        if path.name == REFERENCE:
            path.with_name(LEGACY).unlink(missing_ok=True)

    @staticmethod
    def is_at(path: Path) -> bool:
        """Whether `load` finds a file."""
        return path.exists() or path.with_name(LEGACY).exists()

    def _parts(self) -> Iterator[Part]:
        yield Part("encoder", self.encoder.hash, self.encoder.files)
        if self.head is not None:
            yield Part("head", self.head.hash, self.head.files)
        if (ranker := self.ranker_part) is not None and ranker.kind == "ranker":
            yield ranker
