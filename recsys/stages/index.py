"""Stage `index`: an index file for every large segment of the champion's profiles."""

import json

from recsys.artifacts import Artifacts
from recsys.errors import ArtifactMissing
from recsys.models.reference import ModelReference
from recsys.profiles.items import Segment, list_segments
from recsys.progress import report_progress
from recsys.retrieval.params import IndexParams
from recsys.settings import Settings
from recsys.storage.atomic import whole_file
from recsys.storage.checksums import key_of
from recsys.storage.strays import remove_strays


def run(settings: Settings, at: Artifacts) -> None:
    """Build missing indexes, keep existing ones, and remove those of other segments.

    Reads:   at.profiles("champion"); at.model_reference("champion"), how many dimensions hold words
    Writes:  at.index: index.json, and <segment>-<key16>.faiss for segments that are not searched exactly
    Raises:  ArtifactMissing when stage `profiles@champion` has not run
    """
    segments = list_segments(at.profiles("champion"))
    if not segments:
        raise ArtifactMissing(
            f"{at.profiles('champion')} holds no segment", remedy="dvc repro profiles@champion"
        )
    known = {str(entry["file"]): entry for entry in _entries(at) if entry["file"]}
    lexical_width = ModelReference.load(at.model_reference("champion")).lexical_width
    entries = [_entry(segment, settings.index, lexical_width, at, known) for segment in segments]
    with whole_file(at.index / "index.json") as temporary:
        temporary.write_text(json.dumps(entries, indent=1) + "\n", "utf-8")
    files = {at.index / str(entry["file"]) for entry in entries if entry["file"]}
    remove_strays(at.index, files | {at.index / "index.json"})


def _entry(
    segment: Segment,
    params: IndexParams,
    lexical_width: int,
    at: Artifacts,
    known: dict[str, dict[str, object]],
) -> dict[str, object]:
    from recsys.retrieval.coarseness import index_kind
    from recsys.retrieval.index_building import build_index
    from recsys.retrieval.measuring import index_recall, widen

    vectors = segment.vectors()
    kind = index_kind(vectors, params)
    entry: dict[str, object] = {
        "segment": segment.name,
        "kind": kind,
        "file": None,
        "n": len(vectors),
        "recall": 1.0,
    }
    if kind == "exact":
        return entry
    name = f"{segment.name}-{_key(params)}.faiss"
    path = at.index / name
    if not path.is_file():
        report_progress(f"index of segment {segment.name}: {len(vectors):,} vectors")
        with whole_file(path) as temporary:
            build_index(vectors, params, temporary)
            recall = widen(vectors, temporary, params, lexical_width)
        return entry | {"file": name, "recall": recall}
    if name in known:  # the file is immutable, so is what was measured on it
        return known[name]
    return entry | {"file": name, "recall": index_recall(vectors, path, params, lexical_width)}


def _key(params: IndexParams) -> str:
    """First 16 hex of the SHA-256 over what shapes the file; the segment's name already says which vectors."""
    from recsys.retrieval.index_building import INDEX_VERSION

    shaping = params.model_dump(exclude={"exact_below"})
    return key_of([INDEX_VERSION, shaping])


def _entries(at: Artifacts) -> list[dict[str, object]]:
    try:
        found: list[dict[str, object]] = json.loads((at.index / "index.json").read_text("utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return []
    return found
