"""`python -m demo`: the commands data and run, behind `make data` and `make demo`."""

import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from localplatform.command import console, run_command
from localplatform.workspace import CHECKOUT, FOLDER


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """The main job for real on this machine: demo data, servers, a workspace under var/, the walk."""


@main.command()
def data() -> None:
    """Build the demo's data/ in this checkout, exactly as data.dvc names it, and the pretrained champion."""
    from demo.building import build_data
    from demo.data import LICENCE_NOTE

    console.print(f"[dim]{LICENCE_NOTE}[/]\n", highlight=False)
    build_data(CHECKOUT, FOLDER, console)


@main.command()
def run() -> None:
    """Land films and ratings, watch them become releases, roll back, train and serve, with checks of every claim."""
    from demo.data import LICENCE_NOTE, PARAMS, load_demo_data
    from demo.picturing import show_pictures
    from demo.relating import show_relations
    from demo.serving import show_service
    from demo.showing import show_all
    from demo.walk import Walk, wait_for_dags
    from localplatform.places import show_places
    from localplatform.platform import start_platform
    from localplatform.up import running
    from localplatform.workspace import make_workspace

    if running(FOLDER):
        raise click.ClickException("the platform is up on the demo's workspace; run `make down` first")
    console.print(f"[dim]{LICENCE_NOTE}[/]\n", highlight=False)
    with console.status("fetching the demo data"):
        films = load_demo_data(FOLDER / "wheels")
    n_cold, n_ratings = len(films.with_plot), len(films.ratings)
    console.print(
        f"{len(films.films):,} films, {n_ratings:,} ratings, {n_cold} films with a plot", highlight=False
    )
    shutil.rmtree(FOLDER / "servers", ignore_errors=True)
    own = dict(os.environ)
    workspace = FOLDER / "workspace"
    make_workspace(CHECKOUT, workspace, PARAMS)
    console.print(f"workspace {workspace}; logs under {FOLDER / 'servers'}", highlight=False)
    with start_platform(workspace, FOLDER / "servers", console.print) as platform:
        os.environ.update(platform.environment)
        walk = Walk(platform, films, console)
        wait_for_dags(walk.airflow, platform.airflow, console)
        walk.run()
        show_all(console, walk)
        show_service(console, films, platform.environment, FOLDER / "servers/service")
        console.print("\nStopping the servers …")
    os.environ.clear()
    os.environ.update(own)  # the made-up worlds know nothing of the servers
    for show in (show_relations, show_pictures):
        # Outside the checkout: its git ignores var/, and DVC tracks nothing there.
        with TemporaryDirectory(prefix="firstlight-demo-") as folder:
            show(console, CHECKOUT / "params.yaml", Path(folder))
    show_places(console, platform, running=False)


if __name__ == "__main__":
    sys.exit(run_command(main))
