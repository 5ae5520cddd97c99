"""Effect `due`: whether enough interactions were accepted to train again; changes nothing, starts nothing."""

from pathlib import Path

from recsys.artifacts import Artifacts
from recsys.catalogue.tracking import is_tracked
from recsys.effects.workspaces import begun
from recsys.registry.due import Due, n_interactions, n_trained


def training_due(uri: str, at: Artifacts, folder: Path, after_interactions: int) -> Due:
    """Compare what a workspace has accepted with the registry and with the trainings in `folder`.

    Args:
        uri: MLflow's address.
        at: the workspace.
        folder: where workspaces of trainings are made.
        after_interactions: how many new ones are enough; 0: never.

    Returns:
        The counts, and whether a training is due.

    Raises:
        RegistryUnreachable: MLflow is out of reach.
    """
    trained = n_trained(uri)
    return Due(after_interactions, n_interactions(at.data), trained, begun(folder), is_tracked(at))
