"""Landed evidence about items other than their texts, as views over the catalogue, with a hash of each item's part.

Nothing here runs in a workspace in which neither relations nor vectors have landed, and no item has a picture.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.catalogue.kinds import CATALOGUE, RELATIONS, VECTORS
from recsys.catalogue.known import newest_among, standing_rows
from recsys.catalogue.parts import list_parts
from recsys.features.facts import Facts, facts_of
from recsys.features.params import RelationsParams
from recsys.features.relations import relation_graph
from recsys.features.vectors import dense_views
from recsys.features.views import DenseView, SparseView, View, Views, take
from recsys.storage.strings import Strings

# Shape suffixes: N items, D width of a vector.
RELATIONS_VIEW = "relations"
NOTHING = ""
"""The hash of an item without evidence in any view."""


@dataclass(frozen=True)
class Evidence:
    """What the views say about some items."""

    item_ids: pa.Array
    """N ids, without repeats."""
    hashes: tuple[str, ...]
    """One per item: SHA-256 of its evidence in all views, in hex; NOTHING without evidence."""
    views: Views
    facts: Facts | None = None
    """Facts for explanations; None where the evidence was read from files for profiles."""

    def rows_of(self, item_ids: pa.Array | pa.ChunkedArray) -> NDArray[np.int64]:
        """Rows of items here; UNKNOWN for an item that is not."""
        return Strings(self.item_ids).rows_in(item_ids)

    def views_of(self, item_ids: pa.Array | pa.ChunkedArray) -> Views:
        """The views of items in the given order. An unknown item has no evidence."""
        return take(self._padded, self.rows_of(item_ids))

    def hashes_of(self, item_ids: pa.Array | pa.ChunkedArray) -> list[str]:
        """The hashes of items in the given order; NOTHING for an unknown item."""
        return [self.hashes[row] if row >= 0 else NOTHING for row in self.rows_of(item_ids).tolist()]

    @cached_property
    def _padded(self) -> Views:
        """The views with one more row at the end, without evidence, for unknown items."""
        return {name: _with_empty_row(view) for name, view in self.views.items()}


NO_EVIDENCE = Evidence(pa.array([], pa.string()), (), {})


def content_hashes(text_hashes: Sequence[str], evidence_hashes: Sequence[str]) -> list[str]:
    """Hashes of items' whole content: of the text alone where no view has evidence.

    Args:
        text_hashes: one per item.
        evidence_hashes: one per item, see `Evidence.hashes`.

    Returns:
        One SHA-256 per item, in hex; for an item without evidence its text's.
    """
    pairs = zip(text_hashes, evidence_hashes, strict=True)
    return [
        hashlib.sha256(f"{text} {evidence}".encode()).hexdigest() if evidence else text
        for text, evidence in pairs
    ]


def evidence_parts(data: Path) -> tuple[str, ...]:
    """Ids of the parts that views are made of, ascending; empty, after a quick check, where none has landed."""
    found = (part.id for kind in (RELATIONS, VECTORS) for part in list_parts(data, kind))
    return tuple(sorted(found))


def gather_evidence(
    data: Path,
    params: RelationsParams,
    further: Mapping[str, Callable[[Sequence[str]], DenseView]] = MappingProxyType({}),
) -> Evidence:
    """Make views of all current relations and vectors, over the live items of the catalogue.

    Args:
        data: the workspace's data folder.
        params: section `relations`.
        further: views that other stages make, such as `image`: name -> the view of items in a given order.

    Returns:
        The evidence of every live item.

    Raises:
        DataDamaged: a part cannot be read; names the file.
    """
    newest = newest_among(list_parts(data, CATALOGUE))
    item_ids = newest.filter(pc.invert(newest["deleted"]))["item_id"].combine_chunks()
    views: dict[str, View] = {}
    triples = standing_rows(list_parts(data, RELATIONS), RELATIONS, ("head", "relation", "tail"))
    names = Strings(item_ids)
    graph = relation_graph(triples, names, params)
    found = graph.view(names)
    if len(found.names):
        views[RELATIONS_VIEW] = found
    vectors = standing_rows(list_parts(data, VECTORS), VECTORS, ("item_id", "view", "source", "vector"))
    views |= dense_views(vectors, item_ids)
    views |= {name: view_of(names) for name, view_of in further.items()}
    facts = facts_of(triples, item_ids, graph) if triples.num_rows else None
    return Evidence(item_ids, _hashes(views, len(item_ids)), views, facts)


def _hashes(views: Views, n_items: int) -> tuple[str, ...]:
    digests: dict[int, Any] = {}
    for name, view in sorted(views.items()):
        title = f"{name}\0{view.source if isinstance(view, DenseView) else ''}\0".encode()
        for row in np.flatnonzero(view.has_N).tolist():
            digests.setdefault(row, hashlib.sha256()).update(title + _row_bytes(view, row))
    return tuple(digests[row].hexdigest() if row in digests else NOTHING for row in range(n_items))


def _row_bytes(view: View, row: int) -> bytes:
    """Bytes of a view's evidence about one item. They do not depend on the names of other items."""
    if isinstance(view, DenseView):
        return bytes(view.vectors_ND[row].tobytes())
    start, end = view.rows_NE.indptr[row], view.rows_NE.indptr[row + 1]
    names = "\0".join(view.names[place] for place in view.rows_NE.indices[start:end].tolist())
    return f"{names}\0".encode() + bytes(view.rows_NE.data[start:end].tobytes())


def _with_empty_row(view: View) -> View:
    """The view with one more row that says nothing."""
    if isinstance(view, DenseView):
        return DenseView(np.pad(view.vectors_ND, ((0, 1), (0, 0))), view.source)
    rows_NE = view.rows_NE.copy()
    rows_NE.resize((len(view) + 1, len(view.names)))
    return SparseView(view.names, rows_NE)
