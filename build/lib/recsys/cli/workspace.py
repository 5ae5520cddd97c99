"""Commands `workspace make`, `workspace finish` and `catch-up`: a run of its own beside the fast loop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from recsys.cli.context import console, print_json, store, workspace
from recsys.cli.due import training_due
from recsys.cli.release import SKIPPED, json_option, publisher_of, show_published, store_option, who_option
from recsys.errors import ConfigError

CHALLENGER = {"finetune": {"roles": ["challenger"]}, "profiles": {"roles": ["champion", "challenger"]}}
"""What a workspace that trains has in its params.yaml."""


@click.group("workspace")
def workspace_() -> None:
    """Make workspaces of their own for one run each, and remove them when they have done their work."""


@workspace_.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--train", is_flag=True, help="For training: with a challenger in finetune.roles and profiles.roles."
)
@click.option("--published", is_flag=True, help="With the data of the newest release instead of that of now.")
@click.option(
    "--finetune",
    metavar="JSON",
    default="{}",
    help="Keys of section finetune for this workspace, as a JSON object.",
)
@click.option(
    "--when-due",
    is_flag=True,
    help=f"Only if `recsys due` says so, and FOLDER is not there yet; otherwise exit {SKIPPED}.",
)
@store_option
def make(
    folder: Path, train: bool, published: bool, finetune: str, when_due: bool, store_url: str | None
) -> None:
    """Make FOLDER a workspace with this one's code and settings, pinned to one version of the data.

    It shares DVC's cache with this one; what lands meanwhile does not reach it. Safe to repeat: a FOLDER that is there
    stays as it was made. A key that params.yaml does not know, or a value out of bounds, is an error before anything
    is made.
    """
    from recsys.workspaces import make_release_workspace, make_workspace

    if published and (train or when_due or _object(finetune)):
        raise click.UsageError("--published goes with none of --train, --when-due and --finetune")
    # What was decided when it was made holds for a task that is tried again or cleared.
    if when_due and not folder.exists() and not training_due(folder.resolve().parent).is_due:
        raise SystemExit(SKIPPED)
    if published:
        made = make_release_workspace(store(store_url), workspace(), folder)
    else:
        changes: dict[str, dict[str, Any]] = {"finetune": _object(finetune)}
        for section, keys in (CHALLENGER if train else {}).items():
            changes[section] = changes.get(section, {}) | keys
        made = make_workspace(workspace(), folder, changes)
    console().print(f"workspace {made.root}", highlight=False, markup=False)


@workspace_.command()
@click.option(
    "--keep", type=click.IntRange(min=0), default=0, show_default=True, help="How many stay, newest first."
)
@json_option
def finish(keep: int, as_json: bool) -> None:
    """Say that this workspace's run has succeeded; those of its kind that did and are not to be kept are removed.

    Its kind is its name up to the first dot. Workspaces whose run failed stay, for a person to look at.
    """
    from recsys.workspaces import finish_workspace

    removed = finish_workspace(workspace(), keep)
    console().print(
        f"removed {len(removed)} workspaces: {', '.join(path.name for path in removed) or 'none'}"
    )
    if as_json:
        print_json([str(path) for path in removed])


@click.command("catch-up")
@who_option
@store_option
@json_option
def catch_up(who: str, store_url: str | None, as_json: bool) -> None:
    """Publish this workspace's champion, a new encoder, with everything that is published by then.

    For a workspace of `workspace make --published`: takes in what was published since, runs what that asks for, and
    swaps one release if nobody else published meanwhile; otherwise again. Under a hold the release is stored and waits.
    """
    from recsys.workspaces import catch_up as follow

    at = workspace()
    done = follow(store(store_url), at, publisher_of(at, who))
    show_published(at, done, as_json)


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"--finetune is not JSON: {error}", remedy='such as {"epochs": 3}') from error
    if not isinstance(found, dict):
        raise ConfigError(f"--finetune is no JSON object: {text[:100]}", remedy='such as {"epochs": 3}')
    return found
