"""What does one huge landed file take? From the landing zone to an accepted part, by `recsys ingest`.

A catalogue with made-up descriptions of 7,500 characters lands as one file: random letters, which hardly compress, or
a line of random letters repeated, so that a small Parquet file holds many GB. The command runs in a process of its
own, which says how much processor time it took, and how large it or the process that reads became. Then the part is
read block by block and compared with what landed.

    python -m bench.large_files parquet 3            3 GB of texts, in row groups of 4,096 rows
    python -m bench.large_files parquet 3 --groups 1 in one row group
    python -m bench.large_files csv 3
    python -m bench.large_files jsonl 3
    python -m bench.large_files parquet 20 --repeat  a small file that holds 20 GB
"""

import argparse
import csv
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.arrivals import Catalogue
from bench.figures import ROOT, write_figures
from recsys.artifacts import Artifacts
from recsys.catalogue.kinds import CATALOGUE
from recsys.catalogue.parts import list_parts
from recsys.catalogue.refusals import standing
from recsys.planning.probing import measured_command

CHARS, REPEATED_CHARS = 7_500, 125
STEP = 4_096
"""Rows that are made together."""
COLUMNS = ("item_id", "title", "description")
SCHEMA = pa.schema([(name, pa.string()) for name in COLUMNS])
LETTERS = np.frombuffer(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789      ", np.uint8)
WORK = ROOT / "var" / "bench" / "large_files"


def main() -> None:
    """Land one file, take it in, compare, report, and delete it again."""
    parser = argparse.ArgumentParser(
        prog="bench.large_files", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("format", choices=["parquet", *TEXT_WRITERS])
    parser.add_argument("gb", type=float, help="of descriptions")
    parser.add_argument("--repeat", action="store_true", help="descriptions that compress well")
    parser.add_argument(
        "--groups", type=int, default=0, help="row groups of a Parquet file; 0: as the rows come"
    )
    args = parser.parse_args()
    name = "-".join(
        [
            args.format,
            f"{args.gb:g}gb",
            *["repeat"] * args.repeat,
            *[f"{args.groups}-groups"] * (args.groups > 0),
        ]
    )
    catalogue = Catalogue(WORK / name)
    catalogue.create()
    try:
        n_rows = int(args.gb * 1e9 / CHARS)
        path = catalogue.landing / CATALOGUE / f"all.{args.format}"
        path.parent.mkdir(parents=True)
        group_rows = -(-n_rows // args.groups) if args.groups else STEP
        n_random = REPEATED_CHARS if args.repeat else CHARS
        blocks = made(n_rows, n_random)
        if args.format == "parquet":
            _write_parquet(path, blocks, group_rows, is_small=args.repeat)
        else:
            TEXT_WRITERS[args.format](path, blocks)
        size = path.stat().st_size
        print(f"{name}: {n_rows:,} rows, a file of {size / 1e9:.2f} GB", flush=True)
        started = time.perf_counter()
        cpu_seconds, peak_bytes = measured_command(["ingest"], dict(os.environ), catalogue.folder)
        seconds = time.perf_counter() - started
        _compare(Artifacts(catalogue.root), n_rows, n_random)
        write_figures(f"large_files-{name}", {
            "rows": n_rows,
            "file_gb": round(size / 1e9, 2),
            "ingest_cpu_seconds": round(cpu_seconds, 1),
            "ingest_seconds": round(seconds, 1),
            "peak_mb": round(peak_bytes / 1e6),
            "load": round(os.getloadavg()[0], 1),
        })  # fmt: skip
        print(f"{cpu_seconds:.0f} processor seconds, peak {peak_bytes / 1e6:,.0f} MB, {seconds:.0f} s")
    finally:
        shutil.rmtree(catalogue.folder, ignore_errors=True)


def made(n_rows: int, n_random: int) -> Iterator[tuple[list[str], list[str], list[str]]]:
    """Ids, titles and descriptions, STEP rows at a time; the same in every run.

    Args:
        n_rows: of the file.
        n_random: random letters of a description; fewer than CHARS repeat.

    Yields:
        Three columns.
    """
    rng = np.random.default_rng(0)
    for start in range(0, n_rows, STEP):
        n = min(STEP, n_rows - start)
        places = rng.integers(len(LETTERS), size=(n, n_random), dtype=np.uint8)
        letters = LETTERS[places].tobytes().decode("ascii")
        drawn = [letters[row * n_random : (row + 1) * n_random] for row in range(n)]
        texts = [f"d{one[1:-1]}d" * (CHARS // n_random) for one in drawn]
        yield [f"p{start + row}" for row in range(n)], [f"Lamp {start + row}" for row in range(n)], texts


def _write_parquet(
    path: Path, blocks: Iterator[tuple[list[str], ...]], group_rows: int, *, is_small: bool
) -> None:
    """Arrow writes a row group whole; one that is larger than STEP is gathered in memory first."""
    held: list[pa.Table] = []
    with pq.ParquetWriter(path, SCHEMA, compression="zstd" if is_small else "none") as writer:
        for block in blocks:
            held.append(pa.table(dict(zip(COLUMNS, block, strict=True)), SCHEMA))
            if sum(map(len, held)) >= group_rows:
                writer.write_table(pa.concat_tables(held), row_group_size=group_rows)
                held = []
        if held:
            writer.write_table(pa.concat_tables(held), row_group_size=group_rows)


def _write_csv(path: Path, blocks: Iterator[tuple[list[str], ...]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for block in blocks:
            writer.writerows(zip(*block, strict=True))


def _write_jsonl(path: Path, blocks: Iterator[tuple[list[str], ...]]) -> None:
    with path.open("w") as file:
        for block in blocks:
            rows = (dict(zip(COLUMNS, row, strict=True)) for row in zip(*block, strict=True))
            file.writelines(f"{json.dumps(row)}\n" for row in rows)


TEXT_WRITERS: Mapping[str, Callable[[Path, Iterator[tuple[list[str], ...]]], None]] = MappingProxyType(
    {"csv": _write_csv, "jsonl": _write_jsonl}
)


def _compare(at: Artifacts, n_rows: int, n_random: int) -> None:
    """AssertionError where the part holds other rows than landed."""
    parts = list_parts(at.data, CATALOGUE)
    if not parts:
        raise AssertionError(str([refusal.problems for refusal in standing(at.refused)]))
    (part,) = parts
    stored = (
        row
        for batch in part.batches(COLUMNS)
        for row in zip(*(batch[name].to_pylist() for name in COLUMNS), strict=True)
    )
    landed = (row for block in made(n_rows, n_random) for row in zip(*block, strict=True))
    n_equal = sum(found == row for found, row in zip(stored, landed, strict=True))
    if n_equal != n_rows:
        raise AssertionError(f"{n_rows - n_equal:,} of {n_rows:,} rows are not what landed")


if __name__ == "__main__":
    main()
