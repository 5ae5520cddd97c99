"""Make a workspace: a clone of this checkout with its uncommitted changes, and without data."""

import compileall
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from localplatform.errors import LocalError

CHECKOUT = Path(__file__).resolve().parent.parent
FOLDER = CHECKOUT / "var" / "demo"
"""Folder of `make demo` and `make up`, for the workspace and the servers' files."""
NO_CHANGES: Mapping[str, str] = MappingProxyType({})
IDENTITY = (
    "-c",
    "user.name=Firstlight",
    "-c",
    "user.email=firstlight@localhost",
    "-c",
    "commit.gpgsign=false",
)
REMOTE = """\
[core]
    remote = storage
['remote "storage"']
    url = {url}
"""


class WorkspaceError(LocalError):
    """The workspace cannot be made."""


def make_workspace(checkout: Path, target: Path, changes: Mapping[str, str] = NO_CHANGES) -> None:
    """Clone `checkout` into `target`, without data, and commit uncommitted changes there. An old `target` is deleted.

    Args:
        checkout: a git checkout of Firstlight.
        target: the workspace's folder.
        changes: "section.key" -> value, written to params.yaml; its comments are kept.

    Raises:
        WorkspaceError: git refused, or params.yaml has no such key.
    """
    if target.exists():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    _git(checkout, "clone", "--quiet", "--no-hardlinks", str(checkout), str(target))
    for name in _lines(_git(checkout, "ls-files", "-z", "--modified", "--others", "--exclude-standard")):
        _lay_over(checkout / name, target / name)
    compileall.compile_dir(target / "recsys", quiet=1)  # else the first commands would, all at the same time
    _change_params(target / "params.yaml", changes)
    for name in ("data.dvc", "dvc.lock"):  # a workspace begins before the first arrival
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
            "Begin a workspace: no data yet, work in progress laid over",
        )
    if not (target / ".dvc" / "config").exists():
        raise WorkspaceError(f"{checkout} has no .dvc/config; `git checkout -- .dvc` brings it back")


def set_remote(workspace: Path, url: str) -> None:
    """Make `url` (a folder or s3://bucket/prefix) the workspace's DVC remote, without changing a committed file."""
    (workspace / ".dvc" / "config.local").write_text(REMOTE.format(url=url), encoding="utf-8")


def _change_params(params: Path, changes: Mapping[str, str]) -> None:
    if not changes:
        return
    text = params.read_text(encoding="utf-8")
    for name, value in changes.items():
        key = name.partition(".")[2]
        text, found = re.subn(rf"^(  {re.escape(key)}: )\S+", rf"\g<1>{value}", text, flags=re.M)
        if found != 1:
            raise WorkspaceError(f"{params} has {found} lines with the key {key}, there must be one")
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
