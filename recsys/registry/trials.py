"""Trials of a training as child runs of its version's run in MLflow: what was drawn, and how well each epoch was."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from recsys.registry.mlflow import ENCODERS_EXPERIMENT, RegisteredVersion
from recsys.registry.runs import close_runs, connect, open_run, runs_with
from recsys.training.trials import Trial

if TYPE_CHECKING:
    from mlflow import MlflowClient

PARENT_TAG = "mlflow.parentRunId"
"""MLflow shows a run with this tag below its parent."""
TRIAL_TAG, STATE_TAG = "trial", "trial_state"
SCORE = "score"


def log_trials(uri: str, registered: RegisteredVersion, trials: Sequence[Trial]) -> None:
    """Log trials, each as a finished child run. Safe to repeat: a trial has one run.

    Args:
        uri: MLflow's address.
        registered: the version that was trained with what the trials chose.
        trials: those of its training; none where nothing was tried.

    Raises:
        RegistryUnreachable: MLflow is out of reach or refuses.
    """
    if not trials:
        return
    with connect(uri) as client:
        for trial in trials:
            tags = {PARENT_TAG: registered.run_id, TRIAL_TAG: str(trial.number)}
            if not runs_with(client, ENCODERS_EXPERIMENT, tags, "FINISHED"):
                run_id = open_run(client, ENCODERS_EXPERIMENT, tags, f"trial {trial.number}")
                _log(client, run_id, trial)
                close_runs(client, ENCODERS_EXPERIMENT, tags, run_id)


def _log(client: "MlflowClient", run_id: str, trial: Trial) -> None:
    """Parameters, and a point per epoch. With time 0 a repeated call writes the same points."""
    from mlflow.entities import Metric, Param, RunTag

    params = [Param(name, str(value)) for name, value in trial.drawn.items()]
    metrics = [
        Metric(SCORE, score, 0, epoch) for epoch, score in enumerate(trial.scores) if score is not None
    ]
    client.log_batch(run_id, metrics=metrics, params=params, tags=[RunTag(STATE_TAG, trial.state)])
