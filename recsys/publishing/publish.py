"""Publish: objects, checks, manifest, and the pointer last. May be killed anywhere and run again."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from recsys.artifacts import Artifacts
from recsys.catalogue.params import FeedbackParams
from recsys.errors import OtherEncoder, Overtaken, SwapLost
from recsys.features.params import FeaturesParams
from recsys.publishing.checks import require_index_recall, smoke_lists, smoke_texts
from recsys.publishing.draft import Draft, gather
from recsys.publishing.lease import is_collecting, wait_until_free
from recsys.publishing.objects import ObjectFiles, Profiles
from recsys.publishing.params import PublishParams
from recsys.publishing.priority import give_way
from recsys.publishing.rebase import Base, holder_names, rebase
from recsys.publishing.release import Manifest
from recsys.publishing.store import Pointer, ReleaseStore
from recsys.publishing.users_recall import users_recall
from recsys.retrieval.params import IndexParams
from recsys.storage.atomic import write_whole
from recsys.storage.protocol import Storage


@dataclass(frozen=True)
class Published:
    """What came of it."""

    release: str
    """The release that holds this workspace's content."""
    outcome: str
    """published, held (stored; the pointer is on hold) or unchanged (it was published already)."""
    manifest: Manifest
    bytes_written: int
    rebased: bool
    """Whether somebody else had published in between."""
    users_recall: float | None = None
    """Recall@10 of the indexes for users' queries; None where search is exact, or nothing was measured.
    The manifest's `index_recall` is that for queries of items."""


@dataclass(frozen=True)
class Publisher:
    """Who publishes, and by which rules."""

    params: PublishParams
    features: FeaturesParams
    feedback: FeedbackParams
    index: IndexParams
    code_commit: str
    by: str
    new_encoder: bool = False
    """Whether an encoder other than that of the newest release may be published."""
    onto: str | None = None
    """The only release that this one may follow, since the workspace holds all of it; None: any, it is rebased."""
    gives_way: bool = False
    """Whether it leaves, rather than publish while a new encoder catches up."""
    before_upload: Callable[[], None] = lambda: None
    """Runs once it is clear that there is something to publish; it may take long."""


def publish(storage: Storage, at: Artifacts, publisher: Publisher) -> Published:
    """Make the workspace's artifacts the current release.

    The loser of a race takes the winner's release and adds its own changes to it. Under a hold the release is stored
    and the pointer stays.

    Args:
        storage: where releases live.
        at: the workspace.
        publisher: who and how.

    Returns:
        Which release, and whether anything was to be done.

    Raises:
        ArtifactMissing: a stage has not run.
        ReleaseError: a check failed, or artifacts do not fit together.
        OtherEncoder: the newest release has another model and a new one is not allowed, or one catches up right now.
        Overtaken: the newest release is not the one that this one should follow.
        StorageError: the store cannot be reached.
    """
    store = ReleaseStore(storage)
    while True:
        try:
            done, ours = _attempt(store, at, publisher)
        except SwapLost:
            continue
        _remember(at, done, ours)
        return done


def published(at: Artifacts) -> dict[str, Any]:
    """What this workspace published last: release, parts (as they lie in data/), names of segments and histories.

    Empty where it never did, or where var/ was deleted.
    """
    try:
        found: dict[str, Any] = json.loads(at.published.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return found


def _attempt(store: ReleaseStore, at: Artifacts, publisher: Publisher) -> tuple[Published, Manifest]:
    before = _pointer_at_rest(store)
    head = store.manifest(before.current.head) if before else None
    _refuse_overtaken(head, publisher.onto)
    if publisher.gives_way:
        give_way(store.storage)
    ours = gather(at, publisher.features, publisher.feedback, publisher.params, publisher.code_commit, head)
    draft = ours
    cache = at.cache / "releases"
    if head:
        _refuse_other_encoder(ours.manifest, head, publisher.new_encoder)
        healed = store.heal(head, ours.sources)
        base = Base(frozenset(published(at).get("names", ())))
        draft = rebase(ours, base, head, ObjectFiles(store.storage, cache, ours.sources))
        if before and draft.manifest.same_content(head):
            store.require_objects(head)
            return Published(before.current.head, "unchanged", head, healed, rebased=False), ours.manifest
    publisher.before_upload()
    written = store.upload(draft.manifest, draft.sources, head.files() if head else ())
    manifest, recall = _checked(draft, head, at, publisher, ObjectFiles(store.storage, cache, draft.sources))
    written += store.upload(manifest, draft.sources, manifest.files())  # what went away during the checks
    store.write_manifest(manifest)
    _swap(store, before, manifest, publisher.by)
    rebased = (
        draft.manifest.segments != ours.manifest.segments
        or draft.manifest.histories != ours.manifest.histories
    )
    outcome = "held" if before and before.current.hold else "published"
    return Published(manifest.id, outcome, manifest, written, rebased, recall), ours.manifest


def _pointer_at_rest(store: ReleaseStore) -> Pointer | None:
    """The pointer, read before it was seen that nobody deletes: whoever begins to afterwards swaps it first."""
    while True:
        before = store.pointer()
        if not is_collecting(store.storage):
            return before
        wait_until_free(store.storage)


def _refuse_overtaken(head: Manifest | None, onto: str | None) -> None:
    if onto is not None and (head is None or head.id != onto):
        newest = head.id if head else "none"
        raise Overtaken(f"the newest release is {newest}, not {onto}", remedy="recsys catch-up")


def _refuse_other_encoder(ours: Manifest, head: Manifest, allowed: bool) -> None:
    if ours.model.hash != head.model.hash and not allowed:
        raise OtherEncoder(
            f"the workspace's model {ours.model.hash[:10]} is not that of release {head.id} "
            f"({head.model.hash[:10]})",
            remedy="`recsys fetch-champion --published` and `dvc repro index users` bring the published encoder back; "
            "publish_champion publishes a new one (by hand: recsys publish --new-encoder)",
        )


def _checked(
    draft: Draft, head: Manifest | None, at: Artifacts, publisher: Publisher, files: ObjectFiles
) -> tuple[Manifest, float | None]:
    """The manifest in its place, and recall for users, which is not in it: ids must not depend on a measurement."""
    profiles = Profiles(draft.manifest, files)
    recall = users_recall(profiles, publisher.index)
    require_index_recall(draft.manifest, recall, publisher.params.min_index_recall)
    texts = smoke_texts(head, at.features, publisher.params.smoke_queries)
    smoke = smoke_lists(profiles, texts, head, publisher.params)
    place = {"sequence": head.sequence + 1 if head else 1, "parent": head.id if head else None}
    return draft.manifest.model_copy(update={"smoke": smoke, **place}), recall


def _swap(store: ReleaseStore, before: Pointer | None, manifest: Manifest, by: str) -> None:
    if before and before.current.hold:
        hold = before.current.hold.model_copy(update={"head": manifest.id})
        store.swap(before, before.current.release, hold, by)
    else:
        store.swap(before, manifest.id, None, by)


def _remember(at: Artifacts, done: Published, ours: Manifest) -> None:
    """Write down what of this workspace is published: `ingest` asks for it, and the next rebase starts from it."""
    parts = {s.name.rpartition("-")[0] for s in ours.segments} | {h.part for h in ours.histories}
    content = {"release": done.release, "parts": sorted(parts), "names": sorted(holder_names(ours))}
    write_whole(at.published, (json.dumps(content, indent=1) + "\n").encode())
