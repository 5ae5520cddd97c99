"""A challenger's head and ranker: chosen on held-out items, then learned from the whole training side and packed."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recsys.catalogue.params import WeightingParams
from recsys.catalogue.weighting import Scales
from recsys.dataset.dataset import Dataset
from recsys.encoders.params import FirstLightParams
from recsys.encoders.reference import EncoderReference
from recsys.features.views import take
from recsys.heads.kernel_head import KernelHead
from recsys.heads.learning import learn_head
from recsys.heads.packing import pack_head
from recsys.heads.params import FusionParams
from recsys.heads.recipe import Recipe
from recsys.models.packed import pack_ranker
from recsys.models.parts import RankerPart
from recsys.models.reference import ModelReference
from recsys.profiles.params import UsersParams
from recsys.ranking.event_examples import Events
from recsys.ranking.event_learning import mlp_over
from recsys.ranking.head_and_tail import TailRule
from recsys.ranking.item_weights import ItemWeights
from recsys.ranking.learning import ItemWeightsSettings, learn_by_sample
from recsys.ranking.params import RankerParams
from recsys.validation.choosing import choose_recipe
from recsys.validation.learned import LearnedChoice, choose_learned_ranker
from recsys.validation.sampling import for_items_of, whole_users
from recsys.validation.weighing import choose_item_weights
from recsys.validation.weighting import choose_weighting

PROFILES_PER_DIMENSION = 25
"""XᵀX is estimated from at least so many. On 10,000 of bench.scale_slow's titles, lists by as many (in 40 dimensions)
differed by .001 in ndcg@20 from those by all profiles; by one for each of 2,048 dimensions, by .009."""


def fuse(
    base: EncoderReference,
    cache: Path,
    dataset: Dataset,
    folds: Sequence[NDArray[np.int64]],
    params: FusionParams,
    first_light: FirstLightParams,
    users: UsersParams,
    k: int,
    max_users: int,
    tail: TailRule,
    ranking: RankerParams,
    events: Events | None,
    weighting: WeightingParams,
    scales: Scales,
    report_progress: Callable[[str], None],
    chosen_on: tuple[Dataset, Sequence[NDArray[np.int64]]] | None = None,
) -> tuple[ModelReference, Recipe]:
    """Give the encoder a head and a ranker, where they help.

    Args:
        base: the encoder.
        cache: head and ranker are packed in `<cache>/heads` and `<cache>/rankers`.
        dataset: the training side with this encoder's vectors. It includes the interactions with held-out items.
        folds: rows of the held-out items of each fold. The encoder has not learned from them either.
        params: section `fusion`. Where there are more than its `max_validation_items`, choices are made on a part of
            dataset and folds, see `recsys/validation/sampling.py`, and item weights are learned from the profiles of
            about as many items; learned rankers are tried on all.
        first_light: section `first_light`; its head is taken where none that learns from users is better.
        users: section `users`; the encoder alone is judged with its `ridge_lambda` and the `prior_weight` of the
            dataset, as it is released; heads with all its `lambdas` and `prior_weights`.
        k: cutoff of ndcg@k.
        max_users: the most users in validation.
        tail: the gate's rule for the tail.
        ranking: section `ranker`.
        events: purchases and values of the same interactions; None: none are known.
        weighting: section `weighting`.
        scales: what the strengths of likes were read with.
        report_progress: called with a sentence at each step.
        chosen_on: dataset and folds that the head is chosen on instead, with the vectors of an encoder that has learned
            from none of the folds; None: `dataset` and `folds`.

    Returns:
        The model, and the choices; the encoder alone where no head was better.

    Raises:
        TrainingError: the kernel cannot be inverted.
    """
    report_progress(f"{len(dataset.texts):,} texts for the head to learn from")
    trial, trial_folds = whole_users(dataset, folds, params.max_validation_items, params.seed)
    if trial is not dataset:
        report_progress(
            f"choices are made on {len(trial.item_ids):,} items of {len(trial.interactions.users):,} users"
        )
    heads_on = chosen_on and whole_users(*chosen_on, params.max_validation_items, params.seed)
    recipe = choose_recipe(
        *(heads_on or (trial, trial_folds)),
        params,
        users.lambdas,
        k,
        max_users,
        report_progress,
        alone_lambdas=(users.ridge_lambda,),
        first_light=first_light,
        priors=users.prior_weights,
    )
    chosen = choose_weighting(
        trial, trial_folds, recipe, weighting, params, scales, k, max_users, report_progress
    ).weighting
    is_whole = trial is dataset
    dataset = replace(dataset, weighting=chosen)
    trial = dataset if is_whole else replace(trial, weighting=chosen)
    if not recipe.has_head:
        report_progress(
            "no head was better than the encoder alone"
            if recipe.tried
            else "no user to validate with: no head"
        )
        return ModelReference.of(base, weighting=chosen), recipe
    recipe = choose_item_weights(
        trial,
        trial_folds[0],
        recipe,
        params,
        first_light,
        users.untrained,
        k,
        max_users,
        tail,
        report_progress,
    )
    recipe = for_items_of(recipe, dataset, trial)
    report_progress(recipe.sentence)
    head = learn_head(dataset, recipe, params, trial)
    settings = recipe.item_weights(params)
    choice, weights = LearnedChoice(None, "", {}), None
    if ranking.kinds or settings is not None and is_whole:
        profiled = _profiled(dataset, head, recipe)
        choice = choose_learned_ranker(
            dataset,
            profiled,
            folds[0],
            recipe,
            params,
            ranking,
            first_light,
            users.untrained,
            k,
            max_users,
            tail,
            events,
            report_progress,
        )
        recipe = replace(recipe, lists={**recipe.lists, **choice.lists})
        weights = ItemWeights.learn(profiled, settings) if settings else None
    elif settings is not None:
        weights = _weights_by_sample(dataset, head, recipe, settings, params)
    ranker = _ranker(weights, settings, choice, cache / "rankers", report_progress)
    packed = pack_head(base, head, cache / "heads")
    if not chosen.changes_nothing:
        report_progress(f"feedback counts by {chosen.name}")
    made = ModelReference.of(
        base,
        packed,
        recipe.lambda_of(head),
        ranker,
        weighting=chosen,
        prior_weight=recipe.prior_weight or None,
    )
    return made, recipe


def _profiled(dataset: Dataset, head: KernelHead, recipe: Recipe) -> Dataset:
    """The dataset with the profiles that ship."""
    return replace(
        dataset,
        vectors_ID=head.profiles(dataset.texts, dataset.vectors_ID, dataset.views),
        ridge_lambda=recipe.lambda_of(head),
        lexical_width=head.lexical_width,
        prior_weight=recipe.prior_weight,
    )


def _weights_by_sample(
    dataset: Dataset, head: KernelHead, recipe: Recipe, settings: ItemWeightsSettings, params: FusionParams
) -> ItemWeights | None:
    """Learn item weights from all interactions, but from the profiles of no more items than validation may choose on.

    To compute profiles is most of the work: stage `profiles` does so for all items, once the challenger is packed.
    """

    def profiles_of(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        texts = [dataset.texts[row] for row in rows]
        return head.profiles(texts, dataset.vectors_ID[rows], take(dataset.views, rows))

    return learn_by_sample(
        dataset.interactions,
        profiles_of,
        recipe.lambda_of(head),
        head.lexical_width,
        recipe.prior_weight,
        settings,
        max(params.max_validation_items, PROFILES_PER_DIMENSION * head.dim),
        params.seed,
    )


def _ranker(
    weights: ItemWeights | None,
    settings: ItemWeightsSettings | None,
    choice: LearnedChoice,
    rankers: Path,
    report_progress: Callable[[str], None],
) -> RankerPart | None:
    """Pack the chosen ranker, which was learned from the whole training side; None for `dot`."""
    if settings is not None:
        report_progress(
            f"item weights with λ = {settings.ease_lambda:g}, head factor {settings.head_factor:g} and "
            f"lift {settings.lift:g}"
        )
    if choice.reason:
        report_progress(choice.reason)
    if choice.settings is not None:
        return pack_ranker("mlp", mlp_over(weights, choice.settings), rankers)
    return pack_ranker("item_weights", weights, rankers) if weights else None
