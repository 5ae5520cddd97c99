"""Stage `profiles`: a profile per live item, a segment per part.

The encoder's vectors are cached by text, so only texts that are not in the cache go through the language model. A head
turns vectors, and the views that it joins, into profiles, block by block, for missing segments. Segments are named by
texts, views, encoder and head: another ranker or λ finds all of them here, and relations that land later give new
segments to the parts of their items, without encoding anything.
"""

import json
from collections.abc import Sequence
from time import perf_counter

import pyarrow.parquet as pq

from recsys.artifacts import Artifacts
from recsys.features.text import feature_files
from recsys.models.encoding import vectors_of
from recsys.models.engines import LocalEngine, RayEngine
from recsys.models.opening import uses_views
from recsys.models.packed import adopt_model
from recsys.models.reference import ModelReference
from recsys.models.segment_work import SegmentWork, encode_unknown, n_rows_with
from recsys.models.segments import make_missing
from recsys.profiles.items import Segment, is_sound, list_segments, segment_is_whole, segment_name, segment_of
from recsys.profiles.plan import Plan
from recsys.progress import report_progress
from recsys.settings import Settings
from recsys.storage.atomic import write_whole
from recsys.storage.strays import remove_strays

# From here on a person wants to know what is coming before it starts.
PLANNED_TEXTS = 2000
# Texts are taken in the order of their hashes: the first ones are a fair sample of all.
SPEED_SAMPLE = 128
WARM_UP = 16
TOKEN_SAMPLE = 20_000


def run(settings: Settings, at: Artifacts, role: str) -> None:
    """Make missing segments, and remove those of other parts, texts, encoders or heads.

    Reads:   at.model_reference(role), at.features; at.cache, the model's parts; at.vectors, only to be quicker
    Writes:  at.profiles(role); at.vectors; at.var/last_encode.json, what this run did; at.made_profiles(role)
    Raises:  ArtifactMissing when `fetch-champion` or stage `features` has not run; ConfigError where texts must be
             encoded, `profiles.device` is cuda and there is none
    """
    started = perf_counter()
    work = _survey(settings, at, role)
    n_unknown = len(work.unknown)
    if n_unknown >= PLANNED_TEXTS:
        report_progress(_plan(work).sentence())
    encode_unknown(work, settings.profiles.chunk_texts)
    n_projected = make_missing(work)
    n_items = sum(len(segment.vectors()) for segment in work.wanted)
    n_waiting = sum(segment.n_waiting() for segment in work.wanted)
    made = {"profiles_hash": work.model.profiles_hash, "segments": [segment.name for segment in work.wanted]}
    write_whole(at.made_profiles(role), (json.dumps(made, indent=1) + "\n").encode())
    remove_strays(at.profiles(role), {path for s in work.wanted for path in (s.rows_path, s.vectors_path)})
    if n_unknown:
        work.cache.merge()
    record = {
        "role": role,
        "encoded": n_unknown,
        "projected": n_projected,
        "reused": n_items - n_rows_with(work, work.unknown["text_hash"]),
        "waiting": n_waiting,
        "segments_made": len(work.missing),
        "seconds": round(perf_counter() - started, 3),
    }
    write_whole(at.var / "last_encode.json", (json.dumps(record, indent=1) + "\n").encode())
    report_progress(
        f"profiles@{role}: {n_unknown:,} texts encoded, {n_items:,} items in {len(work.wanted):,} segments"
    )
    if n_waiting:
        report_progress(
            f"profiles@{role}: {n_waiting:,} items have no text, and no view that the model joins says anything of "
            "them: they are in no list until their picture, vector or relations land, or a text"
        )


def plan(settings: Settings, at: Artifacts, role: str) -> Plan:
    """Work that `run` would do, without doing it.

    Args:
        settings: all of params.yaml.
        at: the workspace.
        role: champion or challenger.

    Returns:
        The plan; minutes come from encoding a sample that is thrown away.

    Raises:
        ArtifactMissing: `fetch-champion` or stage `features` has not run.
    """
    return _plan(_survey(settings, at, role))


def _survey(settings: Settings, at: Artifacts, role: str) -> SegmentWork:
    model = ModelReference.load(at.model_reference(role))
    if role == "challenger":  # trained on another machine, it came with `dvc pull`
        adopt_model(model, at.finetune / "packed", at.cache)
    folder, with_views = at.profiles(role), uses_views(model, at.cache)
    pairs = [
        (feature, segment_of(folder, segment_name(feature.part, key, model.profiles_hash)))
        for feature in feature_files(at.features)
        for key in [feature.content_key(with_views=with_views)]
    ]
    folder.mkdir(parents=True, exist_ok=True)
    wanted, chosen = tuple(segment for _, segment in pairs), settings.profiles
    device = chosen.device if chosen.engine == "local" else "cpu"
    local = LocalEngine(model, at.cache, settings.encoder.batch_tokens, device)
    return SegmentWork(
        role,
        model,
        wanted,
        tuple(
            (feature, segment)
            for feature, segment in pairs
            if not segment_is_whole(segment, pq.read_metadata(feature.path).num_rows, model.dim)
        ),
        _outdated(wanted, model, at, role, with_views),
        _parts(model, at) if with_views else (),
        vectors_of(model, at),
        local,
        RayEngine(local, chosen.actor_cpus) if chosen.engine == "ray" else local,
    )


def _parts(model: ModelReference, at: Artifacts) -> tuple[str, ...]:
    """Parts of a head that joins views."""
    from recsys.heads.head_file import view_weights
    from recsys.heads.view_shares import parts_of

    return parts_of(view_weights(at.cache / "heads" / model.head.hash)) if model.head else ()


def _outdated(
    wanted: Sequence[Segment], model: ModelReference, at: Artifacts, role: str, with_views: bool
) -> tuple[Segment, ...]:
    """Segments that are not wanted any more; a name stands for one encoder and head, so an old record is true."""
    try:
        made = json.loads(at.made_profiles(role).read_bytes())
        names = set(made["segments"]) if made["profiles_hash"] == model.profiles_hash else set()
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return ()
    there = [segment for segment in list_segments(at.profiles(role)) if segment.name in names]
    usable = (segment for segment in there if segment not in wanted and is_sound(segment, model.dim))
    return tuple(segment for segment in usable if segment.has_shares or not with_views)


def _plan(work: SegmentWork) -> Plan:
    n_texts = len(work.unknown)
    if not n_texts:
        return Plan(work.role, len(work.missing), 0, 0, 0.0)
    texts = work.unknown["text"].slice(0, TOKEN_SAMPLE).to_pylist()
    counted = work.local.encoder.count_tokens(texts)
    n_tokens = round(float(counted.mean()) * n_texts)
    work.local.encoder.encode(texts[:WARM_UP])
    started = perf_counter()
    work.local.encoder.encode(texts[:SPEED_SAMPLE])
    seconds_per_token = (perf_counter() - started) / float(counted[:SPEED_SAMPLE].sum())
    minutes = seconds_per_token * n_tokens / 60
    return Plan(work.role, len(work.missing), n_texts, n_tokens, round(minutes, 3))
