"""Fixtures of the rooms whose effects are tested here: small real workspaces, stores, a trained challenger."""

from tests.publishing.conftest import cache, folder, open_shop, packed, real_shop, shop, storage
from tests.registry.conftest import model, trained

__all__ = ["cache", "folder", "model", "open_shop", "packed", "real_shop", "shop", "storage", "trained"]
