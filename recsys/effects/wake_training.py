"""Effect `wake-training`: whether an alarm calls for a training that nobody was told of yet."""

import json

from recsys.artifacts import Artifacts
from recsys.storage.atomic import write_whole


def wake_training(at: Artifacts, by: str = "") -> tuple[str, ...]:
    """Answer the alarms of signals in `monitor.train_on` since the last call, and take note that they were answered.

    Args:
        at: the workspace.
        by: the run that asks. Asked again by the same run, killed before its answer was heard, it answers the same.

    Returns:
        Table, arrival and signal of each; empty where nothing calls for a training.
    """
    path = at.watch / "told.json"
    try:
        told = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return ()
    before = told.get("answered", {})
    found = (*(before["calls"] if by and before.get("by") == by else ()), *told["wake"])
    if told["wake"]:
        answered = {"by": by, "calls": found}
        write_whole(path, (json.dumps(told | {"wake": [], "answered": answered}, indent=1) + "\n").encode())
    return found
