"""Data of a release: its segments, histories and users, all of the same data, params.yaml and champion."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recsys.artifacts import Artifacts
from recsys.catalogue.params import FeedbackParams
from recsys.catalogue.parts import Part
from recsys.catalogue.weighting import Weighting
from recsys.errors import ArtifactMissing, ReleaseError
from recsys.features.details import details_key, details_path
from recsys.features.facts import facts_files
from recsys.features.params import FeaturesParams
from recsys.features.terms import terms_path
from recsys.features.text import feature_files, feature_key
from recsys.models.opening import uses_views
from recsys.models.reference import ModelReference
from recsys.profiles.history_files import history_key
from recsys.profiles.items import Segment, list_segments, segment_name
from recsys.profiles.sharing import Sharing
from recsys.profiles.users_summary import PriorSummary, UsersSummary, prior_name, users_key
from recsys.publishing.entries import (
    ReleasedHistory,
    ReleasedPrior,
    ReleasedSegment,
    ReleasedUsers,
    SegmentIndex,
)
from recsys.publishing.hashing import Hasher
from recsys.publishing.params import PublishParams
from recsys.publishing.release import Manifest
from recsys.publishing.row_checks import count_rows
from recsys.publishing.spent import ReleasedPrivacy

HISTORY_NAME = re.compile(r"(?P<part>.+)-(?P<key>[0-9a-f]{16})\.parquet")


def require_one_run(
    at: Artifacts, features: FeaturesParams, model: ModelReference, on_disk: Mapping[str, Part]
) -> None:
    """Require, by their keys, that texts, profiles and histories belong to data/, params.yaml and the champion.

    Args:
        at: the workspace.
        features: section `features`.
        model: the champion.
        on_disk: parts by id.

    Raises:
        ReleaseError: a key differs; names the part.
    """
    files = feature_files(at.features)
    for file in files:
        landed_in(file.part, on_disk)
        if file.key != feature_key(on_disk[file.part].arrival.rows_sha256, features):
            raise ReleaseError(
                f"the texts of part {file.part} are not those of data/ and params.yaml",
                remedy="dvc repro index users",
            )
    with_views = uses_views(model, at.cache)
    wanted = {
        segment_name(file.part, file.content_key(with_views=with_views), model.profiles_hash): file.part
        for file in files
    }
    found = {segment.name: segment.parts[0] for segment in list_segments(at.profiles("champion"))}
    if differing := sorted(wanted.items() ^ found.items()):
        raise ReleaseError(
            f"the profiles of part {differing[0][1]} are not those of its texts and of the champion",
            remedy="dvc repro index users",
        )


def released_segments(
    at: Artifacts,
    params: PublishParams,
    hasher: Hasher,
    on_disk: Mapping[str, Part],
    head: Manifest | None,
) -> tuple[ReleasedSegment, ...]:
    """Collect the profiles of all parts, with their indexes and with what pages show of their items.

    Args:
        at: the workspace.
        params: section `publish`.
        hasher: names and remembers the files.
        on_disk: parts by id.
        head: the newest release; items of segments that it has too are not counted again.

    Returns:
        The segments.

    Raises:
        ArtifactMissing: stage `index` has not run.
        ReleaseError: profiles, index and details are of different runs.
    """
    index_file = at.index / "index.json"
    if not index_file.is_file():
        raise ArtifactMissing(f"{index_file} does not exist", remedy="dvc repro index")
    indexes = {entry["segment"]: entry for entry in json.loads(index_file.read_text("utf-8"))}
    found = list_segments(at.profiles("champion"))
    if {segment.name for segment in found} != set(indexes):
        raise ReleaseError("profiles and index are of different runs", remedy="dvc repro index")
    known = {segment.name: segment for segment in head.segments} if head else {}
    facts = facts_files(at.details)
    return tuple(
        _segment(
            segment,
            indexes[segment.name],
            (*_shown(at, params, on_disk[segment.parts[0]]), facts.get(segment.parts[0])),
            at,
            hasher,
            on_disk,
            known.get(segment.name),
        )
        for segment in found
    )


def _segment(
    segment: Segment,
    entry: Mapping[str, Any],
    shown: tuple[Path, Path, Path | None],
    at: Artifacts,
    hasher: Hasher,
    on_disk: Mapping[str, Part],
    known: ReleasedSegment | None,
) -> ReleasedSegment:
    if known:
        n_items, n_deleted = known.n_items, known.n_deleted
    else:
        n_items, n_deleted = count_rows(segment)
    file = hasher.keyed(at.index / entry["file"]) if entry["file"] else None
    return ReleasedSegment(
        name=segment.name,
        parts=landed_in(segment.parts[0], on_disk),
        n_items=n_items,
        n_deleted=n_deleted,
        rows=hasher.keyed(segment.rows_path),
        vectors=hasher.keyed(segment.vectors_path),
        index=SegmentIndex(kind=entry["kind"], file=file, recall=entry["recall"]),
        details=hasher.keyed(shown[0]),
        terms=hasher.keyed(shown[1]),
        facts=hasher.keyed(shown[2]) if shown[2] else None,
    )


def _shown(at: Artifacts, params: PublishParams, part: Part) -> tuple[Path, Path]:
    """Files of a part's details and terms."""
    key = details_key(part.arrival.rows_sha256, params.attributes, params.description_chars)
    paths = details_path(at.details, part.id, key), terms_path(at.details, part.id, key)
    if not all(path.is_file() for path in paths):
        raise ReleaseError(
            f"the details of part {part.id} are not those of data/ and params.yaml",
            remedy="dvc repro features",
        )
    return paths


def released_histories(
    at: Artifacts,
    feedback: FeedbackParams,
    weighting: Weighting,
    hasher: Hasher,
    on_disk: Mapping[str, Part],
) -> tuple[ReleasedHistory, ...]:
    """Collect the histories of all parts with interactions.

    Args:
        at: the workspace.
        feedback: section `feedback`.
        weighting: of the model.
        hasher: names and remembers the files.
        on_disk: parts by id.

    Returns:
        The histories, by part.

    Raises:
        ArtifactMissing: stage `users` has not run.
        ReleaseError: a history is of other data or parameters; names the part.
    """
    folder = at.users / "histories"
    if not folder.is_dir():
        raise ArtifactMissing(f"{folder} does not exist", remedy="dvc repro users")
    named = [(HISTORY_NAME.fullmatch(path.name), path) for path in sorted(folder.iterdir())]
    for match in (match for match, _ in named if match):
        landed_in(match["part"], on_disk)
        if match["key"] != history_key(on_disk[match["part"]].arrival.rows_sha256, feedback, weighting):
            raise ReleaseError(
                f"the histories of part {match['part']} are not those of data/ and params.yaml",
                remedy="dvc repro users",
            )
    return tuple(
        ReleasedHistory(part=match["part"], parts=landed_in(match["part"], on_disk), file=hasher.keyed(path))
        for match, path in named
        if match
    )


def released_users(
    at: Artifacts,
    hasher: Hasher,
    profiles_hash: str,
    segments: Sequence[ReleasedSegment],
    histories: Sequence[ReleasedHistory],
    sharing: Sharing,
    head: Manifest | None,
) -> ReleasedUsers:
    """Collect what all users share: the Gram matrix, the prior, λ and counts.

    Args:
        at: the workspace.
        hasher: names and remembers the files.
        profiles_hash: of the model.
        segments: of the release.
        histories: of the release.
        sharing: by which stage `users` has run.
        head: the newest release, whose privacy guarantee is continued and whose prior of the same key stays.

    Returns:
        The users.

    Raises:
        ReleaseError: users, profiles and champion are of different runs.
    """
    summary = UsersSummary.load(at.users / "users.json")
    gram = hasher.hashed(at.users / "gram.npy")
    if summary.profiles_hash != profiles_hash or summary.gram_sha256 != gram.sha256:
        raise ReleaseError("users and champion are of different runs", remedy="dvc repro users")
    made_of = users_key(
        (segment.name for segment in segments), (history.file.name for history in histories), sharing.key
    )
    if summary.made_of != made_of:
        raise ReleaseError("users and profiles are of different runs", remedy="dvc repro users")
    return ReleasedUsers(
        gram=gram,
        prior=_prior(at, hasher, summary.prior, head),
        ridge_lambda=summary.ridge_lambda,
        n_users=summary.n_users,
        n_items=summary.n_items,
        privacy=ReleasedPrivacy.after(summary.guarantee, head.users.privacy if head else None),
    )


def _prior(
    at: Artifacts, hasher: Hasher, summary: PriorSummary | None, head: Manifest | None
) -> ReleasedPrior | None:
    """The prior that stage `users` wrote, or the newest release's of the same key; None where users have none."""
    if summary is None:
        return None
    path = at.users / prior_name(summary.made_of)
    if not path.is_file():
        raise ArtifactMissing(f"{path} does not exist", remedy="run: dvc repro users")
    file = hasher.hashed(path)
    if file.sha256 != summary.sha256:
        raise ReleaseError(f"{path} is of another run", remedy="dvc repro users")
    there = head.users.prior if head else None
    return (
        there if there and there.file.name == file.name else ReleasedPrior(file=file, n_rows=summary.n_rows)
    )


def landed_in(part: str, on_disk: Mapping[str, Part]) -> tuple[str, ...]:
    """Find the landed parts of a part.

    Args:
        part: its id.
        on_disk: parts by id.

    Returns:
        The part itself, or the parts that were merged into it.

    Raises:
        ReleaseError: it is not in data/ any more.
    """
    if part not in on_disk:
        raise ReleaseError(
            f"artifacts were made of part {part}, which is not in data/ any more",
            remedy="dvc repro index users",
        )
    return tuple(arrival.part for arrival in on_disk[part].arrival.landed())
