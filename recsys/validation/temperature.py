"""Choose the temperature that makes probabilities of the scores of search, by queries of which is known what they find.

    P(item | query, candidates) = exp(score / T) / Σ over candidates exp(score / T)

T is the one that gives the items that were looked for the most likelihood. It is one number: it changes no order, and a
few hundred queries are enough.

Source: temperature scaling, see Guo et al. 2017, "On calibration of modern neural networks" (ICML).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.retrieval.fusing import LEAST_CANDIDATES, best_rows, fused, probabilities
from recsys.validation.searching import LEAST_QUERIES, SearchSlice

# Shape suffixes: Q queries, I items, C candidates.
TEMPERATURES = tuple(float(one) for one in np.geomspace(0.005, 5, 121).round(5))
"""Each 6 % above the one before; a list of scores lies between -1 and 1 or a little more."""
FOLDS = 2
"""The gain is measured on queries that the temperature was not chosen by."""


@dataclass(frozen=True)
class Case:
    """One query with candidates, as search has them."""

    scores_C: NDArray[np.float64]
    target_C: NDArray[np.float64]
    """Share of each candidate in what the query looks for, by grade; sums to 1."""

    def loss(self, temperature: float) -> float:
        """Cross-entropy of what is looked for, in nats; ln C where all candidates are equally likely."""
        found_C = probabilities(self.scores_C, temperature)
        return float(-(self.target_C @ np.log(np.maximum(found_C, np.finfo(np.float64).tiny))))


@dataclass(frozen=True)
class ChosenTemperature:
    """The temperature, and what it gives."""

    value: float | None
    """None: too few queries, or probabilities by it are no better than equal ones."""
    losses: Mapping[str, float]
    """Cross-entropy on queries that it was not chosen by: `uniform`, `1` and `chosen`."""


def make_cases(made: SearchSlice, lexical_weight: float) -> list[Case]:
    """What search would find for each query, and what it should.

    Args:
        made: queries over items.
        lexical_weight: of search.

    Returns:
        Those of the queries that look for one of their candidates: probabilities are given that it is among them.
    """
    weights, cases = {"lexical_weight": lexical_weight, "user_weight": 0.0}, []
    for query, shares_I, cosines_I in zip(made.queries, made.shares, made.cosines, strict=True):
        held = np.flatnonzero(shares_I)
        by_words = best_rows(held, shares_I[held], LEAST_CANDIDATES)
        by_profile = best_rows(np.arange(len(cosines_I)), cosines_I, LEAST_CANDIDATES)
        rows_C = np.union1d(by_words, by_profile)
        grades_C = np.array([query.relevant.get(row, 0.0) for row in rows_C.tolist()])
        if grades_C.sum() > 0:
            scores_C = fused(shares_I[rows_C], cosines_I[rows_C], None, weights)
            cases.append(Case(scores_C, grades_C / grades_C.sum()))
    return cases


def choose_temperature(cases: list[Case]) -> ChosenTemperature:
    """The temperature with the smallest cross-entropy.

    Args:
        cases: of queries.

    Returns:
        The temperature, chosen by all queries; its loss is that of each half by the other half's temperature.
    """
    if len(cases) < LEAST_QUERIES:
        return ChosenTemperature(None, {})
    losses_QT = np.array([[case.loss(one) for one in TEMPERATURES] for case in cases])
    fold_Q, chosen = np.arange(len(cases)) % FOLDS, []
    for fold in range(FOLDS):
        best = int(losses_QT[fold_Q != fold].mean(axis=0).argmin())
        chosen.append(losses_QT[fold_Q == fold, best])
    losses = {
        "uniform": float(np.mean([np.log(len(case.scores_C)) for case in cases])),
        "1": float(np.mean([case.loss(1.0) for case in cases])),
        "chosen": float(np.concatenate(chosen).mean()),
    }
    is_better = losses["chosen"] < losses["uniform"]
    value = TEMPERATURES[int(losses_QT.mean(axis=0).argmin())] if is_better else None
    return ChosenTemperature(value, {name: round(loss, 6) for name, loss in losses.items()})
