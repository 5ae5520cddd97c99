"""A verified file is not hashed again until it changes, whatever process asks."""

import errno
import hashlib
import os
import time
from pathlib import Path

import pytest

from recsys.errors import ReleaseError
from recsys.publishing import verified
from recsys.publishing.verified import VerifiedFiles
from recsys.serving.reader import Release
from recsys.storage.checksums import sha256_of_file
from recsys.storage.folder import FolderStorage
from tests.publishing.film_workspace import FilmWorkspace

CONTENT, OTHER = b"a" * 1000, b"b" * 1000


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files that were read, in order."""
    found: list[Path] = []
    monkeypatch.setattr(verified, "sha256_of_file", lambda path: found.append(path) or sha256_of_file(path))
    monkeypatch.setattr(verified, "SETTLED_NS", 0)
    return found


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_file_is_hashed_once_and_again_after_any_change(tmp_path: Path, hashed: list[Path]) -> None:
    path, expected = tmp_path / "file", sha256(CONTENT)
    path.write_bytes(CONTENT)
    time.sleep(0.02)
    for _ in range(2):  # as after a restart: nothing is kept in memory
        assert VerifiedFiles(tmp_path / "notes").digest(path, expected) == expected
    assert len(hashed) == 1
    assert VerifiedFiles(tmp_path / "notes").digest(path, expected, anew=True) == expected
    assert len(hashed) == 2
    before = path.stat()
    path.write_bytes(OTHER)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # same inode, size and mtime
    for _ in range(2):
        assert VerifiedFiles(tmp_path / "notes").digest(path, expected) == sha256(OTHER)
    assert len(hashed) == 4


def test_a_file_that_may_still_be_changing_is_not_remembered(
    tmp_path: Path, hashed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verified, "SETTLED_NS", 60_000_000_000)
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    for _ in range(2):
        assert VerifiedFiles(tmp_path / "notes").digest(path, sha256(CONTENT)) == sha256(CONTENT)
    assert len(hashed) == 2


def test_a_cache_that_cannot_be_written_to_costs_only_time(tmp_path: Path, hashed: list[Path]) -> None:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    (tmp_path / "notes").write_text("no folder")
    for _ in range(2):
        assert VerifiedFiles(tmp_path / "notes").digest(path, sha256(CONTENT)) == sha256(CONTENT)
    assert len(hashed) == 2


def test_a_full_disk_refuses_no_sound_file(
    tmp_path: Path, hashed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(target: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    time.sleep(0.02)
    monkeypatch.setattr(verified, "write_whole", full)
    for _ in range(2):
        assert VerifiedFiles(tmp_path / "notes").digest(path, sha256(CONTENT)) == sha256(CONTENT)
    assert len(hashed) == 2
    assert VerifiedFiles(tmp_path / "notes").digest(path, sha256(OTHER)) == sha256(CONTENT)


def test_old_notes_and_locks_are_deleted(
    tmp_path: Path, hashed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verified, "MAX_FILES", 8)
    paths = [tmp_path / str(number) for number in range(40)]
    for path in paths:
        path.write_bytes(CONTENT)
    time.sleep(0.02)
    for path in paths:
        VerifiedFiles(tmp_path / "notes").digest(path, sha256(CONTENT))
        assert len(list((tmp_path / "notes").iterdir())) <= 8 + 2
    VerifiedFiles(tmp_path / "notes").digest(paths[-1], sha256(CONTENT))
    assert hashed == paths  # the newest note is still there


def test_a_second_reader_hashes_nothing_and_damage_since_is_found(
    film_workspace: FilmWorkspace, folder: FolderStorage, tmp_path: Path, hashed: list[Path]
) -> None:
    film_workspace.build().publish(folder)
    time.sleep(0.02)
    first = Release.open(folder.url, cache=tmp_path / "cache")
    first.similar("jaws")
    n_hashed = len(hashed)
    assert n_hashed
    second = Release.open(folder.url, cache=tmp_path / "cache")
    assert second.similar("jaws") == first.similar("jaws") and len(hashed) == n_hashed
    vectors = first.manifest.segments[0].vectors
    place = Path(folder.url) / "objects" / vectors.sha256
    place.chmod(0o644)
    place.write_bytes(b"x" * vectors.size)
    with pytest.raises(ReleaseError, match=vectors.sha256):
        Release.open(folder.url, cache=tmp_path / "cache").similar("jaws")
    with pytest.raises(ReleaseError, match=vectors.sha256):
        second.verify()
