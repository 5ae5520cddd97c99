"""Effect `catch-up`: publish a new model with everything that is published by then."""

from dataclasses import replace

from recsys import dvc
from recsys.artifacts import Artifacts
from recsys.effects.workspaces import DATA, newest
from recsys.errors import Overtaken
from recsys.models.reference import ModelReference
from recsys.publishing.publish import Published, Publisher, publish
from recsys.publishing.published_model import bring_profiles
from recsys.publishing.recorded import recorded
from recsys.publishing.turn import turn
from recsys.storage.atomic import write_whole
from recsys.storage.protocol import Storage

ATTEMPTS = 10
"""Times that somebody may publish while arrivals wait."""
STAGES = ("index", "users")
"""With what they need, all that a release is made of."""


def catch_up(storage: Storage, at: Artifacts, publisher: Publisher) -> Published:
    """Publish this workspace's champion with all that is published, however much was published meanwhile.

    Args:
        storage: where releases live.
        at: a workspace of `make_release_workspace` with a champion.
        publisher: who and how.

    Returns:
        What came of it: "unchanged" where the newest release has this model already.

    Raises:
        Overtaken: somebody who does not wait was faster each time.
        ReleaseError: a check failed.
        StorageError: DVC or the store could not be used.
    """
    champion = ModelReference.load(at.model_reference("champion"))
    if done := _follow(storage, at, publisher, champion):
        return done
    for _ in range(ATTEMPTS):
        with turn(storage, champion.hash):  # arrivals were faster once; from now on they wait
            if done := _follow(storage, at, publisher, champion):
                return done
    raise Overtaken(
        f"something was published {ATTEMPTS} times while this workspace caught up",
        remedy="only arrivals under Airflow wait: see who else publishes, then run it again",
    )


def _follow(
    storage: Storage, at: Artifacts, publisher: Publisher, champion: ModelReference
) -> Published | None:
    """Take in the newest release's data, and publish onto it; None where that one was not the newest any more."""
    head = newest(storage)
    if head.model.hash == champion.hash:
        return Published(head.id, "unchanged", head, 0, rebased=False)
    _pin(at, recorded(head)[DATA])
    bring_profiles(storage, at, champion)
    dvc.reproduce(at.root, STAGES)
    try:
        return publish(storage, at, replace(publisher, new_encoder=True, onto=head.id))
    except Overtaken:
        return None


def _pin(at: Artifacts, data_dvc: str) -> None:
    """Hold this data version, and lay it out."""
    if at.data_dvc.read_text("utf-8") != data_dvc:
        write_whole(at.data_dvc, data_dvc.encode())
    dvc.bring(at.root, DATA)
