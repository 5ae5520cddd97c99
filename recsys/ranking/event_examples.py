"""Examples that event heads are learned from: pairs of a user and an item that was shown, or could have been.

Without a log of impressions, each user's recalled candidates stand in for it: a candidate counts as clicked if an
interaction with it was held out of everything that the features are computed from. Negatives are sampled. A network
that is trained on a share q of them learns logit P(click) - log q, so log q is added back in training (logQ correction)
and probabilities hold for all recalled candidates of such users: those with an interaction that was held out. For users
who seldom interact they are too high.

With impressions, the items that a user was shown take the place of the recalled ones, and no negative is sampled. Only
clicks that were held out are examples, a share h of all clicks. So log h is added to the logit in training, and
P(click) is that of an item that is shown. Positions and propensities are stored, not used.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.dataset.histories import PAD
from recsys.ranking.recommender import Recommender
from recsys.ranking.shortlist import FEATURES
from recsys.ranking.tasks import RankingTask, rank

# Shape suffixes: E examples, U users, I items, F features, D width of a profile, K recalled candidates.
MOVING_RIDGE = 0.1
"""Ridge of the linear map between the spaces of two heads, in units of squared profile length."""
BLOCK_USERS = 256
"""Users whose candidates are recalled at once; bounds memory."""


@dataclass(frozen=True)
class Events:
    """What happened between users and items, beyond clicks. Rows are those of the dataset."""

    purchases_UI: csr_array | None = None
    """1 where a user bought an item; None: nothing is known of purchases."""
    values_UI: csr_array | None = None
    """Value of the pair's event; a pair that is not stored has none. None: nothing is known of values."""
    shown_UI: csr_array | None = None
    """1 where an item was shown to a user. None: nobody knows what was shown."""

    def hiding(self, held_UI: csr_array) -> "Events":
        """The same events without the impressions of some pairs.

        Args:
            held_UI: 1 for each interaction that is held out to judge by. What was shown there would count as not
                clicked.

        Returns:
            The events.
        """
        if self.shown_UI is None:
            return self
        left_UI = csr_array(self.shown_UI - self.shown_UI.multiply(held_UI))
        left_UI.eliminate_zeros()
        return replace(self, shown_UI=left_UI)


@dataclass(frozen=True)
class Examples:
    """Pairs with what came of them."""

    features_EF: NDArray[np.float32]
    """In the order of `shortlist.FEATURES`, then those of traits."""
    tastes_UD: NDArray[np.float32]
    """Direction of each user's history, see `Shortlist.taste_D`; `user_E` says whose is whose."""
    row_U: NDArray[np.int64]
    """The users' rows in the dataset. A user may appear twice: for lists of warm and of cold items."""
    vectors_ID: NDArray[np.float32]
    """Profiles of all items."""
    user_E: NDArray[np.int64]
    """Row of `tastes_UD`; the examples of one user are adjacent."""
    item_E: NDArray[np.int64]
    """Row of `vectors_ID`."""
    clicked_E: NDArray[np.bool_]
    purchased_E: NDArray[np.bool_] | None
    """Only clicked pairs may be bought; None: nothing is known about purchases."""
    value_E: NDArray[np.float32] | None
    """NaN where the pair has none; None: nothing is known of values."""
    log_q_E: NDArray[np.float32]
    """log of the share of negatives that was kept, over that of clicks; 0 where all of both were."""

    def moved(self, rows: NDArray[np.int64], onto_ID: NDArray[np.float32]) -> "Examples":
        """The same examples with profiles in the space of another head, approximated by a linear map.

        Two heads that were learned from different interactions have different directions, so a network that was learned
        in the space of one means nothing in that of the other.

        Args:
            rows: items that have a profile in both spaces.
            onto_ID: profiles of all items by the other head.

        Returns:
            The examples.
        """
        from_ND = self.vectors_ID[rows].astype(np.float64)
        gram_DD = from_ND.T @ from_ND + MOVING_RIDGE * np.eye(from_ND.shape[1])
        map_DD = np.linalg.solve(gram_DD, from_ND.T @ onto_ID[rows].astype(np.float64)).astype(np.float32)
        return replace(self, vectors_ID=self.vectors_ID @ map_DD, tastes_UD=self.tastes_UD @ map_DD)

    def only(self, kept_E: NDArray[np.bool_]) -> "Examples":
        """Some of the examples."""
        return replace(
            self,
            features_EF=self.features_EF[kept_E],
            user_E=self.user_E[kept_E],
            item_E=self.item_E[kept_E],
            clicked_E=self.clicked_E[kept_E],
            purchased_E=None if self.purchased_E is None else self.purchased_E[kept_E],
            value_E=None if self.value_E is None else self.value_E[kept_E],
            log_q_E=self.log_q_E[kept_E],
        )


def examples_of(
    recommender: Recommender,
    task: RankingTask,
    depth: int,
    n_negatives: int,
    seed: int,
    events: Events | None = None,
) -> Examples:
    """Recall each user's candidates, and make examples of them.

    Args:
        recommender: learned without what the task holds out; its first ranker recalls.
        task: candidates, users and what was held out for them.
        depth: candidates recalled for each user.
        n_negatives: of these, about so many that were not clicked are kept for each user; 0: all.
        seed: of the sample.
        events: purchases and values; None: clicks alone are known.

    Returns:
        The examples, user by user; candidates that a user must not get are none.
    """
    tastes_UD = np.zeros((len(task.users), recommender.users.vectors_ID.shape[1]), np.float32)
    if events is not None and events.shown_UI is not None:
        log_share, candidates = _shown(recommender, task, events.shown_UI)
        n_negatives = 0
    else:
        log_share, candidates = 0.0, _recalled(recommender, task, depth)
    rng, found = np.random.default_rng([seed, 7]), []
    for place, user, rows_C, clicked_C in candidates:
        share = _share(n_negatives, int((~clicked_C).sum()))
        kept_C = clicked_C | (rng.random(len(clicked_C)) < share)
        rows_C, clicked_C = rows_C[kept_C], clicked_C[kept_C]
        shortlist = recommender.shortlist(user, rows_C)
        tastes_UD[place] = shortlist.taste_D
        found.append((place, user, rows_C, clicked_C, shortlist.features(), np.log(share) - log_share))
    n_features = len(FEATURES) + (0 if recommender.traits is None else recommender.traits.width)
    return _made(found, n_features, tastes_UD, task.users, recommender.users.vectors_ID, events)


def joined(some: Sequence[Examples]) -> Examples:
    """Examples over the same items, one after another."""
    starts = np.cumsum([0, *(len(one.row_U) for one in some)])
    bought, values = [one.purchased_E for one in some], [one.value_E for one in some]
    return Examples(
        features_EF=np.concatenate([one.features_EF for one in some]),
        tastes_UD=np.concatenate([one.tastes_UD for one in some]),
        row_U=np.concatenate([one.row_U for one in some]),
        vectors_ID=some[0].vectors_ID,
        user_E=np.concatenate([one.user_E + start for one, start in zip(some, starts, strict=False)]),
        item_E=np.concatenate([one.item_E for one in some]),
        clicked_E=np.concatenate([one.clicked_E for one in some]),
        purchased_E=None if any(one is None for one in bought) else np.concatenate(bought),  # type: ignore[arg-type]
        value_E=None if any(one is None for one in values) else np.concatenate(values),  # type: ignore[arg-type]
        log_q_E=np.concatenate([one.log_q_E for one in some]),
    )


def _recalled(
    recommender: Recommender, task: RankingTask, depth: int
) -> Iterator[tuple[int, int, NDArray[np.int64], NDArray[np.bool_]]]:
    """Each user of the task: place, row, recalled items, and which of them were held out for the user."""
    for start in range(0, len(task.users), BLOCK_USERS):
        part = slice(start, start + BLOCK_USERS)
        users, excluded_UE = task.users[part], task.excluded_UE[part]
        ranked_UK = rank(recommender.first, users, task.candidates, depth, excluded_UE).rows_UK
        for place, (user, rows_K) in enumerate(zip(users.tolist(), ranked_UK, strict=True), start):
            rows_C = rows_K[rows_K != PAD]
            yield place, user, rows_C, np.isin(rows_C, task.relevant_UR[place])


def _shown(
    recommender: Recommender, task: RankingTask, shown_UI: csr_array
) -> tuple[float, Iterator[tuple[int, int, NDArray[np.int64], NDArray[np.bool_]]]]:
    """What each user was shown, and is not known to have clicked before.

    Args:
        recommender: knows the histories.
        task: candidates, users and what was held out for them.
        shown_UI: see `Events`.

    Returns:
        log of the share of clicks on shown candidates that are held out: only these are examples, while all that was
        shown without a click is. And for each user the same as `_recalled`.
    """
    history_UI = recommender.users.histories_UI
    found, n_held, n_known = [], 0, 0
    for place, user in enumerate(task.users.tolist()):
        rows_C = np.intersect1d(shown_UI[[user]].indices, task.candidates).astype(np.int64)
        is_known_C = np.isin(rows_C, history_UI[[user]].indices)
        rows_C, n_known = rows_C[~is_known_C], n_known + int(is_known_C.sum())
        clicked_C = np.isin(rows_C, task.relevant_UR[place])
        n_held += int(clicked_C.sum())
        if len(rows_C):
            found.append((place, user, rows_C, clicked_C))
    return float(np.log(n_held / (n_held + n_known))) if n_held else 0.0, iter(found)


def _share(n_negatives: int, n_there: int) -> float:
    return min(1.0, n_negatives / n_there) if n_negatives and n_there else 1.0


def _made(
    found: Iterable[tuple[int, int, NDArray[np.int64], NDArray[np.bool_], NDArray[np.float32], float]],
    n_features: int,
    tastes_UD: NDArray[np.float32],
    row_U: NDArray[np.int64],
    vectors_ID: NDArray[np.float32],
    events: Events | None,
) -> Examples:
    nothing = (0, 0, np.empty(0, np.int64), np.empty(0, bool), np.empty((0, n_features), np.float32), 0.0)
    places, users, rows, clicked, features, log_q = map(list, zip(nothing, *found, strict=True))
    lengths = [len(one) for one in rows]
    item_E, clicked_E = np.concatenate(rows), np.concatenate(clicked)
    row_E = np.repeat(users, lengths)
    purchased_E = value_E = None
    if events is not None and events.purchases_UI is not None:
        purchased_E = clicked_E & (_at(events.purchases_UI, row_E, item_E) > 0)
    if events is not None and events.values_UI is not None:
        known_UI = csr_array(events.values_UI, copy=True)
        known_UI.data = np.ones_like(known_UI.data)  # a value of 0 is one
        has_E = clicked_E & (_at(known_UI, row_E, item_E) > 0)
        value_E = np.where(has_E, _at(events.values_UI, row_E, item_E), np.nan).astype(np.float32)
    return Examples(
        features_EF=np.concatenate(features),
        tastes_UD=tastes_UD,
        row_U=row_U,
        vectors_ID=vectors_ID,
        user_E=np.repeat(places, lengths),
        item_E=item_E,
        clicked_E=clicked_E,
        purchased_E=purchased_E,
        value_E=value_E,
        log_q_E=np.repeat(log_q, lengths).astype(np.float32),
    )


def _at(matrix_UI: csr_array, user_E: NDArray[np.int64], item_E: NDArray[np.int64]) -> NDArray[np.float64]:
    if not len(user_E):  # scipy takes no empty index
        return np.empty(0)
    return np.asarray(matrix_UI[user_E, item_E]).ravel().astype(np.float64)
