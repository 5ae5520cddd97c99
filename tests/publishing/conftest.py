"""Workspaces of ten films: with a tiny encoder to test files and pointers, with the real one to test texts."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from recsys.encoders.pack import pack_encoder
from recsys.models.reference import ModelReference
from recsys.storage.opening import open_storage
from recsys.storage.protocol import Storage
from tests.publishing.film_workspace import FILMS, FilmWorkspace, shipped_settings, tiny_model


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """RECSYS_CACHE."""
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def make_workspace(tmp_path: Path, cache: Path) -> Callable[[str], FilmWorkspace]:
    return lambda name: FilmWorkspace(tmp_path / name, tiny_model(cache / "encoders"))


@pytest.fixture(scope="session")
def built_films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a built workspace and its cache, which `film_workspace` copies."""
    folder = tmp_path_factory.mktemp("films")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECSYS_CACHE", str(folder / "cache"))
        filled(FilmWorkspace(folder / "film_workspace", tiny_model(folder / "cache/encoders")))
    return folder


@pytest.fixture
def film_workspace(
    built_films: Path, tmp_path: Path, make_workspace: Callable[[str], FilmWorkspace]
) -> FilmWorkspace:
    """Ten films, three users, built, not published."""
    shutil.copytree(built_films, tmp_path, dirs_exist_ok=True)
    return make_workspace("film_workspace")


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory, run_folder: Path) -> tuple[Path, ModelReference]:
    """A cache with the default encoder, which one worker packs for all."""
    folder, shared = tmp_path_factory.mktemp("cache"), run_folder / "encoders"
    with FileLock(f"{shared}.lock"):
        encoder = pack_encoder(shipped_settings().encoder, shared, ())
    shutil.copytree(shared, folder / "encoders", copy_function=os.link)
    return folder, ModelReference.of(encoder)


@pytest.fixture(scope="session")
def encoded_films(packed: tuple[Path, ModelReference], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built workspace with vectors of its texts, which `encoded_workspace` copies."""
    root = tmp_path_factory.mktemp("encoded") / "real"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECSYS_CACHE", str(packed[0]))
        filled(FilmWorkspace(root, packed[1]))
    return root


@pytest.fixture
def encoded_workspace(
    encoded_films: Path,
    packed: tuple[Path, ModelReference],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> FilmWorkspace:
    """Ten films, three users, vectors of their texts, built, not published."""
    monkeypatch.setenv("RECSYS_CACHE", str(packed[0]))
    return FilmWorkspace(shutil.copytree(encoded_films, tmp_path / "real"), packed[1])


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
