"""Stage `finetune`: train a challenger on the split's training side, cold items held out again to know when to stop."""

import contextlib
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recsys.artifacts import Artifacts
from recsys.catalogue.parts import (
    CATALOGUE,
    CATALOGUE_SCHEMA,
    list_parts,
)
from recsys.catalogue.split import Split
from recsys.dataset.dataset import Dataset
from recsys.dataset.traits import traits_at
from recsys.encoders.declared import settled
from recsys.encoders.pack import pack_encoder
from recsys.encoders.reference import REFERENCE, EncoderReference
from recsys.encoders.source import find_source
from recsys.errors import TrainingError
from recsys.evaluation.provenance import TrainedOn, hash_rule, identity
from recsys.features.text import SCHEMA, feature_files
from recsys.features.views_file import views_at
from recsys.heads.recipe import Recipe
from recsys.models.encoding import encode_cached
from recsys.models.opening import open_vectors
from recsys.models.packed import lay_out, remember_model
from recsys.models.reference import ModelReference
from recsys.progress import report_progress
from recsys.settings import Settings
from recsys.storage.atomic import write_whole
from recsys.training.beginning import begin, pretrained
from recsys.training.challenger import fuse
from recsys.training.corpus import make_corpus
from recsys.training.data import TrainingSet, make_training_set
from recsys.training.events import read_events
from recsys.training.job import Job, make_job
from recsys.training.launching import is_launched, launch
from recsys.training.params import FinetuneParams
from recsys.training.seeds import SEEDS, TrainedSeed, TrainedSeeds, folder_of
from recsys.training.summary import epochs_of, history_csv, summarise
from recsys.training.teacher import Teacher, require_teacher
from recsys.training.trials import Attempt, Trial, search
from recsys.training.tuning import FROZEN, Tuned, keep_beginning, train, tune
from recsys.training.variants import field_variants
from recsys.validation.folds import ONE_FOLD_FROM, cold_folds, dates_in_attributes
from recsys.validation.queries import Query, read_queries
from recsys.validation.search_weights import ChosenWeights, choose_search_weights
from recsys.validation.trained_encoder import is_surely_better

MODEL = "artifacts/finetune/model"
"""What model.json calls the source of the challenger's encoder: relative, the same in every workspace."""
TEACHER = "teacher"
"""Folder in at.training: the teacher's vectors of pieces of texts, which no other stage needs."""


def run(settings: Settings, at: Artifacts) -> None:
    """Fine-tune an encoder, learn a head over it, and pack what validation liked best.

    It begins from `encoder.source`, or as `finetune.start` wants from the champion's weights, where the champion cannot
    carry answers of this holdout along (`training/beginning.py`). With `finetune.seeds` above 1 it is trained as often:
    all that is random falls otherwise, and where no time tells the newest items, those that are held out to decide by
    are others. The first is the challenger, the others tell its luck. With `finetune.trials` above 1 other values of
    `finetune.trial_ranges` are tried before; all trainings then have the values that validation liked best.

    Reads:   at.split, its training side only; at.features; at.data, the same texts' fields where field_dropout asks;
             where training wants the champion at.teacher, its encoder packed in at.cache, and at.weights. Objectives
             `texts` and `distill` also read which cold items the test side has, to leave their texts out
    Writes:  at.finetune: model/ (config.json, model.safetensors, tokenizer.json), packed/ (the challenger as it runs,
             with its head), history.csv, summary.json; seeds/ (seeds.json, and of each further seed the same but for
             model/); at.model_reference("challenger"), once all is there; all parts packed in at.cache; at.training:
             checkpoints of each seed, so that a killed run goes on, and activations of frozen layers
    Raises:  ArtifactMissing without split, features or teacher; ConfigError where there is too little to learn from, or
             the teacher may know test data; TrainingError where a loss is not finite or memory does not suffice
    """
    n = settings.finetune.processes
    if n > 1 and not is_launched():
        launch(n, ("-m", "recsys", "run", "finetune"), {"RECSYS_WORKSPACE": str(at.root)})
        return
    settings = _with_prefixes(settings)
    if is_launched():
        _run_among_others(settings, at)
    else:
        _run_alone(settings, at)


def _run_among_others(settings: Settings, at: Artifacts) -> None:
    """Rank 0 runs the stage; the others take part in each of its trainings."""
    from recsys.training.ranks import Dismissed, follow, join, lead

    def take_part(training: dict[str, Any]) -> None:
        params = FinetuneParams(**training)
        job = _read(settings.model_copy(update={"finetune": params}), at)
        # What ends a training in rank 0 ends it here: a trial that is pruned, or one whose loss is not finite.
        with contextlib.suppress(Dismissed, TrainingError):
            train(job, params, settings.encoder, settings.users.ridge_lambda, at.training)

    ranks = join()
    if ranks.is_first:
        _run_alone(settings, at)
        lead(ranks, None)
    else:
        follow(ranks, take_part)
    ranks.leave()


def _run_alone(settings: Settings, at: Artifacts) -> None:
    shutil.rmtree(at.finetune / SEEDS, ignore_errors=True)
    settings, trials, searched = _with_best_trial(settings, at)
    challenger, key = _train_and_pack(settings, at, at.finetune, trials)
    seeds, keys = [TrainedSeed(seed=settings.finetune.seed, model_hash=challenger.hash)], {key, searched}
    for number in range(1, settings.finetune.seeds):
        again = _with_seed(settings, number)
        seed = again.finetune.seed
        report_progress(f"seed {seed}, training {number + 1} of {settings.finetune.seeds}")
        folder = folder_of(at.finetune, seed)
        sibling, key = _train_and_pack(again, at, folder)
        shutil.rmtree(folder / "model")  # only its packed files are needed
        seeds.append(TrainedSeed(seed=seed, model_hash=sibling.hash))
        keys.add(key)
    TrainedSeeds(seeds=tuple(seeds)).save(at.finetune)
    challenger.save(at.model_reference("challenger"))
    at.training.mkdir(parents=True, exist_ok=True)
    for stray in at.training.iterdir():  # checkpoints of other data or parameters
        if stray.is_dir() and stray.name not in {*keys, FROZEN, TEACHER}:
            shutil.rmtree(stray)


def _with_prefixes(settings: Settings) -> Settings:
    """The settings with the prefixes that the pretrained model's folder names: what is trained has no such word."""
    encoder = settled(settings.encoder, find_source(settings.encoder.source))
    return settings.model_copy(update={"encoder": encoder})


def _with_seed(settings: Settings, number: int) -> Settings:
    """The settings of a further training: what is random in it, and in its head, falls otherwise."""
    changed = {
        name: section.model_copy(update={"seed": section.seed + number})
        for name, section in (("finetune", settings.finetune), ("fusion", settings.fusion))
    }
    return settings.model_copy(update=changed)


def _with_best_trial(settings: Settings, at: Artifacts) -> tuple[Settings, tuple[Trial, ...], str]:
    """The settings that trials chose, all trials, and the name of their folder; nothing is tried for `trials: 1`."""
    params, ridge_lambda = settings.finetune, settings.users.ridge_lambda
    if params.trials == 1:
        return settings, (), ""
    folder = at.training / f"trials-{_read(settings, at).search_key(params)}"
    ranges = ", ".join(f"{name} {low:g} to {high:g}" for name, (low, high) in params.trial_ranges.items())
    report_progress(
        f"{params.trials} trials of at most {params.epochs} epochs each, {params.trials * params.epochs} in all; one "
        f"below the median of the others ends early; drawn are {ranges}"
    )

    def prepare(drawn: FinetuneParams) -> Attempt:
        job = _read(settings.model_copy(update={"finetune": drawn}), at)
        return Attempt(
            job.key,
            lambda after_epoch: train(job, drawn, settings.encoder, ridge_lambda, at.training, after_epoch),
        )

    best, trials = search(params, prepare, folder, at.training)
    for one in trials:
        score = "no score" if one.best is None else f"{one.best:.4f}"
        report_progress(f"trial {one.number}, {one.state}: {score} with {one.drawn} {one.why}".rstrip())
    return settings.model_copy(update={"finetune": best}), trials, folder.name


def _train_and_pack(
    settings: Settings, at: Artifacts, folder: Path, trials: tuple[Trial, ...] = ()
) -> tuple[ModelReference, str]:
    """One training, left in `folder`; its model and the key of its checkpoints."""
    job, params, ridge_lambda = _read(settings, at), settings.finetune, settings.users.ridge_lambda
    tuned = tune(job, params, settings.encoder, ridge_lambda, folder / "model", at.training)
    # Vectors of a sibling's own encoder are read by nobody but `evaluate`: they go with the workspace.
    caches = at.var / "siblings" if tuned.trained is not None and folder != at.finetune else None
    tuned = _kept(settings, at, job, tuned, folder, caches)
    model, recipe, weights = _fuse(settings, at, job, tuned, _pack(settings, at, job, folder), caches)
    remember_model(model, at.cache)
    _leave(at, model, folder)
    write_whole(folder / "history.csv", history_csv(params.k, epochs_of(tuned, recipe)).encode())
    summary = summarise(
        job, tuned, recipe, weights, model, params, settings.encoder.source, ridge_lambda, trials
    )
    summary.save(folder / "summary.json")
    return model, job.key


def _read(settings: Settings, at: Artifacts) -> Job:
    """Read the split's training side with the texts that judging uses."""
    params, split = settings.finetune, Split.load(at.split)
    features = [pq.read_table(file.path) for file in feature_files(at.features)]
    versions = pa.concat_tables([SCHEMA.empty_table(), *features])
    holdout = TrainedOn(
        trained_on=identity(at.split),
        trained_until=split.summary.cut,
        held_out_by=hash_rule(split.summary.by, settings.split.seed, settings.split.test_share),
    )
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


def _pack(settings: Settings, at: Artifacts, job: Job, folder: Path) -> EncoderReference:
    params = settings.encoder.model_copy(update={"source": str(folder / "model")})
    reference = pack_encoder(params, at.encoders, job.training_set.texts)
    # The packed encoder goes into MLflow and into releases: it must not name this machine's folders.
    named = reference.model_copy(update={"source": MODEL})
    there = at.encoders / reference.hash / REFERENCE
    if EncoderReference.load(there).source == params.source:
        named.save(there)
    return named


def _kept(
    settings: Settings, at: Artifacts, job: Job, tuned: Tuned, folder: Path, caches: Path | None
) -> Tuned:
    """The result of fine-tuning; the weights at the start where items are few and training is not surely better."""
    found, params = job.training_set, settings.finetune
    if tuned.is_as_before or params.learns_from_texts or len(found.item_ids) >= ONE_FOLD_FROM:
        return tuned
    before = job.beginning.champion if job.beginning.continues else None
    trained, untrained = (
        _dataset(settings, at, found, reference, caches)
        for reference in (
            _pack(settings, at, job, folder),
            before or pack_encoder(settings.encoder, at.encoders, found.texts),
        )
    )
    n_errors = settings.fusion.standard_errors
    sizes = params.k, params.max_validation_users
    if is_surely_better(trained, untrained.vectors_ID, found.held_rows, *sizes, n_errors):
        return tuned
    n_held = len(found.held_rows)
    report_progress(f"the trained encoder is not surely better on {n_held:,} items: the one before stays")
    return keep_beginning(tuned, job, folder / "model")


def _dataset(
    settings: Settings, at: Artifacts, found: TrainingSet, base: EncoderReference, caches: Path | None
) -> Dataset:
    """The training side with an encoder's vectors."""
    sizes = settings.encoder.batch_tokens, settings.profiles.chunk_texts
    return Dataset(
        found.interactions,
        found.texts,
        encode_cached(
            ModelReference.of(base), found.texts, at, *sizes, caches, device=settings.profiles.device
        ),
        settings.users.ridge_lambda,
        settings.fusion.seed,
        views=views_at(at.features, found.item_ids),
        traits=traits_at(at.data, found.places, settings.ranker.traits),
    )


def _fuse(
    settings: Settings, at: Artifacts, job: Job, tuned: Tuned, base: EncoderReference, caches: Path | None
) -> tuple[ModelReference, Recipe, ChosenWeights]:
    found, params = job.training_set, settings.finetune
    fusion = settings.fusion.for_items(len(found.item_ids))
    dataset = _dataset(settings, at, found, base, caches)
    # A trained encoder has learned from all items but those held out from it. The pretrained one has learned from none:
    # its head is chosen on more of them. Where items are few, that is what a trained encoder's head is chosen by too.
    folds: tuple[NDArray[np.int64], ...] = (found.held_rows,)
    chosen_on = None
    if tuned.is_as_before and not job.beginning.continues:
        folds = _folds(at, job, params)
    elif len(found.item_ids) < ONE_FOLD_FROM:
        pretrained = pack_encoder(settings.encoder, at.encoders, found.texts)
        chosen_on = _dataset(settings, at, found, pretrained, caches), _folds(at, job, params)
    model, recipe = fuse(
        base,
        at.cache,
        dataset,
        folds,
        fusion,
        settings.first_light,
        settings.users,
        params.k,
        params.max_validation_users,
        settings.evaluate.head_share,
        settings.ranker,
        read_events(at.data, found.interactions, job.cut, settings.ranker.purchase_events)
        if settings.ranker.kinds
        else None,
        settings.weighting,
        found.scales,
        report_progress,
        chosen_on,
    )
    weights = choose_search_weights(
        dataset,
        folds[0],
        recipe,
        fusion,
        settings.search,
        open_vectors(ModelReference.of(base), at.cache, settings.encoder.batch_tokens),
        _judged(settings, at, dataset.item_ids),
        report_progress,
    )
    return model.with_search(weights.part), recipe, weights


def _folds(at: Artifacts, job: Job, params: FinetuneParams) -> tuple[NDArray[np.int64], ...]:
    """Folds of all items, for an encoder that has learned from none."""
    found = job.training_set
    times = {**found.times, **_dates(at, found)} if job.cut is not None else {}
    held = cold_folds(found.item_ids, np.arange(len(found.item_ids)), params.seed, times)
    by_kind = ", ".join(f"{len(rows):,} items by {kind}" for kind, rows in held.items())
    report_progress(f"held out to choose by: {by_kind}")
    return tuple(held.values())


def _judged(settings: Settings, at: Artifacts, item_ids: Sequence[str]) -> tuple[Query, ...] | None:
    """Judged queries over the training side's items; None where params.yaml names no file."""
    named = settings.search.queries
    return read_queries(at.root / named, item_ids) if named else None


def _dates(at: Artifacts, found: TrainingSet) -> dict[str, NDArray[np.float64]]:
    """When items came out by their own attributes, in the version that judging uses."""
    names = ["part", "line", "attributes"]
    rows = [part.rows().select(names) for part in list_parts(at.data, CATALOGUE)]
    return dates_in_attributes(
        pa.concat_tables([CATALOGUE_SCHEMA.empty_table().select(names), *rows]), found.places
    )


def _leave(at: Artifacts, model: ModelReference, folder: Path) -> None:
    """Lay the model out beside what was trained: DVC takes it to other machines."""
    packed, staging = folder / "packed", folder / ".packed"
    for old in (packed, staging):
        shutil.rmtree(old, ignore_errors=True)
    lay_out(model, at.cache, staging)
    staging.rename(packed)
