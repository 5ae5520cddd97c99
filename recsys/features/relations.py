"""From triples (head, relation, tail) to the view `relations`: which things an item is linked to.

A link has no direction, and counts once, whatever relations state it. A thing whose id equals an item_id is that item.
An item names the things and items it is linked to, with weight 1. An item that is linked to another item also names
itself, so that the two share both names. Things two links away are named with a smaller weight, if params say so.
Neither repeats nor cycles change anything: a name counts once, with its largest weight.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

from recsys.features.params import RelationsParams
from recsys.features.views import SparseView
from recsys.storage.strings import UNKNOWN, Strings, is_among

# Shape suffixes: X nodes (items and other things), N items of a view, E names, T triples.
WORD = re.compile(r"[^\W_]+")


def is_left_out(relation: str, left_out: Iterable[str]) -> bool:
    """Whether a list names this relation, or a word of it; case does not matter.

    Args:
        relation: its name, such as `film.film.award_won`, which has the words film, award and won.
        left_out: names and words.

    Returns:
        True if it is on the list.
    """
    name = relation.casefold()
    return not {name, *WORD.findall(name)}.isdisjoint(one.casefold() for one in left_out)


@dataclass(frozen=True)
class RelationGraph:
    """Links between the nodes of a graph."""

    nodes: pa.Array
    """Ids of the nodes, ascending."""
    links_XX: csr_array
    """1 for each link, in both directions; no node is linked to itself."""
    is_item_X: NDArray[np.bool_]
    params: RelationsParams

    @property
    def degree_X(self) -> NDArray[np.int64]:
        """Number of links of each node."""
        return np.asarray(np.diff(self.links_XX.indptr), np.int64)

    def view(self, item_ids: Sequence[str]) -> SparseView:
        """The view of some items.

        Args:
            item_ids: N items.

        Returns:
            Their names and weights. Only names that one of them has, ascending. A row depends on the links of its
            item, and where two links count, on those of its neighbours.
        """
        place_N = Strings(self.nodes).rows_in(Strings(item_ids).column)
        known = np.flatnonzero(place_N != UNKNOWN)
        if not len(known):
            return SparseView((), csr_array((len(item_ids), 0), dtype=np.float32))
        rows_KX = self._rows(place_N[known])
        at = rows_KX.tocoo()
        used, column = np.unique(at.col, return_inverse=True)
        rows_NE = csr_array((at.data, (known[at.row], column)), shape=(len(item_ids), len(used)))
        return SparseView(tuple(self.nodes.take(pa.array(used)).to_pylist()), rows_NE)

    def _rows(self, places_K: NDArray[np.int64]) -> csr_array:
        """Weights of names for the items at some nodes."""
        named = diags_array((self.degree_X <= self.params.max_degree).astype(np.float32))
        direct_KX = csr_array(self.links_XX[places_K])
        to_items_K = direct_KX @ self.is_item_X.astype(np.float32) > 0
        itself = np.flatnonzero(to_items_K)
        own_KX = csr_array(
            (np.ones(len(itself), np.float32), (itself, places_K[itself])), shape=direct_KX.shape
        )
        near_KX = csr_array(direct_KX @ named) + own_KX
        if self.params.decay == 0:
            return csr_array(near_KX)
        # A second link through a hub leads everywhere; one that ends at an item tells nothing that its things do not.
        ends = named @ diags_array((~self.is_item_X).astype(np.float32))
        far_KX = csr_array(csr_array(direct_KX @ named) @ self.links_XX @ ends)
        far_KX.data[:] = self.params.decay
        return csr_array(near_KX.maximum(far_KX))


def relation_graph(triples: pa.Table, item_ids: Sequence[str], params: RelationsParams) -> RelationGraph:
    """Build the graph of some triples.

    Args:
        triples: head, relation and tail; rows with a null are left out.
        item_ids: of the whole catalogue: which nodes are items.
        params: section `relations`.

    Returns:
        The graph. The order of the triples, and repeats, do not matter.
    """
    named = pc.unique(triples["relation"]).drop_null().to_pylist()
    wanted = pa.array([one for one in named if not is_left_out(one, params.left_out)], pa.string())
    kept = triples.select(["head", "relation", "tail"]).drop_null()
    kept = kept.filter(pc.is_in(kept["relation"].cast(pa.string()), value_set=wanted))
    heads, tails = (kept[name].cast(pa.string()).combine_chunks() for name in ("head", "tail"))
    nodes = pc.unique(pa.concat_arrays([heads, tails]))
    nodes = nodes.take(pc.sort_indices(nodes))
    head_T, tail_T = (pc.index_in(ids, value_set=nodes).to_numpy() for ids in (heads, tails))
    apart = head_T != tail_T
    ends = np.concatenate([head_T[apart], tail_T[apart]]), np.concatenate([tail_T[apart], head_T[apart]])
    links_XX = csr_array((np.ones(len(ends[0]), np.float32), ends), shape=(len(nodes), len(nodes)))
    links_XX.sum_duplicates()
    links_XX.data[:] = 1
    is_item_X = is_among(nodes, Strings(item_ids).column)
    return RelationGraph(nodes, links_XX, is_item_X, params)
