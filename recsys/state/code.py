"""The code of a run, packed into one file, since transferring thousands of small objects is slow."""

import shutil
import tarfile
from pathlib import Path

from recsys.state.scope import CODE
from recsys.storage.atomic import whole_file

FOLDER = "recsys"


def pack(root: Path) -> None:
    """Pack the code of a run's workspace once; it never changes there. Bytecode and file times go along.

    Args:
        root: the workspace. Without code nothing happens.
    """
    if (root / CODE).exists() or not (root / FOLDER).is_dir():
        return
    with whole_file(root / CODE) as temporary, tarfile.open(temporary, "w:gz", compresslevel=3) as archive:
        archive.add(root / FOLDER, FOLDER)


def unpack(root: Path) -> None:
    """Unpack the code, unless it is there already.

    Args:
        root: the workspace.
    """
    target = root / FOLDER
    if target.exists() or not (root / CODE).exists():
        return
    draft = root / f".tmp-{FOLDER}"
    shutil.rmtree(draft, ignore_errors=True)
    with tarfile.open(root / CODE) as archive:
        archive.extractall(draft, filter="data")
    (draft / FOLDER).rename(target)
    shutil.rmtree(draft)
