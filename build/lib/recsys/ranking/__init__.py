"""Ranking scores candidates. A release names its ranker: `dot`, the inner product, or `item_weights`."""
