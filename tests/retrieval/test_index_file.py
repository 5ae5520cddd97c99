"""Index files from a store that others may write: what would lead a search astray is refused before the search."""

import os
import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import ReleaseError
from recsys.retrieval.coarseness import COPIES, SIGNS, common_share, index_kind
from recsys.retrieval.index_building import build_index
from recsys.retrieval.index_file import IndexFile, load_faiss
from recsys.retrieval.params import WIDEST_SEARCH
from recsys.retrieval.rotation import rotated
from tests.retrieval.old_files import graph_file, hnsw_file, ivf_file
from tests.retrieval.test_segments import KINDS, PARAMS, WIDE
from tests.unit_rows import unit_rows

N, DIM = 600, 16
GRAPHS = ["signs", "compact", "hnsw"]


@pytest.fixture(scope="module")
def vectors():
    return unit_rows(np.random.default_rng(0), N, DIM)


@pytest.fixture(scope="module")
def vectors_of(vectors):
    wide = unit_rows(np.random.default_rng(0), N, WIDE)
    return {kind: wide if kind == "signs" else vectors for kind in KINDS}


@pytest.fixture(scope="module")
def contents(vectors_of, tmp_path_factory):
    path = tmp_path_factory.mktemp("graph") / "index.faiss"
    made = {}
    for kind in ("signs", "compact"):
        build_index(vectors_of[kind], PARAMS, path)
        made[kind] = path.read_bytes()
    return made | {"hnsw": hnsw_file(vectors_of["hnsw"]), "ivf": ivf_file(vectors_of["ivf"])}


def unpacked(content):
    """The faiss index of a file's content."""
    import faiss

    is_signs = content[:4] == b"IBHf"
    return (faiss.deserialize_index_binary if is_signs else faiss.deserialize_index)(
        np.frombuffer(content, np.uint8)
    )


def packed(index):
    import faiss

    is_signs = isinstance(index, faiss.IndexBinary)
    return (faiss.serialize_index_binary if is_signs else faiss.serialize_index)(index).tobytes()


@pytest.fixture
def opened(tmp_path):
    def open_it(content, n=N, dim=None):
        dim = dim or (WIDE if content[:4] == b"IBHf" else DIM)
        path = tmp_path / "index.faiss"
        path.write_bytes(content)
        return IndexFile(path, n, dim)

    return open_it


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_built_is_opened_and_finds_the_vector_itself(opened, contents, vectors_of, kind):
    found = opened(contents[kind]).search(vectors_of[kind][:5], 10)
    assert all(row in found[row] for row in range(5))


def test_a_graph_over_copies_of_8_bits_is_opened_and_searched_as_it_was(opened, vectors):
    file = opened(graph_file(vectors))
    assert file.search(vectors[:5], 1)[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert [one.rows_R[0] for one in file.scan(vectors[5:7], 1, 1, np.ones(N, bool))] == [5, 6]


@pytest.mark.parametrize(("dim", "bits", "error"), [(255, 8, 0.002), (256, 4, 0.01)])
def test_copies_take_their_bits_and_score_as_the_vectors_do(tmp_path, dim, bits, error):
    """The vectors have all of their length in a tenth of the dimensions, which is spread by the rotation."""
    import faiss

    rng = np.random.default_rng(1)
    vectors = np.zeros((300, dim), np.float32)
    vectors[:, : dim // 10] = unit_rows(rng, 300, dim // 10)
    build_index(vectors, PARAMS, tmp_path / "index.faiss")
    index = faiss.read_index(str(tmp_path / "index.faiss"))  # owns its storage
    storage = faiss.downcast_index(index.storage)
    assert storage.code_size == -(-dim * bits // 8)
    scores, rows = storage.search(rotated(vectors[:20]), 300)
    truth = np.take_along_axis(vectors[:20] @ vectors.T, rows, axis=1)
    assert np.std(scores - truth) < error
    found = IndexFile(tmp_path / "index.faiss", 300, dim).search(vectors[:20], 1)
    assert found[:, 0].tolist() == list(range(20))


@given(st.integers(1, 70), st.integers(0, 2**32 - 1))
def test_a_rotation_keeps_inner_products_at_any_width(dim, seed):
    some = np.random.default_rng(seed).standard_normal((3, dim)).astype(np.float32)
    assert rotated(some) @ rotated(some).T == pytest.approx(some @ some.T, rel=1e-4, abs=1e-4)


def metric_at(content):
    """Where the head of a file says how vectors are compared."""
    return 21 if content[:4] == b"IBHf" else 33


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda c: b"",
        lambda c: c[:20],
        lambda c: c[:200],
        lambda c: c[:-50],
        lambda c: b"IxFI" + c[4:],
        lambda c: c[:4] + b"\xff" * 4000,
        lambda c: c[:8] + struct.pack("<q", 10**12) + c[16:],
        lambda c: c[:4] + struct.pack("<i", 10**6) + c[8:],
        lambda c: c[: metric_at(c)] + struct.pack("<i", 7) + c[metric_at(c) + 4 :],
    ],
    ids=["empty", "head", "cut", "short", "kind", "ones", "count", "width", "metric"],
)
def test_a_file_that_is_no_such_index_is_refused_by_name(opened, contents, kind, spoil):
    with pytest.raises(
        ReleaseError, match=r"index\.faiss is not an index of 600 vectors of width (16|768)"
    ) as refused:
        opened(spoil(contents[kind]))
    assert "open another release" in refused.value.remedy


@pytest.mark.parametrize(("n", "dim"), [(N + 1, DIM), (N, DIM + 1)])
def test_an_index_of_another_segment_is_refused(opened, contents, n, dim):
    with pytest.raises(ReleaseError, match="it has 600 vectors of width 16"):
        opened(contents["compact"], n, dim)
    with pytest.raises(ReleaseError, match="it has 600 vectors of 768 signs"):
        opened(contents["signs"], n, dim + WIDE - DIM)


@pytest.mark.parametrize("kind", GRAPHS)
def test_a_neighbour_that_is_no_vector_or_takes_no_part_on_its_level_is_refused(opened, contents, kind):
    """faiss reads the third of these files, and a search would then read beyond the graph."""
    import faiss

    content = contents[kind]
    index = unpacked(content)
    graph = index.hnsw
    levels, offsets = faiss.vector_to_array(graph.levels), faiss.vector_to_array(graph.offsets)
    neighbours, low = faiss.vector_to_array(graph.neighbors), int(np.flatnonzero(levels == 1)[0])
    upper = int(
        offsets[np.flatnonzero(levels == 2)[0]] + faiss.vector_to_array(graph.cum_nneighbor_per_level)[1]
    )
    at = content.index(neighbours.tobytes())
    for place, neighbour, says in (
        (3, N, "out of range"),
        (3, -7, "out of range"),
        (upper, low, "not on its level"),
    ):
        damaged = neighbours.copy()
        damaged[place] = neighbour
        with pytest.raises(ReleaseError, match=says):
            opened(content[:at] + damaged.tobytes() + content[at + neighbours.nbytes :])


@pytest.mark.parametrize("kind", GRAPHS)
def test_a_graph_whose_levels_are_other_ones_is_refused(opened, contents, kind):
    import faiss

    content = contents[kind]
    index = unpacked(content)
    levels = faiss.vector_to_array(index.hnsw.levels)
    at = content.index(levels.tobytes())
    for place, level in ((0, 90), (int(np.flatnonzero(levels == 1)[0]), 2)):
        damaged = levels.copy()
        damaged[place] = level
        with pytest.raises(ReleaseError, match="is not an index"):
            opened(content[:at] + damaged.tobytes() + content[at + levels.nbytes :])


def test_a_segment_without_vectors_has_no_graph():
    params = PARAMS.model_copy(update={"exact_below": 0})
    vectors = unit_rows(np.random.default_rng(1), 1, 16)
    assert [index_kind(vectors[:n], params) for n in (0, 1)] == ["exact", "compact"]


def test_wide_vectors_are_searched_by_their_signs():
    rng = np.random.default_rng(1)
    assert [index_kind(unit_rows(rng, N, dim), PARAMS) for dim in (WIDE - 1, WIDE)] == ["compact", "signs"]


def test_longer_lists_keep_more_signs_in_view_up_to_the_widest_search():
    assert [SIGNS.n_needed(400, k) for k in (1, 10, 11, 100)] == [400, 400, 410, 1300]
    assert [SIGNS.n_needed(width, 100) for width in (WIDEST_SEARCH - 1, WIDEST_SEARCH)] == [WIDEST_SEARCH] * 2
    assert COPIES.n_needed(400, 100) == 400


def test_wide_vectors_that_have_much_in_common_are_not_searched_by_their_signs(tmp_path):
    filled = unit_rows(np.random.default_rng(1), N, WIDE)
    filled[:, 0] = 1  # as what brings profiles with words to unit length
    filled /= np.linalg.norm(filled, axis=1, keepdims=True)
    assert common_share(filled) == pytest.approx(0.5, abs=0.01)
    assert index_kind(filled, PARAMS) == "compact"
    build_index(filled, PARAMS, tmp_path / "index.faiss")
    assert isinstance(unpacked((tmp_path / "index.faiss").read_bytes()), load_faiss().IndexHNSWSQ)


def of_width(content, width):
    index = unpacked(content)
    index.hnsw.efSearch = width
    return packed(index)


@pytest.mark.parametrize("kind", GRAPHS)
@pytest.mark.parametrize("width", [0, -1])
def test_a_file_whose_search_keeps_nothing_is_refused(opened, contents, kind, width):
    with pytest.raises(ReleaseError, match=f"its search keeps {width} rows in view"):
        opened(of_width(contents[kind], width))


@pytest.mark.parametrize("kind", GRAPHS)
def test_a_file_that_asks_for_an_endless_search_gets_a_bounded_one(opened, contents, vectors_of, kind):
    file = opened(of_width(contents[kind], 10**9))
    assert file.search_width == WIDEST_SEARCH
    assert file.search(vectors_of[kind][:1], 1)[0, 0] == 0


def test_vectors_that_are_stored_in_another_way_are_refused(opened, vectors):
    import faiss

    index = faiss.IndexHNSWSQ(DIM, faiss.ScalarQuantizer.QT_fp16, 16, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    with pytest.raises(ReleaseError, match="stored in another way"):
        opened(faiss.serialize_index(index).tobytes())


def test_signs_that_are_stored_in_another_way_are_refused(opened):
    import faiss

    index = faiss.IndexBinaryIVF(faiss.IndexBinaryFlat(WIDE), WIDE, 1)
    content = packed(index)
    with pytest.raises(ReleaseError, match="is not an index"):
        opened(b"IBHf" + content[4:])


def test_a_list_with_a_row_of_elsewhere_is_refused(opened, contents):
    import faiss

    index = faiss.deserialize_index(np.frombuffer(contents["ivf"], np.uint8))
    lists = faiss.downcast_InvertedLists(index.invlists)
    rows = faiss.rev_swig_ptr(lists.get_ids(0), lists.list_size(0)).copy()
    at = contents["ivf"].index(rows.tobytes())
    rows[0] = N
    with pytest.raises(ReleaseError, match="a row that is not in the segment"):
        opened(contents["ivf"][:at] + rows.tobytes() + contents["ivf"][at + rows.nbytes :])


ASKS_THEN_FORKS = """
import multiprocessing, sys
from pathlib import Path
import numpy as np
from recsys.retrieval.index_file import IndexFile
path, n, dim = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
index, one = IndexFile(path, n, dim), np.ones((1, dim), np.float32)
def ask():
    index.search(one, 10)
    index.scan(one, 10, 10, np.ones(n, np.bool_))
def ask_of_many():
    index.scan(np.ones((5, dim), np.float32), 10, 10, np.ones(n, np.bool_))
ask()
for call in (ask, ask_of_many):
    worker = multiprocessing.get_context("fork").Process(target=call)
    worker.start()
    worker.join(20)
    worker.kill()
    assert worker.exitcode == 0, worker.exitcode
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_process_that_has_asked_with_one_query_may_fork_others_that_ask(contents, tmp_path, kind):
    path = tmp_path / "index.faiss"
    path.write_bytes(contents[kind])
    dim = WIDE if kind == "signs" else DIM
    command = [sys.executable, "-c", ASKS_THEN_FORKS, str(path), str(N), str(dim)]
    subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "2"}, check=True)
