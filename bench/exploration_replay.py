"""A replay on MovieLens 100k, protocol ml100k-cold, with the code that serves: what does exploration cost and gain?

A fifth of the films is new: nobody has interacted with them. Of the other films, the older half of each user's ratings
is history, the newer half is not known. In each of `ROUNDS` rounds every user gets a list of `K` and clicks each film
of it that they rated in truth. Clicks count in the user's next list at once. No film is shown to a user twice, so that
lists do not gain by mere change. After a round comes a release: clicked films are not new any more, and the Gram matrix
and the weights between films are learned from all clicks.

Each way runs from the same start: without exploration, and with each policy. Profiles are the encoder's own, the ranker
is `item_weights` with fixed settings. Figures are clicks per user over all rounds; the difference from no exploration
is paired by user, and seeds are the orders of users and the draws.
"""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_array

from bench.figures import ROOT
from bench.protocols import ml100k
from bench.rivals.encoded import frozen_vectors
from recsys.dataset.dataset import Dataset
from recsys.dataset.interactions import Interactions
from recsys.evaluation.cold_start import make_task
from recsys.evaluation.intervals import bootstrap_over_seeds
from recsys.evaluation.off_policy import estimate
from recsys.evaluation.off_policy_lists import EXPLORED, REWARDED, Target, read_lists
from recsys.profiles.item_ids import ItemIds
from recsys.profiles.users import Ridge, gram_of
from recsys.ranking.exploring import POLICIES
from recsys.ranking.learning import ItemWeightsSettings, learn_item_weights
from recsys.ranking.ranker import RankedItems
from recsys.serving.answers import Answer, Scored
from recsys.serving.exploration import NO_POLICY, Explorer, NewItems, Question
from recsys.serving.params import ServeParams
from recsys.settings import Settings

# Shape suffixes: U users, I films, D dimension, S seeds, R rounds.
ROUNDS = 10
K = 10
WEIGHTS = ItemWeightsSettings(
    ease_lambda=100.0, popularity_power=0.1, lift=1.0, max_items=5000, weights_per_item=100
)
WAYS = (NO_POLICY, "thompson", "linucb", "uniform")
TARGETS = ("uniform", "greedy", "thompson")
"""Policies that are estimated from the log of Thompson sampling."""


@dataclass(frozen=True)
class World:
    """What is true, and what is known at the start."""

    item_ids: tuple[str, ...]
    vectors_ID: NDArray[np.float32]
    history_UI: NDArray[np.bool_]
    truth_UI: NDArray[np.bool_]
    """Would be clicked; nothing of the history."""
    cold_I: NDArray[np.bool_]


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


class DenseRanked:
    """Scores every film with a ranker. It finds what `RankedSearcher` finds; so few films need no index."""

    def __init__(self, vectors_ID: NDArray[np.float32], ranker: RankedItems, growth: float) -> None:
        self.growth = growth
        self._vectors_ID = vectors_ID
        self._ranker = ranker
        self._last: tuple[bytes, NDArray[np.float64]] = (b"", np.empty(0))
        """Scores of the last query: a list that explores is searched twice."""

    def search(
        self,
        query_D: NDArray[np.float32],
        history: Sequence[int],
        k: int,
        exclude: Collection[int],
        only_I: NDArray[np.bool_] | None = None,
    ) -> list[tuple[int, float]]:
        """Rows with their scores, best first."""
        score_I = self._scores(query_D, history).copy()
        score_I[list(exclude)] = -np.inf
        if only_I is not None:
            score_I[~only_I] = -np.inf
        order = np.argsort(-score_I, kind="stable")[:k]
        return [(int(row), float(score_I[row])) for row in order if score_I[row] > -np.inf]

    def _scores(self, query_D: NDArray[np.float32], history: Sequence[int]) -> NDArray[np.float64]:
        if self._last[0] == query_D.tobytes():
            return self._last[1]
        n_items = len(self._vectors_ID)
        dots_1I = (self._vectors_ID @ query_D * np.float32(self.growth))[None]
        history_1I = csr_array(
            (np.ones(len(history), np.float32), (np.zeros(len(history), int), history)), (1, n_items)
        )
        score_I = np.array(self._ranker.score(dots_1I, history_1I, np.arange(n_items))[0], np.float64)
        self._last = (query_D.tobytes(), score_I)
        return score_I


def replayed(n_seeds: int) -> dict[str, float]:
    """Run every way, and estimate policies from the log of one.

    Args:
        n_seeds: repetitions.

    Returns:
        The figures.
    """
    world = make_world()
    figures = {"replay_users": float(len(world.truth_UI)), "replay_new_items": float(world.cold_I.sum())}
    runs = {way: [run(world, way, seed) for seed in range(n_seeds)] for way in WAYS}
    for way, found in runs.items():
        figures |= _summary(f"replay_{way}", found, world)
        if way != NO_POLICY:
            figures |= _gains(f"replay_{way}", found, runs[NO_POLICY])
    figures |= _estimates(runs["thompson"][0])
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}, indent=1))
    return figures


def make_world() -> World:
    """MovieLens 100k with the cold films of the judge's protocol."""
    chosen = Settings.load(ROOT / "params.yaml")
    items, log, cold = ml100k()
    log = log.select(["user_id", "item_id", "timestamp"]).sort_by("timestamp")
    text = [log["user_id"].cast(pa.string()), log["item_id"].cast(pa.string()), log["timestamp"]]
    items = items.set_column(
        items.column_names.index("item_id"), "item_id", items["item_id"].cast(pa.string())
    )
    log = pa.table(text, names=["user_id", "item_id", "timestamp"])
    task = make_task(items, log, cold.cast(pa.string()).to_pylist(), chosen.features)
    row_of_item = {item: row for row, item in enumerate(task.item_ids)}
    row_of_user = {user: row for row, user in enumerate(task.users)}
    truth_UI = np.zeros((len(task.users), len(task.item_ids)), np.bool_)
    cold_I = np.zeros(len(task.item_ids), np.bool_)
    cold_I[task.cold] = True
    warm_of_user: list[list[int]] = [[] for _ in task.users]
    for user, item in zip(log["user_id"].to_pylist(), log["item_id"].to_pylist(), strict=True):
        truth_UI[row_of_user[user], row_of_item[item]] = True
        if not cold_I[row_of_item[item]]:
            warm_of_user[row_of_user[user]].append(row_of_item[item])
    history_UI = np.zeros_like(truth_UI)
    for user, rows in enumerate(warm_of_user):
        history_UI[user, rows[: (len(rows) + 1) // 2]] = True
    # an item without history would be new too; only those of the protocol are cold here
    return World(task.item_ids, frozen_vectors(ROOT, task.texts), history_UI, truth_UI & ~history_UI, cold_I)


def run(world: World, way: str, seed: int) -> Run:
    """All rounds of one way."""
    n_users, n_items = world.truth_UI.shape
    rng = np.random.default_rng(seed)
    likes_UI, shown_UI = world.history_UI.copy(), world.history_UI.copy()
    done = Run(
        np.zeros((n_users, ROUNDS)),
        np.zeros((n_users, ROUNDS)),
        np.zeros(n_items, np.int64),
        np.zeros(n_items, np.int64),
    )
    explorer = None if way == NO_POLICY else Explorer(_params(way))
    for number in range(ROUNDS):
        answer_of = _release(world, likes_UI, f"{way}-{seed}-{number}", explorer)
        for user in rng.permutation(n_users).tolist():
            request = f"{seed} {number} {user}"
            answer = answer_of(np.flatnonzero(likes_UI[user]), np.flatnonzero(shown_UI[user]), request)
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


def _params(way: str) -> ServeParams:
    shipped = Settings.load(ROOT / "params.yaml").serve.model_dump()
    return ServeParams.model_validate(shipped | {"explore_policy": way})


Ask = Callable[[NDArray[np.int64], NDArray[np.int64], str], Answer]


def _release(world: World, likes_UI: NDArray[np.bool_], name: str, explorer: Explorer | None) -> Ask:
    """Learn from all likes; answers as the service does. Films are named by their rows."""
    ids = tuple(str(row) for row in range(len(world.item_ids)))
    histories = Interactions(
        ids, tuple(map(str, range(len(likes_UI)))), csr_array(likes_UI.astype(np.float64))
    )
    chosen = Settings.load(ROOT / "params.yaml")
    dataset = Dataset(histories, ids, world.vectors_ID, chosen.users.ridge_lambda, chosen.fusion.seed)
    weights = learn_item_weights(dataset, WEIGHTS)
    assert weights is not None
    growth = weights.growth(len(dataset.warm))
    ridge = Ridge(gram_of(world.vectors_ID[dataset.warm]), chosen.users.ridge_lambda * growth)
    ranked = DenseRanked(world.vectors_ID, weights.over(ids), growth)
    known = pa.array([ids[row] for row in dataset.warm])
    new = NewItems(ItemIds(ids), known, lambda rows: world.vectors_ID[rows], ridge, ranked)

    def answer_of(likes: NDArray[np.int64], shown: NDArray[np.int64], request: str) -> Answer:
        query_D = ridge.weights(world.vectors_ID[likes].sum(axis=0, dtype=np.float64)[None])[0]
        found = ranked.search(query_D, likes.tolist(), K, shown.tolist())
        answer = Answer(name, tuple(Scored(str(row), score) for row, score in found), "profile")
        if explorer is None:
            return answer
        closed = frozenset([*shown.tolist(), *(row for row, _ in found)])
        return explorer.explore(answer, new, Question(query_D, likes.tolist(), closed, None, request))

    return answer_of


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
            event_id = f"{answer.exploration.list_id} {draw.place}"
            done.lines.append(json.dumps({"message": REWARDED, "event_id": event_id, "value": None, **event}))
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
