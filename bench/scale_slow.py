"""How do time and memory of the slow loop grow with the catalogue: `split`, `evaluate`, and `finetune` without layers?

The catalogues, readers and vectors are those of `bench.scale`, with profiles of the encoder's width (384). Each command
runs in a process of its own, which says how much processor time and memory it took. At most `evaluate.max_users` test
users are judged, a sample by `evaluate.seed`. `finetune` learns a head and a ranker over the pretrained encoder
(`layers: none`), which reads all texts and interactions; what an epoch of training takes grows with its texts, see
docs/benchmarks.md.

Resumable: what a step took is kept in var/bench/slow/<size>/steps.json, and the step is not run again.

    make bench-scale-slow                               10,000 and 100,000 items, and exponents over them
    python -m bench.scale_slow 100000 --again evaluate  with a step done again
    python -m bench.scale_slow 100000 --until evaluate  without the steps after it
    python -m bench.scale_slow 100000 --users 500       with at most so many judged users; see evaluate.max_users
"""

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import yaml

from bench.arrivals import Catalogue
from bench.figures import ROOT, write_figures
from bench.protocols import require_shared_data
from bench.scale import World, command, exponent, land, place
from recsys.artifacts import Artifacts

SIZES = (10_000, 100_000)
WORK = ROOT / "var" / "bench" / "slow"
PREPARED = ("ingest", "fetch-champion", "validate", "images", "features")
"""Steps before the vectors of texts are put into the cache."""
MEASURED = ("split", "evaluate", "finetune")


def main() -> None:
    """Run what is missing, print the table, write the figures."""
    parser = argparse.ArgumentParser(
        prog="bench.scale_slow", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "sizes", nargs="*", type=int, default=SIZES, help="items; without it 10000 and 100000"
    )
    parser.add_argument("--again", action="append", default=[], metavar="STEP", help="do this step again")
    parser.add_argument("--until", metavar="STEP", help="stop after this step")
    parser.add_argument("--users", type=int, help="the most users of a slice; without it as in params.yaml")
    args = parser.parse_args()
    require_shared_data()
    worlds = [World(size, WORK) for size in args.sizes]
    for world in worlds:
        run(world, args.again, args.until, args.users)
    report(worlds)


def run(world: World, again: list[str], until: str | None, users: int | None) -> None:
    """Do the steps of one catalogue that have not been done.

    Args:
        world: the catalogue.
        again: steps that are done although they have been.
        until: the last step; None: all.
        users: the most users of a slice; None: as params.yaml says.
    """
    catalogue = Catalogue(world.folder)
    for step in again:
        world.keep(step, None)
    for name, do in _steps(world, catalogue).items():
        if name not in world.used:
            if catalogue.root.is_dir():
                _write_params(Artifacts(catalogue.root), users)
            print(f"{world.size:,} items: {name}", flush=True)
            took = do()
            world.keep(name, took | ({"users": users} if name == "evaluate" and users else {}))
            print(f"  {took}", flush=True)
        if name == until:
            return


def _steps(world: World, catalogue: Catalogue) -> dict[str, Callable[[], dict[str, Any]]]:
    """Name -> what does it and says what it took."""
    steps: dict[str, Callable[[], dict[str, Any]]] = {"land": partial(land, world, catalogue)}
    steps |= {name: partial(command, world, name) for name in PREPARED}
    steps["place"] = partial(place, world, Artifacts(catalogue.root))
    return steps | {name: partial(command, world, name) for name in ("profiles@champion", *MEASURED)}


def _write_params(at: Artifacts, users: int | None) -> None:
    """Those of the checkout as it is now; without a head of first light, and with a training of the head alone."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    params["first_light"]["min_items"] = 10**9
    params["finetune"] |= {"roles": ["challenger"], "layers": "none"}
    params["evaluate"] |= {"max_users": users} if users else {}
    at.params.write_text(yaml.safe_dump(params, allow_unicode=True, sort_keys=False), "utf-8")


def report(worlds: list[World]) -> None:
    """Print what each step took at each size, and write the figures; exponents only over the same number of users.

    Args:
        worlds: the catalogues, whose steps may not all be done.
    """
    figures: dict[str, Any] = {}
    for name in MEASURED:
        took = {world.size: world.used[name] for world in worlds if name in world.used}
        seconds = {size: float(one["cpu_seconds"]) for size, one in took.items()}
        print(
            f"{name:12s}" + "".join(f"{seconds[size]:12.1f} s {took[size]['peak_mb']:7,} MB" for size in took)
        )
        for size, one in took.items():
            figures |= {f"{name}_cpu_seconds_{size}": seconds[size], f"{name}_peak_mb_{size}": one["peak_mb"]}
            figures |= {f"{name}_users_{size}": one["users"]} if "users" in one else {}
        if len(took) > 1 and len({one.get("users") for one in took.values()}) == 1:
            figures[f"{name}_exponent"] = round(exponent(seconds), 3)
    used = [one for world in worlds for one in world.used.values()]
    figures["steps_at"] = ", ".join(sorted({str(one["commit"]) for one in used}))
    figures["load"] = max(float(one["load"]) for one in used)
    write_figures("scale-slow", figures)


if __name__ == "__main__":
    main()
