"""A validation set: a dataset without held-out interactions, and ranking tasks for them.

Task `cold` ranks the items that are held out completely. `warm` ranks the others; relevant are held-out interactions
with them. `tail` judges the same lists, but only items with few users are relevant. `mixed` ranks both kinds in one
list. A user's lists leave out items of the user's history.
"""

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from recsys.dataset.dataset import Dataset
from recsys.ranking.head_and_tail import head_and_tail
from recsys.ranking.metrics import ndcg_at_k, recall_at_k
from recsys.ranking.ranker import Ranker
from recsys.ranking.recommender import learn_recommenders
from recsys.ranking.tasks import RankingTask, make_task, rank_each

Choice = TypeVar("Choice", bound=Hashable)
COLD, WARM, MIXED = "cold", "warm", "mixed"
LONG = 5
"""Recall is measured in lists this many times as long as those of ndcg: candidates for a later ranker."""
HELD_PAIRS = 0.2
"""Share of the interactions with warm items that is held out for the tasks `warm` and `mixed`."""
# Shape suffixes: U users, B users of a block, K list length, C candidates.


@dataclass(frozen=True)
class ListMetrics:
    """Ranking metrics, averaged over users."""

    ndcg: float
    """ndcg@k."""
    recall: float
    """recall@(LONG k)."""

    @property
    def sum(self) -> float:
        """The metric of choices: ndcg of short lists, which users are shown, plus recall of long ones."""
        return self.ndcg + self.recall


def metrics_per_user(task: RankingTask, ranked_UK: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """ndcg@k and recall@(LONG k) of lists with LONG * k places, [U, 2]."""
    ndcg_U = ndcg_at_k(ranked_UK, task.relevant_UR, k)
    return np.stack([ndcg_U, recall_at_k(ranked_UK, task.relevant_UR, LONG * k)], axis=1)


@dataclass(frozen=True)
class ValidationSet:
    """A dataset to learn from, and tasks to rank afterwards."""

    dataset: Dataset
    """Without interactions of held-out items, and without held-out interactions."""
    held: NDArray[np.int64]
    """Rows of the items that are held out completely."""
    tasks: Mapping[str, RankingTask]
    """Name -> task; tasks without users are left out."""
    tail: RankingTask | None = None
    """The task `warm` with items of few users alone as relevant ones; None where it has no user."""

    @property
    def mixed(self) -> RankingTask:
        """The task that ranks warm and held-out items in one list."""
        return self.tasks[MIXED]

    def per_user(
        self, dataset: Dataset, rankers: Mapping[Choice, Ranker], k: int
    ) -> dict[Choice, dict[str, NDArray[np.float64]]]:
        """Judge the lists of several rankers, scored as in a release.

        Args:
            dataset: this set's, with the profiles and λ to try.
            rankers: by the name of the choice.
            k: cutoff.

        Returns:
            Choice -> list -> what `metrics_per_user` gives, [U, 2].
        """
        recommenders = learn_recommenders(dataset, rankers)
        found: dict[Choice, dict[str, NDArray[np.float64]]] = {choice: {} for choice in rankers}
        for name, task in self.tasks.items():

            def scores_of(
                users: NDArray[np.int64], candidates: NDArray[np.int64] = task.candidates
            ) -> Iterator[tuple[Choice, NDArray[np.float32]]]:
                dots: dict[
                    int, NDArray[np.float32]
                ] = {}  # inner products of one block, shared by rankers with the same users
                for choice, one in recommenders.items():
                    if id(one.users) not in dots:
                        dots[id(one.users)] = one.dot(users, candidates)
                    yield choice, one.ranked(dots[id(one.users)], users, candidates)

            for choice, ranked_UK in rank_each(task, scores_of, LONG * k).items():
                for part in self._parts(name):
                    rows = np.searchsorted(task.users, part.users)
                    found[choice][part.name] = metrics_per_user(part, ranked_UK[rows], k)
        return found

    def _parts(self, name: str) -> Iterator[RankingTask]:
        """A task, and the one that judges its lists by fewer relevant items."""
        yield self.tasks[name]
        if name == WARM and self.tail is not None:
            yield self.tail


def hold_out_items(
    dataset: Dataset, held: NDArray[np.int64], seed: int, max_users: int
) -> ValidationSet | None:
    """Hold items out completely, and make the task `cold`.

    Args:
        dataset: the whole training side.
        held: rows of the items to hold out.
        seed: of the sample of users.
        max_users: the most users.

    Returns:
        The set; None where nobody interacted with both a held-out item and another.
    """
    known = dataset.interactions.without(held)
    task = make_task(COLD, held, known, dataset.interactions.matrix_UI, max_users, seed)
    rest = replace(dataset, interactions=known)
    return ValidationSet(rest, held, {COLD: task}) if len(task.users) else None


def hold_out_items_and_pairs(
    dataset: Dataset, held: NDArray[np.int64], seed: int, max_users: int, head_share: float
) -> ValidationSet | None:
    """Hold out items completely, and some interactions with the others; make the tasks `warm` and `mixed`.

    Args:
        dataset: the whole training side.
        held: rows of the items to hold out.
        seed: of the samples of users and interactions.
        max_users: the most users of a task.
        head_share: share of the warm items, those with the most users, that is not the tail.

    Returns:
        The set; None where no task has a user.
    """
    rest = dataset.interactions.without(held)
    is_held_P = np.random.default_rng(seed).random(rest.matrix_UI.nnz) < HELD_PAIRS
    known, pairs = rest.only_pairs(~is_held_P), rest.only_pairs(is_held_P)
    warm, both = known.warm, dataset.interactions.only_items(_at(held, len(dataset.item_ids)))
    wanted = {
        WARM: (warm, pairs.matrix_UI),
        MIXED: (np.concatenate([warm, held]), pairs.matrix_UI + both.matrix_UI),
    }
    tasks = {
        name: make_task(name, candidates, known, held_UI, max_users, seed)
        for name, (candidates, held_UI) in wanted.items()
    }
    _, tail = head_and_tail(known, tasks[WARM], head_share)
    kept = {name: task for name, task in tasks.items() if len(task.users)}
    tail_of = tail if len(tail.users) else None
    return ValidationSet(replace(dataset, interactions=known), held, kept, tail_of) if kept else None


def _at(rows: NDArray[np.int64], n: int) -> NDArray[np.bool_]:
    is_there = np.zeros(n, bool)
    is_there[rows] = True
    return is_there
