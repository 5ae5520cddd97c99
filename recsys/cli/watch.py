"""Commands `watch` and `wake-training`."""

from __future__ import annotations

import json
import os

import click

from recsys.cli.context import console, print_json, settings, shown, state_storage, store, workspace
from recsys.cli.options import json_option, store_option
from recsys.cli.release import SKIPPED


@click.command()
@click.option(
    "--if-new",
    is_flag=True,
    help=f"Only if something arrived or was published since the last time; otherwise exit {SKIPPED}.",
)
@store_option
@json_option
def watch(if_new: bool, store_url: str | None, as_json: bool) -> None:
    """Compare the newest arrivals and releases with earlier ones; write a page and report what changed.

    Runs stage `monitor`. Writes var/watch/page.html, and metrics where `monitor.metrics_file` says. A new alarm goes to
    RECSYS_ALERT_URL, signed with RECSYS_ALERT_KEY. It stops nothing and changes nothing that is published.
    """
    from recsys.effects.watch import remembering
    from recsys.effects.watch import watch as look
    from recsys.stages import stage

    at, chosen = workspace(), settings()
    storage = store(store_url) if store_url or os.environ.get("RECSYS_STORE") else None
    with remembering(state_storage(), at, storage):
        report = look(at, chosen.monitor, storage, lambda: stage("monitor")(chosen, at), if_new=if_new)
    if report is None:
        console().print(
            "nothing new to look at" if if_new else "nothing has profiles yet: dvc repro profiles@champion"
        )
        raise SystemExit(SKIPPED)
    for table in report.tables:
        console().print(f"{table.table}: {table.sentence()}", highlight=False, markup=False, soft_wrap=True)
    console().print(f"page: {shown(at.watch / 'page.html')}", highlight=False, markup=False, soft_wrap=True)
    if as_json:
        print_json(json.loads(report.model_dump_json()))


@click.command("wake-training")
def wake_training() -> None:
    """Check whether an alarm of a signal in `monitor.train_on` should start a training; exit 99 if not.

    Airflow starts `train_challenger` if this succeeds. Each alarm starts one training. A run of Airflow that was killed
    and repeats the command under the same RECSYS_WHO gets the same answer again.
    """
    from recsys.effects.wake_training import wake_training as answer
    from recsys.effects.watch import remembering

    with remembering(state_storage(), workspace()):
        found = answer(workspace(), os.environ.get("RECSYS_WHO", ""))
    console().print(
        f"moved: {'; '.join(found) or 'nothing that should start a training'}",
        highlight=False, markup=False, soft_wrap=True,
    )  # fmt: skip
    if not found:
        raise SystemExit(SKIPPED)
