"""The training loop: plan, step, validate after each epoch, keep the best weights, stop when they no longer improve.

Killed at any moment and started again, it ends with exactly the same weights: plans and dropout are functions of seed
and step, and the rest is in the checkpoint (see checkpoint.py). This holds for one machine and one number of threads,
since sums in another order round differently.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recsys.errors import TrainingError
from recsys.training.checkpoint import Checkpoints, Epoch, Record
from recsys.training.corpus import Corpus
from recsys.training.data import TrainingSet
from recsys.training.inputs import Inputs
from recsys.training.known import Known, batches_per_epoch
from recsys.training.optimizing import (
    learning_rate,
    make_optimizer,
    make_scaler,
    move,
    optimizer_tensors,
    restore_optimizer,
)
from recsys.training.params import FinetuneParams
from recsys.training.plans import plan_batch
from recsys.training.ranks import ALONE, Dismissed, Ranks
from recsys.training.stepping import Encoding, Memory, encode_all
from recsys.training.tower import Tower
from recsys.training.validating import validate


class Watcher(Protocol):
    """Is notified of progress."""

    def on_start(self, done: int, total: int) -> None:
        """Training starts or continues: `done` of at most `total` steps are done."""

    def on_step(self, loss: float, n_examples: int) -> None:
        """A step is done."""

    def on_epoch(self, epoch: Epoch) -> None:
        """An epoch was validated."""

    def report(self, sentence: str) -> None:
        """Show a sentence."""


@dataclass(frozen=True)
class Trained:
    """The result of a run. The tower has the best weights."""

    epochs: tuple[Epoch, ...]
    best: Epoch
    n_steps: int

    def figures(self, k: int, start: str = "pretrained") -> dict[str, float | None]:
        """`ndcg@k` and `recall@k` on the validation slice at the best epoch, and as `<start>/…` before any step.

        Where training reads the champion, also `cosine` with its vectors; where it should not forget what the champion
        knows, also `older/ndcg@k` of items that are learned from.
        """
        found: dict[str, float | None] = {}
        for place, epoch in (("", self.best), (f"{start}/", self.epochs[0])):
            found |= {f"{place}ndcg@{k}": epoch.ndcg, f"{place}recall@{k}": epoch.recall}
            further = {"cosine": epoch.cosine, f"older/ndcg@{k}": epoch.older}
            found |= {f"{place}{name}": value for name, value in further.items() if value is not None}
        return found


def finetune(
    training_set: TrainingSet,
    tower: Tower,
    inputs: Inputs,
    params: FinetuneParams,
    ridge_lambda: float,
    folder: Path,
    watcher: Watcher,
    corpus: Corpus | None = None,
    ranks: Ranks = ALONE,
) -> Trained:
    """Train until validation no longer improves.

    Args:
        training_set: data to learn from.
        tower: with pretrained weights; afterwards it has the best ones.
        inputs: texts of all items of the training set, then the corpus's further ones.
        params: section `finetune`.
        ridge_lambda: λ of the user profiles.
        folder: of this run's checkpoints; it must not hold those of other data or parameters.
        watcher: is notified of progress.
        corpus: further texts and the champion's vectors, where training reads any.
        ranks: processes that train together; each calls this with the same data.

    Returns:
        The curves and the best epoch; this is epoch 0 where nothing was better than the pretrained weights.

    Raises:
        TrainingError: a loss is not finite, or memory runs out; the last checkpoint is kept.
        Dismissed: in another rank than 0: the watcher of rank 0 has ended the training.
    """
    checkpoints = Checkpoints(folder, writes=ranks.is_first)
    run = _Run(
        training_set, tower, inputs, params, ridge_lambda, checkpoints, watcher, corpus or Corpus(), ranks
    )
    with _repeatable():
        return run.all()


class _Run:
    """The state of a run."""

    def __init__(
        self,
        training_set: TrainingSet,
        tower: Tower,
        inputs: Inputs,
        params: FinetuneParams,
        ridge_lambda: float,
        checkpoints: Checkpoints,
        watcher: Watcher,
        corpus: Corpus,
        ranks: Ranks,
    ) -> None:
        self.training_set, self.tower, self.inputs, self.params = training_set, tower, inputs, params
        self.corpus, self.ranks = corpus, ranks
        self.ridge_lambda, self.checkpoints, self.watcher = ridge_lambda, checkpoints, watcher
        self.optimizer, self.scaler = make_optimizer(tower, params), make_scaler(params, inputs.device)
        self.encoding = Encoding(tower, inputs, params, ranks, watcher.report)
        self.memory = Memory(params.encode_tokens, params.grad_cache)
        self.record = Record()
        n_batches = batches_per_epoch(training_set, params, corpus)
        self.epoch_steps = -(-n_batches // params.accumulate)
        self.n_steps = params.epochs * self.epoch_steps

    def all(self) -> Trained:
        """Train from the last checkpoint to the end."""
        self._resume()
        self.watcher.on_start(self.record.step, self.n_steps)
        while not self.record.stopped:
            self._step()
            if self.record.step % self.epoch_steps == 0:
                self._validate()
            elif self.record.step % self.params.checkpoint_steps == 0:
                self._save()
        if self.ranks.is_first:
            _load(self.tower, self.checkpoints.load_best(self.record.best))
        best = self.record.epochs[self.record.best_epoch]
        return Trained(self.record.epochs, best, self.record.step)

    def _resume(self) -> None:
        self.tower.train()
        found = self.ranks.from_first(self.checkpoints.load)
        if found is None:
            self._validate()
            return
        self.record, weights, moments = found
        _load(self.tower, weights)
        restore_optimizer(self.optimizer, self.tower, moments)
        if self.record.memory is not None:
            self.memory = Memory(*self.record.memory)
        if self.scaler is not None and self.record.scaler is not None:
            self.scaler.load_state_dict(self.record.scaler)
        self._remember(self.ranks.from_first(lambda: self.checkpoints.load_profiles(self.record.profiles)))
        self.watcher.report(f"continues after step {self.record.step:,} of {self.n_steps:,}")

    def _step(self) -> None:
        step, scale = self.record.step, 1 / self.params.accumulate
        if self.scaler is not None:
            scale *= self.scaler.get_scale()
        losses, n_examples = [], 0
        for number in range(step * self.params.accumulate, (step + 1) * self.params.accumulate):
            plan = plan_batch(self.known, number)
            if plan is None:
                continue
            loss, self.memory = self.encoding.gradient(plan, number, self.memory, scale)
            losses.append(loss)
            n_examples += len(plan.rows)
        if losses:
            self.ranks.sum_gradients(self.tower)
            rate = learning_rate(step, self.n_steps, self.params)
            norm = move(self.optimizer, self.tower, rate, self.params.max_grad_norm, step, self.scaler)
            if not np.isfinite(norm):
                self.watcher.report(
                    f"step {step}: float16 overflowed, left out; loss scale {self.scaler.get_scale():g}"
                )
            self.watcher.on_step(losses[-1], n_examples)
        self.record = replace(self.record, step=step + 1, losses=(*self.record.losses, *losses))

    def _validate(self) -> None:
        """Encode all items, rank the validation slice, keep the best weights."""
        params, step = self.params, self.record.step
        vectors_ID = encode_all(self.tower, self.inputs, self.memory.tokens, params.precision, self.ranks)
        if not np.isfinite(vectors_ID).all():
            raise TrainingError(
                f"step {step}: profiles are not finite",
                remedy="lower finetune.learning_rate; the last checkpoint is kept",
            )
        self._remember(vectors_ID)
        epoch = self._shown(self.ranks.from_first(lambda: self._epoch(vectors_ID)))
        epochs = (*self.record.epochs, epoch)
        record = replace(
            self.record, epochs=epochs, losses=(), profiles=self.checkpoints.save_profiles(step, vectors_ID)
        )
        # Where nothing can be validated, the newest weights count as the best.
        score, scores = (
            epoch.score(params.objective),
            [one.score(params.objective) for one in self.record.epochs],
        )
        if score is None or all(score > (one or 0) for one in scores):
            record = replace(
                record, best=self.checkpoints.save_best(step, _weights(self.tower)), best_epoch=epoch.epoch
            )
        over = step >= self.n_steps or epoch.epoch - record.best_epoch >= params.patience
        self.record = replace(record, stopped=over)
        self._save()

    def _shown(self, epoch: Epoch) -> Epoch:
        """Show an epoch to the watcher, which may end the training. Rank 0 asks it, and every process ends."""
        try:
            self.watcher.on_epoch(epoch)
        except Exception:
            self.ranks.broadcast("over")
            raise
        if self.ranks.broadcast("on") == "over":
            raise Dismissed
        return epoch

    def _epoch(self, vectors_ID: NDArray[np.float32]) -> Epoch:
        training_set, params, losses, step = (
            self.training_set, self.params, self.record.losses, self.record.step,
        )  # fmt: skip
        judging = self.ridge_lambda, params.k, params.max_validation_users, params.seed
        ndcg, recall = validate(training_set, vectors_ID, *judging) or (None, None)
        older = None
        if self.corpus.targets_ND is not None and params.objective != "distill":
            older, _ = validate(training_set, vectors_ID, *judging, training_set.older_rows) or (None, None)
        return Epoch(
            epoch=len(self.record.epochs),
            step=step,
            loss=float(np.mean(losses)) if losses else None,
            learning_rate=learning_rate(step - 1, self.n_steps, self.params) if step else 0.0,
            ndcg=ndcg,
            recall=recall,
            cosine=self.corpus.agreement(vectors_ID, training_set.held_rows),
            older=older,
        )

    def _remember(self, vectors_ID: NDArray[np.float32]) -> None:
        self.known = Known(self.training_set, self.params, vectors_ID, self.ridge_lambda, self.corpus)

    def _save(self) -> None:
        self.record = replace(
            self.record,
            memory=(self.memory.tokens, self.memory.cached),
            scaler=None if self.scaler is None else self.scaler.state_dict(),
        )
        self.checkpoints.save(
            self.record, _weights(self.tower), optimizer_tensors(self.optimizer, self.tower)
        )


def _weights(tower: Tower) -> dict[str, Tensor]:
    return dict(tower.trained())


def _load(tower: Tower, weights: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, value in tower.trained():
            value.copy_(weights[name])


@contextmanager
def _repeatable() -> Iterator[None]:
    """Allow only deterministic kernels while training."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
