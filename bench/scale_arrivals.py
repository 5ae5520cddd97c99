"""Arrivals on top of a catalogue of `bench.scale`: 1,000 new titles each, from landed file to swapped pointer.

All go through one process, so that start-up is not counted. The first one, which opens models and indexes, is left out.

    python -m bench.scale_arrivals 100000
"""

import json
import os
import resource
import sys
import time
from statistics import median
from typing import Any

from bench.arrivals import Catalogue, written_bytes
from bench.scale import World
from bench.scale_world import land_items
from recsys.catalogue.parts import CATALOGUE, list_parts

ARRIVALS = 5
NEW = 1_000


def main() -> None:
    """Run them; print medians as JSON."""
    size = int(sys.argv[1])
    catalogue = Catalogue(World(size).folder)
    rounds = []
    for _ in range(1 + ARRIVALS):
        first = sum(part.arrival.n_rows for part in list_parts(catalogue.root / "data", CATALOGUE))
        land_items(catalogue.landing, f"from-{first}.parquet", range(first, first + NEW))
        rounds.append(_arrival(catalogue))
        print(rounds[-1], file=sys.stderr, flush=True)
    found: dict[str, Any] = {key: median(one[key] for one in rounds[1:]) for key in rounds[0]}
    found["peak_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)
    print(json.dumps(found))


def _arrival(catalogue: Catalogue) -> dict[str, float]:
    started, cpu_started, before = time.perf_counter(), _cpu_seconds(), written_bytes()
    catalogue.arrive()
    return {
        "seconds": round(time.perf_counter() - started, 2),
        "cpu_seconds": round(_cpu_seconds() - cpu_started, 2),
        "bytes": written_bytes() - before,
    }


def _cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


if __name__ == "__main__":
    main()
