"""A small world with ten series of items, for heads and for validation."""

from tests.heads.world import dataset, fusion_params

__all__ = ["dataset", "fusion_params"]
