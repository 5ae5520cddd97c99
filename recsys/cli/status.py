"""Command `status`."""

from __future__ import annotations

import os
from typing import Any

import click

from recsys.cli.context import console, print_json, printable, shown, workspace
from recsys.cli.options import json_option
from recsys.importing import without_pandas


@click.command()
@json_option
def status(as_json: bool) -> None:
    """Show the state: landed files, pending rows, the current release, the last failure and what to do about it."""
    with without_pandas():
        from recsys.effects.status import status as find_status

        found = find_status(workspace(), os.environ.get("RECSYS_LANDING"), os.environ.get("RECSYS_STORE"))
    if as_json:
        print_json(found)
    else:
        _show(found)


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
        "current release": _release_words(found["release"]),
        "watched": _watched_words(found["watched"]),
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
    lines = [f"{part['part']} ({part['source']}): {', '.join(counts) or 'no rows'}"]
    return "\n".join([*lines, *(f"  {note}" for note in part["notes"])])


def _refused_words(record: dict[str, Any]) -> str:
    from recsys.catalogue.refusals import Reason
    from recsys.cli.intake import reason_words

    lines = [
        f"{record['batch']} ({printable(record['key'])}): {one['message']}" for one in record["problems"]
    ]
    lines += [f"  {one['remedy']}" for one in record["problems"]]
    for one in record["reasons"]:
        lines += [f"  {reason_words(Reason.model_validate(one))}", f"    {one['remedy']}"]
    lines += [f"  {note}" for note in record["notes"]]
    if record["can_be_accepted"]:
        lines.append(f"  or accept it: recsys ingest --accept {record['batch']} --why …")
    return "\n".join(lines)


def _release_words(release: Any) -> str:  # noqa: ANN401
    if release is None:
        return "nothing published, or RECSYS_STORE is not set"
    if "error" in release:
        return str(release["error"])
    words = f"{release['release']} since {release['published_at']} by {release['by']}"
    if hold := release["hold"]:
        words += f"\non hold: {hold['why']} ({hold['who']}); {hold['head']} waits for `recsys resume`"
    if privacy := release["privacy"]:
        words += (
            f"\nnoise in what all users share: ε = {privacy['epsilon']:g} at δ = {privacy['delta']:g}; "
            f"ε = {privacy['epsilon_so_far']:.2g} after {privacy['n_publications']} publications"
        )
    return words


def _watched_words(watched: dict[str, str]) -> str:
    return "\n".join(f"{table}: {words}" for table, words in watched.items()) or "never; run recsys watch"


def _failure_words(failure: dict[str, Any] | None) -> str:
    if failure is None:
        return "none"
    name = ", ".join(str(failure[key]) for key in ("dag", "task", "run") if failure.get(key))
    at = failure.get("at") or failure.get("sent_at")
    return f"{name} at {at}\n{failure.get('error', '')}\n{failure['remedy']}"
