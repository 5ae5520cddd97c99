"""RECALLERS: the champion's way to find candidates, the floors that it must beat, and rivals to look at beside them.

Not in `__init__.py`, which settings and so every command import: scipy would come with it.
"""

from collections.abc import Callable

from recsys.baselines.als_map import als_map
from recsys.baselines.blend import blend
from recsys.baselines.chance import random_order
from recsys.baselines.ease_prior import ease_prior
from recsys.baselines.popular import popular
from recsys.baselines.rbf_ridge import rbf_ridge
from recsys.baselines.same_category import same_category
from recsys.baselines.two_tower import two_tower
from recsys.dataset.dataset import Dataset
from recsys.ranking.centroid import encoder_centroid, tfidf_centroid
from recsys.ranking.dot import ridge_users
from recsys.ranking.plain_blend import plain_blend
from recsys.ranking.scorer import Recaller

RECALLERS: dict[str, Callable[[Dataset], Recaller]] = {
    "random": random_order,
    "popular": popular,
    "same_category": same_category,
    "tfidf_centroid": tfidf_centroid,
    "encoder_centroid": encoder_centroid,
    "ridge": ridge_users,
    "plain_blend": plain_blend,
    "rbf_ridge": rbf_ridge,
    "als_map": als_map,
    "ease_prior": ease_prior,
    "two_tower": two_tower,
    "blend": blend,
}
"""Name -> how it learns from what was known before the cut; tests/retrieval/test_recallers.py holds for each."""
