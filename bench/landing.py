"""Many small files at once: calls to the landing zone, files opened below data/, processes started. Counts, no seconds.

Each number of files is taken in by a process of its own. The counts must grow with the number of files, not with its
square: where the larger number costs more per file than the smaller one, the benchmark fails.
"""

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.figures import ROOT, write_figures
from bench.killing import ended, forked, require_success
from bench.small_workspace import FIRST_LANDED, KEY

KINDS = {"catalogue": 0.8, "interactions": 0.2}
TOLERANCE = 1.05
"""Of the calls per file: a few calls are made once per run, or once per part."""


class Counting:
    """A storage that counts what is args of it."""

    def __init__(self, storage: Any, counts: Counter[str]) -> None:  # noqa: ANN401  any storage
        self._storage, self._counts = storage, counts

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        found = getattr(self._storage, name)
        if not callable(found):
            return found

        def counted(*arguments: object) -> object:
            self._counts[f"landing zone: {name}"] += 1
            return found(*arguments)

        return counted


def counted_events(data: Path, counts: Counter[str]) -> None:
    """Count files opened below data/ and processes started, by this process from now on."""

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event in {"subprocess.Popen", "os.fork", "os.posix_spawn"}:
            counts["processes started"] += 1
        if event == "open" and str(arguments[0]).startswith(str(data)):
            counts["files opened below data/"] += 1

    sys.addaudithook(hook)


def land(landing: Path, n_files: int) -> None:
    """Files of one row each, a second apart."""
    for kind, share in KINDS.items():
        (landing / kind).mkdir(parents=True)
        for n in range(int(n_files * share)):
            row = (
                {"item_id": f"i{n}", "title": f"Small thing number {n}"}
                if kind == "catalogue"
                else {
                    "user_id": f"u{n % 97}",
                    "item_id": f"i{n}",
                    "event": "view",
                    "timestamp": 1_600_000_000 + n,
                }
            )
            path = landing / kind / f"{n:06}.jsonl"
            path.write_text(json.dumps(row) + "\n")
            at = FIRST_LANDED.timestamp() + n
            os.utime(path, (at, at))


def take_in(home: Path, n_files: int) -> None:
    """Take in the files and write down the counts; runs in a child."""
    from recsys.artifacts import Artifacts
    from recsys.catalogue import judging
    from recsys.catalogue.ingest import ingest
    from recsys.catalogue.parts import all_parts
    from recsys.settings import Settings
    from recsys.storage.opening import open_storage

    land(home / "landing", n_files)
    at = Artifacts(home / "workspace")
    at.root.mkdir()
    at.params.write_text((ROOT / "params.yaml").read_text())
    counts: Counter[str] = Counter()
    counted_events(at.data, counts)
    judge = judging.judge  # type: ignore[attr-defined]  # a name that it imports: what it calls is counted

    def counted_judge(*arguments: Any) -> Any:  # noqa: ANN401
        counts["calls of Great Expectations"] += 1
        return judge(*arguments)

    judging.judge = counted_judge  # type: ignore[attr-defined, assignment]
    zone = Counting(open_storage(str(home / "landing")), counts)
    report = ingest(zone, at, Settings.load(at.params).ingest, KEY)
    if len(report.accepted) != n_files:
        raise RuntimeError(f"{len(report.accepted)} of {n_files} files were accepted")
    counts["parts"] = len(all_parts(at.data))
    (home / "counts.json").write_text(json.dumps(counts))


def counts_of(n_files: int) -> dict[str, int]:
    """Counts of one run over so many files."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        log = home / "log"
        require_success(ended(forked(lambda: take_in(home, n_files), log)), log)
        found: dict[str, int] = json.loads((home / "counts.json").read_text())
        return found


def main() -> None:
    """Count at each number of files, compare, print, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--files", type=int, nargs="+", default=[1_000, 10_000], help="numbers of files, ascending"
    )
    sizes = parser.parse_args().files
    counts = {n: counts_of(n) for n in sizes}
    table = Table("counted", *(f"{n:,} files" for n in sizes), title="one intake of many small files")
    names = sorted({name for found in counts.values() for name in found})
    for name in names:
        table.add_row(name, *(f"{counts[n].get(name, 0):,}" for n in sizes))
    Console().print(table)
    write_figures(
        "landing", {f"{name} at {n} files": counts[n].get(name, 0) for name in names for n in sizes}
    )
    few, many = sizes[0], sizes[-1]
    worse = [
        name
        for name in names
        if counts[many].get(name, 0) / many > TOLERANCE * counts[few].get(name, 0) / few
    ]
    if worse:
        raise SystemExit(f"grows faster than the number of files: {', '.join(worse)}")


if __name__ == "__main__":
    main()
