"""Exact inner products, in blocks."""

import numpy as np
import pytest

from recsys.retrieval import in_place
from recsys.retrieval.in_place import row_by_row


@pytest.mark.parametrize("n", [0, 1, 3, 7])
def test_inner_products_do_not_depend_on_how_many_rows_are_multiplied_at_once(
    n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(n)
    vectors_ND, query_D = rng.standard_normal((n, 1000), np.float32), rng.standard_normal(1000, np.float32)
    expected = (vectors_ND.astype(np.float64) * query_D.astype(np.float64)).sum(axis=1)
    monkeypatch.setattr(in_place, "SUMMED_ROWS", 3)
    assert row_by_row(vectors_ND, query_D).tolist() == expected.tolist()
    assert row_by_row(vectors_ND[::-1], query_D).tolist() == expected[::-1].tolist()
