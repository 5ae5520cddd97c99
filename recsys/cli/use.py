"""Commands that use a release: `recommend`, `similar`, `trace` and `export`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.cli.context import console, print_json, required, shown
from recsys.cli.options import json_option, store_option
from recsys.importing import without_pandas

if TYPE_CHECKING:
    from recsys.serving.answers import Scored
    from recsys.serving.reader import Release

release_option = click.option(
    "--release", metavar="ID", help="Another release than the current one; see `recsys releases`."
)
k_option = click.option(
    "-k", default=10, show_default=True, type=click.IntRange(1), help="Length of the list."
)


@click.command()
@click.argument("user", required=False)
@click.option("--pseudonym", metavar="HEX", help="A pseudonym instead of USER; needs no key.")
@click.option("--history", multiple=True, metavar="ITEM", help="Item ids instead of a user; may be repeated.")
@click.option("--with-seen", is_flag=True, help="Keep items of the history in the list.")
@k_option
@release_option
@store_option
@json_option
def recommend(
    user: str | None,
    pseudonym: str | None,
    history: tuple[str, ...],
    with_seen: bool,
    k: int,
    release: str | None,
    store_url: str | None,
    as_json: bool,
) -> None:
    """Recommend items for USER, a raw id (needs RECSYS_PSEUDONYM_KEY), a --pseudonym, or a --history of items."""
    if sum((user is not None, pseudonym is not None, bool(history))) != 1:
        raise click.UsageError("give one of USER, --pseudonym and --history")
    opened = _open(store_url, release)
    found = opened.recommend(
        user, pseudonym=pseudonym, history=history or None, k=k, exclude_seen=not with_seen
    )
    _show(opened, found, as_json)


@click.command()
@click.argument("item", required=False)
@click.option("--text", help="Words instead of an item.")
@k_option
@release_option
@store_option
@json_option
def similar(
    item: str | None, text: str | None, k: int, release: str | None, store_url: str | None, as_json: bool
) -> None:
    """List the items nearest to ITEM, or to a --text."""
    if (item is None) == (text is None):
        raise click.UsageError("give either ITEM or --text")
    opened = _open(store_url, release)
    _show(opened, opened.similar(item, k) if item is not None else opened.search(text or "", k), as_json)


@click.command()
@click.argument("item")
@release_option
@store_option
@json_option
def trace(item: str, release: str | None, store_url: str | None, as_json: bool) -> None:
    """Trace ITEM's published profile to its origin: text version, part and line, data, code commit, model, release."""
    from recsys.serving.trace import trace as follow

    found = asdict(follow(_open(store_url, release), item))
    if as_json:
        print_json(found)
        return
    from rich.table import Table

    table = Table(show_header=False)
    for name, value in found.items():
        table.add_row(name.replace("_", " "), "–" if value is None else shown(value))
    console().print(table)


@click.command()
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="A parquet file.")
@release_option
@store_option
@json_option
def export(out: Path, release: str | None, store_url: str | None, as_json: bool) -> None:
    """Write all item profiles for other programs: item_id, vector (list of float32), release."""
    opened = _open(store_url, release)
    n_rows = opened.export(out)
    console().print(shown(f"{n_rows} profiles of release {opened.id} are in {out}"), soft_wrap=True)
    if as_json:
        print_json({"release": opened.id, "rows": n_rows, "file": str(out)})


def _open(store_url: str | None, release: str | None) -> "Release":
    url = store_url or required("RECSYS_STORE", "release store: a folder or s3://bucket/prefix")
    click.get_current_context().with_resource(without_pandas())  # until the command ends
    from recsys.serving.reader import Release

    return Release.open(url, release=release)


def _show(release: "Release", found: "list[Scored]", as_json: bool) -> None:
    titles = release.titles(one.item_id for one in found)
    if as_json:
        items = [asdict(one) | {"title": titles.get(one.item_id)} for one in found]
        print_json({"release": release.id, "items": items})
        return
    from rich.table import Table

    table = Table("item", "title", "score", title=f"release {release.id}")
    for one in found:
        table.add_row(shown(one.item_id), shown(titles.get(one.item_id, "–")), f"{one.score:.4f}")
    console().print(table)
