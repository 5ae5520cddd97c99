"""Commands `run` and `plan`."""

import click

from recsys.cli.context import settings, workspace
from recsys.stages import STAGES, stage


@click.command()
@click.argument("name", metavar="STAGE", type=click.Choice(list(STAGES)))
def run(name: str) -> None:
    """Run one STAGE: read its inputs, write its artifacts.

    DVC calls this; by hand prefer `dvc repro STAGE`, which runs what STAGE needs first and skips what has not changed.
    """
    stage(name)(settings(), workspace())
