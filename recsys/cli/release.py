"""Commands `publish`, `rollback`, `resume`, `releases`, `collect`, `compact` and `restore`."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.cli.context import (
    console,
    print_json,
    settings,
    state_of_arrivals,
    store,
    store_if_any,
    workspace,
)
from recsys.cli.options import json_option, store_option, who_option
from recsys.errors import OtherModel

if TYPE_CHECKING:
    from recsys.effects.publish import Recorded
    from recsys.publishing.current import Current

SKIPPED = 99


@click.command()
@click.option(
    "--new-encoder", is_flag=True, help="Publish although the model is not that of the current release."
)
@click.option(
    "--skip-code",
    is_flag=True,
    help=f"Exit {SKIPPED} when a release with another model was published meanwhile, or is about to be: the next run "
    "follows it.",
)
@who_option
@store_option
@json_option
def publish(new_encoder: bool, skip_code: bool, who: str, store_url: str | None, as_json: bool) -> None:
    """Make this workspace's profiles, users and index the current release.

    Files are written first, then checked, then the manifest, and last the pointer: readers see the old release or the
    new one. Safe to repeat and to kill. The same content is not published twice. If somebody else published meanwhile,
    their release and this workspace's changes are merged. Under a hold (see rollback) the release is stored, but it
    does not become the current one.
    """
    from recsys.effects.publish import publish as publish_now

    try:
        with console().status("publishing"):
            done = publish_now(
                store(store_url),
                workspace(),
                settings(),
                who,
                os.environ.get("MLFLOW_TRACKING_URI"),
                new_model=new_encoder,
                yields=skip_code,
            )
    except OtherModel as error:
        if not skip_code:
            raise
        console().print(str(error), highlight=False, markup=False)
        raise SystemExit(SKIPPED) from error
    if (state := state_of_arrivals()) is not None:
        from recsys.effects.states import finish_arrival

        finish_arrival(state)
    show_published(done, as_json)


def show_published(recorded: Recorded, as_json: bool) -> None:
    """Print what was published."""
    from rich.markup import escape

    done = recorded.published
    words = {
        "published": "is now the current release",
        "held": "is stored, but not current: releases are on hold until `recsys resume`",
        "unchanged": "has this content already, nothing to do",
    }
    rebased = " (merged with what somebody else published meanwhile)" if done.rebased else ""
    console().print(f"release [bold]{done.release}[/] {words[done.outcome]}{rebased}", highlight=False)
    if recorded.warning:
        console().print(f"[bold yellow]warning:[/] {escape(recorded.warning)}")
    if as_json:
        print_json(
            {
                "release": done.release,
                "outcome": done.outcome,
                "rebased": done.rebased,
                "parts": sorted(done.manifest.parts),
                "segments": len(done.manifest.segments),
                "index_recall": done.manifest.index_recall,
                "index_recall_users": done.users_recall,
                "search_width": done.manifest.search_width,
                "bytes_written": done.bytes_written,
            }
        )


@click.command()
@click.argument("release")
@click.option("--why", required=True, help="The reason; kept with the pointer.")
@who_option
@store_option
@json_option
def rollback(release: str, why: str, who: str, store_url: str | None, as_json: bool) -> None:
    """Point readers to RELEASE, or with `previous` to the one before the current, and put later releases on hold.

    Takes a second and rebuilds nothing. Until `recsys resume`, new releases are built and stored, but readers keep the
    one chosen here. Repeated with the same reason it changes nothing; give another reason to step back further.
    """
    from recsys.effects.rollback import rollback as roll_back

    _show_pointer(roll_back(store(store_url), release, who, why), as_json)


@click.command()
@click.option("--why", default="", help="The reason; for the caller's log.")
@who_option
@store_option
@json_option
def resume(why: str, who: str, store_url: str | None, as_json: bool) -> None:
    """End the hold that `rollback` set: readers get the newest release that was built."""
    from recsys.effects.resume import resume as end_hold

    if why:
        console().print(f"resumed by {who}: {why}", highlight=False, markup=False)
    _show_pointer(end_hold(store(store_url), who), as_json)


@click.command()
@store_option
@json_option
def releases(store_url: str | None, as_json: bool) -> None:
    """List stored releases, newest first: current, held, and those that lost a race."""
    from recsys.publishing.listing import releases as stored

    found = stored(store(store_url))
    if as_json:
        print_json([asdict(one) for one in found])
        return
    from rich.table import Table

    table = Table("release", "", "parts", "item rows", "encoder", "written (UTC)")
    for one in found:
        states = [("current", one.is_current), ("held", one.is_head and not one.is_current)]
        states += [("lost a race", not one.in_line and not one.fault), ("unreadable", bool(one.fault))]
        written = f"{one.written_at:%Y-%m-%d %H:%M:%S}"
        state = ", ".join(word for word, true in states if true)
        table.add_row(one.release, state, str(one.n_parts), str(one.n_items), one.encoder[:10], written)
    console().print(table)
    for one in found:
        if one.fault:
            console().print(one.fault, highlight=False, markup=False)


@click.command()
@store_option
@json_option
def collect(store_url: str | None, as_json: bool) -> None:
    """Delete old releases beyond collect.keep_releases, and files that no kept release needs.

    The current release, and everything younger than collect.grace_s, stays.
    """
    from recsys.effects.collect import collect as collect_now

    done = collect_now(store(store_url), settings().collect)
    console().print(
        f"deleted {len(done.releases)} releases and {done.n_objects} files, {done.n_bytes:,} bytes"
    )
    if as_json:
        print_json(asdict(done))


@click.command()
@click.option("--force", is_flag=True, help="Merge even when there are no more than compact.max_parts parts.")
@json_option
def compact(force: bool, as_json: bool) -> None:
    """Merge many small parts into one per kind; every row keeps its origin.

    Afterwards `dvc repro index users` makes merged segments, with every vector from the cache, and `recsys publish`
    releases them like anything else.
    """
    from recsys.effects.compact import compact as merge
    from recsys.effects.states import changing_data

    with console().status("merging parts"), changing_data(state_of_arrivals(), store_if_any()):
        merged = merge(workspace(), 1 if force else settings().compact.max_parts).merged
    for part in merged:
        console().print(f"{part.kind}: {len(part.arrival.merges)} parts became {part.id}", highlight=False)
    if not merged:
        console().print("nothing to merge")
    if as_json:
        print_json(
            [{"part": part.id, "kind": part.kind, "merges": list(part.arrival.merges)} for part in merged]
        )


@click.command()
@click.argument("release")
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="An empty or new folder; it becomes a workspace. [default: this workspace]",
)
@store_option
def restore(release: str, folder: Path | None, store_url: str | None) -> None:
    """Bring back the data and the features that RELEASE was made of, from the DVC remote.

    Writes data.dvc and dvc.lock as the release recorded them, and pulls what they name.
    """
    from recsys.effects.restore import restore as restore_now

    target = restore_now(store(store_url), release, workspace(), folder)
    console().print(f"data and features of release {release} are in {target}", highlight=False)


def _show_pointer(current: Current, as_json: bool) -> None:
    hold = f"; on hold: {current.hold.why} ({current.hold.who})" if current.hold else "; no hold"
    console().print(f"current release: {current.release}{hold}", highlight=False, markup=False)
    if as_json:
        print_json(current.model_dump(mode="json"))
