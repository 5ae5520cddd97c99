"""Make every vector reachable in a graph: those that no path reaches, and those that equal another one."""

import numpy as np
from numpy.typing import NDArray

# Shape suffixes: N vectors, D dimension, L links.
NONE = -1
BLOCK_ROWS = 8192
CHILDREN = 8
"""Equal vectors that one of them links to, where it has room."""


def first_of_equal(vectors_ND: NDArray[np.float32]) -> NDArray[np.int64]:
    """For each row, the first row with the same bytes, [N]."""
    n = len(vectors_ND)
    factors_D = np.random.default_rng(0).integers(
        1, 1 << 62, vectors_ND.shape[1], dtype=np.uint64
    ) | np.uint64(1)
    keys_N = np.empty(n, np.uint64)
    for start in range(0, n, BLOCK_ROWS):
        words_BD = vectors_ND[start : start + BLOCK_ROWS].view(np.uint32)
        keys_N[start : start + BLOCK_ROWS] = (words_BD * factors_D).sum(axis=1, dtype=np.uint64)
    first_N = np.arange(n)
    order_N = np.argsort(keys_N, kind="stable")
    bounds = np.flatnonzero(np.concatenate([[True], np.diff(keys_N[order_N]) != 0, [True]]))
    for group in np.flatnonzero(np.diff(bounds) > 1):
        rows = order_N[bounds[group] : bounds[group + 1]]
        for start in range(0, len(rows), BLOCK_ROWS):
            some = rows[start : start + BLOCK_ROWS]
            # Another vector that happens to have the same key stays on its own.
            first_N[some[(vectors_ND[some] == vectors_ND[rows[0]]).all(axis=1)]] = rows[0]
    return first_N


def attach_equal(links_NL: NDArray[np.int32], first_N: NDArray[np.int64]) -> None:
    """Add, in place, the vectors that equal an earlier one to a graph of the others.

    The first one links to the second, which links to CHILDREN others, and so on. Each also has links of the first.

    Args:
        links_NL: links of the vectors that are the first of their kind, with a free place each; NONE for the others.
        first_N: made by `first_of_equal`.
    """
    n_children = min(CHILDREN, links_NL.shape[1] - 1)  # one place is for the link back
    others = np.flatnonzero(first_N != np.arange(len(first_N)))
    others = others[np.argsort(first_N[others], kind="stable")]
    starts = np.flatnonzero(np.diff(first_N[others])) + 1
    for rows in np.split(others, starts) if len(others) else ():
        first = first_N[rows[0]]
        of_first = links_NL[first][links_NL[first] != NONE]
        links_NL[first, len(of_first)] = rows[0]
        for place, row in enumerate(rows):
            children = rows[n_children * place + 1 : n_children * (place + 1) + 1]
            own = np.concatenate([[first], children, of_first])[: links_NL.shape[1]]
            links_NL[row, : len(own)] = own


def reachable(links_NL: NDArray[np.int32], entry: int) -> NDArray[np.bool_]:
    """Which vectors a walk along links from `entry` can reach, [N]."""
    is_reached_N = np.zeros(len(links_NL), np.bool_)
    is_reached_N[entry] = True
    new = np.array([entry])
    while len(new):
        ends = links_NL[new]
        is_found_N = np.zeros(len(links_NL), np.bool_)
        is_found_N[ends[ends != NONE]] = True
        new = np.flatnonzero(is_found_N & ~is_reached_N)
        is_reached_N[new] = True
    return is_reached_N


def connect(
    vectors_ND: NDArray[np.float32], links_NL: NDArray[np.int32], cells: list[NDArray[np.int64]], entry: int
) -> None:
    """Link, in place, every vector that cannot be reached from `entry`, from a near one that can.

    Args:
        vectors_ND: unit rows.
        links_NL: a place of each row is free, except in vectors that equal an earlier one.
        cells: rows of each cell; each row that is the first of its kind is in one.
        entry: where searches begin.
    """
    n_links_N = (links_NL != NONE).sum(axis=1)
    while not (is_reached_N := reachable(links_NL, entry)).all():
        is_lost_N = ~is_reached_N
        is_host_N = is_reached_N & (n_links_N < links_NL.shape[1])
        for cell in cells:
            for lost, host in _hosts(vectors_ND, cell[is_lost_N[cell]], cell[is_host_N[cell]]):
                _link(links_NL, n_links_N, host, lost)
                is_lost_N[lost], is_host_N[host] = False, False
        if (is_lost_N == ~is_reached_N).all():  # whole cells are apart
            _link(links_NL, n_links_N, int(np.flatnonzero(is_host_N)[0]), int(np.flatnonzero(is_lost_N)[0]))


def _hosts(
    vectors_ND: NDArray[np.float32], lost: NDArray[np.int64], hosts: NDArray[np.int64]
) -> list[tuple[int, int]]:
    """Give each lost vector the nearest host that no earlier one has; none where there are too few."""
    if not len(lost) or not len(hosts):
        return []
    scores = vectors_ND[lost] @ vectors_ND[hosts].T
    pairs = []
    for place in range(min(len(lost), len(hosts))):
        host = int(scores[place].argmax())
        scores[:, host] = -np.inf
        pairs.append((int(lost[place]), int(hosts[host])))
    return pairs


def _link(links_NL: NDArray[np.int32], n_links_N: NDArray[np.int64], start: int, end: int) -> None:
    links_NL[start, n_links_N[start]] = end
    n_links_N[start] += 1
