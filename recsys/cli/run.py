"""Commands `run` and `plan`."""

from contextlib import nullcontext
from dataclasses import asdict

import click

from recsys.cli.context import console, print_json, settings, workspace
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


@click.command()
@click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice(["champion", "challenger"]),
    help="Default: all of params.yaml.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a list with one JSON object per role.")
def plan(roles: tuple[str, ...], as_json: bool) -> None:
    """Say what stage `profiles` would encode: texts, tokens, minutes on this machine. Encodes nothing but a sample.

    It looks at the features that are there: run `dvc repro features` first to count what has just been ingested.
    """
    from recsys.stages.profiles import plan as plan_profiles

    chosen, at = settings(), workspace()
    plans = [plan_profiles(chosen, at, role) for role in roles or chosen.profiles.roles]
    if as_json:
        print_json([asdict(one) for one in plans])
    else:
        for one in plans:
            console().print(one.sentence(), highlight=False, soft_wrap=True)
