"""Sizes of arrays, counted in files that the product writes."""

import numpy as np
import pytest

from recsys.planning.sizes import cache_bytes, gram_bytes, index_bytes, vectors_bytes
from recsys.profiles.cache import VectorCache
from recsys.profiles.gram import gram_of
from recsys.retrieval.index_building import build_index
from recsys.retrieval.params import IndexParams
from tests.unit_rows import unit_rows


@pytest.mark.parametrize("n", [1_000, 10_000])
def test_vectors_and_cache_take_exactly_so_many_bytes(tmp_path, n):
    rows = unit_rows(np.random.default_rng(n), n, 24)
    np.save(tmp_path / "rows.npy", rows)
    assert (tmp_path / "rows.npy").stat().st_size == vectors_bytes(n, 24) == 128 + n * 96
    cache = VectorCache(tmp_path / "cache", 24)
    cache.add([f"{number:064x}" for number in range(n)], rows)
    written = sum(path.stat().st_size for path in (tmp_path / "cache").iterdir())
    assert written == cache_bytes(n, 24) == 256 + n * 136


def test_a_gram_matrix_does_not_grow_with_items(tmp_path):
    for n in (100, 1_000):
        np.save(tmp_path / "gram.npy", gram_of(unit_rows(np.random.default_rng(n), n, 24)))
        assert (tmp_path / "gram.npy").stat().st_size == gram_bytes(24) == 128 + 24 * 24 * 8


@pytest.mark.parametrize(("n", "width", "links"), [(1_000, 48, 32), (10_000, 48, 32), (1_000, 200, 16)])
def test_index_files_are_as_large_as_expected_within_two_per_cent(tmp_path, n, width, links):
    params = IndexParams(
        exact_below=0, links=links, search_width=100, least_recall=0, recall_queries=10, seed=1
    )
    build_index(unit_rows(np.random.default_rng(n), n, width), params, tmp_path / "index")
    assert (tmp_path / "index").stat().st_size == pytest.approx(index_bytes(n, width, links), rel=0.02)
