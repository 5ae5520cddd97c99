"""The only file that calls DVC from inside: track accepted parts, push what a release needs, bring it back."""

import os
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from recsys import dvc_inside
from recsys.dvc_locks import repair_locks
from recsys.errors import StorageError
from recsys.processes import Fork, Running, ended_by_itself

QUIET_S = 900.0
"""A DVC in which nothing computes, reads or writes for so long hangs (a remote that went silent): it is ended. One that
works may take as long as it needs."""


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
    _dvc(root, "--wait-for-lock", "push", "--quiet", *targets)


def pull(root: Path, targets: tuple[str, ...]) -> None:
    """Restore `targets` as data.dvc and dvc.lock name them, from the cache or the remote.

    Args:
        root: the workspace.
        targets: files .dvc, stages or outputs.

    Raises:
        StorageError: DVC refused, or something is missing in the remote.
    """
    _dvc(root, "--wait-for-lock", "pull", "--quiet", "--force", *targets)


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
    return any(settings.get("core", "remote", fallback="") for _, settings in _settings(root))


@dataclass(frozen=True)
class Places:
    """Where DVC keeps contents."""

    cache: Path
    remote: str | None
    """Address of the default remote; None where there is none."""


def places(root: Path) -> Places:
    """Where a workspace's DVC keeps contents. Starts no DVC.

    Args:
        root: the workspace.

    Returns:
        The cache, and the default remote.
    """
    cache, remote, urls = "", "", dict[str, str]()
    for folder, settings in _settings(root):
        cache = _placed(settings.get("cache", "dir", fallback=""), folder) or cache
        remote = settings.get("core", "remote", fallback="") or remote
        for section in settings.sections():
            if url := settings.get(section, "url", fallback=""):
                urls[section.strip("'")] = _placed(url, folder)
    return Places(Path(cache or root / ".dvc" / "cache"), urls.get(f'remote "{remote}"'))


def _settings(root: Path) -> Iterator[tuple[Path, ConfigParser]]:
    """DVC's settings of the machine, the person and the workspace, each with its folder; a later one overrides."""
    from dvc.dirs import global_config_dir, system_config_dir

    shared = [Path(folder(), "config") for folder in (system_config_dir, global_config_dir)]
    for path in (*shared, root / ".dvc" / "config", root / ".dvc" / "config.local"):
        settings = ConfigParser(interpolation=None)
        settings.read(path, "utf-8")
        yield path.parent, settings


def _placed(value: str, folder: Path) -> str:
    """A path of a settings file: DVC reads relative ones from the folder of the file they stand in."""
    if not value or "://" in value or value.startswith(("/", "~")):
        return str(Path(value).expanduser()) if value.startswith("~") else value
    return str((folder / value).resolve())


def adopt_settings(root: Path, into: Path, *, share_cache: bool = False) -> None:
    """Make the folder `into` a DVC workspace with the remote, credentials and cache settings of the workspace `root`.

    Args:
        root: a DVC workspace.
        into: the new one's folder.
        share_cache: let both use the cache of `root`; otherwise only a cache that `root` has somewhere else.

    Raises:
        StorageError: `root` is not a DVC workspace.
    """
    source = root / ".dvc"
    if not (source / "config").is_file():
        raise StorageError(
            f"{root} is not a DVC workspace", remedy="run where .dvc/config lies, or `dvc init`"
        )
    (into / ".dvc").mkdir(parents=True, exist_ok=True)
    for name in ("config", "config.local"):
        if not (source / name).is_file():
            continue
        settings = ConfigParser(interpolation=None)
        settings.read(source / name, "utf-8")
        for section in settings.values():
            for key in ("url", "dir"):  # DVC reads relative paths from the folder of the file they stand in
                if value := section.get(key):
                    section[key] = _placed(value, source)
        if name == "config":
            settings.read_dict({"core": {"no_scm": "true"}})
            if share_cache and not settings.get("cache", "dir", fallback=""):
                settings.read_dict({"cache": {"dir": str((source / "cache").resolve())}})
        with (into / ".dvc" / name).open("w", encoding="utf-8") as file:
            settings.write(file)


def repair_lock_file(root: Path) -> bool:
    """Move a dvc.lock aside that a killed DVC left torn: with it every later run of DVC fails.

    DVC writes the file in place, a few hundredths of a second after each stage. Without it, stages run again and find
    their outputs by content.

    Args:
        root: the workspace.

    Returns:
        Whether it was torn. It then lies in .dvc/tmp, as dvc.lock.torn.
    """
    path = root / "dvc.lock"
    folders = [at / ".dvc" / "tmp" for at in (root, *root.parents)]  # a workspace may lie within a repository
    folder = next((one for one in folders if one.is_dir()), None)
    if folder is None or not _is_torn(path):
        return False
    import fcntl

    with (folder / "lock").open("ab") as lock:  # DVC's own, which it holds while it writes
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if not _is_torn(path):
            return False
        path.replace(folder / "dvc.lock.torn")
        return True


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold DVC's own lock of a workspace, as DVC does while it writes dvc.lock; waits for one that runs.

    Args:
        root: a DVC workspace.

    Yields:
        Nothing.
    """
    import fcntl

    folder = root / ".dvc" / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_torn(path: Path) -> bool:
    """Whether DVC would refuse the file; one that was cut where DVC takes the rest makes a stage run again."""
    import yaml

    try:
        text = path.read_text("utf-8")
        found = yaml.safe_load(text)
    except FileNotFoundError:
        return False
    except (UnicodeDecodeError, yaml.YAMLError):
        return True
    if not text.endswith("\n") or not isinstance(found, dict) or found.get("stages", {}) is None:
        return True
    stages = list(found.get("stages", {}).values())
    parts = [part for stage in stages if stage is not None for part in stage.values()]
    files = [file for part in parts if isinstance(part, dict) for file in part.values()]
    return None in (*stages, *parts, *files)


def repair(root: Path) -> bool:
    """Clean up what a killed DVC left in a workspace, so that the next one runs: its locks, then dvc.lock.

    Args:
        root: the workspace.

    Returns:
        Whether dvc.lock was torn and moved aside.
    """
    repair_locks(root)
    return repair_lock_file(root)


def _dvc(root: Path, *arguments: str) -> None:
    repair(root)
    remedy = "run the same command by hand in the workspace; `recsys doctor` checks DVC and its remote"
    with TemporaryFile() as output, TemporaryFile() as errors:
        process = _started(root, arguments, output, errors)
        is_whole = ended_by_itself(process, QUIET_S)
        code = process.wait()
        words = _text(errors) or _text(output)
    if not is_whole:
        message = f"dvc {' '.join(arguments)} in {root} did nothing for {QUIET_S:.0f} s and was ended"
        raise StorageError(f"{message}: {words}" if words else message, remedy=remedy)
    if code != 0:
        raise StorageError(f"dvc {' '.join(arguments)} failed in {root}: {words}", remedy=remedy)


def _started(root: Path, arguments: tuple[str, ...], output: IO[bytes], errors: IO[bytes]) -> Running:
    """DVC as a copy of this process if this one has loaded DVC, else as a new one."""
    if dvc_inside.is_loaded():
        return Fork(partial(dvc_inside.main, root, arguments), output, errors)
    command = [sys.executable, "-m", "dvc", *arguments]
    environment = os.environ | {"DVC_NO_ANALYTICS": "true"}
    return subprocess.Popen(command, cwd=root, env=environment, stdout=output, stderr=errors)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace").strip()
