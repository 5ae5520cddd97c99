"""Compare challenger and champion on cold items, for people: users' lists, and items that won and lost."""

import numpy as np
from numpy.typing import NDArray

from recsys.catalogue.schemas import SHOWN_CHARS
from recsys.dataset.histories import PAD
from recsys.evaluation.holdout import Holdout
from recsys.evaluation.report import Comparison, ExampleUser, ListedItem, MovedItem
from recsys.ranking.metrics import hits
from recsys.ranking.tasks import RankingTask

# Shape suffixes: U users, K list length, I items.
N_USERS = 3
N_ITEMS = 8
PLACES = 10
HISTORY = 5
TEXT_CHARS = 140


def compare(
    holdout: Holdout,
    part: RankingTask,
    champion_UK: NDArray[np.int64],
    challenger_UK: NDArray[np.int64],
    change_U: NDArray[np.float64],
    k: int,
) -> Comparison:
    """Choose the examples that show the difference best.

    Args:
        holdout: texts and histories.
        part: the cold slice.
        champion_UK: its lists.
        challenger_UK: the other lists, for the same users.
        change_U: each user's gain in the metric.
        k: cutoff of won and lost.

    Returns:
        Users and items that gained or lost most. The same lists give the same examples.
    """
    order = np.argsort(-change_U, kind="stable")
    gained = [user for user in order[:N_USERS] if change_U[user] > 0]
    lost = [user for user in order[::-1][:N_USERS] if change_U[user] < 0]
    examples = tuple(
        _example(holdout, part, int(user), champion_UK, challenger_UK, change_U) for user in [*gained, *lost]
    )
    moved = _moved(holdout, part, champion_UK[:, :k], challenger_UK[:, :k])
    return Comparison(
        examples=examples,
        won=tuple([one for one in moved if one.n_challenger > one.n_champion][:N_ITEMS]),
        lost=tuple([one for one in moved[::-1] if one.n_challenger < one.n_champion][:N_ITEMS]),
    )


def _example(
    holdout: Holdout,
    part: RankingTask,
    user: int,
    champion_UK: NDArray[np.int64],
    challenger_UK: NDArray[np.int64],
    change_U: NDArray[np.float64],
) -> ExampleUser:
    relevant = set(part.relevant_UR[user].tolist()) - {PAD}
    row = part.users[user]
    history = holdout.known.interactions.matrix_UI[[row]].tocoo().col

    def listed(rows: NDArray[np.int64]) -> tuple[ListedItem, ...]:
        return tuple(
            ListedItem(item_id=holdout.item_ids[item], text=_text(holdout, item), is_hit=item in relevant)
            for item in rows[:PLACES].tolist()
            if item != PAD
        )

    return ExampleUser(
        user=holdout.users[row][:SHOWN_CHARS],
        change=round(float(change_U[user]), 6),
        history=tuple(_text(holdout, int(item)) for item in np.sort(history)[:HISTORY]),
        champion=listed(champion_UK[user]),
        challenger=listed(challenger_UK[user]),
    )


def _moved(
    holdout: Holdout, part: RankingTask, champion_UK: NDArray[np.int64], challenger_UK: NDArray[np.int64]
) -> list[MovedItem]:
    """Items by the gain in users who find them and interacted with them, largest first."""
    n_items = len(holdout.item_ids)
    n_relevant_I = np.bincount(part.relevant_UR[part.relevant_UR != PAD], minlength=n_items)
    before_I, after_I = (
        np.bincount(top_UK[hits(top_UK, part.relevant_UR)], minlength=n_items)
        for top_UK in (champion_UK, challenger_UK)
    )
    order = np.argsort(before_I - after_I, kind="stable")
    return [
        MovedItem(
            item_id=holdout.item_ids[item],
            text=_text(holdout, int(item)),
            n_relevant=int(n_relevant_I[item]),
            n_champion=int(before_I[item]),
            n_challenger=int(after_I[item]),
        )
        for item in order[before_I[order] != after_I[order]]
    ]


def _text(holdout: Holdout, item: int) -> str:
    text = " ".join(holdout.known.texts[item].split())
    return text if len(text) <= TEXT_CHARS else f"{text[: TEXT_CHARS - 1].rstrip()}…"
