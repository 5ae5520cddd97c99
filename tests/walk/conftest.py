"""Arrivals that several tests compare theirs with; modules that use them share a worker (tests/conftest.py)."""

import shutil
from collections import namedtuple

import pytest

from recsys.encoders.pack import pack_encoder
from recsys.settings import Settings
from tests.walk.forking import close
from tests.walk.place import Place


@pytest.fixture(scope="session", autouse=True)
def ended_server():
    """No process outlives the tests."""
    yield
    close()


Arrival = namedtuple("Arrival", "output release data lock")


@pytest.fixture(scope="session")
def landed(tmp_path_factory, tiny_encoder):
    """Home of a workspace in which nothing has run, with files that have landed; its cache has the packed encoder."""
    home = tmp_path_factory.mktemp("landed")
    place = Place(home)
    place.begin(tiny_encoder)
    place.small.land_first()
    pack_encoder(Settings.load(place.root / "params.yaml").encoder, home / "cache/encoders", ())
    return home


@pytest.fixture(scope="session")
def arrived(landed, tmp_path_factory):
    """A workspace that has taken in two deliveries, and what it was like after each."""
    place = Place(shutil.copytree(landed, tmp_path_factory.mktemp("arrived") / "home", symlinks=True))

    def arrive():
        return Arrival(place.arrive("--skip-code"), place.release, place.data, place.lock)

    first = arrive()
    place.small.land_second()
    return place, (first, arrive())
