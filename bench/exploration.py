"""Exploration of new items, and estimates of policies from logs: real logs, and a replay where the truth is known.

`make bench-exploration` writes var/bench/exploration.json.

- Open Bandit Dataset: from the logs of one policy, the click rate of the other, whose own logs tell the truth. The
  target "bts" is its share of impressions of each item at each place: the policy changed a little during the week.
- Replay on MovieLens 100k, see `bench/exploration_replay.py`.
"""

import argparse
import json

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.exploration_replay import replayed
from bench.figures import SHARED_DATA, write_figures
from bench.protocols import require_shared_data
from recsys.evaluation.off_policy import LoggedChoices, estimate
from recsys.ranking.intervals import Interval

# Shape suffixes: N impressions, P places, A items.
CAMPAIGNS = ("all", "men", "women")
PRIOR = 200.0
"""Impressions at the campaign's own click rate that are added to each item's, for the reward model."""
N_FOLDS = 2


def main() -> None:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=1, help="repetitions of the replay")
    parser.add_argument("--only", choices=("logs", "replay"), help="default: both")
    arguments = parser.parse_args()
    require_shared_data()
    figures: dict[str, float] = {}
    if arguments.only != "replay":
        for campaign in CAMPAIGNS:
            figures |= real_logs(campaign)
        print(json.dumps(figures, indent=1))
    if arguments.only != "logs":
        figures |= replayed(arguments.seeds)
    write_figures("exploration", {name: round(value, 5) for name, value in figures.items()})


def real_logs(campaign: str) -> dict[str, float]:
    """Both directions of one campaign."""
    folder = SHARED_DATA / "obd"
    logs = {name: pd.read_parquet(folder / f"{name}_{campaign}.parquet") for name in ("bts", "random")}
    n_items = len(pd.read_parquet(folder / f"item_context_{campaign}.parquet"))
    uniform_PA = np.full((3, n_items), 1 / n_items)
    bts_PA = np.zeros((3, n_items))
    np.add.at(bts_PA, (_place(logs["bts"]), logs["bts"]["item_id"].to_numpy()), 1)
    bts_PA /= bts_PA.sum(axis=1, keepdims=True)
    found: dict[str, float] = {}
    for source, target, target_PA in (("bts", "random", uniform_PA), ("random", "bts", bts_PA)):
        truth = float(logs[target]["click"].mean())
        estimates = estimate(_choices(logs[source], target_PA))
        assert estimates.dr is not None
        name = f"obd_{campaign}_{target}_from_{source}"
        found |= {f"{name}_truth": truth, f"{name}_effective_n": estimates.effective_n}
        for method, one in (("ips", estimates.ips), ("snips", estimates.snips), ("dr", estimates.dr)):
            found |= _figures(f"{name}_{method}", one, truth)
        print(campaign, f"{target} from {source}", *estimates.warnings, sep="; ")
    return found


def _figures(name: str, one: Interval, truth: float) -> dict[str, float]:
    values = {
        "": one.mean,
        "_low": one.low,
        "_high": one.high,
        "_covers": float(one.low <= truth <= one.high),
    }
    return {f"{name}{part}": value for part, value in values.items()}


def _choices(log: pd.DataFrame, target_PA: NDArray[np.float64]) -> LoggedChoices:
    """A campaign's log, with rewards predicted by the click rates of items in the other half of the log."""
    item_N, place_N = log["item_id"].to_numpy(), _place(log)
    click_N = log["click"].to_numpy().astype(float)
    predicted_N, expected_N = np.empty(len(log)), np.empty(len(log))
    fold_N = np.arange(len(log)) % N_FOLDS
    for fold in range(N_FOLDS):
        other, mine = fold_N != fold, fold_N == fold
        clicks_A, shown_A = (
            np.bincount(item_N[other], weights, target_PA.shape[1]) for weights in (click_N[other], None)
        )
        rate_A = (clicks_A + PRIOR * click_N[other].mean()) / (shown_A + PRIOR)
        predicted_N[mine] = rate_A[item_N[mine]]
        expected_N[mine] = (target_PA @ rate_A)[place_N[mine]]
    return LoggedChoices(
        reward_N=click_N,
        propensity_N=log["propensity_score"].to_numpy(),
        target_N=target_PA[place_N, item_N],
        predicted_N=predicted_N,
        expected_N=expected_N,
    )


def _place(log: pd.DataFrame) -> NDArray[np.int64]:
    """From 0."""
    return log["position"].to_numpy().astype(np.int64) - 1


if __name__ == "__main__":
    main()
