"""Command `status`."""

import json
import os
from functools import partial
from typing import Any

import click
from rich.table import Table

from recsys.artifacts import Artifacts
from recsys.cli.context import console, landing, print_json, store, workspace
from recsys.errors import RecsysError


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def status(as_json: bool) -> None:
    """Show where things stand: what has landed, what waits, what readers get, what failed last and what to do."""
    at = workspace()
    found = {
        "workspace": str(at.root),
        "pending": _or_error(partial(_pending, at)),
        "refused": _refused(at),
        "unpublished": _unpublished(at),
        "release": _or_error(_release),
        "last_failure": _last_failure(at),
    }
    if as_json:
        print_json(found)
    else:
        _show(found)


def _pending(at: Artifacts) -> list[dict[str, Any]] | None:
    """Files that the next `ingest` takes in; None where RECSYS_LANDING is not set."""
    if not os.environ.get("RECSYS_LANDING"):
        return None
    from recsys.catalogue.landing import pending
    from recsys.catalogue.refusals import standing

    refused = [(refusal.key, refusal.version) for refusal in standing(at.refused)]
    waiting = pending(landing(), refused)
    return [{"file": file.key, "size": file.size, "modified": file.modified.isoformat()} for file in waiting]


def _refused(at: Artifacts) -> list[dict[str, Any]]:
    """Batches that were stopped and still lie in the landing zone."""
    from recsys.catalogue.refusals import standing

    return [refusal.model_dump(mode="json") for refusal in standing(at.refused)]


def _unpublished(at: Artifacts) -> list[str]:
    """Accepted parts that this workspace has not published yet."""
    from recsys.catalogue.parts import CATALOGUE, INTERACTIONS, list_parts
    from recsys.publishing import published

    known = set(published(at).get("parts", ()))
    parts = (part.id for kind in (CATALOGUE, INTERACTIONS) for part in list_parts(at.data, kind))
    return sorted(part for part in parts if part not in known)


def _release() -> dict[str, Any] | None:
    """The pointer and what it points to; None where RECSYS_STORE is not set or nothing is published."""
    if not os.environ.get("RECSYS_STORE"):
        return None
    from recsys.publishing import ReleaseStore

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
    table = Table(show_header=False, title=found["workspace"])
    table.add_row("landed", _pending_words(found["pending"]))
    table.add_row("refused", "\n".join(_refused_words(record) for record in found["refused"]) or "none")
    table.add_row("accepted, not published", ", ".join(found["unpublished"]) or "none")
    table.add_row("readers get", _release_words(found["release"]))
    table.add_row("last failure", _failure_words(found["last_failure"]))
    console.print(table, markup=False)


def _pending_words(pending: Any) -> str:  # noqa: ANN401
    if pending is None:
        return "RECSYS_LANDING is not set"
    if isinstance(pending, dict):
        return str(pending["error"])
    return "\n".join(f"{one['file']} ({one['size']:,} bytes)" for one in pending) or "nothing"


def _refused_words(record: dict[str, Any]) -> str:
    said = [f"{record['batch']} ({record['key']}): {problem['says']}" for problem in record["problems"]]
    said += [f"  {problem['remedy']}" for problem in record["problems"]]
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
    return f"{name} at {failure.get('at') or failure.get('sent_at')}\n{failure.get('error', '')}\n{failure['remedy']}"
