"""The record of a run in the registry, and the commit of the running code."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

import recsys
from recsys.artifacts import Artifacts

UNKNOWN_COMMIT = "unknown"
COMMIT_FILE = ".code_commit"
"""Beside the package in a workspace that is a copy: the commit it was copied from."""


@dataclass(frozen=True)
class RunRecord:
    """What is logged with every run in MLflow."""

    code_commit: str
    params: Mapping[str, Any]
    """Sections of params.yaml; logged with dotted keys, such as `ingest.max_file_mb`."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    """Artifact name -> text: data.dvc, dvc.lock, params.yaml."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Artifact path -> file or folder, such as plots."""
    tags: Mapping[str, str] = field(default_factory=dict)


def record_of(
    at: Artifacts,
    metrics: Mapping[str, float] | None = None,
    files: Mapping[str, Path] | None = None,
    tags: Mapping[str, str] | None = None,
) -> RunRecord:
    """Make the record of a workspace: params.yaml, data.dvc, dvc.lock, plots, gate page, and the commit.

    Args:
        at: the workspace.
        metrics: flat numbers, such as `cold/recall@20`.
        files: further artifact paths -> file or folder; missing ones are left out.
        tags: of the run, and of a version that is made.

    Returns:
        The record.
    """
    texts = {
        path.name: path.read_text("utf-8") for path in (at.params, at.data_dvc, at.dvc_lock) if path.exists()
    }
    wanted = {"plots": at.plots, "gate.html": at.gate_page, **(files or {})}
    return RunRecord(
        code_commit=code_commit(),
        params=yaml.safe_load(texts.get(at.params.name, "{}")),
        metrics=metrics or {},
        texts=texts,
        files={name: path for name, path in wanted.items() if path.exists()},
        tags=tags or {},
    )


def code_commit() -> str:
    """Commit of the running code: RECSYS_CODE_COMMIT (set in images, which have no .git), a copy's file, or git.

    It ends in `-dirty` where the checkout differs from the commit, and is `unknown` where there is none of these.
    """
    if commit := os.environ.get("RECSYS_CODE_COMMIT"):
        return commit
    home = Path(recsys.__file__).parent
    if (noted := home.parent / COMMIT_FILE).is_file():
        return noted.read_text("utf-8").strip()
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or UNKNOWN_COMMIT
