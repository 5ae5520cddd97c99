"""Choose how much likes and dislikes teach about their users, by held-out items: yes or no unless more is better."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.catalogue.folding import folded
from recsys.catalogue.params import WeightingParams
from recsys.catalogue.weighting import YES_OR_NO, Scales, Weighting
from recsys.dataset.dataset import Dataset
from recsys.dataset.interactions import Interactions
from recsys.heads.learning import find_head
from recsys.heads.params import FusionParams
from recsys.heads.recipe import Recipe
from recsys.ranking.dot import ridge_users
from recsys.ranking.metrics import graded_ndcg_at_k, ndcg_at_k
from recsys.ranking.opinions import HeldOpinions, held_opinions
from recsys.ranking.tasks import RankingTask, rank
from recsys.validation.bounds import lower_bound
from recsys.validation.sets import COLD, hold_out_items
from recsys.validation.weighing import profiled

# Shape suffixes: U users of a fold, I items, D dimension.
Figures = list[NDArray[np.float64]]
"""For each fold, ndcg@k and graded ndcg@k of its users, [U, 2]."""
NDCG, GRADED = 0, 1


@dataclass(frozen=True)
class ChosenWeighting:
    """The choice, and what was tried."""

    weighting: Weighting
    tried: Mapping[str, float]
    """Name of each weighting -> mean of graded ndcg@k over the folds. Empty where there was nothing to choose."""


@dataclass(frozen=True)
class _Fold:
    """Profiles learned without some items, and the task of ranking these."""

    dataset: Dataset
    task: RankingTask
    opinions: HeldOpinions | None

    def figures(self, weighting: Weighting, k: int) -> NDArray[np.float64]:
        task = self.task
        users = ridge_users(replace(self.dataset, weighting=weighting))
        ranked_UK = rank(users, task.users, task.candidates, k, task.excluded_UE).rows_UK
        ndcg_U = ndcg_at_k(ranked_UK, task.relevant_UR, k)
        graded_U = ndcg_U
        if self.opinions is not None:
            graded_U = graded_ndcg_at_k(ranked_UK, task.relevant_UR, self.opinions.gains_UR, k)
        return np.stack([ndcg_U, graded_U], axis=1)


def choose_weighting(
    dataset: Dataset,
    folds: Sequence[NDArray[np.int64]],
    recipe: Recipe,
    params: WeightingParams,
    fusion: FusionParams,
    scales: Scales,
    k: int,
    max_users: int,
    report: Callable[[str], None] = lambda _: None,
) -> ChosenWeighting:
    """Try weightings on held-out items, and take one that is surely better than yes or no.

    One thing after another: what events weigh, how much values count, dislikes, repeats, the half-life. Each is taken
    only if it is better in graded ndcg@k (whose gains are those of values: all events gain alike) and not worse in
    ndcg@k, for which every like is alike: both by the mean over the folds minus `standard_errors`, the latter up to
    `max_loss`. (Large weights cost ndcg@k: people interact with much that they rate
    low.) Of several the one with the highest graded ndcg@k is taken, the first of equal ones.

    Args:
        dataset: the whole training side. Nothing is learned from interactions with held-out items.
        folds: rows of the held-out items of each fold.
        recipe: the head to learn for each fold, and how much less alike likes count in all weightings.
        params: section `weighting`.
        fusion: section `fusion`.
        scales: what the strengths of the dataset were read with.
        k: cutoff.
        max_users: the most users of a fold; a sample where there are more.
        report: called with a sentence at each step.

    Returns:
        The choice: yes or no where the dataset knows nothing else, or where nothing is better.
    """
    best = YES_OR_NO.model_copy(update={"alike": recipe.alike})
    steps = [one for one in _steps(dataset, params) if one]
    if not steps:
        return ChosenWeighting(best, {})
    report(f"validation: how much feedback counts, {sum(map(len, steps))} weightings")
    sets = [one for held in folds if (one := _fold(dataset, held, recipe, fusion, max_users)) is not None]
    if not sets:
        return ChosenWeighting(best, {})

    def figures(weighting: Weighting) -> Figures:
        return [fold.figures(weighting, k) for fold in sets]

    before = figures(best)
    tried = {best.name: _mean(before, GRADED)}
    for changes in steps:
        found = [(one, figures(one)) for one in (best.model_copy(update=change) for change in changes)]
        tried |= {one.name: _mean(after, GRADED) for one, after in found}
        better = [(one, after) for one, after in found if _is_better(after, before, params)]
        best, before = max(better, key=lambda pair: _mean(pair[1], GRADED), default=(best, before))
    if not best.is_yes_or_no:
        best = best.model_copy(update={"scales": dict(scales)})
    return ChosenWeighting(best, {name: round(value, 6) for name, value in tried.items()})


def _steps(dataset: Dataset, params: WeightingParams) -> list[list[dict[str, Any]]]:
    """What may be tried, one thing after another; nothing of which the dataset has no evidence."""
    known = dataset.interactions
    return [
        [{"events": one} for one in _events(known, params)],
        [{"value": one} for one in params.value_weights if one and known.strengths_P is not None],
        [{"dislike": one} for one in params.dislike_weights if one and known.dislikes is not None],
        [{"repeats": one} for one in params.repeat_weights if one and known.n_likes_P is not None],
        [{"half_life_days": one} for one in params.half_lives_days if known.latest_P is not None],
    ]


def _events(known: Interactions, params: WeightingParams) -> list[dict[str, float]]:
    """The weights of events that tell some likes of the dataset from others."""
    if known.events_P is None:
        return []
    there = [known.event_sets[place] for place in np.unique(known.events_P)]
    tried = [
        Weighting(events={folded(name): weight for name, weight in one.items()})
        for one in params.event_weights
    ]
    return [one.events for one in tried if len(set(one.event_factors(there).tolist())) > 1]


def _fold(
    dataset: Dataset, held: NDArray[np.int64], recipe: Recipe, fusion: FusionParams, max_users: int
) -> _Fold | None:
    validation = hold_out_items(dataset, held, fusion.seed, max_users)
    if validation is None:
        return None
    rest, task = validation.dataset, validation.tasks[COLD]
    opinions = held_opinions(task, dataset.interactions, 0.0)
    if not recipe.has_head:
        alone = replace(rest, ridge_lambda=recipe.ridge_lambda, prior_weight=recipe.prior_weight)
        return _Fold(alone, task, opinions)
    head = find_head(rest, recipe, fusion)
    if head is None:
        return None
    return _Fold(profiled(validation, head, recipe.lambda_of(head), recipe.prior_weight), task, opinions)


def _is_better(after: Figures, before: Figures, params: WeightingParams) -> bool:
    differences = [a_U2 - b_U2 for a_U2, b_U2 in zip(after, before, strict=True)]
    ndcg, graded = (
        lower_bound([d_U2[:, which] for d_U2 in differences], params.standard_errors)
        for which in (NDCG, GRADED)
    )
    return graded > 0 and ndcg >= -params.max_loss


def _mean(figures: Figures, which: int) -> float:
    """Mean over folds of the means over users."""
    return float(np.mean([figures_U2[:, which].mean() for figures_U2 in figures]))
