"""A replay on MovieLens 100k, protocol ml100k-cold, with the code that serves: what does exploration cost and gain?

A fifth of the films is new: nobody has interacted with them. Of the other films, the older half of each user's ratings
is history, the newer half is not known. In each of `ROUNDS` rounds every user gets a list of `K` and clicks each film
of it that they rated in truth. Clicks count in the user's next list at once. No film is shown to a user twice, so that
lists do not gain by mere change. After a round comes a release: clicked films are not new any more, and the Gram matrix
and the weights between films are learned from all clicks.

Each policy, and the service without exploration, runs from the same start. Profiles are the encoder's own, the ranker
is `item_weights` with fixed settings. Figures are clicks per user over all rounds; the difference from no exploration
is paired by user, and seeds are the orders of users and the draws.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from bench.exploration_world import K, World, make_world, release_of
from bench.figures import ROOT
from recsys.evaluation.off_policy import estimate
from recsys.evaluation.off_policy_lists import EXPLORED, REWARDED, Target, read_lists
from recsys.ranking.exploring import POLICIES
from recsys.ranking.intervals import bootstrap_over_seeds
from recsys.serving.answers import Answer
from recsys.serving.exploration import NO_POLICY, Explorer
from recsys.serving.params import ServeParams
from recsys.settings import Settings

# Shape suffixes: U users, I films, D dimension, S seeds, R rounds.
ROUNDS = 10
RUN_POLICIES = (NO_POLICY, "thompson", "linucb", "uniform")
TARGETS = ("uniform", "greedy", "thompson")
"""Policies that are estimated from the log of Thompson sampling."""


@dataclass
class Run:
    """What happened in one replay."""

    clicks_UR: NDArray[np.float64]
    cold_clicks_UR: NDArray[np.float64]
    shown_I: NDArray[np.int64]
    clicked_I: NDArray[np.int64]
    n_explored: int = 0
    n_explored_clicks: int = 0
    lines: list[str] = field(default_factory=list)
    """As the service logs them."""
    truths: dict[str, list[float]] = field(default_factory=dict)
    """By target policy, its expected reward at each explored place."""


def replayed(n_seeds: int) -> dict[str, float]:
    """Run every policy, and estimate policies from the log of one.

    Args:
        n_seeds: repetitions.

    Returns:
        The figures.
    """
    world = make_world()
    figures = {"replay_users": float(len(world.truth_UI)), "replay_new_items": float(world.cold_I.sum())}
    runs = {policy: [run(world, policy, seed) for seed in range(n_seeds)] for policy in RUN_POLICIES}
    for policy, found in runs.items():
        figures |= _summary(f"replay_{policy}", found, world)
        if policy != NO_POLICY:
            figures |= _gains(f"replay_{policy}", found, runs[NO_POLICY])
    figures |= _estimates(runs["thompson"][0])
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}, indent=1))
    return figures


def run(world: World, policy: str, seed: int) -> Run:
    """All rounds of one policy."""
    n_users, n_items = world.truth_UI.shape
    rng = np.random.default_rng(seed)
    likes_UI, shown_UI = world.history_UI.copy(), world.history_UI.copy()
    done = Run(
        np.zeros((n_users, ROUNDS)),
        np.zeros((n_users, ROUNDS)),
        np.zeros(n_items, np.int64),
        np.zeros(n_items, np.int64),
    )
    explorer = None if policy == NO_POLICY else Explorer(_params(policy))
    for number in range(ROUNDS):
        answer_of = release_of(world, likes_UI, f"{policy}-{seed}-{number}", explorer)
        for user in rng.permutation(n_users).tolist():
            request = f"{seed} {number} {user}"
            likes, shown = np.flatnonzero(likes_UI[user]), np.flatnonzero(shown_UI[user])
            answer = answer_of(likes, shown, str(user), request)
            rows = np.array([int(one.item_id) for one in answer.items])
            clicked = rows[world.truth_UI[user, rows]]
            done.clicks_UR[user, number] = len(clicked)
            done.cold_clicks_UR[user, number] = world.cold_I[clicked].sum()
            done.shown_I[rows] += 1
            done.clicked_I[clicked] += 1
            shown_UI[user, rows] = likes_UI[user, clicked] = True
            if explorer is not None and answer.exploration is not None and answer.exploration.draws:
                _log(done, world, explorer, answer, user)
    return done


def _params(policy: str) -> ServeParams:
    shipped = Settings.load(ROOT / "params.yaml").serve.model_dump()
    return ServeParams.model_validate(shipped | {"explore_policy": policy})


def _log(done: Run, world: World, explorer: Explorer, answer: Answer, user: int) -> None:
    """Lines of the service, and what each target policy would have earned in truth."""
    line = {"message": EXPLORED, **explorer.log_fields(answer)}
    done.lines.append(json.dumps(line))
    assert answer.exploration is not None
    found = answer.exploration.candidates
    left = list(range(len(found.item_ids)))
    reward_C = world.truth_UI[user, [int(item) for item in found.item_ids]].astype(float)
    sigma = line["policy"]["sigma"]
    for draw in answer.exploration.draws:
        chosen = found.item_ids.index(draw.item_id)
        for target in TARGETS:
            chance_C = Target(target, sigma).probabilities(found.mean_C[left], found.deviation_C[left])
            done.truths.setdefault(target, []).append(float(chance_C @ reward_C[left]))
        done.n_explored += 1
        if reward_C[chosen]:
            done.n_explored_clicks += 1
            event = {"list_id": answer.exploration.list_id, "item_id": draw.item_id, "event": "click"}
            done.lines.append(json.dumps({"message": REWARDED, "value": None, **event}))
        left.remove(chosen)


def _summary(name: str, runs: Sequence[Run], world: World) -> dict[str, float]:
    """Means over seeds."""
    n_cold = world.cold_I.sum()
    halves = [one.clicks_UR.mean(axis=0) for one in runs]
    values = {
        "clicks_per_user": [one.clicks_UR.sum(axis=1).mean() for one in runs],
        "precision": [one.clicks_UR.mean() / K for one in runs],
        "precision_first_round": [one[0] / K for one in halves],
        "precision_last_round": [one[-1] / K for one in halves],
        "new_item_clicks_per_user": [one.cold_clicks_UR.sum(axis=1).mean() for one in runs],
        "new_items_shown": [(one.shown_I[world.cold_I] > 0).sum() / n_cold for one in runs],
        "new_items_clicked": [(one.clicked_I[world.cold_I] > 0).sum() / n_cold for one in runs],
        "explored_places": [one.n_explored for one in runs],
        "precision_explored": [one.n_explored_clicks / max(1, one.n_explored) for one in runs],
    }
    return {f"{name}_{part}": float(np.mean(one)) for part, one in values.items()}


def _gains(name: str, runs: Sequence[Run], without: Sequence[Run]) -> dict[str, float]:
    """Clicks per user more than without exploration: all, those on new items, and of the later half of rounds."""
    late = slice(ROUNDS // 2, None)
    pairs = list(zip(runs, without, strict=True))
    differences_USM = np.stack(
        [
            np.stack(
                [
                    (one.clicks_UR - other.clicks_UR).sum(axis=1),
                    (one.cold_clicks_UR - other.cold_clicks_UR).sum(axis=1),
                    (one.clicks_UR - other.clicks_UR)[:, late].sum(axis=1),
                ],
                axis=-1,
            )
            for one, other in pairs
        ],
        axis=1,
    )
    figures: dict[str, float] = {}
    parts = ("gain", "gain_new_items", "gain_later_half")
    for part, one in zip(parts, bootstrap_over_seeds(differences_USM, 2000, 0), strict=True):
        figures |= {f"{name}_{part}{end}": value for end, value in _ends(one.mean, one.low, one.high).items()}
    return figures


def _estimates(logged: Run) -> dict[str, float]:
    """From the log of the service, the value of other policies, whose truth is known."""
    assert set(TARGETS) <= set(POLICIES)
    chosen, figures = Settings.load(ROOT / "params.yaml"), dict[str, float]()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "serve.log"
        path.write_text("\n".join(logged.lines) + "\n")
        for policy in TARGETS:
            target = Target(policy, chosen.serve.explore_sigma)
            found = estimate(read_lists([path], chosen.feedback, target).choices)
            truth, name = float(np.mean(logged.truths[policy])), f"replay_value_{policy}"
            figures |= {f"{name}_truth": truth, f"{name}_effective_n": found.effective_n}
            for method, one in (("snips", found.snips), ("dr", found.dr)):
                assert one is not None
                ends = _ends(one.mean, one.low, one.high) | {"_covers": float(one.low <= truth <= one.high)}
                figures |= {f"{name}_{method}{end}": value for end, value in ends.items()}
            print(policy, *found.warnings, sep="; ")
    return figures


def _ends(mean: float, low: float, high: float) -> dict[str, float]:
    return {"": mean, "_low": low, "_high": high}
