"""A bucket that throttles, fails and cuts connections: commands go through as if it did not, or say so."""

import json
import random
import shutil

import pytest

from recsys import Release
from recsys.errors import StorageError
from recsys.storage.opening import open_storage
from tests.cases.conftest import in_workspace
from tests.cases.test_full_disk import MORE, VIEWS
from tests.storage.troubled_s3 import FAULTS, Trouble, troubled

pytestmark = pytest.mark.servers


def as_lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.fixture
def at_once(monkeypatch):
    """boto3 waits before it repeats a request: a random share of 1, 2, 4 … seconds, here none."""
    monkeypatch.setattr(random, "random", lambda: 0.0)


@pytest.fixture
def through(prepared, new_bucket, tmp_path, monkeypatch, seaweed):
    """Ingest, stages, publish and a reader on a fresh bucket, behind a proxy with trouble; their results."""

    def walk(trouble):
        monkeypatch.setenv("AWS_ENDPOINT_URL", seaweed["AWS_ENDPOINT_URL"])
        bucket = new_bucket()
        intake = in_workspace(shutil.copytree(prepared, tmp_path / bucket), monkeypatch)
        zone = open_storage(f"s3://{bucket}/zone")
        zone.write("catalogue/more.jsonl", as_lines(MORE))
        zone.write("interactions/more.jsonl", as_lines(VIEWS))
        monkeypatch.setenv("RECSYS_LANDING", f"s3://{bucket}/zone")
        monkeypatch.setenv("RECSYS_STORE", f"s3://{bucket}/store")
        with troubled(seaweed["AWS_ENDPOINT_URL"], trouble) as address:
            monkeypatch.setenv("AWS_ENDPOINT_URL", address)
            statuses = {outcome["status"] for outcome in intake.ingest().values()}
            for stage in ("features", "profiles@champion", "users", "index"):
                intake.run("run", stage)
            intake.run("publish")
            release = Release.open(f"s3://{bucket}/store", cache=tmp_path / f"cache-{bucket}")
            n_files = release.verify()
            left = sorted(stored.key for stored in open_storage(f"s3://{bucket}/zone").list(""))
        # which file landed first is in the names of parts; what readers get does not depend on it
        vectors = sorted(one.vectors.sha256 for one in release.manifest.segments)
        content = (sorted(release.items), sorted(release.users), vectors, release.manifest.users.gram.sha256)
        names = sorted({key.split("/")[0] for key in left})
        return statuses, content, n_files - len(release.manifest.provenance.data_reports), len(left), names

    return walk


def test_commands_come_through_a_bucket_in_trouble_with_the_same_result(through, at_once):
    calm, rough = through(Trouble(0)), Trouble(5)
    assert calm[0] == {"accepted"} and calm[4] == ["processed"]
    assert through(rough) == calm
    assert set(rough.met) == set(FAULTS), rough.met


def test_a_bucket_that_never_answers_is_named(new_bucket, seaweed, at_once, monkeypatch):
    bucket = new_bucket()
    open_storage(f"s3://{bucket}").write("a", b"content of some length")
    for kind in ("slow down", "cut short"):
        trouble = Trouble(1)
        trouble.next = lambda kind=kind: kind
        with troubled(seaweed["AWS_ENDPOINT_URL"], trouble) as address:
            monkeypatch.setenv("AWS_ENDPOINT_URL", address)
            for call in (lambda store: store.read("a"), lambda store: store.sha256("a")):
                with pytest.raises(StorageError, match=f"a in s3://{bucket}"):
                    call(open_storage(f"s3://{bucket}"))
        assert trouble.met[kind] >= 2 * 5
