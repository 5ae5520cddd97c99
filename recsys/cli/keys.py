"""Command `keys`: make the pair of keys that signs releases, and sign releases that are stored already."""

from pathlib import Path

import click

from recsys.cli.context import console, store
from recsys.cli.options import store_option


@click.group()
def keys() -> None:
    """Sign releases, so that readers load only what you have published."""


@keys.command()
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("."),
    help="Gets signing.pem and verify.pem. [default: the current folder]",
)
def make(folder: Path) -> None:
    """Make a key pair: signing.pem for whoever publishes, verify.pem for everybody who reads."""
    from recsys.effects.keys_make import keys_make
    from recsys.publishing.signing import SIGNING_KEY, VERIFY_KEY

    private, public = keys_make(folder)
    console().print(
        f"where releases are published: export {SIGNING_KEY}={private.resolve()}",
        markup=False,
        soft_wrap=True,
    )
    console().print(
        f"where they are read, and there: export {VERIFY_KEY}={public.resolve()}",
        markup=False,
        soft_wrap=True,
    )
    console().print("keep signing.pem secret, out of git and out of the store; readers never need it")


@keys.command()
@click.argument("releases", nargs=-1, required=True, metavar="RELEASE...")
@store_option
def sign(releases: tuple[str, ...], store_url: str | None) -> None:
    """Sign stored releases with RECSYS_SIGNING_KEY, for example releases from before there was a key.

    With a signature you vouch for the content of a release: check with `recsys releases` that it is yours.
    """
    from recsys.effects.keys_sign import keys_sign

    for release, key in keys_sign(store(store_url), releases):
        console().print(f"release {release} is signed by key {key}", highlight=False, markup=False)
