"""Does a service that is killed lose feedback, or count it twice? On SQLite and on a real Postgres.

A child process writes events and ships them, in two threads, as a replica of the service does. It notes an event as
confirmed only after the store has returned. SIGKILL ends it at a random moment, or at a random write of shipping (a
file opened or renamed). The next child sends again what was not confirmed, and some events that were, as clients do.
Every tenth child is killed while intake runs, the real one: it moves files away while others are written.

In the end every confirmed event must be exactly once in the store, in the landed files and in the accepted rows:

- `feedback_lost`: confirmed events that are missing in one of the three;
- `feedback_double`: events that are more than once in one of them.

    make bench-feedback_kills
    python -m bench.feedback_kills --kills 10      a quick look
"""

import argparse
import json
import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.figures import ROOT, write_figures
from bench.killing import KILLED, ended, forked, killed_after
from bench.postgres import postgres
from recsys.artifacts import Artifacts
from recsys.catalogue.ingest import ingest
from recsys.catalogue.kinds import INTERACTIONS
from recsys.catalogue.parts import list_parts
from recsys.catalogue.pseudonyms import Pseudonyms
from recsys.serving.feedback import FeedbackStore
from recsys.serving.feedback_events import Event, microseconds
from recsys.serving.feedback_outbox import ship
from recsys.serving.feedback_tables import events
from recsys.settings import Settings
from recsys.storage.opening import open_storage

HOME = ROOT / "var" / "bench" / "feedback_kills"
KEY = "feedback-kills-key-0123456789"
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
N_USERS = 50
LONGEST_S = 0.6
"""A child lives at most so long after its first confirmed event."""
MOST_WRITES = 60
"""A child that dies at a write of shipping dies at one of its first so many."""
SHIP_EVERY_S = 0.02
ROUNDS_PER_INGEST = 10
"""Even: the replica of that round is killed at a random moment."""

console = Console()


@dataclass(frozen=True)
class Bed:
    """One store, one landing zone, one workspace, and what clients remember."""

    home: Path
    url: str

    @property
    def sent(self) -> Path:
        """Numbers of events that were sent, a line each."""
        return self.home / "sent"

    @property
    def confirmed(self) -> Path:
        """Numbers of events that the store has confirmed, a line each."""
        return self.home / "confirmed"

    @property
    def landing(self) -> Path:
        """The landing zone."""
        return self.home / "landing"


@dataclass(frozen=True)
class Found:
    """What became of the events of one bed."""

    n_kills: int
    n_confirmed: int
    n_files: int
    n_lost: int
    n_double: int


def event_of(number: int) -> Event:
    """The event of this number: everything in it follows from the number, so a repeated one is the same."""
    user = Pseudonyms(KEY).of(f"u{number % N_USERS}")
    return Event(f"e{number}", user, f"i{number}", "like", None, FIRST + timedelta(microseconds=number))


def numbers_in(path: Path) -> list[int]:
    """Whole lines of a file; a line that a kill cut short is left out."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [int(line) for line in lines if line.endswith("\n")]


def replica(bed: Bed, seed: int) -> None:
    """Write and ship until somebody kills this process."""
    store, randomness = FeedbackStore.open(bed.url), random.Random(seed)
    threading.Thread(target=_ship_on, args=(store, bed), daemon=True).start()
    sent, confirmed = numbers_in(bed.sent), numbers_in(bed.confirmed)
    again = sorted(set(sent) - set(confirmed)) + randomness.sample(confirmed, min(20, len(confirmed)))
    following = max(sent, default=0) + 1
    with bed.sent.open("ab", buffering=0) as to_sent, bed.confirmed.open("ab", buffering=0) as to_confirmed:
        while True:
            batch = again or list(range(following, following + randomness.randint(1, 8)))
            if not again:
                following = batch[-1] + 1
                to_sent.write(_lines(batch))
            store.add([event_of(number) for number in batch])
            to_confirmed.write(_lines(batch))
            again = []


def _ship_on(store: FeedbackStore, bed: Bed) -> None:
    landing, pseudonyms = open_storage(str(bed.landing)), Pseudonyms(KEY)
    while True:
        ship(store, landing, pseudonyms, max_events=50)
        time.sleep(SHIP_EVERY_S)


def _lines(numbers: Iterable[int]) -> bytes:
    return "".join(f"{number}\n" for number in numbers).encode()


def kill_once(bed: Bed, seed: int, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Run a replica and kill it, at a random moment or at a random write.

    Args:
        bed: where it runs.
        seed: even: at a random moment; odd: at a random write.
        meanwhile: what happens before a kill at a random moment.

    Raises:
        RuntimeError: it ended in another way than by the kill.
    """
    randomness, log = random.Random(seed), bed.home / "replica.log"
    die_at = randomness.randint(1, MOST_WRITES) if seed % 2 else None
    n_before = bed.confirmed.stat().st_size if bed.confirmed.exists() else 0
    child = forked(lambda: replica(bed, seed), log, die_at)
    if die_at is None:
        _wait_for(lambda: bed.confirmed.exists() and bed.confirmed.stat().st_size > n_before)
        meanwhile()
        code = killed_after(child, randomness.random() * LONGEST_S)
    else:
        code = ended(child)
    if code != KILLED:
        raise RuntimeError(f"a replica ended with {code}; {log} ends:\n{log.read_text()[-3000:]}")


def _wait_for(holds: Callable[[], bool], timeout_s: float = 60.0) -> None:
    end = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > end:
            raise RuntimeError(f"a replica confirmed nothing in {timeout_s:.0f} s; see its log in {HOME}")
        time.sleep(0.005)


def take_in(bed: Bed, settings: Settings) -> None:
    """Intake as `recsys ingest` runs it.

    Raises:
        RuntimeError: a file was refused.
    """
    report = ingest(open_storage(str(bed.landing)), Artifacts(bed.home / "workspace"), settings.ingest, KEY)
    if report.still_refused or report.refused:
        raise RuntimeError(f"intake refused a file: {report}")


def run(home: Path, url: str, n_kills: int, settings: Settings) -> Found:
    """Kill replicas of one store, and count."""
    bed = Bed(home, url)
    shutil.rmtree(home, ignore_errors=True)
    (home / "workspace").mkdir(parents=True)
    for number in track(range(n_kills), f"kills, {home.name}", console=console):
        is_taken_in = number % ROUNDS_PER_INGEST == 0
        kill_once(bed, number, (lambda: take_in(bed, settings)) if is_taken_in else lambda: None)
    store = FeedbackStore.open(url)
    confirmed = set(numbers_in(bed.confirmed))
    unconfirmed = sorted(set(numbers_in(bed.sent)) - confirmed)
    store.add([event_of(number) for number in unconfirmed])
    ship(store, open_storage(str(bed.landing)), Pseudonyms(KEY))
    take_in(bed, settings)
    places = [_in_store(store), _in_files(bed), _in_rows(bed)]
    store.close()
    expected = confirmed | set(unconfirmed)
    return Found(
        n_kills=n_kills,
        n_confirmed=len(expected),
        n_files=len(_files(bed)),
        n_lost=len({number for found in places for number in expected - set(found)}),
        n_double=len({number for found in places for number, n in found.items() if n > 1}),
    )


def _in_store(store: FeedbackStore) -> Counter[int]:
    with store.reading() as connection:
        return Counter(int(name[1:]) for name in connection.execute(sa.select(events.c.event_id)).scalars())


def _files(bed: Bed) -> list[Path]:
    return [path for path in bed.landing.rglob("*.jsonl") if path.is_file()]


def _in_files(bed: Bed) -> Counter[int]:
    lines = (json.loads(line) for path in _files(bed) for line in path.read_text().splitlines())
    return Counter(int(line["event_id"][1:]) for line in lines)


def _in_rows(bed: Bed) -> Counter[int]:
    parts = list_parts(bed.home / "workspace" / "data", INTERACTIONS)
    return Counter(
        microseconds(at) - microseconds(FIRST)
        for part in parts
        for at in part.rows()["timestamp"].to_pylist()
    )


def main() -> None:
    """Run the trials, print what was found, write the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--kills", type=int, default=100, help="of each kind of store")
    arguments = parser.parse_args()
    settings = Settings.load(ROOT / "params.yaml")
    with postgres() as url:
        found = {
            "sqlite": run(
                HOME / "sqlite", f"sqlite:///{HOME / 'sqlite' / 'feedback.db'}", arguments.kills, settings
            ),
            "postgres": run(HOME / "postgres", url, arguments.kills, settings),
        }
    table = Table("store", "kills", "confirmed events", "files", "lost", "double")
    for store, one in found.items():
        table.add_row(
            store, *(f"{n:,}" for n in (one.n_kills, one.n_confirmed, one.n_files, one.n_lost, one.n_double))
        )
    console.print(table)
    totals = {
        "feedback_kills": sum(one.n_kills for one in found.values()),
        "feedback_lost": sum(one.n_lost for one in found.values()),
        "feedback_double": sum(one.n_double for one in found.values()),
    }
    confirmed = {f"feedback_confirmed_{store}": one.n_confirmed for store, one in found.items()}
    write_figures("feedback_kills", totals | confirmed)
    if totals["feedback_lost"] or totals["feedback_double"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
