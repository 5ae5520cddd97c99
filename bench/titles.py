"""Real titles for benchmarks: CiteULike's papers where ../shared lies beside the checkout, else the demo's films."""

import json
from functools import cache

import pyarrow.parquet as pq

from bench.figures import ROOT, SHARED_DATA


@cache
def real_titles() -> tuple[str, ...]:
    """Titles, in a fixed order."""
    papers = SHARED_DATA / "citeulike-a" / "items.parquet"
    if papers.exists():
        return tuple(
            title for title in pq.read_table(papers, columns=["title"])["title"].to_pylist() if title
        )
    titles = []
    for path in sorted((ROOT / "data" / "catalogue").glob("*/rows.parquet")):
        titles += [title for title in pq.read_table(path, columns=["title"])["title"].to_pylist() if title]
    if not titles:
        raise SystemExit(json.dumps({"error": "no titles", "remedy": "make data"}))
    return tuple(titles)
