"""Gather a workspace's artifacts as a draft: a manifest without a place among the releases."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from recsys.artifacts import Artifacts
from recsys.catalogue.params import FeedbackParams
from recsys.catalogue.parts import all_parts
from recsys.catalogue.pseudonyms import known_check
from recsys.evaluation.report import CHALLENGER
from recsys.features.params import FeaturesParams
from recsys.features.text import PREPROCESSING_VERSION
from recsys.features.views_file import made_of
from recsys.models.reference import ModelReference
from recsys.profiles.sharing import NOTHING_SHARED, Sharing
from recsys.publishing.entries import (
    File,
    Preprocessing,
    ReleasedSearch,
    ReleasedSegment,
    ReleasedUsers,
    format_of_indexes,
)
from recsys.publishing.formats import (
    ALIKE,
    BY_EVENT,
    CHOSEN,
    COMPACT,
    DETAILED,
    PREFIXED,
    PRIVATE,
    RELATED,
    SIGNS,
    WEIGHTED,
    WITH_PRIOR,
)
from recsys.publishing.hashing import Hasher
from recsys.publishing.origin import provenance_of
from recsys.publishing.params import PublishParams
from recsys.publishing.release import Manifest
from recsys.publishing.released_data import (
    landed_in,
    released_histories,
    released_segments,
    released_users,
    require_one_run,
)
from recsys.retrieval.params import SearchParams


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
    require_one_run(at, features, model, on_disk)
    segments = released_segments(at, params, hasher, on_disk, head)
    histories = released_histories(at, feedback, model.weighting, hasher, on_disk)
    landed = {part for segment in segments for part in segment.parts}
    landed |= {part for history in histories for part in history.parts}
    view_parts = {one for part in made_of(at.features) for one in landed_in(part, on_disk)}
    landed |= view_parts
    key_check = known_check(at.pseudonyms)
    users = released_users(at, hasher, model.profiles_hash, segments, histories, sharing, head)
    chosen = _search(search, model)
    manifest = Manifest(
        format=_format(model, chosen, params, view_parts, users, segments),
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
    """The weights that validation chose for the model, and those of params.yaml for the rest."""
    values = {name: getattr(params, name) for name in ReleasedSearch.model_fields if name != "temperature"}
    return ReleasedSearch(**values | (model.search.model_dump(exclude_none=True) if model.search else {}))


def _format(
    model: ModelReference,
    search: ReleasedSearch,
    params: PublishParams,
    view_parts: Collection[str],
    users: ReleasedUsers,
    segments: Sequence[ReleasedSegment],
) -> Literal[7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17]:
    """The oldest format that can hold all of it."""
    searched = format_of_indexes(segments)
    if model.weighting.alike:
        return ALIKE
    if searched == SIGNS:
        return SIGNS
    if users.prior is not None:
        return WITH_PRIOR
    if searched == COMPACT:
        return COMPACT
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


def _metrics(at: Artifacts, model_hash: str) -> dict[str, Any] | None:
    """The figures of the model and of the floors; None where the newest report is about other models.

    A model that has been promoted after the report was written is its challenger.
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
