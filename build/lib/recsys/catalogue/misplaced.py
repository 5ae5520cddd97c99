"""Files of the landing zone that lie where nobody reads them, such as in `catalog/` instead of `catalogue/`."""

from collections.abc import Iterable
from difflib import get_close_matches

from recsys.catalogue.landing import LANDING_KINDS, PROCESSED

SAME_AS = {
    "catalogue": (
        "catalog",
        "catalogs",
        "item",
        "items",
        "product",
        "products",
        "articles",
        "movies",
        "films",
    ),
    "interactions": (
        "interaction",
        "event",
        "events",
        "click",
        "clicks",
        "rating",
        "ratings",
        "views",
        "orders",
    ),
    PROCESSED: ("process", "done"),
}
"""What people call the folders."""


def misplaced(top: Iterable[str]) -> tuple[str, ...]:
    """Say what lies at the top of the landing zone and is not read.

    Args:
        top: names at the top, folders with a slash at their end: see `Storage.top`.

    Returns:
        One sentence per name with its remedy; empty where all is in its place.
    """
    known = {f"{folder}/" for folder in (*LANDING_KINDS, PROCESSED)}
    return tuple(_sentence(name) for name in sorted(top) if name not in known)


def _sentence(name: str) -> str:
    meant = _meant(name.removesuffix("/")) if name.endswith("/") else None
    belongs = f"{meant}/" if meant else f"{LANDING_KINDS[0]}/ or {LANDING_KINDS[1]}/"
    return f"{name!r} is not read: files belong into {belongs}"


def _meant(folder: str) -> str | None:
    """The folder that a name stands for, if that is plain."""
    name = folder.strip().casefold()
    for kind, others in SAME_AS.items():
        if name == kind or name in others:
            return kind
    close = get_close_matches(name, [*LANDING_KINDS, PROCESSED], n=1, cutoff=0.8)
    return close[0] if close else None
