"""Try recipes on a validation set."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

import numpy as np
from numpy.typing import NDArray

from recsys.encoders.params import FirstLightParams
from recsys.features.views import take
from recsys.heads.constant import constant_of, some_of
from recsys.heads.learning import (
    Survey,
    coordinates,
    first_light_of,
    learn,
    profiles,
    survey,
    warm_views,
    words_of,
)
from recsys.heads.params import FusionParams
from recsys.heads.words import words_projection
from recsys.ranking.dot import ridge_users
from recsys.ranking.plain_blend import plain_blend
from recsys.validation.choices import PLAIN, Choice, Refinement, RidgeChoice, Tried, Weights
from recsys.validation.comparing import Figures
from recsys.validation.measuring import Scored, measure, measure_ridges
from recsys.validation.sets import ValidationSet

# Shape suffixes: U users of a fold, B users of a block, W warm items, H held-out items, D dimensions of meaning.


@dataclass(frozen=True)
class Fold:
    """A validation set, with what all its heads are learned from."""

    validation: ValidationSet
    surveyed: Survey
    words: tuple[NDArray[np.float32], NDArray[np.float32]] | None
    """Separate word dimensions of the warm and of the held-out items; None: none are tried."""
    params: FusionParams
    ridges: Sequence[RidgeChoice]
    k: int


def survey_fold(
    validation: ValidationSet,
    params: FusionParams,
    ridges: Sequence[RidgeChoice],
    k: int,
    field_terms: float = 0.0,
) -> Fold | None:
    """Prepare a validation set for trying heads.

    Args:
        validation: the set.
        params: section `fusion`.
        ridges: what to try of ridge users.
        k: cutoff.
        field_terms: of the words of all heads, see `Recipe`.

    Returns:
        The fold; None where params want no head, or no landmark has a word.
    """
    surveyed = survey(validation.dataset, params, field_terms) if params.width else None
    if surveyed is None:
        return None
    words = None
    if params.apart_width:
        words_MW = words_projection(surveyed.words_MV, params.apart_width - 1, params.seed)
        warm_WW, held_HW = (
            words_of(validation.dataset, surveyed, words_MW, rows)
            for rows in (validation.dataset.warm, validation.held)
        )
        words = warm_WW, held_HW
    return Fold(validation, surveyed, words, params, ridges, k)


OnFolds = Callable[[Callable[[ValidationSet], Iterable[Tried]]], dict[Choice, Figures]]
"""`try_on_folds` of given folds."""


def try_on_folds(
    sets: Sequence[ValidationSet],
    counted: Sequence[NDArray[np.int64]],
    try_on: Callable[[ValidationSet], Iterable[Tried]],
) -> dict[Choice, Figures]:
    """Try the same choices on every fold.

    Args:
        sets: the folds.
        counted: factors on the metrics of each fold.
        try_on: tries choices on one fold.

    Returns:
        Figures of the choices that could be tried on all folds: others cannot be compared.
    """
    found: dict[Choice, Figures] = {}
    for validation, factors in zip(sets, counted, strict=True):
        for choice, figures_U2 in try_on(validation):
            found.setdefault(choice, []).append(figures_U2 * factors)
    return {choice: figures for choice, figures in found.items() if len(figures) == len(sets)}


def try_all(
    validation: ValidationSet,
    params: FusionParams,
    ridges: Sequence[RidgeChoice],
    alone_lambdas: Sequence[float],
    k: int,
    report: Callable[[str], None],
    field_terms: float = 0.0,
) -> Iterator[Tried]:
    """Try every choice without views, except for first light; yield it with its users' metrics on held-out items."""
    for one in alone_lambdas:
        yield from measure(validation, k, _floors(validation, one, params.seed))
    fold = survey_fold(validation, params, ridges, k, field_terms)
    if fold is None:
        return
    if fold.words is not None:
        report("validation: learning heads from texts alone")
        yield from try_heads(fold, 0.0, (None,))
    for share in params.lexical_shares:
        report(f"validation: learning a head with {share:.0%} words")
        yield from try_heads(fold, share, params.metric_powers)


def try_views(
    validation: ValidationSet,
    wanted: Sequence[Weights],
    kernels: Sequence[tuple[float, bool]],
    params: FusionParams,
    ridges: Sequence[RidgeChoice],
    k: int,
    report: Callable[[str], None],
    field_terms: float = 0.0,
    constant: float = 0.0,
    alike: float = 0.0,
) -> Iterator[Tried]:
    """Try heads with views.

    Args:
        validation: to learn from and to judge by.
        wanted: views to try, each with every kernel; those that no landmark has are left out.
        kernels: lexical share, and whether the head learns from users.
        params: section `fusion`.
        ridges: what to try of ridge users.
        k: cutoff.
        report: called with a sentence at each step.
        field_terms: of the words of all heads, see `Recipe`.
        constant: of those that learn from users, without separate words.
        alike: of their users.

    Yields:
        A choice with its users' metrics on the held-out items, [U, 2].
    """
    fold = survey_fold(validation, params, ridges, k, field_terms)
    if fold is None:
        return
    for views in wanted:
        if all(name in fold.surveyed.view_kernels for name, _ in views):
            report(f"validation: learning a head with {_named(views)}")
            for share, by_users in kernels:
                powers = params.metric_powers if by_users else (None,)
                yield from try_heads(fold, share, powers, views, ((constant, alike),))


def _floors(validation: ValidationSet, ridge_lambda: float, seed: int) -> Scored:
    """The two floors: the vectors alone, with the prior that they are released with, and their plain blend."""
    dataset = replace(validation.dataset, ridge_lambda=ridge_lambda, seed=seed, lexical_width=0)
    alone, blend, prior_weight = ridge_users(dataset), plain_blend(dataset), dataset.prior_weight

    def scores_of(users: NDArray[np.int64]) -> Iterator[tuple[Choice, NDArray[np.floating]]]:
        yield Choice(None, None, 0.0, ridge_lambda, prior_weight), alone.scores(users, validation.held)
        yield Choice(None, None, 1.0, ridge_lambda), blend.scores(users, validation.held)

    return scores_of


def try_first_light(
    validation: ValidationSet,
    params: FirstLightParams,
    ridges: Sequence[RidgeChoice],
    fusion: FusionParams,
    k: int,
    views: Weights = (),
    alike_powers: Sequence[float] = (0.0,),
) -> tuple[bool, dict[Choice, NDArray[np.float64]]]:
    """Try the head of first light over the warm items' texts and views.

    Args:
        validation: to learn from and to judge by.
        params: section `first_light`.
        ridges: what to try of ridge users.
        fusion: section `fusion`.
        k: cutoff.
        views: those in the kernel.
        alike_powers: how much less alike likes count; each is tried.

    Returns:
        Whether its words are counted by field, and each choice with its users' metrics on the held-out items, [U, 2];
        no choice where the texts are too few, or no landmark has one of the views.
    """
    dataset = validation.dataset
    head = first_light_of(dataset, params, warm_views(dataset, fusion, dict(views)))
    if head is None or len(head.views) < len(views):
        return False, {}
    sides = (dataset.warm, validation.held)
    made = [
        head.profiles(
            [dataset.texts[row] for row in rows], dataset.vectors_ID[rows], take(dataset.views, rows)
        )[:, head.lexical_width :]
        for rows in sides
    ]  # users are 0 in the first dimension
    tried: dict[Choice, NDArray[np.float64]] = {}
    for alike in alike_powers:
        recipe = partial(Choice, None, None, 0.0, is_first_light=True, alike=alike, views=views)
        tried.update(measure_ridges(validation, None, made, recipe, ridges, fusion.seed, k, alike))
    return head.kernel.lexical.longest_field is not None, tried


def try_first_light_with(
    validation: ValidationSet,
    wanted: Sequence[Weights],
    params: FirstLightParams,
    ridges: Sequence[RidgeChoice],
    fusion: FusionParams,
    k: int,
    report: Callable[[str], None],
    alike: float,
) -> Iterator[Tried]:
    """Try first light with each of some views, see `try_first_light`."""
    for views in wanted:
        report(f"validation: learning the head of first light with {_named(views)}")
        yield from try_first_light(validation, params, ridges, fusion, k, views, (alike,))[1].items()


def try_heads(
    fold: Fold,
    share: float,
    powers: Sequence[float | None],
    views: Weights = (),
    refined: Sequence[Refinement] = (PLAIN,),
) -> Iterator[Tried]:
    """Try heads of one kernel, with and without separate words; those learned from texts only with them.

    Args:
        fold: to learn from and to judge by.
        share: lexical share of the kernel.
        powers: metric powers; (None,): the directions are learned from texts.
        views: those in the kernel.
        refined: constants, and how much less alike likes count, to try for heads without separate words.

    Yields:
        A choice with its users' metrics on the held-out items, [U, 2].
    """
    validation, params, words = fold.validation, fold.params, fold.words
    dataset = validation.dataset
    learned = learn(fold.surveyed, share, params, powers != (None,), dict(views))
    warm_WD, held_HD = (
        coordinates(dataset, fold.surveyed, learned, rows) for rows in (dataset.warm, validation.held)
    )
    for power in powers:
        stretch_D = learned.directions.stretch(power or 0.0)
        for weight, (factor, alike) in product(params.words_weights, refined):
            if weight == 0 and power is None or weight > 0 and (words is None or (factor, alike) != PLAIN):
                continue
            width = params.meaning_width if weight else params.width - (factor > 0)
            parts, stretch = [some_ND[:, :width] for some_ND in (warm_WD, held_HD)], stretch_D[:width]
            constant = constant_of(factor, some_of(parts[0]), stretch) if factor > 0 else 0.0
            made = [profiles(part_ND, stretch, constant) for part_ND in parts]
            recipe = partial(Choice, share, power, weight, views=views, constant=factor, alike=alike)
            used = words if weight else None
            yield from measure_ridges(validation, used, made, recipe, fold.ridges, params.seed, fold.k, alike)


def _named(views: Weights) -> str:
    return " and ".join(f"{name} with weight {weight:g}" for name, weight in views)
