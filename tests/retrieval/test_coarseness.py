"""How many rows a comparison of signs lists."""

import pytest

from recsys.retrieval.coarseness import COPIES, SIGNS

VIEWED = 400


@pytest.mark.parametrize(
    ("n_allowed", "share", "times"),
    [
        (100_000, 1.0, 1),
        (85_000, 0.85, 1),
        (70_000, 0.7, SIGNS.listed),  # what was nearest may be what a filter took out
        (20_000, 1.0, SIGNS.listed),
        (500, 0.005, SIGNS.listed),
    ],
)
def test_more_rows_are_listed_where_nothing_near_may_be_left(
    n_allowed: int, share: float, times: int
) -> None:
    assert SIGNS.n_listed(n_allowed, share, VIEWED) == times * VIEWED
    assert COPIES.n_listed(n_allowed, share, VIEWED) == VIEWED
