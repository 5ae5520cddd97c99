"""What values of feedback are worth on cold items: Firstlight told stars, beside Firstlight told yes or no.

On ml100k-cold the command runs twice per seed and set of texts: once with the ratings as `value`, once without. Both
lists are scored by the judge (../shared/judge/score.py), for which every rating is a like, and by the same code for
films rated 4 or more. Regret is the share of films rated 1 or 2 among the shown films that the user has rated.
Differences are paired over users, of the lists of the first seed; means are over seeds.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.console import Console

from bench.figures import ROOT, write_figures
from bench.judging import load_judge
from bench.protocols import TOP, judged, ml100k, require_shared_data

HOME = ROOT / "var" / "bench" / "feedback"
SEEDS = (1, 2, 3)
TEXTS = {"all": "", "text_genres": "title,genres,description,plot_omdb,overview_tmdb"}
"""Name of a set of columns -> the columns that become text; all: every column of words, people among them."""
K = 20
DISLIKED, LIKED = 2, 4
"""Stars up to which a film is disliked, and from which it is liked."""
ROUNDS = 1000
console = Console(stderr=True)
PerUser = dict[str, NDArray[np.float64]]


def main() -> None:
    """Run what is missing, and write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="how many seeds")
    parser.add_argument("--again", action="store_true", help="make lists that are there as well")
    args = parser.parse_args()
    require_shared_data()
    files = _write_files()
    figures: dict[str, float | int | str] = {}
    for name, columns in TEXTS.items():
        lists = {
            (kind, seed): _rank(files, name, columns, kind, seed, again=args.again)
            for seed in SEEDS[: args.seeds]
            for kind in ("yes_no", "values")
        }
        figures |= {f"{name}/{key}": value for key, value in _figures(lists).items()}
    write_figures("feedback", figures)
    console.print_json(json.dumps(figures))


def _write_files() -> Mapping[str, Path]:
    """The protocol's files; interactions with and without values."""
    HOME.mkdir(parents=True, exist_ok=True)
    items, log, cold = ml100k()
    valued = log.rename_columns(["value" if name == "rating" else name for name in log.column_names])
    tables = {
        "items": items,
        "values": valued,
        "yes_no": valued.drop_columns("value"),
        "cold": pa.table({"item_id": cold}),
    }
    for name, table in tables.items():
        pq.write_table(table, HOME / f"{name}.parquet")
    return {name: HOME / f"{name}.parquet" for name in tables}


def _rank(files: Mapping[str, Path], name: str, columns: str, kind: str, seed: int, *, again: bool) -> Path:
    """Lists of the command, one process for each."""
    run = HOME / f"{name}-{kind}-{seed}.parquet"
    if run.is_file() and not again:
        return run
    console.print(f"{name}, {kind}, seed {seed}")
    command = [sys.executable, "-m", "recsys", "benchmark", "cold-start", "--json", "--top", str(TOP)]
    command += ["--items", str(files["items"]), "--interactions", str(files[kind])]
    command += ["--cold", str(files["cold"]), "--seed", str(seed), "--out", str(run)]
    command += ["--text", columns] if columns else []
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    run.with_suffix(".summary.json").write_text(done.stdout)
    return run


def _figures(lists: Mapping[tuple[str, int], Path]) -> dict[str, float | int | str]:
    seeds = sorted({seed for _, seed in lists})
    found: dict[str, float | int | str] = {}
    per_user = {key: _per_user(run) for key, run in lists.items()}
    for kind in ("yes_no", "values"):
        of_kind = [per_user[kind, seed] for seed in seeds]
        scored = [judged("ml100k-cold", lists[kind, seed])["ndcg@20"]["mean"] for seed in seeds]
        found[f"{kind}/ndcg@20"] = round(float(np.mean(scored)), 4)
        found[f"{kind}/ndcg@20_liked"] = _mean([float(np.nanmean(one["liked"])) for one in of_kind])
        found[f"{kind}/regret@20"] = _mean([_regret(one) for one in of_kind])
    first = seeds[0]
    against = ("--against", str(lists["yes_no", first]))
    paired = judged("ml100k-cold", lists["values", first], *against)["ndcg@20"]
    ends = ("difference", "difference_low", "difference_high")
    found["difference/ndcg@20"] = "{:+.4f} [{:+.4f}, {:+.4f}]".format(*(paired[end] for end in ends))
    ours, theirs = per_user["values", first], per_user["yes_no", first]
    n_users, gained = len(ours["liked"]), ours["liked"] - theirs["liked"]
    found["difference/ndcg@20_liked"] = _interval(n_users, lambda users: float(np.nanmean(gained[users])))
    found["difference/regret@20"] = _interval(
        n_users, lambda users: _regret(ours, users) - _regret(theirs, users)
    )
    summary = json.loads(lists["values", first].with_suffix(".summary.json").read_text())
    return found | {"values/weighting": str(summary["weighting"]), "seeds": len(seeds)}


def _per_user(run: Path) -> PerUser:
    """ndcg@20 for liked films (NaN for users without one), shown films that are rated, and that are disliked."""
    judge = load_judge()
    positives, candidates, _ = judge.protocol("ml100k-cold")
    log = pq.read_table(HOME / "values.parquet").to_pydict()
    stars = {(u, i): v for u, i, v in zip(log["user_id"], log["item_id"], log["value"], strict=True)}
    lists = judge.ranked_lists(run, candidates)
    liked = {u: {i for i in items if stars[u, i] >= LIKED} for u, items in positives.items()}
    scored = judge.per_user(lists, {u: items for u, items in liked.items() if items}, {})["ndcg@20"]
    by_user = dict(zip(sorted(u for u, items in liked.items() if items), scored, strict=True))
    users = sorted(positives)
    shown = [[stars[u, i] for i in lists.get(u, [])[:K] if (u, i) in stars] for u in users]
    return {
        "liked": np.array([by_user.get(u, np.nan) for u in users]),
        "rated": np.array([len(one) for one in shown], float),
        "bad": np.array([sum(v <= DISLIKED for v in one) for one in shown], float),
    }


def _interval(n_users: int, statistic: Callable[[NDArray[np.int64]], float]) -> str:
    """A figure of some users, with its 95 % interval over resampled users."""
    rng = np.random.default_rng(0)
    drawn = [statistic(rng.integers(0, n_users, n_users)) for _ in range(ROUNDS)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return f"{statistic(np.arange(n_users)):+.4f} [{low:+.4f}, {high:+.4f}]"


def _regret(one: PerUser, users: NDArray[np.int64] | slice = slice(None)) -> float:
    """Share of disliked films among the shown ones that are rated."""
    return float(one["bad"][users].sum() / one["rated"][users].sum())


def _mean(values: list[float]) -> float:
    return round(float(np.mean(values)), 4)


if __name__ == "__main__":
    main()
