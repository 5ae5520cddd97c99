"""Command `compare`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from recsys.cli.context import console, print_json, settings_or_shipped, shown, store
from recsys.cli.options import feedback_option, json_option, store_option

if TYPE_CHECKING:
    from recsys.effects.compare import Comparison, Predicted, Side


@click.command()
@click.argument("a", required=False)
@click.argument("b", required=False)
@feedback_option
@store_option
@json_option
def compare(a: str | None, b: str | None, feedback: str | None, store_url: str | None, as_json: bool) -> None:
    """Compare the clicks of users who got release A with those of users who got release B, in a trial of one of them.

    Default for B: the release of the latest trial. Default for A: the releases that were current during it. The
    interval stays valid however often you look at it.
    """
    from recsys.cli.serve import feedback_url
    from recsys.effects.compare import compare as compare_now
    from recsys.serving.feedback import FeedbackStore

    counted = FeedbackStore.open_existing(feedback_url(feedback))
    found = compare_now(store(store_url), counted, settings_or_shipped().serve, a, b)
    _show(found)
    if as_json:
        print_json(asdict(found))


def _show(found: Comparison) -> None:
    from rich.table import Table

    table = Table("", "A", "B", box=None, padding=(0, 2, 0, 0))
    sides = (found.a, found.b)
    table.add_row("release", *(shown(side.release or "whatever was current") for side in sides))
    table.add_row("users", *(f"{side.n_users:,}" for side in sides))
    table.add_row("lists", *(f"{side.n_lists:,}" for side in sides))
    table.add_row("clicks", *(f"{side.n_clicks:,}" for side in sides))
    table.add_row("click-through", *map(_rate, sides))
    names = sorted({name for side in sides if side.predicted for name in side.predicted.ndcg})
    for name in names:
        table.add_row(f"judged {name}", *(_judged(side.predicted, name) for side in sides))
    table.add_row("the gate was", *(_gate(side.predicted) for side in sides))
    print_line = console().print
    print_line(table)
    print_line(
        f"B minus A: {found.difference:+.4f}, always-valid {1 - found.alpha:.0%} interval "
        f"[{found.low:+.4f}, {found.high:+.4f}]: {found.verdict}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    holdouts = [side.predicted.holdout for side in sides if side.predicted]
    if names and len(set(holdouts)) > 1:
        print_line("the judged figures are of different holdouts, so they do not compare", soft_wrap=True)
    if found.n_moved:
        print_line(
            f"{found.n_moved:,} users were in both groups and count in neither: the share was changed",
            soft_wrap=True,
        )


def _rate(side: Side) -> str:
    return f"{side.click_through:.4f} ± {side.standard_error:.4f}" if side.n_lists else "no list"


def _judged(predicted: Predicted | None, name: str) -> str:
    return f"{predicted.ndcg[name]:.4f}" if predicted and name in predicted.ndcg else "-"


def _gate(predicted: Predicted | None) -> str:
    if predicted is None:
        return "the release is no longer stored"
    return predicted.gate or "not asked"
