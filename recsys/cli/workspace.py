"""Commands `workspace make`, `workspace sync`, `workspace finish` and `catch-up`: for runs beside the fast loop."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recsys.artifacts import Artifacts
from recsys.cli.context import (
    console,
    print_json,
    settings,
    state_storage,
    store,
    store_if_any,
    workspace,
)
from recsys.cli.due import training_due
from recsys.cli.options import json_option, store_option, who_option
from recsys.cli.release import SKIPPED, show_published
from recsys.errors import ConfigError

if TYPE_CHECKING:
    from recsys.storage.protocol import Storage


@click.group("workspace")
def workspace_() -> None:
    """Make a workspace for one run, and remove it after the run."""


@workspace_.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--train", is_flag=True, help="For training: with a challenger in finetune.roles and profiles.roles."
)
@click.option(
    "--published", is_flag=True, help="With the data of the newest release instead of all that is accepted."
)
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

    It shares DVC's cache with this one. What lands later does not reach it. Safe to repeat: a FOLDER that exists stays
    as it is. A key that params.yaml does not know, or a value out of bounds, is an error before anything is made.
    """
    from recsys.effects.workspace_make import make_release_workspace, workspace_make

    changes = {"finetune": _object(finetune)}
    if published and (train or when_due or changes["finetune"]):
        raise click.UsageError("--published goes with none of --train, --when-due and --finetune")
    # A task that is retried or cleared keeps what was decided when its workspace was made.
    states = state_storage()
    if when_due and not _is_made(folder, states) and not training_due(folder.resolve().parent).is_due:
        raise SystemExit(SKIPPED)
    if published:
        made = make_release_workspace(store(store_url), workspace(), folder, states)
    else:
        releases = store_if_any() if states is not None else None
        made = workspace_make(workspace(), folder, changes, train=train, states=states, store=releases)
    console().print(f"workspace {made.root}", highlight=False, markup=False)


@workspace_.command()
@click.option(
    "--keep",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="How many successful ones stay, newest first.",
)
@json_option
def finish(keep: int, as_json: bool) -> None:
    """Record that this workspace's run has succeeded, and remove older workspaces of its kind that succeeded.

    A kind is a name up to the first dot. Workspaces whose runs failed stay, for a person to look at.
    """
    from recsys.effects.workspace_finish import workspace_finish

    removed = workspace_finish(workspace(), keep, state_storage())
    console().print(
        f"removed {len(removed)} workspaces: {', '.join(path.name for path in removed) or 'none'}"
    )
    if as_json:
        print_json([str(path) for path in removed])


@workspace_.command(context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def sync(command: tuple[str, ...]) -> None:
    """Bring this run's workspace, run COMMAND in it, and store what COMMAND has made.

    For workers that share no disk: the state lies in RECSYS_STATE under the workspace's name, what DVC tracks in DVC's
    remote. While a training lasts, its checkpoints are stored every `slow_loop.checkpoint_s` seconds. The exit code is
    COMMAND's. If COMMAND fails, only checkpoints are stored.
    """
    from recsys.effects.workspace_sync import workspace_sync
    from recsys.settings import Settings

    states = state_storage()
    if states is None:
        raise ConfigError(
            "RECSYS_STATE is not set",
            remedy="export RECSYS_STATE=s3://bucket/prefix, or run the command itself",
        )
    source = Artifacts(Path.cwd())
    every_s = Settings.load(source.params).slow_loop.checkpoint_s
    raise SystemExit(workspace_sync(states, source, workspace(), command, every_s))


def _is_made(folder: Path, states: Storage | None) -> bool:
    """Whether a run's workspace has been made, here or on another worker."""
    if states is None:
        return folder.exists()
    from recsys.state.store import StateStore

    return StateStore(states).written(folder.name) is not None


@click.command("catch-up")
@who_option
@store_option
@json_option
def catch_up(who: str, store_url: str | None, as_json: bool) -> None:
    """Publish this workspace's champion, a new model, with all data that was published in the meantime.

    Run it in a workspace made by `workspace make --published`. It fetches the newest release's data, runs the stages
    that need it, and publishes. If somebody else published meanwhile, it starts again. Under a hold the release is
    stored and waits.
    """
    from recsys.effects.catch_up import catch_up as follow

    uri = os.environ.get("MLFLOW_TRACKING_URI")
    show_published(follow(store(store_url), workspace(), settings(), who, uri), as_json)


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"--finetune is not JSON: {error}", remedy='such as {"epochs": 3}') from error
    if not isinstance(found, dict):
        raise ConfigError(f"--finetune is not a JSON object: {text[:100]}", remedy='such as {"epochs": 3}')
    return found
