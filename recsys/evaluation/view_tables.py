"""The views of a benchmark, from files of relations and vectors."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.catalogue.kinds import RELATIONS, VECTORS
from recsys.catalogue.landed_rows import LandedRows
from recsys.catalogue.params import IngestParams
from recsys.catalogue.vectors import has_width, widths_of, with_widths
from recsys.errors import UnreadableFile
from recsys.evaluation.tables import read_live
from recsys.features.params import RelationsParams
from recsys.features.relations import is_left_out, relation_graph
from recsys.features.vectors import dense_views
from recsys.features.views import DenseView, View, Views, coverage


@dataclass(frozen=True)
class OwnViews:
    """Views of the items, and sentences about them."""

    views: Views
    coverage: dict[str, float]
    """View -> share of the items that it covers."""
    lines: tuple[str, ...]
    """Sentences for people: what is used and what is left out."""


def read_views(
    relations: Path | None,
    vectors: Path | None,
    item_ids: Sequence[str],
    ingest: IngestParams,
    params: RelationsParams,
) -> OwnViews:
    """Read files that may land in relations/ and vectors/.

    Args:
        relations: head, relation and tail; None: no view `relations`.
        vectors: item_id, view, source and vector; None: no dense views.
        item_ids: of the benchmark; heads and tails with these ids are its items.
        ingest: section `ingest`.
        params: section `relations`.

    Returns:
        The views that say anything about these items.

    Raises:
        UnreadableFile: a file cannot be parsed, lacks a column, has a faulty row, or says nothing about the items.
    """
    views: dict[str, View] = {}
    lines: list[str] = []
    if relations is not None:
        triples = read_live(relations, RELATIONS, ingest)
        names = sorted(pc.unique(triples.table["relation"]).to_pylist())
        unused = [name for name in names if is_left_out(name, params.left_out)]
        linked = relation_graph(triples.table, item_ids, params).view(item_ids)
        lines += [f"--relations: {note}" for note in triples.notes]
        lines.append(f"--relations: {triples.n_rows:,} rows, {len(names) - len(unused)} relations used")
        if unused:
            lines.append(f"relations left out (section relations of params.yaml): {', '.join(unused)}")
        if not linked.names:
            raise UnreadableFile(
                f"{relations} links none of --items to anything", remedy="name items by their item_id"
            )
        views[RELATIONS] = linked
    if vectors is not None:
        rows = read_live(vectors, VECTORS, ingest)
        _refuse_widths(vectors, rows.table)
        dense = dense_views(rows.table, pa.array(item_ids, pa.string()))
        if not dense:
            raise UnreadableFile(f"{vectors} has vectors of none of --items", remedy="name items by item_id")
        views |= dense
        lines += [f"--vectors: {note}" for note in rows.notes]
    shares = coverage(views)
    for name, view in sorted(views.items()):
        made = f", by {view.source}" if isinstance(view, DenseView) else f", {len(view.names):,} names"
        lines.append(f"view {name}: {shares[name]:.0%} of the items{made}")
    return OwnViews(views, shares, tuple(lines))


def _refuse_widths(path: Path, table: pa.Table) -> None:
    """UnreadableFile where a vector is not as wide as the others of its view and source."""
    widths = with_widths(LandedRows(table))
    fits = has_width(widths, widths_of(widths))
    if not fits.all():
        row = table.slice(int(np.argmin(fits)), 1).to_pylist()[0]
        raise UnreadableFile(
            f"{path}, line {row['line']}: the vector of {row['item_id']!r} has {len(row['vector']):,} numbers, "
            f"unlike most of view {row['view']!r} by {row['source']!r}",
            remedy="if another model made it, give it another source",
        )
