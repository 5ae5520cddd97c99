"""Refine the best trained head: a constant coordinate of profiles, and likes that count less where they are alike.

Both are tried for one head alone, so they take little time beside choosing it.
"""

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from recsys.heads.params import FusionParams
from recsys.validation.choices import PLAIN, Choice, Refinement, RidgeChoice
from recsys.validation.comparing import Figures, gain_by_users, mean_ndcg
from recsys.validation.sets import ValidationSet
from recsys.validation.trying import survey_fold, try_heads


def choose_refinement(
    sets: Sequence[ValidationSet],
    counted: Sequence[NDArray[np.int64]],
    tried: dict[Choice, Figures],
    best: Choice,
    ridges: Sequence[RidgeChoice],
    params: FusionParams,
    k: int,
    report: Callable[[str], None],
    field_terms: float,
) -> Refinement:
    """Try the best head that learns from users and has no separate words with each refinement that `params` lists.

    Args:
        sets: the folds.
        counted: factors on the metrics of each fold.
        tried: figures of plain choices; those of refined ones are added.
        best: the best choice so far.
        ridges: what to try of ridge users.
        params: section `fusion`.
        k: cutoff.
        report: called with a sentence at each step.
        field_terms: of the words of the head, see `Recipe`.

    Returns:
        The refinement that most surely helps, see `gain_by_users`; PLAIN where none does.
    """
    plain = [one for one in tried if one.metric_power is not None and not one.words_weight]
    refined = [one for one in product((0.0, *params.constants), (0.0, *params.alike_powers)) if one != PLAIN]
    if not plain or not refined:
        return PLAIN
    start = best if best in plain else max(plain, key=lambda one: mean_ndcg(tried[one]))
    report("validation: refining the best trained head")
    found: dict[Choice, Figures] = {}
    for validation, factors in zip(sets, counted, strict=True):
        fold = survey_fold(validation, params, ridges, k, field_terms)
        if fold is None or start.lexical_share is None:
            return PLAIN
        heads = try_heads(fold, start.lexical_share, (start.metric_power,), refined=refined)
        for choice, figures_U2 in heads:
            found.setdefault(choice, []).append(figures_U2 * factors)
    tried.update(found)
    bounds = {one: gain_by_users(found[one], tried[start], params.standard_errors) for one in found}
    surest = max(bounds, key=lambda one: bounds[one])  # the first of equal ones
    return surest.refinement if bounds[surest] > 0 else PLAIN
