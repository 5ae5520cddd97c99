"""Checks of this machine for `doctor`: Python, packages, disk, and how fast it encodes."""

import shutil
import sys
from importlib.metadata import PackageNotFoundError, version

from recsys.artifacts import Artifacts
from recsys.effects.finding import Finding
from recsys.processor import processor
from recsys.progress import report_progress
from recsys.settings import Settings

MIN_FREE_GB = 2


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


def disk(at: Artifacts) -> Finding:
    """Free space on the workspace's disk."""
    free_gb = shutil.disk_usage(at.root).free / 2**30
    enough = free_gb >= MIN_FREE_GB
    remedy = "" if enough else "free space: recsys collect, or dvc gc --workspace --not-in-remote"
    return Finding("disk", "ok" if enough else "fail", f"{free_gb:.1f} GB free", remedy)


def precision(at: Artifacts) -> Finding:
    """The encoder's speed on this processor in both precisions, and which to use. Measured once, then stored."""
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
        when = "the next training uses it" if is_trained else "then recsys fetch-champion --again"
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
