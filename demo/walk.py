"""The main job in six steps, through Airflow, with every claim checked."""

import time
from dataclasses import dataclass, field
from functools import cached_property

from rich.console import Console
from rich.markup import escape

from demo import landing
from demo.data import PARAMS, DemoData
from demo.judging import Judged, judge_cold
from demo.landing import LandedFile
from demo.observing import Sight, look
from demo.training import FORM, PUBLISH, TRAIN, Training, train
from demo.watching import WalkFailed, Watch
from localplatform.airflow_client import Airflow
from localplatform.patience import Patience, seconds_of_trees
from localplatform.platform import Platform
from localplatform.processes import Server
from recsys import Release
from recsys.artifacts import Artifacts
from recsys.catalogue.kinds import CATALOGUE
from recsys.catalogue.landing import arrived
from recsys.catalogue.parts import all_parts
from recsys.catalogue.pseudonyms import Pseudonyms
from recsys.publishing.store import ReleaseStore
from recsys.settings import Settings
from recsys.storage.opening import open_storage

ARRIVALS, ROLLBACK = "profile_arrivals", "rollback_release"


@dataclass(frozen=True)
class Step:
    """One line of the table at the end."""

    name: str
    release: str
    parts: int
    accepted: int
    quarantined: int
    encoded: int
    n_items: int
    index_recall: float | None
    live_s: float | None
    """Seconds from the file's landing to the swap of the pointer."""
    seconds: float


@dataclass
class Walk:
    """The demo on a running platform."""

    platform: Platform
    data: DemoData
    console: Console
    steps: list[Step] = field(default_factory=list)
    judged: Judged | None = None
    training: Training | None = None

    @cached_property
    def at(self) -> Artifacts:
        """The demo's workspace."""
        return Artifacts(self.platform.workspace)

    @cached_property
    def settings(self) -> Settings:
        """Settings of the workspace."""
        return Settings.load(self.at.params)

    @cached_property
    def store(self) -> ReleaseStore:
        """Where releases go."""
        return ReleaseStore(open_storage(self.platform.environment["RECSYS_STORE"]))

    @cached_property
    def airflow(self) -> Airflow:
        """Airflow's API."""
        return Airflow.of(self.platform.airflow)

    @cached_property
    def arrivals(self) -> Watch:
        """Follows DAG profile_arrivals."""
        return Watch(self.airflow, ARRIVALS, self.console, self.platform.workspace)

    def release(self, name: str | None = None) -> Release:
        """A release as readers open it; None: the one that the pointer says."""
        return Release.open(self.platform.environment["RECSYS_STORE"], release=name, cache=self.at.cache)

    def run(self) -> None:
        """All six steps; fills `steps`, `judged` and `training`."""
        self.first_light()
        self.new_films()
        self.edits_and_bad_rows()
        self.rollback_and_resume()
        self.train()

    def first_light(self) -> None:
        """Steps 1 and 2: films without a plot and their ratings land; everything else happens by itself."""
        self._title("1", "titles, years and genres of the films without a plot land, with their ratings")
        files = [landing.ratings_without_plots(self.data), landing.catalogue_without_plots(self.data)]
        self._title(
            "2", f"{ARRIVALS} fires by itself; first light: the encoder, joined with words, becomes champion"
        )
        self._arrival("first light", files)

    def new_films(self) -> None:
        """Step 3: the films with a plot land as new, cold items; exactly those are encoded."""
        films = self.data.with_plot
        self._title("3", f"{len(films)} films with a plot land as new items, their ratings withheld")
        step = self._arrival("new films", [landing.films_with_plot(self.data)])
        _require(
            step.encoded == len(films), f"{step.encoded} texts were encoded, not the {len(films)} new ones"
        )
        _require(step.accepted == len(films), f"{step.accepted} rows were accepted, not {len(films)}")
        pseudonyms = Pseudonyms(self.platform.environment["RECSYS_PSEUDONYM_KEY"])
        withheld = self.data.ratings_of(films)
        with self.console.status("ranking the cold films for every user with a history"):
            self.judged = judge_cold(self.release(), self.at, self.settings, films, withheld, pseudonyms)

    def edits_and_bad_rows(self) -> None:
        """Step 4: ten texts change, and a file with bad rows lands; ten are encoded, bad rows are quarantined."""
        supplier, bad = landing.file_with_bad_rows(self.data)
        n_edits = len(landing.edited_films(self.data))
        self._title("4", f"the text of {n_edits} films changes, and a file with {len(bad)} bad rows lands")
        before = {part.id for part in look(self.at, self.store).parts}
        step = self._arrival("edits, bad rows", [landing.edits(self.data), supplier])
        _require(
            step.encoded == n_edits, f"{step.encoded} texts were encoded, not the {n_edits} that changed"
        )
        good = n_edits + landing.N_GOOD_ROWS
        _require(step.accepted == good, f"{step.accepted} rows were accepted, not the {good} good ones")
        found = [
            row
            for part in look(self.at, self.store).parts
            if part.id not in before and part.kind == CATALOGUE
            for row in part.quarantined().sort_by("line").to_pylist()
        ]
        _require(len(found) == len(bad), f"{len(found)} rows were quarantined, not {len(bad)}: {found}")
        for row, planted in zip(found, bad, strict=True):
            line = f"line {row['line']}: {row['reason']}"
            _require(row["reason"] == planted.reason, f"{line}, not {planted.reason}")
            self.console.print(f"    {line} [dim]{escape(row['detail'])}[/]", highlight=False)

    def rollback_and_resume(self) -> None:
        """Step 5: back to the release before; what lands under the hold waits for `resume`."""
        self._title(
            "5",
            "rollback to the previous release with a hold; ratings of every second new film arrive and a film: built, "
            "not swapped; resume",
        )
        before = look(self.at, self.store)
        previous = self.store.manifest(before.head).parent
        seconds = self._move("rollback", "the demo shows it")
        now = look(self.at, self.store).current
        _require(bool(now and now.release == previous and now.hold), f"after rollback CURRENT says {now}")
        self._add("rollback", seconds)
        files = [landing.ratings_of_new_films(self.data), landing.late_film()]
        held = self._arrival("under the hold", files, held=True)
        now = look(self.at, self.store).current
        _require(bool(now and now.release == previous and now.head == held.release), f"under the hold: {now}")
        seconds = self._move("resume", "the demo shows it")
        now = look(self.at, self.store).current
        _require(
            bool(now and now.release == held.release and not now.hold), f"after resume CURRENT says {now}"
        )
        self._add("resume", seconds)

    def train(self) -> None:
        """Step 6: a challenger is trained, judged beside the champion and, where the gate opens, published."""
        form = ", ".join(f"{name}: {value}" for name, value in FORM.items())
        self._title(
            "6", f"{TRAIN} with {form}: trained, judged, and published if the gate opens; no hand touches it"
        )
        unlike = ", ".join(f"{name}: {value}" for name, value in PARAMS.items())
        self.console.print(f"    this workspace departs from params.yaml in {unlike}", highlight=False)
        before = look(self.at, self.store)
        since = time.monotonic()
        self.training = train(self)
        seconds = time.monotonic() - since
        if self.training.publish_s is not None:
            self._step("new champion", before, self.training.publish_s, seconds)

    def _arrival(self, name: str, files: list[LandedFile], *, held: bool = False) -> Step:
        """Land files, wait until a release holds them, and count what happened."""
        before = look(self.at, self.store)
        watch = self.arrivals
        zone = open_storage(self.platform.environment["RECSYS_LANDING"])
        since = time.monotonic()
        for file in files:
            zone.write(file.key, file.content)
            self.console.print(
                f"    landed {zone.url}/{file.key} [dim]{len(file.content):,} bytes[/]", highlight=False
            )

        watch.until(lambda: self._is_released(before, files), name)
        live_s = time.monotonic() - since
        watch.until_idle("the run ends")
        return self._step(name, before, None if held else live_s, time.monotonic() - since)

    def _is_released(self, before: Sight, files: list[LandedFile]) -> bool:
        """Whether the files have left the landing zone, and every part is in a release newer than `before`'s."""
        if refused := sorted(self.at.refused.glob("*.json")):
            raise WalkFailed(f"a batch was refused: {refused[0].read_text(encoding='utf-8')}")
        pointer = self.store.pointer()
        if pointer is None or pointer.current.head == before.head:
            return False
        zone = open_storage(self.platform.environment["RECSYS_LANDING"])
        if {file.key for file in files} & {landed.key for landed in arrived(zone)}:
            return False
        released = self.store.manifest(pointer.current.head).parts
        return all(part.id in released for part in all_parts(self.at.data))

    def _step(self, name: str, before: Sight, live_s: float | None, seconds: float) -> Step:
        after = look(self.at, self.store)
        new = [part for part in after.parts if part.id not in {part.id for part in before.parts}]
        manifest = self.store.manifest(after.head)
        step = Step(
            name=name,
            release=after.head,
            parts=len(after.parts),
            accepted=sum(part.arrival.n_rows for part in new),
            quarantined=sum(part.arrival.n_quarantined for part in new),
            encoded=after.n_encoded - before.n_encoded,
            n_items=len(self.release(after.head).items),
            index_recall=manifest.index_recall,
            live_s=live_s,
            seconds=seconds,
        )
        self.steps.append(step)
        self.console.print(
            f"    [green]release {step.release}[/]: {step.encoded} of {step.n_items} items encoded"
        )
        return step

    def _add(self, name: str, seconds: float) -> None:
        """A line for a step that only moved the pointer."""
        after = look(self.at, self.store)
        if after.current is None:
            raise WalkFailed("CURRENT is gone")
        manifest = self.store.manifest(after.current.release)
        recall, n_items = manifest.index_recall, len(self.release(manifest.id).items)
        step = Step(name, manifest.id, len(after.parts), 0, 0, 0, n_items, recall, seconds, seconds)
        self.steps.append(step)
        self.console.print(
            f"    [green]{name}[/]: readers get {manifest.id} [dim]{seconds:.1f} s[/]", highlight=False
        )

    def _move(self, action: str, why: str) -> float:
        """Run DAG rollback_release; seconds until the pointer has moved."""
        before = self.store.current().current.generation
        watch = Watch(self.airflow, ROLLBACK, self.console, self.platform.workspace)
        since = time.monotonic()
        self.airflow.trigger(ROLLBACK, {"action": action, "release": "previous", "why": why})
        watch.until(lambda: self.store.current().current.generation > before, action)
        moved_s = time.monotonic() - since
        watch.until_idle("the run ends")
        return moved_s

    def _title(self, number: str, words: str) -> None:
        self.console.print(f"\n[bold]({number})[/] {words}", highlight=False)


def wait_for_dags(airflow: Airflow, server: Server, console: Console, quiet_s: float = 90) -> None:
    """Wait until Airflow has read all DAGs; WalkFailed shows what went wrong while it read them."""
    patience = Patience(quiet_s, most_s=10 * quiet_s)
    with console.status("Airflow reads the DAGs"):
        while not all(known := [airflow.knows(dag) for dag in (ARRIVALS, ROLLBACK, TRAIN, PUBLISH)]):
            busy = seconds_of_trees(process.guard.pid for process in server.processes)
            if patience.is_over(known, busy):
                raise WalkFailed("Airflow has not read the DAGs:\n" + "\n".join(airflow.import_errors()))
            time.sleep(0.5)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise WalkFailed(otherwise)
