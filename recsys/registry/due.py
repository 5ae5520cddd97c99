"""Whether enough interactions were accepted since the last training to train again, whatever the gate decided then."""

from dataclasses import dataclass
from pathlib import Path

from recsys.catalogue.kinds import INTERACTIONS
from recsys.catalogue.parts import list_parts
from recsys.errors import RegistryError
from recsys.registry.http import version_at
from recsys.registry.mlflow import CHALLENGER, CHAMPION, HASH_TAG, INTERACTIONS_TAG, MODEL, tags_of


@dataclass(frozen=True)
class Due:
    """Interactions accepted now, beside those at the start of the last training. All are counts of rows."""

    after: int
    """slow_loop.train_after_interactions; 0: never train."""
    accepted: int
    trained: int
    """Interactions that the last registered challenger was trained on; 0 where nothing was trained."""
    begun: int = 0
    """Interactions of trainings that are under way or failed. The same interactions start no second training."""
    is_tracked: bool = True
    """Whether data.dvc covers everything accepted. During an intake it does not, and a training would miss parts."""

    @property
    def new(self) -> int:
        """Interactions accepted since the last training started."""
        return max(0, self.accepted - max(self.trained, self.begun))

    @property
    def is_due(self) -> bool:
        """Whether they are enough."""
        return self.is_tracked and 0 < self.after <= self.new

    def sentence(self) -> str:
        """The result in a sentence, with the figures."""
        words = f"{self.accepted:,} interactions are accepted, the newest challenger was trained on {self.trained:,}"
        if self.begun > self.trained:
            words += f", a training on {self.begun:,} was started (it is under way, or it failed)"
        rule = f"slow_loop.train_after_interactions = {self.after:,}" + ("" if self.after else ", never")
        if not self.is_tracked:
            return f"{words}: nothing is trained while an intake is under way ({rule})"
        return f"{words}: {self.new:,} are new, {'enough' if self.is_due else 'not enough'} to train ({rule})"


def n_interactions(data: Path) -> int:
    """Count the rows of interactions that a workspace has accepted. Compaction does not change the count.

    Args:
        data: the workspace's data folder.

    Returns:
        The count, from the records of the parts.

    Raises:
        RecsysError: a part's record is missing or damaged; names the file.
    """
    return sum(part.arrival.n_rows for part in list_parts(data, INTERACTIONS))


def n_trained(uri: str, model: str = MODEL) -> int:
    """How many interactions the last registered challenger was trained on; found out without importing mlflow.

    Args:
        uri: MLflow's address.
        model: registered model name.

    Returns:
        The count at the version with alias `challenger`, or `champion` where there is no challenger; 0 where there is
        neither, or where the version was not trained, such as the pretrained encoder.

    Raises:
        RegistryError: Firstlight did not register the version, or its tag is not a count.
        RegistryUnreachable: MLflow is out of reach.
    """
    found = version_at(uri, model, CHALLENGER) or version_at(uri, model, CHAMPION)
    if found is None:
        return 0
    tags = tags_of(found)
    count = tags.get(INTERACTIONS_TAG, "0")
    if HASH_TAG in tags and count.isascii() and count.isdigit():
        return int(count)
    wrong = f"has a tag {INTERACTIONS_TAG} that is no count" if HASH_TAG in tags else f"has no tag {HASH_TAG}"
    raise RegistryError(
        f"version {found['version']} of {model} {wrong}: how much it was trained on cannot be known",
        remedy="give the alias challenger to a version that Firstlight registered; `recsys ledger` lists them",
    )
