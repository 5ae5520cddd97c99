"""Effect `promote`: make the challenger champion, if the gate is open for exactly this model."""

from collections.abc import Mapping
from typing import Any

from recsys.artifacts import Artifacts
from recsys.errors import GateClosed, RegistryError
from recsys.gate.decision import Decision
from recsys.registry import mlflow
from recsys.registry.changes import FORCED, GATED, Cause, Changed, Move
from recsys.registry.http import version_at
from recsys.registry.ledger import move
from recsys.registry.mlflow import CHALLENGER, CHAMPION, HASH_TAG, MODEL, RegisteredVersion


def promote(
    uri: str, at: Artifacts, who: str, forced_because: str | None = None, model: str = MODEL
) -> Changed:
    """Make the challenger champion, if the gate is open for exactly this model, or if a person overrides it.

    Args:
        uri: MLflow's address.
        at: the workspace with the gate's decision.
        who: who acts, for the ledger.
        forced_because: why a closed gate is overridden; None: it is not.
        model: registered model name.

    Returns:
        The new champion and the ledger's entry; no entry where it was champion already.

    Raises:
        GateClosed: the gate is closed, or its decision is about other models; gives the reasons. Not a fault.
        RegistryError: no version is challenger, or Firstlight did not register it.
        ArtifactMissing: the gate has not judged anything here.
        RegistryUnreachable: MLflow is out of reach; the next call continues.
    """
    challenger, champion, reasons = _verdict(uri, at, model)
    is_champion = champion is not None and str(champion["version"]) == challenger.version
    if reasons and forced_because is None:
        raise _closed(reasons)
    how = FORCED if reasons else GATED
    why = forced_because or f"gate open for model {challenger.hash[:10]}"
    over = str(champion["version"]) if champion and how == GATED and not is_champion else None
    return Changed(challenger, move(uri, Move(CHAMPION, challenger, Cause(how, who, why), over)))


def check_gate(uri: str, at: Artifacts, model: str = MODEL) -> RegisteredVersion:
    """Check that `promote` would find the gate open, without changing anything.

    Args:
        uri: MLflow's address.
        at: the workspace with the gate's decision.
        model: registered model name.

    Returns:
        The challenger.

    Raises:
        GateClosed: it would not; gives the reasons.
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
) -> tuple[RegisteredVersion, Mapping[str, Any] | None, tuple[str, ...]]:
    """The challenger, the present champion, and reasons why the gate is closed."""
    challenger = mlflow.with_alias(uri, CHALLENGER, model)
    if challenger is None:
        raise RegistryError(f"no version of {model} is challenger", remedy="recsys register")
    champion = version_at(uri, model, CHAMPION)
    is_champion = champion is not None and str(champion["version"]) == challenger.version
    return challenger, champion, () if is_champion else closed_because(at, challenger, champion)


def _closed(reasons: tuple[str, ...]) -> GateClosed:
    return GateClosed("\n".join(reasons), remedy="to overrule the gate: recsys promote --force --why TEXT")


def closed_because(
    at: Artifacts, challenger: RegisteredVersion, champion: Mapping[str, Any] | None
) -> tuple[str, ...]:
    """Why the gate is closed for this version.

    Args:
        at: the workspace with the decision.
        challenger: the version to promote.
        champion: the present champion as MLflow's REST API describes it; None where there is none.

    Returns:
        Reasons; none where the gate is open for exactly this model against exactly this champion.

    Raises:
        ArtifactMissing: the gate has not judged anything here.
    """
    decision = Decision.load(at.decision)
    if (decision.role, decision.model_hash) != (CHALLENGER, challenger.hash):
        return (
            f"the gate judged {decision.role} {decision.model_hash[:10]}; version {challenger.version} of "
            f"{challenger.model} is model {challenger.hash[:10]}",
        )
    if not decision.open:
        return decision.reasons
    champion_hash = mlflow.tags_of(champion).get(HASH_TAG, "not one of Firstlight's") if champion else None
    if champion is not None and decision.champion_hash != champion_hash:
        return (
            f"the challenger was compared with champion {str(decision.champion_hash)[:10]}; the present champion, "
            f"version {champion['version']}, is {str(champion_hash)[:23]}: recsys fetch-champion, then dvc repro gate",
        )
    return ()
