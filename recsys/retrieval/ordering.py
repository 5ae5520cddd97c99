"""The order of lists: best score first; of equal scores the smaller item id. And what may be in them."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from recsys.profiles.item_ids import ItemIds

# Shape suffix: N items to choose from.


def ordered(ids: ItemIds, rows_N: NDArray[np.int64], scores_N: NDArray[np.floating], k: int) -> list[int]:
    """Choose the k best of some items. Only as many ids are read as the list needs.

    Args:
        ids: of the catalogue.
        rows_N: rows of the items there.
        scores_N: one per item.
        k: length of the list.

    Returns:
        At most k places in `rows_N`, best first.
    """
    if (
        len(scores_N) > k
    ):  # a partition may choose any of several equal scores, so all that equal the last are kept
        last = np.partition(scores_N, len(scores_N) - k)[len(scores_N) - k]
        left = np.flatnonzero(scores_N >= last)
    else:
        left = np.arange(len(scores_N))
    best = left[np.argsort(-scores_N[left], kind="stable")]
    in_order = scores_N[best]
    if not (in_order[1:] == in_order[:-1]).any():  # so no id is read
        places: list[int] = best[:k].tolist()
        return places
    names = ids.at(rows_N[left].tolist())
    ranked = sorted(zip((-scores_N[left]).tolist(), names, left.tolist(), strict=True))
    return [place for _, _, place in ranked[:k]]


def likely_best(
    about_N: NDArray[np.float64],
    off: float,
    k: int,
    sure: int,
    scores_of: Callable[[NDArray[np.int64]], NDArray[np.float64]] | None = None,
) -> NDArray[np.bool_]:
    """Which items are likely to be in a list, as far as estimates of their scores can tell.

    Args:
        about_N: an estimate for each item; more than k.
        off: an error that few estimates exceed.
        k: how many are wanted.
        sure: how many of them must be the best, at most k; the others are the best by their estimates.
        scores_of: the scores of items at some places, exactly. Where all items are about as good, those with the best
            estimates owe it to chance: then their true scores say what others must reach. None: their estimates do.

    Returns:
        A mask, [N], of at least k.
    """
    best_K = np.partition(about_N, len(about_N) - k)[-k:]
    surely = best_K[0] if sure >= k else np.partition(best_K, k - sure)[k - sure]
    if scores_of is not None:
        surely = min(surely, scores_of(np.flatnonzero(about_N >= surely)).min())
    found: NDArray[np.bool_] = about_N >= min(best_K[0], surely - off)
    return found
