"""Whether the answer of a web service is one page of several: by what it says beside its rows."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from recsys.catalogue.folding import folded

ABOUT_PAGES = frozenset({"pageinfo", "links", "meta", "metadata", "pagination", "paging", "page"})
"""Objects beside the rows that may say it, folded; one may hold another."""
NEXT = "hasnextpage next nextpage hasmore nextpagetoken nextlink nextcursor nextpageurl odatanextlink"
TOTAL = "total totalcount totalresults totalitems totalelements numfound nbhits found odatacount"
"""Counts of all rows, folded. Elasticsearch writes an object with `value`."""
_MAX_DEPTH = 3


def page_note(values: Mapping[str, Any], path: Sequence[str], n_rows: int) -> str:
    """What a person should know of a page.

    Args:
        values: the answer.
        path: keys that lead to the list of its rows.
        n_rows: length of that list.

    Returns:
        A note where the answer names a next page or counts more rows than it holds; otherwise "".
    """
    around: list[Mapping[str, Any]] = [values]
    for key in path[:-1]:
        around.append(around[-1][key])
    about = [pair for one in around for pair in _about(one, _MAX_DEPTH)]
    totals = [n for name, value in about if name in TOTAL.split() and (n := _count(value)) > n_rows]
    if totals:
        return f"the answer counts {max(totals):,} rows, and this file holds {n_rows:,}: land every page"
    if any(name in NEXT.split() and value for name, value in about):
        return "the file is one page of an answer, and the answer has more: land every page"
    return ""


def _about(one: Mapping[str, Any], depth: int) -> Iterator[tuple[str, Any]]:
    """Names, folded, and values of an object and of those inside that are about pages."""
    for name, value in one.items():
        yield folded(name), value
        if depth and isinstance(value, dict) and folded(name) in ABOUT_PAGES:
            yield from _about(value, depth - 1)


def _count(value: object) -> int:
    """A count; 0 where it is none."""
    if isinstance(value, dict):
        value = value.get("value")
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
