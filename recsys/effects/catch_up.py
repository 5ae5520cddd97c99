"""Effect `catch-up`: publish a new model together with all data that has been published meanwhile."""

from dataclasses import replace

from recsys import dvc
from recsys.artifacts import Artifacts
from recsys.effects.publish import Recorded, publisher_of, record
from recsys.effects.workspaces import DATA, newest
from recsys.errors import Overtaken
from recsys.models.reference import ModelReference
from recsys.publishing.priority import priority
from recsys.publishing.publish import Published, Publisher, publish
from recsys.publishing.published_model import bring_profiles
from recsys.publishing.recorded import recorded
from recsys.settings import Settings
from recsys.storage.atomic import write_whole
from recsys.storage.protocol import Storage

ATTEMPTS = 10
"""Attempts to publish while other publishers are faster and arrivals wait."""
STAGES = ("index", "users")
"""Together with the stages that they need, these make everything that a release holds."""


def catch_up(storage: Storage, at: Artifacts, chosen: Settings, who: str, uri: str | None) -> Recorded:
    """Publish this workspace's champion with all published data, including what is published while this runs.

    Args:
        storage: where releases live.
        at: a workspace of `workspace make --published`, with a champion.
        chosen: its settings.
        who: who publishes; kept with the pointer.
        uri: MLflow's address; None: there is no registry.

    Returns:
        The release ("unchanged" where the newest one has this model already), and a warning where MLflow could not
        log it.

    Raises:
        Overtaken: another publisher, one that does not wait, was faster each time.
        ReleaseError: a check failed.
        StorageError: DVC or the store could not be used.
    """
    done = _caught_up(storage, at, publisher_of(at, chosen, who))
    return Recorded(done, record(at, done, uri))


def _caught_up(storage: Storage, at: Artifacts, publisher: Publisher) -> Published:
    champion = ModelReference.load(at.model_reference("champion"))
    if done := _follow(storage, at, publisher, champion):
        return done
    for _ in range(ATTEMPTS):
        with priority(storage, champion.hash):  # an arrival was faster; from now on arrivals wait
            if done := _follow(storage, at, publisher, champion):
                return done
    raise Overtaken(
        f"something was published {ATTEMPTS} times while this workspace caught up",
        remedy="only arrivals under Airflow wait: see who else publishes, then run it again",
    )


def _follow(
    storage: Storage, at: Artifacts, publisher: Publisher, champion: ModelReference
) -> Published | None:
    """Take the newest release's data and publish on top of it; None where a newer release came meanwhile."""
    head = newest(storage)
    if head.model.hash == champion.hash:
        return Published(head.id, "unchanged", head, 0, rebased=False)
    _pin(at, recorded(head)[DATA])
    bring_profiles(storage, at, champion)
    dvc.reproduce(at.root, STAGES)
    try:
        return publish(storage, at, replace(publisher, new_model=True, onto=head.id))
    except Overtaken:
        return None


def _pin(at: Artifacts, data_dvc: str) -> None:
    """Check this version of the data out."""
    if at.data_dvc.read_text("utf-8") != data_dvc:
        write_whole(at.data_dvc, data_dvc.encode())
    dvc.bring(at.root, DATA)
