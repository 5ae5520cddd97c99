import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import kstest

from recsys.profiles.params import PrivacyParams
from recsys.profiles.privacy import (
    N_USERS_SHARE,
    UNIT,
    delta_of,
    epsilon_of,
    noise_scale,
    noisy_sums,
)

SECRET = b"a secret of 16 b"
ITEMS = [f"i{n}" for n in range(8)]
logs = st.dictionaries(
    st.sampled_from(["ann", "bob", "cy", "dan"]),
    st.sets(st.sampled_from([*ITEMS, "without a profile"]), min_size=1),
)


def pairs(log):
    rows = [(user, item) for user in sorted(log) for item in sorted(log[user])]
    return pa.table(
        {
            "user": pa.array([u for u, _ in rows], pa.string()),
            "item_id": pa.array([i for _, i in rows], pa.string()),
        }
    )


def sums(log, sigma=0.0, items=ITEMS, **more):
    return noisy_sums(pairs(log), pa.array(items), sigma, **{"secret": SECRET} | more)


# ε of n Gaussian mechanisms by Google's dp-accounting 0.6.0: PLDAccountant(value_discretization_interval=1e-4)
@pytest.mark.parametrize(
    ("sigma", "delta", "n", "epsilon"),
    [
        (3.7306316348165236, 1e-5, 1, 1.0),
        (3.7306316348165236, 1e-5, 12, 4.0180653),
        (4.678663060910861, 1e-7, 12, 3.8275570),
        (1.297842808043043, 1e-7, 12, 16.8868283),
        (36.304690425933615, 1e-6, 12, 0.3774452),
    ],
)
def test_the_accountant_agrees_with_dp_accounting(sigma, delta, n, epsilon):
    assert epsilon_of(n**0.5 / sigma, delta) == pytest.approx(epsilon, abs=1e-6)


@given(st.floats(0.01, 20), st.floats(1e-12, 1e-5))
def test_noise_gives_exactly_the_privacy_that_it_was_chosen_for(epsilon, delta):
    sigma = noise_scale(epsilon, delta)
    assert delta_of(1 / sigma, epsilon) == pytest.approx(delta, rel=1e-3)
    assert delta_of(1 / (0.99 * sigma), epsilon) > delta


def test_no_publication_costs_nothing():
    assert epsilon_of(0.0, 1e-7) == 0.0


@settings(max_examples=200)
@given(logs, st.sampled_from(["ann", "bob", "cy", "dan"]))
def test_one_user_moves_all_sums_together_by_at_most_1(log, leaver):
    without = {user: items for user, items in log.items() if user != leaver}
    moved = (sums(log).sums_I - sums(without).sums_I) * UNIT
    of_n_users = (sums(log).n_users - sums(without).n_users) * N_USERS_SHARE**0.5
    assert np.square(moved).sum() + of_n_users**2 <= 1


def test_a_user_of_four_items_adds_half_as_much_to_each_as_one_of_one():
    found = sums({"ann": {"i0"}, "bob": {"i1", "i2", "i3", "i4"}}).sums_I * UNIT
    assert found == pytest.approx(np.sqrt(0.99) * np.array([1, 0.5, 0.5, 0.5, 0.5, 0, 0, 0]), abs=1e-5)


def test_the_same_interactions_have_the_same_noise_and_nothing_else_has():
    log = {"ann": {"i0", "i1"}, "bob": {"i1"}}
    first = sums(log, 3.0)
    assert np.array_equal(sums(log, 3.0).sums_I, first.sums_I) and sums(log, 3.0).digest == first.digest
    for other in (
        sums(log | {"cy": {"i7"}}, 3.0),
        sums(log, 3.0, secret=b"another secret!!"),
        sums(log, 3.0, period="the next"),
    ):
        assert (other.sums_I != first.sums_I).all() and other.digest != first.digest


def test_new_items_leave_the_sums_of_others_as_they_are():
    log = {"ann": {"i0", "i1"}, "bob": {"i1"}}
    grown = sums(log, 3.0, [*ITEMS, "new"])
    assert np.array_equal(grown.sums_I[:8], sums(log, 3.0).sums_I)
    assert grown.sums_I[8] != 0, "an item that nobody likes has noise like any other"


def test_noise_is_normal_and_independent_between_items():
    items = [f"item {n}" for n in range(20_000)]
    noise = sums({}, 2.0, items).sums_I * UNIT / 2.0
    assert kstest(noise, "norm").pvalue > 0.001
    assert abs(np.corrcoef(noise[:-1], noise[1:])[0, 1]) < 0.03


@pytest.mark.parametrize(("epsilon", "delta"), [(0.01, 1e-5), (0.01, 1e-300), (20, 1e-5), (20, 1e-300)])
def test_whatever_params_allow_has_a_scale(epsilon, delta):
    PrivacyParams(epsilon=epsilon, delta=delta, period_days=0, allow_exact=False)
    assert 0 < noise_scale(epsilon, delta) < np.inf
    with pytest.raises(ValidationError):
        PrivacyParams(epsilon=epsilon / 3000, delta=delta, period_days=0, allow_exact=False)
