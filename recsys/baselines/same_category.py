"""Floor `same_category`: a new item is as popular as the warm items that share its tags."""

from collections import defaultdict

import numpy as np

from recsys.baselines.popular import ByItem
from recsys.dataset.dataset import Known

PRIOR_ITEMS = 5.0
"""Items of average popularity that every tag is given beside its own, so that a tag of one hit proves little."""


def same_category(known: Known) -> ByItem:
    """Score of an item = mean over its tags of the interactions per warm item with that tag.

    Items without a tag, or with new tags alone, get the average of all warm items.
    """
    warm = known.warm
    average = float(known.n_met_I[warm].mean()) if len(warm) else 0.0
    met: dict[str, float] = defaultdict(float)
    n_items: dict[str, int] = defaultdict(int)
    for row in warm:
        for tag in set(known.tags[row]):
            met[tag] += float(known.n_met_I[row])
            n_items[tag] += 1
    popularity = {
        tag: (met[tag] + PRIOR_ITEMS * average) / (n_items[tag] + PRIOR_ITEMS) for tag in sorted(met)
    }
    scores = [
        float(np.mean([popularity.get(tag, average) for tag in sorted(set(tags))])) if tags else average
        for tags in known.tags
    ]
    return ByItem(np.array(scores, np.float32), warm)
