"""Arrivals by workers that share no disk, by real commands: landing zone, store, remote and states are in common."""

import shutil

import pytest

from bench.small_workspace import KEY
from localplatform.workspace import set_remote
from recsys import Release
from recsys.catalogue.person import Person
from recsys.catalogue.pseudonyms import Pseudonyms
from tests.walk.place import Place

pytestmark = pytest.mark.whole


class Worker(Place):
    """A workspace of its own on a machine of its own; `shared` is all that it has in common with others."""

    def __init__(self, home, shared, encoder):
        super().__init__(home, shared)
        self.begin(encoder)
        set_remote(self.root, str(shared / "remote"))
        self.environment["RECSYS_STATE"] = str(shared / "state")


def test_another_worker_goes_on_from_what_the_first_one_published(tmp_path, tiny_encoder, landed, arrived):
    shared = tmp_path / "shared"
    shutil.copytree(landed / "cache", tmp_path / "first/cache")
    first, second = (Worker(tmp_path / name, shared, tiny_encoder) for name in ("first", "second"))
    first.small.land_first()
    first.arrive("--skip-code")
    first.small.land_second()
    output = second.arrive("--skip-code")
    assert "12 texts encoded" not in output  # vectors of the first arrival came along
    alone = arrived[1][-1]
    assert second.release == alone.release
    assert second.data == alone.data
    assert "nothing new has landed" in first.arrive("--skip-code", code=99)
    assert first.data == second.data
    assert Release.open(first.small.store, cache=tmp_path / "reader").items


def test_a_person_forgotten_on_one_worker_is_gone_for_all_and_does_not_come_back(tmp_path, tiny_encoder):
    shared = tmp_path / "shared"
    first, second = (Worker(tmp_path / name, shared, tiny_encoder) for name in ("first", "second"))
    person = Person(Pseudonyms(KEY).of("u11"), "u11")
    first.small.land_first()
    first.recsys("ingest")
    first.small.land_second()
    second.recsys("ingest")  # the newest state is the other one's
    assert holders(second.root / "data", person) and holders(shared / "remote", person)
    first.recsys("forget", "u11")
    assert not holders(shared, person) and not holders(first.root, person)
    second.recsys("ingest")
    assert first.data == second.data
    assert not holders(second.root / "data", person) and not holders(shared, person)


def holders(folder, person):
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return [path for path in files if person.is_in(path)]
