"""Take in landed files: read each, judge them, accept or refuse, and clear the landing zone of what was accepted."""

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from recsys.artifacts import Artifacts
from recsys.catalogue.accepted import Accepted
from recsys.catalogue.accepting import Admitted, accept, outcome_of
from recsys.catalogue.arrival import AcceptedBy
from recsys.catalogue.batch import Batch
from recsys.catalogue.grouping import Plan
from recsys.catalogue.isolated_reader import IsolatedReader
from recsys.catalogue.judging import Judged, judge_batches, latest_arrivals
from recsys.catalogue.kinds import CATALOGUE, KINDS
from recsys.catalogue.landing import COMPRESSIONS, ENDINGS, PROCESSED, ZIP, Landed, is_current
from recsys.catalogue.moving import Moves, move_of
from recsys.catalogue.outcomes import REPEATED, UNCHANGED, WAITING, LetIn, Outcome, of_refusal
from recsys.catalogue.params import IngestParams
from recsys.catalogue.pseudonyms import Pseudonyms, remember_key
from recsys.catalogue.readers.rows import LandedFile
from recsys.catalogue.refusals import Refusal, batch_id
from recsys.catalogue.refusing import refusal_of_error, refusal_of_judged
from recsys.catalogue.report import Title, batch_page
from recsys.catalogue.unchanged import changes_nothing
from recsys.catalogue.vectors import first_widths
from recsys.errors import BatchRefused, DataDamaged, RecsysError, StorageError, UnreadableFile
from recsys.storage.atomic import whole_file
from recsys.storage.checksums import sha256_of_file
from recsys.storage.protocol import Storage


@dataclass(frozen=True)
class _Read:
    """A landed file that could be read."""

    landed: Landed
    digest: str
    """SHA-256 of its bytes."""
    batch: Batch


class Intake:
    """One run of intake: its workspace, a batch to let in, and everything accepted so far."""

    def __init__(
        self,
        landing: Storage,
        at: Artifacts,
        params: IngestParams,
        pseudonyms: Pseudonyms,
        reader: IsolatedReader,
        plan: Plan,
        moves: Moves,
        let_in: LetIn | None,
    ) -> None:
        self.landing = landing
        self.at = at
        self.params = params
        self.pseudonyms = pseudonyms
        self.reader = reader
        self.plan = plan
        self.moves = moves
        self.let_in = let_in
        self.accepted = Accepted(at.data)

    def take_in(self, group: Sequence[Landed]) -> list[Outcome]:
        """Judge files of one kind, each by itself; those that pass become one part.

        Args:
            group: one file, or small ones that follow each other.

        Returns:
            What became of each.

        Raises:
            StorageError: the landing zone or the workspace cannot be used.
            DataDamaged: a part cannot be read.
        """
        self.plan.begin(group)
        outcomes: dict[Landed, Outcome] = {}
        read: list[_Read] = []
        for landed in group:
            found = self._read(landed)
            if isinstance(found, _Read):
                read.append(found)
            else:
                outcomes[landed] = found
        outcomes |= self._judge(read)
        self.plan.end()
        return [outcomes[landed] for landed in group]

    def _read(self, landed: Landed) -> _Read | Outcome:
        """Fetch and read one file. An error concerns this file only, unless the landing zone is out of reach."""
        digest: str | None = None
        copy = self.at.staging / "landed" / f"batch{landed.ending if landed.is_safe else ''}"
        try:
            self._check_name(landed)
            if not self._fetched(landed, copy):
                return Outcome(landed.shown, landed.kind, WAITING, batch_id(landed, None))
            digest = sha256_of_file(copy)
            if repeated := self._repeated(landed, digest):
                return repeated
            limits = self.params.max_columns, self.params.max_decoded_mb
            names = self.params.column_names.get(landed.kind, {})
            file = LandedFile(copy, landed.key, landed.ending, *limits, names)
            batch = self.reader.read_batch(file, landed.kind, landed.modified)
            return _Read(landed, digest, batch)
        except (BatchRefused, UnreadableFile) as error:
            return self._refuse(refusal_of_error(landed, digest, error))
        except StorageError as error:
            self.landing.find(f"{PROCESSED}/.within-reach")  # raises where the landing zone is the trouble
            return self._unexpected(landed, digest, error)
        except Exception as error:  # a fault of one file, or of a library on it, must not stop the others
            return self._unexpected(landed, digest, error)
        finally:
            copy.unlink(missing_ok=True)

    def _check_name(self, landed: Landed) -> None:
        if not landed.is_safe:
            remedy = "land the file under a plain name: UTF-8, no '..', no backslash, no control characters"
            raise BatchRefused(f"{landed.shown!r} is not a safe name", remedy=remedy)
        if landed.ending not in {*ENDINGS, ZIP}:
            remedy = (
                f"land {', '.join(ENDINGS)}, or one of these with {', '.join(COMPRESSIONS)} behind; export a sheet as "
                "CSV; give a file that is still being written a name ending in .tmp"
            )
            raise BatchRefused(f"{landed.key} ends in {landed.ending or 'nothing'!r}", remedy=remedy)
        if landed.size > self.params.max_file_mb * 2**20:
            size = f"{landed.size / 2**20:,.0f} MB, the limit is {self.params.max_file_mb:,} MB"
            remedy = "split the file, or raise ingest.max_file_mb in params.yaml"
            raise BatchRefused(f"{landed.key} has {size}", remedy=remedy)

    def _fetched(self, landed: Landed, copy: Path) -> bool:
        """Copy the file; False if it changed or disappeared meanwhile."""
        try:
            self.landing.fetch(landed.key, copy)
        except StorageError:
            if is_current(self.landing, landed):
                raise
            return False
        return is_current(self.landing, landed) and copy.stat().st_size == landed.size

    def _repeated(self, landed: Landed, digest: str) -> Outcome | None:
        """The outcome of a file that a killed run accepted but did not move away; None for any other."""
        for part in self.accepted.same_arrival(landed, digest):
            move = move_of(landed, part)
            if self.landing.find(move.to) is None:
                notes = self.moves.make([move])
                batch = batch_id(landed, digest)
                return Outcome(landed.shown, landed.kind, REPEATED, batch, part, warnings=notes.get(move, ()))
        return None

    def _judge(self, read: Sequence[_Read]) -> dict[Landed, Outcome]:
        """Judge what was read. If judging all together fails, judge one by one to find the file at fault."""
        if not read:
            return {}
        try:
            return self._judged(read)
        except (StorageError, DataDamaged):
            raise
        except OSError as error:  # of the workspace: the landing zone's are StorageErrors
            remedy = "check free space and permissions of the workspace, then run `recsys ingest` again"
            raise StorageError(f"the workspace cannot be written: {error}", remedy=remedy) from error
        except Exception as error:
            if len(read) == 1:
                (one,) = read
                return {one.landed: self._unexpected(one.landed, one.digest, error)}
        return {landed: outcome for one in read for landed, outcome in self._judge([one]).items()}

    def _judged(self, read: Sequence[_Read]) -> dict[Landed, Outcome]:
        kind = read[0].landed.kind
        arrivals = self.accepted.arrivals(kind)
        judged = judge_batches(
            [one.batch for one in read],
            self.accepted.parts(CATALOGUE),
            self.accepted.parts(kind),
            latest_arrivals(arrivals, self.params),
            self.params,
            datetime.now(UTC),
            first_widths(arrivals),
        )
        outcomes: dict[Landed, Outcome] = {}
        admitted: list[Admitted] = []
        for one, verdict in zip(read, judged, strict=True):
            by = self._overruled_by(one)
            if any(not (by and failed.expected.can_be_accepted) for failed in verdict.failed):
                outcomes[one.landed] = self._refuse_judged(one, verdict)
            else:
                admitted.append(Admitted(one.landed, one.digest, verdict, by))
        if len(admitted) == 1 and (part := changes_nothing(admitted[0], self.accepted)):
            return outcomes | self._unchanged(admitted[0], part)
        return outcomes | self._accept(admitted) if admitted else outcomes

    def _overruled_by(self, one: _Read) -> AcceptedBy | None:
        if self.let_in and self.let_in.batch == batch_id(one.landed, one.digest):
            return self.let_in.by
        return None

    def _accept(self, admitted: Sequence[Admitted]) -> dict[Landed, Outcome]:
        sequence = self.accepted.next_sequence
        for number, one in enumerate(admitted, sequence):
            if one.by:  # before the part: after it, a kill in between would leave the refusal standing
                let_in = {"accepted_by": one.by, "part": f"{number:06d}-{one.digest[:10]}"}
                record = refusal_of_judged(one.landed, one.digest, one.judged).model_copy(update=let_in)
                record.save(self.at.refused)
        if KINDS[admitted[0].landed.kind].of_people:
            remember_key(self.at.pseudonyms, self.pseudonyms)
        part, page = accept(admitted, sequence, self.at)
        self.accepted.add(part)
        self._publish_page(part.id, page)
        pairs = list(zip(admitted, part.arrival.landed(), strict=True))
        moves = [move_of(one.landed, record.part) for one, record in pairs]
        warnings = self.moves.make(moves)
        return {
            one.landed: outcome_of(one, record, warnings.get(move, ()))
            for (one, record), move in zip(pairs, moves, strict=True)
        }

    def _unchanged(self, one: Admitted, part: str) -> dict[Landed, Outcome]:
        """The outcome of a file that changes nothing. It is moved beside the file that brought the same content."""
        version = sha256(one.landed.version.encode()).hexdigest()[:8]
        move = move_of(one.landed, f"{part}/again-{version}")
        warnings = self.moves.make([move]).get(move, ())
        batch = batch_id(one.landed, one.digest)
        return {
            one.landed: Outcome(one.landed.shown, one.landed.kind, UNCHANGED, batch, part, warnings=warnings)
        }

    def _refuse_judged(self, one: _Read, judged: Judged) -> Outcome:
        record = refusal_of_judged(one.landed, one.digest, judged)
        page = batch_page(Title(f"refused {record.batch}", record.problems), one.landed, judged)
        self._publish_page(f"refused-{record.batch}", page)
        return self._refuse(record)

    def _unexpected(self, landed: Landed, digest: str | None, error: Exception) -> Outcome:
        """Refuse a file after an unexpected error, and write a log."""
        batch = batch_id(landed, digest)
        log = self.at.intake_logs / f"intake-{batch}.log"
        frames = "".join(traceback.format_tb(error.__traceback__))
        # The error's own words may hold a value of a row, hence a person's.
        words = (
            "".join(traceback.format_exception_only(error))
            if KINDS[landed.kind].shows_values
            else type(error).__name__
        )
        with whole_file(log) as temporary:
            temporary.write_text(f"{landed.shown}\n{frames}{words}\n", "utf-8", "backslashreplace")
        if isinstance(error, RecsysError):
            return self._refuse(refusal_of_error(landed, digest, error, is_retried=True))
        where = log.relative_to(self.at.root)
        remedy = f"{where} says where it happened; report it; every run tries the file again, or take it away"
        refused = BatchRefused(f"{landed.shown}: unexpected error {type(error).__name__}", remedy=remedy)
        return self._refuse(refusal_of_error(landed, digest, refused, "unexpected_error", is_retried=True))

    def _refuse(self, record: Refusal) -> Outcome:
        record.model_copy(update={"judged_with": self.params.digest}).save(self.at.refused)
        return of_refusal(record)

    def _publish_page(self, name: str, page: bytes) -> None:
        with whole_file(self.at.data_docs / f"{name}.html") as temporary:
            temporary.write_bytes(page)
