"""users.json: what is known of the matrix that all users share."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from recsys.errors import ArtifactMissing
from recsys.storage.atomic import write_whole
from recsys.storage.checksums import key_of


def prior_name(made_of: str) -> str:
    """Name of the file of a prior with this key."""
    return f"prior-{made_of}.npy"


def users_key(segments: Iterable[str], histories: Iterable[str], sharing: str = "") -> str:
    """16 hex digits of the SHA-256 over the names of all segments and history files, which are content keys.

    Args:
        segments: names.
        histories: names.
        sharing: `Sharing.key`.

    Returns:
        The key.
    """
    return key_of([sorted(segments), sorted(histories), *([sharing] if sharing else [])])


class Guarantee(BaseModel):
    """What a publication of the shared statistics tells of a user at most, see `recsys/profiles/privacy.py`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epsilon: float = Field(gt=0, allow_inf_nan=False)
    delta: float = Field(gt=0, lt=1)
    statistics: str = Field(pattern=r"\A[0-9a-f]{16}\z")
    """Names the noisy sums: published again they cost nothing more."""


class PriorSummary(BaseModel):
    """The prior beside users.json, see `recsys/profiles/prior.py` and `prior_name`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight: float = Field(gt=0, allow_inf_nan=False)
    n_rows: int = Field(ge=1)
    sha256: str = Field(pattern=r"\A[0-9a-f]{64}\z")
    made_of: str
    """Key of everything that it was made of: where it has not changed, the file is still right."""


@dataclass(frozen=True)
class UsersSummary:
    """users.json: a summary of the Gram matrix beside it."""

    ridge_lambda: float
    n_users: int
    n_items: int
    """Number of live items with likes: the rows of X."""
    n_pairs: int
    """Number of distinct pairs of a user and a liked item."""
    profiles_hash: str
    """Key of the profiles, see `ModelReference.profiles_hash`."""
    gram_sha256: str
    made_of: str = ""
    """Key of the segments and history files that it was made of, see `users_key`."""
    guarantee: Guarantee | None = None
    """Of the noise in n_users, n_items and the matrix; None, and not written, without noise."""
    prior: PriorSummary | None = None
    """Of the users' prior; None, and not written, where there is none."""

    def save(self, path: Path) -> None:
        """Write it atomically, as JSON."""
        plain = {
            name: value.model_dump() if isinstance(value, BaseModel) else value
            for name, value in vars(self).items()
            if value is not None
        }
        write_whole(path, (json.dumps(plain, indent=2) + "\n").encode())

    @classmethod
    def load(cls, path: Path) -> "UsersSummary":
        """Read users.json.

        Args:
            path: the file.

        Returns:
            The summary.

        Raises:
            ArtifactMissing: stage `users` has not run.
        """
        if not path.is_file():
            raise ArtifactMissing(f"{path} does not exist", remedy="run: dvc repro users")
        plain = json.loads(path.read_text())
        if "encoder_hash" in plain:  # written before models had parts
            plain["profiles_hash"] = plain.pop("encoder_hash")
        if "guarantee" in plain:
            plain["guarantee"] = Guarantee(**plain["guarantee"])
        if "prior" in plain:
            plain["prior"] = PriorSummary(**plain["prior"])
        return cls(**plain)
