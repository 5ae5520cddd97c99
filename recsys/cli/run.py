"""Command `run`."""

from contextlib import nullcontext

import click

from recsys.cli.context import settings, workspace
from recsys.importing import without_pandas
from recsys.stages import FAST_LOOP, STAGES, stage


@click.command()
@click.argument("name", metavar="STAGE", type=click.Choice(list(STAGES)))
def run(name: str) -> None:
    """Run one STAGE: read its inputs, write its artifacts.

    DVC calls this; by hand prefer `dvc repro STAGE`, which runs what STAGE needs first and skips what has not changed.
    """
    chosen = settings()
    needs_pandas = name not in FAST_LOOP or chosen.profiles.engine == "ray"  # Ray Data imports it
    with nullcontext() if needs_pandas else without_pandas():
        stage(name)(chosen, workspace())
