"""One contract for folder and SeaweedFS: whole writes, a swap that exactly one wins, errors that name the key."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from recsys.errors import StorageError, SwapLost
from recsys.storage import s3
from recsys.storage.folder import FolderStorage
from recsys.storage.opening import open_storage
from recsys.storage.protocol import Storage
from recsys.storage.s3 import S3Storage


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.servers)])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    if request.param == "folder":
        yield open_storage(str(tmp_path / "place"))
    else:
        yield open_storage(f"s3://{request.getfixturevalue('bucket')}/some/prefix/")


def test_what_is_written_is_read_listed_fetched_and_hashed(storage: Storage, tmp_path: Path) -> None:
    local = tmp_path / "local"
    local.write_bytes(b"from a file")
    storage.write("a/one", b"bytes")
    storage.write("a/two", local)
    storage.write("b/three", b"")
    assert storage.read("a/one") == b"bytes"
    assert [o.key for o in storage.list("a/")] == ["a/one", "a/two"]
    assert [(o.key, o.size) for o in storage.list("")] == [("a/one", 5), ("a/two", 11), ("b/three", 0)]
    assert storage.sha256("a/two") == hashlib.sha256(b"from a file").hexdigest()
    storage.fetch("a/two", tmp_path / "deep" / "fetched")
    assert (tmp_path / "deep" / "fetched").read_bytes() == b"from a file"
    found = storage.find("a/one")
    assert found == storage.list("a/")[0] and storage.find("a") is None
    storage.write("a/one", b"replaced")
    assert storage.read("a/one") == b"replaced"


@pytest.mark.parametrize(
    "name", ["ünï/cödé.txt", "with space & 'quote'", "emoji-🎬", "per%20cent+plus", "right-עברית"]
)
def test_odd_names_stay_themselves(storage: Storage, name: str) -> None:
    storage.write(name, b"x")
    assert [o.key for o in storage.list("")] == [name]
    assert storage.read(name) == b"x"
    storage.move(name, f"moved/{name}")
    assert [o.key for o in storage.list("")] == [f"moved/{name}"]


def test_a_tag_changes_with_the_content(storage: Storage) -> None:
    storage.write("k", b"one")
    first = storage.read_tagged("k")
    storage.write("k", b"two")
    second = storage.read_tagged("k")
    assert first is not None and second is not None
    assert (first[0], second[0]) == (b"one", b"two")
    assert first[1] != second[1]
    assert storage.read_tagged("missing") is None


def test_swap_creates_replaces_and_refuses(storage: Storage) -> None:
    storage.swap("P", b"1", None)
    with pytest.raises(SwapLost, match="P in"):
        storage.swap("P", b"2", None)
    tag = storage.read_tagged("P")[1]
    storage.swap("P", b"2", tag)
    with pytest.raises(SwapLost):
        storage.swap("P", b"3", tag)
    assert storage.read("P") == b"2"


def test_a_swap_of_a_deleted_object_is_lost(storage: Storage) -> None:
    storage.write("P", b"1")
    tag = storage.read_tagged("P")[1]
    storage.delete("P")
    with pytest.raises(SwapLost):
        storage.swap("P", b"2", tag)


def test_every_increment_by_racing_threads_counts_once(storage: Storage) -> None:
    storage.write("count", b"0")
    all_have_read = threading.Barrier(4)

    def increment(times: int) -> int:
        lost = 0
        for turn in range(times):
            for attempt in range(1000):
                value, tag = storage.read_tagged("count")
                if (turn, attempt) == (0, 0):
                    all_have_read.wait(30)
                try:
                    storage.swap("count", str(int(value) + 1).encode(), tag)
                    break
                except SwapLost:
                    lost += 1
        return lost

    with ThreadPoolExecutor(4) as pool:
        lost = sum(pool.map(increment, [10] * 4))
    assert storage.read("count") == b"40"
    assert lost >= 3  # of the four that read the same value, one won


SWAPPER = """
import json, sys
from recsys.errors import SwapLost
from recsys.storage.opening import open_storage
storage = open_storage(sys.argv[1])
won = 0
for turn in range(20):
    value, tag = storage.read_tagged("log")
    try:
        storage.swap("log", json.dumps(json.loads(value) + [[sys.argv[2], turn]]).encode(), tag)
        won += 1
    except SwapLost:
        pass
print(won)
"""


def test_racing_processes_never_win_at_once(storage: Storage) -> None:
    storage.write("log", b"[]")
    racers = [
        subprocess.Popen([sys.executable, "-c", SWAPPER, storage.url, str(n)], stdout=subprocess.PIPE)
        for n in range(3)
    ]
    won = sum(int(racer.communicate(timeout=60)[0]) for racer in racers)
    assert len(json.loads(storage.read("log"))) == won


def test_a_reader_sees_whole_values_while_they_change(storage: Storage, tmp_path: Path) -> None:
    values = [bytes([65 + n]) * 200_000 for n in range(5)]
    storage.write("big", values[0])
    stop = threading.Event()

    def write() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            storage.write("big", values[turn % 5])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(40):
            assert storage.read("big") in values
            storage.fetch("big", tmp_path / "copy")
            assert (tmp_path / "copy").read_bytes() in values
    finally:
        stop.set()
        writer.join()


def test_moving_and_deleting_twice_is_harmless(storage: Storage) -> None:
    storage.write("a", b"x")
    storage.move("a", "b/c")
    storage.move("a", "b/c")
    assert storage.read("b/c") == b"x"
    storage.delete("b/c")
    storage.delete("b/c")
    assert storage.list("") == []


def test_moving_what_never_was_is_an_error(storage: Storage) -> None:
    with pytest.raises(StorageError, match="never"):
        storage.move("never", "to")


@pytest.mark.parametrize("method", ["read", "sha256"])
def test_reading_what_is_missing_names_it(storage: Storage, method: str) -> None:
    with pytest.raises(StorageError, match="lost/key"):
        getattr(storage, method)("lost/key")


def test_fetching_what_is_missing_leaves_nothing(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="lost/key"):
        storage.fetch("lost/key", tmp_path / "here" / "file")
    assert [path for path in (tmp_path / "here").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("key", ["../up", "a/../../up", "/root", ""])
def test_keys_that_climb_out_are_refused(storage: Storage, key: str) -> None:
    for act in (lambda: storage.write(key, b""), lambda: storage.read(key), lambda: storage.find(key)):
        with pytest.raises(StorageError, match="leaves"):
            act()


def test_more_objects_than_one_page_are_all_listed(storage: Storage) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: storage.write(f"many/{n:04d}", b"."), range(1100)))
    assert [o.key for o in storage.list("many/")] == [f"many/{n:04d}" for n in range(1100)]


@pytest.mark.servers
def test_a_large_file_survives_the_way_to_a_bucket_and_back(bucket: str, tmp_path: Path) -> None:
    source = tmp_path / "large"
    source.write_bytes(os.urandom(20 << 20))  # more than one part of a multipart upload
    storage = open_storage(f"s3://{bucket}")
    storage.write("large", source)
    storage.fetch("large", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == source.read_bytes()
    assert storage.sha256("large") == hashlib.sha256(source.read_bytes()).hexdigest()


@pytest.mark.servers
def test_a_missing_bucket_names_itself_and_the_remedy(bucket: str) -> None:
    with pytest.raises(StorageError, match=r"s3://no-such-bucket.*\n  remedy: check the bucket"):
        open_storage("s3://no-such-bucket").list("")


def test_an_endpoint_out_of_reach_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StorageError, match="check AWS_ENDPOINT_URL"):
        open_storage("s3://bucket").read("key")


def test_a_url_without_a_bucket_is_refused() -> None:
    with pytest.raises(StorageError, match="names no bucket"):
        open_storage("s3://")


def test_half_written_files_are_not_listed(tmp_path: Path) -> None:
    for name in (".tmp-1", "_writing", "a.csv.tmp", "b.part", ".hidden/c", "done.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert [o.key for o in FolderStorage(str(tmp_path)).list("")] == ["done.csv"]


def test_the_top_names_files_and_folders_and_nothing_below(storage: Storage) -> None:
    assert storage.top() == ()
    for key in ("one", "b/two", "b/c/three", "a/four"):
        storage.write(key, b"x")
    assert storage.top() == ("a/", "b/", "one")


def test_a_prefix_that_climbs_out_is_refused(storage: Storage) -> None:
    with pytest.raises(StorageError, match="leaves"):
        storage.list("../")


def test_a_folder_that_cannot_be_written_names_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="check that the folder exists"):
        FolderStorage(str(tmp_path / "file")).write("key", b"")


def test_a_folder_that_cannot_be_listed_is_an_error_not_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = FolderStorage(str(tmp_path))
    storage.write("releases/one/manifest.json", b"x")
    scandir = os.scandir

    def failing(path: str) -> object:
        if str(path).endswith("one"):
            raise OSError(5, "Input/output error")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", failing)
    with pytest.raises(StorageError, match="Input/output error"):
        storage.list("releases/")


def test_an_upload_that_fails_names_the_key_and_the_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A local file goes up by boto3's transfer, which wraps refusals in errors of its own."""
    from boto3.exceptions import S3UploadFailedError

    def refused(*_: object) -> None:
        raise S3UploadFailedError("AccessDenied")

    storage = open_storage("s3://bucket")
    monkeypatch.setattr(storage, "_client", SimpleNamespace(upload_file=refused))
    with pytest.raises(StorageError, match="objects/1 in s3://bucket: AccessDenied"):
        storage.write("objects/1", tmp_path / "file")


def test_taking_moves_the_version_that_was_read_and_twice_is_harmless(storage: Storage) -> None:
    storage.write("in/a", b"one")
    (found,), passed_over = storage.survey("in/")
    assert (found.key, passed_over) == ("in/a", ())
    for _ in range(2):
        assert storage.take("in/a", found.tag, "out/1/a")
    assert storage.read("out/1/a") == b"one"
    assert storage.survey("in/") == ((), ())
    assert not storage.take("never", found.tag, "out/2/a")


@pytest.mark.servers
def test_an_object_too_large_for_one_copy_is_taken_in_parts(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "COPIED_AT_ONCE", 5 * 2**20)  # S3's smallest part
    storage, content = open_storage(f"s3://{bucket}/large"), os.urandom(12 * 2**20)
    storage.write("in/a", content)
    (found,), _ = storage.survey("in/")
    storage.write("in/a", content[:-1] + b"x")
    assert not storage.take("in/a", found.tag, "out/1/a")
    assert storage.find("out/1/a") is None
    target = {"Bucket": bucket, "Key": "large/out/1/a"}  # as a copy that was killed left it
    abandoned = storage._client.create_multipart_upload(**target)["UploadId"]
    storage._client.upload_part(**target, UploadId=abandoned, PartNumber=4, Body=b"of another version")
    (newer,), _ = storage.survey("in/")
    assert storage.take("in/a", newer.tag, "out/1/a")
    assert storage.read("out/1/a") == content[:-1] + b"x"
    assert storage.find("in/a") is None
    assert not storage._client.list_multipart_uploads(Bucket=bucket).get("Uploads")


@pytest.mark.servers
def test_two_may_take_the_same_large_object_at_once(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "COPIED_AT_ONCE", 5 * 2**20)
    content = os.urandom(6 * 2**20)
    first, second = (open_storage(f"s3://{bucket}/twice") for _ in range(2))
    assert isinstance(first, S3Storage) and isinstance(second, S3Storage)
    first.write("in/a", content)
    (found,), _ = first.survey("in/")
    copy_part = first._client.upload_part_copy
    overtaken: list[bool] = []

    def overtake(**part: object) -> object:
        """The second is done while the first copies."""
        if not overtaken:
            second._copy("in/a", found.tag, "out/1/a", found.size)
            overtaken.append(True)
        return copy_part(**part)

    monkeypatch.setattr(first._client, "upload_part_copy", overtake)
    assert first.take("in/a", found.tag, "out/1/a") and overtaken
    assert second.take("in/a", found.tag, "out/1/a")
    assert first.read("out/1/a") == content and first.find("in/a") is None
    assert not first._client.list_multipart_uploads(Bucket=bucket).get("Uploads")


def test_a_newer_version_is_not_taken(storage: Storage) -> None:
    storage.write("in/a", b"one")
    (found,), _ = storage.survey("in/")
    storage.write("in/a", b"two, newer")
    assert not storage.take("in/a", found.tag, "out/1/a")
    assert storage.read("in/a") == b"two, newer"
    assert storage.find("out/1/a") is None


def test_a_take_that_was_killed_after_the_rename_is_undone_or_finished(tmp_path: Path) -> None:
    storage = FolderStorage(str(tmp_path))
    storage.write("in/a", b"one")
    (found,), _ = storage.survey("in/")
    storage.write("in/a", b"two, newer")
    storage.move("in/a", "out/1/a")  # renamed between look and rename, then killed
    assert not storage.take("in/a", found.tag, "out/1/a")
    assert storage.read("in/a") == b"two, newer"
    storage.move("in/a", "out/1/a")
    storage.write("in/a", b"three, newest")
    assert not storage.take("in/a", found.tag, "out/1/a")
    assert storage.read("in/a") == b"three, newest"
    assert storage.find("out/1/a") is None


def test_a_file_of_any_time_can_be_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = FolderStorage(str(tmp_path))
    storage.write("in/a", b"one")
    monkeypatch.setattr(
        "recsys.storage.folder.datetime", SimpleNamespace(fromtimestamp=_overflowing, max=datetime.max)
    )
    (found,), _ = storage.survey("in/")
    assert found.modified.year == 9999


def _overflowing(*_: object) -> datetime:
    raise OverflowError("year is out of range")
