"""A landed file that its producer replaces while intake works: at every boundary, in a folder and in a bucket."""

import json
import os

import pytest

from recsys.catalogue.ingest import ingest
from recsys.catalogue.kinds import CATALOGUE
from recsys.catalogue.known import newest_among
from recsys.catalogue.parts import list_parts

OLD = [{"item_id": "a", "title": "The old text"}]
NEW = [{"item_id": "a", "title": "The new text, longer than the old one"}]


class Replacing:
    """A landing zone whose producer replaces the file just before or after one step of intake."""

    def __init__(self, storage, step, when, replace):
        self._storage, self._step, self._when, self._replace = storage, step, when, replace
        self.is_done = False

    def __getattr__(self, name):
        method = getattr(self._storage, name)
        if name != self._step or self.is_done:
            return method

        def replaced(*arguments):
            self.is_done = True
            if self._when == "before":
                self._replace()
                return method(*arguments)
            result = method(*arguments)
            self._replace()
            return result

        return replaced


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.servers)])
def any_house(request):
    return request.getfixturevalue("house" if request.param == "folder" else "house_in_bucket")


def content(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def replace_in(house):
    """As a producer does: a new file under a temporary name, renamed; in a bucket a put."""
    if house.landing.url.startswith("s3://"):
        return lambda: house.land("catalogue/a.jsonl", NEW)

    def rename():
        place = house.landing.root / "catalogue"
        place.mkdir(exist_ok=True)
        (place / ".tmp").write_bytes(content(NEW))
        os.utime(place / ".tmp", (house.clock + 60, house.clock + 60))
        (place / ".tmp").rename(place / "a.jsonl")

    return rename


def title(house):
    newest = newest_among(list_parts(house.at.data, CATALOGUE))
    (part,) = (p for p in list_parts(house.at.data, CATALOGUE) if newest["part"][0].as_py() == p.id)
    return part.rows()["title"].to_pylist()[0]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["survey", "fetch", "find", "take"])
def test_a_file_replaced_at_any_moment_is_not_lost(any_house, step, when):
    house = any_house
    house.land("catalogue/a.jsonl", OLD)
    zone = Replacing(house.landing, step, when, replace_in(house))
    ingest(zone, house.at, house.params, house.key)
    assert zone.is_done
    house.ingest()
    assert title(house) == NEW[0]["title"]
    assert house.landing.list("catalogue/") == []
    landed = [house.landing.read(stored.key) for stored in house.landing.list("processed/")]
    assert content(NEW) in landed  # what was read is kept beside its part
    for part in list_parts(house.at.data, CATALOGUE):
        kept = [s for s in house.landing.list(f"processed/{part.id}/")]
        assert len(kept) <= 1


@pytest.mark.parametrize("call", ["replace", "lstat"])
def test_a_folder_between_look_and_rename(house, monkeypatch, call):
    """The gap inside `take`: the producer renames after the look at the file and before, or after, ours."""
    import pathlib

    house.land("catalogue/a.jsonl", OLD)
    original = getattr(pathlib.Path, call)
    done = []

    def late(path, *arguments, **keywords):
        found = original(path, *arguments, **keywords) if call == "lstat" else None
        if path.name == "a.jsonl" and path.parent.name == "catalogue" and not done and in_take:
            done.append(1)
            replace_in(house)()
        return found if call == "lstat" else original(path, *arguments, **keywords)

    in_take = []
    take = type(house.landing).take

    def taking(self, *arguments):
        in_take.append(1)
        return take(self, *arguments)

    monkeypatch.setattr(type(house.landing), "take", taking)
    monkeypatch.setattr(pathlib.Path, call, late)
    house.ingest()
    monkeypatch.undo()
    assert done
    house.ingest()
    assert title(house) == NEW[0]["title"]


@pytest.mark.servers
def test_a_bucket_between_copy_and_delete(house_in_bucket, monkeypatch):
    house = house_in_bucket
    house.land("catalogue/a.jsonl", OLD)
    client = house.landing._client
    copy = client.copy_object

    def then_replaced(**arguments):
        found = copy(**arguments)
        monkeypatch.undo()
        house.land("catalogue/a.jsonl", NEW)
        return found

    monkeypatch.setattr(client, "copy_object", then_replaced)
    house.ingest()
    assert [stored.key for stored in house.landing.list("catalogue/")] == ["catalogue/a.jsonl"]
    house.ingest()
    assert title(house) == NEW[0]["title"]
