"""Files of the landing zone that lie where nobody reads them, such as in `catalog/` instead of `catalogue/`."""

from collections import Counter
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


def misplaced(keys: Iterable[str]) -> tuple[str, ...]:
    """Say which landed files are not read, by the folder at the top of their keys.

    Args:
        keys: slash-separated, relative to the landing zone.

    Returns:
        One sentence per folder with its remedy, by name; empty where all is in its place.
    """
    counted = Counter(key.partition("/")[0] if "/" in key else "" for key in keys)
    return tuple(
        _sentence(folder, n)
        for folder, n in sorted(counted.items())
        if folder not in (*LANDING_KINDS, PROCESSED)
    )


def _sentence(folder: str, n: int) -> str:
    files = f"{n} file" if n == 1 else f"{n} files"
    where = f"{folder!r}/" if folder else "the top of the landing zone"
    meant = _meant(folder)
    belongs = f"{meant}/" if meant else f"{LANDING_KINDS[0]}/ or {LANDING_KINDS[1]}/"
    return f"{files} in {where} not read: move to {belongs}"


def _meant(folder: str) -> str | None:
    """The folder that a name stands for, if that is plain."""
    name = folder.strip().casefold()
    for kind, others in SAME_AS.items():
        if name == kind or name in others:
            return kind
    close = get_close_matches(name, [*LANDING_KINDS, PROCESSED], n=1, cutoff=0.8)
    return close[0] if close else None
