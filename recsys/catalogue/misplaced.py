"""Files in the wrong place of the landing zone, such as `catalog/` instead of `catalogue/`."""

from collections.abc import Iterable
from difflib import get_close_matches

from recsys.catalogue.kinds import KINDS
from recsys.catalogue.landing import PROCESSED

SAME_AS = {name: kind.also_called for name, kind in KINDS.items()} | {PROCESSED: ("process", "done")}
"""Other names that people use for the folders."""
PICTURES = "images"
"""Folder for pictures, which rows of the catalogue name; they are never moved."""


def misplaced(top: Iterable[str]) -> tuple[str, ...]:
    """Name entries at the top of the landing zone that are not read.

    Args:
        top: names at the top, folders with a slash at their end: see `Storage.top`.

    Returns:
        One sentence per name with its remedy; empty where all is in its place.
    """
    known = {f"{folder}/" for folder in (*KINDS, PROCESSED, PICTURES)}
    return tuple(_sentence(name) for name in sorted(top) if name not in known)


def _sentence(name: str) -> str:
    meant = _meant(name.removesuffix("/")) if name.endswith("/") else None
    *others, last = (f"{kind}/" for kind in KINDS)
    belongs = f"{meant}/" if meant else f"{', '.join(others)} or {last}"
    return f"{name!r} is not read: files belong into {belongs}"


def _meant(folder: str) -> str | None:
    """The folder that a name means, if that is clear."""
    name = folder.strip().casefold()
    for kind, others in SAME_AS.items():
        if name == kind or name in others:
            return kind
    close = get_close_matches(name, [*KINDS, PROCESSED], n=1, cutoff=0.8)
    return close[0] if close else None
