"""How many rows a comparison of signs lists."""

import pytest

from recsys.retrieval.coarseness import COPIES, SIGNS

VIEWED = 400


@pytest.mark.parametrize(("n_allowed", "times"), [(100_000, 1), (20_000, SIGNS.listed), (500, SIGNS.listed)])
def test_more_rows_are_listed_where_there_are_few(n_allowed: int, times: int) -> None:
    assert SIGNS.n_listed(n_allowed, VIEWED) == times * VIEWED
    assert COPIES.n_listed(n_allowed, VIEWED) == VIEWED
