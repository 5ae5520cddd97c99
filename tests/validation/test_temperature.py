"""Probabilities of search: as often right as they say, on queries that the temperature was not chosen by."""

import numpy as np
import pytest

from recsys.retrieval.fusing import probabilities
from recsys.validation.queries import Query
from recsys.validation.searching import SearchSlice
from recsys.validation.temperature import TEMPERATURES, Case, choose_temperature, make_cases

TRUE = 0.12


def drawn(n: int, temperature: float, seed: int = 0) -> list[Case]:
    """Queries whose item is drawn among 50 candidates, as a temperature says."""
    rng = np.random.default_rng(seed)
    cases = []
    for _ in range(n):
        scores_C = rng.beta(2, 4, 50)
        right = rng.choice(50, p=probabilities(scores_C, temperature))
        cases.append(Case(scores_C, np.eye(50)[right]))
    return cases


@pytest.mark.whole
def test_the_temperature_that_queries_were_drawn_by_is_found() -> None:
    found = choose_temperature(drawn(3000, TRUE))
    assert found.value == pytest.approx(TRUE, rel=0.1)
    assert found.losses["chosen"] < found.losses["1"] < found.losses["uniform"] == pytest.approx(np.log(50))


def test_what_is_called_so_likely_is_right_so_often_on_other_queries() -> None:
    value = choose_temperature(drawn(300, TRUE)).value
    assert value is not None
    held_out = drawn(4000, TRUE, seed=1)
    said = np.concatenate([probabilities(case.scores_C, value) for case in held_out])
    right = np.concatenate([case.target_C for case in held_out])
    parts = np.array_split(np.argsort(said), 10)
    for part in parts:
        tolerance = 4 * np.sqrt(right[part].mean() / len(part)) + 0.15 * said[part].mean()
        assert right[part].mean() == pytest.approx(said[part].mean(), abs=tolerance)
    at_one = np.concatenate([probabilities(case.scores_C, 1.0) for case in held_out])
    assert (
        at_one[parts[-1]].mean() < right[parts[-1]].mean() / 2
    )  # without a temperature it says far too little


def test_scores_that_say_nothing_get_equal_probabilities_or_none() -> None:
    rng = np.random.default_rng(2)
    noise = [Case(rng.random(50), np.eye(50)[rng.integers(50)]) for _ in range(200)]
    found = choose_temperature(noise)
    assert found.value is None or found.value == TEMPERATURES[-1]
    opposite = [Case(one.scores_C, np.eye(50)[one.scores_C.argmin()]) for one in noise]
    assert choose_temperature(opposite).value is None


def test_few_queries_choose_nothing() -> None:
    assert choose_temperature(drawn(19, TRUE)).value is None


def test_a_case_has_the_candidates_of_search_and_the_grades_as_shares() -> None:
    words, cosines = np.zeros(1000, np.float32), np.linspace(0, 1, 1000, dtype=np.float32)
    words[[3, 5]] = 0.4, 0.8
    queries = (Query("a", {3: 3.0, 999: 1.0}), Query("b", {4: 1.0}))
    (case,) = make_cases(SearchSlice(queries, (words, words), (cosines, cosines)), 0.5)
    assert (
        len(case.scores_C) == 202
    )  # the nearest 200, and the two that hold a word; b looks for none of them
    assert case.target_C[[0, 201]].tolist() == [0.75, 0.25] and case.target_C.sum() == 1
    assert case.scores_C[[0, 1, 201]] == pytest.approx([0.25 + 0.5 * cosines[3], 0.5 + 0.5 * cosines[5], 0.5])
    expected = -(
        0.75 * np.log(probabilities(case.scores_C, 0.3)[0])
        + 0.25 * np.log(probabilities(case.scores_C, 0.3)[201])
    )
    assert case.loss(0.3) == pytest.approx(expected)


def test_probabilities_of_large_scores_and_of_no_candidate_are_finite() -> None:
    assert probabilities(np.array([1000.0, 0.0]), 0.005).tolist() == [1, 0]
    assert probabilities(np.empty(0), 1.0).tolist() == []
