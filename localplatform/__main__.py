"""`python -m localplatform`: the commands up, down and land, behind `make up` and `make down`."""

import os
import sys
from pathlib import Path

import click

from localplatform.command import console, run_command
from localplatform.workspace import CHECKOUT, FOLDER


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """SeaweedFS, MLflow and Airflow on this machine, on the workspace in var/demo."""


@main.command()
def up() -> None:
    """Start the three servers and keep them running."""
    from localplatform.up import up as start

    start(CHECKOUT, FOLDER, console)


@main.command()
def down() -> None:
    """Stop what `up` started."""
    from localplatform.up import down as stop

    stop(FOLDER, console)


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--interactions", is_flag=True, help="The rows are events of users, not catalogue items.")
def land(file: Path, interactions: bool) -> None:
    """Put FILE into the landing zone of the platform that `up` keeps running."""
    from localplatform.up import environment
    from recsys.catalogue.landing import ENDINGS, ending
    from recsys.storage.opening import open_storage

    if ending(file.name) not in ENDINGS:
        raise click.ClickException(f"{file.name}: only {', '.join(ENDINGS)} can be taken in")
    os.environ.update(environment(FOLDER))
    zone = open_storage(os.environ["RECSYS_LANDING"])
    key = f"{'interactions' if interactions else 'catalogue'}/{file.name}"
    zone.write(key, file)
    console.print(f"landed {zone.url}/{key}; watch DAG profile_arrivals, or `recsys status`", soft_wrap=True)


if __name__ == "__main__":
    sys.exit(run_command(main))
