"""Commands `serve` and `api-key`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.cli.context import console, required, settings_or_shipped, shown, workspace
from recsys.cli.options import feedback_option, store_option

if TYPE_CHECKING:
    from recsys.serving.params import ServeParams


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8700, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on."
)
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    help="Processes; they share one release.",
)
@store_option
@click.option(
    "--keys",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File of API keys, by `recsys api-key`; without one the service answers this machine only. "
    "[default: RECSYS_API_KEYS]",
)
@feedback_option
@click.option(
    "--share",
    type=click.FloatRange(0, 1),
    help="Share of users who get another release, see --share-release. [default: serve.share]",
)
@click.option(
    "--share-release",
    metavar="RELEASE",
    help="The release that they get; `recsys compare` compares both. [default: serve.share_release]",
)
def serve(
    host: str,
    port: int,
    workers: int,
    store_url: str | None,
    keys: Path | None,
    feedback: str | None,
    share: float | None,
    share_release: str | None,
) -> None:
    """Answer over HTTP from the published release: recommend, search, similar, profile, explain; and a page at /.

    It follows the store's pointer CURRENT and swaps releases without dropping a request. docs/serving.md describes the
    API.
    """
    from recsys.serving.service.access import VARIABLE
    from recsys.serving.service.main import Config, run

    url = store_url or required("RECSYS_STORE", "release store: a folder or s3://bucket/prefix")
    named = os.environ.get(VARIABLE)
    chosen = settings_or_shipped()
    config = Config.of(
        store=url,
        params=_tried(chosen.serve, share, share_release),
        rules=chosen.feedback,
        api_keys=keys or (Path(named) if named else None),
        feedback=feedback_url(feedback),
        landing=os.environ.get("RECSYS_LANDING"),
    )
    console().print(
        shown(f"the page: http://{host}:{port}/  the API: http://{host}:{port}/openapi.json"), soft_wrap=True
    )
    run(config, host, port, workers)


@click.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(["read", "feedback", "admin"]),
    default=("read",),
    show_default=True,
    help="What the key allows; may be repeated.",
)
@click.option(
    "--to",
    "path",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="File of keys for `recsys serve --keys`; it contains only hashes.",
)
def api_key(name: str, scopes: tuple[str, ...], path: Path) -> None:
    """Make an API key for NAME and print it once; a NAME that has one gets a new one.

    A running service reads the file when it starts.
    """
    from recsys.serving.service.access import add_key

    click.echo(add_key(path, name, scopes))  # type: ignore[arg-type]  # click has checked them
    console().print(
        shown(f"{name} may: {', '.join(scopes)}. {path} does not hold the key itself."), soft_wrap=True
    )


def feedback_url(given: str | None) -> str:
    """Where the feedback store is: as given, else RECSYS_FEEDBACK, else a file in the workspace."""
    return given or os.environ.get("RECSYS_FEEDBACK") or f"sqlite:///{workspace().root}/feedback.sqlite"


def _tried(params: "ServeParams", share: float | None, release: str | None) -> "ServeParams":
    """Section `serve` with the trial of the command line."""
    from pydantic import ValidationError

    given = {"share": share, "share_release": release}
    changed = {name: value for name, value in given.items() if value is not None}
    try:
        return type(params).model_validate(params.model_dump() | changed)
    except ValidationError as error:
        fault = error.errors()[0]
        raise click.UsageError(f"--share, --share-release: {fault['msg']}") from error
