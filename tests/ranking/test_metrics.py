import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.dataset.histories import PAD
from recsys.ranking.metrics import (
    graded_ndcg_at_k,
    hit_rate_at_k,
    hits,
    mrr_at_k,
    ndcg_at_k,
    recall_at_k,
    regret_at_k,
)

RANKED = np.array([[3, 1, 4, 0], [2, 0, 1, 3]])
RELEVANT = np.array([[1, 0, 9], [2, PAD, PAD]])
METRICS = (recall_at_k, ndcg_at_k, hit_rate_at_k, mrr_at_k)
LOG3, LOG5 = np.log2(3), np.log2(5)


@pytest.mark.parametrize(("k", "expected"), [(1, [0, 1]), (2, [1 / 3, 1]), (4, [2 / 3, 1])])
def test_recall_matches_values_counted_by_hand(k, expected):
    np.testing.assert_allclose(recall_at_k(RANKED, RELEVANT, k), expected)


@pytest.mark.parametrize(
    ("k", "expected"),
    [
        (1, [0, 1]),
        (2, [(1 / LOG3) / (1 + 1 / LOG3), 1]),  # one hit in place 2; the ideal has min(2, 3) hits
        (4, [(1 / LOG3 + 1 / LOG5) / (1 + 1 / LOG3 + 1 / 2), 1]),
    ],
)
def test_ndcg_matches_values_counted_by_hand(k, expected):
    np.testing.assert_allclose(ndcg_at_k(RANKED, RELEVANT, k), expected)


@pytest.mark.parametrize(("k", "expected"), [(1, [0, 1]), (2, [1, 1])])
def test_hit_rate_matches_values_counted_by_hand(k, expected):
    np.testing.assert_allclose(hit_rate_at_k(RANKED, RELEVANT, k), expected)


@pytest.mark.parametrize(("k", "expected"), [(1, [0, 1]), (4, [1 / 2, 1])])
def test_mrr_matches_values_counted_by_hand(k, expected):
    np.testing.assert_allclose(mrr_at_k(RANKED, RELEVANT, k), expected)


@pytest.mark.parametrize("metric", METRICS)
def test_user_with_nothing_relevant_is_nan_not_zero(metric):
    assert np.isnan(metric(RANKED[:1], np.array([[PAD]]), 2)).all()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("k", [0, 5])
def test_cutoff_outside_the_list_is_refused(metric, k):
    with pytest.raises(ValueError, match=r"k must lie in 1\.\.4"):
        metric(RANKED, RELEVANT, k)


def test_padding_never_counts_as_a_hit():
    assert not hits(np.array([[0, PAD]]), np.array([[1, PAD]])).any()


def test_the_item_of_one_user_is_no_hit_for_another():
    np.testing.assert_array_equal(hits(np.array([[5], [5]]), np.array([[5], [4]])), [[True], [False]])


@given(st.permutations(range(8)), st.sets(st.integers(0, 7), min_size=1))
def test_recall_never_falls_as_k_grows_and_ends_at_one(order, wanted):
    recalls = [recall_at_k(np.array([order]), np.array([sorted(wanted)]), k)[0] for k in range(1, 9)]
    assert recalls == sorted(recalls) and recalls[-1] == 1.0


@given(st.permutations(range(8)), st.sets(st.integers(0, 7), min_size=1), st.integers(1, 8))
def test_no_order_beats_the_one_that_puts_relevant_items_first(order, wanted, k):
    best = sorted(order, key=lambda item: item not in wanted)
    relevant = np.array([sorted(wanted)])
    for metric in METRICS:
        assert metric(np.array([order]), relevant, k)[0] <= metric(np.array([best]), relevant, k)[0]
    assert ndcg_at_k(np.array([best]), relevant, k)[0] == pytest.approx(1.0)


REFERENCE = """
import json, sys
from ranx import Qrels, Run, evaluate
case = json.load(sys.stdin)
run = {u: {i: 1 / (p + 1) for p, i in enumerate(items)} for u, items in case["ranked"].items()}
qrels = Qrels({u: dict.fromkeys(items, 1) for u, items in case["relevant"].items()})
names = ["recall@7", "ndcg@7", "hit_rate@7", "mrr@7"]
print(json.dumps({n: float(v) for n, v in evaluate(qrels, Run(run), names).items()}))
"""


@pytest.mark.whole
def test_means_agree_with_ranx():
    generator = np.random.default_rng(5)
    ranked = np.array([generator.permutation(40)[:20] for _ in range(60)])
    relevant = np.full((60, 9), PAD)
    for row in relevant:
        n = generator.integers(1, 10)
        row[:n] = generator.permutation(40)[:n]
    case = {
        "ranked": {f"u{u}": [f"i{i}" for i in row] for u, row in enumerate(ranked)},
        "relevant": {f"u{u}": [f"i{i}" for i in row if i != PAD] for u, row in enumerate(relevant)},
    }
    # In a process of its own: ranx compiles for minutes unless numba is switched off before it is imported.
    done = subprocess.run(
        [sys.executable, "-c", REFERENCE],
        input=json.dumps(case),
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    expected = json.loads(done.stdout)
    for name, metric in zip(("recall", "ndcg", "hit_rate", "mrr"), METRICS, strict=True):
        assert metric(ranked, relevant, 7).mean() == pytest.approx(expected[f"{name}@7"]), name


def test_graded_ndcg_by_hand():
    ranked = np.array([[3, 1, 2], [1, 2, 3], [0, 5, PAD]])
    relevant = np.array([[1, 3, 7], [9, PAD, PAD], [PAD, PAD, PAD]])
    gains = np.array([[1.0, 0.25, 0.5], [0.3, 8, 8], [1, 1, 1]])
    found = graded_ndcg_at_k(ranked, relevant, gains, 2)
    best = 1 + 0.5 / np.log2(3)
    assert found[:2].tolist() == pytest.approx([(0.25 + 1 / np.log2(3)) / best, 0]) and np.isnan(found[2])


@given(st.integers(0, 10_000), st.floats(0.01, 9))
def test_with_equal_gains_graded_ndcg_is_ndcg(seed, gain):
    rng = np.random.default_rng(seed)
    ranked = np.stack([rng.permutation(20)[:8] for _ in range(6)])
    relevant = np.full((6, 12), PAD)
    for row in relevant:
        n = rng.integers(1, 12)
        row[:n] = rng.permutation(20)[:n]
    k = int(rng.integers(1, 9))
    np.testing.assert_allclose(
        graded_ndcg_at_k(ranked, relevant, np.full(relevant.shape, gain), k), ndcg_at_k(ranked, relevant, k)
    )


def test_regret_counts_disliked_and_known_items_among_the_first_places():
    ranked = np.array([[3, 1, 2, 8], [1, 2, 3, 4]])
    relevant, disliked = np.array([[1, 3, 8], [9, PAD, PAD]]), np.array([[3, 8], [2, PAD]])
    assert regret_at_k(ranked, relevant, disliked, 3).tolist() == [[1, 2], [1, 1]]
