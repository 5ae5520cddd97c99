"""Files of views for the public protocols: relations of films, citations of papers, vectors of posters."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.figures import SHARED_DATA
from bench.posters import TARGET as POSTERS

PAPERS = "citeulike"
"""What names of protocols of papers begin with; the others that have views are of films."""
OPTIONS = {
    "citeulike_H": ("relations",),
    "citeulike_D": ("relations",),
    "citeulike_G": ("relations",),
    "ml100k_cold": ("relations", "vectors"),
    "ml100k_newest_released": ("relations", "vectors"),
    "ml100k_newest_rated": ("relations", "vectors"),
}
"""Protocol -> the options of `recsys benchmark cold-start` for which there is a file."""
VIEWS = {"relations": ("relations",), "images": ("vectors",), "both": ("relations", "vectors")}
"""Views of a row -> options of the command."""


def write_view(protocol: str, option: str, cold: pa.Array, folder: Path) -> Path:
    """Write the file of one option.

    Args:
        protocol: a name in OPTIONS.
        option: one of its options; `vectors` needs those that `make bench-posters` leaves.
        cold: ids of the cold items.
        folder: for the file.

    Returns:
        Its path.
    """
    path = folder / f"{option}.parquet"
    if option == "vectors":
        if not POSTERS.is_file():
            sys.exit(f"{POSTERS} is missing: run make bench-posters")
        shutil.copyfile(POSTERS, path)
    else:
        pq.write_table(citations(cold) if protocol.startswith(PAPERS) else freebase(), path)
    return path


def freebase() -> pa.Table:
    """The triples, with item ids in the place of the films' entity ids."""
    folder = SHARED_DATA / "ml-100k-multimodal"
    triples = pq.read_table(folder / "kg_triples_freebase.parquet")
    link = pq.read_table(folder / "kg_item_link.parquet")
    entities, items = (link[name].cast(pa.string()).combine_chunks() for name in ("entity_id", "item_id"))

    def translated(column: pa.ChunkedArray) -> pa.ChunkedArray:
        ids = column.cast(pa.string())
        return pc.coalesce(items.take(pc.index_in(ids, value_set=entities)), ids)

    for name in ("head", "tail"):
        place = triples.column_names.index(name)
        triples = triples.set_column(place, name, translated(triples[name]))
    return triples.select(["head", "relation", "tail"])


def citations(cold: pa.Array) -> pa.Table:
    """Citations between papers, without those that a cold paper gets only after its arrival.

    The edges have no direction. Item ids are in the order in which papers came to CiteULike: wherever `citeulike_id`,
    which grows with time, is known, it grows with them. So what links a cold paper to a warm one of a smaller id could
    be known when it arrived, and is kept. Links of a cold paper to newer papers are left out, and so are those between
    two cold ones, since the older would see the newer. Links between warm papers are all kept.

    Args:
        cold: ids of the cold papers.

    Returns:
        head (the newer paper), relation, tail.
    """
    triples = pq.read_table(SHARED_DATA / "citeulike-a" / "kg_triples.parquet")
    edges = triples.filter(pc.equal(triples["relation"], "cites_undirected"))
    ends = [
        pc.replace_substring(edges[name], "item:", "").cast(pa.int64()).to_numpy()
        for name in ("head", "tail")
    ]
    older, newer = np.minimum(*ends), np.maximum(*ends)
    known = ~np.isin(older, cold.cast(pa.int64()).to_numpy())
    return pa.table(
        {
            "head": pa.array(newer[known]).cast(pa.string()),
            "relation": pa.repeat("cites", int(known.sum())),
            "tail": pa.array(older[known]).cast(pa.string()),
        }
    )
