"""Score a run on a protocol of our own by the judge's own code: it is asked for users' positives, all else is its own.

`python -m bench.judging PROTOCOL RUN.parquet [--against OTHER.parquet] [--json OUT.json]`, as the judge takes them.
"""

import importlib.util
import sys
from types import ModuleType

import pyarrow.compute as pc

from bench.figures import JUDGE
from bench.protocols import PROTOCOLS


def main() -> None:
    """Give the judge our positives and candidates, then let it run."""
    judge = load_judge()
    judge.protocol = sides  # type: ignore[attr-defined]
    judge.main()


def load_judge() -> ModuleType:
    """The judge as a module."""
    spec = importlib.util.spec_from_file_location("judge", JUDGE)
    if spec is None or spec.loader is None:
        sys.exit(f"{JUDGE} is not here")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def sides(name: str) -> tuple[dict[str, set[str]], set[str], dict[str, set[str]]]:
    """Positives by user, candidates, and nothing to drop; for users with a history, like the judge."""
    _, log, cold = next(one for one in PROTOCOLS if one.judge == name).files()
    is_cold = pc.is_in(log["item_id"], value_set=cold.cast(log["item_id"].type))
    known = set(log.filter(pc.invert(is_cold))["user_id"].to_pylist())
    held_out = log.filter(is_cold)
    positives: dict[str, set[str]] = {}
    for user, item in zip(held_out["user_id"].to_pylist(), held_out["item_id"].to_pylist(), strict=True):
        if user in known:
            positives.setdefault(user, set()).add(item)
    return positives, set(cold.to_pylist()), {}


if __name__ == "__main__":
    main()
