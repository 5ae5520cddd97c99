"""8-bit copies, against comparing all vectors."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.retrieval.coarse import CoarseRows
from recsys.retrieval.params import SIGNS_FROM


def unit(vectors_ND):
    return (vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)).astype(np.float32)


def possible_best(vectors_ND, query_D, k, without=(), factor_N=None, added_N=None, least=-np.inf):
    n = len(vectors_ND)
    is_left_N = ~np.isin(np.arange(n), without)
    factor_N = np.ones(n) if factor_N is None else factor_N
    added_N = np.zeros(n) if added_N is None else added_N
    return CoarseRows.of(vectors_ND).possible_best(query_D, k, is_left_N, factor_N, added_N, least)


@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_none_of_the_best_is_left_out(data):
    draw = np.random.default_rng(data.draw(st.integers(0, 10_000)))
    n, dim = data.draw(st.integers(2, 300)), data.draw(st.sampled_from([1, 3, 32, 100, 2048]))
    spread_D = draw.pareto(data.draw(st.sampled_from([0.5, 3.0])), dim) + 0.01  # some dimensions far larger
    vectors_ND = unit(draw.standard_normal((n, dim)) * spread_D)
    vectors_ND[n // 2 :] = vectors_ND[: n - n // 2]  # equal ones
    size = data.draw(st.sampled_from([1e-3, 1, 50]))
    query_D = (draw.standard_normal(dim) / spread_D * size).astype(np.float32)
    factor_N, added_N = (
        draw.uniform(0.1, 3, n),
        draw.standard_normal(n) * data.draw(st.sampled_from([0, size])),
    )
    without = draw.choice(n, data.draw(st.integers(0, n - 1)), replace=False)
    k = data.draw(st.integers(1, n - len(without)))
    exact_N = vectors_ND.astype(np.float64) @ query_D.astype(np.float64) * factor_N + added_N
    left = np.setdiff1d(np.arange(n), without)
    least = data.draw(st.sampled_from([-np.inf, float(np.median(exact_N))]))
    edge = max(least, np.sort(exact_N[left])[-k])
    found = possible_best(vectors_ND, query_D, k, without, factor_N, added_N, least)
    assert {*left[exact_N[left] >= edge].tolist()} <= {*found.tolist()} <= {*left.tolist()}
    assert (np.diff(found) > 0).all()


@pytest.mark.parametrize("dim", [128, 1024])
def test_few_are_left_to_compare(dim):
    vectors_ND = topics(dim, 5000)
    rows, everywhere = CoarseRows.of(vectors_ND), np.ones(5000, np.bool_)
    assert (rows.signs is not None) == (dim >= SIGNS_FROM)
    lengths = [
        len(rows.possible_best(query_D, 10, everywhere, np.ones(5000), np.zeros(5000)))
        for query_D in vectors_ND[:50]
    ]
    assert np.median(lengths) < (20 if dim == 128 else 80)  # inner products of more numbers differ less


def test_long_lists_of_wide_vectors_hold_the_best_too():
    vectors_ND = topics(1024, 3000)
    for query_D in vectors_ND[:5]:
        found = possible_best(vectors_ND, query_D, 900)  # more than FEW are left by their signs
        best = np.argsort(-(vectors_ND.astype(np.float64) @ query_D.astype(np.float64)))[:900]
        assert {*best.tolist()} <= {*found.tolist()} and len(found) < 2000


def topics(dim, n):
    draw = np.random.default_rng(3)
    topics_TD = draw.standard_normal((40, dim))
    return unit(topics_TD[draw.integers(0, 40, n)] + draw.standard_normal((n, dim)))


def test_a_query_without_direction_leaves_all_and_a_list_that_is_too_long_what_there_is():
    eye = np.eye(4, dtype=np.float32)
    assert possible_best(eye, np.zeros(4, np.float32), 2).tolist() == [0, 1, 2, 3]
    assert possible_best(eye, np.ones(4, np.float32), 3, [0, 1]).tolist() == [2, 3]
    assert possible_best(eye, np.ones(4, np.float32), 3, [0, 1, 2, 3]).tolist() == []
    assert possible_best(eye, np.ones(4, np.float32), 3, least=1.5).tolist() == []


def test_dimensions_of_nothing_and_of_next_to_nothing_are_left_out():
    vectors_ND = np.array([[1, 0, 1e-45], [0.6, 0, 0.8e-45], [0.8, 0, 0]], np.float32)
    rows = CoarseRows.of(vectors_ND)
    assert np.isfinite(rows.taken_N).all() and np.isfinite(rows.length_N).all()
    assert 0 in possible_best(vectors_ND, np.array([1, 1, 1], np.float32), 1)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads as Linux tells them")
def test_copies_are_made_without_a_team_of_threads_which_a_fork_would_lose():
    code = (
        "import os, numpy as np, scipy.linalg; from recsys.retrieval.index_file import load_faiss; load_faiss(); "
        "from recsys.retrieval.coarse import CoarseRows; before = len(os.listdir('/proc/self/task')); "
        "CoarseRows.of(np.eye(4096, 64, dtype=np.float32) + np.float32(0.1)); "
        "print(len(os.listdir('/proc/self/task')) - before)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"OMP_NUM_THREADS": "2"},
        capture_output=True,
        check=True,
    )
    assert run.stdout.strip() == b"0"
