"""`python -m demo`: data, run, up, down, land; what `make data`, `make demo`, `make up` and `make down` call."""

import os
import shutil
import signal
import sys
from pathlib import Path
from types import FrameType

import click
from rich.console import Console

from demo.processes import QUIET, DemoError, path_with_venv
from recsys.errors import RecsysError

CHECKOUT = Path(__file__).resolve().parent.parent
FOLDER = CHECKOUT / "var" / "demo"
# A log file or a pipe has no width of its own; eighty columns are too few for the table.
console = Console(width=None if sys.stdout.isatty() else 132)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """The main job for real on this machine: demo data, servers, a workspace under var/, the walk."""
    os.environ.update(QUIET | {"PATH": path_with_venv()})
    signal.signal(signal.SIGTERM, _as_interrupt)


@main.command()
def data() -> None:
    """Build the demo's data/ in this checkout, exactly as data.dvc names it, and the pretrained champion."""
    from demo.building import build_data
    from demo.data import LICENCE_NOTE

    console.print(f"[dim]{LICENCE_NOTE}[/]\n", highlight=False)
    build_data(CHECKOUT, FOLDER, console)


@main.command()
def run() -> None:
    """Land films and ratings, watch them become releases, roll back, train: six steps, every claim checked."""
    from demo.data import LICENCE_NOTE, load_demo_data
    from demo.platform import start_platform
    from demo.showing import show_all, show_places
    from demo.up import running
    from demo.walk import Walk, wait_for_dags
    from demo.workspace import make_workspace

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
    workspace = FOLDER / "workspace"
    make_workspace(CHECKOUT, workspace)
    console.print(f"workspace {workspace}; logs under {FOLDER / 'servers'}", highlight=False)
    with start_platform(workspace, FOLDER / "servers", console.print) as platform:
        os.environ.update(platform.environment)
        walk = Walk(platform, films, console)
        wait_for_dags(walk.airflow, platform.airflow, console)
        walk.run()
        show_all(console, walk)
        console.print("\nStopping the servers …")
    show_places(console, platform, running=False)


@main.command()
def up() -> None:
    """Start SeaweedFS, MLflow and Airflow on the demo's workspace and keep them running."""
    from demo.up import up as start

    start(CHECKOUT, FOLDER, console)


@main.command()
def down() -> None:
    """Stop what `up` started."""
    from demo.up import down as stop

    stop(FOLDER, console)


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--interactions", is_flag=True, help="The rows are events of users, not catalogue items.")
def land(file: Path, interactions: bool) -> None:
    """Put FILE into the landing zone of the platform that `up` keeps running."""
    from demo.up import environment
    from recsys.catalogue.landing import ENDINGS, ending
    from recsys.storage.opening import open_storage

    if ending(file.name) not in ENDINGS:
        raise click.ClickException(f"{file.name}: only {', '.join(ENDINGS)} can be taken in")
    os.environ.update(environment(FOLDER))
    zone = open_storage(os.environ["RECSYS_LANDING"])
    key = f"{'interactions' if interactions else 'catalogue'}/{file.name}"
    zone.write(key, file)
    console.print(f"landed {zone.url}/{key}; watch DAG profile_arrivals, or `recsys status`", soft_wrap=True)


def _as_interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt  # every server is stopped on the way out


def _explained() -> int:
    try:
        main.main(standalone_mode=False)
    except click.exceptions.Exit as end:
        return end.exit_code
    except (KeyboardInterrupt, click.Abort):
        console.print("\n[yellow]interrupted; everything that was started has been stopped[/]")
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (DemoError, RecsysError) as error:
        console.print(f"[red]{type(error).__name__}[/]: ", end="")
        console.print(str(error), markup=False, highlight=False, soft_wrap=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_explained())
