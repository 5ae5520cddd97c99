"""Rankers re-order what retrieval found. RANKERS maps the name in a release's manifest to the function."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from recsys.ranking.dot import rank_by_dot

Ranker = Callable[
    [NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]],
    tuple[NDArray[np.int64], NDArray[np.float32]],
]
"""(queries_UD, rows_UK, vectors_ID) -> (rows_UK, scores_UK), best first."""

RANKERS: dict[str, Ranker] = {"dot": rank_by_dot}

__all__ = ["RANKERS", "Ranker"]
