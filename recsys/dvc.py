"""The only file that calls DVC from inside: track accepted parts, push what a release needs, bring it back."""

import os
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

from recsys.errors import StorageError


def track_data(root: Path) -> None:
    """Bring data.dvc up to date with data/ (`dvc add data`); unchanged files are not read again.

    Args:
        root: the workspace.

    Raises:
        StorageError: DVC refused; carries its words.
    """
    _dvc(root, "add", "--quiet", "data")


def push(root: Path, targets: tuple[str, ...]) -> None:
    """Send the cached contents of `targets` (files .dvc, stages or outputs) to the workspace's DVC remote.

    Args:
        root: the workspace.
        targets: files .dvc, stages or outputs.

    Raises:
        StorageError: no remote is configured or it cannot be reached.
    """
    _dvc(root, "push", "--quiet", *targets)


def pull(root: Path, targets: tuple[str, ...]) -> None:
    """Restore `targets` as data.dvc and dvc.lock name them, from the cache or the remote.

    Args:
        root: the workspace.
        targets: files .dvc, stages or outputs.

    Raises:
        StorageError: DVC refused, or something is missing in the remote.
    """
    _dvc(root, "pull", "--quiet", "--force", *targets)


def bring(root: Path, target: str) -> None:
    """Lay out `target` as the workspace's files name it: from the cache, else from the remote where there is one.

    Args:
        root: the workspace.
        target: a file .dvc, a stage or an output.

    Raises:
        StorageError: DVC refused, or something is missing in both.
    """
    try:
        _dvc(root, "checkout", "--quiet", "--force", target)
    except StorageError:
        if not has_remote(root):
            raise
        pull(root, (target,))


def reproduce(root: Path, stages: tuple[str, ...]) -> None:
    """Run stages, and what they need first (`dvc repro`); what has not changed is skipped.

    Args:
        root: the workspace.
        stages: their names.

    Raises:
        StorageError: a stage failed, or DVC refused; carries its words.
    """
    _dvc(root, "--wait-for-lock", "repro", *stages)


def has_remote(root: Path) -> bool:
    """Whether the workspace has a default DVC remote: its own, the person's or the machine's. Starts no DVC."""
    from dvc.dirs import global_config_dir, system_config_dir

    local = [root / ".dvc" / name for name in ("config.local", "config")]
    for path in (*local, Path(global_config_dir(), "config"), Path(system_config_dir(), "config")):
        settings = ConfigParser(interpolation=None)
        settings.read(path, "utf-8")
        if settings.get("core", "remote", fallback=""):
            return True
    return False


def adopt_settings(root: Path, into: Path, *, share_cache: bool = False) -> None:
    """Make the folder `into` a DVC workspace with the remote, credentials and cache settings of the workspace `root`.

    Args:
        root: a DVC workspace.
        into: the new one's folder.
        share_cache: let both use the cache of `root`; otherwise only a cache that `root` has somewhere else.

    Raises:
        StorageError: `root` is no DVC workspace.
    """
    source = root / ".dvc"
    if not (source / "config").is_file():
        raise StorageError(f"{root} is no DVC workspace", remedy="run where .dvc/config lies, or `dvc init`")
    (into / ".dvc").mkdir(parents=True, exist_ok=True)
    for name in ("config", "config.local"):
        if not (source / name).is_file():
            continue
        settings = ConfigParser(interpolation=None)
        settings.read(source / name, "utf-8")
        for section in settings.values():
            for key in ("url", "dir"):  # DVC reads relative paths from the folder of the file they stand in
                value = section.get(key)
                if value and "://" not in value and not value.startswith(("/", "~")):
                    section[key] = str((source / value).resolve())
        if name == "config":
            settings.read_dict({"core": {"no_scm": "true"}})
            if share_cache and not settings.get("cache", "dir", fallback=""):
                settings.read_dict({"cache": {"dir": str((source / "cache").resolve())}})
        with (into / ".dvc" / name).open("w", encoding="utf-8") as file:
            settings.write(file)


def _dvc(root: Path, *arguments: str) -> None:
    environment = os.environ | {"DVC_NO_ANALYTICS": "true"}
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        words = done.stderr.strip() or done.stdout.strip()
        raise StorageError(
            f"dvc {' '.join(arguments)} failed in {root}: {words}",
            remedy="run the same command by hand in the workspace; `recsys doctor` checks DVC and its remote",
        )
