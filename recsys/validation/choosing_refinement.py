"""Refine heads: a constant coordinate of profiles, and likes that count less where they are alike.

The best trained head may have both, first light the latter: its constant is a parameter. Each is tried for one head
alone, so this takes little time beside choosing the head.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from recsys.encoders.params import FirstLightParams
from recsys.heads.params import FusionParams
from recsys.validation.choices import PLAIN, Choice, Refinement, RidgeChoice, Weights
from recsys.validation.comparing import Figures, gain_by_users, mean_ndcg
from recsys.validation.sets import ValidationSet
from recsys.validation.trying import survey_fold, try_first_light, try_heads


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
    return _surest(found, tried[start], params.standard_errors)


def refine_first_light(
    sets: Sequence[ValidationSet],
    counted: Sequence[NDArray[np.int64]],
    tried: dict[Choice, Figures],
    first_light: FirstLightParams | None,
    views: Weights,
    ridges: Sequence[RidgeChoice],
    params: FusionParams,
    k: int,
    report: Callable[[str], None],
) -> Refinement:
    """Try first light with alike likes that count less, by each power that `params` lists.

    Args:
        sets: the folds.
        counted: factors on the metrics of each fold.
        tried: figures of plain choices; those of refined ones are added.
        first_light: section `first_light`.
        views: those of first light.
        ridges: what to try of ridge users.
        params: section `fusion`.
        k: cutoff.
        report: called with a sentence at each step.

    Returns:
        The refinement that most surely helps, see `gain_by_users`; PLAIN where none does.
    """
    plain = [one for one in tried if one.is_first_light and (one.views, one.refinement) == (views, PLAIN)]
    if first_light is None or not plain or not params.alike_powers:
        return PLAIN
    report("validation: refining first light")
    found: dict[Choice, Figures] = {}
    for validation, factors in zip(sets, counted, strict=True):
        _, figures = try_first_light(validation, first_light, ridges, params, k, views, params.alike_powers)
        for choice, figures_U2 in figures.items():
            found.setdefault(choice, []).append(figures_U2 * factors)
    tried.update(found)
    start = max(plain, key=lambda one: mean_ndcg(tried[one]))
    return _surest(found, tried[start], params.standard_errors)


def _surest(found: Mapping[Choice, Figures], start: Figures, n_errors: float) -> Refinement:
    bounds = {one: gain_by_users(figures, start, n_errors) for one, figures in found.items()}
    surest = max(bounds, key=lambda one: bounds[one])  # the first of equal ones
    return surest.refinement if bounds[surest] > 0 else PLAIN
