"""Search by words, by profiles, and by both: a real release of each collection, asked every query.

`python -m bench.search` lands the collection in a workspace of its own, publishes it at first light, and asks as the
service does. The weight of words for one half of the queries is chosen on the other half. Collections: Cranfield
(binary relevance), and kdconv-zh, whose queries name their item or do not.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bench.figures import ROOT, SHARED_DATA, write_figures
from bench.own_release import opened, published

HOME = ROOT / "var" / "bench" / "search"
WEIGHTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
ALONE = {"profiles": 0.0, "bm25": 1.0}
K = 10
ROUNDS = 2000


@dataclass(frozen=True)
class Query:
    """A query and what it should find."""

    text: str
    relevant: frozenset[str]
    group: str
    """Judged apart."""


def cranfield() -> tuple[list[dict[str, object]], list[Query]]:
    """Catalogue rows and queries; an item that somebody judged relevant at all is relevant."""
    folder = SHARED_DATA / "search-cranfield"
    items = [row for row in _rows(folder / "items.parquet") if row["title"] or row["description"]]
    relevant: dict[str, set[str]] = {}
    for row in _rows(folder / "qrels.parquet"):
        if int(str(row["relevance"])) >= 1:
            relevant.setdefault(str(row["query_id"]), set()).add(str(row["item_id"]))
    found = [(str(row["query_id"]), str(row["query"])) for row in _rows(folder / "queries.parquet")]
    return items, [Query(text, frozenset(relevant[key]), "all") for key, text in found if key in relevant]


def kdconv() -> tuple[list[dict[str, object]], list[Query]]:
    """The Chinese items, and the test queries that name their item, or do not."""
    folder = SHARED_DATA / "kdconv-zh"
    items = [{**row, "updated_at": "2026-01-01"} for row in _rows(folder / "items.parquet")]
    groups = {"True": "named", "False": "unnamed"}
    queries = [
        Query(str(row["query"]), frozenset([str(row["item_id"])]), groups[str(row["name_in_query"])])
        for row in _rows(folder / "queries_qrels.parquet")
        if row["split"] == "test"
    ]
    return items, queries


COLLECTIONS = {"cranfield": cranfield, "kdconv": kdconv}


def main() -> None:
    """Build what is missing, ask, and write var/bench/search.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--collection", action="append", choices=COLLECTIONS, help="default: all; may be repeated"
    )
    parser.add_argument("--fresh", action="store_true", help="build the releases anew")
    asked = parser.parse_args()
    figures: dict[str, float] = {}
    for name in asked.collection or COLLECTIONS:
        items, queries = COLLECTIONS[name]()
        store = published(HOME / name, HOME / "cache", {"catalogue/items": items}, fresh=asked.fresh)
        figures |= {f"{name}_{key}": value for key, value in measured(store, queries).items()}
    write_figures("search", figures)


def measured(store: Path, queries: Sequence[Query]) -> dict[str, float]:
    """ndcg@10 of each way, and the paired difference of both together from each alone."""
    ndcg = {weight: _ndcg(store, queries, weight) for weight in {*ALONE.values(), *WEIGHTS}}
    even_Q = np.arange(len(queries)) % 2 == 0
    fused_Q, figures = np.empty(len(queries)), {"queries": float(len(queries))}
    for half, others_Q in (("even", ~even_Q), ("odd", even_Q)):  # no query has a say in its own weight
        means = {weight: float(ndcg[weight][others_Q].mean()) for weight in WEIGHTS}
        chosen = max(WEIGHTS, key=means.__getitem__)
        fused_Q[~others_Q] = ndcg[chosen][~others_Q]
        figures[f"lexical_weight_{half}"] = chosen
    for group in sorted({query.group for query in queries}):
        mine = np.array([query.group == group for query in queries])
        figures[f"{group}_fused"] = float(fused_Q[mine].mean())
        for name, weight in ALONE.items():
            low, high = _interval(fused_Q[mine] - ndcg[weight][mine])
            figures |= {f"{group}_{name}": float(ndcg[weight][mine].mean())}
            figures |= {f"{group}_gain_over_{name}_low": low, f"{group}_gain_over_{name}_high": high}
    shown = {key: round(value, 4) for key, value in figures.items()}
    print(json.dumps(shown, indent=1))
    print(
        "all queries by weight:", {weight: round(float(values.mean()), 4) for weight, values in ndcg.items()}
    )
    return shown


def _ndcg(store: Path, queries: Sequence[Query], weight: float) -> NDArray[np.float64]:
    """ndcg@10 of each query with this weight of words."""
    from recsys.serving.answers import ListRequest

    recommender = opened(store, HOME / "cache/releases", {"lexical_weight": weight})
    gain_K = 1 / np.log2(np.arange(2, K + 2))
    found = []
    for query in queries:
        listed = [one.item_id for one in recommender.search(query.text, ListRequest(k=K)).items]
        hits = np.array([item in query.relevant for item in listed], float)
        found.append(float(hits @ gain_K[: len(hits)] / gain_K[: len(query.relevant)].sum()))
    return np.array(found)


def _interval(differences_Q: NDArray[np.float64]) -> tuple[float, float]:
    """95 % of the bootstrap means."""
    rng = np.random.default_rng(0)
    means = rng.choice(differences_Q, (ROUNDS, len(differences_Q))).mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def _rows(path: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = pq.read_table(path).to_pylist()
    return found


if __name__ == "__main__":
    main()
