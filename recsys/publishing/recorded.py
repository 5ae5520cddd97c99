"""Read data.dvc and dvc.lock from a release, checked so that they can be written into a workspace."""

import re
from typing import Any

import yaml

from recsys.errors import ReleaseError
from recsys.publishing.release import Manifest

DATA_DVC, DVC_LOCK = "data.dvc", "dvc.lock"
OUT_KEYS = {"md5", "size", "nfiles", "hash", "path"}
MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
"""DVC makes paths of it, in its cache and its remote."""


def recorded(manifest: Manifest) -> dict[str, str]:
    """The release's data.dvc and dvc.lock.

    DVC writes to any path that a data.dvc names. So one that names anything but the folder data/ is refused.

    Args:
        manifest: the release's.

    Returns:
        File name -> text; dvc.lock only where the release has one.

    Raises:
        ReleaseError: it has no record of its data, or the record names something else.
    """
    found = manifest.provenance
    if found.data_dvc is None:
        raise ReleaseError(
            f"release {manifest.id} was published from a workspace without data.dvc",
            remedy="publish from a workspace with DVC (`dvc init`), then try again",
        )
    if not _is_data(_parsed(found.data_dvc)) or not _is_lock(found.dvc_lock):
        raise ReleaseError(
            f"release {manifest.id} has a record of its data that is not a version of data/",
            remedy="choose another release; check who can write to the store",
        )
    return {DATA_DVC: found.data_dvc} | ({DVC_LOCK: found.dvc_lock} if found.dvc_lock else {})


def _is_data(plain: Any) -> bool:  # noqa: ANN401  any YAML value
    """Whether it describes exactly one output: data/ with its hash."""
    outs = plain.get("outs") if isinstance(plain, dict) and set(plain) == {"outs"} else None
    if not isinstance(outs, list) or len(outs) != 1 or not isinstance(outs[0], dict):
        return False
    (out,) = outs
    return set(out) <= OUT_KEYS and out.get("path") == "data" and _is_md5(out.get("md5"))


def _is_lock(dvc_lock: str | None) -> bool:
    """Whether there is none, or one whose outputs lie in the workspace."""
    if dvc_lock is None:
        return True
    plain = _parsed(dvc_lock)
    if not isinstance(plain, dict) or not isinstance(plain.get("stages"), dict):
        return False
    outs = [stage.get("outs") or [] for stage in plain["stages"].values() if isinstance(stage, dict)]
    return all(isinstance(some, list) and all(map(_is_inside, some)) for some in outs)


def _is_inside(out: Any) -> bool:  # noqa: ANN401  any YAML value
    """Whether it describes an output below the workspace, with its hash."""
    path = out.get("path") if isinstance(out, dict) else None
    is_below = isinstance(path, str) and not path.startswith("/") and ".." not in path.split("/")
    return is_below and _is_md5(out.get("md5"))


def _is_md5(value: Any) -> bool:  # noqa: ANN401  any YAML value
    return isinstance(value, str) and MD5.fullmatch(value) is not None


def _parsed(text: str) -> Any:  # noqa: ANN401  any YAML value
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError):
        return None
