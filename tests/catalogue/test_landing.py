import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from recsys.catalogue.landing import Landed, arrived, waiting
from recsys.storage.opening import open_storage

WHEN = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def zone(tmp_path):
    def put(key, seconds, content="x"):
        path = tmp_path / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        os.utime(path, (seconds, seconds))

    return open_storage(str(tmp_path)), put


def test_files_wait_by_kind_then_age_then_name(zone):
    landing, put = zone
    put("interactions/a.csv", 1)
    put("catalogue/z.jsonl", 2)
    put("catalogue/deep/er/b.parquet", 3)
    put("catalogue/a.jsonl", 3)
    put("processed/1/old.jsonl", 1)
    put("elsewhere/a.jsonl", 1)
    assert [landed.key for landed in arrived(landing)] == [
        "catalogue/z.jsonl",
        "catalogue/a.jsonl",
        "catalogue/deep/er/b.parquet",
        "interactions/a.csv",
    ]


def test_a_refused_file_waits_until_it_is_written_again(zone):
    landing, put = zone
    put("catalogue/a.jsonl", 1)
    (landed,) = arrived(landing)
    assert waiting(arrived(landing), [(landed.key, landed.version)]) == ()
    put("catalogue/a.jsonl", 2)
    assert [again.key for again in waiting(arrived(landing), [(landed.key, landed.version)])] == [
        "catalogue/a.jsonl"
    ]


@pytest.mark.parametrize(
    "key",
    [
        "catalogue/../evil.jsonl",
        "catalogue/a/../../b.csv",
        "/etc/x.csv",
        "catalogue//a.csv",
        "catalogue/..\\b.csv",
        "catalogue/a\x1b[2J.csv",
        "catalogue/a\nb.csv",
    ],
)
def test_names_that_climb_or_hide_are_not_safe(key):
    assert not Landed("catalogue", key, 1, WHEN, "t").is_safe


@pytest.mark.parametrize("key", ["catalogue/a..b.csv", "catalogue/2026/01/é 🎬.csv", "catalogue/%2e%2e.csv"])
def test_odd_names_that_stay_in_place_are_safe(key):
    assert Landed("catalogue", key, 1, WHEN, "t").is_safe


def test_looking_at_the_landing_zone_loads_nothing_heavy():
    heavy = "{'pyarrow', 'pandas', 'numpy', 'pydantic', 'great_expectations', 'boto3', 'airflow'}"
    code = f"import sys, recsys.catalogue.landing; sys.exit(sorted({heavy} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
