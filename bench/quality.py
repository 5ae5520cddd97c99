"""Quality on items without interactions: Firstlight, floors and learned rivals on public protocols.

Firstlight runs with three seeds, learned rivals, which vary more, with five; beside relations, posters, citations
or a second encoder (`bench/view_files.py`) it runs with one. Posters need what `make bench-posters` leaves, the second
encoder what `make bench-encoders` leaves.

Every (protocol, method, seed) is one row: a process of its own, scored by the judge (../shared/judge/score.py), kept
in var/bench/quality/rows.jsonl. Rows that are there are not run again, so a run that was cut short goes on, and a row
can be run alone: `python -m bench.quality --protocol citeulike_H --method heater --seed 2`. Methods without a
row here keep those of docs/quality.rows.jsonl. When nothing is missing, docs/quality.md, docs/quality.json and
var/bench/quality.json are written from the rows; `--report` writes them from the rows that there are.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from bench.figures import ROOT, commit
from bench.protocols import PROTOCOLS, TOP, judged, require_shared_data
from bench.quality_page import PUBLISHED_ROWS, publish, with_published
from bench.quality_rows import HOME, METHODS, OURS, SEEDS, VIEWED, Key, Row, all_keys, keep_row, read_rows
from bench.view_files import OPTIONS, VIEWS, write_view

JUDGES = {one.name: one.judge for one in PROTOCOLS}
HEADLINES = {one.name: one.figures[0] for one in PROTOCOLS}
CHOICES = (
    "folds",
    "width",
    "lexical_share",
    "field_terms",
    "constant",
    "alike",
    "metric_power",
    "words_weight",
    "first_light",
    "ridge_lambda",
    "prior_weight",
)
"""Of the command's summary, what it chose and by which folds."""
OF_VIEWS = ("view_weights", "view_coverage")
"""The same of views, where it was given any."""
console = Console(stderr=True)


@dataclass(frozen=True)
class Ended:
    """A process that has ended well."""

    seconds: float
    peak_mib: float
    output: str


def main() -> None:
    """Run the wanted rows that are missing, then report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--protocol", action="append", choices=list(JUDGES), help="may be repeated; default: all"
    )
    parser.add_argument(
        "--method", action="append", choices=[*METHODS, *VIEWED], help="may be repeated; default: all"
    )
    parser.add_argument(
        "--seed", action="append", type=int, choices=SEEDS, help="may be repeated; default: all"
    )
    parser.add_argument("--again", action="store_true", help="run rows that are there as well")
    parser.add_argument("--report", action="store_true", help="run nothing, write the report")
    args = parser.parse_args()
    require_shared_data()
    if not args.report:
        keys = [
            key
            for key in all_keys()
            if key.protocol in (args.protocol or JUDGES)
            and key.method in (args.method or (*METHODS, *VIEWED))
            and key.seed in (args.seed or SEEDS)
        ]
        run_rows(keys, args.again)
    rows = with_published(read_rows(), read_rows(PUBLISHED_ROWS))
    missing = [key for key in all_keys() if key not in rows]
    if args.report or not missing:
        publish(rows)
    if missing:
        console.print(f"{len(missing)} of {len(all_keys())} rows are missing, first {missing[0]}")


def run_rows(keys: list[Key], again: bool) -> None:
    """Run rows one after another, with the time that is left by what each method took so far."""
    known = {} if again else read_rows()
    todo = [key for key in keys if key not in known]
    console.print(f"{len(keys) - len(todo)} rows are there, {len(todo)} to run")
    took: dict[str, list[float]] = {}
    for row in known.values():
        took.setdefault(row.method, []).append(row.seconds)
    for place, key in enumerate(todo, start=1):
        if not again and key in read_rows():
            continue  # another process was quicker
        started = time.monotonic()
        row = run_row(key)
        keep_row(row)
        took.setdefault(key.method, []).append(time.monotonic() - started)
        headline = HEADLINES[key.protocol]
        console.print(
            f"[{place}/{len(todo)}] {key}: {headline} {row.metrics[headline]['mean']:.4f}, {row.seconds:.0f} s, "
            f"{row.peak_mib:.0f} MiB; about {minutes_left(todo[place:], took):.0f} min left",
            highlight=False,
            soft_wrap=True,
        )


def minutes_left(todo: list[Key], took: dict[str, list[float]]) -> float:
    """By the mean of each method, or of all where it has not run yet."""
    everything = [seconds for one in took.values() for seconds in one]
    means = {method: sum(one) / len(one) for method, one in took.items()}
    fallback = sum(everything) / len(everything)
    return sum(means.get(key.method, fallback) for key in todo) / 60


def run_row(key: Key) -> Row:
    """One method on one protocol with one seed, scored."""
    key.run.parent.mkdir(parents=True, exist_ok=True)
    record = key.run.with_suffix(f".{os.getpid()}.record")
    if key.method == OURS or key.method in VIEWED:
        ended = timed(firstlight_command(key))
        word = firstlight_word(ended.output)
    else:
        ended = timed(
            [
                sys.executable,
                "-m",
                "bench.quality_run",
                key.protocol,
                key.method,
                str(key.seed),
                str(key.run),
                str(record),
            ]
        )
        word = json.loads(record.read_text())
        record.unlink()
    seconds = ended.seconds + word.pop("other_seconds", 0)
    peak_mib = max(ended.peak_mib, word.pop("other_peak_mib", 0))
    return Row(
        protocol=key.protocol,
        method=key.method,
        seed=key.seed,
        metrics=judged(JUDGES[key.protocol], key.run),
        seconds=round(seconds, 1),
        peak_mib=round(peak_mib, 1),
        commit=commit(),
        **word,
    )


def firstlight_command(key: Key) -> list[str]:
    """`recsys benchmark cold-start` as a user would run it, on three plain files and those of views."""
    folder = HOME / "files" / key.protocol
    folder.mkdir(parents=True, exist_ok=True)
    items, interactions, cold = next(one for one in PROTOCOLS if one.name == key.protocol).files()
    command = [sys.executable, "-m", "recsys", "benchmark", "cold-start", "--top", str(TOP), "--json"]
    for name, table in (
        ("items", items),
        ("interactions", interactions),
        ("cold", pa.table({"item_id": cold})),
    ):
        pq.write_table(table, folder / f"{name}.parquet")
        command += [f"--{name}", str(folder / f"{name}.parquet")]
    for name in VIEWS[VIEWED[key.method]] if key.method in VIEWED else ():
        command += [f"--{OPTIONS[name]}", str(write_view(key.protocol, name, cold, folder))]
    seed = ["--seed", str(key.seed)] if knows_seed() else []
    return [*command, *seed, "--out", str(key.run)]


@cache
def knows_seed() -> bool:
    """Whether the command takes a seed."""
    command = [sys.executable, "-m", "recsys", "benchmark", "cold-start", "--help"]
    return "--seed" in subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def firstlight_word(output: str) -> dict[str, Any]:
    """What the command's summary says of its choices."""
    summary: dict[str, Any] = json.loads(output)
    tried = summary.pop("validation_ndcg", {})
    numbers = tried.values() if isinstance(tried, dict) else [tried]
    found = [number for number in numbers if isinstance(number, int | float)]
    return {
        "settings": {
            name: value
            for name, value in summary.items()
            if name in CHOICES or (name in OF_VIEWS and summary.get("view_coverage"))
        },
        "tried": len(found),
        "validation_ndcg": max(found, default=None),
        "choosing_seconds": None,
    }


def timed(command: list[str]) -> Ended:
    """Run a command to its end; its output is kept, its words on stderr are shown; seconds and memory are its own."""
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout as pipe:
        output = pipe.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"exit {process.returncode} of {' '.join(command)}")
    return Ended(time.perf_counter() - started, usage.ru_maxrss / 1024, output)


if __name__ == "__main__":
    main()
