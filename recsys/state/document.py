"""The document of a workspace's state: its files, the stages that have run, and the version of its data."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, ValidationError

from recsys.errors import StorageError

FORMAT = 2
"""Format 1 named each stored file by its checksum alone."""
Value = TypeVar("Value")


class CarriedFile(BaseModel):
    """A file that travels with the state."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    size: int
    """Bytes."""

    @classmethod
    def of(cls, path: Path) -> "CarriedFile":
        """A local file's size and checksum."""
        with path.open("rb") as file:
            return cls(sha256=hashlib.file_digest(file, "sha256").hexdigest(), size=path.stat().st_size)


class State(BaseModel):
    """The content of a workspace, by names: files are stored next to the document, DVC's files in DVC's remote."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    nonce: str = ""
    """New with each write. A worker that has this version has nothing to bring."""
    files: dict[str, CarriedFile] = {}
    """Path in the workspace -> file."""
    objects: dict[str, str] = {}
    """Checksum -> name of the object that holds such a file. A state of format 1 names none: see `object_of`."""
    data_dvc: str | None = None
    """Text of data.dvc; its data is in DVC's remote."""
    lock: dict[str, Any] = {}
    """Stage -> its entry of dvc.lock, only of stages whose outputs lie in DVC's remote."""
    n_interactions: int = 0
    """Rows of interactions in the data."""
    done: bool = False
    """The run that the workspace was made for has succeeded."""

    @classmethod
    def parse(cls, content: bytes, where: str) -> "State":
        """Read a document.

        Args:
            content: its bytes.
            where: its address, for messages.

        Returns:
            The state.

        Raises:
            StorageError: it is damaged, or of a newer version.
        """
        try:
            plain = json.loads(content)
            if isinstance(plain, dict) and plain.get("format", 0) > FORMAT:
                raise StorageError(
                    f"{where} has format {plain['format']}, this code reads up to {FORMAT}",
                    remedy="run the same version of Firstlight on every worker",
                )
            state = cls.model_validate(plain)
        except (ValueError, TypeError, ValidationError) as error:
            raise StorageError(
                f"{where} is no state of a workspace: {error}",
                remedy="delete it: the run is then made anew; see who may write to RECSYS_STATE",
            ) from error
        for name in state.files:
            if name.startswith("/") or {"", ".", ".."} & set(name.split("/")) or name.startswith(".dvc/"):
                raise StorageError(
                    f"{where} names the file {name!r}, which leads out of the workspace",
                    remedy="see who may write to RECSYS_STATE",
                )
        return state

    def document(self) -> bytes:
        """The bytes that are stored."""
        return (self.model_dump_json(indent=1) + "\n").encode()

    def object_of(self, file: CarriedFile) -> str:
        """Name of the object that holds one of its files."""
        return self.objects.get(file.sha256, file.sha256)

    def held(self) -> dict[str, str]:
        """Checksum -> name of the object, of every file that it names."""
        return {file.sha256: self.object_of(file) for file in self.files.values()}

    def renewed(self, objects: Mapping[str, str]) -> "State":
        """The same content as a new version.

        Args:
            objects: checksum -> name of the object, at least of every file that it names.

        Returns:
            The version to store.
        """
        own = {file.sha256: objects[file.sha256] for file in self.files.values()}
        return self.model_copy(
            update={"format": FORMAT, "nonce": uuid4().hex, "objects": dict(sorted(own.items()))}
        )

    def same_content(self, other: "State") -> bool:
        """Whether both have the same content, whatever their versions and the places of objects in the store."""
        return self._content() == other._content()

    def _content(self) -> "State":
        return self.model_copy(update={"format": FORMAT, "nonce": "", "objects": {}})


@dataclass(frozen=True)
class Versions:
    """Three versions of a state: one version, and two that workers made from it."""

    base: State
    ours: State
    theirs: State

    def merged(self) -> State:
        """The results of both workers. Where both changed the same thing, the version that is stored already wins.

        Tasks of one run that work at the same time make different files and stages. If the same task ran twice (on a
        worker that seemed dead, and on its successor), both made the same files, and those that were stored first stay.
        """
        theirs = self.theirs
        mine_first = theirs.data_dvc == self.base.data_dvc
        return theirs.model_copy(
            update={
                "files": _merged(self.base.files, self.ours.files, theirs.files),
                "lock": _merged(self.base.lock, self.ours.lock, theirs.lock),
                "data_dvc": self.ours.data_dvc if mine_first else theirs.data_dvc,
                "n_interactions": self.ours.n_interactions if mine_first else theirs.n_interactions,
                "done": self.ours.done or theirs.done,
            }
        )


def _merged(
    base: Mapping[str, Value], ours: Mapping[str, Value], theirs: Mapping[str, Value]
) -> dict[str, Value]:
    found = dict(theirs)
    for key in sorted(base.keys() | ours.keys()):
        if ours.get(key) == base.get(key) or theirs.get(key) != base.get(key):
            continue  # not changed here, or changed there as well
        if key in ours:
            found[key] = ours[key]
        else:
            found.pop(key, None)
    return found
