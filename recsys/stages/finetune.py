"""Stage `finetune`: train a challenger on the split's training side. Cold items are held out from it to validate on."""

import contextlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.artifacts import Artifacts
from recsys.encoders.declared import settled
from recsys.encoders.pack import pack_encoder
from recsys.encoders.reference import REFERENCE, EncoderReference
from recsys.encoders.source import find_source
from recsys.errors import TrainingError
from recsys.heads.recipe import Recipe
from recsys.models.opening import open_vectors
from recsys.models.packed import lay_out, remember_model
from recsys.models.reference import ModelReference
from recsys.progress import report_progress
from recsys.ranking.head_and_tail import TailRule
from recsys.settings import Settings
from recsys.stages.finetune_inputs import TEACHER, judged_queries, read_dataset, read_folds, read_job
from recsys.storage.atomic import write_whole
from recsys.training.challenger import fuse
from recsys.training.events import read_events
from recsys.training.job import Job
from recsys.training.launching import is_launched, launch
from recsys.training.params import FinetuneParams
from recsys.training.seeds import SEEDS, TrainedSeed, TrainedSeeds, folder_of
from recsys.training.summary import epochs_of, history_csv, summarise
from recsys.training.trials import Attempt, Trial, search
from recsys.training.tuning import FROZEN, Tuned, keep_beginning, train, tune
from recsys.validation.folds import ONE_FOLD_FROM
from recsys.validation.sampling import for_items_of, whole_users
from recsys.validation.search_weights import ChosenWeights, choose_search_weights
from recsys.validation.trained_encoder import is_surely_better

MODEL = "artifacts/finetune/model"
"""What model.json calls the source of the challenger's encoder: relative, the same in every workspace."""


def run(settings: Settings, at: Artifacts) -> None:
    """Fine-tune an encoder, learn a head and a ranker over it, and pack what did best in validation.

    Training starts from `encoder.source`. With `finetune.start: champion` it starts from the champion's weights, unless
    the champion may know test data of this holdout (`training/beginning.py`).

    With `finetune.trials` above 1, other values of `finetune.trial_ranges` are tried first, and the training uses those
    that did best in validation. With `finetune.seeds` above 1 the training is repeated with other seeds. The first one
    is the challenger; the others show how much of its result is luck.

    Reads:   at.split, the training side only (objectives `texts` and `distill` also read which items of the test side
             are cold, to leave their texts out); at.features; at.data; with a champion at.teacher, its encoder in
             at.cache, and at.weights
    Writes:  at.finetune: model/ (config.json, model.safetensors, tokenizer.json), packed/ (the challenger as releases
             use it), history.csv, summary.json; seeds/ (seeds.json, and for each further seed all of these but
             model/); at.model_reference("challenger"), last; all parts, packed, in at.cache; at.training (checkpoints
             of each seed, from which a killed run continues, and activations of frozen layers)
    Raises:  ArtifactMissing without split, features or teacher; ConfigError where there is too little to learn from, or
             the teacher may know test data; TrainingError where a loss is not finite or memory runs out
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
    """Run the stage in rank 0; let the other ranks take part in each of its trainings."""
    from recsys.training.ranks import Dismissed, follow, join, lead

    def take_part(training: dict[str, Any]) -> None:
        params = FinetuneParams(**training)
        job = read_job(settings.model_copy(update={"finetune": params}), at)
        # A training that ends early in rank 0 ends here too: a pruned trial, or one whose loss is not finite.
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
    """Settings with the prefixes that the pretrained model's folder names; a trained model's folder names none."""
    encoder = settled(settings.encoder, find_source(settings.encoder.source))
    return settings.model_copy(update={"encoder": encoder})


def _with_seed(settings: Settings, number: int) -> Settings:
    """The settings of a further training, with other seeds for the encoder and its head."""
    changed = {
        name: section.model_copy(update={"seed": section.seed + number})
        for name, section in (("finetune", settings.finetune), ("fusion", settings.fusion))
    }
    return settings.model_copy(update=changed)


def _with_best_trial(settings: Settings, at: Artifacts) -> tuple[Settings, tuple[Trial, ...], str]:
    """The settings that trials chose, all trials, and the name of their folder. With `trials: 1` nothing is tried."""
    params, ridge_lambda = settings.finetune, settings.users.ridge_lambda
    if params.trials == 1:
        return settings, (), ""
    folder = at.training / f"trials-{read_job(settings, at).search_key(params)}"
    ranges = ", ".join(f"{name} {low:g} to {high:g}" for name, (low, high) in params.trial_ranges.items())
    report_progress(
        f"{params.trials} trials of at most {params.epochs} epochs each, {params.trials * params.epochs} in all; one "
        f"below the median of the others ends early; drawn are {ranges}"
    )

    def prepare(drawn: FinetuneParams) -> Attempt:
        job = read_job(settings.model_copy(update={"finetune": drawn}), at)
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
    """Train once and leave everything in `folder`; return the model and the key of its checkpoints."""
    job, params, ridge_lambda = read_job(settings, at), settings.finetune, settings.users.ridge_lambda
    tuned = tune(job, params, settings.encoder, ridge_lambda, folder / "model", at.training)
    # Only `evaluate` reads vectors of a sibling's own encoder: they are deleted with the workspace.
    caches = at.var / "siblings" if tuned.trained is not None and folder != at.finetune else None
    tuned = _kept(settings, at, job, tuned, folder, caches)
    model, recipe, weights = _fuse(settings, at, job, tuned, _pack(settings, at, job, folder), caches)
    remember_model(model, at.cache)
    lay_out(model, at.cache, folder / "packed")
    write_whole(folder / "history.csv", history_csv(params.k, epochs_of(tuned, recipe)).encode())
    summary = summarise(
        job, tuned, recipe, weights, model, params, settings.encoder.source, ridge_lambda, trials
    )
    summary.save(folder / "summary.json")
    return model, job.key


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
    """Keep what was trained; where items are few and it is not surely better, keep the weights at the start."""
    found, params = job.training_set, settings.finetune
    if tuned.is_as_before or params.learns_from_texts or len(found.item_ids) >= ONE_FOLD_FROM:
        return tuned
    before = job.beginning.champion if job.beginning.continues else None
    trained, untrained = (
        read_dataset(settings, at, found, reference, caches)
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


def tail_rule(settings: Settings) -> TailRule:
    """What the gate will demand of the challenger's tail."""
    judging = settings.evaluate
    return TailRule(
        judging.head_share, settings.gate.max_loss_tail, judging.bootstrap_rounds, settings.fusion.seed
    )


def _fuse(
    settings: Settings, at: Artifacts, job: Job, tuned: Tuned, base: EncoderReference, caches: Path | None
) -> tuple[ModelReference, Recipe, ChosenWeights]:
    found, params = job.training_set, settings.finetune
    fusion = settings.fusion.for_items(len(found.item_ids))
    dataset = read_dataset(settings, at, found, base, caches)
    # A trained encoder has learned from every item but those held out from it, so only these can choose its head. The
    # pretrained encoder has learned from none: all items can choose its head, and where items are few, it stands in for
    # the trained one.
    folds: tuple[NDArray[np.int64], ...] = (found.held_rows,)
    chosen_on = None
    if tuned.is_as_before and not job.beginning.continues:
        folds = read_folds(at, job, params)
    elif len(found.item_ids) < ONE_FOLD_FROM:
        pretrained = pack_encoder(settings.encoder, at.encoders, found.texts)
        chosen_on = read_dataset(settings, at, found, pretrained, caches), read_folds(at, job, params)
    model, recipe = fuse(
        base,
        at.cache,
        dataset,
        folds,
        fusion,
        settings.first_light,
        settings.users.tried_with(settings.privacy),
        params.k,
        params.max_validation_users,
        tail_rule(settings),
        settings.ranker,
        read_events(at.data, found.interactions, job.cut, settings.ranker.purchase_events)
        if settings.ranker.kinds
        else None,
        settings.weighting,
        found.scales,
        report_progress,
        chosen_on,
    )
    trial, trial_folds = whole_users(dataset, folds, fusion.max_validation_items, fusion.seed)
    weights = choose_search_weights(
        trial,
        trial_folds[0],
        for_items_of(recipe, trial, dataset),
        fusion,
        settings.search,
        open_vectors(
            ModelReference.of(base),
            at.cache,
            settings.encoder.batch_tokens,
            device=settings.profiles.device,
        ),
        judged_queries(settings, at, trial.item_ids),
        report_progress,
    )
    return model.with_search(weights.part), recipe, weights
