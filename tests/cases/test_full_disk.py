"""No room on the disk, in each command that writes: a sentence, nothing half, and the same result on the next run."""

import gzip
import hashlib
import os
import resource
import shutil
import sys
import traceback
from urllib.error import URLError

import pytest

from recsys.cli import main
from recsys.storage.atomic import whole_file
from tests.cases.conftest import in_workspace

pytestmark = pytest.mark.whole

MORE = [
    {"item_id": f"n{n}", "title": f"new thing {n} of {hashlib.sha256(str(n).encode()).hexdigest()}"}
    for n in range(30)
]
VIEWS = [
    {"user_id": f"u{n}", "item_id": "s1", "event": "view", "timestamp": "2026-10-02T10:00:00Z"}
    for n in range(30)
]
STEPS = {
    "ingest": ("ingest",),
    "features": ("run", "features"),
    "profiles": ("run", "profiles@champion"),
    "users": ("run", "users"),
    "index": ("run", "index"),
    "split": ("run", "split"),
    "publish": ("publish",),
}
LIMITS = (0, 700)
"""Bytes that a file may have. A larger one cannot be written, as on a full disk; other files can."""


def contents(root):
    """Every file that commands leave for others, but those that tell times."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for name in ("data", "artifacts", "store")
        for path in sorted((root / name).rglob("*"))
        if path.is_file() and path.name != "CURRENT"
    }


def starved(words, limit):
    """Run a command in a process whose files may have `limit` bytes; its exit code, and what it printed."""
    output, printed = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if not child:
        code = 70
        try:
            os.dup2(printed, 2)
            sys.stdout = sys.stderr = os.fdopen(printed, "w", buffering=1)  # pytest's own are files too
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            sys.argv = ["recsys", *words]
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(printed)
    with os.fdopen(output) as pipe:
        said = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


@pytest.fixture
def walked(prepared, tmp_path, monkeypatch):
    """What the steps leave where there is room."""
    intake = in_workspace(shutil.copytree(prepared, tmp_path / "undisturbed"), monkeypatch)
    land(intake)
    for words in STEPS.values():
        intake.run(*words)
    return contents(intake.at.root)


def land(intake):
    intake.land("catalogue/more.jsonl", MORE)
    intake.land("interactions/more.jsonl", VIEWS)


def test_without_room_each_step_says_so_and_goes_on_later_as_if_nothing_had_happened(
    walked, prepared, tmp_path, monkeypatch
):
    intake = in_workspace(shutil.copytree(prepared, tmp_path / "starved"), monkeypatch)
    land(intake)
    failed = set()
    for name, words in STEPS.items():
        for limit in LIMITS:
            code, said = starved(words, limit)
            assert "Traceback" not in said, said
            if code:
                failed.add(name)
                assert code == 1 and "no room for" in said and "make room" in said, said
        intake.run(*words)
    assert failed == set(STEPS), "each step has met the limit"
    assert contents(intake.at.root) == walked
    assert not list(intake.at.root.rglob(".tmp-*"))


@pytest.mark.parametrize("error", [gzip.BadGzipFile("Not a gzipped file"), URLError("unknown host")])
def test_errors_without_a_number_that_are_not_of_writing_stay_what_they_are(tmp_path, error):
    with pytest.raises(type(error)) as found, whole_file(tmp_path / "file"):
        raise error
    assert found.value is error and not list(tmp_path.iterdir())
