"""Effect `doctor`: check this machine and this workspace, and advise what to do. Nothing is changed permanently."""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Literal
from urllib.parse import urlsplit

from recsys import dvc
from recsys.artifacts import Artifacts
from recsys.catalogue.misplaced import misplaced
from recsys.catalogue.pseudonyms import MIN_KEY_CHARS, VARIABLE, Pseudonyms, require_same_key, trimmed
from recsys.errors import ConfigError, RecsysError, SwapLost
from recsys.processor import processor
from recsys.progress import report_progress
from recsys.settings import Settings
from recsys.storage.address import untidy, web_address
from recsys.storage.clock import time_of_storage
from recsys.storage.opening import open_storage
from recsys.storage.protocol import Storage

Verdict = Literal["ok", "warn", "fail"]
MIN_FREE_GB = 2
PROBE = "doctor/probe"


MAX_SKEW_S = 60
"""A clock that is further from the store's is worth a warning."""


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    check: str
    verdict: Verdict
    found: str
    remedy: str = ""


def python_version(at: Artifacts) -> Finding:
    """Python 3.11, for which the lock was resolved."""
    found = sys.version.split()[0]
    right = sys.version_info[:2] == (3, 11)
    return Finding("python", "ok" if right else "fail", found, "" if right else "make setup with python3.11")


def locked_versions(at: Artifacts) -> Finding:
    """Installed packages against requirements.lock."""
    lock = at.root / "requirements.lock"
    if not lock.exists():
        return Finding("packages", "warn", "no requirements.lock in this workspace", "compare by hand")
    wrong = [fault for line in lock.read_text().splitlines() if (fault := _version_fault(line))]
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        return Finding("packages", "fail", ", ".join(wrong[:5]) + more, "make setup")
    return Finding("packages", "ok", "as in requirements.lock")


def _version_fault(line: str) -> str:
    name, _, rest = line.partition("==")
    wanted, _, marker = rest.rstrip(" \\").partition(";")
    if not rest or marker:
        return ""
    try:
        found = version(name.split("[")[0].strip())
    except PackageNotFoundError:
        return f"{name} is missing"
    return "" if found == wanted.strip() else f"{name} is {found}, not {wanted.strip()}"


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


def landing_zone(at: Artifacts) -> Finding:
    """The landing zone can be listed."""
    url = os.environ.get("RECSYS_LANDING")
    if not url:
        return Finding(
            "landing zone", "warn", "RECSYS_LANDING is not set", "export RECSYS_LANDING=folder or s3://…"
        )
    zone = open_storage(url)
    found = zone.list("")
    if strays := misplaced(zone.top()):
        return Finding("landing zone", "warn", f"{zone.url}: {'; '.join(strays)}", "move or remove them")
    return Finding("landing zone", "ok", f"{zone.url}: {len(found)} objects")


def release_store(at: Artifacts) -> Finding:
    """The store can be written, and honours compare-and-swap. Without that, two publishers could both win."""
    url = os.environ.get("RECSYS_STORE")
    if not url:
        return Finding(
            "release store", "warn", "RECSYS_STORE is not set", "export RECSYS_STORE=folder or s3://…"
        )
    return _swaps("release store", open_storage(url))


def states(at: Artifacts) -> Finding:
    """Where workers share no disk: their states can be swapped, and DVC has a remote that carries the data."""
    url = os.environ.get("RECSYS_STATE")
    if not url:
        return Finding("states", "ok", "RECSYS_STATE is not set: all workers see the same disk")
    if not dvc.has_remote(at.root):
        found = "RECSYS_STATE is set, but DVC has no remote: other workers could not bring the data"
        return Finding("states", "fail", found, "dvc remote add --default NAME s3://bucket/prefix")
    return _swaps("states", open_storage(url))


def _swaps(name: str, store: Storage) -> Finding:
    """Whether a store can be written, and honours compare-and-swap."""
    store.delete(PROBE)
    try:
        store.swap(PROBE, b"first", None)
        first = store.read_tagged(PROBE)
        store.swap(PROBE, b"second", first[1] if first else None)
        stale = (None, first[1] if first else None)
        honoured = all([_is_refused(store, expected) for expected in stale])
    finally:
        store.delete(PROBE)
    if honoured:
        return _with_clock(name, store, f"{store.url}: writable, compare-and-swap holds")
    remedy = (
        "use a store that honours If-None-Match and If-Match (AWS S3, SeaweedFS, MinIO); rclone's S3 does not"
    )
    return Finding(name, "fail", f"{store.url} ignores conditional writes", remedy)


def _with_clock(name: str, store: Storage, found: str) -> Finding:
    """What was found of a store, and whether this machine's clock agrees with its clock."""
    ahead_s = (datetime.now(UTC) - time_of_storage(store)).total_seconds()
    if abs(ahead_s) < MAX_SKEW_S:
        return Finding(name, "ok", found)
    relation = "ahead of" if ahead_s > 0 else "behind"
    remedy = "synchronise the clock (NTP): ingest quarantines interactions that seem to lie in the future"
    return Finding(name, "warn", f"{found}; this clock is {abs(ahead_s):.0f} s {relation} its", remedy)


def signatures(at: Artifacts) -> Finding:
    """Releases are signed and verified, and the current release passes."""
    from recsys.publishing.signing import SIGNING_KEY, VERIFY_KEY, key_id, signing_key, verify_keys
    from recsys.publishing.store import ReleaseStore

    trusted, private = [key_id(key) for key in verify_keys()], signing_key()
    if private and key_id(private.public_key()) not in trusted:
        found = f"{SIGNING_KEY} is key {key_id(private.public_key())}, which {VERIFY_KEY} lacks"
        return Finding(
            "signatures", "fail" if trusted else "warn", found, f"export {VERIFY_KEY}=verify.pem here too"
        )
    if not trusted:
        found = f"{VERIFY_KEY} is not set: anybody who can write to the store decides what readers get"
        return Finding("signatures", "warn", found, "recsys keys make; docs/operations.md, Sign releases")
    url = os.environ.get("RECSYS_STORE")
    pointer = ReleaseStore(open_storage(url)).pointer() if url else None
    if url and pointer:
        ReleaseStore(open_storage(url)).manifest(pointer.current.release)
    return Finding("signatures", "ok", f"trusted: {', '.join(trusted)}")


def _is_refused(store: Storage, expected: str | None) -> bool:
    """Whether a swap with an outdated expectation is refused, as it must be."""
    try:
        store.swap(PROBE, b"third", expected)
    except SwapLost:
        return True
    return False


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


def precision(at: Artifacts) -> Finding:
    """Speed of the encoder on this processor in both precisions, and which is worth it; measured once, then kept."""
    if not at.model_reference("champion").exists():
        return Finding(
            "precision", "ok", f"not measured before the first recsys fetch-champion; {processor()}"
        )
    from recsys.encoders.rates import PRECISIONS, TITLE_TOKENS, encoder_rates
    from recsys.evaluation.provenance import TrainedOn

    params = Settings.load(at.params).encoder
    found = encoder_rates(params, at.encoders, at.rates, report_progress=report_progress)
    better = found.faster(TITLE_TOKENS)
    remedy = ""
    if better != params.precision and params.precision in PRECISIONS:  # 16 bits are for a GPU
        record = at.trained_on("champion")
        is_trained = record.exists() and TrainedOn.load(record).trained_on is not None
        when = (
            "the next training packs its encoder so" if is_trained else "then recsys fetch-champion --again"
        )
        remedy = f"encoder.precision: {better}; {when}"
    return Finding("precision", "warn" if remedy else "ok", found.sentence(), remedy)


def gpu(at: Artifacts) -> Finding:
    """Whether a GPU can encode, and how fast."""
    from recsys.encoders.runtime import has_cuda

    chosen = Settings.load(at.params)
    device = f"profiles.device is {chosen.profiles.device}"
    if not has_cuda():
        is_wanted = chosen.profiles.device == "cuda"
        remedy = "set profiles.device: auto, unless only workers of queue gpu encode" if is_wanted else ""
        return Finding("gpu", "warn" if is_wanted else "ok", f"none that torch can use; {device}", remedy)
    if not at.model_reference("champion").exists():
        return Finding("gpu", "ok", f"not measured before the first recsys fetch-champion; {device}")
    from recsys.encoders.rates import texts_per_s

    rate = texts_per_s(chosen.encoder, at.encoders, "cuda")
    return Finding("gpu", "ok", f"titles {rate:,.0f}/s; {device}")


def withheld(at: Artifacts) -> Finding:
    """Items that publish.withhold keeps out of lists, and entries whose time has passed."""
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
            f"take out of publish.withhold what has passed: {', '.join(past)}",
        )
    return Finding("withheld", "ok", "; ".join(named) or "nothing")


def disk(at: Artifacts) -> Finding:
    """Free space on the workspace's disk."""
    free_gb = shutil.disk_usage(at.root).free / 2**30
    enough = free_gb >= MIN_FREE_GB
    remedy = "" if enough else "free space: recsys collect, or dvc gc --workspace --not-in-remote"
    return Finding("disk", "ok" if enough else "fail", f"{free_gb:.1f} GB free", remedy)


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
