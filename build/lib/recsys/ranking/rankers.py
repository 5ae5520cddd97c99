"""RANKERS: how a release may order its lists."""

from recsys.ranking.dot import Dot
from recsys.ranking.item_weights import ItemWeights
from recsys.ranking.ranker import Ranker

RANKERS: dict[str, type[Ranker]] = {"dot": Dot, "item_weights": ItemWeights}
"""Name -> ranker; a release names one. tests/contracts/test_rankers.py holds for each."""
