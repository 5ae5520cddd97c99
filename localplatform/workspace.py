"""A workspace for the demo under var/: a clone of this checkout with what is not committed yet laid over it."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from demo.processes import DemoError

IDENTITY = (
    "-c",
    "user.name=Firstlight demo",
    "-c",
    "user.email=demo@localhost",
    "-c",
    "commit.gpgsign=false",
)
DEMO = {"split.by": "item-hash"}
"""Where the demo departs from params.yaml, in which each of these keys stands once.

People rate MovieLens in one sitting, so hardly anybody has ratings on both sides of a cut in time, and its times do not
say when a film came: films are held out whole.
"""
REMOTE = """\
[core]
    remote = storage
['remote "storage"']
    url = {url}
"""


class WorkspaceError(DemoError):
    """The demo workspace cannot be made."""


def make_workspace(checkout: Path, target: Path) -> None:
    """Clone `checkout` into `target`, empty of data, with everything committed there; what was in `target` goes.

    Args:
        checkout: a git checkout of Firstlight.
        target: the workspace's folder.

    Raises:
        WorkspaceError: git refused.
    """
    if target.exists():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    _git(checkout, "clone", "--quiet", "--no-hardlinks", str(checkout), str(target))
    for name in _lines(_git(checkout, "ls-files", "-z", "--modified", "--others", "--exclude-standard")):
        _lay_over(checkout / name, target / name)
    _suit_the_demo(target / "params.yaml")
    for name in ("data.dvc", "dvc.lock"):  # the demo begins before the first arrival
        (target / name).unlink(missing_ok=True)
    _git(target, "add", "--all")
    if _git(target, "status", "--porcelain"):
        _git(
            target,
            *IDENTITY,
            "commit",
            "--quiet",
            "--no-verify",
            "-m",
            "Begin the demo: no data yet, work in progress laid over",
        )
    if not (target / ".dvc" / "config").exists():
        raise WorkspaceError(f"{checkout} has no .dvc/config; `git checkout -- .dvc` brings it back")


def set_remote(workspace: Path, url: str) -> None:
    """Make `url` (a folder or s3://bucket/prefix) the workspace's DVC remote; nothing committed changes."""
    (workspace / ".dvc" / "config.local").write_text(REMOTE.format(url=url), encoding="utf-8")


def _suit_the_demo(params: Path) -> None:
    """Lay DEMO over params.yaml, its comments kept."""
    if params.exists():
        text = params.read_text(encoding="utf-8")
        for name, value in DEMO.items():
            key = name.partition(".")[2]
            text = re.sub(rf"^(  {key}: )\S+", rf"\g<1>{value}", text, flags=re.M)
        params.write_text(text, encoding="utf-8")


def _lay_over(source: Path, target: Path) -> None:
    if not source.is_symlink() and not source.exists():  # deleted, not committed
        target.unlink(missing_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target, follow_symlinks=False)


def _lines(listed: str) -> list[str]:
    return [name for name in listed.split("\0") if name]


def _git(folder: Path, *arguments: str) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise WorkspaceError(f"git {' '.join(arguments)} failed in {folder}:\n{done.stderr.strip()}")
    return done.stdout
