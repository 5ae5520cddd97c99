"""Command `gram`: compute the matrix that all users share with other sites; no user's data leaves a site."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recsys.cli.context import console, print_json, settings, workspace
from recsys.cli.options import json_option

if TYPE_CHECKING:
    from recsys.effects.gram_export import Exported

folder_option = click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("."),
    help="Gets the file. [default: the current folder]",
)


@click.group()
def gram() -> None:
    """Share what users like with sites that have the same catalogue: counts by item, never rows of a user.

    Each site exports its likes, and lists the files of the others as `users.sites` in params.yaml. The matrix of its
    next release is then the one that a single site with all users would have, bit for bit. docs/operations.md has the
    steps.
    """


@gram.command()
@folder_option
@json_option
def export(folder: Path, as_json: bool) -> None:
    """Write how many of this workspace's users like each item; with `privacy.epsilon`, noisy sums instead.

    Needs users.site in params.yaml, and RECSYS_PSEUDONYM_KEY as ingest does.
    """
    from recsys.effects.gram_export import gram_export

    _show(gram_export(workspace(), settings(), folder), as_json)


@gram.command()
@click.argument("files", nargs=-1, required=True)
@folder_option
@json_option
def merge(files: tuple[str, ...], folder: Path, as_json: bool) -> None:
    """Add up FILES of several sites: one file that stands for all of them. A site in two files is refused."""
    from recsys.effects.gram_merge import gram_merge

    _show(gram_merge(files, folder, Path.cwd()), as_json)


def _show(done: Exported, as_json: bool) -> None:
    likes = done.likes
    plain: dict[str, Any] = {
        "file": str(done.path),
        "items": likes.table.num_rows,
        "liked": len(likes.liked),
        "sites": [site.model_dump(exclude_none=True) for site in likes.sites],
    }
    for site in likes.sites:
        noise = (
            "exact counts" if site.epsilon is None else f"noise of ε = {site.epsilon:g}, δ = {site.delta:g}"
        )
        console().print(f"{site.name}: {site.n_users:,} users, {noise}", highlight=False)
    console().print(
        f"{plain['liked']:,} of {plain['items']:,} items are liked: {done.path}", markup=False, soft_wrap=True
    )
    if as_json:
        print_json(plain)
