"""Choose a head on held-out items: one that is clearly better than floors that learn nothing from users."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from recsys.dataset.dataset import Dataset
from recsys.encoders.params import FirstLightParams
from recsys.heads.params import FusionParams
from recsys.heads.recipe import Recipe
from recsys.validation.choices import Choice, Extras, RidgeChoice, Tried, Weights
from recsys.validation.choosing_fields import Fields, choose_fields
from recsys.validation.choosing_refinement import choose_first_light_refinement, choose_refinement
from recsys.validation.choosing_views import choose_views
from recsys.validation.comparing import Figures, gain, gain_by_users, mean_ndcg
from recsys.validation.sets import LONG, ValidationSet, hold_out_items
from recsys.validation.trying import OnFolds, try_all, try_first_light_with, try_on_folds, try_views

MOST_LISTED = 0.2
"""Recall of long lists counts only where they hold at most this share of the candidates."""


def choose_recipe(
    dataset: Dataset,
    folds: Sequence[NDArray[np.int64]],
    params: FusionParams,
    lambdas: Sequence[float],
    k: int,
    max_users: int,
    report: Callable[[str], None] = lambda _: None,
    alone_lambdas: Sequence[float] | None = None,
    first_light: FirstLightParams | None = None,
    priors: Sequence[float] = (0.0,),
) -> Recipe:
    """Try each recipe on held-out items, and take the best head that is clearly better than the floors.

    A head learns tastes of the past. So it is compared with three floors that learn nothing from users: the encoder's
    vectors alone, the head of first light, and the plain blend of the vectors with a TF-IDF centroid
    (`recsys/ranking/plain_blend.py`). A head is clearly better than a floor if the mean over folds of the paired
    difference in ndcg@k, minus `standard_errors` of it, is above 0.

    A head must be clearly better than the vectors alone. Where first light is so too, a head must also be better than
    it in ndcg@k + recall@5k, surely over users and surely worse on no fold (`gain_by_users`): what helps on one kind of
    new item must not harm another. First light is taken where none is; elsewhere the vectors are. If any such head is
    clearly better than the plain blend, only those that are remain. Of these the best has the largest such bound for
    ndcg@k + recall@5k over the better of the other two: users are shown short lists, and a later ranker may choose
    from long ones (their recall counts where they hold at most `MOST_LISTED` of the candidates). Uncentred heads
    learned from texts alone are tried too.

    Whether exact words are counted by field is chosen before all that, see `choose_fields`.

    First light is then refined, see `choose_first_light_refinement`; if that surely helps, the refined one is the
    floor. The best head that learns from users is refined as well, see `choose_refinement`. If that surely helps, those
    that are refined so compete with the floors instead of the plain ones, beside heads with separate words, which
    cannot be refined; if no trained head is taken then, what was best before is.

    Views that the dataset has are then added to the kernel of first light, and to those of the best trained head and of
    the best one that learns from users, see `choose_views`. Where some help first light, its refinement is chosen once
    more. Where some help trained heads, only those with these views compete with the floors. What was best without
    views stays unless something is surely better, see `best_with_views`.

    Args:
        dataset: the whole training side. Nothing is learned from interactions with held-out items.
        folds: rows of the held-out items of each fold.
        params: section `fusion`.
        lambdas: values of λ of ridge users, tried for heads.
        k: cutoff.
        max_users: the most users of a fold; a sample where there are more.
        report: called with a sentence at each step.
        alone_lambdas: values of λ tried for the vectors alone; None: the same.
        first_light: section `first_light`; None: it is not tried.
        priors: weights of the users' prior, tried for heads with every λ. The vectors alone have that of the dataset,
            the blend has none.

    Returns:
        The choices, without item weights. Of equal ones the first tried wins: smaller shares, powers, weights, λ and
        priors.
    """
    made = (hold_out_items(dataset, held, params.seed, max_users) for held in folds)
    sets = [one for one in made if one]
    alone = tuple(lambdas if alone_lambdas is None else alone_lambdas)
    if not sets:
        return Recipe(None, 0.0, alone[len(alone) // 2], None, {}, prior_weight=dataset.prior_weight)
    ridges = tuple((one, weight) for one in lambdas for weight in priors)
    counted = [np.array([1, LONG * k <= MOST_LISTED * len(one.held)]) for one in sets]
    on_folds = partial(try_on_folds, sets, counted)
    fields = choose_fields(on_folds, first_light, ridges, params, k, report)
    places = {id(one): place for place, one in enumerate(sets, 1)}

    def try_without_views(validation: ValidationSet) -> Iterator[Tried]:
        if len(sets) > 1:
            report(f"validation: fold {places[id(validation)]} of {len(sets)}")
        return try_all(validation, params, ridges, alone, k, report, fields.field_terms)

    tried = on_folds(try_without_views) | fields.tried
    light = Extras(
        choose_first_light_refinement(
            on_folds, tried, fields.first_light, Extras(), ridges, params, k, report
        )
    )
    best = surest(_able(tried, light, Extras()), params.standard_errors)
    refinement = choose_refinement(on_folds, tried, best, ridges, params, k, report, fields.field_terms)
    found = surest(_able(tried, light, Extras(refinement)), params.standard_errors)
    best = best if found.lexical_share is None else found
    trained = Extras(refinement if best.lexical_share is None else best.refinement)
    if dataset.views and any(params.view_weights):
        names = sorted(dataset.views)
        best = _with_views(names, on_folds, tried, best, light, trained, params, ridges, k, report, fields)
    ndcg = {one: round(mean_ndcg(figures), 6) for one, figures in tried.items()}
    return Recipe(
        best.lexical_share,
        best.metric_power if best.has_head else 0.0,
        best.ridge_lambda,
        ndcg[best],
        {one.name: value for one, value in ndcg.items()},
        prior_weight=best.prior_weight,
        words_weight=best.words_weight,
        field_terms=0.0 if best.lexical_share is None else fields.field_terms,
        first_light=fields.first_light if best.is_first_light else None,
        constant=best.constant,
        alike=best.alike,
        view_weights=dict(best.views),
    )


def _with_views(
    names: Sequence[str],
    on_folds: OnFolds,
    tried: dict[Choice, Figures],
    best: Choice,
    light: Extras,
    trained: Extras,
    params: FusionParams,
    ridges: Sequence[RidgeChoice],
    k: int,
    report: Callable[[str], None],
    fields: Fields,
) -> Choice:
    """The best choice where views may join the kernels of first light and of the best heads; adds to `tried`."""
    weights = [weight for weight in params.view_weights if weight > 0]

    def choose(start: Choice, try_on: Callable[..., Iterator[Tried]]) -> Weights:
        def trial(wanted: Sequence[Weights]) -> dict[Choice, Figures]:
            found = on_folds(partial(try_on, wanted=wanted))
            tried.update(found)
            return found

        return choose_views(names, weights, tried[start], trial, params.standard_errors)

    def highest(some: Sequence[Choice]) -> Choice:
        return max(some, key=lambda one: mean_ndcg(tried[one]))

    if fields.tried and fields.first_light is not None:
        _, alike = light.refinement
        try_light = partial(
            try_first_light_with,
            params=fields.first_light,
            ridges=ridges,
            fusion=params,
            k=k,
            report=report,
            alike=alike,
        )
        start = highest([one for one in tried if one.is_first_light and light.are_of(one)])
        if views := choose(start, try_light):
            light = replace(light, views=views)
            refinement = choose_first_light_refinement(
                on_folds, tried, fields.first_light, light, ridges, params, k, report
            )
            light = replace(light, refinement=refinement)
    heads = [one for one in tried if one.lexical_share is not None]
    if heads:
        start = best if best in heads else highest([one for one in heads if trained.are_of(one)] or heads)
        taught = [one for one in heads if one.metric_power is not None]
        # The best of those that learn from users joins in any case: texts alone may be too weak, views not.
        kernels = kernels_of({start, highest(taught or [start])})
        try_trained = partial(
            try_views,
            kernels=kernels,
            params=params,
            ridges=ridges,
            k=k,
            report=report,
            field_terms=fields.field_terms,
            constant=start.constant,
            alike=start.alike,
        )
        trained = replace(trained, views=choose(start, try_trained))
    return best_with_views(tried, best, light, trained, params.standard_errors)


def best_with_views(
    tried: Mapping[Choice, Figures],
    without: Choice,
    light: Extras,
    trained: Extras,
    n_errors: float,
) -> Choice:
    """The best choice where first light and trained heads have their views.

    Args:
        tried: figures of all choices.
        without: the best choice without views.
        light: what helps first light.
        trained: what helps trained heads.
        n_errors: standard errors to subtract.

    Returns:
        The best of those that are surely better than `without`, see `gain_by_users`; `without` where none with views
        is. So a view that does not surely help changes nothing. First light with views that is not surely better than
        `without` is no floor for trained heads with views.
    """
    joined = _able(tried, light, trained)
    better = {
        one: figures
        for one, figures in joined.items()
        if one.has_head and gain_by_users(figures, tried[without], n_errors) > 0
    }
    if not any(one.views for one in better):
        return without
    floors = {one: figures for one, figures in joined.items() if not one.has_head}
    found = surest(floors | better, n_errors)
    return found if found in better else without


def kernels_of(heads: Iterable[Choice]) -> list[tuple[float, bool]]:
    """Find the kernels that heads share, each once: what is tried twice would count as another fold.

    Args:
        heads: that have one.

    Returns:
        Lexical share, and whether it learns from users; ascending.
    """
    return sorted({(one.lexical_share or 0.0, one.metric_power is not None) for one in heads})


def _able(tried: Mapping[Choice, Figures], light: Extras, trained: Extras) -> dict[Choice, Figures]:
    """First light and trained heads with what helps them, and the floors that have no head."""
    return {
        one: figures
        for one, figures in tried.items()
        if not one.has_head or (light if one.is_first_light else trained).are_of(one)
    }


def surest(tried: Mapping[Choice, Figures], n_errors: float) -> Choice:
    """The best choice, see `choose_recipe`; of equal ones the first."""

    def above(one: Choice, other: Choice, with_recall: bool) -> float:
        return gain(tried[one], tried[other], with_recall, n_errors)

    def best(some: Sequence[Choice]) -> Choice:
        return max(some, key=lambda one: mean_ndcg(tried[one]))

    alone, blend = (
        best([one for one in tried if not one.has_head and one.words_weight == weight])
        for weight in (0.0, 1.0)
    )
    light = best([one for one in tried if one.is_first_light] or [alone])
    kept = light if above(light, alone, False) > 0 else alone
    trained = [one for one in tried if one.lexical_share is not None]
    able = [
        one
        for one in trained
        if above(one, alone, False) > 0
        and (kept == alone or gain_by_users(tried[one], tried[kept], n_errors) > 0)
    ]
    sure = [one for one in able if above(one, blend, False) > 0]
    highest = best([alone, blend])
    return max(sure or able, key=lambda one: above(one, highest, True), default=kept)
