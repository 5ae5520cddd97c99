"""Intake: every waiting file in the landing zone is judged and, if it passes, becomes a part. Safe to repeat.

Write boundaries, in order: the plan of what is taken in (var), the staged copy (var), of a batch let in by hand its
record (var), the part's draft (var), the rename into data/ (acceptance), the page (var), the landed file's move to
processed/, the plan's end. Killed between any two, the next run ends with the same bytes; a batch that was not yet
accepted must be let in by hand again.

Where workers share no disk, all moves come last, after what was accepted is stored for the others (`before_moves`).
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

from filelock import FileLock, Timeout

from recsys.artifacts import Artifacts
from recsys.catalogue.compaction import remove_merged
from recsys.catalogue.grouping import Plan, grouped
from recsys.catalogue.isolated_reader import IsolatedReader
from recsys.catalogue.kinds import CATALOGUE, INTERACTIONS
from recsys.catalogue.landing import survey, waiting
from recsys.catalogue.moving import Moves
from recsys.catalogue.outcomes import REFUSED, IngestReport, LetIn, Outcome
from recsys.catalogue.params import IngestParams
from recsys.catalogue.parts import PART_ID, Part
from recsys.catalogue.pending import n_waiting, settle
from recsys.catalogue.pseudonyms import Pseudonyms, require_same_key
from recsys.catalogue.refusals import Refusal, forget_outdated, standing, still_refused
from recsys.catalogue.taking import Intake
from recsys.errors import BatchRefused, StorageError
from recsys.storage.protocol import Storage

LOCK_TIMEOUT_S = 600


def ingest(
    landing: Storage,
    at: Artifacts,
    params: IngestParams,
    key: str,
    on_progress: Callable[[str], None] = lambda _: None,
    let_in: LetIn | None = None,
    needed: tuple[str, ...] = (),
    before_moves: Callable[[], object] | None = None,
) -> IngestReport:
    """Take in everything that waits. One file, whatever it is, does not stop the others.

    Args:
        landing: the landing zone.
        at: the workspace.
        params: limits.
        key: for pseudonyms, at least 16 characters.
        on_progress: called with what is being done.
        let_in: a refused batch to be let in, with who and why.
        needed: `features.fields`; a row is bad if its value there cannot be stored.
        before_moves: called once all is accepted, before any landed file leaves its place: what it raises leaves them
            there. None: each file is moved as soon as it is accepted.

    Returns:
        What became of each file, which refusals still stand, and what was skipped.

    Raises:
        ConfigError: the key is too short, or another than the one of the interactions that are accepted.
        StorageError: the landing zone or the workspace cannot be used, or another intake does not end.
        BatchRefused: the batch to be let in is unknown, or cannot be let in.
    """
    pseudonyms = Pseudonyms(key)
    reader = IsolatedReader(params, key, at.staging / "landed", at.intake_logs / "reader.log", needed)
    with writing(at), reader:
        require_same_key(at.pseudonyms, pseudonyms)
        plan = Plan(at.taking)
        moves = Moves(landing, plan, are_deferred=before_moves is not None)
        moves.finish()
        intake = Intake(landing, at, params, pseudonyms, reader, plan, moves, let_in)
        found = survey(landing)
        forget_outdated(at.refused, found.landed)
        refused = standing(at.refused)
        known = still_refused(refused, params.digest)
        if let_in:
            known.discard(_to_let_in(refused, let_in))
        outcomes: list[Outcome] = []
        for group in grouped(waiting(found.landed, known), params, plan.left()):
            on_progress(
                group[0].shown if len(group) == 1 else f"{len(group):,} files, {group[0].shown} first"
            )
            outcomes += intake.take_in(group)
        if settle(at, *_parts(intake), params.max_pending_days, datetime.now(UTC)):
            remove_merged(at.data)
            intake.accepted.read_again()
        if before_moves is not None:
            before_moves()
            notes = moves.make_deferred()
            outcomes = [replace(one, warnings=(*one.warnings, *notes.get(one.key, ()))) for one in outcomes]
        taken = {one.key for one in outcomes if one.status != REFUSED}
        forget_outdated(at.refused, [file for file in found.landed if file.shown not in taken])
        still = tuple(refusal for refusal in refused if (refusal.key, refusal.version) in known)
        return IngestReport(tuple(outcomes), still, found.passed_over, n_waiting(*_parts(intake)))


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


def _parts(intake: Intake) -> tuple[list[Part], list[Part]]:
    return intake.accepted.parts(INTERACTIONS), intake.accepted.parts(CATALOGUE)


def _to_let_in(refused: tuple[Refusal, ...], let_in: LetIn) -> tuple[str, str]:
    found = next((refusal for refusal in refused if refusal.batch == let_in.batch), None)
    if found is None:
        known = ", ".join(f"{refusal.batch} ({refusal.key})" for refusal in refused) or "none"
        remedy = f"refused batches that are still there: {known}"
        raise BatchRefused(f"no refused batch {let_in.batch!r} waits in the landing zone", remedy=remedy)
    if not found.can_be_accepted:
        problem = found.problems[0]
        raise BatchRefused(f"{let_in.batch} cannot be let in: {problem.message}", remedy=problem.remedy)
    return found.key, found.version
