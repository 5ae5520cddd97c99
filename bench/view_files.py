"""Files of views for the public protocols: relations, citations, vectors of posters and of a second encoder."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.encoders import vectors_path
from bench.figures import SHARED_DATA
from bench.posters import TARGET as POSTERS

PAPERS = "citeulike"
"""What names of protocols of papers begin with; the others that have views are of films."""
OPTIONS = {"relations": "relations", "posters": "vectors", "encoders": "vectors"}
"""File -> the option of `recsys benchmark cold-start` that takes it."""
OF_PAPERS, OF_FILMS = ("relations", "encoders"), ("relations", "posters", "encoders")
FILES = {
    "citeulike_H": OF_PAPERS,
    "citeulike_D": OF_PAPERS,
    "citeulike_G": OF_PAPERS,
    "ml100k_cold": OF_FILMS,
    "ml100k_newest_released": OF_FILMS,
    "ml100k_newest_rated": OF_FILMS,
    "industrial_cold": ("encoders",),
    "lastfm_cold": (),
}
"""Protocol -> the files that there are for it."""
VIEWS = {
    "relations": ("relations",),
    "images": ("posters",),
    "both": ("relations", "posters"),
    "encoders": ("encoders",),
    "relations_encoders": ("relations", "encoders"),
}
"""Views of a row -> their files."""


def write_view(protocol: str, name: str, cold: pa.Array, folder: Path) -> Path:
    """Write one file.

    Args:
        protocol: a name in FILES.
        name: one of its files; vectors must have been made before.
        cold: ids of the cold items.
        folder: for the file.

    Returns:
        Its path.
    """
    path = folder / f"{name}.parquet"
    if name == "relations":
        pq.write_table(citations(cold) if protocol.startswith(PAPERS) else freebase(), path)
        return path
    made = vectors_at(protocol, name)
    if not made.is_file():
        sys.exit(f"{made} is missing: run make bench-{name}")
    shutil.copyfile(made, path)
    return path


def vectors_at(protocol: str, name: str) -> Path:
    """Where the benchmark of this name leaves the vectors of a protocol's items."""
    return POSTERS if name == "posters" else vectors_path(protocol)


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
