"""Is anything lost or torn when processes die by SIGKILL, or publish at once? On a folder and on SeaweedFS (S3).

A small workspace with a real two-layer transformer goes from landed files to the swapped pointer: ingest with Great
Expectations, validate, features, profiles, users, index, publish. Every trial begins with a copy of the same published
release and the same landed files (new items, changed ones, a delete, bad rows, interactions):

- kill at every write boundary, enumerated (each file opened for writing, renamed, removed; each PUT, POST and DELETE),
  and at random moments; then the same work runs again, and the release must be that of an undisturbed run, byte for
  byte (on S3 but for the time at which the landed object was written, which S3 sets anew in each copy);
- two publishers at once: one wins, the other joins its work to it, both deltas are in;
- kill the commands of a task, or all of Airflow, in arrivals through the real Airflow and DVC (airflow_kills.py).

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
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table

from bench.airflow_kills import airflow_trials, forget_twin
from bench.figures import write_figures
from bench.killing import ended, forked, killed_after, require_success
from bench.small_workspace import SmallWorkspace, save_model
from bench.trials import HOME, Bed, Trial, console, kill_trial, make_bed, race_trial

DONE = HOME / "done.jsonl"
MOMENT_TRIES = 5
FIGURES = ("kills", "lost", "mixed", "differing", "races", "double_wins", "lost_deltas", "torn_reads")


def at_boundary(n: int) -> Callable[[SmallWorkspace, Path], int]:
    """Die at the n-th write."""
    return lambda small, log: ended(forked(small.run, log, die_at=n))


def moment_trial(bed: Bed, number: int) -> Trial:
    """Die after a random share of an undisturbed run; sooner where the run has ended by then, as on a freer machine."""
    seconds = random.Random(f"{bed.store}-{number}").random() * bed.seconds
    for sooner in range(MOMENT_TRIES):

        def die(small: SmallWorkspace, log: Path, after: float = seconds / 2**sooner) -> int:
            return killed_after(forked(small.run, log), after)

        trial = kill_trial(bed, f"moment-{number}", die)
        if trial.kills:
            break
    return trial


def trials_of(bed: Bed, args: argparse.Namespace) -> dict[str, Callable[[], Trial]]:
    """Every trial on one store, by name."""
    found: dict[str, Callable[[], Trial]] = {}
    for n in range(1, bed.boundaries + 1, args.boundaries_step):
        found[f"boundary-{n}"] = lambda n=n: kill_trial(bed, f"boundary-{n}", at_boundary(n))  # type: ignore[misc]
    for n in range(args.moments):
        found[f"moment-{n}"] = lambda n=n: moment_trial(bed, n)  # type: ignore[misc]
    for n in range(args.races):
        found[f"race-{n}"] = lambda n=n: race_trial(bed, n)  # type: ignore[misc]
    return found


def run_all(bed: Bed, args: argparse.Namespace, done: dict[str, Trial]) -> None:
    """Run what is not done yet; every result is kept at once."""
    trials = trials_of(bed, args)
    waiting = {name: trial for name, trial in trials.items() if f"{bed.store}/{name}" not in done}
    with Progress(
        *Progress.get_default_columns()[:-1], MofNCompleteColumn(), TimeRemainingColumn(), console=console
    ) as bar:
        task = bar.add_task(
            f"{bed.store}: {bed.boundaries} boundaries, {bed.seconds:.1f} s a run", total=len(trials)
        )
        bar.advance(task, len(trials) - len(waiting))
        for trial in waiting.values():
            keep(bed.store, trial(), done)
            bar.advance(task)


def run_airflow(store: str, model: Path, remote: str | None, kills: int, done: dict[str, Trial]) -> None:
    """The kills through Airflow, all of one store in one go: each arrival builds on the one before."""
    if sum(name.startswith(f"{store}/airflow") for name in done) >= kills:
        return
    with Progress(*Progress.get_default_columns()[:-1], MofNCompleteColumn(), console=console) as bar:
        task = bar.add_task(f"{store}: kills through Airflow", total=kills)

        def advance(trial: Trial) -> None:
            keep(store, trial, done)
            bar.advance(task)

        airflow_trials(store, model, remote, kills, advance)


def keep(store: str, trial: Trial, done: dict[str, Trial]) -> None:
    """Add a result to those that a run that is cut short goes on from."""
    done[f"{store}/{trial.name}"] = trial
    with DONE.open("a") as file:
        file.write(json.dumps({"store": store} | asdict(trial)) + "\n")


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
        forget_twin()
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
    parser.add_argument("--airflow", type=int, default=5, help="kills through Airflow and DVC, per store")
    parser.add_argument("--boundaries-step", type=int, default=1, help="1 takes every boundary")
    parser.add_argument("--fresh", action="store_true", help="forget results of a run that was cut short")
    args = parser.parse_args()
    os.environ |= {"AWS_MAX_ATTEMPTS": "5"}
    HOME.mkdir(parents=True, exist_ok=True)
    done = load_done(args.fresh)
    preload()
    model = HOME / "model"
    if not (model / "tokenizer.json").is_file():
        require_success(
            ended(forked(lambda: print(save_model(model)), HOME / "model.log")), HOME / "model.log"
        )
    extra: dict[str, float | int | str] = {}
    with ExitStack() as stack:
        for store in args.stores:
            remote = start_s3(stack) if store == "s3" else None
            bed = make_bed(store, model, remote)
            extra |= {f"{store}_boundaries": bed.boundaries, f"{store}_run_seconds": round(bed.seconds, 2)}
            run_all(bed, args, done)
            if args.airflow:
                run_airflow(store, model, remote, args.airflow, done)
    report(done, extra)
    forget_twin()
    DONE.unlink()  # the next run measures the code of its own day


def start_s3(stack: ExitStack) -> str:
    """Start SeaweedFS and make a bucket."""
    import boto3

    from localplatform.servers import start_seaweed

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
    for kind in ("boundary", "moment", "race", "airflow"):
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
