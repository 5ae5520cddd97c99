"""RECALLERS: the champion's way to find candidates, the floors that it must beat, and rivals to look at beside them.

Not in `__init__.py`, which settings and so every command import: scipy would come with it.
"""

from collections.abc import Callable

from recsys.retrieval.als_map import als_map
from recsys.retrieval.blend import blend
from recsys.retrieval.centroid import encoder_centroid, tfidf_centroid
from recsys.retrieval.chance import random_order
from recsys.retrieval.ease_prior import ease_prior
from recsys.retrieval.plain_blend import plain_blend
from recsys.retrieval.popular import popular
from recsys.retrieval.rbf_ridge import rbf_ridge
from recsys.retrieval.recaller import Known, Recaller
from recsys.retrieval.ridge import ridge_users
from recsys.retrieval.same_category import same_category
from recsys.retrieval.two_tower import two_tower

RECALLERS: dict[str, Callable[[Known], Recaller]] = {
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
