"""Intake: everything that waits in the landing zone is judged and, if it may, becomes a part. Safe to repeat.

Write boundaries, in order: the staged copy (var), of a batch let in by hand its record (var), the part's draft (var),
the rename into data/ (acceptance), the page (var), the landed file's move to processed/. Killed between any two, the
next run ends with the same bytes; a batch that was not yet accepted waits for the person's word again.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from filelock import FileLock, Timeout

from recsys.artifacts import Artifacts
from recsys.catalogue.isolated_reader import IsolatedReader
from recsys.catalogue.judging import Judged, found_value, judge_batch, latest_arrivals, remedy_of
from recsys.catalogue.landing import COMPRESSIONS, ENDINGS, PROCESSED, Landed, arrived, current
from recsys.catalogue.outcomes import (
    ACCEPTED,
    REPEATED,
    WAITING,
    IngestReport,
    LetIn,
    Outcome,
    of_refusal,
)
from recsys.catalogue.params import IngestParams
from recsys.catalogue.parts import (
    CATALOGUE,
    INTERACTIONS,
    PART_ID,
    REPORT,
    AcceptedBy,
    Arrival,
    all_parts,
    list_parts,
    next_sequence,
    part_id,
    sha256_of,
    write_part,
)
from recsys.catalogue.pseudonyms import Pseudonyms, remember_key, require_same_key
from recsys.catalogue.readers import LandedFile
from recsys.catalogue.refusals import Problem, Refusal, batch_id, forget_outdated, standing
from recsys.catalogue.report import Title, batch_page
from recsys.errors import BatchRefused, RecsysError, StorageError, UnreadableFile
from recsys.storage import Storage
from recsys.storage.atomic import whole_file

LOCK_TIMEOUT_S = 600


def ingest(
    landing: Storage,
    at: Artifacts,
    params: IngestParams,
    key: str,
    on_progress: Callable[[str], None] = lambda _: None,
    let_in: LetIn | None = None,
    needed: tuple[str, ...] = (),
) -> IngestReport:
    """Take in everything that waits. One batch refused does not stop the others.

    Args:
        landing: the landing zone.
        at: the workspace.
        params: limits.
        key: for pseudonyms, at least 16 characters.
        on_progress: told what is being done.
        let_in: a refused batch to be let in, with who and why.
        needed: `features.fields`: a row whose value there cannot be kept is bad.

    Returns:
        What became of each file, and which refusals still stand.

    Raises:
        ConfigError: the key is too short, or another than the one of the interactions that are accepted.
        StorageError: the landing zone or the workspace cannot be used, or another intake does not end.
        BatchRefused: the batch to be let in is unknown, or cannot be let in.
    """
    pseudonyms = Pseudonyms(key)
    reader = IsolatedReader(params, key, at.staging / "landed", at.intake_logs / "reader.log", needed)
    with writing(at), reader:
        require_same_key(at.pseudonyms, pseudonyms)
        intake = _Intake(landing, at, params, pseudonyms, reader, let_in)
        landed = arrived(landing)
        forget_outdated(at.refused, landed)
        refused = standing(at.refused)
        known = {(refusal.key, refusal.version) for refusal in refused}
        if let_in:
            known.discard(_to_let_in(refused, let_in))
        outcomes = []
        for file in landed:
            if (file.key, file.version) not in known:
                on_progress(file.key)
                outcomes.append(intake.take_in(file))
        return IngestReport(tuple(outcomes), tuple(r for r in refused if (r.key, r.version) in known))


@contextmanager
def writing(at: Artifacts) -> Iterator[None]:
    """Be the one writer of the workspace's data; drafts of a killed writer are cleared away.

    Args:
        at: the workspace.

    Yields:
        Nothing; the lock is held meanwhile.

    Raises:
        StorageError: another writer does not end.
    """
    at.staging.mkdir(parents=True, exist_ok=True)
    lock = FileLock(at.intake_lock)
    try:
        lock.acquire(timeout=LOCK_TIMEOUT_S)
    except Timeout as error:
        remedy = "wait for the other `recsys ingest` or `recsys compact` in this workspace, or end it"
        raise StorageError(f"{at.intake_lock} has been held for {LOCK_TIMEOUT_S} s", remedy=remedy) from error
    try:
        for left in at.staging.iterdir():
            if PART_ID.fullmatch(left.name) or left.name == "landed":
                shutil.rmtree(left)
        yield
    finally:
        lock.release()


@dataclass(frozen=True)
class _Intake:
    landing: Storage
    at: Artifacts
    params: IngestParams
    pseudonyms: Pseudonyms
    reader: IsolatedReader
    let_in: LetIn | None

    def take_in(self, landed: Landed) -> Outcome:
        """Judge one landed file and accept or refuse it."""
        digest: str | None = None
        copy = self.at.staging / "landed" / f"batch{landed.ending}"
        try:
            self._check_name(landed)
            if not self._fetched(landed, copy):
                return Outcome(landed.key, landed.kind, WAITING, batch_id(landed, None))
            digest = sha256_of(copy)
            seen = self._accepted_before(landed.kind, digest)
            if seen:
                self._move_away(landed, seen)
                return Outcome(landed.key, landed.kind, REPEATED, batch_id(landed, digest), seen)
            return self._judge(landed, copy, digest)
        except (BatchRefused, UnreadableFile) as error:
            return self._refuse(landed, digest, error)
        finally:
            copy.unlink(missing_ok=True)

    def _fetched(self, landed: Landed, copy: Path) -> bool:
        """Copy the file; False when it changed or went while it was being read."""
        try:
            self.landing.fetch(landed.key, copy)
        except StorageError:
            if current(self.landing, landed.key) is not None:
                raise
            return False
        return current(self.landing, landed.key) == landed and copy.stat().st_size == landed.size

    def _check_name(self, landed: Landed) -> None:
        if not landed.is_safe:
            remedy = "land the file under a plain name: no '..', no backslash, no control characters"
            raise BatchRefused(f"{landed.key!r} is no safe name", remedy=remedy)
        if landed.ending not in ENDINGS:
            remedy = (
                f"land {', '.join(ENDINGS)}, or one of these with {', '.join(COMPRESSIONS)} behind; export a sheet as "
                "CSV; give a file that is still being written a name ending in .tmp"
            )
            raise BatchRefused(f"{landed.key} ends in {landed.ending or 'nothing'!r}", remedy=remedy)
        if landed.size > self.params.max_file_mb * 2**20:
            size = f"{landed.size / 2**20:,.0f} MB, the limit is {self.params.max_file_mb:,} MB"
            remedy = "split the file, or raise ingest.max_file_mb in params.yaml"
            raise BatchRefused(f"{landed.key} has {size}", remedy=remedy)

    def _accepted_before(self, kind: str, digest: str) -> str | None:
        for part in all_parts(self.at.data):
            if part.kind == kind and any(record.sha256 == digest for record in part.arrival.landed()):
                return part.id
        return None

    def _judge(self, landed: Landed, copy: Path, digest: str) -> Outcome:
        limits = self.params.max_columns, self.params.max_decoded_mb
        file = LandedFile(copy, landed.key, landed.ending, *limits)
        batch = self.reader.read_batch(file, landed.kind, landed.modified)
        before = latest_arrivals(list_parts(self.at.data, landed.kind), landed.kind, self.params.drift_window)
        catalogue = list_parts(self.at.data, CATALOGUE)
        judged = judge_batch(batch, catalogue, before, self.params, datetime.now(UTC))
        by = self.let_in.by if self.let_in and self.let_in.batch == batch_id(landed, digest) else None
        if any(not (by and verdict.expected.is_opinion) for verdict in judged.failed):
            return self._refuse_judged(landed, digest, judged)
        return self._accept(landed, digest, judged, by)

    def _accept(self, landed: Landed, digest: str, judged: Judged, by: AcceptedBy | None) -> Outcome:
        arrival = Arrival(
            part=part_id(next_sequence(self.at.data), digest),
            kind=landed.kind,
            source=landed.name,
            sha256=digest,
            size=landed.size,
            arrived_at=landed.modified,
            accepted_by=by,
            statistics=judged.measured.statistics,
        )
        rows = judged.good
        place = rows.schema.get_field_index("part")
        names = pa.array([arrival.part] * rows.num_rows, pa.string())
        rows = rows.set_column(place, rows.schema.field("part"), names)
        page = batch_page(Title(arrival.part, refused=False, accepted_by=by), landed, judged)
        if by:  # before the part: were it written after, a kill in between would leave the refusal standing
            let_in = {"accepted_by": by, "part": arrival.part}
            self._record(landed, digest, judged).model_copy(update=let_in).save(self.at.refused)
        if landed.kind == INTERACTIONS:
            remember_key(self.at.pseudonyms, self.pseudonyms)
        part = write_part(
            self.at.staging, self.at.data, arrival, rows, judged.bad.table(arrival.part), {REPORT: page}
        )
        self._publish_page(part.id, page)
        self._move_away(landed, part.id)
        return Outcome(
            landed.key,
            landed.kind,
            ACCEPTED,
            batch_id(landed, digest),
            part.id,
            part.arrival.n_rows,
            judged.quarantined,
            warnings=_warnings(judged),
        )

    def _refuse_judged(self, landed: Landed, digest: str, judged: Judged) -> Outcome:
        record = self._record(landed, digest, judged)
        self._publish_page(
            f"refused-{record.batch}",
            batch_page(Title(f"refused {record.batch}", refused=True), landed, judged),
        )
        record.save(self.at.refused)
        return of_refusal(record)

    def _refuse(self, landed: Landed, digest: str | None, error: RecsysError) -> Outcome:
        says = str(error).partition("\n  remedy: ")[0]
        problem = Problem(check=type(error).__name__, says=says, remedy=error.remedy)
        record = _refusal(landed, digest, (problem,), can_be_accepted=False)
        record.save(self.at.refused)
        return of_refusal(record)

    def _record(self, landed: Landed, digest: str, judged: Judged) -> Refusal:
        problems = tuple(
            Problem(
                check=verdict.expected.reason,
                says=f"{landed.key}: expected {verdict.expected.says}; found {found_value(judged, verdict.expected)}",
                remedy=remedy_of(judged, verdict.expected),
            )
            for verdict in judged.failed
        )
        can = all(verdict.expected.is_opinion for verdict in judged.failed)
        record = _refusal(landed, digest, problems, can_be_accepted=can)
        counts = {"n_rows": judged.batch.n_landed, "quarantined": judged.quarantined, "lines": judged.lines()}
        return record.model_copy(update=counts)

    def _publish_page(self, name: str, page: bytes) -> None:
        with whole_file(self.at.data_docs / f"{name}.html") as temporary:
            temporary.write_bytes(page)

    def _move_away(self, landed: Landed, part: str) -> None:
        """Clear the landing zone of what was accepted; a file that was written again meanwhile stays."""
        if current(self.landing, landed.key) == landed:
            self.landing.move(landed.key, f"{PROCESSED}/{part}/{landed.name}")


def _to_let_in(refused: tuple[Refusal, ...], let_in: LetIn) -> tuple[str, str]:
    found = next((refusal for refusal in refused if refusal.batch == let_in.batch), None)
    if found is None:
        known = ", ".join(f"{refusal.batch} ({refusal.key})" for refusal in refused) or "none"
        remedy = f"refused batches that are still there: {known}"
        raise BatchRefused(f"no refused batch {let_in.batch!r} waits in the landing zone", remedy=remedy)
    if not found.can_be_accepted:
        problem = found.problems[0]
        raise BatchRefused(f"{let_in.batch} cannot be let in: {problem.says}", remedy=problem.remedy)
    return found.key, found.version


def _refusal(
    landed: Landed, digest: str | None, problems: tuple[Problem, ...], *, can_be_accepted: bool
) -> Refusal:
    return Refusal(
        batch=batch_id(landed, digest),
        kind=landed.kind,
        key=landed.key,
        version=landed.version,
        size=landed.size,
        arrived_at=landed.modified,
        problems=problems,
        can_be_accepted=can_be_accepted,
    )


def _warnings(judged: Judged) -> tuple[str, ...]:
    n = judged.measured.statistics.near_duplicate_texts
    ignored = (f"column {name} is ignored: {why}" for name, why in sorted(judged.batch.ignored.items()))
    return (*ignored, f"{n:,} long texts nearly repeat another one") if n else tuple(ignored)
