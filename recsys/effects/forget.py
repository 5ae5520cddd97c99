"""Effect `forget`: remove one person's events from everything that Firstlight stores, and publish a clean release.

In this order, so that nothing comes back: the feedback store, the landing zone, `data/`, what stages made, DVC's cache
and remote, states of runs, the next release. Releases from before still hold the person; `collect` removes them by a
deadline.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from recsys import dvc
from recsys.artifacts import Artifacts
from recsys.catalogue.aliases import aliases_of
from recsys.catalogue.erasure import forget_accepted, forget_landed
from recsys.catalogue.ingest import writing
from recsys.catalogue.person import ARRAYS, Person
from recsys.catalogue.pseudonyms import Pseudonyms, require_same_key
from recsys.catalogue.tracking import track
from recsys.effects.forget_states import forget_in_states
from recsys.effects.publish import publish
from recsys.encoders.reference import TERMS
from recsys.errors import ReleaseError, StorageError
from recsys.publishing.entries import File
from recsys.publishing.forgotten import files_about_people, forgotten, holds, remember
from recsys.publishing.object_files import ObjectFiles
from recsys.publishing.store import ReleaseStore
from recsys.settings import Settings
from recsys.storage.opening import open_storage
from recsys.storage.protocol import Storage

if TYPE_CHECKING:
    from recsys.state.sync import Sync

STAGES = ("users", "index")
OBJECTS = "files/md5/"
"""Where DVC 3 keeps contents, in its cache and in its remotes."""


@dataclass(frozen=True)
class Forgotten:
    """What was removed, and what is left."""

    pseudonym: str
    n_feedback: int
    landed: tuple[str, ...]
    """Files of the landing zone that were written again without the person, or deleted."""
    parts: tuple[str, ...]
    """Parts of data/ that were replaced."""
    n_rows: int
    """Rows removed from both."""
    made: tuple[str, ...]
    """Files that stages, caches and readers of releases had left."""
    n_dvc_objects: int
    """Contents in DVC's cache and remote; with them old releases can no longer be restored as they were."""
    release: str | None
    """The release that was published without the person; None where none held them, or nothing is published."""
    old_releases: tuple[str, ...]
    """Releases that still hold the person."""
    gone_by: datetime | None
    """When `collect` removes them at the latest."""
    left: tuple[str, ...]
    """Sentences about what a person has to look at by hand."""


@dataclass(frozen=True)
class Where:
    """Every place that may hold the person."""

    at: Artifacts
    """The workspace."""
    landing: Storage
    store: Storage | None
    """The release store; None where there is none."""
    feedback_url: str | None
    """Address of the feedback store; None where there is none."""
    state: "Sync | None" = None
    """Of arrivals, where workers share no disk: no other worker may go on from data with the person."""


@dataclass(frozen=True)
class Publishing:
    """How the next release is published."""

    who: str
    uri: str | None
    """MLflow's address; None: there is no registry."""


def forget(
    person: Person,
    where: Where,
    chosen: Settings,
    pseudonyms: Pseudonyms,
    publishing: Publishing,
    report_progress: Callable[[str], None] = lambda _: None,
) -> Forgotten:
    """Forget a person. Safe to repeat and to kill: what is gone stays gone, and the next run goes on.

    Args:
        person: whom.
        where: what may hold them.
        chosen: settings of the workspace.
        pseudonyms: hold the key of intake.
        publishing: how the next release is published.
        report_progress: gets a few words at each step.

    Returns:
        What was removed, and what is left.

    Raises:
        ConfigError: the key is another one than that of intake, or there is no such feedback store.
        StorageError: a place is out of reach, or busy.
        ReleaseError: the next release was refused by a check.
        StateMoved: another worker has taken in files meanwhile.
    """
    at = where.at
    require_same_key(at.pseudonyms, pseudonyms)
    n_feedback = _forget_feedback(where.feedback_url, person) if where.feedback_url else 0
    report_progress("reading the landing zone and data/")
    with writing(at):
        person = replace(person, aliases=aliases_of(where.landing, at, person, pseudonyms, chosen.ingest))
        landed = forget_landed(where.landing, at, person, pseudonyms, chosen.ingest)
        accepted = forget_accepted(at, person)
        track(at)
    if where.state is not None:
        where.state.keep()  # before DVC's remote loses what the stored state names
    left = [f"{key} cannot be read: look whose rows it holds" for key in landed.unread]
    report_progress("looking through what stages have made, and releases")
    holders, since = _holders(where.store, at, person) if where.store else ((), None)
    made = _forget_made(at, person)
    report_progress("looking through DVC's cache and remote")
    n_objects, problems = _forget_in_dvc(at, person)
    left += problems
    runs, problems = forget_in_states(where.state, person, OBJECTS)
    left += problems
    release = None
    if where.store and holders:
        report_progress("publishing without the person")
        release, problems = _published(where.store, at, chosen, publishing, holders)
        left += problems
    made += _forget_made(at, person)  # what publishing has fetched
    return Forgotten(
        pseudonym=person.pseudonym,
        n_feedback=n_feedback,
        landed=landed.places,
        parts=accepted.places,
        n_rows=landed.n_rows + accepted.n_rows,
        made=(*made, *(f"state of run {name}" for name in runs)),
        n_dvc_objects=n_objects,
        release=release,
        old_releases=holders,
        gone_by=since + timedelta(days=chosen.collect.forget_days) if since else None,
        left=(*left, *_left_in_models(at, person), *_left_in_workspaces(at, person)),
    )


def _forget_feedback(url: str, person: Person) -> int:
    from recsys.serving.feedback import FeedbackStore
    from recsys.serving.feedback_forget import forget as forget_events

    FeedbackStore.open_existing(url).close()  # at a mistyped address nobody would be forgotten
    store = FeedbackStore.open(url)
    try:
        return forget_events(store, person.pseudonym)
    finally:
        store.close()


def _forget_made(at: Artifacts, person: Person) -> list[str]:
    """Delete files that hold the person and that stages, intake or readers make again.

    Servers (`make up`), a landing zone or a store may lie below var/ too: so only these folders are searched.
    """
    roots = (
        at.root / "artifacts",
        at.cache,
        at.training,
        at.staging,
        at.refused,
        at.data_docs,
        at.intake_logs,
    )
    for kept in (at.users_recall, at.interaction_counts, at.histories_by_user):  # they only save time
        shutil.rmtree(kept, ignore_errors=True)
    gone = []
    for path in (path for root in roots for path in _files(root)):
        if person.is_in(path):
            path.unlink()
            gone.append(str(path.relative_to(at.root)) if path.is_relative_to(at.root) else str(path))
    return gone


def _files(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*")) if root.is_dir() else ():
        if path.is_file() and not path.is_symlink() and path.suffix not in ARRAYS:
            yield path


def _holders(storage: Storage, at: Artifacts, person: Person) -> tuple[tuple[str, ...], datetime | None]:
    """Releases that hold the person, newest first, and since when `collect` knows of all of them."""
    store = ReleaseStore(storage)
    manifests = [store.manifest(release) for release in sorted(store.release_ids(), reverse=True)]
    objects = {file.sha256: file for one in manifests for file in files_about_people(one)}
    files = ObjectFiles(storage, at.cache / "releases")
    found = {sha256 for sha256, file in objects.items() if _is_in_object(files, file, person)}
    remember(storage, found)
    known = forgotten(storage)
    since = max((known[sha256] for sha256 in found), default=None)
    return tuple(one.id for one in manifests if holds(one, found)), since


def _is_in_object(files: ObjectFiles, file: File, person: Person) -> bool:
    try:
        return person.is_in(files.path(file))
    except ReleaseError:  # missing or corrupt: nobody reads it
        return False


def _published(
    storage: Storage, at: Artifacts, chosen: Settings, publishing: Publishing, holders: tuple[str, ...]
) -> tuple[str | None, list[str]]:
    """Make and publish a release without the person if the newest one holds them; and what is to be done by hand."""
    current = ReleaseStore(storage).current().current
    held = []
    if current.hold and current.release in holders:
        held = [f"readers are held at release {current.release}, which holds the person: run `recsys resume`"]
    if current.head not in holders:
        return None, held
    if not ((at.root / "dvc.yaml").is_file() and (at.root / ".dvc").is_dir()):
        todo = "`recsys run users`, `recsys run index` and `recsys publish`"
        return None, [f"release {current.head}, the newest, still holds the person: run {todo}", *held]
    dvc.reproduce(at.root, STAGES)
    return publish(storage, at, chosen, publishing.who, publishing.uri).published.release, held


def _forget_in_dvc(at: Artifacts, person: Person) -> tuple[int, list[str]]:
    """Delete contents that hold the person from DVC's cache and remote; and what is to be done by hand."""
    if not (at.root / ".dvc").is_dir():
        return 0, []
    where = dvc.places(at.root)
    clean, n_gone = set[str](), 0
    for path in _files(where.cache / OBJECTS):
        name = "".join(path.parts[-2:])
        if person.is_in(path):
            path.unlink()
            n_gone += 1
        else:
            clean.add(name)
    if where.remote is None:
        return n_gone, []
    try:
        return n_gone + _forget_in_remote(open_storage(where.remote), person, clean), []
    except StorageError as error:
        return n_gone, [f"DVC's remote was not looked through: {error}"]


def _forget_in_remote(remote: Storage, person: Person, clean: set[str]) -> int:
    n_gone = 0
    for stored in remote.list(OBJECTS):
        if "".join(stored.key.split("/")[-2:]) in clean:
            continue
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "object"
            remote.fetch(stored.key, copy)
            if person.is_in(copy):
                remote.delete(stored.key)
                n_gone += 1
    return n_gone


def _left_in_models(at: Artifacts, person: Person) -> list[str]:
    """Heads that name the person: they list the things of their graph, until the next training."""
    from recsys.heads.head_file import names_in_views

    folders = (path.parent for path in sorted(at.cache.glob(f"heads/*/{TERMS}")))
    return [
        f"head {folder.name[:10]} names the person: train another and publish it, then delete {folder} and the "
        "version in MLflow; `recsys collect` removes older releases"
        for folder in folders
        if person.aliases & names_in_views(folder)
    ]


def _left_in_workspaces(at: Artifacts, person: Person) -> list[str]:
    """Workspaces of runs that hold the person: a run may be at work there."""
    folders = sorted(path for path in at.workspaces.glob("*") if path.is_dir())
    found = [path.name for path in folders if any(person.is_in(file) for file in _files(path))]
    return [
        f"workspace {name} holds the person: `recsys workspace finish` it, or delete it" for name in found
    ]
