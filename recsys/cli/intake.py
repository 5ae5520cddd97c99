"""Commands `ingest` and `quarantine`."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from recsys.cli.context import (
    console,
    landing,
    print_json,
    settings,
    shown,
    state_of_arrivals,
    store_if_any,
    workspace,
)
from recsys.cli.options import json_option, who_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recsys.catalogue.outcomes import IngestReport, Outcome
    from recsys.catalogue.refusals import Reason

NOTHING_NEW = 99
MAX_FILES_SHOWN = 40


@click.command()
@click.option("--accept", metavar="BATCH", help="Accept a refused batch; the refusal shows its id.")
@click.option("--why", metavar="TEXT", help="Why BATCH is acceptable; recorded with who accepts it.")
@who_option
@click.option(
    "--skip-code", is_flag=True, help=f"Exit {NOTHING_NEW} when nothing is new and everything is published."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result for each file as JSON.")
def ingest(accept: str | None, why: str | None, who: str, skip_code: bool, as_json: bool) -> None:
    """Accept landed files: good rows become a part, bad rows are quarantined, a bad file is refused and not moved.

    Reads RECSYS_LANDING (a folder or s3://bucket/prefix) and RECSYS_PSEUDONYM_KEY. Its folders, and the columns of
    their files (docs/landing.md has all of them):

    \b
      catalogue/     item_id, title, description, tags: what the items are
      interactions/  user_id, item_id, event, timestamp: what users did
      relations/     head, relation, tail: facts about items, such as 42, director, Michael Mann
      vectors/       item_id, view, vector, source: vectors of any model, such as audio embeddings
      impressions/   user_id, item_id, timestamp: who was shown what

    Safe to repeat. A refused batch does not fail the command; it is shown, and waits until its file is written again
    or until `recsys ingest --accept BATCH --why TEXT`.
    """  # noqa: D301  the escape keeps click from filling the lines after it
    if bool(accept) != bool(why and why.strip()):
        raise click.UsageError("--accept BATCH and --why TEXT belong together")
    from recsys.catalogue.arrival import AcceptedBy
    from recsys.catalogue.outcomes import LetIn
    from recsys.catalogue.pseudonyms import VARIABLE, pseudonym_key, trimmed
    from recsys.effects.ingest import ingest as take_in

    at, zone, key, chosen = workspace(), landing(), pseudonym_key(), settings()
    if trimmed(os.environ[VARIABLE]) != os.environ[VARIABLE]:
        _print(f"blanks or line ends around {VARIABLE} are left out", "yellow")
    let_in = LetIn(accept, AcceptedBy(who=who, why=why)) if accept and why else None
    with console().status("looking at the landing zone") as status:
        done = take_in(
            zone,
            at,
            chosen,
            key,
            lambda step: status.update(shown(step)),
            let_in,
            state=state_of_arrivals(),
            store=store_if_any(),
        )
    if as_json:
        report = dataclasses.asdict(done.report)
        of_data = {"tracked": done.is_tracked, "merged": [part.id for part in done.merged]}
        print_json(report | of_data | {"events": done.events})
    _show(done.report)
    for part in done.merged:
        console().print(
            f"{part.kind}: {len(part.arrival.merges)} parts became {part.id} (above compact.max_parts)"
        )
    for sentence in done.events:
        _print(sentence)
    for sentence in done.misplaced:
        _print(sentence, "yellow")
    if not done.is_tracked:
        console().print(
            "data/ is not tracked: no DVC in this workspace (`dvc init` starts it)", style="yellow"
        )
    if skip_code and not done.report.accepted and done.is_published:
        raise SystemExit(NOTHING_NEW)


def _show(report: IngestReport) -> None:
    """Tables for people, on standard error."""
    if report.outcomes:
        _show_table(report.outcomes)
    else:
        console().print("nothing new has landed")
    noteworthy = [one for one in report.outcomes if one.problems or one.reasons or one.notes or one.warnings]
    for outcome in noteworthy[:MAX_FILES_SHOWN]:
        _show_outcome(outcome)
    if len(noteworthy) > MAX_FILES_SHOWN:
        _print(
            f"{len(noteworthy) - MAX_FILES_SHOWN:,} more files have problems or notes: see `recsys ingest --json`"
        )
    for refusal in report.still_refused[:MAX_FILES_SHOWN]:
        message = refusal.problems[0].message if refusal.problems else ""
        _print(f"still refused: {refusal.batch} {message}", "red")
        for problem in refusal.problems[:1]:
            _print(f"  remedy: {problem.remedy}")
    if report.pending:
        waiting = "interaction waits" if report.pending == 1 else "interactions wait"
        console().print(f"{report.pending:,} {waiting} for items that the catalogue does not hold yet")
    for one in report.skipped:
        _print(f"skipped: {one.key} {one.why}", "yellow")


def _show_table(outcomes: Sequence[Outcome]) -> None:
    """Show the result for each file. If there are very many, show the first ones and counts by result."""
    from rich.table import Table
    from rich.text import Text

    table = Table("file", "result", "rows", "superseded", "pending", "quarantined", title="ingest")
    for outcome in outcomes[:MAX_FILES_SHOWN]:
        style = {"accepted": "green", "refused": "bold red"}.get(outcome.status, "yellow")
        became = f"{outcome.status} {outcome.part or outcome.batch}"
        reasons = ", ".join(f"{reason} {n:,}" for reason, n in outcome.quarantined.items())
        table.add_row(
            shown(outcome.key),
            Text(became, style),
            f"{outcome.n_rows:,}",
            f"{outcome.superseded:,}",
            f"{outcome.pending:,}",
            reasons or "none",
        )
    console().print(table)
    if len(outcomes) > MAX_FILES_SHOWN:
        counts = Counter(outcome.status for outcome in outcomes)
        console().print("in all: " + ", ".join(f"{n:,} {status}" for status, n in sorted(counts.items())))


def _show_outcome(outcome: Outcome) -> None:
    """Show why rows or the whole file were left out, and what to do."""
    for problem in outcome.problems:
        _print(f"REFUSED {outcome.batch} {problem.message}", "bold red")
        _print(f"  remedy: {problem.remedy}")
    for note in (*outcome.warnings, *outcome.notes):
        _print(f"{outcome.key}: {note}", "yellow")
    for reason in outcome.reasons:
        _print(f"{outcome.key}: {reason_words(reason)}", "yellow")
        _print(f"  remedy: {reason.remedy}")


def _print(text: str, style: str = "") -> None:
    """Print a line for people. Names and values in it are shown as they are, never read as markup."""
    console().print(shown(text), style=style)


def reason_words(reason: Reason) -> str:
    """One reason why rows are in quarantine: how many, the first lines, the detail of the first.

    Args:
        reason: as intake found it.

    Returns:
        One line of text.
    """
    rows = "row" if reason.n_rows == 1 else "rows"
    return f"{reason.n_rows:,} {rows} {reason.reason}, line {reason.shown_lines}: {reason.detail}"


@click.group()
def quarantine() -> None:
    """Inspect quarantined rows, and land them again."""


@quarantine.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Count quarantined rows per part and reason."""
    from recsys.catalogue.quarantine import quarantined_counts

    counts = quarantined_counts(workspace().data)
    if as_json:
        print_json([dataclasses.asdict(count) for count in counts])
        return
    from rich.table import Table

    table = Table("part", "kind", "file", "reason", "rows")
    for count in counts:
        table.add_row(count.part, count.kind, shown(count.source), count.reason, f"{count.n_rows:,}")
    console().print(table if counts else "no row is in quarantine")


@quarantine.command()
@click.argument("part")
@click.option("--reason", help="Only rows with this reason.")
@json_option
def show(part: str, reason: str | None, as_json: bool) -> None:
    """Show the quarantined rows of PART with reason and source line."""
    from recsys.catalogue.quarantine import quarantined_rows

    rows: list[dict[str, Any]] = quarantined_rows(workspace().data, part, reason)
    if as_json:
        print_json(rows)
        return
    from rich.table import Table

    table = Table("line", "reason", "detail", "row")
    for row in rows:
        text = row["row"] if len(row["row"]) <= 200 else f"{row['row'][:200]} …"
        table.add_row(str(row["line"]), row["reason"], shown(row["detail"]), shown(text))
    console().print(table)


@quarantine.command()
@click.argument("part")
@click.option("--reason", help="Only rows with this reason.")
@json_option
def retry(part: str, reason: str | None, as_json: bool) -> None:
    """Land the quarantined rows of PART again, such as interactions whose items were unknown; then run `ingest`."""
    from recsys.catalogue.pseudonyms import pseudonym_key
    from recsys.effects.quarantine_retry import quarantine_retry

    landed = quarantine_retry(landing(), workspace(), part, reason, pseudonym_key())
    if as_json:
        print_json(dataclasses.asdict(landed))
        return
    console().print(f"{landed.n_rows:,} rows landed as {landed.key}; `recsys ingest` looks at them again")
    if landed.n_lost:
        console().print(
            f"{landed.n_lost:,} rows could not be read at all: correct them in their source", style="yellow"
        )
