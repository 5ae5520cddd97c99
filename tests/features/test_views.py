import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_array

from recsys.errors import BatchRefused
from recsys.features.evidence import Evidence
from recsys.features.views import DenseView, SparseView, check_rows, coverage, renamed, stack, take
from recsys.features.views_file import read_views, write_views

SPARSE = SparseView(("a", "b", "c"), csr_array(np.array([[1, 0, 2], [0, 0, 0], [0, 0.5, 0]], np.float32)))
DENSE = DenseView(np.array([[0.6, 0.8], [0, 0], [1, 0]], np.float32), "model 1")


def test_rows_are_taken_in_the_given_order_with_the_same_names_and_source():
    found = take({"relations": SPARSE, "image": DENSE}, np.array([2, 0]))
    np.testing.assert_array_equal(found["relations"].rows_NE.toarray(), [[0, 0.5, 0], [1, 0, 2]])
    np.testing.assert_array_equal(found["image"].vectors_ND, DENSE.vectors_ND[[2, 0]])
    assert found["relations"].names == SPARSE.names and found["image"].source == "model 1"


def test_coverage_counts_the_items_with_any_evidence():
    assert coverage({"relations": SPARSE, "image": DENSE}) == {"relations": 2 / 3, "image": 2 / 3}
    assert coverage({"image": DENSE.take(np.array([], np.int64))}) == {"image": 0.0}


def test_views_of_several_files_are_stacked_with_the_names_of_all():
    other = SparseView(("b", "d"), csr_array(np.array([[3, 4]], np.float32)))
    found = stack([other, SPARSE])
    assert found.names == ("a", "b", "c", "d")
    np.testing.assert_array_equal(found.rows_NE.toarray()[:2], [[0, 3, 0, 4], [1, 0, 2, 0]])
    np.testing.assert_array_equal(stack([DENSE, DENSE.take(np.array([2]))]).vectors_ND[3], [1, 0])


@pytest.mark.parametrize(
    "other", [SPARSE, DenseView(DENSE.vectors_ND, "model 2"), DenseView(np.eye(3), "model 1")]
)
def test_views_that_cannot_be_compared_are_not_stacked(other):
    with pytest.raises(ValueError, match="cannot be stacked"):
        stack([DENSE, other])


def test_names_that_are_not_known_are_dropped():
    np.testing.assert_array_equal(renamed(SPARSE, ["c", "z"]).toarray(), [[2, 0], [0, 0], [0, 0]])


def test_a_weight_of_zero_is_no_evidence():
    rows = csr_array((np.zeros(1, np.float32), ([0], [0])), shape=(1, 1))
    view = SparseView(("a",), rows)
    assert not view.has_N.any() and rows.nnz == 1  # what was handed in stays as it was


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_a_weight_that_is_none_is_refused(bad):
    with pytest.raises(ValueError, match="negative or not finite"):
        SparseView(("a",), csr_array(np.array([[bad]], np.float32)))


def test_names_that_repeat_or_do_not_fit_the_columns_are_refused():
    with pytest.raises(ValueError, match="twice"):
        SparseView(("a", "a"), csr_array(np.ones((1, 2), np.float32)))
    with pytest.raises(ValueError, match="1 names has rows"):
        SparseView(("a",), csr_array(np.ones((1, 2), np.float32)))


@pytest.mark.parametrize("row", [[0.5, 0.5], [np.nan, 0], [np.inf, 0]])
def test_a_vector_that_is_neither_unit_nor_zero_is_refused_with_its_row(row):
    with pytest.raises(ValueError, match="row 1 of a dense view"):
        DenseView(np.array([[1, 0], row], np.float32), "model 1")


def test_views_of_another_number_of_items_are_refused_by_name():
    check_rows({"image": DENSE}, 3)
    with pytest.raises(ValueError, match="'image' has 3 rows, not 4"):
        check_rows({"image": DENSE}, 4)


@pytest.mark.parametrize("most", [3, 4])
def test_more_numbers_than_a_list_column_counts_are_refused_before_anything_is_written(
    tmp_path, monkeypatch, most
):
    monkeypatch.setattr("recsys.features.views_file.MOST_NUMBERS", most)
    ids = pa.array(["a", "b"])
    views = {
        "audio": DenseView(np.eye(2, dtype=np.float32), "model"),
        "relations": SparseView(("x", "y", "z"), csr_array(np.array([[1, 1, 0], [0, 1, 1]], np.float32))),
    }
    evidence = Evidence(ids, ("1" * 64, "2" * 64), views)
    path = tmp_path / "000001-a-0123456789abcdef.views.parquet"
    if most == 4:
        write_views(path, evidence, ids)
        assert read_views([path]).views["audio"].vectors_ND.tolist() == [[1, 0], [0, 1]]
        return
    with pytest.raises(BatchRefused, match="view 'audio' holds 4 numbers of one part, at most 3") as refused:
        write_views(path, evidence, ids)
    assert refused.value.remedy and not path.exists()
