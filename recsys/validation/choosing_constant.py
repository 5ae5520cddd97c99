"""Choose whether the profiles of trained heads have a constant coordinate: the best head is tried with some."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from recsys.heads.params import FusionParams
from recsys.validation.choices import Choice, RidgeChoice
from recsys.validation.comparing import Figures, gain_by_users, mean_ndcg
from recsys.validation.sets import ValidationSet
from recsys.validation.trying import survey_fold, try_heads


def choose_constant(
    sets: Sequence[ValidationSet],
    counted: Sequence[NDArray[np.int64]],
    tried: dict[Choice, Figures],
    best: Choice,
    ridges: Sequence[RidgeChoice],
    params: FusionParams,
    k: int,
    report: Callable[[str], None],
    field_terms: float,
) -> float:
    """Try the best head that learns from users and has no separate words with each constant of `params`.

    Args:
        sets: the folds.
        counted: factors on the metrics of each fold.
        tried: figures without a constant; those with one are added.
        best: the best choice so far.
        ridges: what to try of ridge users.
        params: section `fusion`.
        k: cutoff.
        report: called with a sentence at each step.
        field_terms: of the words of the head, see `Recipe`.

    Returns:
        The constant of the head that most surely helps, see `gain_by_users`; 0 where none does.
    """
    plain = [one for one in tried if one.metric_power is not None and not one.words_weight]
    if not plain or not params.constants:
        return 0.0
    start = best if best in plain else max(plain, key=lambda one: mean_ndcg(tried[one]))
    report("validation: learning a head whose profiles have a constant coordinate")
    found: dict[Choice, Figures] = {}
    for validation, factors in zip(sets, counted, strict=True):
        fold = survey_fold(validation, params, ridges, k, field_terms)
        if fold is None or start.lexical_share is None:
            return 0.0
        heads = try_heads(fold, start.lexical_share, (start.metric_power,), constants=params.constants)
        for choice, figures_U2 in heads:
            found.setdefault(choice, []).append(figures_U2 * factors)
    tried.update(found)
    bounds = {one: gain_by_users(found[one], tried[start], params.standard_errors) for one in found}
    surest = max(bounds, key=lambda one: bounds[one])  # the first of equal ones
    return surest.constant if bounds[surest] > 0 else 0.0
