"""How many of the catalogue's items a batch of relations or vectors covers."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from recsys.catalogue.kinds import RELATIONS, VECTORS
from recsys.catalogue.known import newest_among
from recsys.catalogue.parts import Part


def coverage_notes(
    kind: str, batches: Sequence[pa.Table], catalogue: Sequence[Part]
) -> list[tuple[str, ...]]:
    """Sentences for people, per batch.

    Args:
        kind: of the batches; only relations and vectors have such notes.
        batches: good rows of each.
        catalogue: every catalogue part.

    Returns:
        Notes of each batch, in order; none for batches of other kinds.

    Raises:
        DataDamaged: a part cannot be read; names the file.
    """
    if kind not in {RELATIONS, VECTORS}:
        return [()] * len(batches)
    newest = newest_among(catalogue)
    items = newest.filter(pc.invert(newest["deleted"]))["item_id"].combine_chunks()
    notes_of = _of_relations if kind == RELATIONS else _of_vectors
    return [notes_of(rows.filter(pc.invert(rows["deleted"])), items) for rows in batches]


def _of_relations(live: pa.Table, items: pa.Array) -> tuple[str, ...]:
    if not live.num_rows:
        return ()
    ends = pa.chunked_array([*live["head"].chunks, *live["tail"].chunks], pa.string())
    return (f"relations of {_covered(ends, items)}",)


def _of_vectors(live: pa.Table, items: pa.Array) -> tuple[str, ...]:
    views = sorted(pc.unique(live["view"]).to_pylist())
    of_view = {view: live.filter(pc.equal(live["view"], view))["item_id"] for view in views}
    return tuple(f"view {view}: vectors of {_covered(ids, items)}" for view, ids in of_view.items())


def _covered(ids: pa.ChunkedArray, items: pa.Array) -> str:
    n_covered = pc.sum(pc.is_in(items, value_set=pc.unique(ids))).as_py() or 0
    share = f" ({n_covered / len(items):.0%})" if len(items) else ""
    return f"{n_covered:,} of the catalogue's {len(items):,} items{share}"
