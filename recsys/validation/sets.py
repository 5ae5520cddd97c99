"""A cold start of the training side's own: items and clicks held out, and the lists that users are asked for.

Lists as users see them: `cold` ranks the items held out whole, `warm` those that stay, by the clicks on them that
are held out, `tail` is the same by the clicks on those that were met least, `mixed` ranks both kinds together. Items
that a user is known to have met stand in none of that user's.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack

from recsys.dataset.dataset import Dataset
from recsys.dataset.histories import padded, sample
from recsys.dataset.interactions import Interactions
from recsys.profiles.users import Ridge, gram_of
from recsys.ranking.item_weights import ItemWeights
from recsys.ranking.metrics import ndcg_at_k, recall_at_k
from recsys.retrieval.exact import BLOCK_SCORES, best_of

Choice = TypeVar("Choice")
Way = tuple[float, ItemWeights | None]
"""λ of ridge users, and the ranker that orders their lists; None: the inner product as it is."""
COLD, WARM, TAIL, MIXED = "cold", "warm", "tail", "mixed"
LONG = 5
"""recall is taken of lists so many times as long as those that ndcg judges."""
HEAD_SHARE = 0.2
"""Of the warm items, those met most; the others are the tail."""
CLICKS_HELD = 0.2
"""Share of the clicks on warm items that are held out for the lists `warm` and `mixed`."""
# Shape suffixes: U users, I items, L width of the base encoder, W warm items, H held-out items, C candidates,
# R padded relevant items, E padded excluded items, D width of a profile.


@dataclass(frozen=True)
class Mark:
    """How good lists were, as a mean over users."""

    ndcg: float
    """At k."""
    recall: float
    """At LONG * k."""

    @property
    def sum(self) -> float:
        """What choices are made by: short lists are shown, long ones are what a ranker gets to choose from."""
        return self.ndcg + self.recall


@dataclass(frozen=True)
class Asked:
    """One list for each of some users."""

    users: NDArray[np.int64]
    """Their rows."""
    met_UW: csr_array
    relevant_UR: NDArray[np.int64]
    """Places among the candidates; PAD on the right."""
    excluded_UE: NDArray[np.int64]

    def blocks(self, n_candidates: int) -> Iterator[tuple[csr_array, NDArray[np.int64]]]:
        """met_BW and excluded_BE of so many users that their scores fit into memory."""
        size = max(1, BLOCK_SCORES // max(1, n_candidates))
        for start in range(0, self.met_UW.shape[0], size):
            yield csr_array(self.met_UW[start : start + size]), self.excluded_UE[start : start + size]

    def by_user(self, ranked_UK: NDArray[np.int64], k: int) -> NDArray[np.float64]:
        """ndcg@k and recall@(LONG k) of lists of LONG * k places, [U, 2]."""
        ndcg_U = ndcg_at_k(ranked_UK, self.relevant_UR, k)
        return np.stack([ndcg_U, recall_at_k(ranked_UK, self.relevant_UR, LONG * k)], axis=1)

    def mark(self, ranked_UK: NDArray[np.int64], k: int) -> Mark:
        """Of such lists, as a mean over users."""
        return Mark(*self.by_user(ranked_UK, k).mean(axis=0).tolist())


@dataclass(frozen=True)
class Exam:
    """What may be learned from, and what is asked then."""

    rest: Dataset
    """No interaction of a held item, no click that is asked for."""
    warm: NDArray[np.int64]
    """Rows of its items that somebody met, W of them."""
    held: NDArray[np.int64]
    """Rows of the items held out, H of them."""
    asked: dict[str, Asked]
    """By the list's name."""

    def marks(
        self,
        warm_WD: NDArray[np.float32],
        held_HD: NDArray[np.float32],
        ways: Mapping[Choice, Way],
        k: int,
        lexical_width: int = 0,
    ) -> dict[Choice, dict[str, Mark]]:
        """How good the lists are that are made of these profiles in several ways.

        Args:
            warm_WD: profiles of the warm items, unit rows.
            held_HD: profiles of the items held out.
            ways: λ of the ridge users and a ranker, if any, by what the choice is called.
            k: cutoff.
            lexical_width: leading dimensions of the profiles that hold words.

        Returns:
            Choice -> list -> mark.
        """
        gram = gram_of(warm_WD)
        ridges = {ridge_lambda: Ridge(gram, ridge_lambda, lexical_width) for ridge_lambda, _ in ways.values()}
        both_ID = np.concatenate([warm_WD, held_HD])
        item_ids = [self.rest.item_ids[row] for row in (*self.warm, *self.held)]
        places = {choice: ranker.places(item_ids) for choice, (_, ranker) in ways.items() if ranker}
        found: dict[Choice, dict[str, Mark]] = {choice: {} for choice in ways}
        for name, asked in self.asked.items():
            # the candidates of a list are all of the held items, all of the warm ones, or both
            here = {COLD: slice(len(warm_WD), None), MIXED: slice(None)}.get(name, slice(len(warm_WD)))
            ranked: dict[Choice, list[NDArray[np.int64]]] = {choice: [] for choice in ways}
            for met_BW, excluded_BE in asked.blocks(len(both_ID[here])):
                b_BD = met_BW @ warm_WD.astype(np.float64)
                for ridge_lambda, ridge in ridges.items():
                    scores_BC = ridge.weights(b_BD) @ both_ID[here].T
                    for choice, (own_lambda, ranker) in ways.items():
                        if own_lambda != ridge_lambda:
                            continue
                        corrected_BC = scores_BC
                        if ranker:
                            met_BT = ranker.met(met_BW, places[choice][: len(warm_WD)])
                            corrected_BC = ranker.corrected(scores_BC, met_BT, places[choice][here])
                        ranked[choice].append(best_of(corrected_BC, LONG * k, excluded_BE).rows_UK)
            for choice, blocks in ranked.items():
                found[choice][name] = asked.mark(np.concatenate(blocks), k)
        return found


def cold_exam(dataset: Dataset, held: NDArray[np.int64], seed: int, max_users: int) -> Exam | None:
    """Ask for held-out items alone.

    Args:
        dataset: the whole training side.
        held: rows of the items that are held out.
        seed: samples the users.
        max_users: users asked, at most.

    Returns:
        None where nobody met both a held item and another.
    """
    return _exam(dataset, held, dataset.interactions.without(held), None, seed, max_users)


def mixed_exam(dataset: Dataset, held: NDArray[np.int64], seed: int, max_users: int) -> Exam | None:
    """Ask for held-out clicks on the items that stay, on their tail, and for them and held-out items in one list.

    Args:
        dataset: the whole training side.
        held: rows of the items that are held out.
        seed: samples users and clicks.
        max_users: users asked for each list, at most.

    Returns:
        None where nobody can be asked for anything; lists that nobody can be asked for are left out.
    """
    known = dataset.interactions.without(held)
    is_asked = np.random.default_rng(seed).random(known.matrix_UI.nnz) < CLICKS_HELD
    clicks_UI = known.only_pairs(is_asked).matrix_UI
    return _exam(dataset, held, known.only_pairs(~is_asked), clicks_UI, seed, max_users)


def _exam(
    dataset: Dataset,
    held: NDArray[np.int64],
    known: Interactions,
    clicks_UI: csr_array | None,
    seed: int,
    max_users: int,
) -> Exam | None:
    warm = known.warm
    cold_UH = csr_array(dataset.interactions.matrix_UI[:, held])
    wanted = {COLD: cold_UH}
    if clicks_UI is not None:
        warm_UW = csr_array(clicks_UI[:, warm])
        tail_UW = _of_tail(warm_UW, known.n_users_I[warm])
        wanted = {WARM: warm_UW, TAIL: tail_UW, MIXED: csr_array(hstack([warm_UW, cold_UH]))}
    met_UW = csr_array(known.matrix_UI[:, warm])
    asked = {}
    for name, wanted_UC in wanted.items():
        users = np.flatnonzero((np.diff(met_UW.indptr) > 0) & (np.diff(wanted_UC.indptr) > 0))
        users = sample(users, max_users, seed)
        if len(users):
            met = csr_array(met_UW[users])
            excluded_UE = np.empty((len(users), 0), np.int64) if name == COLD else padded(met)
            asked[name] = Asked(users, met, padded(csr_array(wanted_UC[users])), excluded_UE)
    if not asked:
        return None
    return Exam(replace(dataset, interactions=known), warm, held, asked)


def _of_tail(clicks_UW: csr_array, n_met_W: NDArray[np.int64]) -> csr_array:
    """The clicks without those on the items that were met most."""
    is_tail_W = np.ones(len(n_met_W), bool)
    is_tail_W[np.argsort(-n_met_W, kind="stable")[: ceil(HEAD_SHARE * len(n_met_W))]] = False
    kept_UW = clicks_UW.copy()
    kept_UW.data *= is_tail_W[clicks_UW.indices]
    kept_UW.eliminate_zeros()
    return kept_UW
