"""An arrival through the whole platform, by an older clone and by this checkout in turns: seconds and CPU seconds.

Each clone has a workspace, and a platform (SeaweedFS, MLflow, Airflow) that runs only while it is measured. A round
lands 280 films that no round had before; it ends when readers get a release with all of them.
"""

import json
import os
import shutil
import statistics
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

import psutil

from demo import landing
from demo.data import DemoData, load_demo_data
from localplatform.airflow_client import FINISHED, Airflow
from localplatform.patience import Patience, seconds_of_commands
from localplatform.platform import Platform, start_platform
from localplatform.workspace import make_workspace
from recsys.storage.s3 import S3Storage

FILMS = 280
QUIET_S = 900.0
LOOK_S = 10.0
"""Between two looks at all processes, which cost CPU themselves."""
SETTLE_S = 20.0
"""Between the end of a run and the next landing: Airflow writes down the rest, and shows what it uses when idle."""


def ratios(home: Path, codes: Mapping[str, Path], rounds: int, afresh: bool) -> dict[str, float]:
    """Measure what is missing of `rounds` rounds, and compare.

    Args:
        home: keeps workspaces, servers' data and the rows of rounds, for the next run.
        codes: "before" and "after" -> checkout.
        rounds: arrivals per code.
        afresh: begin with nothing.

    Returns:
        Medians per code, and the median over rounds of after divided by before.
    """
    if afresh:
        shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True, exist_ok=True)
    kept = home / "rows.jsonl"
    data = load_demo_data(home / "wheels")
    for number in range(rounds):
        for name, checkout in codes.items():
            rows = _rows(kept)
            if (name, number) not in rows:
                row = {
                    "code": name,
                    "round": number,
                    **_arrival(home / name, checkout.resolve(), data, number),
                }
                with kept.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                print(row, flush=True)
    return _compared(_rows(kept), rounds)


def _rows(kept: Path) -> dict[tuple[str, int], dict[str, float]]:
    lines = kept.read_text("utf-8").splitlines() if kept.exists() else []
    found = [json.loads(line) for line in lines]
    return {(row["code"], row["round"]): row for row in found}


def _compared(rows: Mapping[tuple[str, int], Mapping[str, float]], rounds: int) -> dict[str, float]:
    figures = {}
    for key, ratio in {
        "landed_published_s": "landed_published_ratio",
        "arrival_cpu_s": "arrival_cpu_ratio",
    }.items():
        pairs = [(rows["before", number][key], rows["after", number][key]) for number in range(rounds)]
        figures[f"before_{key}"] = round(statistics.median(before for before, _ in pairs), 1)
        figures[key] = round(statistics.median(after for _, after in pairs), 1)
        figures[ratio] = round(statistics.median(after / before for before, after in pairs), 3)
    return figures


def _arrival(home: Path, checkout: Path, data: DemoData, number: int) -> dict[str, float]:
    """Start the platform, land the films of a round, and measure until readers get them."""
    workspace, ready = home / "workspace", home / "ready"
    if not ready.exists():  # made once; what a run that was stopped has made is made again
        shutil.rmtree(home, ignore_errors=True)
        make_workspace(checkout, workspace)
    # Airflow's plugins import recsys: that of the clone they belong to, not the one installed beside Airflow.
    os.environ["PYTHONPATH"] = str(workspace)
    with start_platform(workspace, home / "servers", print) as platform:
        os.environ.update(platform.seaweed.environment)
        airflow = Airflow.of(platform.airflow)
        _wait(platform, lambda: airflow.knows("profile_arrivals"), "Airflow knows the DAG")
        if not ready.exists():
            for file in (landing.ratings_without_plots(data), landing.catalogue_without_plots(data)):
                S3Storage("landing").write(file.key, file.content)
            _wait(platform, lambda: _n_rows() > 0, "the first release")
            ready.touch()
        _wait(platform, lambda: _is_idle(airflow), "the end of the runs under way")
        before = _cpu_seconds(platform)
        time.sleep(SETTLE_S)
        n_rows, begun, cpu = _n_rows(), time.monotonic(), _cpu_seconds(platform)
        idle = (cpu - before) / SETTLE_S
        S3Storage("landing").write(f"catalogue/round-{number}.jsonl", _films(data, number))
        _wait(platform, lambda: _n_rows() >= n_rows + FILMS, f"round {number}", every_s=0.2)
        seconds, used = time.monotonic() - begun, _cpu_seconds(platform) - cpu
        row = {"landed_published_s": seconds, "arrival_cpu_s": used, "idle_cpu_s_per_s": idle}
        _wait(platform, lambda: _is_idle(airflow), "the end of the run")
        return {key: round(value, 2) for key, value in (row | _task_seconds(airflow)).items()}


def _films(data: DemoData, number: int) -> bytes:
    """The films with a plot as items and texts of this round alone: nothing of them is in the vector cache."""
    rows = [json.loads(line) for line in landing.films_with_plot(data).content.splitlines()]
    for row in rows:
        row |= {"item_id": f"{row['item_id']}-{number}", "title": f"{row['title']} edition {number}"}
    if len(rows) != FILMS:
        raise RuntimeError(f"{len(rows)} films have a plot, not {FILMS}")
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _n_rows() -> int:
    """Item rows of the release that readers get; 0 before the first."""
    store = S3Storage("releases")
    pointer = store.read_tagged("CURRENT")
    if pointer is None:
        return 0
    manifest = json.loads(store.read(f"releases/{json.loads(pointer[0])['release']}/manifest.json"))
    return sum(segment["n_items"] for segment in manifest["segments"])


def _is_idle(airflow: Airflow) -> bool:
    return all(run.state in FINISHED for run in airflow.runs("profile_arrivals"))


def _task_seconds(airflow: Airflow) -> dict[str, float]:
    """Seconds of each task of the newest run in which something was published."""
    for run in airflow.runs("profile_arrivals"):
        tasks = airflow.tasks(run)
        if all(task.state == "success" for task in tasks):
            passed = {task.name: _moment(task.end) - _moment(task.start) for task in tasks}
            return {f"task_{name}_s": seconds for name, seconds in passed.items()}
    return {}


def _moment(time_of: str | None) -> float:
    return datetime.fromisoformat(time_of).timestamp() if time_of else 0.0


def _cpu_seconds(platform: Platform) -> float:
    """CPU seconds that Airflow and all its tasks have used: of living processes, and of those they waited for."""
    total = 0.0
    for guard in (process.guard.pid for process in platform.airflow.processes):
        top = psutil.Process(guard)
        for process in (top, *top.children(recursive=True)):
            try:
                total += sum(process.cpu_times()[:4])  # own user and system, then those of ended children
            except psutil.Error:  # it has ended meanwhile: its parent has its seconds
                continue
    return total


def _wait(platform: Platform, done: Callable[[], bool], what: str, every_s: float = 1.0) -> None:
    """Poll until `done`; patience ends when no command of a task computes for QUIET_S."""
    patience, looked = Patience(QUIET_S, most_s=4 * QUIET_S), time.monotonic()
    while not done():
        if time.monotonic() - looked > LOOK_S:
            looked = time.monotonic()
            if patience.is_over(seconds_of_commands(platform.workspace)):
                raise RuntimeError(f"{what}: nothing has moved for {patience.still_s:.0f} s")
        time.sleep(every_s)
