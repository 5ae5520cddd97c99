"""Effect `ingest`: take in what has landed, merge parts where there are many, and tell DVC."""

from collections.abc import Callable
from dataclasses import dataclass

from recsys.artifacts import Artifacts
from recsys.catalogue.compaction import compact_above
from recsys.catalogue.ingest import ingest as take_in
from recsys.catalogue.ingest import writing
from recsys.catalogue.misplaced import misplaced
from recsys.catalogue.outcomes import IngestReport, LetIn
from recsys.catalogue.parts import Part
from recsys.catalogue.tracking import is_published, track
from recsys.settings import Settings
from recsys.storage.protocol import Storage


@dataclass(frozen=True)
class Ingested:
    """What became of the landing zone's files, and of data/."""

    report: IngestReport
    merged: tuple[Part, ...]
    """Parts that were made of many small ones."""
    misplaced: tuple[str, ...]
    """Sentences about what lies in the landing zone where nothing looks."""
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
) -> Ingested:
    """Take in what has landed. Safe to repeat and to kill: every file is taken in once.

    Args:
        zone: the landing zone.
        at: the workspace.
        chosen: its settings.
        key: makes pseudonyms of user ids.
        report_progress: gets a few words at each step.
        let_in: a refused batch that a person lets in.

    Returns:
        What became of it.

    Raises:
        StorageError: the landing zone is out of reach, or DVC refused.
        ConfigError: the key is another one than before.
    """
    strays = tuple(misplaced(zone.top()))  # first: whatever fails after intake hides what became of the files
    report = take_in(
        zone,
        at,
        chosen.ingest,
        key,
        lambda file: report_progress(f"judging {file}"),
        let_in,
        chosen.features.fields,
    )
    report_progress("merging parts, where there are many")
    merged = compact(at, chosen.compact.max_parts)
    report_progress("telling DVC")
    is_tracked = track(at)
    return Ingested(report, merged, strays, is_tracked, is_published(at))


def compact(at: Artifacts, max_parts: int) -> tuple[Part, ...]:
    """Merge each kind that has more parts; merged parts are deleted, also those that a killed run left.

    Args:
        at: the workspace.
        max_parts: of one kind.

    Returns:
        The parts that were made.
    """
    with writing(at):
        return tuple(compact_above(at.data, at.staging, max_parts))
