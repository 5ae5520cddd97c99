"""Effect `ingest`: take in landed files, merge parts where there are many, and bring data.dvc up to date."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from recsys.artifacts import Artifacts
from recsys.catalogue.feedback import meaning_of
from recsys.catalogue.ingest import ingest as take_in
from recsys.catalogue.kinds import INTERACTIONS
from recsys.catalogue.misplaced import misplaced
from recsys.catalogue.outcomes import ACCEPTED, IngestReport, LetIn
from recsys.catalogue.params import FeedbackParams
from recsys.catalogue.parts import Part, list_parts
from recsys.catalogue.tracking import is_published
from recsys.effects.compact import compact
from recsys.settings import Settings
from recsys.storage.protocol import Storage

if TYPE_CHECKING:
    from recsys.state.sync import Sync


@dataclass(frozen=True)
class Ingested:
    """What happened to the landed files, and to data/."""

    report: IngestReport
    merged: tuple[Part, ...]
    """Parts that were made of many small ones."""
    misplaced: tuple[str, ...]
    """Sentences about files outside the folders that `ingest` reads."""
    events: tuple[str, ...]
    """What the events of each new part of interactions count as, a sentence for each part."""
    is_tracked: bool
    """False where the workspace has no DVC."""
    is_published: bool
    """Whether the last release holds exactly what is accepted now."""


def ingest(
    zone: Storage,
    at: Artifacts,
    chosen: Settings,
    key: str,
    report_progress: Callable[[str], None],
    let_in: LetIn | None = None,
    *,
    state: "Sync | None" = None,
    store: Storage | None = None,
) -> Ingested:
    """Take in landed files. Safe to repeat and to kill: every file is taken in once, on whatever worker.

    Args:
        zone: the landing zone.
        at: the workspace.
        chosen: its settings.
        key: makes pseudonyms of user ids.
        report_progress: gets a few words at each step.
        let_in: a refused batch that a person lets in.
        state: of arrivals, where workers share no disk: it is brought first, and what was accepted is stored before
            any landed file is moved away. None: they do.
        store: where releases live; only read to bring a state.

    Returns:
        What happened to each file, and to data/.

    Raises:
        StorageError: the landing zone is out of reach, or DVC refused.
        StateMoved: another worker has taken in files meanwhile; what landed is still there.
        ConfigError: the key differs from the one of the first ingest.
    """
    before_moves = None
    if state is not None:
        from recsys.effects.states import bring_arrivals, keep_arrivals

        report_progress("bringing what other workers have accepted")
        bring_arrivals(state, store)
        before_moves = partial(keep_arrivals, state)
    strays = tuple(misplaced(zone.top()))  # first: a failure after intake would hide the report
    report = take_in(
        zone,
        at,
        chosen.ingest,
        key,
        lambda file: report_progress(f"judging {file}"),
        let_in,
        chosen.features.fields,
        before_moves,
    )
    events = _events(at, report, chosen.feedback)
    report_progress("merging parts and bringing data.dvc up to date")
    compacted = compact(at, chosen.compact.max_parts)
    return Ingested(report, compacted.merged, strays, events, compacted.is_tracked, is_published(at))


def _events(at: Artifacts, report: IngestReport, params: FeedbackParams) -> tuple[str, ...]:
    """Sentences about new parts of interactions. Many small files that waited together are one part."""
    new = {one.part for one in report.outcomes if (one.kind, one.status) == (INTERACTIONS, ACCEPTED)}
    return tuple(
        f"{part.id} counts as {meaning_of(part.groups(['event', 'value']), params)} "
        "(section feedback of params.yaml)"
        for part in (list_parts(at.data, INTERACTIONS) if new else ())
        if not new.isdisjoint(record.part for record in part.arrival.landed())
    )
