"""Fixtures of the rooms whose effects are tested here: small real workspaces, stores, a trained challenger."""

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
from tests.registry.conftest import model, trained

__all__ = [
    "built_films",
    "cache",
    "encoded_films",
    "folder",
    "model",
    "make_workspace",
    "packed",
    "encoded_workspace",
    "film_workspace",
    "storage",
    "trained",
]
