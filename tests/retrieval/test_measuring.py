"""The width of a search grows until it finds enough, and is kept in the file."""

from pathlib import Path

import numpy as np

from recsys.profiles.item_ids import ItemIds
from recsys.profiles.items import Latest
from recsys.retrieval.index_building import build_index, set_search_width
from recsys.retrieval.index_file import IndexFile
from recsys.retrieval.measuring import _Sample, index_recall, widen
from recsys.retrieval.segments import IndexedSegment, SegmentSearcher
from tests.retrieval.test_segments import PARAMS, WIDE, like_texts
from tests.unit_rows import unit_rows

NARROW = PARAMS.model_copy(update={"search_width": 40, "links": 16})


def test_a_search_is_widened_as_far_as_it_must_be_and_no_further(tmp_path: Path) -> None:
    vectors = unit_rows(np.random.default_rng(1), 8000, 128)  # without any structure, which is hard to search
    build_index(vectors, NARROW, tmp_path / "narrow.faiss")
    poor = index_recall(vectors, tmp_path / "narrow.faiss", NARROW)
    assert poor < 0.95
    index = tmp_path / "index.faiss"
    for wanted, width in ((0.0, 40), (poor + 0.001, 80), (1.0, 160)):
        params = NARROW.model_copy(update={"least_recall": wanted})
        index.write_bytes((tmp_path / "narrow.faiss").read_bytes())
        found = widen(vectors, index, params)
        assert IndexFile(index, *vectors.shape).search_width == width
        assert found == index_recall(vectors, index, params)
        assert (found > poor) == (width > 40)


def test_a_graph_over_signs_takes_another_width(tmp_path: Path) -> None:
    vectors = like_texts(np.random.default_rng(3), 300, WIDE)
    build_index(vectors, PARAMS, tmp_path / "index.faiss")
    before = (tmp_path / "index.faiss").stat().st_size
    set_search_width(tmp_path / "index.faiss", 123)
    assert IndexFile(tmp_path / "index.faiss", *vectors.shape).search_width == 123
    assert (tmp_path / "index.faiss").stat().st_size == before
    segments = [IndexedSegment(vectors, tmp_path / "index.faiss"), IndexedSegment(vectors[:9])]
    latest = Latest(ItemIds(map(str, range(300))), np.zeros(300, np.int32), np.arange(300))
    assert SegmentSearcher(segments, latest).widest == 123
    assert SegmentSearcher(segments[1:], latest).widest == 0


def test_the_only_vector_of_a_segment_is_not_measured(tmp_path: Path) -> None:
    one = unit_rows(np.random.default_rng(2), 1, 16)
    build_index(one, PARAMS, tmp_path / "index.faiss")
    assert widen(one, tmp_path / "index.faiss", PARAMS) == 1


def test_queries_leave_out_what_completes_unit_length(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    vectors = unit_rows(rng, 3000, 128)
    vectors[:, 0] = np.linspace(0.5, 30, 3000)  # long: every list would hold the items that lack most
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = tmp_path / "index.faiss"
    build_index(vectors, NARROW, index)
    asked = _Sample(vectors, NARROW, 5)._queries_QD
    assert not asked[:, 0].any() and asked[:, 1:].any()
    assert (_Sample(vectors, NARROW, 0)._queries_QD[:, 0] > 0).all()
    assert index_recall(vectors, index, NARROW, 5) != index_recall(vectors, index, NARROW)
