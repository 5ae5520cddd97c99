"""Decide whether a trained encoder is surely better than the pretrained one, on items that it has not learned from."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recsys.dataset.dataset import Dataset
from recsys.heads.recipe import ALONE
from recsys.ranking.dot import Dot
from recsys.validation.comparing import gain
from recsys.validation.sets import COLD, hold_out_items


def is_surely_better(
    trained: Dataset,
    pretrained_ID: NDArray[np.float32],
    held: NDArray[np.int64],
    k: int,
    max_users: int,
    n_errors: float,
) -> bool:
    """Compare two encoders by ridge users over their vectors alone, which is what epochs are chosen by.

    The best of several epochs may have a higher mean than the pretrained weights by luck, the more easily the fewer
    items are held out. These few items must also choose the head of a trained encoder, since it has learned from all
    others, whereas a head over the pretrained encoder can be chosen on all items. So where few items are held out,
    training has to be surely better.

    Args:
        trained: the training side with the trained encoder's vectors.
        pretrained_ID: the pretrained encoder's vectors of the same items.
        held: rows of the items that the trained encoder has not learned from.
        k: cutoff of ndcg@k.
        max_users: the most users; a sample where there are more.
        n_errors: standard errors to subtract from the mean gain.

    Returns:
        Whether the rest is above 0. False where nobody is left to judge by.
    """
    validation = hold_out_items(trained, held, trained.seed, max_users)
    if validation is None:
        return False
    after, before = (
        validation.per_user(replace(validation.dataset, vectors_ID=vectors_ID), {ALONE: Dot()}, k)[ALONE][
            COLD
        ]
        for vectors_ID in (trained.vectors_ID, pretrained_ID)
    )
    return gain([after], [before], False, n_errors) > 0
