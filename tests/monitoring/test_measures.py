"""What a figure is: means, distances without bias, new words, neighbours."""

import numpy as np
import pytest

from recsys.monitoring.distributions import (
    Distances,
    Neighbours,
    NewWords,
    hashed_features,
    kernel_features,
    share_features,
)
from recsys.monitoring.measures import ClusterMeans, Levels, Means
from recsys.monitoring.signals import code, repeated_shares


def normal(generator, n, d=16, shift=0.0):
    rows = generator.standard_normal((n, d)).astype(np.float32)
    rows[:, 0] += shift
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_a_mean_has_the_error_of_the_rows_within_arrivals_not_between_them():
    rows = [np.array([0.0, 2.0]), np.array([100.0, 102.0]), np.array([5.0, np.nan])]
    now, past = Means(rows, floor=0.1).compare(2, [0, 1])
    assert [one.value for one in past] == [1.0, 101.0]
    assert past[0].error == pytest.approx(np.sqrt(2.0 / 2))  # variance within: (2 + 2) / 2 degrees of freedom
    assert now.value == 5.0 and now.error == pytest.approx(np.sqrt(2.0))


def test_one_user_with_most_rows_counts_as_one_user_where_users_differ():
    differ = [
        [np.array([0.0, 2.0]), np.array([4.0, 6.0])],
        [np.array([9.0] * 90), np.array([1.0]), np.array([5.0])],
    ]
    now, past = ClusterMeans([*differ, *differ], floor=0.1).compare(3, [0, 1, 2])
    # squares within: 4, 0 and 4, over 2, 89 and 2 degrees of freedom; two arrivals of 2 + 2 rows, one of 90 + 1 + 1
    within = 8 / 93
    of_mean = (90 * 9 + 1 + 5) / 92
    squares = 2 * 16 + 90 * (9 - of_mean) ** 2 + (1 - of_mean) ** 2 + (5 - of_mean) ** 2
    between = (squares - 4 * within) / (2 * (4 - 8 / 4) + 92 - (90**2 + 2) / 92)
    weights = 1 / (between + within / np.array([90, 1, 1]))
    assert now.value == pytest.approx(weights @ [9.0, 1.0, 5.0] / weights.sum()) and now.value < 5.2
    assert now.error == pytest.approx(1 / np.sqrt(weights.sum()))
    assert past[0].value == pytest.approx(3.0)


def test_where_users_are_alike_each_of_their_rows_counts_the_same():
    generator = np.random.default_rng(8)
    alike = [[generator.normal(0, 1, n) for n in (50, 5, 1)] for _ in range(12)]
    alike[3][2] = np.array([np.nan])
    now, past = ClusterMeans(alike, floor=0.1).compare(11, range(11))
    assert now.value == pytest.approx(np.concatenate(alike[11]).mean(), abs=0.1)
    z = [one.value / one.error for one in past]
    assert 0.5 < np.std(z) < 1.6
    assert ClusterMeans([[np.array([np.nan])], *alike], 0.1).compare(0, [1, 2])[0] is None


def test_shares_of_names_are_hashed():
    found = share_features([["view", "view", "view", "like"], []], 64, code)
    assert sorted(np.abs(found[0][found[0] != 0])) == [0.25, 0.75] and not found[1].any()


def test_an_arrival_with_nothing_to_measure_has_no_figure():
    rows = [np.array([1.0, 2.0]), np.array([np.nan]), np.array([1.0])]
    now, past = Means(rows, floor=0.1).compare(1, [0, 2])
    assert now is None and len(past) == 2
    assert Levels([float("nan"), 1.0, 2.0], 0.1).compare(0, [1, 2])[0] is None
    empty = [np.empty((0, 4), np.float32), *[np.ones((3, 4), np.float32)] * 2]
    assert Distances(empty, 0.1).compare(0, [1, 2])[0] is None


def test_the_distance_of_ordinary_arrivals_is_nothing_on_average_and_their_errors_are_honest():
    generator = np.random.default_rng(3)
    z = []
    for _ in range(60):
        rows = [normal(generator, 40) for _ in range(11)]
        now, _ = Distances(rows, 0.01).compare(10, range(10))
        z.append(now.value / now.error)
    assert abs(np.mean(z)) < 3 / np.sqrt(60) * 1.1
    assert 0.75 < np.std(z) < 1.25


def test_a_shift_is_far_in_errors():
    generator = np.random.default_rng(4)
    rows = [*(normal(generator, 40) for _ in range(10)), normal(generator, 40, shift=2.0)]
    now, past = Distances(rows, 0.01).compare(10, range(10))
    assert now.value / now.error > 5.5 and max(one.value / one.error for one in past) < 4
    unlike = Distances(rows, 0.01).unlike(10, range(10))
    assert np.corrcoef(unlike, rows[10][:, 0])[0, 1] > 0.8


def test_a_window_with_gaps_has_the_scatter_of_its_own_arrivals():
    generator = np.random.default_rng(5)
    rows = [normal(generator, 9, 5) for _ in range(6)]
    whole = Distances(rows, 0.01)
    expected = sum((some - some.mean(0)).T @ (some - some.mean(0)) for some in (rows[1], rows[2], rows[4]))
    assert np.allclose(whole._scatter_of([1, 2, 4]), expected, atol=1e-5)


def test_one_odd_row_in_a_hundred_is_worth_no_alarm_and_ten_are():
    same = np.tile(hashed_features([["en"]], 32, code), (100, 1))
    other = hashed_features([["zh"]], 32, code)
    one, ten = same.copy(), same.copy()
    one[50] = other
    ten[45:55] = other
    few, _ = Distances([same, same, same, one], 0.1).compare(3, range(3))
    many, _ = Distances([same, same, same, ten], 0.1).compare(3, range(3))
    assert few.value / few.error < 2 and many.value / many.error > 4


def test_new_words_are_those_of_no_other_arrival():
    words = [[{1, 2}], [{2, 3}], [{1, 9}], [{3, 4, 5, 2}]]
    rows = [[frozenset(row) for row in some] for some in words]
    now, past = NewWords(rows, 0.05).compare(3, [0, 1, 2])
    assert now.value == 0.5  # 4 and 5 of four
    assert [one.value for one in past] == [0.0, 0.5, 0.5]  # 3 and 9 are elsewhere only in the arrival itself


def test_a_row_without_an_earlier_neighbour_counts():
    generator = np.random.default_rng(6)
    middle = normal(generator, 1, 24)[0]
    near = [normal(generator, 40, 24) * 0.3 + middle for _ in range(8)]
    near = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in near]
    near[7][:20] = -near[7][:20]
    now, past = Neighbours([rows.astype(np.float32) for rows in near], 0.1).compare(7, range(7))
    assert now.value >= 0.5 and np.mean([one.value for one in past]) == pytest.approx(0.05, abs=0.02)


def test_features_of_a_kernel_give_the_kernel():
    generator = np.random.default_rng(7)
    rows = normal(generator, 30)
    found = kernel_features(rows, 4096, 1)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert np.abs(found @ found.T - np.exp(2 * (rows @ rows.T - 1))).max() < 0.1


def test_repeated_text_is_a_run_of_words_that_several_items_share():
    own = [[f"w{row}-{place}" for place in range(12)] for row in range(10)]
    boilerplate = ["sold", "and", "shipped", "by", "our", "partner", "store"]
    some = [row + boilerplate if number < 6 else row for number, row in enumerate(own)]
    shares = repeated_shares(some)
    assert (shares[:6] > 0.1).all() and (shares[6:] == 0).all()
    few = [row + boilerplate if number < 4 else row for number, row in enumerate(own)]
    assert repeated_shares(few).tolist() == [0.0] * 10
    assert repeated_shares([["a", "b"]] * 5).tolist() == [0.0] * 5
