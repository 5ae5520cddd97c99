"""A catalogue of a million items out of a published one of 100,000, where encoding a million titles would take hours.

Each further item is made of two of the smaller catalogue: its profile is their normalised sum with a little noise, as
made titles are halves of two real ones; its title, words and attributes are those of the first. Model, users and
histories are the same. So memory, start and latency are those of such a catalogue; figures say that its profiles were
mixed. The product's code builds its index, measures what users' searches find, and writes the release.

    python -m bench.serve_wider 1000000
"""

import argparse
import hashlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bench.figures import ROOT
from bench.serve_recall import opened
from bench.serve_world import World, keep
from recsys.features.terms import SCHEMA as TERMS
from recsys.profiles.details import open_details
from recsys.publishing.checks import require_index_recall
from recsys.publishing.entries import File, SegmentIndex, format_of_indexes
from recsys.publishing.formats import CHOSEN
from recsys.publishing.hashing import Hasher
from recsys.publishing.object_files import ObjectFiles
from recsys.publishing.release import Manifest
from recsys.publishing.released_profiles import Profiles
from recsys.publishing.store import ReleaseStore
from recsys.publishing.users_recall import users_recall
from recsys.retrieval.coarseness import index_kind
from recsys.retrieval.index_building import build_index
from recsys.retrieval.measuring import widen
from recsys.retrieval.segment_terms import SegmentTerms, open_terms
from recsys.settings import Settings
from recsys.storage.opening import open_storage
from recsys.storage.tables import write_arrow

# Shape suffixes: N items of the smaller catalogue, D dimension, T times, V terms.
SMALLER = World(100_000)
NOISE = 0.1
"""Length of what is added to the sum of two profiles."""
SEED = 20260101


def main() -> None:
    """Make one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("size", type=int, help="a multiple of 100,000")
    make_wider(World(parser.parse_args().size))


def make_wider(world: World) -> None:
    """Make a catalogue out of the smaller one, which must be published.

    Args:
        world: its size is a multiple of the smaller one's.
    """
    times, rest = divmod(world.size, SMALLER.size)
    if rest:
        raise SystemExit(f"{world.size} is no multiple of {SMALLER.size}")
    folder = world.folder / "wider"
    folder.mkdir(parents=True, exist_ok=True)
    profiles = opened(SMALLER)
    began = time.perf_counter()
    _write_vectors(profiles, times, folder / "vectors.npy")
    _write_rows(profiles, times, folder / "rows.parquet")
    _write_details(profiles, times, folder / "details.arrow")
    _write_terms(profiles, times, folder / "terms.arrow")
    keep(world, "wider", time.perf_counter() - began)
    settings = Settings.load(ROOT / "params.yaml")
    params = settings.index
    began = time.perf_counter()
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    if not (folder / "index.faiss").exists():
        build_index(vectors, params, folder / "making.faiss")
        (folder / "making.faiss").rename(folder / "index.faiss")
        keep(world, "index", time.perf_counter() - began)
    began = time.perf_counter()
    _publish(profiles, world, folder, settings, widen(vectors, folder / "index.faiss", params))
    keep(world, "publish", time.perf_counter() - began)
    shutil.rmtree(folder)


def _ids(profiles: Profiles, times: int) -> Iterator[pa.Array]:
    """Item ids: the smaller catalogue's own, then as many for each further time."""
    ids = profiles.segments[0].rows(["item_id"])["item_id"].combine_chunks()
    for number in range(times):
        yield ids if not number else pa.array([f"{number}-{item}" for item in ids.to_pylist()])


def _write_vectors(profiles: Profiles, times: int, path: Path) -> None:
    if path.exists():
        return
    own_ND: NDArray[np.float32] = np.array(profiles.searcher.segments[0].vectors)
    n, dim = own_ND.shape
    making = path.with_suffix(".making")
    target = np.lib.format.open_memmap(making, "w+", np.float32, (n * times, dim))
    target[:n] = own_ND
    for number in range(1, times):
        rng = np.random.default_rng((SEED, number))
        mixed_ND = own_ND + own_ND[rng.permutation(n)]
        mixed_ND += rng.standard_normal(mixed_ND.shape, np.float32) * np.float32(NOISE / np.sqrt(dim))
        mixed_ND /= np.linalg.norm(mixed_ND, axis=1, keepdims=True)
        target[number * n : (number + 1) * n] = mixed_ND
    target.flush()
    making.rename(path)


def _write_rows(profiles: Profiles, times: int, path: Path) -> None:
    rows = profiles.segments[0].rows()
    place = rows.schema.get_field_index("item_id")
    tables = [rows.set_column(place, "item_id", ids) for ids in _ids(profiles, times)]
    pq.write_table(pa.concat_tables(tables), path)


def _write_details(profiles: Profiles, times: int, path: Path) -> None:
    (released,) = profiles.manifest.segments
    if released.details is None:
        raise SystemExit("the smaller catalogue has no details")
    table = open_details(profiles.files.path(released.details), released.n_items)
    place = table.schema.get_field_index("item_id")
    tables = [table.set_column(place, table.schema.field("item_id"), ids) for ids in _ids(profiles, times)]
    write_arrow(path, pa.concat_tables(tables).combine_chunks())


def _write_terms(profiles: Profiles, times: int, path: Path) -> None:
    (released,) = profiles.manifest.segments
    if released.terms is None:
        raise SystemExit("the smaller catalogue has no words")
    own = open_terms(profiles.files.path(released.terms), released.n_items)
    write_arrow(path, _repeated(own, released.n_items, times))


def _repeated(own: SegmentTerms, n_items: int, times: int) -> pa.Table:
    """The words of each item again, for each further time."""
    lengths_V = np.diff(own.offsets_V)
    term_P = np.repeat(np.arange(len(lengths_V), dtype=np.int32), lengths_V)
    order = np.argsort(np.tile(term_P, times), kind="stable")
    row_P = np.concatenate([own.row_P + np.int32(number * n_items) for number in range(times)])[order]
    count_P = np.tile(own.count_P, times)[order]
    postings = pa.StructArray.from_arrays(
        [pa.array(row_P), pa.array(count_P)], fields=list(TERMS.field("postings").type.value_type)
    )
    lists = pa.LargeListArray.from_arrays(pa.array(own.offsets_V * times), postings)
    return pa.Table.from_arrays([own.terms_V, lists], schema=TERMS)


def _publish(profiles: Profiles, world: World, folder: Path, settings: Settings, recall: float) -> None:
    """Write the objects and the manifest, and point to it."""
    hasher = Hasher(())
    names = ("rows.parquet", "vectors.npy", "details.arrow", "terms.arrow", "index.faiss")
    rows, vectors, details, terms, index = (hasher.hashed(folder / name) for name in names)
    (segment,) = profiles.manifest.segments
    kind = index_kind(np.load(folder / "vectors.npy", mmap_mode="r"), settings.index)
    wider = segment.model_copy(
        update={
            "name": f"{segment.parts[0]}-{hashlib.sha256(vectors.sha256.encode()).hexdigest()[:16]}",
            "n_items": world.size,
            "rows": rows,
            "vectors": vectors,
            "details": details,
            "terms": terms,
            "index": SegmentIndex(kind=kind, file=index, recall=recall),
        }
    )
    manifest = profiles.manifest.model_copy(
        update={
            "segments": (wider,),
            "format": max(CHOSEN, format_of_indexes([wider])),
            "parent": None,
            "smoke": (),
            "index_recall": recall,
        }
    )
    store = ReleaseStore(open_storage(world.store))
    sources = {**hasher.sources, **_unchanged(profiles, manifest, [rows, vectors, details, terms, index])}
    files = ObjectFiles(store.storage, folder / "cache", sources)
    minimum = settings.publish.min_index_recall
    found = users_recall(Profiles(manifest, files), settings.index, minimum)
    require_index_recall(manifest, found, minimum)
    manifest = manifest.model_copy(update={"search_width": found.search_width if found else None})
    store.upload(manifest, sources, ())
    store.write_manifest(manifest)
    store.swap(store.pointer(), manifest.id, None, "bench.serve_wider")


def _unchanged(profiles: Profiles, manifest: Manifest, new: list[File]) -> dict[str, Path]:
    """Files that are the smaller catalogue's too."""
    made = {file.sha256 for file in new}
    return {file.sha256: profiles.files.path(file) for file in manifest.files() if file.sha256 not in made}


if __name__ == "__main__":
    main()
