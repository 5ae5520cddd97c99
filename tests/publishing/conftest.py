"""Workspaces of ten films: with a tiny encoder to test files and pointers, with the real one to test texts."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recsys.encoders.pack import pack_encoder
from recsys.models.reference import ModelReference
from recsys.settings import Settings
from recsys.storage.opening import open_storage
from recsys.storage.protocol import Storage
from tests.publishing.film_workspace import FILMS, ROOT, FilmWorkspace, tiny_model


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """RECSYS_CACHE."""
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def make_workspace(tmp_path: Path, cache: Path) -> Callable[[str], FilmWorkspace]:
    return lambda name: FilmWorkspace(tmp_path / name, tiny_model(cache / "encoders"))


@pytest.fixture
def film_workspace(make_workspace: Callable[[str], FilmWorkspace]) -> FilmWorkspace:
    """Ten films, three users, built, not published."""
    return filled(make_workspace("film_workspace"))


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ModelReference]:
    """A cache with the default encoder."""
    folder = tmp_path_factory.mktemp("cache")
    encoder = pack_encoder(Settings.load(ROOT / "params.yaml").encoder, folder / "encoders", ())
    return folder, ModelReference.of(encoder)


@pytest.fixture
def encoded_workspace(
    packed: tuple[Path, ModelReference], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> FilmWorkspace:
    """Ten films, three users, vectors of their texts, built, not published."""
    monkeypatch.setenv("RECSYS_CACHE", str(packed[0]))
    return filled(FilmWorkspace(tmp_path / "real", packed[1]))


def filled(film_workspace: FilmWorkspace) -> FilmWorkspace:
    film_workspace.items(FILMS)
    film_workspace.ratings(
        [("ann", "alien"), ("ann", "jaws"), ("bob", "babe"), ("bob", "dumbo"), ("cy", "rocky")]
    )
    return film_workspace.build()


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.servers)])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    """An empty store, once a folder and once SeaweedFS."""
    if request.param == "folder":
        yield open_storage(str(tmp_path / "store"))
    else:
        yield open_storage(f"s3://{request.getfixturevalue('bucket')}/store")


@pytest.fixture
def folder(tmp_path: Path) -> Storage:
    """An empty store in a folder."""
    return open_storage(str(tmp_path / "folder-store"))
