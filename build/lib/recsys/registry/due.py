"""Whether enough was accepted since the last training to train again. A training counts, whatever the gate said."""

from dataclasses import dataclass
from pathlib import Path

from recsys.catalogue.parts import INTERACTIONS, list_parts
from recsys.errors import RegistryError
from recsys.registry.http import version_at
from recsys.registry.mlflow import CHALLENGER, CHAMPION, HASH_TAG, INTERACTIONS_TAG, MODEL, tags_of


@dataclass(frozen=True)
class Due:
    """Interactions accepted now, beside those that were there when the last training began; all are counts of rows."""

    after: int
    """slow_loop.train_after_interactions; 0: never."""
    accepted: int
    trained: int
    """What the challenger that was registered last was trained on; 0 where nothing was trained."""
    begun: int = 0
    """What trainings hold that have not ended well: under way, or failed. They are not begun again for the same."""
    is_tracked: bool = True
    """Whether data.dvc names all that is accepted; a training would be pinned to less while an intake is under way."""

    @property
    def new(self) -> int:
        """Accepted since the last training began."""
        return max(0, self.accepted - max(self.trained, self.begun))

    @property
    def is_due(self) -> bool:
        """Whether those are enough."""
        return self.is_tracked and 0 < self.after <= self.new

    def sentence(self) -> str:
        """The same for a person, with the figures."""
        words = f"{self.accepted:,} interactions are accepted, the newest challenger was trained on {self.trained:,}"
        if self.begun > self.trained:
            words += f", a training on {self.begun:,} was begun (it is under way, or it failed)"
        asked = f"slow_loop.train_after_interactions = {self.after:,}" + ("" if self.after else ", never")
        if not self.is_tracked:
            return f"{words}: not enough is known to train while an intake is under way ({asked})"
        return (
            f"{words}: {self.new:,} are new, {'enough' if self.is_due else 'not enough'} to train ({asked})"
        )


def n_interactions(data: Path) -> int:
    """Rows of interactions that a workspace has accepted; compaction keeps them all.

    Args:
        data: the workspace's data folder.

    Returns:
        The count, from the records of the parts.

    Raises:
        RecsysError: a part's record is missing or damaged; names the file.
    """
    return sum(part.arrival.n_rows for part in list_parts(data, INTERACTIONS))


def n_trained(uri: str, model: str = MODEL) -> int:
    """Interactions that the challenger that was registered last was trained on; asked without importing mlflow.

    Args:
        uri: MLflow's address.
        model: registered model name.

    Returns:
        What the version with the alias `challenger` says, or that with `champion` where none is challenger; 0 where
        there is neither, or where it was not trained here, such as the pretrained encoder.

    Raises:
        RegistryError: the version is not one of Firstlight's, or its tag is no count.
        RegistryUnreachable: MLflow is out of reach.
    """
    found = version_at(uri, model, CHALLENGER) or version_at(uri, model, CHAMPION)
    if found is None:
        return 0
    tags = tags_of(found)
    said = tags.get(INTERACTIONS_TAG, "0")
    if HASH_TAG in tags and said.isascii() and said.isdigit():
        return int(said)
    wrong = f"has a tag {INTERACTIONS_TAG} that is no count" if HASH_TAG in tags else f"has no tag {HASH_TAG}"
    raise RegistryError(
        f"version {found['version']} of {model} {wrong}: how much it was trained on cannot be known",
        remedy="give the alias challenger to a version that Firstlight registered, as it did: `recsys ledger`",
    )
