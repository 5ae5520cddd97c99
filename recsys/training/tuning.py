"""Run one training job: write a transformer's files to a folder, trained or unchanged. Only training loads torch."""

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.encoders.declared import CHAIN
from recsys.encoders.params import EncoderParams
from recsys.encoders.source import TOKENIZER, source_files
from recsys.encoders.static_table import is_static
from recsys.errors import ConfigError
from recsys.training.job import Job
from recsys.training.params import FinetuneParams

if TYPE_CHECKING:
    from collections.abc import Callable

    from recsys.training.checkpoint import Epoch
    from recsys.training.finetune import Trained
    from recsys.training.inputs import Inputs
    from recsys.training.ranks import Ranks
    from recsys.training.tower import Tower

FROZEN = "frozen"
"""Folder of the activations of frozen layers, shared by runs."""


@dataclass(frozen=True)
class Tuned:
    """The result of fine-tuning; with `layers: none` nothing was trained."""

    trained: "Trained | None"
    n_weights: int
    is_kept: bool = True
    """Whether the weights of the best epoch are used; else those at the start, see `keep_beginning`."""

    @property
    def is_as_before(self) -> bool:
        """Whether the weights are those that training began from: nothing was trained, or nothing was better."""
        return self.trained is None or not self.is_kept or self.trained.best.epoch == 0


def tune(
    job: Job, params: FinetuneParams, encoder: EncoderParams, ridge_lambda: float, folder: Path, work: Path
) -> Tuned:
    """Train, and write config.json, model.safetensors and tokenizer.json to a folder.

    Args:
        job: the inputs of the training.
        params: section `finetune`.
        encoder: section `encoder`.
        ridge_lambda: λ of the users.
        folder: for the files; an existing one is replaced.
        work: holds checkpoints by the job's key, so that a killed run continues, and activations of frozen layers.

    Returns:
        The result.

    Raises:
        TrainingError: a loss is not finite, or memory runs out.
    """
    if params.layers == "none":
        _copy_source(job.beginning.folder, folder)
        return Tuned(None, 0)
    from recsys.training.tower import save_tower

    tower, trained = train(job, params, encoder, ridge_lambda, work)
    n_weights = sum(value.numel() for _, value in tower.trained())
    shutil.rmtree(folder, ignore_errors=True)
    save_tower(tower.to("cpu"), folder)
    shutil.copyfile(job.beginning.folder / TOKENIZER, folder / TOKENIZER)
    return Tuned(trained, n_weights)


def keep_beginning(tuned: Tuned, job: Job, folder: Path) -> Tuned:
    """Put the weights at the start in the place of trained ones that are not surely better.

    Args:
        tuned: what was trained.
        job: its inputs.
        folder: of the trained files; they are replaced.

    Returns:
        The same, with the curves of what was trained.
    """
    _copy_source(job.beginning.folder, folder)
    return replace(tuned, is_kept=False)


def _copy_source(source: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    chain = [source / CHAIN] if is_static(source) and (source / CHAIN).is_file() else []
    for path in (*source_files(source), *chain):
        shutil.copyfile(path, folder / path.name)


def train(
    job: Job,
    params: FinetuneParams,
    encoder: EncoderParams,
    ridge_lambda: float,
    work: Path,
    after_epoch: "Callable[[Epoch], None] | None" = None,
) -> "tuple[Tower, Trained]":
    """Train a transformer, from its checkpoint where there is one.

    Args:
        job: the inputs of the training.
        params: section `finetune`.
        encoder: section `encoder`.
        ridge_lambda: λ of the users.
        work: holds checkpoints by the job's key, and activations of frozen layers.
        after_epoch: called with each epoch once, also with those of the checkpoint; it may raise, which ends the
            training.

    Returns:
        The tower with the best weights, and the curves.

    Raises:
        ConfigError: the source is a static table, which has no layers.
        TrainingError: a loss is not finite, or memory runs out.
    """
    if is_static(job.beginning.folder):
        raise ConfigError(
            f"encoder.source {encoder.source!r} is a static table: it has no layers to train",
            remedy="set finetune.layers: none; a head over it is still learned",
        )
    from recsys.training.checkpoint import Checkpoints
    from recsys.training.ranks import join, lead

    if after_epoch is not None:
        for epoch in Checkpoints(work / job.key).epochs():
            after_epoch(epoch)
    ranks = join()
    if ranks.is_first:
        lead(ranks, params.model_dump(mode="json"))
    tower, inputs = _prepare(job, params, encoder, work / FROZEN, ranks)
    return tower, _train(job, params, ridge_lambda, tower, inputs, work / job.key, after_epoch, ranks)


def _prepare(
    job: Job, params: FinetuneParams, encoder: EncoderParams, frozen: Path, ranks: "Ranks"
) -> "tuple[Tower, Inputs]":
    """The tower on its device, and its inputs."""
    from recsys.training.inputs import TokenInputs, freeze, frozen_key
    from recsys.training.texts import tokenise
    from recsys.training.tower import open_tower

    # cuBLAS is deterministic only with a fixed workspace; it reads this when it starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    device = ranks.device
    tower = open_tower(
        job.beginning.folder,
        encoder.pooling,
        params.layers,
        params.top_layers,
        params.lora_rank,
        params.dropout,
        params.student_layers if params.objective == "distill" else None,
    ).to(device)
    _require_width(tower, job)
    tokens = tokenise(
        job.training_set.texts,
        job.beginning.folder,
        encoder.max_tokens,
        job.variants,
        job.corpus.further,
        encoder.item_prefix or "",
    )
    if tower.cut is None:
        return tower, TokenInputs(tokens, device)
    key = frozen_key(job.source_key, tower.cut, tokens)
    if ranks.local:  # the first process of a machine computes them
        ranks.wait()
    found = freeze(tower, tokens, frozen, key, device)
    if not ranks.local:
        ranks.wait()
    return tower, found


def _train(
    job: Job,
    params: FinetuneParams,
    ridge_lambda: float,
    tower: "Tower",
    inputs: "Inputs",
    checkpoints: Path,
    after_epoch: "Callable[[Epoch], None] | None",
    ranks: "Ranks",
) -> "Trained":
    from recsys.training.finetune import finetune
    from recsys.training.progress import TrainingProgress

    found, by = job.training_set, f", by {ranks.size} processes" if ranks.size > 1 else ""
    with TrainingProgress(after_epoch, shows=ranks.is_first) as watcher:
        watcher.report(
            f"{learned_from(job, params)} to learn from, {len(found.held_rows):,} items held out cold; "
            f"{params.layers} layers, objective {params.objective}{by}"
        )
        return finetune(found, tower, inputs, params, ridge_lambda, checkpoints, watcher, job.corpus, ranks)


def learned_from(job: Job, params: FinetuneParams) -> str:
    """What the objective learns from, in words."""
    found = job.training_set
    if params.learns_from_texts:
        n_texts = len(job.corpus.rows_to_learn_from(found))
        is_student = params.objective == "distill"
        teacher = f", as the encoder {job.corpus.teacher[:10]} gives them," if is_student else ""
        return f"vectors of {n_texts:,} texts{teacher}" if teacher else f"{n_texts:,} texts"
    return f"{len(found.fit_rows):,} items and {found.fit_UI.nnz:,} pairs of {len(found.users):,} users"


def _require_width(tower: "Tower", job: Job) -> None:
    """Refuse a champion whose vectors are wider or narrower than the tower's."""
    targets_ND, width = job.corpus.targets_ND, int(tower.model.config.hidden_size)
    if targets_ND is not None and targets_ND.shape[1] != width:
        raise ConfigError(
            f"finetune: the champion's encoder gives {targets_ND.shape[1]} dimensions, {job.beginning.folder.name} has "
            f"{width}",
            remedy="set encoder.source to a model of the champion's width, or learn without the champion",
        )
