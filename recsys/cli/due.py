"""Command `due`: whether enough interactions were accepted to train again."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.cli.context import console, print_json, registry_address, settings, state_storage, workspace
from recsys.cli.options import json_option
from recsys.cli.release import SKIPPED

if TYPE_CHECKING:
    from recsys.registry.due import Due


@click.command()
@json_option
def due(as_json: bool) -> None:
    """Check whether enough interactions were accepted since the last training to train again; exit 99 if not.

    Enough means `slow_loop.train_after_interactions` more than the newest registered challenger was trained on (whether
    or not the gate accepted it), and more than any running or failed training below RECSYS_WORKSPACES was given.
    Changes nothing and starts nothing.
    """
    found = training_due(workspace().workspaces)
    if as_json:
        print_json(asdict(found) | {"new": found.new, "due": found.is_due})
    if not found.is_due:
        raise SystemExit(SKIPPED)


def training_due(folder: Path) -> Due:
    """Print and return whether a training is due, counting trainings whose workspaces are in `folder`."""
    from recsys.effects.due import due as compare

    after = settings().slow_loop.train_after_interactions
    found = compare(registry_address(), workspace(), folder, after, state_storage())
    console().print(found.sentence(), highlight=False, markup=False, soft_wrap=True)
    return found
