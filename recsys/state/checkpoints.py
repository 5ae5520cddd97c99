"""Checkpoints of a training that goes on: the files of one moment, held still while they are stored."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recsys.artifacts import Artifacts
from recsys.state.record import stat_of
from recsys.state.scope import TRAINING, Scope

ATTEMPTS = 20
"""A checkpoint takes longer to write than its files to link."""
LINKS = ".tmp-checkpoints-"
"""Begins names of folders in `var`."""


def is_of_training(name: str) -> bool:
    """Whether a file of a state belongs to a training."""
    return name.startswith(f"{TRAINING}/")


@contextmanager
def checkpoints_now(at: Artifacts) -> Iterator[dict[str, Path]]:
    """Hold the checkpoints of one moment, however often the training replaces them.

    The training replaces files and never changes one, so hard links keep what was there. One process at a time.

    Args:
        at: the run's workspace.

    Yields:
        Name in the state -> link; empty where there is no checkpoint, or no two looks at the folder were alike.
    """
    at.var.mkdir(parents=True, exist_ok=True)
    for stray in at.var.glob(f"{LINKS}*"):  # a killed process left it; links keep the room of deleted files
        shutil.rmtree(stray, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=LINKS, dir=at.var) as folder:
        yield next(
            (found for n in range(ATTEMPTS) if (found := _linked(at, Path(folder) / str(n))) is not None), {}
        )


def _linked(at: Artifacts, folder: Path) -> dict[str, Path] | None:
    """Links to all files; None where one was replaced meanwhile, so that they may not belong together."""
    folder.mkdir()
    before, links = _listed(at), dict[str, Path]()
    try:
        for number, (name, path) in enumerate(before.items()):
            links[name] = folder / str(number)
            _hold(path, links[name])
        is_still = _listed(at) == before and all(
            stat_of(before[name]) == stat_of(links[name]) for name in links
        )
    except FileNotFoundError:
        return None
    return links if is_still else None


def _hold(path: Path, link: Path) -> None:
    """Link a file; copy it where the file system has no hard links. FileNotFoundError where it is gone."""
    try:
        os.link(path, link)
    except FileNotFoundError:
        raise
    except OSError:
        with path.open("rb") as source, link.open("wb") as target:
            shutil.copyfileobj(source, target)
            found = os.fstat(source.fileno())  # of what was copied: by its name it may be another one now
        os.utime(link, ns=(found.st_atime_ns, found.st_mtime_ns))


def _listed(at: Artifacts) -> dict[str, Path]:
    return dict(sorted(Scope((TRAINING,)).files(at).items()))
