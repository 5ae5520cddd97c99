"""Command `arrive`."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

import click

from recsys.cli.context import settings, state_storage, workspace
from recsys.cli.intake import NOTHING_NEW, ingest
from recsys.cli.options import store_option, who_option
from recsys.cli.registry import fetch_champion
from recsys.cli.release import publish

if TYPE_CHECKING:
    from collections.abc import Callable

    from recsys.artifacts import Artifacts
    from recsys.settings import Settings


@click.command()
@click.option(
    "--skip-code",
    is_flag=True,
    help=f"Exit {NOTHING_NEW} when nothing is new, or when a release with another model was published meanwhile.",
)
@who_option
@store_option
@click.pass_context
def arrive(context: click.Context, skip_code: bool, who: str, store_url: str | None) -> None:
    """Turn what has landed into a release: ingest, fetch-champion --published, the stages, publish.

    The result is the same as running these commands and `dvc repro --single-item` one by one, but no step starts a new
    Python. Airflow calls it. It stops at the first step that fails or has nothing to do; run it again to continue.
    """
    from recsys.cli import explained
    from recsys.effects.arrive import Step
    from recsys.effects.arrive import arrive as arrive_now
    from recsys.stages import FAST_LOOP, stage

    def step(command: click.Command, **options: object) -> Step:
        return partial(explained, partial(context.invoke, command, **options))

    def run(stage_of: Callable[[Settings, Artifacts], None]) -> None:
        stage_of(settings(), at)  # read when it runs, as by hand: DVC notes what params.yaml holds then

    at = workspace()
    stages = {name: partial(explained, partial(run, stage(name))) for name in FAST_LOOP}
    before = [step(ingest, skip_code=skip_code), step(fetch_champion, published=True)]
    after = [step(publish, skip_code=skip_code, who=who, store_url=store_url)]
    with _alone(at):
        code = arrive_now(at, before, stages, after)
    if code:
        raise SystemExit(code)


def _alone(at: Artifacts) -> AbstractContextManager[object]:
    """For workers that share no disk: keep `recsys watch` of this machine from bringing another state meanwhile."""
    if state_storage() is None:
        return nullcontext()
    from recsys.effects.states import arriving

    return arriving(at)
