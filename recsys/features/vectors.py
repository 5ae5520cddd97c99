"""From landed vectors (item_id, view, source, vector) to dense views."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.features.views import DenseView

# Shape suffixes: N items, D width of a vector.


def dense_views(vectors: pa.Table, item_ids: pa.Array) -> dict[str, DenseView]:
    """Make a view of the vectors of each name.

    Args:
        vectors: item_id, view, source and vector; all vectors of one view and source have one width and are not zero.
        item_ids: N items; vectors of others are left out.

    Returns:
        View -> unit rows in the order of the items, by name. Of each view only the source that most items have, of
        equal ones the first; of two vectors of one item the later row.
    """
    known = vectors.filter(pc.is_in(vectors["item_id"], value_set=item_ids))
    counted = known.group_by(["view", "source"], use_threads=False).aggregate([([], "count_all")])
    found: dict[str, DenseView] = {}
    for row in counted.sort_by([("count_all", "descending"), ("source", "ascending")]).to_pylist():
        if row["view"] in found:
            continue
        is_its = pc.and_(pc.equal(known["view"], row["view"]), pc.equal(known["source"], row["source"]))
        its = known.filter(is_its)
        rows_ND = pc.list_flatten(its["vector"]).to_numpy().astype(np.float64).reshape(its.num_rows, -1)
        rows_ND /= np.linalg.norm(rows_ND, axis=1, keepdims=True)
        vectors_ND = np.zeros((len(item_ids), rows_ND.shape[1]), np.float32)
        vectors_ND[pc.index_in(its["item_id"], value_set=item_ids).to_numpy()] = rows_ND
        found[row["view"]] = DenseView(vectors_ND, row["source"])
    return dict(sorted(found.items()))
