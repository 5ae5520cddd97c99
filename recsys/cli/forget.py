"""Command `forget`."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from recsys.cli.context import (
    console,
    landing,
    print_json,
    settings,
    shown,
    state_of_arrivals,
    store,
    workspace,
)
from recsys.cli.options import feedback_option, json_option, store_option, who_option

if TYPE_CHECKING:
    from recsys.catalogue.person import Person
    from recsys.catalogue.pseudonyms import Pseudonyms
    from recsys.effects.forget import Forgotten


@click.command()
@click.argument("user", required=False)
@click.option("--pseudonym", metavar="HEX", help="The user's pseudonym, where the raw id is not known.")
@feedback_option
@who_option
@store_option
@json_option
def forget(
    user: str | None,
    pseudonym: str | None,
    feedback: str | None,
    who: str,
    store_url: str | None,
    as_json: bool,
) -> None:
    """Remove everything that USER (a raw id, as it lands) did, and publish a release without it.

    Removed from: the feedback store, the landing zone and its processed files, data/ and its quarantine, what stages
    made, caches, DVC's cache and remote. Then prints which old releases still hold the person; `recsys collect` removes
    those after collect.forget_days. Models that were trained before keep what they learned until the next training.
    Safe to repeat. Needs RECSYS_PSEUDONYM_KEY, as ingest does.
    """
    from recsys.catalogue.pseudonyms import Pseudonyms, pseudonym_key
    from recsys.effects.forget import Publishing, Where
    from recsys.effects.forget import forget as forget_now
    from recsys.effects.states import changing_data

    names = Pseudonyms(pseudonym_key())
    releases = store(store_url) if store_url or os.environ.get("RECSYS_STORE") else None
    state = state_of_arrivals()
    with console().status("forgetting") as status, changing_data(state, releases):
        done = forget_now(
            _person(user, pseudonym, names),
            Where(workspace(), landing(), releases, _feedback_url(feedback), state),
            settings(),
            names,
            Publishing(who, os.environ.get("MLFLOW_TRACKING_URI")),
            status.update,
        )
    _show(done)
    if as_json:
        print_json(asdict(done))


def _person(user: str | None, pseudonym: str | None, names: Pseudonyms) -> Person:
    from recsys.catalogue.person import Person
    from recsys.catalogue.pseudonyms import PSEUDONYM_FORM
    from recsys.serving.arguments import id_text

    if pseudonym is not None and user is None:
        if not PSEUDONYM_FORM.fullmatch(pseudonym):
            raise click.UsageError("a pseudonym has 32 hex digits")
        return Person(pseudonym)
    if user is None or pseudonym is not None:
        raise click.UsageError("give USER or --pseudonym, one of the two")
    raw = id_text(user, "user_id")
    return Person(names.of(raw), raw)


def _show(done: Forgotten) -> None:
    from rich.text import Text

    show = console().print
    show(f"removed {done.n_feedback:,} events of feedback and {done.n_rows:,} rows of interactions")
    for title, names in (("landed", done.landed), ("part", done.parts), ("made", done.made)):
        for name in names:
            show(Text(f"  {title}: ") + shown(name))
    if done.n_dvc_objects:
        show(f"removed {done.n_dvc_objects:,} contents from DVC's cache and remote")
    if done.release:
        show(f"release [bold]{done.release}[/] is without the person", highlight=False)
    if done.gone_by:
        show(
            f"these releases hold the person, `recsys collect` removes them from {done.gone_by:%Y-%m-%d} on:"
        )
        for release in done.old_releases:
            show(f"  {release}", highlight=False)
    for sentence in done.left:
        show(Text("left: ", "bold yellow") + shown(sentence))


def _feedback_url(given: str | None) -> str | None:
    """The feedback store as `recsys serve` finds it; None where there is none."""
    path = workspace().root / "feedback.sqlite"
    return given or os.environ.get("RECSYS_FEEDBACK") or (f"sqlite:///{path}" if path.is_file() else None)
