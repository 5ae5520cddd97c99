"""`register` and `promote`: the challenger becomes a version with an alias, and the champion where the gate is open."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recsys.artifacts import Artifacts
from recsys.errors import ArtifactMissing, GateClosed, RegistryError
from recsys.evaluation.provenance import TrainedOn
from recsys.evaluation.report import Report
from recsys.gate.decision import Decision
from recsys.models.packed import adopt_model, verify_model
from recsys.models.reference import ModelReference
from recsys.registry import mlflow
from recsys.registry.changes import FORCED, GATED, REGISTERED, Cause, Entry, Move
from recsys.registry.due import n_interactions
from recsys.registry.http import version_at
from recsys.registry.ledger import move
from recsys.registry.mlflow import CHALLENGER, CHAMPION, HASH_TAG, MODEL, RegisteredEncoder
from recsys.registry.record import record_of
from recsys.registry.registering import register_model


@dataclass(frozen=True)
class Changed:
    """A version, and how its alias came to it."""

    version: RegisteredEncoder
    entry: Entry | None
    """The ledger's entry; None where the version had the alias already."""


def register(uri: str, at: Artifacts, who: str, model: str = MODEL) -> Changed:
    """Keep the challenger as a version of the registered model and give it the alias `challenger`.

    Safe to repeat: the same model gets no second version; a newer verdict about it is laid over the older one.

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
        RegistryUnreachable: MLflow is out of reach; call again, and it goes on where it stopped.
    """
    if not ModelReference.is_at(at.model_reference(CHALLENGER)):
        words = f"{at.model_reference(CHALLENGER)} does not exist: nothing has been trained here"
        raise ArtifactMissing(words, remedy="run: dvc repro finetune (docs/operations.md, Train)")
    challenger = ModelReference.load(at.model_reference(CHALLENGER))
    adopt_model(challenger, at.finetune / "packed", at.cache)
    verify_model(challenger, at.cache)
    decision, report = Decision.load(at.decision), Report.load(at.report)
    if (decision.role, decision.encoder_hash, report.challenger_hash) != (
        CHALLENGER,
        challenger.hash,
        challenger.hash,
    ):
        judged = f"{decision.role} {decision.encoder_hash[:10]}"
        words = f"the gate judged {judged}, not this challenger {challenger.hash[:10]}"
        raise ArtifactMissing(words, remedy="run: dvc repro gate")
    verdict = {
        "gate.html": at.gate_page,
        "gate/decision.json": at.decision,
        "evaluate/report.json": at.report,
    }
    training = {f"finetune/{name}": at.finetune / name for name in ("summary.json", "history.csv")}
    metrics = {key: value for key, value in report.flat_metrics().items() if value is not None}
    record = record_of(at, metrics, training, mlflow.trained_tags(_trained(report)))
    version = register_model(uri, challenger, at.cache, record, model)
    mlflow.add_files(uri, version, verdict)
    # Before the alias says that this is the newest; a training that found no better weights finds an older version.
    mlflow.count_interactions(uri, version, n_interactions(at.data))
    said = "open" if decision.open else "closed"
    why = f"gate {said} on holdout {str(decision.holdout)[:10]}"
    return Changed(version, move(uri, Move(CHALLENGER, version, Cause(REGISTERED, who, why))))


def promote(
    uri: str, at: Artifacts, who: str, forced_because: str | None = None, model: str = MODEL
) -> Changed:
    """Make the challenger champion, where the gate is open for exactly this encoder, or where a person insists.

    Args:
        uri: MLflow's address.
        at: the workspace with the gate's decision.
        who: who acts, for the ledger.
        forced_because: why a closed gate does not count; None: it counts.
        model: registered model name.

    Returns:
        The new champion and the ledger's entry; no entry where it was champion already.

    Raises:
        GateClosed: the gate is closed, or judged something else; says why. A result, not a fault.
        RegistryError: no version is challenger, or Firstlight did not register it.
        ArtifactMissing: the gate has not judged anything here.
        RegistryUnreachable: MLflow is out of reach; call again, and it goes on where it stopped.
    """
    challenger, champion, reasons = _verdict(uri, at, model)
    is_champion = champion is not None and str(champion["version"]) == challenger.version
    if reasons and forced_because is None:
        raise _closed(reasons)
    how = FORCED if reasons else GATED
    why = forced_because or f"gate open for model {challenger.hash[:10]}"
    over = str(champion["version"]) if champion and how == GATED and not is_champion else None
    return Changed(challenger, move(uri, Move(CHAMPION, challenger, Cause(how, who, why), over)))


def check_gate(uri: str, at: Artifacts, model: str = MODEL) -> RegisteredEncoder:
    """See that `promote` would find the gate open; changes nothing.

    Args:
        uri: MLflow's address.
        at: the workspace with the gate's decision.
        model: registered model name.

    Returns:
        The challenger.

    Raises:
        GateClosed: it would not; says why.
        RegistryError: no version is challenger, or Firstlight did not register it.
        ArtifactMissing: the gate has not judged anything here.
        RegistryUnreachable: MLflow is out of reach.
    """
    challenger, _, reasons = _verdict(uri, at, model)
    if reasons:
        raise _closed(reasons)
    return challenger


def _verdict(
    uri: str, at: Artifacts, model: str
) -> tuple[RegisteredEncoder, Mapping[str, Any] | None, tuple[str, ...]]:
    """The challenger, the champion of now, and why the gate is closed between them."""
    challenger = mlflow.with_alias(uri, CHALLENGER, model)
    if challenger is None:
        raise RegistryError(f"no version of {model} is challenger", remedy="recsys register")
    champion = version_at(uri, model, CHAMPION)
    is_champion = champion is not None and str(champion["version"]) == challenger.version
    return challenger, champion, () if is_champion else closed_because(at, challenger, champion)


def _closed(reasons: tuple[str, ...]) -> GateClosed:
    return GateClosed("\n".join(reasons), remedy="recsys promote --force --why TEXT, if you know better")


def closed_because(
    at: Artifacts, challenger: RegisteredEncoder, champion: Mapping[str, Any] | None
) -> tuple[str, ...]:
    """Why the gate is closed for this version.

    Args:
        at: the workspace with the decision.
        challenger: who wants to pass.
        champion: the version that is champion now, as MLflow's REST API gives it; None where there is none.

    Returns:
        Reasons; none where the gate is open for exactly this encoder against exactly this champion.

    Raises:
        ArtifactMissing: the gate has not judged anything here.
    """
    decision = Decision.load(at.decision)
    if (decision.role, decision.encoder_hash) != (CHALLENGER, challenger.hash):
        return (
            f"the gate judged {decision.role} {decision.encoder_hash[:10]}; version {challenger.version} of "
            f"{challenger.model} is model {challenger.hash[:10]}",
        )
    if not decision.open:
        return decision.reasons
    champion_hash = mlflow.tags_of(champion).get(HASH_TAG, "not one of Firstlight's") if champion else None
    if champion is not None and decision.champion_hash != champion_hash:
        return (
            f"the challenger was compared with champion {str(decision.champion_hash)[:10]}; the champion of now, "
            f"version {champion['version']}, is {str(champion_hash)[:23]}: recsys fetch-champion, then dvc repro gate",
        )
    return ()


def _trained(report: Report) -> TrainedOn:
    """What the challenger was trained on; of this holdout's own train side everything is known."""
    trained = report.trained.get(CHALLENGER, TrainedOn())
    return report.holdout if trained.trained_on == report.holdout.trained_on else trained
