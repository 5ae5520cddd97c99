"""Choose item weights for a chosen head, if any help, by held-out interactions and items."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recsys.catalogue.weighting import YES_OR_NO
from recsys.dataset.dataset import Dataset
from recsys.encoders.params import FirstLightParams
from recsys.features.views import take
from recsys.heads.kernel_head import KernelHead
from recsys.heads.learning import find_head, first_light_of
from recsys.heads.params import FusionParams
from recsys.heads.recipe import Recipe
from recsys.ranking.dot import Dot
from recsys.ranking.head_and_tail import TAIL, TailRule
from recsys.ranking.learning import CoOccurrence, balanced, co_occurrence, item_weights
from recsys.ranking.ranker import Ranker
from recsys.validation.choices import RidgeChoice
from recsys.validation.sets import MIXED, WARM, ListMetrics, ValidationSet, hold_out_items_and_pairs

# Shape suffixes: U users.
_Weighted = tuple[float | None, float, float]
"""λ of the item weights (None: none), head factor, lift."""
NO_WEIGHTS: _Weighted = (None, 1.0, 1.0)
_Lists = Mapping[str, NDArray[np.float64]]
"""List -> what `metrics_per_user` gives, [U, 2]."""


def choose_item_weights(
    dataset: Dataset,
    held: NDArray[np.int64],
    recipe: Recipe,
    params: FusionParams,
    first_light: FirstLightParams,
    untrained: RidgeChoice,
    k: int,
    max_users: int,
    tail: TailRule,
    report: Callable[[str], None] = lambda _: None,
) -> Recipe:
    """Choose λ, head factor and lift of item weights, or none.

    They are judged by lists of warm items and by mixed lists of warm and held-out items; they do not change lists of
    held-out items alone. First λ is chosen by the warm lists, then head factor and lift. The best choice has the
    largest mean of ndcg@k + recall@5k over both kinds of lists, among those whose tail will pass the gate: compared
    with what is published before anything is trained, it will keep what the gate demands on as many other users
    (`Interval.will_keep`). If there is none, the choice whose tail gains most is taken. A fine-tuned encoder has
    learned from the held-out interactions, though not from the held-out items, which favours it a little.

    Args:
        dataset: the whole training side.
        held: rows of the items to hold out cold.
        recipe: one with a head.
        params: section `fusion`.
        first_light: section `first_light`: the head that is published before anything is trained.
        untrained: λ and prior of users over what is published then.
        k: cutoff.
        max_users: the most users of each kind of list; a sample where there are more.
        tail: the gate's rule for the tail.
        report: called with a sentence at each step.

    Returns:
        The recipe with the choices and the figures; unchanged where no list has a user.
    """
    if not recipe.has_head or not params.ease_lambdas:
        return recipe
    validation = hold_out_items_and_pairs(dataset, held, params.seed, max_users, tail.head_share)
    report("validation: learning a head for item weights")
    head = find_head(validation.dataset, recipe, params) if validation else None
    if validation is None or head is None:
        return recipe
    learned = profiled(validation, head, recipe.lambda_of(head), recipe.prior_weight)
    found = co_occurrence(learned, params.max_weighted_items, tail.head_share)
    if found is None:
        return recipe

    def judged(rankers: Mapping[_Weighted, Ranker]) -> Mapping[_Weighted, _Lists]:
        return validation.per_user(learned, rankers, k)

    before = untrained_lists(validation, first_light, untrained, k)

    def keeping(tried: Mapping[_Weighted, _Lists]) -> list[_Weighted]:
        return _keeping(tried, before, tail)

    tried = _weighed(judged, keeping, found, params, report)
    best = max(keeping(tried), key=lambda choice: _shown(tried[choice]).sum)  # the first of equal ones
    lists = _ndcg(tried[best])
    lists |= {f"{name} by profiles alone": ndcg for name, ndcg in _ndcg(tried[NO_WEIGHTS]).items()}
    lists |= {f"{name} untrained": ndcg for name, ndcg in _ndcg(before).items()}
    shown = {_weighted(choice): round(_shown(lists).ndcg, 6) for choice, lists in tried.items()}
    return replace(
        recipe,
        ease_lambda=best[0],
        head_factor=best[1],
        head_share=tail.head_share,
        lift=best[2],
        tried={**shown, **recipe.tried},
        lists=lists,
    )


def profiled(
    validation: ValidationSet, head: KernelHead, ridge_lambda: float, prior_weight: float
) -> Dataset:
    """Give a set's dataset the profiles of a head.

    Args:
        validation: the set.
        head: learned from its dataset.
        ridge_lambda: λ of users over its profiles.
        prior_weight: of these users.

    Returns:
        The dataset with profiles of the items that the set's lists may hold, and zeros for all others.
    """
    dataset = validation.dataset
    profiles_ID = np.zeros((len(dataset.texts), head.dim), np.float32)
    for rows in (dataset.warm, validation.held):
        texts, views = [dataset.texts[row] for row in rows], take(dataset.views, rows)
        profiles_ID[rows] = head.profiles(texts, dataset.vectors_ID[rows], views)
    return replace(
        dataset,
        vectors_ID=profiles_ID,
        ridge_lambda=ridge_lambda,
        lexical_width=head.lexical_width,
        prior_weight=prior_weight,
    )


def _weighed(
    judged: Callable[[Mapping[_Weighted, Ranker]], Mapping[_Weighted, _Lists]],
    keeping: Callable[[Mapping[_Weighted, _Lists]], list[_Weighted]],
    found: CoOccurrence,
    params: FusionParams,
    report: Callable[[str], None],
) -> dict[_Weighted, _Lists]:
    """Lists by no weights, by every λ, by every head factor with the best λ, and then by every lift.

    A lift changes mixed lists only, so lifts are tried with the factors that keep the tail.
    """
    made = {}
    for one in params.ease_lambdas:
        report(f"validation: item weights with λ = {one:g}")
        made[one] = item_weights(found, one, params.weights_per_item)
    tried = dict(judged({NO_WEIGHTS: Dot()} | {(one, 1.0, 1.0): weights for one, weights in made.items()}))
    by_warm = {one: _means(tried[one, 1.0, 1.0], WARM).sum for one in made}
    best = max(by_warm, key=lambda one: by_warm[one])  # the first of equal ones

    def add(factors: Iterable[float], lifts: Iterable[float]) -> list[_Weighted]:
        wanted: list[_Weighted] = [(best, factor, lift) for factor in factors for lift in lifts]
        tried.update(
            judged({one: balanced(made[best], found, *one[1:]) for one in wanted if one not in tried})
        )
        return wanted

    report(f"validation: {len(params.head_factors)} head factors for item weights with λ = {best:g}")
    offered = add(params.head_factors, params.lifts[:1])
    kept = [factor for _, factor, _ in keeping({one: tried[one] for one in offered})]
    report(f"validation: {len(params.lifts)} lifts for item weights with λ = {best:g}")
    offered += add(kept, params.lifts[1:])
    balances = {one[1:] for one in offered}
    return {one: lists for one, lists in tried.items() if one == NO_WEIGHTS or one[1:] in balances}


def untrained_lists(
    validation: ValidationSet, first_light: FirstLightParams, untrained: RidgeChoice, k: int
) -> Mapping[str, NDArray[np.float64]]:
    """Judge the lists of what is published before anything is trained: first light, or else the encoder alone.

    The vectors are those of the set. If they are of a trained encoder, these lists are a little better than what was
    published, so that more is demanded of a challenger.

    Args:
        validation: the set.
        first_light: section `first_light`.
        untrained: λ and prior of users over what is published then.
        k: cutoff.

    Returns:
        List -> what `metrics_per_user` gives, [U, 2].
    """
    ridge_lambda, prior_weight = untrained
    bare = replace(
        validation.dataset,
        ridge_lambda=ridge_lambda,
        lexical_width=0,
        weighting=YES_OR_NO,
        prior_weight=prior_weight,
    )
    head = first_light_of(bare, first_light)
    dataset = bare if head is None else profiled(replace(validation, dataset=bare), head, *untrained)
    return validation.per_user(dataset, {None: Dot()}, k)[None]


def _keeping(tried: Mapping[_Weighted, _Lists], untrained: _Lists, tail: TailRule) -> list[_Weighted]:
    """Choices that will keep the tail; where there is none, those whose tail gains most."""
    changes = {
        choice: tail.change(lists[TAIL][:, 0], untrained[TAIL][:, 0])
        for choice, lists in tried.items()
        if TAIL in lists
    }
    kept = [one for one in tried if one not in changes or changes[one].will_keep(tail.max_loss)]
    most = max((change.low for change in changes.values()), default=0.0)
    return kept or [one for one, change in changes.items() if change.low == most]


def _means(lists: _Lists, name: str) -> ListMetrics:
    """Means over users; 0 where the list has none."""
    return ListMetrics(*lists[name].mean(axis=0).tolist()) if name in lists else ListMetrics(0, 0)


def _ndcg(lists: _Lists) -> dict[str, float]:
    """List -> mean ndcg@k."""
    return {name: _means(lists, name).ndcg for name in lists}


def _shown(lists: _Lists) -> ListMetrics:
    """The mean over the lists `warm` and `mixed`."""
    shown = [_means(lists, name) for name in (WARM, MIXED) if name in lists]
    ndcg, recall = (
        sum(values) / len(shown) for values in zip(*((one.ndcg, one.recall) for one in shown), strict=True)
    )
    return ListMetrics(round(ndcg, 6), round(recall, 6))


def _weighted(choice: _Weighted) -> str:
    ease_lambda, factor, lift = choice
    return (
        "no item weights"
        if ease_lambda is None
        else f"item weights {ease_lambda:g}, head factor {factor:g}, lift {lift:g}"
    )
