"""Stage `finetune`: train a challenger on the split's training side, cold items held out again to know when to stop."""

import hashlib
import json
import os
import shutil
from dataclasses import astuple, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recsys.artifacts import Artifacts
from recsys.catalogue.parts import CATALOGUE, CATALOGUE_SCHEMA, list_parts
from recsys.catalogue.split import Split
from recsys.dataset.dataset import Dataset
from recsys.encoders.pack import pack_encoder
from recsys.encoders.reference import REFERENCE, EncoderReference
from recsys.encoders.source import TOKENIZER, find_source, source_files
from recsys.evaluation.seen import hash_rule, identity
from recsys.features.text import SCHEMA, feature_files
from recsys.heads.learning import Recipe
from recsys.models.packed import lay_out, remember_model
from recsys.models.reference import ModelReference
from recsys.settings import Settings
from recsys.stages.encoding import encode_cached
from recsys.stages.progress import say
from recsys.storage.atomic import write_whole
from recsys.training.challenger import fuse
from recsys.training.data import TrainingSet, make_training_set
from recsys.training.seeds import SEEDS, TrainedSeed, TrainedSeeds, folder_of
from recsys.training.summary import TrainingSummary, file_hash, history_csv, run_key
from recsys.training.variants import field_variants
from recsys.validation.folds import cold_folds, dates_of

if TYPE_CHECKING:
    from recsys.training.finetune import Trained
    from recsys.training.inputs import Inputs
    from recsys.training.tower import Tower

TRAINING_VERSION = 3
"""Part of every run's key; raise it when the same inputs would give other weights."""
FROZEN = "frozen"
MODEL = "artifacts/finetune/model"
"""What model.json calls the source of the challenger's encoder: relative, the same in every workspace."""


@dataclass(frozen=True)
class _Job:
    """Everything that determines a run."""

    training_set: TrainingSet
    variants: tuple[tuple[str, ...], ...]
    """Of each text, for field dropout."""
    cut: datetime | None
    held_out_by: str | None
    trained_on: str
    features: str
    source: Path
    source_key: str
    key: str


@dataclass(frozen=True)
class _Tuned:
    """What fine-tuning did; nothing with `layers: none`."""

    trained: "Trained | None"
    n_weights: int


def run(settings: Settings, at: Artifacts) -> None:
    """Fine-tune the pretrained encoder of params.yaml, learn a head over it, and pack what validation liked best.

    It starts from `encoder.source`, never from the champion: a champion may have been trained on a later cut, and would
    carry answers of this holdout along. With `finetune.seeds` above 1 it is trained as often: all that is random falls
    otherwise, and where no time tells the newest items, those that are held out to decide by are others. The first is
    the challenger, the others tell its luck.

    Reads:   at.split, its training side only; at.features; at.data, the same texts' fields where field_dropout asks
    Writes:  at.finetune: model/ (config.json, model.safetensors, tokenizer.json), packed/ (the challenger as it runs,
             with its head), history.csv, summary.json; seeds/ (seeds.json, and of each further seed the same but for
             model/); at.model_reference("challenger"), once all is there; all parts packed in at.cache; at.training:
             checkpoints of each seed, so that a killed run goes on, and activations of frozen layers
    Raises:  ArtifactMissing without split or features; ConfigError where there is too little to learn from;
             TrainingError where a loss is not finite or memory does not suffice
    """
    shutil.rmtree(at.finetune / SEEDS, ignore_errors=True)
    challenger, key = _train_and_pack(settings, at, at.finetune)
    seeds, keys = [TrainedSeed(seed=settings.finetune.seed, encoder_hash=challenger.hash)], {key}
    for number in range(1, settings.finetune.seeds):
        again = _with_seed(settings, number)
        seed = again.finetune.seed
        say(f"seed {seed}, training {number + 1} of {settings.finetune.seeds}")
        folder = folder_of(at.finetune, seed)
        sibling, key = _train_and_pack(again, at, folder)
        shutil.rmtree(folder / "model")  # its packed files are all that is asked for
        seeds.append(TrainedSeed(seed=seed, encoder_hash=sibling.hash))
        keys.add(key)
    TrainedSeeds(seeds=tuple(seeds)).save(at.finetune)
    challenger.save(at.model_reference("challenger"))
    at.training.mkdir(parents=True, exist_ok=True)
    for stray in at.training.iterdir():  # checkpoints of other data or parameters
        if stray.is_dir() and stray.name not in {*keys, FROZEN}:
            shutil.rmtree(stray)


def _with_seed(settings: Settings, number: int) -> Settings:
    """The settings of a further training: what is random in it, and in its head, falls otherwise."""
    changed = {
        name: section.model_copy(update={"seed": section.seed + number})
        for name, section in (("finetune", settings.finetune), ("fusion", settings.fusion))
    }
    return settings.model_copy(update=changed)


def _train_and_pack(settings: Settings, at: Artifacts, folder: Path) -> tuple[ModelReference, str]:
    """One training, left in `folder`; its model and the key of its checkpoints."""
    job = _survey(settings, at)
    tuned = _tune(settings, at, job, folder)
    # Vectors of a sibling's own encoder are read by nobody but `evaluate`: they go with the workspace.
    caches = at.var / "siblings" if tuned.trained is not None and folder != at.finetune else None
    model, recipe = _fuse(settings, at, job, tuned, _pack(settings, at, job, folder), caches)
    remember_model(model, at.cache)
    _leave(at, model, folder)
    _tell(settings, folder, job, tuned, recipe, model)
    return model, job.key


def _tune(settings: Settings, at: Artifacts, job: _Job, into: Path) -> "_Tuned":
    """Leave the model in `into`/model, trained or, with `layers: none`, as it came."""
    folder = into / "model"
    if settings.finetune.layers == "none":
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for path in source_files(job.source):
            shutil.copyfile(path, folder / path.name)
        return _Tuned(None, 0)
    from recsys.training.tower import save_tower

    tower, inputs = _prepare(settings, at, job)
    trained = _train(settings, at, job, tower, inputs)
    n_weights = sum(value.numel() for _, value in tower.trained())
    shutil.rmtree(folder, ignore_errors=True)
    save_tower(tower.to("cpu"), folder)
    shutil.copyfile(job.source / TOKENIZER, folder / TOKENIZER)
    return _Tuned(trained, n_weights)


def _survey(settings: Settings, at: Artifacts) -> _Job:
    params, encoder = settings.finetune, settings.encoder
    split = Split.load(at.split)
    features = [pq.read_table(file.path) for file in feature_files(at.features)]
    versions = pa.concat_tables([SCHEMA.empty_table(), *features])
    training_set = make_training_set(split, versions, params.validation_share, params.seed)
    variants = _variants(settings, at, training_set)
    trained_on = identity(at.split)
    texts = hashlib.sha256("\0".join(training_set.texts).encode()).hexdigest()
    source = find_source(encoder.source)
    weights = [file_hash(path) for path in source_files(source)]
    recipe = {
        "version": TRAINING_VERSION,
        "source": weights,
        "encoder": encoder.model_dump(include={"pooling", "max_tokens"}),
        # How often it is saved changes nothing; what is asked of DVC neither, nor how many others are trained.
        "params": params.model_dump(exclude={"roles", "checkpoint_steps", "seeds"}),
        "ridge_lambda": settings.users.ridge_lambda,
        "trained_on": trained_on,
        "texts": texts,
        "variants": hashlib.sha256("\0".join(one for some in variants for one in some).encode()).hexdigest(),
    }
    return _Job(
        training_set,
        variants,
        split.summary.cut,
        hash_rule(split.summary.by, settings.split.seed, settings.split.test_share),
        trained_on,
        texts,
        source,
        run_key({"source": weights}),
        run_key(recipe),
    )


def _variants(settings: Settings, at: Artifacts, training_set: TrainingSet) -> tuple[tuple[str, ...], ...]:
    if settings.finetune.field_dropout == 0:
        return ()
    rows = [part.rows() for part in list_parts(at.data, CATALOGUE)]
    return field_variants(
        training_set, pa.concat_tables([CATALOGUE_SCHEMA.empty_table(), *rows]), settings.features
    )


def _prepare(settings: Settings, at: Artifacts, job: _Job) -> "tuple[Tower, Inputs]":
    """The tower on its device, and what it is fed."""
    import torch

    from recsys.training.inputs import TokenInputs, freeze, frozen_key
    from recsys.training.texts import tokenise
    from recsys.training.tower import open_tower

    params, encoder = settings.finetune, settings.encoder
    # cuBLAS gives the same bits each time only with a fixed workspace; it reads this when it starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tower = open_tower(
        job.source, encoder.pooling, params.layers, params.top_layers, params.lora_rank, params.dropout
    ).to(device)
    tokens = tokenise(job.training_set.texts, job.source, encoder.max_tokens, job.variants)
    if tower.cut is None:
        return tower, TokenInputs(tokens, device)
    key = frozen_key(job.source_key, tower.cut, tokens)
    return tower, freeze(tower, tokens, at.training / FROZEN, key, device)


def _train(settings: Settings, at: Artifacts, job: _Job, tower: "Tower", inputs: "Inputs") -> "Trained":
    from recsys.training.finetune import finetune
    from recsys.training.progress import TrainingProgress

    params, found = settings.finetune, job.training_set
    with TrainingProgress() as watcher:
        watcher.say(
            f"{len(found.fit_rows):,} items and {found.fit_UI.nnz:,} pairs of {len(found.users):,} users to learn "
            f"from, {len(found.held_rows):,} items held out cold; {params.layers} layers, objective {params.objective}"
        )
        return finetune(
            found, tower, inputs, params, settings.users.ridge_lambda, at.training / job.key, watcher
        )


def _pack(settings: Settings, at: Artifacts, job: _Job, folder: Path) -> EncoderReference:
    params = settings.encoder.model_copy(update={"source": str(folder / "model")})
    reference = pack_encoder(params, at.encoders, job.training_set.texts)
    # The packed encoder goes into MLflow and into releases: it must not name this machine's folders.
    named = reference.model_copy(update={"source": MODEL})
    there = at.encoders / reference.hash / REFERENCE
    if EncoderReference.load(there).source == params.source:
        named.save(there)
    return named


def _fuse(
    settings: Settings, at: Artifacts, job: _Job, tuned: _Tuned, base: EncoderReference, caches: Path | None
) -> tuple[ModelReference, Recipe]:
    found, params = job.training_set, settings.finetune
    # A trained base has seen all items but those that were held out from it. One that is as it came has seen none: then
    # a head is chosen on more of them.
    folds: tuple[NDArray[np.int64], ...] = (found.held_rows,)
    if tuned.trained is None or tuned.trained.best.epoch == 0:
        times = {**found.times, **_dates(at, found)}
        held = cold_folds(found.item_ids, np.arange(len(found.item_ids)), params.seed, times)
        say(
            f"held out to choose by: {', '.join(f'{len(rows):,} items by {kind}' for kind, rows in held.items())}"
        )
        folds = tuple(held.values())
    vectors_ID = encode_cached(ModelReference.of(base), found.texts, settings, at, caches)
    return fuse(
        base,
        at.cache,
        Dataset(
            found.interactions, found.texts, vectors_ID, settings.users.ridge_lambda, settings.fusion.seed
        ),
        folds,
        settings.fusion,
        settings.users,
        params.k,
        params.max_validation_users,
        settings.evaluate.head_share,
        say,
    )


def _dates(at: Artifacts, found: TrainingSet) -> dict[str, NDArray[np.float64]]:
    """When items came out by their own attributes, in the version that judging uses."""
    rows = [part.rows().select(["part", "line", "attributes"]) for part in list_parts(at.data, CATALOGUE)]
    table = pa.concat_tables([CATALOGUE_SCHEMA.empty_table().select(["part", "line", "attributes"]), *rows])
    columns = (table[name].to_pylist() for name in ("part", "line", "attributes"))
    said = {(part, line): attributes for part, line, attributes in zip(*columns, strict=True)}
    named = [json.loads(said.get(place) or "{}") for place in found.places]
    names = sorted({name for one in named for name in one})
    texts = {name: [None if one.get(name) is None else str(one[name]) for one in named] for name in names}
    return dates_of(
        {name: pa.chunked_array([pa.array(values, pa.string())]) for name, values in texts.items()}
    )


def _leave(at: Artifacts, model: ModelReference, folder: Path) -> None:
    """Lay the model out beside what was trained: DVC takes it to other machines."""
    packed, staging = folder / "packed", folder / ".packed"
    for old in (packed, staging):
        shutil.rmtree(old, ignore_errors=True)
    lay_out(model, at.cache, staging)
    staging.rename(packed)


def _tell(
    settings: Settings, folder: Path, job: _Job, tuned: _Tuned, recipe: Recipe, model: ModelReference
) -> None:
    """Write history.csv and summary.json."""
    params, found = settings.finetune, job.training_set
    ndcg, trained = f"ndcg@{params.k}", tuned.trained
    curves = tuple(map(astuple, trained.epochs)) if trained else ((0, 0, None, None, recipe.alone, None),)
    write_whole(folder / "history.csv", history_csv(params.k, curves).encode())
    validation = {f"head/{ndcg}": recipe.ndcg, f"without_head/{ndcg}": recipe.alone}
    validation |= {f"head/{name}/{ndcg}": value for name, value in recipe.lists.items()}
    validation |= trained.figures(params.k) if trained else {}
    TrainingSummary(
        source=settings.encoder.source,
        trained_on=job.trained_on,
        cut=job.cut,
        held_out_by=job.held_out_by,
        features=job.features,
        params=params,
        ridge_lambda=settings.users.ridge_lambda,
        n_users=len(found.users),
        n_items=len(found.fit_rows),
        n_held_items=len(found.held_rows),
        n_pairs=found.fit_UI.nnz,
        n_trained_weights=tuned.n_weights,
        n_steps=trained.n_steps if trained else 0,
        best_epoch=trained.best.epoch if trained else 0,
        best_step=trained.best.step if trained else 0,
        validation=validation,
        width=model.dim,
        lexical_share=recipe.lexical_share,
        metric_power=recipe.metric_power if model.has_head else None,
        words_weight=recipe.words_weight if model.has_head else None,
        ease_lambda=recipe.ease_lambda if model.ranker.files else None,
        popularity_power=recipe.popularity_power if model.ranker.files else None,
        lift=recipe.lift if model.ranker.files else None,
        chosen_lambda=model.users.ridge_lambda,
        encoder_hash=model.hash,
    ).save(folder / "summary.json")
