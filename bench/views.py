"""What views of an item add to its text: relations, posters and both, on the cold films of ml-100k-multimodal.

Every row is one run of `recsys benchmark cold-start`, scored by the judge (../shared/judge/score.py), beside the row of
the same text without views. Relations are the Freebase triples, with the films' entity ids replaced by their item ids
(kg_item_link); those on `relations.left_out` of params.yaml are not used. Posters need the vectors that
`make bench-posters` leaves; without them rows with posters are left out.
"""

import argparse
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from bench.figures import ROOT, SHARED_DATA, write_figures
from bench.posters import TARGET as POSTERS
from bench.protocols import TOP, judged, ml100k, require_shared_data

WORK = ROOT / "var" / "bench" / "views"

JUDGE_NAME, METRIC = "ml100k-cold", "ndcg@20"
FILM = "title,description,genres"
TEXTS = {"text": FILM, "people": f"{FILM},directors,actors,writers,country"}
"""Name of a text -> its columns: of the film alone, and with people and country."""
VIEWS = ("", "relations", "images", "both")
console = Console(stderr=True)


@dataclass(frozen=True)
class Row:
    """One run."""

    text: str
    """A name in TEXTS."""
    views: str
    """One of VIEWS."""

    @property
    def name(self) -> str:
        """For figures and files."""
        return "_".join(filter(None, (self.text, self.views)))

    @property
    def files(self) -> dict[str, Path]:
        """Options with the files of its views."""
        wanted = {"relations": ("relations",), "images": ("vectors",), "both": ("relations", "vectors")}
        return {option: WORK / f"{option}.parquet" for option in wanted.get(self.views, ())}


def main() -> None:
    """Run all rows, or those that are named."""
    rows = [Row(text, views) for text in TEXTS for views in VIEWS]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="*", help=f"rows, of {', '.join(row.name for row in rows)}")
    parser.add_argument("--seed", type=int, help="of everything random; default: that of params.yaml")
    args = parser.parse_args()
    require_shared_data()
    wanted = [row for row in rows if not args.only or row.name in args.only]
    if not POSTERS.is_file():
        console.print(f"no posters: {POSTERS} is missing, run make bench-posters")
        wanted = [row for row in wanted if "vectors" not in row.files]
    write_inputs()
    figures: dict[str, float | int | str] = {}
    table = Table("row", METRIC, "gain over the text", "weights", "coverage", title="views")
    for row in wanted:
        figures |= run(row, args.seed, table)
    Console().print(table)
    if not args.only:
        write_figures("views", figures)


def write_inputs() -> None:
    """Write the files that the command reads."""
    WORK.mkdir(parents=True, exist_ok=True)
    items, interactions, cold = ml100k()
    pq.write_table(items, WORK / "items.parquet")
    pq.write_table(interactions, WORK / "interactions.parquet")
    pq.write_table(pa.table({"item_id": cold}), WORK / "cold.parquet")
    pq.write_table(freebase(), WORK / "relations.parquet")
    if POSTERS.is_file():
        shutil.copyfile(POSTERS, WORK / "vectors.parquet")


def freebase() -> pa.Table:
    """The triples, with item ids in the place of the films' entity ids."""
    folder = SHARED_DATA / "ml-100k-multimodal"
    triples = pq.read_table(folder / "kg_triples_freebase.parquet")
    link = pq.read_table(folder / "kg_item_link.parquet")
    entities, items = (link[name].cast(pa.string()).combine_chunks() for name in ("entity_id", "item_id"))

    def translated(column: pa.ChunkedArray) -> pa.ChunkedArray:
        ids = column.cast(pa.string())
        return pc.coalesce(items.take(pc.index_in(ids, value_set=entities)), ids)

    for name in ("head", "tail"):
        place = triples.column_names.index(name)
        triples = triples.set_column(place, name, translated(triples[name]))
    return triples.select(["head", "relation", "tail"])


def run(row: Row, seed: int | None, table: Table) -> dict[str, float | int | str]:
    """One run of the command, judged beside the same text without views."""
    console.rule(row.name)
    out = WORK / f"{row.name}.parquet"
    command = [sys.executable, "-m", "recsys", "benchmark", "cold-start", "--top", str(TOP), "--json"]
    for name in ("items", "interactions", "cold"):
        command += [f"--{name}", str(WORK / f"{name}.parquet")]
    for option, file in row.files.items():
        command += [f"--{option}", str(file)]
    command += ["--text", TEXTS[row.text], "--out", str(out)]
    command += [] if seed is None else ["--seed", str(seed)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    summary: dict[str, Any] = json.loads(done.stdout)
    base = WORK / f"{row.text}.parquet"
    beside = ["--against", str(base)] if row.views and base.is_file() else []
    found = judged(JUDGE_NAME, out, *beside)[METRIC]
    return _figures(row, summary, found, table)


def _figures(
    row: Row, summary: dict[str, Any], found: dict[str, float], table: Table
) -> dict[str, float | int | str]:
    weights = {name: float(weight) for name, weight in summary["view_weights"].items()}
    shares = {name: float(share) for name, share in summary["view_coverage"].items()}
    gain = ""
    figures: dict[str, float | int | str] = {f"{row.name}_{METRIC}": round(found["mean"], 4)}
    if "difference" in found:
        bounds = {bound: round(found[f"difference{bound}"], 4) for bound in ("", "_low", "_high")}
        figures |= {f"{row.name}_gain{bound}": value for bound, value in bounds.items()}
        gain = f"{bounds['']:+.4f} [{bounds['_low']:+.4f}, {bounds['_high']:+.4f}]"
    figures |= {f"{row.name}_weight_{name}": weights.get(name, 0.0) for name in shares}
    figures |= {f"{row.name}_coverage_{name}": round(share, 3) for name, share in shares.items()}
    table.add_row(
        row.name,
        f"{found['mean']:.4f} [{found['low']:.4f}, {found['high']:.4f}]",
        gain,
        ", ".join(f"{name} {weights.get(name, 0.0):g}" for name in shares),
        ", ".join(f"{name} {share:.0%}" for name, share in shares.items()),
    )
    return figures


if __name__ == "__main__":
    main()
