"""Effect `compact`: merge many small parts of data/ into one of each kind, and bring data.dvc up to date."""

from dataclasses import dataclass

from recsys.artifacts import Artifacts
from recsys.catalogue.compaction import compact_above
from recsys.catalogue.ingest import writing
from recsys.catalogue.parts import Part
from recsys.catalogue.tracking import track


@dataclass(frozen=True)
class Compacted:
    """What was merged."""

    merged: tuple[Part, ...]
    """New parts, each in place of several."""
    is_tracked: bool
    """False where the workspace has no DVC."""


def compact(at: Artifacts, max_parts: int) -> Compacted:
    """Merge each kind that has more than `max_parts` parts. Merged parts are deleted, also those that a kill left over.

    Args:
        at: the workspace.
        max_parts: of one kind that may stay.

    Returns:
        The new parts, and whether DVC tracks them.

    Raises:
        RecsysError: a part is damaged; names the file.
        StorageError: another writer does not end, or DVC refused.
    """
    with writing(at):
        merged = tuple(compact_above(at.data, at.staging, max_parts))
    return Compacted(merged, track(at))
