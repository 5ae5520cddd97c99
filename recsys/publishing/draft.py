"""Gather a workspace's artifacts as a draft: a manifest without a place among the releases."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from recsys.artifacts import Artifacts
from recsys.catalogue.params import FeedbackParams
from recsys.catalogue.parts import Part, all_parts
from recsys.catalogue.pseudonyms import known_check
from recsys.catalogue.weighting import Weighting
from recsys.errors import ArtifactMissing, ReleaseError
from recsys.evaluation.report import CHALLENGER
from recsys.features.details import details_key, details_path
from recsys.features.facts import facts_files
from recsys.features.params import FeaturesParams
from recsys.features.terms import terms_path
from recsys.features.text import PREPROCESSING_VERSION, feature_files, feature_key
from recsys.features.views_file import made_of
from recsys.models.opening import uses_views
from recsys.models.reference import ModelReference
from recsys.profiles.items import Segment, list_segments, segment_name
from recsys.profiles.sharing import NOTHING_SHARED, Sharing
from recsys.profiles.users import history_key, users_key
from recsys.profiles.users_summary import UsersSummary
from recsys.publishing.hashing import Hasher
from recsys.publishing.objects import count_rows
from recsys.publishing.origin import provenance_of
from recsys.publishing.params import PublishParams
from recsys.publishing.release import (
    BY_EVENT,
    CHOSEN,
    DETAILED,
    PREFIXED,
    PRIVATE,
    RELATED,
    WEIGHTED,
    File,
    Manifest,
    Preprocessing,
    ReleasedHistory,
    ReleasedSearch,
    ReleasedSegment,
    ReleasedUsers,
    SegmentIndex,
)
from recsys.publishing.spent import ReleasedPrivacy
from recsys.retrieval.params import SearchParams

HISTORY_NAME = re.compile(r"(?P<part>.+)-(?P<key>[0-9a-f]{16})\.parquet")


@dataclass(frozen=True)
class Draft:
    """A manifest without sequence, parent and smoke lists, with the paths of its files."""

    manifest: Manifest
    sources: Mapping[str, Path]
    """checksum -> local file."""


def gather(
    at: Artifacts,
    features: FeaturesParams,
    feedback: FeedbackParams,
    params: PublishParams,
    search: SearchParams,
    code_commit: str,
    head: Manifest | None,
    sharing: Sharing = NOTHING_SHARED,
) -> Draft:
    """Collect the workspace's artifacts.

    Args:
        at: the workspace.
        features: section `features`.
        feedback: section `feedback`.
        params: section `publish`.
        search: section `search`.
        code_commit: commit of the running code.
        head: the newest release. Unchanged files are not read again; its records of landed files are kept.
        sharing: by which stage `users` has run.

    Returns:
        The draft.

    Raises:
        ArtifactMissing: a stage has not run.
        ReleaseError: the artifacts are of different runs.
    """
    hasher = Hasher(head.files() if head else ())
    model = ModelReference.load(at.model_reference("champion"))
    for part in model.parts:
        for file in part.files:
            hasher.named(File(**file.model_dump()), part.folder(at.cache) / file.name)
    on_disk = {part.id: part for part in all_parts(at.data)}
    _require_one_run(at, features, model, on_disk)
    segments = _segments(at, params, hasher, on_disk, head)
    histories = _histories(at, feedback, model.weighting, hasher, on_disk)
    landed = {part for segment in segments for part in segment.parts}
    landed |= {part for history in histories for part in history.parts}
    view_parts = {one for part in made_of(at.features) for one in _landed_in(part, on_disk)}
    landed |= view_parts
    key_check = known_check(at.pseudonyms)
    users = _users(at, hasher, model.profiles_hash, segments, histories, sharing, head)
    chosen = _search(search, model)
    manifest = Manifest(
        format=_format(model, chosen, params, view_parts, users),
        sequence=0,
        parent=None,
        preprocessing=Preprocessing(
            version=PREPROCESSING_VERSION, fields=features.fields, max_chars=features.max_chars
        ),
        code_commit=code_commit,
        model=model,
        segments=segments,
        histories=histories,
        users=users,
        metrics=_metrics(at, model.hash),
        decision=_judged(at.decision, at.decision, model.hash),
        smoke=(),
        index_recall=min((segment.index.recall for segment in segments), default=1.0),
        provenance=provenance_of(at, hasher, on_disk.values(), model, landed, head),
        pseudonym_key_check=key_check,
        withheld=params.withhold,
        search=chosen,
        view_parts=tuple(sorted(view_parts)),
    )
    return Draft(manifest, hasher.sources)


def _search(params: SearchParams, model: ModelReference) -> ReleasedSearch:
    """The weights that validation chose for the model; for the others those of params.yaml."""
    values = {name: getattr(params, name) for name in ReleasedSearch.model_fields if name != "temperature"}
    return ReleasedSearch(**values | (model.search.model_dump(exclude_none=True) if model.search else {}))


def _require_one_run(
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
        _landed_in(file.part, on_disk)
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


def _segments(
    at: Artifacts,
    params: PublishParams,
    hasher: Hasher,
    on_disk: Mapping[str, Part],
    head: Manifest | None,
) -> tuple[ReleasedSegment, ...]:
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
        parts=_landed_in(segment.parts[0], on_disk),
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


def _format(
    model: ModelReference,
    search: ReleasedSearch,
    params: PublishParams,
    view_parts: Collection[str],
    users: ReleasedUsers,
) -> Literal[7, 8, 9, 10, 11, 12, 13]:
    """The oldest format that says all of it."""
    if users.privacy is not None:
        return PRIVATE
    if model.encoder.needs_new_readers:
        return PREFIXED
    if model.weighting.events:
        return BY_EVENT
    if params.withhold or not model.weighting.is_yes_or_no:
        return WEIGHTED
    if view_parts:
        return RELATED
    return DETAILED if search.temperature is None else CHOSEN


def _histories(
    at: Artifacts,
    feedback: FeedbackParams,
    weighting: Weighting,
    hasher: Hasher,
    on_disk: Mapping[str, Part],
) -> tuple[ReleasedHistory, ...]:
    folder = at.users / "histories"
    if not folder.is_dir():
        raise ArtifactMissing(f"{folder} does not exist", remedy="dvc repro users")
    named = [(HISTORY_NAME.fullmatch(path.name), path) for path in sorted(folder.iterdir())]
    for match in (match for match, _ in named if match):
        _landed_in(match["part"], on_disk)
        if match["key"] != history_key(on_disk[match["part"]].arrival.rows_sha256, feedback, weighting):
            raise ReleaseError(
                f"the histories of part {match['part']} are not those of data/ and params.yaml",
                remedy="dvc repro users",
            )
    return tuple(
        ReleasedHistory(part=match["part"], parts=_landed_in(match["part"], on_disk), file=hasher.keyed(path))
        for match, path in named
        if match
    )


def _landed_in(part: str, on_disk: Mapping[str, Part]) -> tuple[str, ...]:
    """The landed parts of a part: itself, or those that were merged into it."""
    if part not in on_disk:
        raise ReleaseError(
            f"artifacts were made of part {part}, which is not in data/ any more",
            remedy="dvc repro index users",
        )
    return tuple(arrival.part for arrival in on_disk[part].arrival.landed())


def _users(
    at: Artifacts,
    hasher: Hasher,
    profiles_hash: str,
    segments: Sequence[ReleasedSegment],
    histories: Sequence[ReleasedHistory],
    sharing: Sharing,
    head: Manifest | None,
) -> ReleasedUsers:
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
        ridge_lambda=summary.ridge_lambda,
        n_users=summary.n_users,
        n_items=summary.n_items,
        privacy=ReleasedPrivacy.after(summary.guarantee, head.users.privacy if head else None),
    )


def _metrics(at: Artifacts, model_hash: str) -> dict[str, Any] | None:
    """The model's own figures and those of the floors; None where the newest report is about other models.

    A model that was promoted since stands in the report as the challenger.
    """
    if found := _judged(at.metrics, at.report, model_hash):
        return found
    if not (at.metrics.is_file() and at.report.is_file()):
        return None
    if json.loads(at.report.read_text("utf-8")).get("challenger_hash") != model_hash:
        return None
    figures, own = json.loads(at.metrics.read_text("utf-8")), f"{CHALLENGER}/"
    floors = {name: value for name, value in figures.items() if name.startswith("floors/")}
    return floors | {name.removeprefix(own): value for name, value in figures.items() if name.startswith(own)}


def _judged(path: Path, signed: Path, model_hash: str) -> dict[str, Any] | None:
    """Read a judgement of this model; None where there is none, or where it is about another model.

    Args:
        path: the JSON file.
        signed: the file that names the judged model.
        model_hash: of the workspace's champion.

    Returns:
        The JSON content, or None.
    """
    if not path.is_file() or not signed.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    names = json.loads(signed.read_text("utf-8"))
    return found if names.get("model_hash", names.get("encoder_hash")) == model_hash else None
