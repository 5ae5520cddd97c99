"""A validation set: interactions held out of the training side, and the lists that are ranked without them.

`cold` ranks the items held out whole. `warm` ranks those that stay, by the interactions with them that are held out;
`tail` is the same by the interactions with those of few users. `mixed` ranks both kinds in one list. Items that a user
is known to have interacted with stand in none of that user's lists.
"""

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from recsys.dataset.dataset import Dataset
from recsys.ranking.metrics import ndcg_at_k, recall_at_k
from recsys.ranking.ranker import Ranker
from recsys.ranking.recommender import learn_recommenders
from recsys.ranking.tasks import RankingTask, make_task, rank_each

Choice = TypeVar("Choice", bound=Hashable)
COLD, WARM, TAIL, MIXED = "cold", "warm", "tail", "mixed"
LONG = 5
"""recall is taken of lists so many times as long as those that ndcg judges: what a later ranker may choose from."""
HELD_PAIRS = 0.2
"""Share of the interactions with warm items that are held out for the lists `warm` and `mixed`."""
# Shape suffixes: U users, B users of a block, K list length, C candidates.


@dataclass(frozen=True)
class ListMetrics:
    """Ranking metrics, averaged over users."""

    ndcg: float
    """At k."""
    recall: float
    """At LONG * k."""

    @property
    def sum(self) -> float:
        """What choices are made by: short lists are shown, long ones are what a later ranker may choose from."""
        return self.ndcg + self.recall


def metrics_per_user(task: RankingTask, ranked_UK: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """ndcg@k and recall@(LONG k) of lists of LONG * k places, [U, 2]."""
    ndcg_U = ndcg_at_k(ranked_UK, task.relevant_UR, k)
    return np.stack([ndcg_U, recall_at_k(ranked_UK, task.relevant_UR, LONG * k)], axis=1)


@dataclass(frozen=True)
class ValidationSet:
    """What may be learned from, and the lists that are ranked then."""

    dataset: Dataset
    """No interaction of a held item, and none that is held out."""
    held: NDArray[np.int64]
    """Rows of the items held out whole."""
    tasks: Mapping[str, RankingTask]
    """By the list's name; lists that no user can be ranked for are left out."""

    @property
    def mixed(self) -> RankingTask:
        """The task of mixed lists."""
        return self.tasks[MIXED]

    def evaluate(
        self, dataset: Dataset, rankers: Mapping[Choice, Ranker], k: int
    ) -> dict[Choice, dict[str, ListMetrics]]:
        """How good lists are that several rankers order, scored as a release would.

        Args:
            dataset: this set's, with the profiles and λ that are tried.
            rankers: by what the choice is called.
            k: cutoff.

        Returns:
            Choice -> list -> metrics.
        """
        recommenders = learn_recommenders(dataset, rankers)
        found: dict[Choice, dict[str, ListMetrics]] = {choice: {} for choice in rankers}
        for name, task in self.tasks.items():

            def scores_of(
                users: NDArray[np.int64], candidates: NDArray[np.int64] = task.candidates
            ) -> Iterator[tuple[Choice, NDArray[np.float32]]]:
                dots: dict[
                    int, NDArray[np.float32]
                ] = {}  # of one block, shared by rankers with the same users
                for choice, one in recommenders.items():
                    if id(one.users) not in dots:
                        dots[id(one.users)] = one.dot(users, candidates)
                    yield choice, one.ranked(dots[id(one.users)], users, candidates)

            for choice, ranked_UK in rank_each(task, scores_of, LONG * k).items():
                means = metrics_per_user(task, ranked_UK, k).mean(axis=0)
                found[choice][name] = ListMetrics(*means.tolist())
        return found


def hold_out_items(
    dataset: Dataset, held: NDArray[np.int64], seed: int, max_users: int
) -> ValidationSet | None:
    """Hold items out whole and rank them alone.

    Args:
        dataset: the whole training side.
        held: rows of the items that are held out.
        seed: samples the users.
        max_users: users ranked for, at most.

    Returns:
        None where nobody interacted with both a held item and another.
    """
    known = dataset.interactions.without(held)
    task = make_task(COLD, held, known, dataset.interactions.matrix_UI, max_users, seed)
    rest = replace(dataset, interactions=known)
    return ValidationSet(rest, held, {COLD: task}) if len(task.users) else None


def hold_out_items_and_pairs(
    dataset: Dataset, held: NDArray[np.int64], seed: int, max_users: int, head_share: float
) -> ValidationSet | None:
    """Hold out items whole and interactions with the others; rank the others, their tail, and both kinds mixed.

    Args:
        dataset: the whole training side.
        held: rows of the items that are held out.
        seed: samples users and interactions.
        max_users: users ranked for in each list, at most.
        head_share: share of the warm items, those with most users, that is no tail.

    Returns:
        None where no list has a user.
    """
    rest = dataset.interactions.without(held)
    is_held_P = np.random.default_rng(seed).random(rest.matrix_UI.nnz) < HELD_PAIRS
    known, pairs = rest.only_pairs(~is_held_P), rest.only_pairs(is_held_P)
    warm, both = known.warm, dataset.interactions.only_items(_at(held, len(dataset.item_ids)))
    wanted = {
        WARM: (warm, pairs.matrix_UI),
        TAIL: (warm, pairs.without(known.head(warm, head_share)).matrix_UI),
        MIXED: (np.concatenate([warm, held]), pairs.matrix_UI + both.matrix_UI),
    }
    tasks = {
        name: make_task(name, candidates, known, held_UI, max_users, seed)
        for name, (candidates, held_UI) in wanted.items()
    }
    kept = {name: task for name, task in tasks.items() if len(task.users)}
    return ValidationSet(replace(dataset, interactions=known), held, kept) if kept else None


def _at(rows: NDArray[np.int64], n: int) -> NDArray[np.bool_]:
    is_there = np.zeros(n, bool)
    is_there[rows] = True
    return is_there
