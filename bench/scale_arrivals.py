"""Arrivals on top of a catalogue of `bench.scale`, from landed file to swapped pointer.

First five of 1,000 new titles each, then three of 1,000 interactions each, of people in the log. All go through one
process, so that start-up is not counted. The first one of each kind, which opens models and indexes, is left out.

    python -m bench.scale_arrivals 100000               into the store `store` of that catalogue
    python -m bench.scale_arrivals 100000 store-narrow
"""

import json
import os
import resource
import sys
import time
from statistics import median
from typing import Any

from bench.arrivals import STAGES, Catalogue, written_bytes
from bench.scale import INTERACTIONS_PER_ITEM, World
from bench.scale_world import land_items, land_later_interactions
from recsys.catalogue.kinds import CATALOGUE
from recsys.catalogue.parts import list_parts

ARRIVALS, OF_INTERACTIONS = 5, 3
NEW = 1_000


def main() -> None:
    """Run them; print medians as JSON."""
    size = int(sys.argv[1])
    catalogue = Catalogue(World(size).folder, *sys.argv[2:])
    rounds = []
    for _ in range(1 + ARRIVALS):
        first = sum(part.arrival.n_rows for part in list_parts(catalogue.root / "data", CATALOGUE))
        land_items(catalogue.landing, f"from-{first}.parquet", range(first, first + NEW))
        rounds.append(_arrival(catalogue))
        print(rounds[-1], file=sys.stderr, flush=True)
    found: dict[str, Any] = _medians(rounds[1:])
    rounds = []
    for number in range(1 + OF_INTERACTIONS):
        name = f"later-{first}-{number}.parquet"
        land_later_interactions(catalogue.landing, name, size, size * INTERACTIONS_PER_ITEM, NEW)
        rounds.append(_arrival(catalogue))
        print(rounds[-1], file=sys.stderr, flush=True)
    found["interactions"] = _medians(rounds[1:])
    found["peak_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)
    print(json.dumps(found))


def _medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(median(one[key] for one in rounds), 2) for key in rounds[0]}


def _arrival(catalogue: Catalogue) -> dict[str, float]:
    before, steps = written_bytes(), {}
    started, cpu_started = time.perf_counter(), _cpu_seconds()
    for step in ("ingest", *STAGES, "publish"):
        step_started = _cpu_seconds()
        catalogue.command(*(("run", step) if step in STAGES else (step,)))
        steps[f"{step}_cpu_seconds"] = round(_cpu_seconds() - step_started, 2)
    return {
        **steps,
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
