"""Cold start: `recsys benchmark cold-start` on five public protocols, scored by the judge, beside a TF-IDF centroid.

The command runs as a user would run it, on three plain files per protocol under var/bench/cold_start/; the judge
(../shared/judge/score.py) knows nothing of this project. The floor is scored by the same judge in the same run.
"""

import argparse
import subprocess
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from bench.figures import ROOT, write_figures
from bench.protocols import PROTOCOLS, TOP, Protocol, judged, require_shared_data

WORK = ROOT / "var" / "bench" / "cold_start"
console = Console(stderr=True)


def main() -> None:
    """Run all protocols, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "only", nargs="*", choices=[[], *(one.name for one in PROTOCOLS)], help="protocols; default: all"
    )
    names = parser.parse_args().only
    require_shared_data()
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
    from bench.rivals.floors import tfidf_centroid

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
    pq.write_table(tfidf_centroid(items, interactions, cold, TOP), folder / "floor.parquet")
    ours, floor = (
        {
            metric: found["mean"]
            for metric, found in judged(protocol.judge, folder / f"{name}.parquet").items()
        }
        for name in ("run", "floor")
    )
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


if __name__ == "__main__":
    main()
