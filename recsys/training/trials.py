"""Trials: fine-tune with other values of some parameters, and keep those that validation likes best.

Optuna draws the values (tree-structured Parzen estimator) and ends a trial early where it lies below the median of the
others. The values of a trial are a function of the seed and of the earlier results, which are written down one by one.
So a killed search continues in the middle of a trial, and ends like one that was never interrupted.

Papers: Akiba et al. 2019, KDD, arXiv:1907.10902 (Optuna); Bergstra et al. 2011, NeurIPS (the estimator).
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from recsys.errors import TrainingError
from recsys.storage.atomic import write_whole
from recsys.training.params import FinetuneParams

if TYPE_CHECKING:
    from recsys.training.checkpoint import Epoch

TRIALS = "trials.json"
FIRST_EPOCH = 1
"""No trial ends before the end of this epoch; epoch 0 is the pretrained weights, alike for all."""


class Trial(BaseModel):
    """One trial. It holds no time: the same inputs and seed give the same bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    """From 0, which has the values of params.yaml."""
    drawn: dict[str, float | int]
    """The parameters that were drawn, and their values."""
    scores: tuple[float | None, ...]
    """By epoch, what decides which one is the best: ndcg@k on the validation slice, or a student's cosine."""
    state: Literal["complete", "pruned", "failed"]
    """pruned: ended early; failed: a loss was not finite, or memory did not suffice."""
    key: str
    """Key of its training, see `job.py`."""
    why: str = ""
    """What failed."""

    @property
    def best(self) -> float | None:
        """The best score; None where nothing could be validated."""
        return max((score for score in self.scores if score is not None), default=None)


class _Tried(BaseModel):
    """The trials within summary.json, which has more fields."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    trials: tuple[Trial, ...] = ()


def read_trials(summary: Path) -> tuple[Trial, ...]:
    """The trials that summary.json of a training lists; none without the file, or in one of an older version."""
    return _Tried.model_validate_json(summary.read_bytes()).trials if summary.is_file() else ()


@dataclass(frozen=True)
class Attempt:
    """A training that is ready to run."""

    key: str
    """Of the training; the name of its folder of checkpoints."""
    train: "Callable[[Callable[[Epoch], None]], object]"
    """Fine-tunes. Calls the function with each epoch once, also with those from before a kill; it may raise, which ends
    the training."""


class _Pruned(Exception):
    """The pruner ends this trial."""


def search(
    params: FinetuneParams, prepare: Callable[[FinetuneParams], Attempt], folder: Path, work: Path
) -> tuple[FinetuneParams, tuple[Trial, ...]]:
    """Run the trials that are missing.

    Args:
        params: section `finetune`, with `trials` and `trial_ranges`; the first trial has its values.
        prepare: makes a training with given parameters ready.
        folder: of this search; holds trials.json. It must not hold that of other data or parameters.
        work: holds the checkpoints of each trial; only those of the best one stay.

    Returns:
        The parameters of the best complete trial, the earliest of equals, and all trials. Where nothing can be
        validated, the first trial is the only one.

    Raises:
        TrainingError: every trial failed.
    """
    trials = _load(folder)[: params.trials]  # there may be more, of an earlier run
    best = _best(trials)
    while len(trials) < params.trials and not _is_blind(trials):
        found = _run(params, trials, prepare)
        trials = (*trials, found)
        _save(folder, trials)
        now = _best(trials)
        for one in (best, found):
            if one is not None and (now is None or one.key != now.key):
                shutil.rmtree(work / one.key, ignore_errors=True)
        best = now
    if best is None:
        raise TrainingError(
            f"each of {len(trials)} trials failed, the last one: {trials[-1].why}",
            remedy="lower the ends of finetune.trial_ranges.learning_rate",
        )
    return _with(params, best.drawn), trials


def _run(
    params: FinetuneParams, before: Sequence[Trial], prepare: Callable[[FinetuneParams], Attempt]
) -> Trial:
    study, ranges = _study(params, before), _distributions(params)
    if not before:
        study.enqueue_trial({name: getattr(params, name) for name in ranges})
    trial = study.ask(ranges)
    scores: list[float | None] = []

    def on_epoch(epoch: "Epoch") -> None:
        score = epoch.score(params.objective)
        scores.append(score)
        if score is not None:
            trial.report(score, epoch.epoch)
            if epoch.epoch >= FIRST_EPOCH and trial.should_prune():
                raise _Pruned

    state: Literal["complete", "pruned", "failed"] = "complete"
    drawn, why = dict(trial.params), ""
    attempt = prepare(_with(params, drawn))
    try:
        attempt.train(on_epoch)
    except _Pruned:
        state = "pruned"
    except TrainingError as error:
        state, why = "failed", str(error)
    return Trial(number=len(before), drawn=drawn, scores=tuple(scores), state=state, key=attempt.key, why=why)


def _study(params: FinetuneParams, before: Sequence[Trial]) -> Any:  # noqa: ANN401  an optuna.Study
    """A study that knows the earlier trials. Its sampler starts anew for each trial, from a seed of its own."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=params.seed + len(before)),
        pruner=optuna.pruners.MedianPruner(n_warmup_steps=FIRST_EPOCH),
    )
    states = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}
    for one in before:
        study.add_trial(
            optuna.trial.create_trial(
                state=optuna.trial.TrialState[states[one.state]],
                value=one.best if one.state == "complete" else None,
                params=one.drawn,
                distributions=_distributions(params),
                intermediate_values={
                    epoch: score for epoch, score in enumerate(one.scores) if score is not None
                },
            )
        )
    return study


def _distributions(params: FinetuneParams) -> dict[str, Any]:
    """Of each drawn parameter: whole numbers where it is one; on a log scale where the lower end is above 0."""
    from optuna.distributions import FloatDistribution, IntDistribution

    return {
        name: IntDistribution(int(low), int(high), log=low > 0)
        if isinstance(getattr(params, name), int)
        else FloatDistribution(low, high, log=low > 0)
        for name, (low, high) in params.trial_ranges.items()
    }


def _with(params: FinetuneParams, drawn: dict[str, float | int]) -> FinetuneParams:
    return FinetuneParams(**(params.model_dump() | drawn))


def _best(trials: Sequence[Trial]) -> Trial | None:
    complete = [one for one in trials if one.state == "complete"]
    return max(complete, key=lambda one: one.best or 0.0, default=None)


def _is_blind(trials: Sequence[Trial]) -> bool:
    return any(one.state == "complete" and one.best is None for one in trials)


def _load(folder: Path) -> tuple[Trial, ...]:
    try:
        return TypeAdapter(tuple[Trial, ...]).validate_json((folder / TRIALS).read_bytes())
    except (FileNotFoundError, ValueError):  # none yet, or damaged: from the first trial on
        return ()


def _save(folder: Path, trials: Sequence[Trial]) -> None:
    write_whole(folder / TRIALS, TypeAdapter(tuple[Trial, ...]).dump_json(tuple(trials), indent=1) + b"\n")
