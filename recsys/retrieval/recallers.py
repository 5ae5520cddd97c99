"""RECALLERS: the champion's way to find candidates, and the floors that it must beat.

Not in `__init__.py`, which settings and so every command import: scipy would come with it.
"""

from collections.abc import Callable

from recsys.retrieval.centroid import encoder_centroid, tfidf_centroid
from recsys.retrieval.chance import random_order
from recsys.retrieval.popular import popular
from recsys.retrieval.recaller import Known, Recaller
from recsys.retrieval.ridge import ridge_users
from recsys.retrieval.same_category import same_category

RECALLERS: dict[str, Callable[[Known], Recaller]] = {
    "random": random_order,
    "popular": popular,
    "same_category": same_category,
    "tfidf_centroid": tfidf_centroid,
    "encoder_centroid": encoder_centroid,
    "ridge": ridge_users,
}
"""Name -> how it learns from what was known before the cut; tests/retrieval/test_recallers.py holds for each."""
