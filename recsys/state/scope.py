"""Which files of a workspace belong to its state. Files that DVC tracks do not: they are in DVC's remote."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from recsys.artifacts import Artifacts
from recsys.models.reference import ModelReference
from recsys.storage.atomic import TEMPORARY_PREFIX

CACHE = "cache/"
"""Prefix of files in `Artifacts.cache`, which the workspaces of a machine share."""
CODE = "var/code.tar.gz"
"""The code of a run, packed."""
TRAINING = "var/training"
OWN = (
    "artifacts/champion",
    "artifacts/teacher.json",
    "artifacts/validate",
    "artifacts/evaluate",
    "artifacts/gate",
    "var/begun",
    "var/done",
    "var/published.json",
    CODE,
    TRAINING,
)
"""Content of a run's workspace that DVC does not store in its remote."""
ARRIVING = ("var/published.json", "var/refused")
WATCHING = ("var/watch", "artifacts/monitor")
TRACKED = ("data.dvc", "dvc.lock")
ELSEWHERE = ("data", "artifacts", "var", "recsys", ".dvc", ".git", ".venv", "__pycache__")
"""Folders of a workspace that are listed file by file, packed, or made on each machine."""
RECOMPUTED = ("frozen", "teacher")
"""Folders of `var/training` that may become large, and are quick to make again."""


@dataclass(frozen=True)
class Scope:
    """What belongs to one kind of state."""

    paths: tuple[str, ...]
    """Files and folders in the workspace."""
    whole: bool = False
    """Whether it is a run's workspace: then code, settings, dvc.lock and the champion's parts belong to the state
    too."""
    data: bool = True
    """Whether data.dvc belongs to it."""
    exclusive: bool = False
    """Whether only one worker at a time may continue from a version. Others are refused, not merged."""

    def files(self, at: Artifacts) -> dict[str, Path]:
        """Name in the state -> local file, for all files that exist now."""
        found = dict[str, Path]()
        for path in self.paths:
            found |= {file.relative_to(at.root).as_posix(): file for file in _below(at.root / path)}
        if self.whole:
            found |= {file.relative_to(at.root).as_posix(): file for file in _beside(at.root)}
            found |= {CACHE + file.relative_to(at.cache).as_posix(): file for file in _of_champion(at)}
        return {name: file for name, file in found.items() if not _is_recomputed(name)}


RUN = Scope(OWN, whole=True)
"""The workspace of one run of the slow loop or of the release loop; tasks at the same time are merged."""
ARRIVALS = Scope(ARRIVING, exclusive=True)
"""The workspace of arrivals. Results of its data are in the newest release, or are computed again."""
WATCH = Scope(WATCHING, data=False, exclusive=True)
"""What `recsys watch` remembers."""


def place_of(at: Artifacts, name: str) -> Path:
    """Where a file of a state belongs on this machine."""
    if name.startswith(CACHE):
        return at.cache / name.removeprefix(CACHE)
    return at.root / name


def _below(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path.is_dir():
        yield from (file for file in sorted(path.rglob("*")) if file.is_file() and _is_finished(file))


def _beside(root: Path) -> Iterator[Path]:
    """Files of a run's workspace outside the folders that are known: settings, the list of stages, judged queries."""
    for path in sorted(root.iterdir()):
        if path.name not in (*ELSEWHERE, *TRACKED):
            yield from filter(_is_finished, _below(path))


def _of_champion(at: Artifacts) -> Iterator[Path]:
    """Packed parts of the champion: stages read them from the cache of the machine."""
    reference = at.model_reference("champion")
    if not ModelReference.is_at(reference):
        return
    model = ModelReference.load(reference)
    for folder in (*(part.folder(at.cache) for part in model.parts), at.weights / model.encoder.hash):
        yield from _below(folder)


def _is_finished(path: Path) -> bool:
    return not path.name.startswith((TEMPORARY_PREFIX, ".lock")) and not path.name.endswith(".lock")


def _is_recomputed(name: str) -> bool:
    return name.startswith(tuple(f"{TRAINING}/{folder}/" for folder in RECOMPUTED))
