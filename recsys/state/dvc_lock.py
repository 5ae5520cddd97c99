"""dvc.lock as a map of stages, so that what two workers have run can be joined."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from recsys.artifacts import Artifacts
from recsys.storage.atomic import write_whole

SCHEMA = "2.0"


def read_lock(at: Artifacts) -> dict[str, Any]:
    """Stage -> entry of a workspace's dvc.lock; empty where there is none."""
    text = text_of(at.dvc_lock)
    found = yaml.safe_load(text) if text else None
    return dict(found.get("stages") or {}) if isinstance(found, dict) else {}


def write_lock(at: Artifacts, stages: Mapping[str, Any]) -> None:
    """Write a dvc.lock with these stages."""
    text = yaml.safe_dump({"schema": SCHEMA, "stages": dict(stages)}, sort_keys=False, allow_unicode=True)
    write_whole(at.dvc_lock, text.encode())


def outs_exist(at: Artifacts, entry: Any) -> bool:  # noqa: ANN401  of dvc.lock
    """Whether all that a stage made lies in the workspace."""
    outs = (entry.get("outs") if isinstance(entry, dict) else None) or ()
    return bool(outs) and all((at.root / out["path"]).exists() for out in outs)


def text_of(path: Path) -> str | None:
    """A file's text; None where it is missing."""
    return path.read_text("utf-8") if path.is_file() else None
