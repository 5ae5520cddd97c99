"""Parts of a model beside encoder and head: users, search and ranker; the files of a part; the hash over all parts."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from recsys.catalogue.weighting import Weighting
from recsys.encoders.reference import EncoderReference
from recsys.heads.reference import HeadReference
from recsys.storage.names import Sha256
from recsys.storage.packed import PackedFile

DOT = "dot"
"""The ranker without files: it orders by the inner product of user and item profile."""
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class UsersPart(BaseModel):
    """How user profiles are computed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ridge_lambda: float | None = Field(default=None, gt=0)
    """λ that validation chose; None: `users.ridge_lambda` of params.yaml holds."""
    weighting: Weighting | None = None
    """How much likes and dislikes count, as validation chose it. None, and not written: yes or no."""
    prior_weight: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Weight of the prior that validation chose with λ. None, and not written: without one, or where there is no λ
    either, `users.prior_weight` of params.yaml holds."""

    @model_serializer(mode="wrap")
    def _without_unchosen(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is None, except for λ, which keeps the bytes of other models."""
        written: dict[str, Any] = plain(self)
        return {name: one for name, one in written.items() if name == "ridge_lambda" or one is not None}


class SearchPart(BaseModel):
    """Weights of search that validation chose. Where one is None, section `search` of params.yaml applies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lexical_weight: float | None = Field(default=None, ge=0, le=1)
    """Weight of words beside profiles, in search."""
    user_weight: Weight | None = None
    """Weight of the user who searches, beside both."""
    text_weight: Weight | None = None
    """Words about a user count as much as this many items that the user likes."""
    typical_weight: Weight | None = None
    """Where nothing is known of a user, what all users like counts as much as this many items that the user likes."""
    temperature: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Makes probabilities of the scores of search; None: there are none."""

    @model_serializer(mode="wrap")
    def _without_temperature(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave `temperature` out where it is None, which keeps the bytes of older models."""
        written: dict[str, Any] = plain(self)
        if self.temperature is None:
            written.pop("temperature", None)
        return written


class RankerPart(BaseModel):
    """How candidates are ordered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = DOT
    hash: Sha256 | None = None
    """Hash over name and files; None where the ranker has no files."""
    files: tuple[PackedFile, ...] = ()


@dataclass(frozen=True)
class Part:
    """The files of one part in a cache."""

    kind: Literal["encoder", "head", "ranker"]
    hash: str
    files: tuple[PackedFile, ...]

    def folder(self, cache: Path) -> Path:
        """<cache>/encoders/<hash>, and likewise heads and rankers."""
        return cache / f"{self.kind}s" / self.hash


def hash_of_parts(
    encoder: EncoderReference,
    head: HeadReference | None,
    users: UsersPart,
    ranker: RankerPart,
    search: SearchPart | None,
) -> str:
    """Compute the hash of a model.

    Args:
        encoder: makes the vectors.
        head: makes profiles of vectors; None: the vectors are the profiles.
        users: how user profiles are computed.
        ranker: orders lists.
        search: weights of search; None: none were chosen.

    Returns:
        SHA-256 over the parts, in hex; the encoder's hash where there is nothing else.
    """
    is_bare = head is None and ranker.hash is None and search is None
    if is_bare and users.ridge_lambda is None and users.weighting is None:
        return encoder.hash
    hashes: list[Any] = [encoder.hash, head.hash if head else None, users.ridge_lambda, ranker.hash]
    if search is not None:  # models from before there were weights keep their hashes
        hashes.append(search.model_dump(exclude_none=True))
    if users.weighting is not None:
        hashes.append({"weighting": users.weighting.model_dump()})
    if users.prior_weight is not None:
        hashes.append({"prior_weight": users.prior_weight})
    return hashlib.sha256(json.dumps(hashes).encode()).hexdigest()
