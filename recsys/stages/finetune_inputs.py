"""Reads the inputs of stage `finetune`: the training job, data for a head, and what choices are validated on."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recsys.artifacts import Artifacts
from recsys.catalogue.kinds import CATALOGUE
from recsys.catalogue.parts import list_parts
from recsys.catalogue.schemas import CATALOGUE_SCHEMA
from recsys.catalogue.split import Split
from recsys.dataset.dataset import Dataset
from recsys.dataset.traits import traits_at
from recsys.dataset.versions import rows_at, taken
from recsys.encoders.reference import EncoderReference
from recsys.evaluation.provenance import holdout_of
from recsys.features.text import read_features
from recsys.features.views_file import views_at
from recsys.models.encoding import encode_cached
from recsys.models.reference import ModelReference
from recsys.progress import report_progress
from recsys.settings import Settings
from recsys.training.beginning import begin, pretrained
from recsys.training.corpus import make_corpus
from recsys.training.data import TrainingSet, make_training_set
from recsys.training.job import Job, make_job
from recsys.training.params import FinetuneParams
from recsys.training.teacher import Teacher, require_teacher
from recsys.training.variants import field_variants
from recsys.validation.folds import cold_folds, dates_in_attributes
from recsys.validation.queries import Query, read_queries

READ = ("item_id", "text", "updated_at", "part", "line")
"""Columns of the features."""
TEACHER = "teacher"
"""Folder in at.training: the teacher's vectors of pieces of texts, which no other stage needs."""


def read_job(settings: Settings, at: Artifacts) -> Job:
    """Read the split's training side, with the version of each text that evaluation uses.

    Args:
        settings: all of params.yaml.
        at: the workspace.

    Returns:
        The job.

    Raises:
        ArtifactMissing: split, features or the champion is missing.
        ConfigError: there is too little to learn from, or the teacher may know test data.
    """
    params, split = settings.finetune, Split.load(at.split)
    versions = read_features(at.features, READ)
    holdout = holdout_of(at.split, split.summary, settings.split)
    wanted = Teacher.load(at.teacher) if params.needs_champion else Teacher()
    beginning = begin(params, settings.encoder, wanted, holdout, at.weights)
    sizes = params.validation_share, params.seed
    training_set = make_training_set(split, versions, *sizes, beginning.known_until)
    if beginning.known_until is not None and not len(training_set.held_rows):
        beginning = pretrained(settings.encoder, "no item is newer than the champion's cut, to validate by")
        training_set = make_training_set(split, versions, *sizes)
    if beginning.why_not:
        report_progress(f"begins from {settings.encoder.source}: {beginning.why_not}")
    teacher = require_teacher(wanted, holdout) if params.objective == "distill" else beginning.champion
    return make_job(
        training_set,
        _variants(settings, at, training_set),
        holdout,
        params,
        settings.encoder,
        settings.users.ridge_lambda,
        make_corpus(params, training_set, split, versions, teacher, partial(_encode, settings, at)),
        beginning,
    )


def _encode(
    settings: Settings, at: Artifacts, encoder: EncoderReference, texts: Sequence[str], are_pieces: bool
) -> NDArray[np.float32]:
    """The champion's vectors; those of pieces of texts are cached apart, since no other stage reads them."""
    sizes = settings.encoder.batch_tokens, settings.profiles.chunk_texts
    return encode_cached(
        ModelReference.of(encoder),
        texts,
        at,
        *sizes,
        at.training / TEACHER if are_pieces else None,
        device=settings.profiles.device,
    )


def _variants(settings: Settings, at: Artifacts, training_set: TrainingSet) -> tuple[tuple[str, ...], ...]:
    if settings.finetune.field_dropout == 0:
        return ()
    rows = [part.rows() for part in list_parts(at.data, CATALOGUE)]
    return field_variants(
        training_set, pa.concat_tables([CATALOGUE_SCHEMA.empty_table(), *rows]), settings.features
    )


def read_dataset(
    settings: Settings, at: Artifacts, found: TrainingSet, base: EncoderReference, caches: Path | None
) -> Dataset:
    """The training side, with vectors of one encoder.

    Args:
        settings: all of params.yaml.
        at: the workspace.
        found: the training side.
        base: the encoder.
        caches: where its vectors are cached; None: with those that other stages read.

    Returns:
        The data that a head learns from.
    """
    sizes = settings.encoder.batch_tokens, settings.profiles.chunk_texts
    views = views_at(at.features, found.item_ids)
    return Dataset(
        found.interactions,
        found.texts,
        encode_cached(
            ModelReference.of(base), found.texts, at, *sizes, caches, device=settings.profiles.device
        ),
        settings.users.ridge_lambda,
        settings.fusion.seed,
        prior_weight=settings.users.tried_with(settings.privacy).prior_weight,
        views=views,
        traits=traits_at(at.data, found.places, views, settings.ranker.traits),
    )


def read_folds(at: Artifacts, job: Job, params: FinetuneParams) -> tuple[NDArray[np.int64], ...]:
    """Read when items came out, and make folds of all items, for an encoder that has learned from none of them.

    Args:
        at: the workspace.
        job: with the training side.
        params: section `finetune`.

    Returns:
        Rows of the held-out items of each fold.
    """
    found = job.training_set
    times = {**found.times, **_dates(at, found)} if job.cut is not None else {}
    held = cold_folds(found.item_ids, np.arange(len(found.item_ids)), params.seed, times)
    by_kind = ", ".join(f"{len(rows):,} items by {kind}" for kind, rows in held.items())
    report_progress(f"held out to choose by: {by_kind}")
    return tuple(held.values())


def judged_queries(settings: Settings, at: Artifacts, item_ids: Sequence[str]) -> tuple[Query, ...] | None:
    """Read the judged queries (`search.queries`) over these items; None where params.yaml names no file."""
    named = settings.search.queries
    return read_queries(at.root / named, item_ids, report_progress) if named else None


def _dates(at: Artifacts, found: TrainingSet) -> dict[str, NDArray[np.float64]]:
    """When items came out, by the attributes of the version that evaluation uses."""
    names = ["part", "line", "attributes"]
    parts = [part.rows(names) for part in list_parts(at.data, CATALOGUE)]
    rows = pa.concat_tables([CATALOGUE_SCHEMA.empty_table().select(names), *parts])
    return dates_in_attributes(taken(rows["attributes"], rows_at(found.places, rows)))
