"""Folders of files that are kept between runs: delete files that are no longer wanted."""

import shutil
from pathlib import Path


def remove_strays(folder: Path, wanted: set[Path]) -> None:
    """Remove everything from a folder but `wanted`, so that the folder does not depend on its history."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path not in wanted:
            path.unlink()
