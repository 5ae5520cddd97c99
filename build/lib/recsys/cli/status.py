"""Command `status`."""

from __future__ import annotations

import json
import os
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from recsys.artifacts import Artifacts
from recsys.cli.context import console, landing, print_json, printable, shown, store, workspace
from recsys.errors import RecsysError

if TYPE_CHECKING:
    from recsys.catalogue.parts import Part

MAX_NOTES = 10
"""Of one part."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def status(as_json: bool) -> None:
    """Show where things stand: what has landed, what waits, what readers get, what failed last and what to do."""
    at = workspace()
    landed = _or_error(partial(_landed, at))
    unpublished = _unpublished(at)
    is_known = landed is not None and "pending" in landed
    found = {
        "workspace": str(at.root),
        "pending": landed["pending"] if is_known else landed,
        "skipped": landed["skipped"] if is_known else [],
        "refused": _refused(at),
        "unpublished": [part.id for part in unpublished],
        "pending_interactions": _n_waiting(at),
        "accepted": [_of_accepted(part) for part in unpublished],
        "release": _or_error(_release),
        "last_failure": _last_failure(at),
    }
    if as_json:
        print_json(found)
    else:
        _show(found)


def _landed(at: Artifacts) -> dict[str, Any] | None:
    """Files that the next `ingest` takes in, and what is passed over; None where RECSYS_LANDING is not set."""
    if not os.environ.get("RECSYS_LANDING"):
        return None
    from recsys.catalogue.landing import survey, waiting
    from recsys.catalogue.refusals import standing

    refused = [(refusal.key, refusal.version) for refusal in standing(at.refused)]
    found = survey(landing())
    files = waiting(found.landed, refused)
    return {
        "pending": [
            {"file": file.shown, "size": file.size, "modified": file.modified.isoformat()} for file in files
        ],
        "skipped": [{"file": one.key, "why": one.why} for one in found.passed_over],
    }


def _refused(at: Artifacts) -> list[dict[str, Any]]:
    """Batches that were stopped and still lie in the landing zone."""
    from recsys.catalogue.refusals import standing

    return [refusal.model_dump(mode="json") for refusal in standing(at.refused)]


def _unpublished(at: Artifacts) -> list[Part]:
    """Accepted parts that this workspace has not published yet."""
    from recsys.catalogue.parts import CATALOGUE, INTERACTIONS, list_parts
    from recsys.publishing.publish import published

    known = set(published(at).get("parts", ()))
    parts = [part for kind in (CATALOGUE, INTERACTIONS) for part in list_parts(at.data, kind)]
    return sorted((part for part in parts if part.id not in known), key=lambda part: part.id)


def _n_waiting(at: Artifacts) -> int:
    """Accepted interactions whose items the catalogue does not hold yet."""
    from recsys.catalogue.parts import CATALOGUE, INTERACTIONS, list_parts
    from recsys.catalogue.pending import n_waiting

    return n_waiting(list_parts(at.data, INTERACTIONS), list_parts(at.data, CATALOGUE))


def _of_accepted(part: Part) -> dict[str, Any]:
    """What a part holds and what there is to say about it: rows that lost, wait or are in quarantine."""
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


def _release() -> dict[str, Any] | None:
    """The pointer and what it points to; None where RECSYS_STORE is not set or nothing is published."""
    if not os.environ.get("RECSYS_STORE"):
        return None
    from recsys.publishing.store import ReleaseStore

    releases = ReleaseStore(store())
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
    return pointer.current.model_dump(mode="json") | counts


def _last_failure(at: Artifacts) -> dict[str, Any] | None:
    note = at.var / "last_failure.json"
    if not note.is_file():
        return None
    found: dict[str, Any] = json.loads(note.read_text("utf-8"))
    return found


def _or_error(ask: Any) -> Any:  # noqa: ANN401  whatever `ask` answers
    """One place that is out of reach must not hide the others."""
    try:
        return ask()
    except RecsysError as error:
        return {"error": str(error)}


def _show(found: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    rows = {
        "landed": _pending_words(found["pending"]),
        "skipped": "\n".join(f"{printable(one['file'])} {one['why']}" for one in found["skipped"])
        or "nothing",
        "refused": "\n".join(_refused_words(record) for record in found["refused"]) or "none",
        "accepted, not published": "\n".join(_accepted_words(one) for one in found["accepted"]) or "none",
        "interactions without their item": f"{found['pending_interactions']:,}",
        "readers get": _release_words(found["release"]),
        "last failure": _failure_words(found["last_failure"]),
    }
    table = Table(show_header=False, title=shown(found["workspace"]))
    for name, words in rows.items():
        table.add_row(name, Text(printable(words, keep="\n"), overflow="fold"))
    console().print(table)


def _pending_words(pending: Any) -> str:  # noqa: ANN401
    if pending is None:
        return "RECSYS_LANDING is not set"
    if isinstance(pending, dict):
        return str(pending["error"])
    return "\n".join(f"{printable(one['file'])} ({one['size']:,} bytes)" for one in pending) or "nothing"


def _accepted_words(part: dict[str, Any]) -> str:
    counts = [
        f"{part[name]:,} {name}" for name in ("rows", "quarantined", "superseded", "pending") if part[name]
    ]
    said = [f"{part['part']} ({part['source']}): {', '.join(counts) or 'no rows'}"]
    return "\n".join([*said, *(f"  {note}" for note in part["notes"])])


def _refused_words(record: dict[str, Any]) -> str:
    from recsys.catalogue.refusals import Reason
    from recsys.cli.intake import reason_words

    said = [f"{record['batch']} ({printable(record['key'])}): {one['says']}" for one in record["problems"]]
    said += [f"  {one['remedy']}" for one in record["problems"]]
    for one in record["reasons"]:
        said += [f"  {reason_words(Reason.model_validate(one))}", f"    {one['remedy']}"]
    said += [f"  {note}" for note in record["notes"]]
    if record["can_be_accepted"]:
        said.append(f"  or let it in: recsys ingest --accept {record['batch']} --why …")
    return "\n".join(said)


def _release_words(release: Any) -> str:  # noqa: ANN401
    if release is None:
        return "nothing published, or RECSYS_STORE is not set"
    if "error" in release:
        return str(release["error"])
    words = f"{release['release']} since {release['published_at']} by {release['by']}"
    if hold := release["hold"]:
        words += f"\non hold: {hold['why']} ({hold['who']}); {hold['head']} waits for `recsys resume`"
    return words


def _failure_words(failure: dict[str, Any] | None) -> str:
    if failure is None:
        return "none"
    name = ", ".join(str(failure[key]) for key in ("dag", "task", "run") if failure.get(key))
    at = failure.get("at") or failure.get("sent_at")
    return f"{name} at {at}\n{failure.get('error', '')}\n{failure['remedy']}"
