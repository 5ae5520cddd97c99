"""`collect` at every boundary of a publish, of a rollback, and of itself; whatever clocks say, CURRENT stays whole."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from recsys import Release
from recsys.effects.collect import collect
from recsys.effects.resume import resume
from recsys.effects.rollback import rollback
from recsys.errors import ReleaseError, StorageError, SwapLost
from recsys.publishing import lease
from recsys.publishing.lease import COLLECTING, Lease, wait_until_free
from recsys.publishing.params import CollectParams
from recsys.publishing.store import ReleaseStore
from recsys.storage.folder import FolderStorage
from recsys.storage.protocol import Storage
from tests.publishing.film_workspace import FILMS, UP, FilmWorkspace

pytestmark = pytest.mark.whole

MakeWorkspace = Callable[[str], FilmWorkspace]
DAY = 86_400
PARAMS = CollectParams(keep_releases=2, grace_s=7200, forget_days=30)
A_DAY_AHEAD = PARAMS.model_copy(update={"grace_s": 7200 - DAY})
"""What a collector did whose clock is a day ahead of the store's: everything is old to it."""
A_DAY_BEHIND = PARAMS.model_copy(update={"grace_s": 7200 + DAY})
CALLS = ("list", "find", "read", "read_tagged", "sha256", "fetch", "write", "swap", "delete")


class Beside:
    """Wraps a storage: right before its n-th call something else happens, once."""

    def __init__(self, storage: Storage, n: int, act: Callable[[], object]) -> None:
        self._storage, self._left, self._act = storage, n, act
        self.acted = False

    def __getattr__(self, name: str) -> object:
        found = getattr(self._storage, name)
        if name not in CALLS:
            return found

        def call(*arguments: object) -> object:
            self._left -= 1
            if self._left == 0:
                self.acted = True
                self._act()
            return found(*arguments)

        return call


def whole(storage: Storage, cache: Path) -> set[str]:
    """Items of the current release; every file of it is there, and sound."""
    opened = Release.open(storage.url, cache=cache)
    opened.verify()
    return set(opened.items)


def begin(film_workspace: FilmWorkspace, storage: Storage) -> FilmWorkspace:
    """Publish twice, and build a third release."""
    film_workspace.publish(storage)
    film_workspace.items({"alien": "Version 1 of a story in deep space"}, day=1)
    film_workspace.build().publish(storage)
    film_workspace.items(UP, day=2)
    return film_workspace.build()


@pytest.fixture
def twice(film_workspace: FilmWorkspace, folder: FolderStorage) -> FilmWorkspace:
    """Two releases in `folder`, a third one built."""
    return begin(film_workspace, folder)


def collect_at_each_call(
    film_workspace: FilmWorkspace, storage: Storage, cache: Path, params: CollectParams, step: int
) -> int:
    """Publish again and again, with a collector at another moment each time; how many moments there were."""
    twice, n = begin(film_workspace, storage), 0
    while True:
        n += step
        beside = Beside(storage, n, lambda: collect(storage, params))
        twice.items({"up": f"An old man ties {n} balloons to his house"}, day=2 + n)
        done = twice.build().publish(beside)  # type: ignore[arg-type]
        assert done.outcome == "published"
        assert ReleaseStore(storage).current().current.release == done.release
        assert whole(storage, cache) == {*FILMS, "up"}
        if not beside.acted:
            return n


@pytest.mark.whole
def test_a_collector_a_day_ahead_at_any_moment_of_a_publish_breaks_nothing(
    film_workspace: FilmWorkspace, storage: Storage, cache: Path
) -> None:
    assert collect_at_each_call(film_workspace, storage, cache, A_DAY_AHEAD, step=1) > 10


def test_a_collector_a_day_behind_breaks_nothing(
    film_workspace: FilmWorkspace, folder: FolderStorage, cache: Path
) -> None:
    assert collect_at_each_call(film_workspace, folder, cache, A_DAY_BEHIND, step=3) > 10


def test_a_publish_whose_slow_step_outlasts_the_grace_period_sends_what_is_gone(
    twice: FilmWorkspace, folder: FolderStorage, cache: Path
) -> None:
    """The slow step (dvc push) comes first; here the checks are slow too, and all that was sent is old by then."""
    twice.publish(folder)
    twice.items({"up": "A cottage with balloons"}, day=9)
    twice.build()
    steps: list[str] = []

    def slow() -> None:
        assert steps or folder.list("objects/") == before
        steps.append("push")

    before = folder.list("objects/")
    upload = ReleaseStore.upload

    def slowly(self: ReleaseStore, *arguments: object) -> int:
        written = upload(self, *arguments)  # type: ignore[arg-type]
        if len(steps) == 1:
            steps.append("sent")
            for path in Path(folder.root).rglob("*"):
                if path.is_file():
                    os.utime(path, (time.time() - 3 * DAY,) * 2)
            collect(folder, PARAMS)
        return written

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ReleaseStore, "upload", slowly)
        done = twice.publish(folder, before_upload=slow)
    assert steps == ["push", "sent", "push"]  # the pointer was swapped meanwhile: it began again
    assert done.outcome == "published" and whole(folder, cache) == {*FILMS, "up"}


@pytest.mark.parametrize("kind", ["rows", "vectors"])
def test_a_publish_heals_what_the_newest_release_lost(
    twice: FilmWorkspace, folder: FolderStorage, cache: Path, kind: str
) -> None:
    head = twice.publish(folder).manifest
    for segment in head.segments:
        folder.delete(f"objects/{getattr(segment, kind).sha256}")
    again = twice.publish(folder)
    assert again.outcome == "unchanged" and again.bytes_written > 0
    assert whole(folder, cache) == {*FILMS, "up"}
    folder.delete(f"objects/{head.segments[0].rows.sha256}")
    twice.items({"her": "A lonely writer"}, day=3)
    twice.build().publish(folder)
    assert whole(folder, cache) == {*FILMS, "up", "her"}


def test_a_loss_that_nobody_can_heal_is_reported_and_not_published(
    twice: FilmWorkspace, make_workspace: MakeWorkspace, folder: FolderStorage
) -> None:
    head = twice.publish(folder).manifest
    twice.items({"her": "A lonely writer"}, day=3)
    twice.build().publish(folder)
    folder.delete(f"objects/{head.segments[0].rows.sha256}")
    other = make_workspace("other")
    other.items({"new": "A film of another workspace"}, day=5)
    other.ratings([("dee", "new")], day=5)
    with pytest.raises((ReleaseError, StorageError), match=head.segments[0].rows.sha256):
        other.build().publish(folder)


@pytest.mark.parametrize("release", ["previous", "oldest"])
def test_collect_at_any_moment_of_a_rollback_breaks_nothing(
    film_workspace: FilmWorkspace, folder: FolderStorage, cache: Path, release: str
) -> None:
    n, line = 0, [film_workspace.publish(folder).release, _next(film_workspace, folder, 1)]
    while True:
        n += 1
        line = [*line[-2:], _next(film_workspace, folder, 1 + n)]
        beside = Beside(folder, n, lambda: collect(folder, A_DAY_AHEAD))
        wanted = "previous" if release == "previous" else line[0]
        try:
            found = rollback(beside, wanted, "eve", f"bad {n}").release  # type: ignore[arg-type]
            assert found == (line[1] if release == "previous" else line[0])
        except ReleaseError as error:  # the oldest of three goes, as only two are kept
            assert release == "oldest" and any(
                words in str(error) for words in ("given up", "is not in", "is missing")
            )
        whole(folder, cache)
        resume(folder, "eve")
        if not beside.acted:
            break
    assert n > 3


def test_a_publisher_waits_for_a_collector_and_takes_over_from_a_dead_one(
    twice: FilmWorkspace, folder: FolderStorage, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "POLL_S", 0.01)
    held = Lease(folder)
    held.take()
    publisher = threading.Thread(target=lambda: twice.publish(folder))
    publisher.start()
    publisher.join(0.5)
    assert publisher.is_alive()
    held.give_back()
    publisher.join(30)
    assert not publisher.is_alive() and whole(folder, cache) == {*FILMS, "up"}

    monkeypatch.setattr(lease, "LASTS_S", 0.1)
    dead = Lease(folder)
    dead.take()
    wait_until_free(folder)
    monkeypatch.setattr(lease, "RENEW_S", 0.0)
    with pytest.raises(ReleaseError, match="was suspended"):
        dead.hold()
    assert folder.read(COLLECTING) == b""


def test_a_collector_that_reads_many_manifests_keeps_its_lease(
    twice: FilmWorkspace, folder: FolderStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice.publish(folder)
    for name, seconds in (("POLL_S", 0.01), ("RENEW_S", 0.0), ("LASTS_S", 3.0)):
        monkeypatch.setattr(lease, name, seconds)
    manifest = ReleaseStore.manifest
    waiting = threading.Thread(target=lambda: wait_until_free(folder))

    def slowly(self: ReleaseStore, release: str) -> object:
        if not waiting.ident:
            waiting.start()
        time.sleep(1.2)
        return manifest(self, release)

    monkeypatch.setattr(ReleaseStore, "manifest", slowly)
    assert len(collect(folder, A_DAY_AHEAD).releases) == 1
    waiting.join(30)
    assert not waiting.is_alive()


def test_a_collector_that_may_not_write_says_so_instead_of_trying_on(
    twice: FilmWorkspace, folder: FolderStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice.publish(folder)
    n_tries = 0

    def refused(*_: object) -> None:
        nonlocal n_tries
        n_tries += 1
        assert n_tries < 5
        raise StorageError("COLLECTING: access denied", remedy="check the credentials")

    monkeypatch.setattr(FolderStorage, "swap", refused)
    with pytest.raises(StorageError, match="access denied"):
        collect(folder, PARAMS)


def test_a_collector_that_lost_its_lease_deletes_nothing_more(
    twice: FilmWorkspace, folder: FolderStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice.publish(folder)
    monkeypatch.setattr(lease, "RENEW_S", 0.0)
    swap = ReleaseStore.swap

    def stolen(self: ReleaseStore, *arguments: object) -> object:
        done = swap(self, *arguments)  # type: ignore[arg-type]
        folder.write(COLLECTING, b"somebody else\n")
        return done

    monkeypatch.setattr(ReleaseStore, "swap", stolen)
    before = folder.list("objects/") + folder.list("releases/")
    with pytest.raises(ReleaseError, match="recsys collect again"):
        collect(folder, A_DAY_AHEAD)
    assert folder.list("objects/") + folder.list("releases/") == before
    assert folder.read(COLLECTING) == b"somebody else\n"


def test_two_collectors_at_once_work_one_after_the_other(
    film_workspace: FilmWorkspace, storage: Storage, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice = begin(film_workspace, storage)
    monkeypatch.setattr(lease, "POLL_S", 0.01)
    twice.publish(storage)
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(len(collect(storage, A_DAY_AHEAD).releases)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(found) == [0, 0, 1]
    whole(storage, cache)


class LostReply(FolderStorage):
    """The first swap of CURRENT is made; then an arrival publishes under the hold; then the reply is lost."""

    def __init__(self, root: str, arrival: Callable[[], object], error: type[StorageError]) -> None:
        super().__init__(root)
        self._arrival, self._error, self._done = arrival, error, False

    def swap(self, key: str, content: bytes, expected: str | None) -> None:
        super().swap(key, content, expected)
        if key == "CURRENT" and not self._done:
            self._done = True
            self._arrival()
            raise self._error("the reply was lost")


@pytest.mark.parametrize("error", [SwapLost, StorageError])
def test_rollback_steps_back_once_though_its_reply_was_lost_and_an_arrival_followed(
    twice: FilmWorkspace, folder: FolderStorage, error: type[StorageError]
) -> None:
    """boto3 repeats a put whose reply was lost, and is told 412: that is a SwapLost."""
    before = twice.publish(folder).release
    _next(twice, folder, 3)

    def arrival() -> None:
        twice.items({"ran": "An old warlord"}, day=4)
        assert twice.build().publish(folder).outcome == "held"

    lossy = LostReply(folder.url, arrival, error)
    try:
        found = rollback(lossy, "previous", "eve", "bad").release
    except StorageError:  # a person or a task asks again
        found = rollback(folder, "previous", "eve", "bad").release
    assert found == before
    assert ReleaseStore(folder).current().current.release == before


def test_previous_means_the_one_before_what_readers_got_at_the_time_of_the_call(
    twice: FilmWorkspace, folder: FolderStorage
) -> None:
    """An arrival that is faster must not make readers get the bad release again."""
    before, bad = (twice.publish(folder).release, _next(twice, folder, 3))
    beside = Beside(folder, 4, lambda: _next(twice, folder, 4))
    found = rollback(beside, "previous", "eve", "bad")  # type: ignore[arg-type]
    assert beside.acted and found.release == before != bad


def _next(film_workspace: FilmWorkspace, storage: Storage, day: int) -> str:
    """Publish another release."""
    film_workspace.items({"her": f"A lonely writer, take {day}"}, day=day)
    return film_workspace.build().publish(storage).release


def test_a_stale_tag_never_wins_where_a_file_system_keeps_whole_seconds(tmp_path: Path) -> None:
    storage = FolderStorage(str(tmp_path))
    storage.write("P", b"one")
    tag = storage.read_tagged("P")[1]  # type: ignore[index]
    stat = (tmp_path / "P").stat()
    (tmp_path / "P").write_bytes(b"two")  # the same inode, size and time
    os.utime(tmp_path / "P", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(SwapLost):
        storage.swap("P", b"six", tag)
    assert storage.read("P") == b"two"
