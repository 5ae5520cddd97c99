"""BASELINES: other ways to recommend. The floors decide whether a champion is worth it, rivals decide nothing."""

from collections.abc import Callable

from recsys.baselines.als_map import als_map
from recsys.baselines.blend import blend
from recsys.baselines.ease_prior import ease_prior
from recsys.baselines.floors import encoder_centroid, popular, random_order, same_category
from recsys.baselines.rbf_ridge import rbf_ridge
from recsys.baselines.two_tower import two_tower
from recsys.dataset.dataset import Dataset
from recsys.ranking.centroid import tfidf_centroid
from recsys.ranking.dot import ridge_users
from recsys.ranking.plain_blend import plain_blend
from recsys.ranking.tasks import Scorer

BASELINES: dict[str, Callable[[Dataset], Scorer]] = {
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
"""Name -> how it learns from what was known before the cut; tests/baselines/test_baselines.py holds for each."""
