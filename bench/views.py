"""What views of an item add to its text: relations and posters of films, citations of papers.

Every row is one run of `recsys benchmark cold-start`, scored by the judge (../shared/judge/score.py), beside the row of
the same text without views.

Films are the cold ones of ml-100k-multimodal. Their relations are the Freebase triples, with the films' entity ids
replaced by their item ids (kg_item_link); those on `relations.left_out` of params.yaml are not used. Posters need the
vectors that `make bench-posters` leaves; without them rows with posters are left out.

Papers are those of CiteULike H, by title. Their relations are citations, as far as a paper's arrival could know them,
see `view_files.citations`. Tags are left out: they come from the users who saved the paper.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from bench.figures import ROOT, write_figures
from bench.posters import TARGET as POSTERS
from bench.protocols import PROTOCOLS, TOP, judged, require_shared_data
from bench.view_files import FILES, OPTIONS, VIEWS, write_view

WORK = ROOT / "var" / "bench" / "views"

METRIC = "ndcg@20"
SHOWN = ("relations", "images", "both")
"""Of VIEWS. A second encoder is left out: its vectors are of all columns, also of those that a row here leaves out."""
FILM = "title,description,genres"
TEXTS = {
    "text": ("ml100k_cold", FILM),
    "people": ("ml100k_cold", f"{FILM},directors,actors,writers,country"),
    "papers": ("citeulike_H", "title"),
}
"""Name of a text -> its protocol and columns: of films alone, of films with people and country, of papers."""
console = Console(stderr=True)


@dataclass(frozen=True)
class Row:
    """One run."""

    text: str
    """A name in TEXTS."""
    views: str
    """A name in SHOWN, or "" for the text alone."""

    @property
    def name(self) -> str:
        """For figures and files."""
        return "_".join(filter(None, (self.text, self.views)))

    @property
    def folder(self) -> Path:
        """Where the files of its protocol lie."""
        return WORK / TEXTS[self.text][0]

    @property
    def judge(self) -> str:
        """The judge's name of its protocol."""
        return next(one.judge for one in PROTOCOLS if one.name == TEXTS[self.text][0])

    @property
    def files(self) -> dict[str, Path]:
        """Options with the files of its views."""
        return {OPTIONS[name]: self.folder / f"{name}.parquet" for name in VIEWS.get(self.views, ())}


def main() -> None:
    """Run all rows, or those that are named."""
    rows = [
        Row(text, views)
        for text, (protocol, _) in TEXTS.items()
        for views in ("", *SHOWN)
        if set(VIEWS.get(views, ())) <= set(FILES[protocol])
    ]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="*", help=f"rows, of {', '.join(row.name for row in rows)}")
    parser.add_argument("--seed", type=int, help="of everything random; default: that of params.yaml")
    args = parser.parse_args()
    require_shared_data()
    wanted = [row for row in rows if not args.only or row.name in args.only]
    if not POSTERS.is_file():
        console.print(f"no posters: {POSTERS} is missing, run make bench-posters")
        wanted = [row for row in wanted if "vectors" not in row.files]
    for protocol in {TEXTS[row.text][0] for row in wanted}:
        write_inputs(protocol)
    figures: dict[str, float | int | str] = {}
    table = Table("row", METRIC, "gain over the text", "weights", "coverage", title="views")
    for row in wanted:
        figures |= run(row, args.seed, table)
    Console().print(table)
    if not args.only:
        write_figures("views", figures)


def write_inputs(protocol: str) -> None:
    """Write the files of a protocol that the command reads."""
    folder = WORK / protocol
    folder.mkdir(parents=True, exist_ok=True)
    items, interactions, cold = next(one for one in PROTOCOLS if one.name == protocol).files()
    pq.write_table(items, folder / "items.parquet")
    pq.write_table(interactions, folder / "interactions.parquet")
    pq.write_table(pa.table({"item_id": cold}), folder / "cold.parquet")
    for name in {name for views in SHOWN for name in VIEWS[views]} & set(FILES[protocol]):
        if name != "posters" or POSTERS.is_file():
            write_view(protocol, name, cold, folder)


def run(row: Row, seed: int | None, table: Table) -> dict[str, float | int | str]:
    """One run of the command, judged beside the same text without views."""
    console.rule(row.name)
    out = WORK / f"{row.name}.parquet"
    command = [sys.executable, "-m", "recsys", "benchmark", "cold-start", "--top", str(TOP), "--json"]
    for name in ("items", "interactions", "cold"):
        command += [f"--{name}", str(row.folder / f"{name}.parquet")]
    for option, file in row.files.items():
        command += [f"--{option}", str(file)]
    command += ["--text", TEXTS[row.text][1], "--out", str(out)]
    command += [] if seed is None else ["--seed", str(seed)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    summary: dict[str, Any] = json.loads(done.stdout)
    base = WORK / f"{row.text}.parquet"
    beside = ["--against", str(base)] if row.views and base.is_file() else []
    found = judged(row.judge, out, *beside)[METRIC]
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
