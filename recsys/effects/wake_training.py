"""Effect `wake-training`: whether an alarm should start a training, and has not started one yet."""

from recsys.artifacts import Artifacts
from recsys.monitoring.sent import Answer, SentAlerts


def wake_training(at: Artifacts, by: str = "") -> tuple[str, ...]:
    """Answer the alarms of signals in `monitor.train_on` since the last call, and record that they were answered.

    Args:
        at: the workspace.
        by: the run that asks. If it was killed before it got the answer, it gets the same one again.

    Returns:
        Table, arrival and signal of each; empty where no alarm should start a training.
    """
    sent = SentAlerts.load(at.watch)
    before = sent.answered.calls if by and sent.answered and sent.answered.by == by else ()
    calls = (*before, *sent.calls)
    if sent.calls:
        SentAlerts(checked=sent.checked, answered=Answer(by=by, calls=calls)).save(at.watch)
    return calls
