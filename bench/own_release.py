"""A release of a benchmark's own: rows land, and the commands that everybody uses make and publish a release."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from bench.figures import ROOT
from bench.small_workspace import KEY

if TYPE_CHECKING:
    from recsys.serving.recommender import Recommender

BEFORE = (["ingest"], ["fetch-champion"], ["run", "validate"], ["run", "features"])
AFTER = (["run", "profiles@champion"], ["run", "users"], ["run", "index"], ["publish"])
TRAINED = {"finetune": {"layers": "none"}}
"""The encoder stays as it is; head, ranker and weights are learned."""


def published(
    folder: Path,
    cache: Path,
    landing: Mapping[str, Sequence[Mapping[str, object]]],
    *,
    trained: bool = False,
    fresh: bool = False,
) -> Path:
    """Land rows and publish them; what was published before is kept for the next run.

    Args:
        folder: of workspace, landing zone and store.
        cache: of encoders and vectors; may be shared.
        landing: path in the landing zone, without suffix -> rows.
        trained: train a challenger and publish it, whatever the gate would say; otherwise the model of first light.
        fresh: publish anew.

    Returns:
        The store.
    """
    store, workspace = folder / "store", folder / "workspace"
    if (store / "CURRENT").exists() and not fresh:
        return store
    shutil.rmtree(folder, ignore_errors=True)
    (workspace / ".dvc").mkdir(parents=True)
    (workspace / ".dvc" / "config").write_text("[core]\n    no_scm = True\n")
    params = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    for section, changes in (TRAINED if trained else {}).items():
        params[section] |= changes
    (workspace / "params.yaml").write_text(
        yaml.safe_dump(params, sort_keys=False, allow_unicode=True), "utf-8"
    )
    for name, rows in landing.items():
        path = folder / "landing" / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "RECSYS_WORKSPACE": str(workspace),
        "RECSYS_LANDING": str(folder / "landing"),
        "RECSYS_STORE": str(store),
        "RECSYS_CACHE": str(cache),
        "RECSYS_PSEUDONYM_KEY": KEY,
        "MLFLOW_TRACKING_URI": "",
    }

    def run(commands: Sequence[Sequence[str]]) -> None:
        for command in commands:
            call = [sys.executable, "-m", "recsys", *command]
            subprocess.run(call, env=environment, cwd=workspace, check=True)

    run(BEFORE)
    if trained:
        run((["run", "split"], ["run", "finetune"]))
        challenger, champion = (
            workspace / "artifacts" / role / "model.json" for role in ("challenger", "champion")
        )
        shutil.copyfile(challenger, champion)
    run(AFTER)
    return store


def opened(store: Path, cache: Path, weights: Mapping[str, float] | None = None) -> "Recommender":
    """The release that CURRENT names, as the service opens it.

    Args:
        store: of `published`.
        cache: of objects, for readers.
        weights: of search, instead of the release's own.

    Returns:
        The recommender.
    """
    from recsys.publishing.object_files import ObjectFiles
    from recsys.publishing.released_profiles import Profiles
    from recsys.publishing.store import ReleaseStore
    from recsys.serving.recommender import Recommender
    from recsys.storage.opening import open_storage

    where = ReleaseStore(open_storage(str(store)))
    manifest = where.manifest(where.current().current.release)
    return Recommender(manifest, Profiles(manifest, ObjectFiles(where.storage, cache)), weights or {})
