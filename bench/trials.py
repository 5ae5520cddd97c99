"""Trials of durability: one run that is killed and repeated, or two publishers at once, watched by a reader."""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.figures import ROOT
from bench.killing import KILLED, counted_writes, ended, forked, require_success
from bench.small_workspace import SmallWorkspace, catalogue, interactions
from recsys.publishing.listing import releases
from recsys.publishing.release import Manifest
from recsys.publishing.store import ReleaseStore
from recsys.serving.reader import Release
from recsys.storage.opening import open_storage

HOME = ROOT / "var" / "bench" / "durability"
console = Console(stderr=True)


@dataclass(frozen=True)
class Bed:
    """What the trials on one kind of store begin with and must end with."""

    store: str
    begin: SmallWorkspace
    """The first release is published, the second files have landed."""
    first: Manifest
    second: Manifest
    boundaries: int
    seconds: float
    """An undisturbed run, in a forked child."""
    remote: str | None
    """s3://bucket, or None."""


@dataclass
class Trial:
    """What one trial found."""

    name: str
    kills: int = 0
    lost: int = 0
    mixed: int = 0
    differing: int = 0
    races: int = 0
    double_wins: int = 0
    lost_deltas: int = 0
    torn_reads: int = 0
    reads: int = 0
    clashes: int = 0


def current(store_url: str) -> Manifest:
    """The manifest that readers get."""
    store = ReleaseStore(open_storage(store_url))
    return store.manifest(store.current().current.release)


def comparable(manifest: Manifest, remote: str | None) -> dict[str, Any]:
    """A manifest as it must come out; on S3 without what follows from the landed object's time."""
    plain: dict[str, Any] = json.loads(manifest.to_bytes())
    if remote:
        for record in plain["provenance"]["arrivals"]:
            del record["arrived_at"]
        plain["provenance"]["data_reports"] = [r["part"] for r in plain["provenance"]["data_reports"]]
    return plain


def make_bed(store: str, model: Path, remote: str | None) -> Bed:
    """Publish the first release, land the second files, and see what an undisturbed run makes of them."""
    home = HOME / store
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    log = home / "log"
    prefix = f"{remote}/{time.time_ns()}" if remote else str(home)
    begin = SmallWorkspace(home / "begin" / "workspace", f"{prefix}/begin/landing", f"{prefix}/begin/store")

    def first() -> None:
        begin.prepare(model, begin.root / "var" / "cache")
        begin.land_first()
        begin.run()
        begin.land_second()

    require_success(ended(forked(first, log)), log)
    plain = begin.copy(home / "plain", f"{prefix}/plain" if remote else None)
    started = time.monotonic()
    require_success(ended(forked(plain.run, log)), log)
    seconds = time.monotonic() - started
    counted = begin.copy(home / "counted", f"{prefix}/counted" if remote else None)
    boundaries = counted_writes(counted.run, log, home / "boundaries")
    bed = Bed(store, begin, current(begin.store), current(plain.store), boundaries, seconds, remote)
    if comparable(current(counted.store), remote) != comparable(bed.second, remote):
        raise RuntimeError("two undisturbed runs differ: nothing can be compared")
    for copy in (plain, counted):
        shutil.rmtree(copy.root.parent)
    return bed


@contextmanager
def polling(store_url: str, home: Path, trial: Trial) -> Iterator[None]:
    """A reader that uses the current release again and again during the trial."""
    result = home / "reads"

    def poll() -> None:
        stopped: list[int] = []
        signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
        reads = torn = 0
        while not (stopped and reads):
            try:
                release = Release.open(store_url, cache=home / "reader")
                release.verify()
                release.recommend(pseudonym=release.users[0])
                assert len(release.items) == len(set(release.items))
            except Exception as error:
                torn += 1
                print(f"torn read: {error!r}", flush=True)
            reads += 1
            time.sleep(0.02)
        result.write_text(f"{reads} {torn}")

    reader = forked(poll, home / "reader.log")
    try:
        yield
    finally:
        os.kill(reader, signal.SIGTERM)
        require_success(ended(reader), home / "reader.log")
        trial.reads, trial.torn_reads = map(int, result.read_text().split())


def kill_trial(bed: Bed, name: str, kill: Callable[[SmallWorkspace, Path], int]) -> Trial:
    """Kill one run, look, run again, compare."""
    trial = Trial(name)
    home = HOME / bed.store / name
    shutil.rmtree(home, ignore_errors=True)
    small = bed.begin.copy(home, f"{bed.remote}/{name}-{time.time_ns()}" if bed.remote else None)
    log = home / "log"
    allowed = [comparable(manifest, bed.remote) for manifest in (bed.first, bed.second)]
    with polling(small.store, home, trial):
        code = kill(small, log)
        if code not in (0, KILLED):
            require_success(code, log)
        trial.kills = int(code == KILLED)
        trial.mixed += comparable(current(small.store), bed.remote) not in allowed
        require_success(ended(forked(small.run, log)), log)
    found = current(small.store)
    trial.differing = int(comparable(found, bed.remote) != allowed[1])
    trial.lost = rows_lost(found, bed.second)
    try:
        Release.open(small.store, cache=home / "check").verify()
    except Exception as error:
        console.print(f"{name}: {error}")
        trial.mixed += 1
    shutil.rmtree(home)
    return trial


def rows_lost(found: Manifest, expected: Manifest) -> int:
    """Rows of landed files that the release does not account for, as accepted or as quarantined."""
    here = {record.sha256: record for record in found.provenance.arrivals}
    lost = 0
    for record in expected.provenance.arrivals:
        other = here.get(record.sha256)
        rows = record.n_rows + record.n_quarantined
        lost += rows - (other.n_rows + other.n_quarantined if other else 0)
    items = sum(s.n_items + s.n_deleted for s in expected.segments)
    return lost + max(0, items - sum(s.n_items + s.n_deleted for s in found.segments))


def race_trial(bed: Bed, number: int) -> Trial:
    """Two workspaces with different news publish at the same moment."""
    trial = Trial(f"race-{number}", races=1)
    home = HOME / bed.store / trial.name
    shutil.rmtree(home, ignore_errors=True)
    base = race_base(bed)
    remote = f"{bed.remote}/{trial.name}-{time.time_ns()}" if bed.remote else None
    smalls = [base[0].copy(home / "0", remote)]
    shutil.copytree(base[1].root, home / "1" / "workspace")
    smalls.append(SmallWorkspace(home / "1" / "workspace", base[1].landing, smalls[0].store))
    start = home / "start"
    before = ReleaseStore(open_storage(smalls[0].store)).current().current

    def publish_at_once(small: SmallWorkspace) -> Callable[[], None]:
        def work() -> None:
            while not start.exists():
                time.sleep(0)
            small.publish()

        return work

    with polling(smalls[0].store, home, trial):
        children = [forked(publish_at_once(small), home / f"log-{n}") for n, small in enumerate(smalls)]
        time.sleep(0.05)
        start.touch()
        for n, child in enumerate(children):
            require_success(ended(child), home / f"log-{n}")
    judge_race(smalls, before.generation, trial, home)
    shutil.rmtree(home)
    return trial


def judge_race(smalls: list[SmallWorkspace], generation: int, trial: Trial, home: Path) -> None:
    """One swap each; both published, in one line of releases; both deltas in the last one."""
    store = ReleaseStore(open_storage(smalls[0].store))
    after = store.current().current
    last = store.manifest(after.release)
    published = [
        json.loads((small.root / "var" / "published.json").read_text())["release"] for small in smalls
    ]
    line = [last.id, last.parent]
    trial.double_wins = int(
        after.generation != generation + 2 or len(set(published)) != 2 or not set(published) <= set(line)
    )
    trial.clashes = int(any(not one.in_line for one in releases(store.storage)))
    release = Release.open(smalls[0].store, cache=home / "check")
    release.verify()
    for small, user in zip(smalls, ("u100", "u200"), strict=True):
        parts = set(json.loads((small.root / "var" / "published.json").read_text())["parts"])
        trial.lost_deltas += int(not parts <= last.parts)
        trial.lost_deltas += int(f"i{user[1:]}" not in release.items)
    trial.mixed = int(len(release.users) != last.users.n_users)


def race_base(bed: Bed) -> list[SmallWorkspace]:
    """Two built workspaces on the first release, each with a part of its own; made once per run."""
    folders = [HOME / bed.store / f"rival-{n}" for n in (0, 1)]
    smalls = []
    for n, folder in enumerate(folders):
        landing = str(folder / "landing")
        small = SmallWorkspace(folder / "workspace", landing, bed.begin.store)
        if not (folder / "built").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            shutil.copytree(bed.begin.root, small.root)
            number = 100 * (n + 1)

            def build(small: SmallWorkspace = small, number: int = number) -> None:
                small.land("catalogue", f"{number}.jsonl", catalogue(range(number, number + 5), 2), 2)
                rows = interactions(range(number, number + 2), number + 5, 2)
                own = [row | {"item_id": f"i{number}"} for row in rows[:1]] + rows[3:4]
                small.land("interactions", f"{number}.jsonl", [own[0]], 2)
                small.ingest_and_build()

            log = folder / "log"
            require_success(ended(forked(build, log)), log)
            (folder / "built").touch()
        smalls.append(small)
    return smalls
