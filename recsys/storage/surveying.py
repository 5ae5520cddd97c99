"""List a folder that others write to: regular files, and skipped entries. Nothing in it raises."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from recsys.storage.protocol import PassedOver

# Names of files that are still being written: ours (.tmp-) and what producers use before they rename.
UNFINISHED_PREFIXES = (".", "_")
UNFINISHED_SUFFIXES = (".tmp", ".part", ".partial", ".crdownload", "~")
LINK = "is a link: land the file itself, links are not followed"
_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def regular_files(folder: Path, root: Path) -> Iterator[tuple[Path, os.stat_result] | PassedOver]:
    """Every finished regular file below a folder, and everything else that lies there.

    Links are not followed, pipes and devices are never opened. Files that are still being written, and folders with
    such names, are silently left out.

    Args:
        folder: where to look; a missing one holds nothing.
        root: keys of what is passed over are relative to it.

    Yields:
        A file with its state, or what was passed over.
    """
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            names = sorted(os.listdir(here))
        except FileNotFoundError:
            continue
        except NotADirectoryError:
            yield PassedOver(_key(here, root), "is a file where a folder should be: move it away")
            continue
        except OSError as error:
            yield PassedOver(_key(here, root), f"cannot be listed: {error.strerror or error}")
            continue
        for path in (here / name for name in names if not is_unfinished(name)):
            found = _looked_at(path, root)
            if isinstance(found, os.stat_result) and stat.S_ISDIR(found.st_mode):
                waiting.append(path)
            elif isinstance(found, os.stat_result):
                yield path, found
            elif found:
                yield found


def _looked_at(path: Path, root: Path) -> os.stat_result | PassedOver | None:
    """The state of a file or folder; None where it was moved away after the listing."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    except OSError as error:
        return PassedOver(_key(path, root), f"cannot be looked at: {error.strerror or error}")
    if stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode):
        return found
    return PassedOver(_key(path, root), _why(found.st_mode))


def is_unfinished(name: str) -> bool:
    """Whether a file of this name, without folders, is still being written."""
    return name.startswith(UNFINISHED_PREFIXES) or name.endswith(UNFINISHED_SUFFIXES)


def _why(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return LINK
    return f"is {_KINDS.get(stat.S_IFMT(mode), 'something else')}, not a regular file"


def _key(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
