"""Ranking re-orders what retrieval found. A release names its ranker: `dot`, the inner product, or `item_weights`."""
