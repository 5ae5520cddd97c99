"""Effect `doctor`: check this machine and this workspace, and advise what to do. It changes nothing permanently."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import urlsplit

from recsys import dvc
from recsys.artifacts import Artifacts
from recsys.catalogue.pseudonyms import MIN_KEY_CHARS, VARIABLE, Pseudonyms, require_same_key, trimmed
from recsys.effects.finding import Finding, Verdict
from recsys.effects.machine_checks import disk, gpu, locked_versions, precision, python_version
from recsys.effects.storage_checks import landing_zone, release_store, signatures, states
from recsys.errors import ConfigError, RecsysError
from recsys.settings import Settings
from recsys.storage.address import untidy, web_address


def params(at: Artifacts) -> Finding:
    """params.yaml loads and every key is known."""
    Settings.load(at.params)
    return Finding("params.yaml", "ok", str(at.params))


def data_version(at: Artifacts) -> Finding:
    """DVC knows data/."""
    if not (at.root / ".dvc").is_dir():
        return Finding("dvc", "fail", f"{at.root} is not a DVC repository", "dvc init, or run in a workspace")
    if not at.data_dvc.exists():
        return Finding("dvc", "warn", "no data.dvc yet", "recsys ingest; for the demo's data: make data")
    remote = "with a remote" if dvc.has_remote(at.root) else "without a remote"
    verdict: Verdict = "ok" if remote == "with a remote" else "warn"
    remedy = "" if verdict == "ok" else "dvc remote add -d NAME URL, so that a lost disk loses no data"
    return Finding("dvc", verdict, f"data.dvc is there, {remote}", remedy)


def pseudonym_key(at: Artifacts) -> Finding:
    """The key that turns user ids into pseudonyms is set and long enough."""
    given = os.environ.get(VARIABLE, "")
    key = trimmed(given)
    length = len(key)
    if length >= MIN_KEY_CHARS:
        require_same_key(at.pseudonyms, Pseudonyms(key))
        if key != given:
            remedy = f"set {VARIABLE} without them: other programs may not leave them out"
            return Finding(
                "pseudonym key", "warn", f"{length} characters, with blanks or line ends around them", remedy
            )
        return Finding("pseudonym key", "ok", f"{length} characters")
    remedy = "export RECSYS_PSEUDONYM_KEY=… (16 characters or more; keep it: with another key no user is recognised)"
    return Finding("pseudonym key", "fail" if length else "warn", f"{length} characters", remedy)


def registry(at: Artifacts) -> Finding:
    """MLflow answers, accepts these credentials, and has a champion."""
    url = os.environ.get("MLFLOW_TRACKING_URI")
    if not url:
        remedy = "export MLFLOW_TRACKING_URI=…; until then the encoder is made here"
        return Finding("registry", "warn", "MLFLOW_TRACKING_URI is not set", remedy)
    from recsys.registry.http import without_credentials
    from recsys.registry.mlflow import champion as crowned

    found = crowned(url)
    found_text = f"champion is version {found.version} of {found.model}" if found else "no champion yet"
    remedy = "" if found else "recsys fetch-champion registers the pretrained encoder (first light)"
    return Finding("registry", "ok", f"{without_credentials(url)}: {found_text}", remedy)


def champion(at: Artifacts) -> Finding:
    """An encoder has been fetched."""
    if at.model_reference("champion").exists():
        return Finding("champion", "ok", str(at.model_reference("champion")))
    return Finding("champion", "warn", "no encoder fetched yet", "recsys fetch-champion")


def withheld(at: Artifacts) -> Finding:
    """Items that `publish.withhold` keeps out of lists, and entries that have expired."""
    entries = Settings.load(at.params).publish.withhold
    now = datetime.now(UTC)
    past = [one.why for one in entries if not one.holds(now)]
    named = [
        f"{', '.join([*one.items, *(f'tag {tag}' for tag in one.tags)])} {one.sentence}" for one in entries
    ]
    if past:
        return Finding(
            "withheld",
            "warn",
            "; ".join(named),
            f"delete the expired entries of publish.withhold: {', '.join(past)}",
        )
    return Finding("withheld", "ok", "; ".join(named) or "nothing")


def environment(at: Artifacts) -> Finding:
    """No key or address has a line break or quotation marks that were copied along."""
    faults = untidy(os.environ)
    if not faults:
        return Finding("environment", "ok", "no key or address with stray characters")
    found = "; ".join(f"{name} {fault}" for name, fault in faults.items())
    return Finding(
        "environment", "fail", found, "set them again: export NAME=$(cat FILE) leaves a line break out"
    )


def alerts(at: Artifacts) -> Finding:
    """Where failures are reported."""
    url = os.environ.get("RECSYS_ALERT_URL")
    if url and not os.environ.get("RECSYS_ALERT_KEY"):
        return Finding(
            "alerts", "fail", "RECSYS_ALERT_KEY is not set", "export RECSYS_ALERT_KEY=… to sign alerts"
        )
    if url and not _is_server(url):
        return Finding(
            "alerts",
            "fail",
            "RECSYS_ALERT_URL is not the address of a server",
            "export RECSYS_ALERT_URL=https://…",
        )
    remedy = "" if url else "export RECSYS_ALERT_URL=… to be notified when a task fails for good"
    found = (
        f"to {urlsplit(url).hostname}" if url else "RECSYS_ALERT_URL is not set"
    )  # a webhook's path is a secret
    return Finding("alerts", "ok" if url else "warn", found, remedy)


def _is_server(url: str) -> bool:
    try:
        web_address(url, "RECSYS_ALERT_URL")
    except ConfigError:  # its message would show a webhook's path
        return False
    return True


CHECKS: tuple[Callable[[Artifacts], Finding], ...] = (
    python_version, locked_versions, params, environment, data_version, pseudonym_key, landing_zone, release_store,
    states, signatures, registry, champion, precision, gpu, withheld, disk, alerts,
)  # fmt: skip


def doctor(at: Artifacts) -> list[Finding]:
    """Run every check. A check that raises becomes a finding; the others still run.

    Args:
        at: the workspace.

    Returns:
        One finding per check, in the order of CHECKS.
    """
    findings = []
    for check in CHECKS:
        try:
            findings.append(check(at))
        except RecsysError as error:
            message = str(error).partition("\n")[0]
            findings.append(Finding(check.__name__.replace("_", " "), "fail", message, error.remedy))
    return findings
