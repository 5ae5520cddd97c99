"""Effect `status`: the state of landing zone, workspace and release store. It changes nothing."""

import json
from functools import partial
from typing import Any

from recsys.artifacts import Artifacts
from recsys.catalogue.kinds import CATALOGUE, INTERACTIONS, KINDS
from recsys.catalogue.landing import survey, waiting
from recsys.catalogue.parts import Part, list_parts
from recsys.catalogue.pending import n_waiting
from recsys.catalogue.refusals import standing, still_refused
from recsys.errors import RecsysError
from recsys.monitoring.report import WatchReport
from recsys.publishing.publish import published
from recsys.publishing.release import Manifest
from recsys.publishing.store import ReleaseStore
from recsys.settings import Settings
from recsys.storage.opening import open_storage

MAX_NOTES = 10
"""Notes that are shown of one part."""


def status(at: Artifacts, landing: str | None, store: str | None) -> dict[str, Any]:
    """Report what has landed, what is waiting, the current release and the last failure.

    Args:
        at: the workspace.
        landing: address of the landing zone, or None.
        store: address of the release store, or None.

    Returns:
        The output of `recsys status --json`. A place that is out of reach is shown as `error`; the others are not lost.
    """
    landed = _or_error(partial(_landed, at, landing))
    unpublished = _unpublished(at)
    is_known = landed is not None and "pending" in landed
    return {
        "workspace": str(at.root),
        "pending": landed["pending"] if is_known else landed,
        "skipped": landed["skipped"] if is_known else [],
        "refused": _refused(at),
        "unpublished": [part.id for part in unpublished],
        "pending_interactions": _n_waiting(at),
        "accepted": [_of_accepted(part) for part in unpublished],
        "release": _or_error(partial(_release, store)),
        "watched": _or_error(partial(_watched, at)),
        "last_failure": _last_failure(at),
    }


def _landed(at: Artifacts, url: str | None) -> dict[str, Any] | None:
    """Files that the next `ingest` takes in, and files that it skips; None without an address."""
    if not url:
        return None
    refused = still_refused(standing(at.refused), Settings.load(at.params).ingest.digest)
    found = survey(open_storage(url))
    files = waiting(found.landed, refused)
    return {
        "pending": [
            {"file": file.shown, "size": file.size, "modified": file.modified.isoformat()} for file in files
        ],
        "skipped": [{"file": one.key, "why": one.why} for one in found.passed_over],
    }


def _refused(at: Artifacts) -> list[dict[str, Any]]:
    """Refused batches that are still in the landing zone."""
    return [refusal.model_dump(mode="json") for refusal in standing(at.refused)]


def _unpublished(at: Artifacts) -> list[Part]:
    """Accepted parts that this workspace has not published yet, of the kinds that releases hold."""
    known = set(published(at).get("parts", ()))
    released = (name for name, kind in KINDS.items() if kind.released)
    parts = [part for name in released for part in list_parts(at.data, name)]
    return sorted((part for part in parts if part.id not in known), key=lambda part: part.id)


def _n_waiting(at: Artifacts) -> int:
    """Accepted interactions whose items the catalogue does not hold yet."""
    return n_waiting(list_parts(at.data, INTERACTIONS), list_parts(at.data, CATALOGUE))


def _of_accepted(part: Part) -> dict[str, Any]:
    """Counts of a part: rows, superseded, waiting and quarantined ones; and notes."""
    landed = part.arrival.landed()
    return {
        "part": part.id,
        "kind": part.kind,
        "source": part.arrival.source,
        "rows": part.arrival.n_rows,
        "quarantined": part.arrival.n_quarantined,
        "superseded": sum(record.n_superseded + record.n_outdated for record in landed),
        "pending": sum(record.n_pending for record in landed),
        "notes": [f"{record.source}: {note}" for record in landed for note in record.notes][:MAX_NOTES],
    }


def _release(url: str | None) -> dict[str, Any] | None:
    """The pointer and what it points to; None without an address or a release."""
    if not url:
        return None
    releases = ReleaseStore(open_storage(url))
    pointer = releases.pointer()
    if pointer is None:
        return None
    manifest = releases.manifest(pointer.current.release)
    rows = sum(segment.n_items for segment in manifest.segments)
    size = sum(file.size for file in manifest.files())
    counts = {
        "segments": len(manifest.segments),
        "item_rows": rows,
        "users": manifest.users.n_users,
        "bytes": size,
    }
    return pointer.current.model_dump(mode="json") | counts | {"privacy": _privacy(manifest)}


def _privacy(manifest: Manifest) -> dict[str, float | None] | None:
    """The bound on what the shared statistics reveal about one user: of this release, and of all so far."""
    privacy = manifest.users.privacy
    if privacy is None or privacy.guarantee is None:
        return None
    return {
        "epsilon": privacy.guarantee.epsilon,
        "delta": privacy.guarantee.delta,
        "n_publications": privacy.n_publications,
        "epsilon_so_far": privacy.epsilon_so_far,
    }


def _last_failure(at: Artifacts) -> dict[str, Any] | None:
    note = at.var / "last_failure.json"
    if not note.is_file():
        return None
    found: dict[str, Any] = json.loads(note.read_text("utf-8"))
    return found


def _watched(at: Artifacts) -> dict[str, str]:
    """Table -> what the last `recsys watch` found about its newest arrival; empty where it never ran."""
    path = at.watch / "report.json"
    return {one.table: one.sentence() for one in WatchReport.load(path).tables} if path.is_file() else {}


def _or_error(look: Any) -> Any:  # noqa: ANN401  whatever `look` returns
    """The result of a call, or its error, so that one place out of reach does not hide the others."""
    try:
        return look()
    except RecsysError as error:
        return {"error": str(error)}
