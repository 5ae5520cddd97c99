"""MovieLens 100k as a world whose clicks are known, and releases that answer in it with the code that serves."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

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
from recsys.profiles.item_ids import ItemIds
from recsys.ranking.dot import ridge_of
from recsys.ranking.learning import ItemWeightsSettings, learn_item_weights
from recsys.ranking.ranker import RankedItems
from recsys.serving.answers import Answer, ListRequest, Scored
from recsys.serving.exploration import Explorer, Question
from recsys.serving.new_items import NewItems
from recsys.settings import Settings

# Shape suffixes: U users, I films, D dimension.
K = 10
"""Length of a list."""
WEIGHTS = ItemWeightsSettings(
    ease_lambda=100.0, head_factor=0.9, head_share=0.2, lift=1.0, max_items=5000, weights_per_item=100
)


@dataclass(frozen=True)
class World:
    """What is true, and what is known at the start."""

    item_ids: Sequence[str]
    vectors_ID: NDArray[np.float32]
    history_UI: NDArray[np.bool_]
    truth_UI: NDArray[np.bool_]
    """Would be clicked; nothing of the history."""
    cold_I: NDArray[np.bool_]


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
        best = np.argpartition(-score_I, min(k, len(score_I) - 1))[:k]
        order = best[np.lexsort((best, -score_I[best]))]
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


AnswerOf = Callable[[NDArray[np.int64], NDArray[np.int64], str, str], Answer]


def release_of(world: World, likes_UI: NDArray[np.bool_], name: str, explorer: Explorer | None) -> AnswerOf:
    """Learn from all likes; answers as the service does. Films are named by their rows."""
    ids = tuple(str(row) for row in range(len(world.item_ids)))
    histories = Interactions(
        ids, tuple(map(str, range(len(likes_UI)))), csr_array(likes_UI.astype(np.float64))
    )
    chosen = Settings.load(ROOT / "params.yaml")
    dataset = Dataset(
        histories,
        ids,
        world.vectors_ID,
        chosen.users.ridge_lambda,
        chosen.fusion.seed,
        prior_weight=chosen.users.prior_weight,
    )
    weights = learn_item_weights(dataset, WEIGHTS)
    assert weights is not None
    growth = weights.growth(len(dataset.warm))
    ridge = ridge_of(dataset, growth)
    ranked = DenseRanked(world.vectors_ID, weights.over(ids), growth)
    known = pa.array([ids[row] for row in dataset.warm])
    new = NewItems(ItemIds(ids), known, lambda rows: world.vectors_ID[rows], ridge, ranked)

    def answer_of(likes: NDArray[np.int64], shown: NDArray[np.int64], user: str, request: str) -> Answer:
        query_D = ridge.weights(world.vectors_ID[likes].sum(axis=0, dtype=np.float64)[None])[0]
        found = ranked.search(query_D, likes.tolist(), K, shown.tolist())
        answer = Answer(name, tuple(Scored(str(row), score) for row, score in found), "profile")
        if explorer is None:
            return answer
        closed = frozenset([*shown.tolist(), *(row for row, _ in found)])
        list_request = ListRequest(request_id=request, whose=user)
        return explorer.explore(answer, new, Question(query_D, likes.tolist(), closed, None, list_request))

    return answer_of
