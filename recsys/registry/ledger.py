"""The ledger: every change of an alias, recorded before the alias moves and closed afterwards.

It is stored in MLflow beside the model, one run of experiment `ledger` per change, so it outlives every workspace. Runs
are added, never rewritten. A run's status is the state of the change: RUNNING before the alias moves, FINISHED once it
has moved, KILLED where a later call found that it never did. Every call also notices an alias that was moved by other
means, and records that as `by hand`.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from recsys.errors import GateClosed
from recsys.registry.changes import (
    BY_HAND,
    DONE,
    INTERRUPTED,
    NOTICED,
    PLANNED,
    UNKNOWN,
    Cause,
    Entry,
    Move,
    is_begun,
    settle,
)
from recsys.registry.mlflow import HASH_TAG, MODEL
from recsys.registry.runs import connect, experiment_id

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

EXPERIMENT = "ledger"
STATES = {"RUNNING": PLANNED, "FINISHED": DONE, "KILLED": INTERRUPTED}
ATTEMPTS = 5


def move(uri: str, wanted: Move) -> Entry | None:
    """Give an alias to a version and record it. Safe to repeat after a kill.

    Args:
        uri: MLflow's address.
        wanted: the change.

    Returns:
        The entry, or None where the version has the alias already.

    Raises:
        GateClosed: another version than `wanted.over` has the alias.
        RegistryUnreachable: MLflow is out of reach or refuses; the next call continues.
    """
    model, version = wanted.to.model, wanted.to.version
    with connect(uri) as client:
        aliases, found = _reconciled(client, model, wanted)
        previous = aliases.get(wanted.alias)
        if previous == version:
            return None
        if wanted.over is not None and previous != wanted.over:
            raise GateClosed(
                f"version {previous} has become {wanted.alias} meanwhile; "
                f"the gate compared with version {wanted.over}",
                remedy="recsys fetch-champion, then dvc repro gate",
            )
        begun = [entry for entry in found if entry.state == PLANNED and is_begun(entry, wanted, previous)]
        planned = _entry(found, wanted.alias, (previous, version), wanted.to.hash, wanted.cause)
        entry = begun[0] if begun else _write(client, model, planned)
        client.set_registered_model_alias(model, wanted.alias, version)
        client.set_terminated(entry.run_id, "FINISHED")
        return replace(entry, state=DONE)


def entries(uri: str, model: str = MODEL) -> tuple[Entry, ...]:
    """Every change of an alias, oldest first. Changes by hand are recorded by this call.

    Args:
        uri: MLflow's address.
        model: registered model name.

    Returns:
        The ledger.

    Raises:
        RegistryUnreachable: MLflow is out of reach or refuses.
    """
    with connect(uri) as client:
        return _reconciled(client, model, None)[1]


def _reconciled(
    client: "MlflowClient", model: str, wanted: Move | None
) -> tuple[dict[str, str], tuple[Entry, ...]]:
    """Aliases and ledger, after open entries are settled and changes by hand are recorded."""
    aliases, found = _both(client, model)
    states, by_hand = settle(found, aliases, wanted)
    for run_id, state in states.items():
        client.set_terminated(run_id, "FINISHED" if state == DONE else "KILLED")
    found = tuple(replace(entry, state=states.get(entry.run_id, entry.state)) for entry in found)
    for alias, change in by_hand.items():
        model_hash = _hash_of(client, model, change[1])
        noticed = _write(client, model, _entry(found, alias, change, model_hash, NOTICED))
        client.set_terminated(noticed.run_id, "FINISHED")
        found = (*found, replace(noticed, state=DONE))
    return aliases, found


def _both(client: "MlflowClient", model: str) -> tuple[dict[str, str], tuple[Entry, ...]]:
    """Aliases and ledger of one moment, so that a change between two requests is not taken for one by hand."""
    before = _aliases(client, model)
    for _ in range(ATTEMPTS):
        found = _all(client, model)
        after = _aliases(client, model)
        if after == before:
            break
        before = after
    return before, found


def _aliases(client: "MlflowClient", model: str) -> dict[str, str]:
    from mlflow.exceptions import MlflowException

    try:
        return {alias: str(version) for alias, version in client.get_registered_model(model).aliases.items()}
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return {}
        raise


def _all(client: "MlflowClient", model: str) -> tuple[Entry, ...]:
    where, token, runs = [experiment_id(client, EXPERIMENT)], None, []
    while True:
        page = client.search_runs(where, f"tags.`model` = '{model}'", max_results=1000, page_token=token)
        runs += list(page)
        token = page.token
        if not token:
            break
    found = sorted((_read(run) for run in runs), key=lambda entry: (entry.n, entry.at, entry.run_id))
    return tuple(_without_doubles(found))


def _without_doubles(found: Sequence[Entry]) -> list[Entry]:
    """Drop repeated entries: two processes may notice and record the same change by hand."""
    last: dict[str, str | None] = {}
    kept = []
    for entry in found:
        if entry.how == BY_HAND and entry.alias in last and last[entry.alias] == entry.version:
            continue
        kept.append(entry)
        if entry.state == DONE:
            last[entry.alias] = entry.version
    return kept


def _entry(
    found: Sequence[Entry],
    alias: str,
    change: tuple[str | None, str | None],
    model_hash: str | None,
    cause: Cause,
) -> Entry:
    """The next entry: the alias goes from change[0] to change[1]."""
    return Entry(
        n=1 + max((entry.n for entry in found), default=0),
        at=datetime.now(UTC),
        alias=alias,
        previous=change[0],
        version=change[1],
        model_hash=model_hash,
        how=cause.how,
        who=cause.who,
        why=cause.why,
        state=PLANNED,
        run_id="",
    )


def _write(client: "MlflowClient", model: str, entry: Entry) -> Entry:
    """Add an entry as a running run."""
    tags = {
        "model": model,
        "n": str(entry.n),
        "alias": entry.alias,
        "previous": entry.previous or "",
        "version": entry.version or "",
        HASH_TAG: entry.model_hash or "",
        "how": entry.how,
        "who": entry.who,
        "why": entry.why,
    }
    shown = {"mlflow.user": entry.who, "mlflow.note.content": entry.why}  # shown on MLflow's page
    name = f"{entry.alias}: {entry.previous or 'none'} to {entry.version or 'none'}, {entry.how}"
    run = client.create_run(
        experiment_id(client, EXPERIMENT),
        start_time=int(entry.at.timestamp() * 1000),
        tags=tags | shown,
        run_name=name,
    )
    return replace(entry, run_id=run.info.run_id)


def _hash_of(client: "MlflowClient", model: str, version: str | None) -> str | None:
    """Model hash of a version; None for one that Firstlight did not register, or that was deleted."""
    from mlflow.exceptions import MlflowException

    if version is None:
        return None
    try:
        found: str | None = client.get_model_version(model, version).tags.get(HASH_TAG)
        return found
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def _read(run: "Run") -> Entry:
    tags = run.data.tags
    return Entry(
        n=int(tags.get("n", 0)),
        at=datetime.fromtimestamp(run.info.start_time / 1000, UTC),
        alias=tags.get("alias", ""),
        previous=tags.get("previous") or None,
        version=tags.get("version") or None,
        model_hash=tags.get(HASH_TAG) or None,
        how=tags.get("how", UNKNOWN),
        who=tags.get("who", UNKNOWN),
        why=tags.get("why", ""),
        state=STATES.get(run.info.status, INTERRUPTED),
        run_id=run.info.run_id,
    )
