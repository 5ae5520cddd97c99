"""The workspace is that of the tests of publishing."""

from tests.publishing.conftest import built_films, cache, film_workspace, folder, make_workspace

__all__ = ["built_films", "cache", "film_workspace", "folder", "make_workspace"]
