"""The order of lists: best score first; of equal scores the smaller item id."""

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
