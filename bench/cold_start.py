"""Cold start: `recsys benchmark cold-start` on five public protocols, scored by the judge, beside a TF-IDF centroid.

The command runs as a user would run it, on three plain files per protocol under var/bench/cold_start/; the judge
(../shared/judge/score.py) knows nothing of this project. The floor is scored by the same judge in the same run.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from bench.figures import JUDGE, ROOT, SHARED_DATA, write_figures
from recsys.evaluation.tables import joined, text_columns

WORK = ROOT / "var" / "bench" / "cold_start"
TOP = 150
console = Console(stderr=True)


@dataclass(frozen=True)
class Protocol:
    """One task of the judge, and the figures that are reported."""

    name: str
    judge: str
    figures: tuple[str, ...]
    files: Callable[[], tuple[pa.Table, pa.Table, pa.Array]]
    """Makes items, interactions and the ids of the cold items."""


def citeulike(train: str, *cold: str) -> Callable[[], tuple[pa.Table, pa.Table, pa.Array]]:
    """Titles only: the tags come from the users who saved the item."""

    def make() -> tuple[pa.Table, pa.Table, pa.Array]:
        folder = SHARED_DATA / "citeulike-a"
        candidates = [pq.read_table(folder / f"split_{name}.parquet")["item_id"] for name in cold]
        return (
            pq.read_table(folder / "items.parquet", columns=["item_id", "title"]),
            pq.read_table(folder / f"split_{train}.parquet"),
            pc.unique(pa.chunked_array([chunk for one in candidates for chunk in one.chunks])),
        )

    return make


def ml100k() -> tuple[pa.Table, pa.Table, pa.Array]:
    """Every rating; a fifth of the movies is cold."""
    folder = SHARED_DATA / "ml-100k-multimodal"
    sides = pq.read_table(folder / "split_item_cold_random20_seed20260101.parquet")
    return (
        pq.read_table(folder / "items.parquet"),
        pq.read_table(folder / "interactions.parquet"),
        sides.filter(sides["is_cold"])["item_id"].combine_chunks(),
    )


def industrial() -> tuple[pa.Table, pa.Table, pa.Array]:
    """Cold items are those that the train part does not know."""
    folder = SHARED_DATA / "amazon-industrial-2018"
    log = pq.read_table(folder / "interactions.parquet")
    warm = pc.unique(log.filter(pc.equal(log["split"], "train"))["item_id"])
    cold = log.filter(pc.invert(pc.is_in(log["item_id"], value_set=warm)))
    return pq.read_table(folder / "items.parquet"), log, pc.unique(cold["item_id"])


PROTOCOLS = (
    Protocol(
        "citeulike_H",
        "citeulike-H",
        ("ndcg@20", "recall@20", "recall@100"),
        citeulike("dropoutnet_train", "heater_cold_test"),
    ),
    Protocol(
        "citeulike_D",
        "citeulike-D",
        ("recall@100", "ndcg@20"),
        citeulike("dropoutnet_train", "heater_cold_test", "heater_cold_valid"),
    ),
    Protocol(
        "citeulike_G",
        "citeulike-G",
        ("precision@20", "ndcg@20"),
        citeulike("gar_train", "gar_cold_test", "gar_cold_valid"),
    ),
    Protocol("ml100k_cold", "ml100k-cold", ("ndcg@20", "recall@20"), ml100k),
    Protocol("industrial_cold", "industrial-cold", ("ndcg@20", "recall@20"), industrial),
)


def main() -> None:
    """Run all protocols, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "only", nargs="*", choices=[[], *(one.name for one in PROTOCOLS)], help="protocols; default: all"
    )
    names = parser.parse_args().only
    if not SHARED_DATA.is_dir():
        sys.exit(
            f"{SHARED_DATA} is not here: this benchmark needs the shared data sets and the judge beside them"
        )
    figures: dict[str, float | int | str] = {}
    table = Table(
        "protocol", "metric", "Firstlight", "TF-IDF centroid", "ratio", "seconds", title="cold start"
    )
    for protocol in PROTOCOLS:
        if names and protocol.name not in names:
            continue
        figures |= run(protocol, table)
    Console().print(table)
    if not names:
        write_figures("cold_start", figures)


def run(protocol: Protocol, table: Table) -> dict[str, float | int | str]:
    """One protocol: files, command, floor, judge."""
    folder = WORK / protocol.name
    folder.mkdir(parents=True, exist_ok=True)
    items, interactions, cold = protocol.files()
    pq.write_table(items, folder / "items.parquet")
    pq.write_table(interactions, folder / "interactions.parquet")
    pq.write_table(pa.table({"item_id": cold}), folder / "cold.parquet")
    console.rule(protocol.name)
    started = time.perf_counter()
    command = [sys.executable, "-m", "recsys", "benchmark", "cold-start", "--top", str(TOP)]
    for name in ("items", "interactions", "cold"):
        command += [f"--{name}", str(folder / f"{name}.parquet")]
    subprocess.run([*command, "--out", str(folder / "run.parquet")], cwd=ROOT, check=True)
    seconds = time.perf_counter() - started
    write_floor(folder, items, interactions, cold)
    ours, floor = (judged(protocol.judge, folder / f"{name}.parquet") for name in ("run", "floor"))
    figures: dict[str, float | int | str] = {f"{protocol.name}_seconds": round(seconds, 1)}
    for metric in protocol.figures:
        figures[f"{protocol.name}_{metric}"] = round(ours[metric], 4)
        figures[f"{protocol.name}_tfidf_{metric}"] = round(floor[metric], 4)
        figures[f"{protocol.name}_ratio_{metric}"] = round(ours[metric] / floor[metric], 3)
        ratio = f"{ours[metric] / floor[metric]:.2f}"
        table.add_row(
            protocol.name, metric, f"{ours[metric]:.4f}", f"{floor[metric]:.4f}", ratio, f"{seconds:.0f}"
        )
    return figures


def write_floor(folder: Path, items: pa.Table, interactions: pa.Table, cold: pa.Array) -> None:
    """The gate's TF-IDF centroid (bigrams, no stop words) on the same texts and training pairs."""
    from scipy.sparse import csr_array

    from recsys.encoders.tfidf import fit_tfidf

    named = [name for name in text_columns(items) if name != "item_id"]
    words = [text.to_pylist() for name in named if (text := joined(items[name])) is not None]
    texts = [" ".join(filter(None, row)) for row in zip(*words, strict=True)]
    users = sorted(pc.unique(interactions["user_id"]).to_pylist())
    row_of = {item: row for row, item in enumerate(items["item_id"].to_pylist())}
    cold_rows = np.array(sorted(row_of[item] for item in cold.to_pylist()))
    user_of = {user: row for row, user in enumerate(users)}
    u = np.array([user_of[user] for user in interactions["user_id"].to_pylist()])
    i = np.array([row_of[item] for item in interactions["item_id"].to_pylist()])
    kept = ~np.isin(i, cold_rows)
    met = csr_array((np.ones(kept.sum()), (u[kept], i[kept])), shape=(len(users), len(texts)))
    met.data[:] = 1
    warm = np.flatnonzero(met.sum(axis=0))
    vectors = csr_array(fit_tfidf([texts[row] for row in warm]).encode(texts))
    scores = ((met @ vectors) @ vectors[cold_rows].T).toarray()
    best = np.argsort(-scores, axis=1, kind="stable")[:, :TOP]
    ids = np.array(items["item_id"].to_pylist(), object)
    run = {
        "user_id": np.repeat(np.array(users, object), best.shape[1]),
        "item_id": ids[cold_rows[best]].ravel(),
        "rank": np.tile(np.arange(1, best.shape[1] + 1), len(users)),
    }
    pq.write_table(
        pa.table({name: pa.array(values) for name, values in run.items()}), folder / "floor.parquet"
    )


def judged(protocol: str, run: Path) -> dict[str, float]:
    """Means by metric, from the judge."""
    scored = run.with_suffix(".json")
    command = [sys.executable, str(JUDGE), protocol, str(run), "--json", str(scored)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    found = json.loads(scored.read_text())
    return {
        name: float(value["mean"] if isinstance(value, dict) else value)
        for name, value in found["metrics"].items()
    }


if __name__ == "__main__":
    main()
