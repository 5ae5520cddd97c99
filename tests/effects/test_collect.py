"""Collecting old releases, beside rollbacks, holds and publishers."""

import os
import time
from pathlib import Path

import pytest

from recsys import Release
from recsys.effects.collect import collect
from recsys.effects.rollback import rollback
from recsys.errors import ReleaseError
from recsys.publishing.listing import releases
from recsys.publishing.params import CollectParams
from recsys.publishing.store import ReleaseStore
from recsys.storage.folder import FolderStorage
from tests.publishing.film_workspace import FILMS, FilmWorkspace

PARAMS = CollectParams(keep_releases=2, grace_s=7200, forget_days=30)
DAYS = 3


def aged(folder: FolderStorage, seconds: float = 100_000) -> None:
    """Let everything in the store be old."""
    for path in Path(folder.root).rglob("*"):
        if path.is_file():
            os.utime(path, (time.time() - seconds,) * 2)


@pytest.fixture
def line(film_workspace: FilmWorkspace, folder: FolderStorage) -> list[str]:
    """Four releases; the text of one film changes each day, so each has a gram and a segment of its own."""
    made = [film_workspace.publish(folder).release]
    for day in range(1, DAYS + 1):
        film_workspace.items({"alien": f"Version {day} of a story in deep space"}, day=day)
        made.append(film_workspace.build().publish(folder).release)
    return made


def test_old_releases_and_their_own_files_go_shared_files_stay(
    folder: FolderStorage, line: list[str]
) -> None:
    aged(folder)
    before = len(ReleaseStore(folder).objects())
    done = collect(folder, PARAMS)
    assert done.releases == tuple(line[:2])
    assert done.n_objects == 2  # the grams of the first two; every segment is still in use
    assert len(ReleaseStore(folder).objects()) == before - 2
    assert [one.release for one in releases(folder)] == line[:1:-1]
    for release in line[2:]:
        assert Release.open(folder.url, release=release).verify()
    assert collect(folder, PARAMS).releases == ()


def test_what_readers_get_stays_however_old(folder: FolderStorage, line: list[str]) -> None:
    rollback(folder, line[0], "eve", "older is better")
    aged(folder)
    assert collect(folder, PARAMS).releases == (line[1],)
    opened = Release.open(folder.url)
    assert opened.id == line[0]
    opened.verify()
    assert set(opened.items) == set(FILMS)


def test_young_things_stay(folder: FolderStorage, line: list[str]) -> None:
    folder.write("objects/" + "0" * 64, b"of a release that is being published")
    done = collect(folder, PARAMS)
    assert (done.releases, done.n_objects) == ((), 0)
    assert len(releases(folder)) == len(line)


def test_a_given_up_release_cannot_be_rolled_back_to(folder: FolderStorage, line: list[str]) -> None:
    manifest = ReleaseStore(folder).manifest(line[0])
    aged(folder)
    collect(folder, PARAMS)
    with pytest.raises(ReleaseError, match="is not in"):
        rollback(folder, line[0], "eve", "back")
    # A collector that was killed after the announcement leaves the manifest behind: it is given up all the same.
    folder.write(f"releases/{line[0]}/manifest.json", manifest.to_bytes())
    with pytest.raises(ReleaseError, match="may be deleted by `collect`"):
        rollback(folder, line[0], "eve", "back")


def test_a_rollback_that_comes_first_saves_its_release(
    folder: FolderStorage, line: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The collector has read the pointer and made its plan; then a person rolls back; then it announces."""
    aged(folder)
    swap, first = ReleaseStore.swap, []

    def late(self: ReleaseStore, *arguments: object) -> object:
        if not first:
            first.append(True)
            rollback(folder, line[0], "eve", "quick")
            aged(folder)
        return swap(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(ReleaseStore, "swap", late)
    assert collect(folder, PARAMS).releases == (line[1],)
    assert Release.open(folder.url).verify()


def test_a_release_that_lost_a_race_goes_and_cannot_be_chosen(folder: FolderStorage, line: list[str]) -> None:
    store = ReleaseStore(folder)
    loser = store.manifest(line[-1]).model_copy(update={"code_commit": "lost"})
    store.write_manifest(loser)
    assert {one.release: one.in_line for one in releases(folder)}[loser.id] is False
    with pytest.raises(ReleaseError, match="lost a race"):
        rollback(folder, loser.id, "eve", "why not")
    aged(folder)
    assert loser.id in collect(folder, PARAMS).releases


def test_publishing_after_collecting_sends_again_what_was_collected(
    film_workspace: FilmWorkspace, folder: FolderStorage, line: list[str]
) -> None:
    aged(folder)
    collect(folder, PARAMS)
    film_workspace.items({"alien": "Version 1 of a story in deep space"}, day=9)
    done = film_workspace.build().publish(folder)
    assert Release.open(folder.url, release=done.release).verify()


def test_what_a_publisher_sends_again_meanwhile_stays(
    folder: FolderStorage, line: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The collector has listed what is stray; before it deletes, somebody sends those files anew."""
    aged(folder)
    listed = ReleaseStore.objects

    def late(self: ReleaseStore) -> object:
        found = listed(self)
        for stored in found.values():
            os.utime(folder.path(stored.key))
        return found

    monkeypatch.setattr(ReleaseStore, "objects", late)
    before = set(listed(ReleaseStore(folder)))
    assert collect(folder, PARAMS).n_objects == 0
    assert set(listed(ReleaseStore(folder))) == before


def test_without_the_newest_manifest_nothing_is_deleted(folder: FolderStorage, line: list[str]) -> None:
    aged(folder)
    folder.delete(f"releases/{line[-1]}/manifest.json")
    before = folder.list("")
    with pytest.raises(ReleaseError, match=f"{line[-1]}, the newest, is missing"):
        collect(folder, PARAMS)
    assert [stored for stored in folder.list("") if stored.key != "COLLECTING"] == before


def test_previous_of_the_first_release_is_refused(
    film_workspace: FilmWorkspace, folder: FolderStorage
) -> None:
    film_workspace.publish(folder)
    with pytest.raises(ReleaseError, match="is the first"):
        rollback(folder, "previous", "eve", "too far")


def test_rolling_back_twice_walks_back_and_keeps_the_newest_for_resume(
    folder: FolderStorage, line: list[str]
) -> None:
    first = rollback(folder, "previous", "eve", "bad")
    second = rollback(folder, "previous", "eve", "worse")
    assert (first.release, second.release) == (line[-2], line[-3])
    assert second.hold is not None and second.hold.head == line[-1]
    assert rollback(folder, line[-3], "eve", "worse") == second


def test_the_same_rollback_twice_steps_back_once(folder: FolderStorage, line: list[str]) -> None:
    """A task that was killed after the swap is tried again; `previous` must not mean another release then."""
    first = rollback(folder, "previous", "run 7", "bad")
    assert rollback(folder, "previous", "run 7", "bad") == first
    assert first.release == line[-2]
    assert rollback(folder, line[-4], "run 7", "bad").release == line[-4]
