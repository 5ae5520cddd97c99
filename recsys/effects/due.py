"""Effect `due`: whether enough interactions were accepted to train again. It changes nothing."""

from pathlib import Path

from recsys.artifacts import Artifacts
from recsys.catalogue.tracking import is_tracked
from recsys.effects.workspaces import begun
from recsys.registry.due import Due, n_interactions, n_trained
from recsys.storage.protocol import Storage


def due(uri: str, at: Artifacts, folder: Path, after_interactions: int, states: Storage | None = None) -> Due:
    """Compare the accepted interactions with those of the last registered training and of the trainings in `folder`.

    Args:
        uri: MLflow's address.
        at: the workspace.
        folder: holds the workspaces of trainings.
        after_interactions: how many new interactions are enough; 0: never train.
        states: RECSYS_STATE, where workers share no disk: it knows arrivals and trainings of all of them.

    Returns:
        The counts, and whether a training is due.

    Raises:
        RegistryUnreachable: MLflow is out of reach.
    """
    trained = n_trained(uri)
    if states is not None:
        from recsys.effects.states import n_accepted, n_begun

        return Due(after_interactions, n_accepted(states), trained, n_begun(states))
    return Due(after_interactions, n_interactions(at.data), trained, begun(folder), is_tracked(at))
