import time

import pytest
from rich.console import Console

from demo.watching import WalkFailed, Watch
from localplatform.airflow_client import Run, Task


class SlowAirflow:
    """Answers as Airflow does about one run whose task changes its state at each of `changes` seconds."""

    def __init__(self, changes):
        self.began, self.changes = time.monotonic(), changes

    def runs(self, dag):
        return [Run(dag, "one", "running", "manual", None, None)]

    def tasks(self, run):
        n = sum(time.monotonic() - self.began > change for change in self.changes)
        return [Task("profiles", ("queued", "running")[n % 2], None, None, 1 + n // 2)]


def test_a_wait_goes_on_while_tasks_move_and_ends_when_they_stand_still(tmp_path, monkeypatch):
    monkeypatch.setattr("demo.watching.POLL_S", 0.05)
    monkeypatch.setattr("demo.watching.SLOW_S", 0.5)
    console = Console(record=True, width=120)
    airflow = SlowAirflow([0.4, 0.8, 1.2, 1.6])
    watch = Watch(airflow, "profile_arrivals", console, tmp_path)
    took = watch.until(lambda: time.monotonic() - airflow.began > 2, "first light", quiet_s=0.9)
    assert took > 0.9  # longer than its patience with standing still
    with pytest.raises(WalkFailed, match=r"nothing has moved for \d s; running: profiles"):
        watch.until(lambda: False, "first light", quiet_s=1)
    assert "profiles has been running for" in console.export_text()
