"""Rebase a draft: add this workspace's changes since its last publication to the release that won the race."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.errors import ReleaseError
from recsys.profiles.gram import gram_of
from recsys.profiles.histories_by_user import IN_MEMORY
from recsys.profiles.like_counts import LikeCounts
from recsys.profiles.shared_prior import prior_key, prior_of
from recsys.profiles.sharing import NOTHING_SHARED, Sharing
from recsys.profiles.users_summary import prior_name
from recsys.publishing.draft import Draft
from recsys.publishing.entries import File, ReleasedPrior, ReleasedUsers, format_of_indexes
from recsys.publishing.formats import RELATED, WEIGHTED, WITH_PRIOR
from recsys.publishing.merging import Holder, merged, refuse_two_mergers
from recsys.publishing.object_files import ObjectFiles
from recsys.publishing.provenance import Provenance
from recsys.publishing.release import Manifest
from recsys.publishing.released_profiles import Profiles
from recsys.publishing.spent import ReleasedPrivacy
from recsys.publishing.withheld import Withheld
from recsys.storage.arrays import npy_bytes
from recsys.storage.atomic import write_whole


@dataclass(frozen=True)
class Base:
    """What this workspace published last; empty where it never published, or where var/ was deleted."""

    names: frozenset[str] = frozenset()
    """Names of its segments' rows and of its histories; these files are immutable."""
    release: str | None = None
    """Id of the release."""


def holder_names(manifest: Manifest) -> frozenset[str]:
    """Names of a manifest's segments' rows and histories' files."""
    return frozenset([s.rows.name for s in manifest.segments] + [h.file.name for h in manifest.histories])


def rebase(
    ours: Draft, base: Base, theirs: Manifest, files: ObjectFiles, sharing: Sharing = NOTHING_SHARED
) -> Draft:
    """Merge three ways: what both have, what this workspace added since `base`, what the release added since `base`.

    Compaction on either side counts as an addition (the merged segment) and removals (its parts).

    Args:
        ours: this workspace's artifacts.
        base: what this workspace published last.
        theirs: the newest release.
        files: objects of both.
        sharing: how this workspace shares what users like.

    Returns:
        A draft that holds both.

    Raises:
        ReleaseError: their side was made by another encoder or head, with other texts or under another pseudonym key;
            or both sides have merged the same part, or have relations or vectors that the other lacks.
    """
    key_check = _one_key(ours.manifest, theirs)
    view_parts = _view_parts(ours.manifest, theirs)
    withheld = _withheld(ours.manifest, base, theirs)
    segments = merged(ours.manifest.segments, theirs.segments, base.names, lambda s: s.rows.name)
    histories = merged(ours.manifest.histories, theirs.histories, base.names, lambda h: h.file.name)
    _refuse_mixture(ours.manifest, theirs, segments)
    refuse_two_mergers(theirs.id, segments)
    refuse_two_mergers(theirs.id, histories)
    draft = ours.manifest.model_copy(
        update={
            "segments": segments,
            "histories": histories,
            "metrics": ours.manifest.metrics or _same_model(ours.manifest, theirs, theirs.metrics),
            "decision": ours.manifest.decision or _same_model(ours.manifest, theirs, theirs.decision),
            "index_recall": min((s.index.recall for s in segments), default=1.0),
            "pseudonym_key_check": key_check,
            "view_parts": view_parts,
            "withheld": withheld,
            "format": max(
                ours.manifest.format,
                RELATED if view_parts else 0,
                WEIGHTED if withheld else 0,
                format_of_indexes(segments),
            ),
        }
    )
    draft = draft.model_copy(update={"provenance": _provenance(draft, theirs)})
    if _holds(draft, ours.manifest):
        return Draft(draft, ours.sources)
    is_exact = not sharing.key and theirs.users.privacy is None
    if _holds(draft, theirs) and is_exact and not (theirs.users.prior or ours.manifest.users.prior):
        users = theirs.users.model_copy(update={"ridge_lambda": ours.manifest.users.ridge_lambda})
        return Draft(draft.model_copy(update={"users": users}), ours.sources)
    users, sources = _users(draft, theirs, files, sharing)
    kind = max(draft.format, WITH_PRIOR) if users.prior else draft.format
    return Draft(draft.model_copy(update={"users": users, "format": kind}), {**ours.sources, **sources})


def _one_key(ours: Manifest, theirs: Manifest) -> str | None:
    """The check value of the pseudonym key, which must be the same on both sides."""
    mine, other = ours.pseudonym_key_check, theirs.pseudonym_key_check
    if mine and other and mine != other:
        raise ReleaseError(
            f"the pseudonyms of release {theirs.id} were made with another key than this workspace's: "
            "one person would be two users",
            remedy="set RECSYS_PSEUDONYM_KEY to one key wherever you ingest; publish users of another key into a store "
            "of their own",
        )
    return mine or other


def _view_parts(ours: Manifest, theirs: Manifest) -> tuple[str, ...]:
    """Parts of relations and vectors of both sides; only one side may have some that the other lacks.

    Each side has made its profiles with its own. A segment that both have made anew would lack those of one side.
    """
    mine, others = set(ours.view_parts), set(theirs.view_parts)
    if mine - others and others - mine:
        raise ReleaseError(
            f"release {theirs.id} has relations or vectors that this workspace lacks "
            f"({', '.join(sorted(others - mine)[:5])}), and this workspace has others",
            remedy="bring this workspace's data up to date (git pull, dvc pull), run dvc repro, then publish",
        )
    return tuple(sorted(mine | others))


def _withheld(ours: Manifest, base: Base, theirs: Manifest) -> tuple[Withheld, ...]:
    """What stays out of lists: our entries, and theirs where somebody else has published since.

    A workspace that trained for hours does not know what was recalled meanwhile. An entry that was taken out of
    params.yaml goes with the next release on top of our own.
    """
    if theirs.id == base.release:
        return ours.withheld
    return tuple(dict.fromkeys((*ours.withheld, *theirs.withheld)))


def _refuse_mixture(ours: Manifest, theirs: Manifest, segments: Iterable[Holder]) -> None:
    if ours.model.profiles_hash == theirs.model.profiles_hash and ours.preprocessing == theirs.preprocessing:
        return
    our_parts = {part for segment in ours.segments for part in segment.parts}
    foreign = sorted({part for segment in segments for part in segment.parts} - our_parts)
    if foreign:
        raise ReleaseError(
            f"release {theirs.id} has parts that this workspace lacks ({', '.join(foreign[:5])}), made with another "
            "encoder, head or other texts: the two cannot be one release",
            remedy="bring this workspace's data up to date (git pull, dvc pull), run dvc repro, then publish",
        )


def _same_model(
    ours: Manifest, theirs: Manifest, found: dict[str, object] | None
) -> dict[str, object] | None:
    return found if ours.model.hash == theirs.model.hash else None


def _holds(draft: Manifest, other: Manifest) -> bool:
    """Whether both have the same segments and histories."""
    return draft.segments == other.segments and draft.histories == other.histories


def _provenance(draft: Manifest, theirs: Manifest) -> Provenance:
    ours = draft.provenance
    arrivals = {record.part: record for record in (*ours.arrivals, *theirs.provenance.arrivals)}
    reports = {report.part: report for report in (*ours.data_reports, *theirs.provenance.data_reports)}
    parts = draft.parts
    return ours.model_copy(
        update={
            "arrivals": tuple(arrivals[part] for part in sorted(arrivals) if part in parts),
            "data_reports": tuple(reports[part] for part in sorted(reports) if part in parts),
        }
    )


def _users(
    draft: Manifest, theirs: Manifest, files: ObjectFiles, sharing: Sharing
) -> tuple[ReleasedUsers, dict[str, Path]]:
    """Recompute the users' shared statistics over the histories and profiles of both sides."""
    profiles = Profiles(draft, files)
    item_ids = profiles.latest.item_ids.column
    histories = profiles.histories
    shared = sharing.of(LikeCounts.of(histories), lambda: histories, item_ids, landed_at(draft))
    has_interactions = pc.is_in(item_ids, value_set=shared.items)
    rows = np.flatnonzero(np.asarray(has_interactions.to_numpy(zero_copy_only=False), bool))
    vectors = profiles.searcher.vectors_of(rows) if len(rows) else np.empty((0, draft.model.dim), np.float32)
    gram, sources = _kept("gram.npy", gram_of(vectors), files)
    prior, more = _prior(profiles, rows, gram.sha256, theirs, files, sharing)
    users = ReleasedUsers(
        gram=gram,
        prior=prior,
        ridge_lambda=draft.users.ridge_lambda,
        n_users=shared.n_users,
        n_items=len(rows),
        privacy=ReleasedPrivacy.after(shared.guarantee, theirs.users.privacy),
    )
    return users, sources | more


def _prior(
    profiles: Profiles,
    liked: NDArray[np.int64],
    gram_sha256: str,
    theirs: Manifest,
    files: ObjectFiles,
    sharing: Sharing,
) -> tuple[ReleasedPrior | None, dict[str, Path]]:
    """The prior of users of both sides, and where its content lies; theirs where it has the same key."""
    draft, model = profiles.manifest, profiles.manifest.model
    weight = sharing.prior_weight(model.users.ridge_lambda, model.users.prior_weight)
    segments = (draft.segments[n].name for n in np.unique(profiles.latest.segment_of_item[liked]).tolist())
    histories = (history.file.name for history in draft.histories)
    name = prior_name(prior_key(histories, segments, gram_sha256, model.profiles_hash, weight))
    there = theirs.users.prior
    if there and there.file.name == name:
        return there, {}
    rows_RD = prior_of(
        profiles.history_paths,
        IN_MEMORY,
        profiles.latest.item_ids,
        profiles.searcher.vectors_of,
        weight,
        model.lexical_width,
    )
    if rows_RD is None:
        return None, {}
    file, sources = _kept(name, rows_RD, files)
    return ReleasedPrior(file=file, n_rows=len(rows_RD)), sources


def _kept(name: str, array: NDArray[np.floating], files: ObjectFiles) -> tuple[File, dict[str, Path]]:
    """Write an array among the objects; return its file, and where its content lies."""
    content = npy_bytes(array)
    digest = hashlib.sha256(content).hexdigest()
    path = files.cache / "objects" / digest
    write_whole(path, content)
    return File(name=name, size=len(content), sha256=digest), {digest: path}


def landed_at(manifest: Manifest) -> list[datetime]:
    """When the items and interactions of a release landed: what stage `users` knows of, which reads nothing else."""
    records = (one for one in manifest.provenance.arrivals if one.part not in manifest.view_parts)
    return [datetime.fromisoformat(record.arrived_at) for record in records]
