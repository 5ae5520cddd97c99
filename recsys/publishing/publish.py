"""Publish a release: upload objects, check them, write the manifest, swap the pointer. Safe to kill and repeat."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from recsys.artifacts import Artifacts
from recsys.catalogue.kinds import KINDS
from recsys.catalogue.params import FeedbackParams
from recsys.catalogue.parts import list_parts
from recsys.errors import OtherModel, Overtaken, ReleaseError, SwapLost
from recsys.features.params import FeaturesParams
from recsys.features.views_file import made_of
from recsys.profiles.histories_by_user import HistoriesByUser
from recsys.profiles.params import PrivacyParams
from recsys.profiles.sharing import NOTHING_SHARED, Sharing
from recsys.publishing.checks import require_index_recall, smoke_lists, smoke_texts
from recsys.publishing.draft import Draft, gather
from recsys.publishing.formats import CHOSEN
from recsys.publishing.lease import is_collecting, wait_until_free
from recsys.publishing.object_files import ObjectFiles
from recsys.publishing.params import PublishParams
from recsys.publishing.priority import yield_to_other_model
from recsys.publishing.rebase import Base, holder_names, rebase
from recsys.publishing.release import Manifest
from recsys.publishing.released_profiles import Profiles
from recsys.publishing.store import Pointer, ReleaseStore
from recsys.publishing.users_recall import users_recall
from recsys.retrieval.params import IndexParams, SearchParams
from recsys.storage.atomic import write_whole
from recsys.storage.protocol import Storage


@dataclass(frozen=True)
class Published:
    """The result of publishing."""

    release: str
    """The release that holds this workspace's content."""
    outcome: str
    """published, held (stored, but the pointer is on hold) or unchanged (this content was published already)."""
    manifest: Manifest
    bytes_written: int
    rebased: bool
    """Whether it was joined with a release that another workspace published meanwhile."""
    users_recall: float | None = None
    """Recall@10 of the indexes for queries of users; None where search is exact, or nothing was measured. The
    manifest's `index_recall` is that for queries of items."""


@dataclass(frozen=True)
class Publisher:
    """Who publishes, and by which rules."""

    params: PublishParams
    features: FeaturesParams
    feedback: FeedbackParams
    index: IndexParams
    search: SearchParams
    code_commit: str
    by: str
    sharing: Sharing = NOTHING_SHARED
    """How users' likes became what a release holds of all of them."""
    new_model: bool = False
    """Whether a model other than that of the newest release may be published."""
    onto: str | None = None
    """The only release that this one may follow, since the workspace holds its data; None: any, by rebasing."""
    yields: bool = False
    """Whether to publish nothing while a new model has priority."""
    before_upload: Callable[[], None] = lambda: None
    """Called when there is something to publish; it may take long."""


def publish(storage: Storage, at: Artifacts, publisher: Publisher) -> Published:
    """Make the workspace's artifacts the current release.

    A publisher that loses a race adds its own changes to the winner's release. Under a hold the release is stored and
    the pointer stays.

    Args:
        storage: where releases live.
        at: the workspace.
        publisher: who and how.

    Returns:
        The release, and whether anything was published.

    Raises:
        ArtifactMissing: a stage has not run.
        ReleaseError: a check failed, or artifacts do not fit together.
        OtherModel: the newest release has another model and a new one is not allowed, or a new model has priority.
        Overtaken: the newest release is not `publisher.onto`.
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
    """What this workspace published last: release, parts (as in data/), names of segments and histories; parts beside.

    Empty where it never published, or where var/ was deleted.
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
    _refuse_exact(head, publisher.sharing.privacy)
    if publisher.yields:
        yield_to_other_model(store.storage)
    ours = gather(
        at,
        publisher.features,
        publisher.feedback,
        publisher.params,
        publisher.search,
        publisher.code_commit,
        head,
        publisher.sharing,
    )
    draft = ours
    cache = at.cache / "releases"
    if head:
        _refuse_other_model(ours.manifest, head, publisher.new_model)
        healed = store.heal(head, ours.sources)
        last = published(at)
        base = Base(frozenset(last.get("names", ())), last.get("release"))
        draft = rebase(ours, base, head, ObjectFiles(store.storage, cache, ours.sources), publisher.sharing)
        if before and draft.manifest.same_content(head):
            store.require_objects(head)
            return Published(before.current.head, "unchanged", head, healed, rebased=False), ours.manifest
    publisher.before_upload()
    written = store.upload(draft.manifest, draft.sources, head.files() if head else ())
    manifest, recall = _checked(draft, head, at, publisher, ObjectFiles(store.storage, cache, draft.sources))
    written += store.upload(
        manifest, draft.sources, manifest.files()
    )  # objects that were deleted during the checks
    store.write_manifest(manifest)
    _swap(store, before, manifest, publisher.by)
    rebased = (
        draft.manifest.segments != ours.manifest.segments
        or draft.manifest.histories != ours.manifest.histories
    )
    outcome = "held" if before and before.current.hold else "published"
    return Published(manifest.id, outcome, manifest, written, rebased, recall), ours.manifest


def _pointer_at_rest(store: ReleaseStore) -> Pointer | None:
    """The pointer while nobody collects. It is read before the check: a later collector swaps it first."""
    while True:
        before = store.pointer()
        if not is_collecting(store.storage):
            return before
        wait_until_free(store.storage)


def _refuse_overtaken(head: Manifest | None, onto: str | None) -> None:
    if onto is not None and (head is None or head.id != onto):
        newest = head.id if head else "none"
        raise Overtaken(f"the newest release is {newest}, not {onto}", remedy="recsys catch-up")


def _refuse_exact(head: Manifest | None, privacy: PrivacyParams) -> None:
    """A workspace whose settings lack ε would tell exactly what others have put noise on, in whichever release."""
    released = head.users.privacy if head else None
    if head is None or released is None:
        return
    if privacy.epsilon is None and not privacy.allow_exact:
        epsilon = f" (ε = {released.guarantee.epsilon:g})" if released.guarantee else ""
        where = f"release {head.id} have noise" if epsilon else f"releases before {head.id} had noise"
        raise ReleaseError(
            f"the statistics of all users in {where}{epsilon}; this workspace would publish exact ones",
            remedy="set privacy.epsilon here as well; or privacy.allow_exact: true, and ε no longer bounds anything",
        )


def _refuse_other_model(ours: Manifest, head: Manifest, allowed: bool) -> None:
    if ours.model.hash != head.model.hash and not allowed:
        raise OtherModel(
            f"the workspace's model {ours.model.hash[:10]} is not that of release {head.id} "
            f"({head.model.hash[:10]})",
            remedy="`recsys fetch-champion --published` and `dvc repro index users` bring the published model back; "
            "publish_champion publishes a new one (by hand: recsys publish --new-encoder)",
        )


def _checked(
    draft: Draft, head: Manifest | None, at: Artifacts, publisher: Publisher, files: ObjectFiles
) -> tuple[Manifest, float | None]:
    """The manifest with its place, and the users' recall, which is not in it; the search width that reached it is."""
    manifest, profiles = draft.manifest, Profiles(draft.manifest, files)
    minimum, by_user = publisher.params.min_index_recall, HistoriesByUser(at.histories_by_user)
    recall = users_recall(profiles, publisher.index, minimum, at.users_recall, by_user, head)
    by_user.keep_only(
        one for history in manifest.histories for one in (history.file.name, history.file.sha256)
    )
    require_index_recall(manifest, recall, minimum)
    if recall and recall.search_width:
        manifest = manifest.model_copy(
            update={"format": max(manifest.format, CHOSEN), "search_width": recall.search_width}
        )
        profiles = profiles.searched_as(manifest)
    texts = smoke_texts(head, at.features, publisher.params.smoke_queries)
    smoke = smoke_lists(profiles, texts, head, publisher.params)
    place = {"sequence": head.sequence + 1 if head else 1, "parent": head.id if head else None}
    return manifest.model_copy(update={"smoke": smoke, **place}), recall.recall if recall else None


def _swap(store: ReleaseStore, before: Pointer | None, manifest: Manifest, by: str) -> None:
    if before and before.current.hold:
        hold = before.current.hold.model_copy(update={"head": manifest.id})
        store.swap(before, before.current.release, hold, by)
    else:
        store.swap(before, manifest.id, None, by)


def _remember(at: Artifacts, done: Published, ours: Manifest) -> None:
    """Record what this workspace has published; `ingest` reads it, and the next rebase starts from it."""
    parts = {s.name.rpartition("-")[0] for s in ours.segments} | {h.part for h in ours.histories}
    parts |= {*made_of(at.features)}
    content = {"release": done.release, "parts": sorted(parts), "names": sorted(holder_names(ours))}
    # A release that stays the same was recorded with the earlier data.
    beside = published(at).get("beside", []) if done.outcome == "unchanged" else _beside(at)
    content |= {"beside": beside} if beside else {}
    write_whole(at.published, (json.dumps(content, indent=1) + "\n").encode())


def _beside(at: Artifacts) -> list[str]:
    """Parts that no release is made of; they lie in the data that is recorded with it."""
    kinds = (name for name, kind in KINDS.items() if not kind.released)
    return sorted(part.id for name in kinds for part in list_parts(at.data, name))
