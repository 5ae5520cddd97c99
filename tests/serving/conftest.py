"""Workspaces and stores are those of the tests of publishing."""

from tests.publishing.conftest import (
    cache,
    encoded_workspace,
    film_workspace,
    folder,
    make_workspace,
    packed,
    storage,
)

__all__ = ["cache", "folder", "make_workspace", "packed", "encoded_workspace", "film_workspace", "storage"]
