"""A small world with ten series of items, for heads and for validation."""

from tests.heads.world import fusion_params, shop

__all__ = ["fusion_params", "shop"]
