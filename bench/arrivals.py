"""Does an arrival cost what is new in it, or what the catalogue has grown to?

Catalogues of 10k, 100k and 300k titles (made from real ones) are taken in and published; then 50 arrivals of 1,000
new and 100 changed titles each go from landed file to swapped pointer, in one process: ingest, the fast loop's
stages, publish. Not in these seconds: Airflow, and the start-up of processes (imports), which is reported apart, as
is one arrival per size with every stage through the real `dvc repro`. Bytes are those that the process wrote
(/proc/self/io, wchar) plus what DVC left in its cache.

Then a new ranker and a new head are published over a catalogue of 100,000 titles (`new_parts.py`).

Resumable: each size runs in a process of its own and leaves var/bench/arrivals/<size>.json when it is done.

    make bench-arrivals                  all sizes
    python -m bench.arrivals 10000       one size
    python -m bench.arrivals parts 5000  a new ranker and a new head over that many titles
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench.figures import ROOT, write_figures
from bench.titles import real_titles
from localplatform.workspace import make_workspace

SIZES = (10_000, 100_000, 300_000)
ARRIVALS = 50
NEW, CHANGED = 1_000, 100
USERS, EVENTS_PER_USER = 2_000, 10
LIKED_FROM, ALIKE = 10_000, 100
"""Users like titles among the first so many; each user's come from so many that follow each other in the alphabet."""
STAGES = ("validate", "images", "features", "profiles@champion", "users", "index")
PARTS_SIZE = 100_000
"""Titles over which a new ranker and a new head are published."""
WORK = ROOT / "var" / "bench" / "arrivals"


def made_titles(n: int, offset: int = 0) -> Iterator[str]:
    """Titles made of the halves of two real ones, all different; title i is the same in every catalogue."""
    real = real_titles()
    for i in range(offset, offset + n):
        rng = np.random.default_rng(i)
        first, second = rng.integers(len(real), size=2)
        head, tail = real[first].split(), real[second].split()
        yield " ".join([*head[: len(head) // 2 + 1], *tail[len(tail) // 2 :], f"no {i}"])


def write_landing(landing: Path, name: str, rows: list[dict[str, Any]], kind: str = "catalogue") -> None:
    """Write under a temporary name and rename, as producers must."""
    target = landing / kind / name
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_suffix(".tmp")
    temporary.write_text("".join(json.dumps(row) + "\n" for row in rows))
    temporary.rename(target)


def written_bytes() -> int:
    """Bytes that this process has written so far."""
    counters = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counters["wchar"])


def folder_bytes(folder: Path) -> int:
    """Size of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


class Catalogue:
    """One workspace with its landing zone and store, driven in this process."""

    def __init__(self, folder: Path, store: str = "store") -> None:
        self.folder = folder
        self.root = folder / "workspace"
        self.landing = folder / "landing"
        os.environ |= {
            "RECSYS_WORKSPACE": str(self.root),
            "RECSYS_LANDING": str(self.landing),
            "RECSYS_STORE": str(folder / store),
            "RECSYS_PSEUDONYM_KEY": "benchmark-key-0123456789",
            "RECSYS_CACHE": str(folder / "cache"),
            "DVC_NO_ANALYTICS": "true",
        }
        os.environ.pop("MLFLOW_TRACKING_URI", None)

    def create(self) -> None:
        """A workspace: a clone of this checkout with work in progress laid over it, empty of data."""
        shutil.rmtree(self.folder, ignore_errors=True)
        make_workspace(ROOT, self.root)

    def command(self, *arguments: str) -> None:
        """Run `recsys …` in this process, as its command line would."""
        from click.testing import CliRunner

        from recsys.cli import main

        result = CliRunner().invoke(main, arguments)
        if result.exit_code != 0:
            raise RuntimeError(f"recsys {' '.join(arguments)}: {result.output}\n{result.exception!r}")

    def arrive(self) -> dict[str, float]:
        """Landed file → swapped pointer; seconds per step."""
        seconds = {}
        for step in ("ingest", *STAGES, "publish"):
            started = time.perf_counter()
            if step in STAGES:
                self.command("run", step)
            else:
                self.command(step)
            seconds[step] = time.perf_counter() - started
        return seconds

    def encoded(self) -> int:
        """Texts that the last run of profiles encoded."""
        return int(json.loads((self.root / "var/last_encode.json").read_text())["encoded"])


def first_load(catalogue: Catalogue, size: int) -> None:
    """Take in and publish the whole catalogue and some interactions."""
    rows = [{"item_id": f"t{i}", "title": title} for i, title in enumerate(made_titles(size))]
    write_landing(catalogue.landing, "all.jsonl", rows)
    write_landing(catalogue.landing, "events.jsonl", taste_events(rows[:LIKED_FROM]), "interactions")
    catalogue.command("fetch-champion")
    catalogue.arrive()


def taste_events(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Events of users who each like titles that begin alike: users who like items at random resemble no real ones."""
    rng = np.random.default_rng(7)
    by_title = sorted(range(len(rows)), key=lambda row: str(rows[row]["title"]))
    starts = rng.integers(len(rows) - ALIKE, size=USERS)
    liked = (rng.choice(ALIKE, EVENTS_PER_USER, replace=False) + start for start in starts)
    return [
        {
            "user_id": f"u{user}",
            "item_id": rows[by_title[place]]["item_id"],
            "event": "view",
            "timestamp": 1_700_000_000 + int(place),
        }
        for user, places in enumerate(liked)
        for place in places
    ]


def arrival_rows(size: int, number: int) -> list[dict[str, Any]]:
    """1,000 new titles and 100 changed ones; no two arrivals share any."""
    first_new = size + number * NEW
    new = [
        {"item_id": f"t{i}", "title": t} for i, t in enumerate(made_titles(NEW, first_new), start=first_new)
    ]
    first = number * CHANGED
    changed = [
        {"item_id": f"t{i}", "title": f"{title}, revised edition"}
        for i, title in enumerate(made_titles(CHANGED, first), start=first)
    ]
    return new + changed


def run_size(size: int) -> dict[str, Any]:
    """Load one catalogue, then 50 arrivals."""
    catalogue = Catalogue(WORK / str(size))
    catalogue.create()
    started = time.perf_counter()
    first_load(catalogue, size)
    first_seconds = time.perf_counter() - started
    rounds = []
    for number in range(ARRIVALS):
        write_landing(catalogue.landing, f"a{number:03d}.jsonl", arrival_rows(size, number))
        dvc_cache, before = folder_bytes(catalogue.root / ".dvc/cache"), written_bytes()
        seconds = catalogue.arrive()
        bytes_ = written_bytes() - before + folder_bytes(catalogue.root / ".dvc/cache") - dvc_cache
        rounds.append({"seconds": seconds, "bytes": bytes_, "encoded": catalogue.encoded()})
        print(f"{size:>7,} arrival {number + 1:2d}/{ARRIVALS}: {sum(seconds.values()):5.2f} s "
              f"{bytes_ / 1e6:6.1f} MB, encoded {catalogue.encoded():,}", flush=True)  # fmt: skip
    result = {
        "size": size,
        "first_seconds": first_seconds,
        "rounds": rounds,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "through_dvc_seconds": through_dvc(catalogue, size),
    }
    (WORK / f"{size}.json").write_text(json.dumps(result))
    shutil.rmtree(catalogue.folder)
    return result


def through_dvc(catalogue: Catalogue, size: int) -> float:
    """One more arrival with every step a process of its own, stages by `dvc repro`: start-up included."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def run(*command: str) -> None:
        subprocess.run(command, cwd=catalogue.root, env=environment, check=True, capture_output=True)

    for stage in STAGES:  # the stages ran outside DVC until now: let it learn what lies there
        run("dvc", "commit", "-q", "-f", stage)
    write_landing(catalogue.landing, "dvc.jsonl", arrival_rows(size, ARRIVALS))
    started = time.perf_counter()
    run(sys.executable, "-m", "recsys", "ingest")
    for stage in STAGES:
        run("dvc", "repro", "-q", "--single-item", stage)
    run(sys.executable, "-m", "recsys", "publish")
    return time.perf_counter() - started


def import_seconds() -> float:
    """Start-up of the processes of one arrival, reported apart: imports of what ingest, stages and publish use."""
    modules = "great_expectations, faiss, openvino, pyarrow.parquet, pandas"
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import {modules}"], check=True, capture_output=True)
    return time.perf_counter() - started


def results() -> dict[int, dict[str, Any]]:
    """Run every size that has no result yet, each in a process of its own."""
    found = {}
    for size in SIZES:
        kept = WORK / f"{size}.json"
        if not kept.exists():
            subprocess.run([sys.executable, "-m", "bench.arrivals", str(size)], cwd=ROOT, check=True)
        found[size] = json.loads(kept.read_text())
    return found


def parts_of(size: int) -> dict[str, Any]:
    """What a new ranker and a new head cost, measured in a process of its own where no result is kept."""
    kept = WORK / f"parts-{size}.json"
    if not kept.exists():
        subprocess.run([sys.executable, "-m", "bench.arrivals", "parts", str(size)], cwd=ROOT, check=True)
    found: dict[str, Any] = json.loads(kept.read_text())
    return found


def run_parts(size: int) -> None:
    """Load one catalogue, then publish a new ranker and a new head over it."""
    from bench.new_parts import run_new_parts

    catalogue = Catalogue(WORK / f"parts-{size}")
    catalogue.create()
    first_load(catalogue, size)
    catalogue.command(
        "fetch-champion", "--again"
    )  # now that there are texts: words are joined to the encoder
    for stage in STAGES:
        catalogue.command("run", stage)
    catalogue.command("publish", "--new-encoder")
    run_new_parts(catalogue, size, WORK / f"parts-{size}.json")
    shutil.rmtree(catalogue.folder)


def growth(seconds: list[float]) -> float:
    """How much longer the last arrivals took than the first: medians of five each, since single ones are noisy."""
    return median(seconds[-5:]) / median(seconds[:5])


def print_table(
    found: dict[int, dict[str, Any]], seconds: dict[int, list[float]], bytes_: dict[int, float]
) -> None:
    """A line per size, then the median seconds of every step."""
    heads = ("catalogue", "median s", "1st s", "50th s", "MB", "peak MB", "by dvc s", "first load s")
    print("\n" + "".join(f"{head:>13}" for head in heads))
    for size, result in found.items():
        s = seconds[size]
        values = (median(s), s[0], s[-1], bytes_[size] / 1e6, result["peak_mb"],
                  result["through_dvc_seconds"], result["first_seconds"])  # fmt: skip
        print(f"{size:>13,}" + "".join(f"{value:>13.2f}" for value in values))
    for step in found[SIZES[0]]["rounds"][0]["seconds"]:
        medians = [median(r["seconds"][step] for r in found[size]["rounds"]) for size in SIZES]
        print(f"  {step:18s}" + "".join(f"{value:8.2f}" for value in medians))


def main() -> None:
    """Run what is missing, print the table, write the figures."""
    parser = argparse.ArgumentParser(
        prog="bench.arrivals", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "what",
        nargs="*",
        metavar="[parts] SIZE",
        help="one size of catalogue; after `parts`, only a new ranker and a new head",
    )
    what = parser.parse_args().what
    is_parts = what[:1] == ["parts"]
    sizes = what[is_parts:]
    if what and not (len(sizes) == 1 and sizes[0].isdigit()):
        parser.error(f"{' '.join(what)}: give one size, such as 10000, or `parts` and one size")
    WORK.mkdir(parents=True, exist_ok=True)
    if what:
        (run_parts if is_parts else run_size)(int(sizes[0]))
        return
    found, parts = results(), parts_of(PARTS_SIZE)
    seconds = {size: [sum(r["seconds"].values()) for r in result["rounds"]] for size, result in found.items()}
    bytes_ = {size: median(r["bytes"] for r in result["rounds"]) for size, result in found.items()}
    encoded = sorted({r["encoded"] for result in found.values() for r in result["rounds"]})
    print_table(found, seconds, bytes_)
    largest, smallest = SIZES[-1], SIZES[0]
    write_figures("arrivals", {
        "encoded": encoded[0] if len(encoded) == 1 else -1,
        **{f"seconds_{size // 1000}k": round(median(seconds[size]), 3) for size in SIZES},
        "extra_seconds_300k": round(median(seconds[largest]) - median(seconds[smallest]), 3),
        "bytes_ratio_300k": round(bytes_[largest] / bytes_[smallest], 3),
        **{f"fiftieth_ratio_{size // 1000}k": round(growth(seconds[size]), 3) for size in SIZES},
        "fiftieth_ratio": round(max(growth(seconds[size]) for size in SIZES), 3),
        "peak_mb_300k": round(found[largest]["peak_mb"]),
        "ranker_encoded": parts["ranker"]["encoded"],
        "ranker_projected": parts["ranker"]["projected"],
        "ranker_seconds": round(parts["ranker"]["seconds"], 1),
        "head_encoded": parts["head"]["encoded"],
        "head_seconds": round(parts["head"]["seconds"], 1),
        "start_up_seconds": round(import_seconds(), 2),
        **{f"through_dvc_seconds_{size // 1000}k": round(found[size]["through_dvc_seconds"], 1) for size in SIZES},
    })  # fmt: skip


if __name__ == "__main__":
    main()
