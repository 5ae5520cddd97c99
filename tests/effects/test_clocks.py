"""Workers whose clocks are a day off: leases, priorities and deadlines go by the clock of the store."""

import sys
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from recsys.effects.collect import collect
from recsys.effects.storage_checks import release_store
from recsys.errors import OtherModel
from recsys.profiles.cache import ABANDONED_S, VectorCache
from recsys.publishing.forgotten import forgotten, remember
from recsys.publishing.params import CollectParams
from recsys.publishing.priority import priority
from recsys.storage.packed import STAGING, staged

DAY = timedelta(days=1)


@pytest.fixture(params=[DAY, -DAY], ids=["ahead", "behind"])
def skewed(request, monkeypatch):
    """This process's clock is a day off, in every module of Firstlight; what is stored keeps its own time."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + request.param

    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + request.param.total_seconds())
    for name, module in list(sys.modules.items()):
        if name.startswith("recsys.") and getattr(module, "datetime", None) is datetime:
            monkeypatch.setattr(module, "datetime", Clock)
    return request.param


def test_a_model_that_catches_up_keeps_its_priority(film_workspace, storage, skewed):
    with priority(storage, "b" * 64), pytest.raises(OtherModel, match="catches up and comes first"):
        film_workspace.publish(storage, yields=True)
    assert film_workspace.publish(storage, yields=True).outcome == "published"


def test_releases_and_people_go_by_deadlines_at_the_store(film_workspace, folder, skewed):
    manifest = film_workspace.publish(folder).manifest
    for day in (3, 4):
        film_workspace.ratings([("dan", "jaws"), ("eve", "alien")], day=day)
        film_workspace.build().publish(folder)
    kept = CollectParams(keep_releases=2, grace_s=7200, forget_days=0.5)
    assert collect(folder, kept).releases == (), "younger than the grace period"
    remember(folder, {one.file.sha256 for one in manifest.histories})
    assert abs(datetime.now(UTC) - min(forgotten(folder).values())) < timedelta(hours=1)
    assert collect(folder, kept).releases == (), "before the deadline"


def test_what_others_are_making_is_not_taken_for_abandoned(tmp_path, skewed):
    (tmp_path / f"{STAGING}mine").mkdir()
    with staged(tmp_path):
        pass
    assert (tmp_path / f"{STAGING}mine").is_dir()
    folder = tmp_path / "vectors"
    folder.mkdir()
    (folder / ".tmp-mine").write_bytes(b"half")
    VectorCache(folder, 4).add([], np.empty((0, 4), np.float32))
    assert (folder / ".tmp-mine").exists() and DAY.total_seconds() == ABANDONED_S


def test_doctor_says_so(film_workspace, tmp_path, monkeypatch, skewed):
    monkeypatch.setenv("RECSYS_STORE", str(tmp_path / "store"))
    found = release_store(film_workspace.at)
    assert found.verdict == "warn" and ("ahead of" if skewed > timedelta() else "behind") in found.found
    assert "quarantines interactions" in found.remedy
    assert not list((tmp_path / "store").glob("clock/*"))
