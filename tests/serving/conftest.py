"""Workspaces and stores are those of the tests of publishing."""

from tests.publishing.conftest import cache, folder, open_shop, packed, real_shop, shop, storage

__all__ = ["cache", "folder", "open_shop", "packed", "real_shop", "shop", "storage"]
