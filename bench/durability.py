"""Is anything lost or torn when processes die by SIGKILL, or publish at once? On a folder and on SeaweedFS (S3).

A small workspace with a real two-layer transformer goes from landed files to the swapped pointer: ingest with Great
Expectations, validate, features, profiles, users, index, publish. Every trial begins with a copy of the same published
release and the same landed files (new items, changed ones, a delete, bad rows, interactions):

- kill at every write boundary, enumerated (each file opened for writing, renamed, removed; each PUT, POST and DELETE),
  and at random moments; then the same work runs again, and the release must be that of an undisturbed run, byte for
  byte (on S3 but for the time at which the landed object was written, which S3 sets anew in each copy);
- two publishers at once: one wins, the other joins its work to it, both deltas are in.

A reader polls the store throughout each trial: it opens the release that is current, verifies every checksum and
makes a recommendation. `mixed` counts releases that a person would find after a kill or after the rerun and that are
neither the old nor the new one; `torn_reads` counts what the poller could not use. `clashes` says in how many races a
publisher really lost its swap (its manifest is left in the store, in nobody's line).

Trials run in processes forked from a parent that has everything imported. A run that was cut short goes on where it
stopped (var/bench/durability/done.jsonl); after a change of the code give --fresh.

    make bench-durability
    python -m bench.durability --moments 20 --races 5 --stores folder --boundaries-step 10      a quick look
"""

import argparse
import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table

from bench.figures import ROOT, write_figures
from bench.killing import KILLED, counted_writes, ended, forked, killed_after, require_success
from bench.small_shop import SmallShop, catalogue, interactions, save_model
from recsys.publishing import Manifest, Release, ReleaseStore, releases
from recsys.storage import open_storage

HOME = ROOT / "var" / "bench" / "durability"
DONE = HOME / "done.jsonl"
FIGURES = ("kills", "lost", "mixed", "differing", "races", "double_wins", "lost_deltas", "torn_reads")
console = Console(stderr=True)


@dataclass(frozen=True)
class Bed:
    """What the trials on one kind of store begin with and must end with."""

    store: str
    begin: SmallShop
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


def current(shop: SmallShop) -> Manifest:
    """The manifest that readers get."""
    store = ReleaseStore(open_storage(shop.store))
    return store.manifest(store.current().current.release)


def comparable(manifest: Manifest, remote: str | None) -> dict[str, object]:
    """A manifest as it must come out; on S3 without what follows from the landed object's time."""
    plain = json.loads(manifest.to_bytes())
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
    begin = SmallShop(home / "begin" / "workspace", f"{prefix}/begin/landing", f"{prefix}/begin/store")

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
    bed = Bed(store, begin, current(begin), current(plain), boundaries, seconds, remote)
    if comparable(current(counted), remote) != comparable(bed.second, remote):
        raise RuntimeError("two undisturbed runs differ: nothing can be compared")
    for copy in (plain, counted):
        shutil.rmtree(copy.root.parent)
    return bed


@contextmanager
def polling(shop: SmallShop, home: Path, trial: Trial) -> Iterator[None]:
    """A reader that uses the current release again and again while the trial goes on."""
    result = home / "reads"

    def poll() -> None:
        stopped: list[int] = []
        signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
        reads = torn = 0
        while not (stopped and reads):
            try:
                release = Release.open(shop.store, cache=home / "reader")
                release.verify()
                release.recommend(release.users[0])
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


def kill_trial(bed: Bed, name: str, kill: Callable[[SmallShop, Path], int]) -> Trial:
    """Kill one run, look, run again, compare."""
    trial = Trial(name)
    home = HOME / bed.store / name
    shutil.rmtree(home, ignore_errors=True)
    shop = bed.begin.copy(home, f"{bed.remote}/{name}-{time.time_ns()}" if bed.remote else None)
    log = home / "log"
    allowed = [comparable(manifest, bed.remote) for manifest in (bed.first, bed.second)]
    with polling(shop, home, trial):
        code = kill(shop, log)
        if code not in (0, KILLED):
            require_success(code, log)
        trial.kills = int(code == KILLED)
        trial.mixed += comparable(current(shop), bed.remote) not in allowed
        require_success(ended(forked(shop.run, log)), log)
    found = current(shop)
    trial.differing = int(comparable(found, bed.remote) != allowed[1])
    trial.lost = rows_lost(found, bed.second)
    try:
        Release.open(shop.store, cache=home / "check").verify()
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
    shops = [base[0].copy(home / "0", remote)]
    shutil.copytree(base[1].root, home / "1" / "workspace")
    shops.append(SmallShop(home / "1" / "workspace", base[1].landing, shops[0].store))
    start = home / "start"
    before = ReleaseStore(open_storage(shops[0].store)).current().current

    def publish_at_once(shop: SmallShop) -> Callable[[], None]:
        def work() -> None:
            while not start.exists():
                time.sleep(0)
            shop.publish()

        return work

    with polling(shops[0], home, trial):
        children = [forked(publish_at_once(shop), home / f"log-{n}") for n, shop in enumerate(shops)]
        time.sleep(0.05)
        start.touch()
        for n, child in enumerate(children):
            require_success(ended(child), home / f"log-{n}")
    judge_race(shops, before.generation, trial, home)
    shutil.rmtree(home)
    return trial


def judge_race(shops: list[SmallShop], generation: int, trial: Trial, home: Path) -> None:
    """One swap each; both published, in one line of releases; both deltas in the last one."""
    store = ReleaseStore(open_storage(shops[0].store))
    after = store.current().current
    last = store.manifest(after.release)
    said = [json.loads((shop.root / "var" / "published.json").read_text())["release"] for shop in shops]
    line = [last.id, last.parent]
    trial.double_wins = int(
        after.generation != generation + 2 or len(set(said)) != 2 or not set(said) <= set(line)
    )
    trial.clashes = int(any(not one.in_line for one in releases(store.storage)))
    release = Release.open(shops[0].store, cache=home / "check")
    release.verify()
    for shop, user in zip(shops, ("u100", "u200"), strict=True):
        parts = set(json.loads((shop.root / "var" / "published.json").read_text())["parts"])
        trial.lost_deltas += int(not parts <= last.parts)
        trial.lost_deltas += int(f"i{user[1:]}" not in release.items)
    trial.mixed = int(len(release.users) != last.users.n_users)


def race_base(bed: Bed) -> list[SmallShop]:
    """Two built workspaces on the first release, each with a part of its own; made once per run."""
    folders = [HOME / bed.store / f"rival-{n}" for n in (0, 1)]
    shops = []
    for n, folder in enumerate(folders):
        landing = str(folder / "landing")
        shop = SmallShop(folder / "workspace", landing, bed.begin.store)
        if not (folder / "built").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            shutil.copytree(bed.begin.root, shop.root)
            number = 100 * (n + 1)

            def build(shop: SmallShop = shop, number: int = number) -> None:
                shop.land("catalogue", f"{number}.jsonl", catalogue(range(number, number + 5), 2), 2)
                rows = interactions(range(number, number + 2), number + 5, 2)
                own = [row | {"item_id": f"i{number}"} for row in rows[:1]] + rows[3:4]
                shop.land("interactions", f"{number}.jsonl", [own[0]], 2)
                shop.ingest_and_build()

            log = folder / "log"
            require_success(ended(forked(build, log)), log)
            (folder / "built").touch()
        shops.append(shop)
    return shops


def at_boundary(n: int) -> Callable[[SmallShop, Path], int]:
    """Die at the n-th write."""
    return lambda shop, log: ended(forked(shop.run, log, die_at=n))


def at_moment(bed: Bed, number: int) -> Callable[[SmallShop, Path], int]:
    """Die after a random share of an undisturbed run; the same moment each time the benchmark runs."""
    seconds = random.Random(f"{bed.store}-{number}").random() * bed.seconds
    return lambda shop, log: killed_after(forked(shop.run, log), seconds)


def trials_of(bed: Bed, asked: argparse.Namespace) -> dict[str, Callable[[], Trial]]:
    """Every trial on one store, by name."""
    found: dict[str, Callable[[], Trial]] = {}
    for n in range(1, bed.boundaries + 1, asked.boundaries_step):
        found[f"boundary-{n}"] = lambda n=n: kill_trial(bed, f"boundary-{n}", at_boundary(n))  # type: ignore[misc]
    for n in range(asked.moments):
        found[f"moment-{n}"] = lambda n=n: kill_trial(bed, f"moment-{n}", at_moment(bed, n))  # type: ignore[misc]
    for n in range(asked.races):
        found[f"race-{n}"] = lambda n=n: race_trial(bed, n)  # type: ignore[misc]
    return found


def run_all(bed: Bed, asked: argparse.Namespace, done: dict[str, Trial]) -> None:
    """Run what is not done yet; every result is kept at once."""
    trials = trials_of(bed, asked)
    waiting = {name: trial for name, trial in trials.items() if f"{bed.store}/{name}" not in done}
    with Progress(
        *Progress.get_default_columns()[:-1], MofNCompleteColumn(), TimeRemainingColumn(), console=console
    ) as bar:
        task = bar.add_task(
            f"{bed.store}: {bed.boundaries} boundaries, {bed.seconds:.1f} s a run", total=len(trials)
        )
        bar.advance(task, len(trials) - len(waiting))
        for name, trial in waiting.items():
            result = trial()
            done[f"{bed.store}/{name}"] = result
            with DONE.open("a") as file:
                file.write(json.dumps({"store": bed.store} | asdict(result)) + "\n")
            bar.advance(task)


def preload() -> None:
    """Import what the children need, once; nothing that starts threads is run here."""
    import logging

    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    import boto3  # noqa: F401
    import great_expectations  # noqa: F401
    import openvino  # noqa: F401
    import tokenizers  # noqa: F401

    import recsys.catalogue.expectations
    import recsys.catalogue.ingest
    import recsys.stages.features
    import recsys.stages.index
    import recsys.stages.profiles
    import recsys.stages.users
    import recsys.stages.validate  # noqa: F401


def load_done(fresh: bool) -> dict[str, Trial]:
    """Results of a run that was cut short."""
    if fresh:
        DONE.unlink(missing_ok=True)
    if not DONE.is_file():
        return {}
    records = [json.loads(line) for line in DONE.read_text().splitlines()]
    return {f"{record.pop('store')}/{record['name']}": Trial(**record) for record in records}


def main() -> None:
    """Run the trials, print the table, write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stores", nargs="+", choices=("folder", "s3"), default=["folder", "s3"])
    parser.add_argument("--moments", type=int, default=200, help="random kills per store")
    parser.add_argument("--races", type=int, default=100, help="per store")
    parser.add_argument("--boundaries-step", type=int, default=1, help="1 takes every boundary")
    parser.add_argument("--fresh", action="store_true", help="forget results of a run that was cut short")
    asked = parser.parse_args()
    os.environ |= {"AWS_MAX_ATTEMPTS": "5"}
    HOME.mkdir(parents=True, exist_ok=True)
    done = load_done(asked.fresh)
    preload()
    model = HOME / "model"
    if not (model / "tokenizer.json").is_file():
        require_success(
            ended(forked(lambda: save_model(model) and None, HOME / "model.log")), HOME / "model.log"
        )
    extra: dict[str, float | int | str] = {}
    with ExitStack() as stack:
        for store in asked.stores:
            remote = start_s3(stack) if store == "s3" else None
            bed = make_bed(store, model, remote)
            extra |= {f"{store}_boundaries": bed.boundaries, f"{store}_run_seconds": round(bed.seconds, 2)}
            run_all(bed, asked, done)
    report(done, extra)
    DONE.unlink()  # the next run measures the code of its own day


def start_s3(stack: ExitStack) -> str:
    """Start SeaweedFS and make a bucket."""
    import boto3

    from demo.servers import start_seaweed

    folder = HOME / "seaweed"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    server = stack.enter_context(start_seaweed(folder))
    os.environ |= server.environment
    boto3.session.Session().client("s3").create_bucket(Bucket="durability")
    return "s3://durability"


def report(done: dict[str, Trial], extra: dict[str, float | int | str]) -> None:
    """The table by kind of trial, and the figures."""
    shown = (*FIGURES, "reads", "clashes")
    table = Table("", "trials", *shown)
    for kind in ("boundary", "moment", "race"):
        for store in ("folder", "s3"):
            some = [trial for name, trial in done.items() if name.startswith(f"{store}/{kind}")]
            sums = [sum(getattr(trial, name) for trial in some) for name in shown]
            table.add_row(f"{store}, {kind}", str(len(some)), *map(str, sums))
    Console(width=150).print(table)
    figures: dict[str, float | int | str] = {
        name: sum(getattr(trial, name) for trial in done.values()) for name in shown
    }
    write_figures("durability", figures | extra)


if __name__ == "__main__":
    main()
