"""Workspaces and stores are those of the tests of publishing."""

from tests.publishing.conftest import (
    built_films,
    cache,
    encoded_films,
    encoded_workspace,
    film_workspace,
    folder,
    make_workspace,
    packed,
    storage,
)

__all__ = [
    "built_films",
    "cache",
    "encoded_films",
    "folder",
    "make_workspace",
    "packed",
    "encoded_workspace",
    "film_workspace",
    "storage",
]
