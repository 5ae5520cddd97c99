"""Effect `wake-training`: whether an alarm calls for a training that nobody was told of yet."""

import json

from recsys.artifacts import Artifacts
from recsys.storage.atomic import write_whole


def wake_training(at: Artifacts) -> tuple[str, ...]:
    """Answer the alarms of signals in `monitor.train_on` since the last call, and take note that they were answered.

    Args:
        at: the workspace.

    Returns:
        Table, arrival and signal of each; empty where nothing calls for a training.
    """
    path = at.watch / "told.json"
    try:
        told = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return ()
    found = tuple(told["wake"])
    if found:
        write_whole(path, (json.dumps(told | {"wake": []}, indent=1) + "\n").encode())
    return found
