"""Commands `fetch-champion`, `register`, `promote` and `ledger`."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from recsys.cli.context import console, print_json, registry_address, settings, store, workspace
from recsys.cli.options import json_option, who_option
from recsys.errors import GateClosed

if TYPE_CHECKING:
    from recsys.registry.changes import Changed

GATE_CLOSED = 99
MAX_WHY = 2000
"""Characters of a reason."""


@click.command("fetch-champion")
@click.option(
    "--published",
    is_flag=True,
    help="Fetch the model of the newest release instead, whatever the alias says; needs a store.",
)
@click.option(
    "--verdict",
    is_flag=True,
    help="Also fetch the gate's decision about it; `publish` stores it with the release.",
)
@click.option(
    "--profiles",
    "with_profiles",
    is_flag=True,
    help="Also fetch the published profiles if encoder and head are theirs: a new ranker or λ then computes none.",
)
@click.option(
    "--again",
    is_flag=True,
    help="Make first light anew from today's catalogue; only while nothing has been trained.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the model's reference as JSON.")
def fetch_champion(published: bool, verdict: bool, with_profiles: bool, again: bool, as_json: bool) -> None:
    """Fetch the champion, the model behind the published profiles and lists, into this workspace.

    With MLFLOW_TRACKING_URI set, the champion is the version with the alias `champion`. If no version exists yet, a
    first one is made and registered (first light): the pretrained encoder of params.yaml, combined with the words of
    the catalogue's texts (section `first_light`). If MLflow is down, the champion fetched last is used. Without
    MLFLOW_TRACKING_URI the same first model is made here. It stays as it is while the catalogue grows; --again makes it
    anew.

    Arrivals use --published: they switch to a new champion when a release with it is published, not before. Until the
    first release, the option makes no difference.
    """
    if published and verdict:
        raise click.UsageError("--published and --verdict contradict each other: a release keeps its verdict")
    if again and (published or verdict):
        raise click.UsageError("--again makes a model that nobody has judged or published yet")
    from rich.markup import escape

    from recsys.effects.fetch_champion import fetch_champion as bring

    brought = bring(
        os.environ.get("MLFLOW_TRACKING_URI"),
        workspace(),
        settings(),
        store() if published or with_profiles else None,
        published=published,
        verdict=verdict,
        profiles=with_profiles,
        again=again,
    )
    if brought.warning:
        console().print(f"[bold yellow]warning:[/] {escape(brought.warning)}", highlight=False)
    console().print(brought.how, highlight=False, markup=False)
    if brought.rates:
        console().print(brought.rates, highlight=False, markup=False, soft_wrap=True)
    if brought.has_verdict is not None:
        words = "with the gate's verdict" if brought.has_verdict else "the gate never judged it"
        console().print(words, highlight=False)
    if brought.n_segments is not None:
        console().print(f"{brought.n_segments} segments are the published ones", highlight=False)
    if as_json:
        print_json(brought.model.model_dump(mode="json"))


@click.command()
@who_option
@json_option
def register(who: str, as_json: bool) -> None:
    """Register the challenger as a version with the gate's decision, and give it the alias `challenger`.

    Needs MLFLOW_TRACKING_URI, a challenger from stage `finetune`, and the gate's decision about it. The gate need not
    be open. Safe to repeat: the same model gets no second version.
    """
    from recsys.effects.register import register as keep

    changed = keep(registry_address(), workspace(), who)
    _show(changed, "challenger", as_json)


@click.command()
@click.option(
    "--force", is_flag=True, help="Promote although the gate is closed; on record with --who and --why."
)
@click.option("--why", metavar="TEXT", help="Why you overrule the closed gate.")
@click.option("--dry-run", is_flag=True, help="Only say whether the gate is open; exit 99 when it is closed.")
@who_option
@json_option
def promote(force: bool, why: str | None, dry_run: bool, who: str, as_json: bool) -> None:
    """Make the registry's challenger the champion, if this workspace's gate is open for exactly that model.

    A closed gate is a result, not a fault: the reasons are shown and the exit code is 99. Safe to repeat. Nothing is
    published yet: that follows the alias.
    """
    if force != bool(why and why.strip()):
        raise click.UsageError("--force and --why TEXT belong together")
    if force and dry_run:
        raise click.UsageError("--force and --dry-run contradict each other")
    if why and len(why) > MAX_WHY:
        raise click.UsageError(f"--why has {len(why)} characters, more than {MAX_WHY}")
    from recsys.effects.promote import check_gate
    from recsys.effects.promote import promote as move_alias

    try:
        if dry_run:
            found = check_gate(registry_address(), workspace())
            console().print(f"the gate is open for version {found.version} of {found.model}", highlight=False)
            return
        changed = move_alias(registry_address(), workspace(), who, why if force else None)
    except GateClosed as closed:
        console().print("the gate is closed, the champion stays:", style="yellow")
        console().print(str(closed), highlight=False, markup=False, soft_wrap=True)
        raise SystemExit(GATE_CLOSED) from closed
    _show(changed, "champion", as_json)


@click.command()
@json_option
def ledger(as_json: bool) -> None:
    """Print every change of an alias, oldest first: who, when, why, from which version to which, gated or forced.

    The ledger lies in MLflow beside the model (MLFLOW_TRACKING_URI). An alias that was moved by other means, such as in
    MLflow's page, is noticed now and added as `by hand`.
    """
    from recsys.registry.ledger import entries

    found = entries(registry_address())
    if as_json:
        print_json([asdict(one) for one in found])
        return
    from rich.markup import escape
    from rich.table import Table

    table = Table("", "when (UTC)", "alias", "from", "to", "model", "how", "who", "why")
    for one in found:
        how = one.how if one.state == "done" else f"{one.how}, {one.state}"
        when, model = f"{one.at:%Y-%m-%d %H:%M:%S}", (one.model_hash or "")[:10]
        moved = (one.previous or "–", one.version or "–")
        table.add_row(str(one.n), when, one.alias, *moved, model, how, escape(one.who), escape(one.why))
    console().print(table if found else "no alias has ever been set")


def _show(changed: Changed, alias: str, as_json: bool) -> None:
    version, entry = changed.version, changed.entry
    how = f"is now {alias} ({entry.how})" if entry else f"is {alias} already, nothing to do"
    words = f"version {version.version} of {version.model}, model {version.hash[:10]}, {how}"
    console().print(words, highlight=False, markup=False)
    if as_json:
        print_json(
            {
                "model": version.model,
                "version": version.version,
                "model_hash": version.hash,
                "alias": alias,
                "moved": entry is not None,
                "entry": asdict(entry) if entry else None,
            }
        )
