"""Effect `register`: register the challenger as a version in MLflow, with the gate's decision."""

from recsys.artifacts import Artifacts
from recsys.errors import ArtifactMissing
from recsys.evaluation.provenance import TrainedOn
from recsys.evaluation.report import Report
from recsys.gate.decision import Decision
from recsys.models.packed import adopt_model, verify_model
from recsys.models.reference import ModelReference
from recsys.registry import mlflow
from recsys.registry.changes import REGISTERED, Cause, Changed, Move
from recsys.registry.due import n_interactions
from recsys.registry.ledger import move
from recsys.registry.mlflow import CHALLENGER, MODEL
from recsys.registry.record import record_of
from recsys.registry.registering import register_model
from recsys.registry.trials import log_trials
from recsys.registry.weights import WEIGHTS
from recsys.training.summary import has_new_weights
from recsys.training.trials import read_trials


def register(uri: str, at: Artifacts, who: str, model: str = MODEL) -> Changed:
    """Register the challenger as a version and give it the alias `challenger`.

    Trials of its training become child runs of the version's run. Safe to repeat: the same model gets no second
    version, a trial no second run. A newer decision replaces the older one.

    Args:
        uri: MLflow's address.
        at: the workspace that trained and judged it.
        who: who acts, for the ledger.
        model: registered model name.

    Returns:
        The version and the ledger's entry.

    Raises:
        ArtifactMissing: there is no challenger, or the gate has not judged this one.
        EncoderError: its packed files are damaged.
        RegistryUnreachable: MLflow is out of reach; the next call continues.
    """
    if not ModelReference.is_at(at.model_reference(CHALLENGER)):
        words = f"{at.model_reference(CHALLENGER)} does not exist: nothing has been trained here"
        raise ArtifactMissing(words, remedy="run: dvc repro finetune (docs/operations.md, Train)")
    challenger = ModelReference.load(at.model_reference(CHALLENGER))
    adopt_model(challenger, at.finetune / "packed", at.cache)
    verify_model(challenger, at.cache)
    decision, report = Decision.load(at.decision), Report.load(at.report)
    if (decision.role, decision.model_hash, report.challenger_hash) != (
        CHALLENGER,
        challenger.hash,
        challenger.hash,
    ):
        judged = f"{decision.role} {decision.model_hash[:10]}"
        words = f"the gate judged {judged}, not this challenger {challenger.hash[:10]}"
        raise ArtifactMissing(words, remedy="run: dvc repro gate")
    verdict = {
        "gate.html": at.gate_page,
        "gate/decision.json": at.decision,
        "evaluate/report.json": at.report,
    }
    training = {f"finetune/{name}": at.finetune / name for name in ("summary.json", "history.csv")}
    if has_new_weights(at.finetune / "summary.json"):
        training[WEIGHTS] = at.finetune / "model"
    metrics = {key: value for key, value in report.flat_metrics().items() if value is not None}
    record = record_of(at, metrics, training, mlflow.trained_tags(_trained(report)))
    version = register_model(uri, challenger, at.cache, record, model)
    log_trials(uri, version, read_trials(at.finetune / "summary.json"))
    mlflow.add_files(uri, version, verdict)
    # Before the alias moves. The version may be an older one, if training found no better weights.
    mlflow.count_interactions(uri, version, n_interactions(at.data))
    state = "open" if decision.open else "closed"
    why = f"gate {state} on holdout {str(decision.holdout)[:10]}"
    return Changed(version, move(uri, Move(CHALLENGER, version, Cause(REGISTERED, who, why))))


def _trained(report: Report) -> TrainedOn:
    """What the challenger was trained on: the training side of this holdout where the hashes agree."""
    trained = report.trained.get(CHALLENGER, TrainedOn())
    return report.holdout if trained.trained_on == report.holdout.trained_on else trained
