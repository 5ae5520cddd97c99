"""How do time, memory and bytes grow with the catalogue? The first load, then arrivals on top of it.

Catalogues of 10,000, 100,000 and 1,000,000 titles made of real ones (`scale_world.py`), with ten interactions for each,
land and are published: every command in a process of its own, which says how much processor time and memory it took
(files that it maps count). Time on the clock is kept too, but on a busy machine it means little. The model is that of
first light, learned from the catalogue, with profiles of 1,024 numbers. Vectors of the texts are put into the cache
beforehand: the encoder's speed has a benchmark of its own (`bench.encode`). Then the release is opened, five arrivals
of 1,000 new titles and three of 1,000 interactions are published in one process (`scale_arrivals.py`). On the largest
catalogue stage `profiles` encodes (`scale_encode.py`), and it gets profiles of 384 numbers, those of the encoder alone.

Resumable: what a step took is kept in var/bench/scale/<size>/steps.json, and the step is not run again.

    make bench-scale                                    all sizes
    python -m bench.scale 100000                        one size
    python -m bench.scale 100000 --again users          one size, with a step done again
    python -m bench.scale 100000 --narrow               with profiles of 384 numbers alone: a third of the time
"""

import argparse
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from bench.arrivals import Catalogue
from bench.figures import ROOT, commit, write_figures
from bench.protocols import require_shared_data
from bench.scale_world import land_interactions, land_items, place_vectors
from recsys.artifacts import Artifacts
from recsys.models.reference import ModelReference
from recsys.planning.probing import measured_command

SIZES = (10_000, 100_000, 1_000_000)
INTERACTIONS_PER_ITEM = 10
WALK = (
    "ingest",
    "fetch-champion",
    "validate",
    "images",
    "features",
    "profiles@champion",
    "users",
    "index",
    "publish",
)
EFFECTS = ("ingest", "fetch-champion", "publish")
NARROW = ("profiles@champion", "users", "index", "publish")
"""Steps that are done again with profiles of the encoder's width, in the largest catalogue or with --narrow."""
NARROW_STORE = "store-narrow"
WORK = ROOT / "var" / "bench" / "scale"
RATES = WORK / "rates"
"""Speed of the encoder, which `fetch-champion` measures once on a machine."""


@dataclass(frozen=True)
class World:
    """One catalogue: its workspace, landing zone, store and cache, and what its steps took."""

    size: int
    work: Path = WORK

    @property
    def folder(self) -> Path:
        """Of all of it."""
        return self.work / str(self.size)

    @property
    def used(self) -> dict[str, dict[str, Any]]:
        """Step -> what it took."""
        kept = self.folder / "steps.json"
        return dict(json.loads(kept.read_text())) if kept.exists() else {}

    def keep(self, step: str, took: Mapping[str, Any] | None) -> None:
        """Remember what a step took; None: forget it."""
        found = self.used
        found.pop(step, None)
        if took is not None:
            found[step] = {**took, "commit": commit(), "load": round(os.getloadavg()[0], 1)}
        temporary = self.folder / "steps.tmp"
        temporary.write_text(json.dumps(found, indent=1))
        temporary.replace(self.folder / "steps.json")


def main() -> None:
    """Run what is missing, print the table, write the figures."""
    parser = argparse.ArgumentParser(
        prog="bench.scale", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("size", nargs="?", type=int, help="items; without it all sizes")
    parser.add_argument("--again", action="append", default=[], metavar="STEP", help="do this step again")
    parser.add_argument("--until", metavar="STEP", help="stop after this step")
    parser.add_argument("--narrow", action="store_true", help="only with profiles of the encoder's width")
    args = parser.parse_args()
    require_shared_data()
    for size in [args.size] if args.size else SIZES:
        run(World(size), args.again, args.until, narrow=args.narrow)
    if args.narrow:
        report_narrow({size: used for size in SIZES if "narrow/arrivals" in (used := World(size).used)})
    elif args.size is None:
        report({size: World(size).used for size in SIZES})


def run(world: World, again: list[str], until: str | None, *, narrow: bool = False) -> None:
    """Do the steps of one catalogue that have not been done.

    Args:
        world: the catalogue.
        again: steps that are done although they have been.
        until: the last step; None: all.
        narrow: whether to leave out what needs wide profiles.
    """
    catalogue = Catalogue(world.folder)
    at = Artifacts(catalogue.root)
    for step in again:
        world.keep(step, None)
    for name, do in _steps(world, catalogue, at, narrow=narrow).items():
        if name not in world.used:
            if at.root.is_dir():
                _write_params(at)
            print(f"{world.size:,} items: {name}", flush=True)
            took = do()
            world.keep(name, took)
            print(f"  {took}", flush=True)
        if name == until:
            return


def _steps(
    world: World, catalogue: Catalogue, at: Artifacts, *, narrow: bool
) -> dict[str, Callable[[], dict[str, Any]]]:
    """Name -> what does it and says what it took."""
    steps: dict[str, Callable[[], dict[str, Any]]] = {"land": partial(land, world, catalogue)}
    steps |= {name: partial(command, world, name) for name in WALK if name not in NARROW}
    steps["place"] = partial(place, world, at)
    if not narrow:
        steps |= {name: partial(command, world, name) for name in NARROW}
        steps["open"] = partial(_module, "bench.scale_open")
        steps["arrivals"] = partial(_module, "bench.scale_arrivals", str(world.size))
    if not narrow and world.size == SIZES[-1]:
        steps["encode"] = partial(_module, "bench.scale_encode", str(world.size))
    if narrow or world.size == SIZES[-1]:
        steps["narrow"] = partial(_narrow, world, at)
        steps |= {f"narrow/{name}": partial(command, world, name, NARROW_STORE) for name in NARROW}
    if narrow:
        store = str(world.folder / NARROW_STORE)
        steps["narrow/open"] = partial(_module, "bench.scale_open", store=store)
        steps["narrow/arrivals"] = partial(_module, "bench.scale_arrivals", str(world.size), NARROW_STORE)
    return steps


def _write_params(at: Artifacts) -> None:
    """Those of the checkout as it is now, but that profiles are equally wide in catalogues of all sizes."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    params["first_light"]["wide_up_to"] = 0
    at.params.write_text(yaml.safe_dump(params, allow_unicode=True, sort_keys=False), "utf-8")


def land(world: World, catalogue: Catalogue) -> dict[str, Any]:
    """Make the workspace and land the files."""
    catalogue.create()
    RATES.mkdir(parents=True, exist_ok=True)
    (world.folder / "cache").mkdir()
    (world.folder / "cache" / "rates").symlink_to(RATES, target_is_directory=True)
    land_items(catalogue.landing, "first.parquet", range(world.size))
    land_interactions(catalogue.landing, world.size, world.size * INTERACTIONS_PER_ITEM)
    return {}


def place(world: World, at: Artifacts) -> dict[str, Any]:
    """Put vectors of the texts into the cache."""
    place_vectors(at, ModelReference.load(at.model_reference("champion")), world.size, WORK / "real")
    return {}


def command(world: World, name: str, store: str = "store") -> dict[str, Any]:
    """Run a command in a process of its own, and say what it took."""
    environment = os.environ | {"RECSYS_STORE": str(world.folder / store)}
    started = time.perf_counter()
    arguments = [name] if name in EFFECTS else ["run", name]
    cpu_seconds, peak_bytes = measured_command(arguments, environment, world.folder)
    return {
        "cpu_seconds": round(cpu_seconds, 2),
        "peak_mb": round(peak_bytes / 1e6),
        "seconds": round(time.perf_counter() - started, 1),
    }


def _module(*arguments: str, store: str | None = None) -> dict[str, Any]:
    """What a module of its own process prints as JSON in its last line; it reads RECSYS_STORE."""
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=os.environ | ({"RECSYS_STORE": store} if store else {}),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _narrow(world: World, at: Artifacts) -> dict[str, Any]:
    """The encoder alone becomes the champion; its profiles are the vectors of the cache."""
    model = ModelReference.load(at.model_reference("champion"))
    ModelReference.of(model.encoder).save(at.model_reference("champion"))
    for folder in (at.profiles("champion"), at.index):
        shutil.rmtree(folder, ignore_errors=True)
    return {}


def report(used: Mapping[int, Mapping[str, Mapping[str, Any]]]) -> None:
    """Print what each step took at each size, and write the figures.

    Args:
        used: size -> step -> what it took.
    """
    largest, smallest = used[SIZES[-1]], used[SIZES[0]]
    print(f"\n{'step':22s}" + "".join(f"{size:>12,} s {'MB':>7s}" for size in SIZES) + f"{'exponent':>10s}")
    exponents = {}
    for name in WALK:
        seconds = {size: float(used[size][name]["cpu_seconds"]) for size in SIZES}
        exponents[name] = exponent(seconds)
        cells = "".join(f"{seconds[size]:14.1f} {used[size][name]['peak_mb']:7,}" for size in SIZES)
        print(f"{name:22s}{cells}{exponents[name]:10.2f}")
    arrivals = {size: used[size]["arrivals"] for size in SIZES}
    for key in ("cpu_seconds", "bytes", "peak_mb"):
        print(f"{'arrival, ' + key:22s}" + "".join(f"{arrivals[size][key]:14,.1f} {'':7s}" for size in SIZES))
    of_interactions = {size: arrivals[size]["interactions"]["cpu_seconds"] for size in SIZES}
    print(
        f"{'of interactions, s':22s}" + "".join(f"{of_interactions[size]:14,.1f} {'':7s}" for size in SIZES)
    )
    wide = [float(largest[name]["peak_mb"]) for name in WALK]
    narrow = [float(largest[name]["peak_mb"]) for name in WALK if name not in NARROW]
    narrow += [float(largest[f"narrow/{name}"]["peak_mb"]) for name in NARROW]
    write_figures("scale", {
        "first_load_cpu_minutes_without_encoding_1m": round(sum(largest[name]["cpu_seconds"] for name in WALK) / 60, 2),
        "first_load_minutes_without_encoding_1m": round(sum(largest[name]["seconds"] for name in WALK) / 60, 2),
        "peak_gb_1m": round(max(wide) / 1000, 2),
        "peak_gb_1m_384": round(max(narrow) / 1000, 2),
        "worst_exponent": round(max(exponents.values()), 3),
        "worst_exponent_of": max(exponents, key=lambda name: exponents[name]),
        "arrival_exponent": round(exponent({size: arrivals[size]["cpu_seconds"] for size in SIZES}), 3),
        "arrival_extra_seconds_1m": round(arrivals[SIZES[-1]]["cpu_seconds"] - arrivals[SIZES[0]]["cpu_seconds"], 2),
        "arrival_bytes_ratio_1m": round(arrivals[SIZES[-1]]["bytes"] / arrivals[SIZES[0]]["bytes"], 3),
        "interactions_arrival_exponent": round(exponent(of_interactions), 3),
        "interactions_arrival_cpu_seconds_1m": of_interactions[SIZES[-1]],
        "encode_rate_ratio_1m": largest["encode"]["rate_ratio"],
        "open_seconds_1m": largest["open"]["seconds"],
        "open_cpu_seconds_1m": largest["open"]["cpu_seconds"],
        "open_known_user_cpu_seconds_1m": largest["open"]["known_user_cpu_seconds"],
        "open_histories_cpu_seconds_1m": largest["open"]["histories_cpu_seconds"],
        "steps_at": ", ".join(sorted({str(one["commit"]) for steps in used.values() for one in steps.values()})),
        "load": max(float(one["load"]) for one in (*largest.values(), *smallest.values())),
    })  # fmt: skip


def report_narrow(used: Mapping[int, Mapping[str, Mapping[str, Any]]]) -> None:
    """Print and write what arrivals and opening cost with profiles of the encoder's width.

    Args:
        used: size -> step -> what it took, of the sizes that are done.
    """
    figures: dict[str, Any] = {}
    for size, steps in used.items():
        arrival, opened = steps["narrow/arrivals"], steps["narrow/open"]
        print(f"{size:>10,} items: {arrival}")
        figures |= {
            f"arrival_cpu_seconds_{size}": arrival["cpu_seconds"],
            f"interactions_arrival_cpu_seconds_{size}": arrival["interactions"]["cpu_seconds"],
            f"open_seconds_{size}": opened["seconds"],
            f"open_cpu_seconds_{size}": opened["cpu_seconds"],
            f"open_known_user_cpu_seconds_{size}": opened["known_user_cpu_seconds"],
            f"open_histories_cpu_seconds_{size}": opened["histories_cpu_seconds"],
        }
    arrivals = {size: steps["narrow/arrivals"] for size, steps in used.items()}
    largest, smallest = arrivals[max(arrivals)], arrivals[min(arrivals)]
    figures |= {
        "arrival_extra_seconds": round(largest["cpu_seconds"] - smallest["cpu_seconds"], 2),
        "arrival_bytes_ratio": round(largest["bytes"] / smallest["bytes"], 3),
        "steps_at": ", ".join(
            sorted({str(one["commit"]) for steps in used.values() for one in steps.values()})
        ),
    }
    if len(arrivals) > 1:
        of_titles = {size: one["cpu_seconds"] for size, one in arrivals.items()}
        figures["arrival_exponent"] = round(exponent(of_titles), 3)
    write_figures("scale-narrow", figures)


def exponent(cost: Mapping[int, float]) -> float:
    """The slope of log(cost) over log(size), by least squares."""
    sizes, costs = np.log(list(cost)), np.log(np.maximum(list(cost.values()), 1e-3))
    return float(np.polyfit(sizes, costs, 1)[0])


if __name__ == "__main__":
    main()
