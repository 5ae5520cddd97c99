"""Floor `same_category`: a new item is as popular as the warm items that share its tags."""

from collections import defaultdict

import numpy as np

from recsys.baselines.popular import ByItem
from recsys.dataset.dataset import Dataset

PRIOR_ITEMS = 5.0
"""Items of average popularity that every tag is given beside its own, so that a tag of one hit proves little."""


def same_category(known: Dataset) -> ByItem:
    """Score of an item = mean over its tags of the interactions per warm item with that tag.

    Items without a tag, or with new tags alone, get the average of all warm items.
    """
    warm, tags_I = known.warm, known.tags or ((),) * len(known.texts)
    average = float(known.interactions.n_users_I[warm].mean()) if len(warm) else 0.0
    met: dict[str, float] = defaultdict(float)
    n_items: dict[str, int] = defaultdict(int)
    for row in warm:
        for tag in set(tags_I[row]):
            met[tag] += float(known.interactions.n_users_I[row])
            n_items[tag] += 1
    popularity = {
        tag: (met[tag] + PRIOR_ITEMS * average) / (n_items[tag] + PRIOR_ITEMS) for tag in sorted(met)
    }
    scores = [
        float(np.mean([popularity.get(tag, average) for tag in sorted(set(tags))])) if tags else average
        for tags in tags_I
    ]
    return ByItem(np.array(scores, np.float32), warm)
