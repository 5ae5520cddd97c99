"""A cold start of the training side's own: items and clicks held out, and the lists that users are asked for.

Three lists, as a shop shows them: `cold` ranks the items held out whole, `warm` those that stay, by the clicks on them
that are held out, `mixed` ranks both together. Items that a user is known to have met stand in none of that user's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack, vstack

from recsys.evaluation.ranking import ndcg_at_k, recall_at_k
from recsys.profiles.users import Ridge, gram_of
from recsys.ranking.item_weights import ItemWeights, hashes
from recsys.retrieval.exact import best_of, top_k
from recsys.retrieval.histories import only_items, only_pairs, padded

Choice = TypeVar("Choice")
COLD, WARM, MIXED = "cold", "warm", "mixed"
LONG = 5
"""recall is taken of lists so many times as long as those that ndcg judges."""
CLICKS_HELD = 0.2
"""Share of the clicks on warm items that are held out for the lists `warm` and `mixed`."""
# Shape suffixes: U users, I items, L width of the base encoder, W warm items, H held-out items, C candidates,
# R padded relevant items, E padded excluded items, D width of a profile.


@dataclass(frozen=True)
class Shop:
    """What a head may be learned from. Rows are items and users."""

    texts: tuple[str, ...]
    vectors_IL: NDArray[np.float32]
    """By the base encoder, unit rows."""
    histories_UI: csr_array
    """1 where a user met an item; items that nobody met teach nothing."""

    @property
    def warm(self) -> NDArray[np.int64]:
        """Rows of the items that somebody met."""
        return np.flatnonzero(np.asarray(self.histories_UI.sum(axis=0)).ravel())


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
class _Asked:
    """One list for each of some users."""

    met_UW: csr_array
    relevant_UR: NDArray[np.int64]
    """Places among the candidates; PAD on the right."""
    excluded_UE: NDArray[np.int64]

    def mark(self, ranked_UK: NDArray[np.int64], k: int) -> Mark:
        """Of lists of LONG * k places."""
        ndcg_U = ndcg_at_k(ranked_UK, self.relevant_UR, k)
        recall_U = recall_at_k(ranked_UK, self.relevant_UR, LONG * k)
        return Mark(float(ndcg_U.mean()), float(recall_U.mean()))


@dataclass(frozen=True)
class Exam:
    """What may be learned from, and what is asked then."""

    rest: Shop
    """No interaction of a held item, no click that is asked for."""
    warm: NDArray[np.int64]
    """Rows of its items that somebody met, W of them."""
    held: NDArray[np.int64]
    """Rows of the items held out, H of them."""
    asked: dict[str, _Asked]
    """By the list's name."""

    def marked(
        self,
        warm_WD: NDArray[np.float32],
        held_HD: NDArray[np.float32],
        ridge_lambda: float,
        rankers: Mapping[Choice, ItemWeights | None],
        k: int,
    ) -> dict[Choice, dict[str, Mark]]:
        """How good the lists `warm` and `mixed` are by each ranker over the same profiles.

        Args:
            warm_WD: profiles of the warm items, unit rows.
            held_HD: profiles of the items held out.
            ridge_lambda: λ of the ridge users.
            rankers: by what they are called; None leaves the inner product as it is.
            k: cutoff.

        Returns:
            Choice -> list -> mark; lists that nobody can be asked for are left out.
        """
        ridge = Ridge(gram_of(warm_WD), ridge_lambda)
        text_hashes = hashes([self.rest.texts[row] for row in (*self.warm, *self.held)])
        profiles_CD = np.concatenate([warm_WD, held_HD])
        found: dict[Choice, dict[str, Mark]] = {choice: {} for choice in rankers}
        for name, n_candidates in ((WARM, len(warm_WD)), (MIXED, len(profiles_CD))):
            if name not in self.asked:
                continue
            asked = self.asked[name]
            scores_UC = (
                ridge.weights(asked.met_UW @ warm_WD.astype(np.float64)) @ profiles_CD[:n_candidates].T
            )
            for choice, ranker in rankers.items():
                ranked_UC = scores_UC
                if ranker is not None:
                    place_C = ranker.places(text_hashes[:n_candidates])
                    met_UT = ranker.met(asked.met_UW, place_C[: len(warm_WD)])
                    ranked_UC = ranker.corrected(scores_UC, met_UT, place_C)
                found[choice][name] = asked.mark(best_of(ranked_UC, LONG * k, asked.excluded_UE).rows_UK, k)
        return found

    def marks(
        self, warm_WD: NDArray[np.float32], held_HD: NDArray[np.float32], lambdas: Sequence[float], k: int
    ) -> dict[float, dict[str, Mark]]:
        """How good the lists of ridge users over these profiles are.

        Args:
            warm_WD: profiles of the warm items, unit rows.
            held_HD: profiles of the items held out.
            lambdas: λ to try.
            k: cutoff.

        Returns:
            λ -> list -> mark.
        """
        gram = gram_of(warm_WD)
        sums_UD = vstack([asked.met_UW for asked in self.asked.values()]) @ warm_WD.astype(np.float64)
        found: dict[float, dict[str, Mark]] = {one: {} for one in lambdas}
        first = 0
        for name, asked in self.asked.items():
            # the candidates of a list are all of the held items, all of the warm ones, or both
            profiles_CD = {COLD: held_HD, WARM: warm_WD}.get(name)
            if profiles_CD is None:
                profiles_CD = np.concatenate([warm_WD, held_HD])
            b_UD, first = sums_UD[first : first + asked.met_UW.shape[0]], first + asked.met_UW.shape[0]
            for one in lambdas:
                weights_UD = Ridge(gram, one).weights(b_UD)
                ranked_UK = top_k(weights_UD, profiles_CD, LONG * k, asked.excluded_UE).rows_UK
                found[one][name] = asked.mark(ranked_UK, k)
        return found


def cold_exam(shop: Shop, held: NDArray[np.int64], seed: int, max_users: int) -> Exam | None:
    """Ask for held-out items alone.

    Args:
        shop: the whole training side.
        held: rows of the items that are held out.
        seed: samples the users.
        max_users: users asked, at most.

    Returns:
        None where nobody met both a held item and another.
    """
    known_UI = only_items(shop.histories_UI, ~_at(held, shop))
    return _exam(shop, held, known_UI, None, seed, max_users)


def mixed_exam(shop: Shop, held: NDArray[np.int64], seed: int, max_users: int) -> Exam | None:
    """Ask for held-out items, for held-out clicks on the others, and for both in one list.

    Args:
        shop: the whole training side.
        held: rows of the items that are held out.
        seed: samples users and clicks.
        max_users: users asked for each list, at most.

    Returns:
        None where nobody can be asked for anything; lists that nobody can be asked for are left out.
    """
    known_UI = only_items(shop.histories_UI, ~_at(held, shop))
    is_asked = np.random.default_rng(seed).random(known_UI.nnz) < CLICKS_HELD
    clicks_UI, rest_UI = (only_pairs(known_UI, chosen) for chosen in (is_asked, ~is_asked))
    return _exam(shop, held, rest_UI, clicks_UI, seed, max_users)


def _exam(
    shop: Shop,
    held: NDArray[np.int64],
    known_UI: csr_array,
    clicks_UI: csr_array | None,
    seed: int,
    max_users: int,
) -> Exam | None:
    warm = np.flatnonzero(np.asarray(known_UI.sum(axis=0)).ravel())
    wanted = {COLD: csr_array(shop.histories_UI[:, held])}
    if clicks_UI is not None:
        wanted[WARM] = csr_array(clicks_UI[:, warm])
        wanted[MIXED] = csr_array(hstack([wanted[WARM], wanted[COLD]]))
    met_UW = csr_array(known_UI[:, warm])
    asked = {}
    for name, wanted_UC in wanted.items():
        users = np.flatnonzero((np.diff(met_UW.indptr) > 0) & (np.diff(wanted_UC.indptr) > 0))
        if len(users) > max_users:
            users = np.sort(np.random.default_rng(seed).choice(users, max_users, replace=False))
        if len(users):
            met = csr_array(met_UW[users])
            excluded_UE = np.empty((len(users), 0), np.int64) if name == COLD else padded(met)
            asked[name] = _Asked(met, padded(csr_array(wanted_UC[users])), excluded_UE)
    if not asked:
        return None
    return Exam(Shop(shop.texts, shop.vectors_IL, known_UI), warm, held, asked)


def _at(rows: NDArray[np.int64], shop: Shop) -> NDArray[np.bool_]:
    is_there = np.zeros(len(shop.texts), bool)
    is_there[rows] = True
    return is_there
