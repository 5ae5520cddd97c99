"""A challenger's head and ranker: chosen on held-out items, learned from the whole training side, packed."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recsys.dataset.dataset import Dataset
from recsys.encoders.reference import EncoderReference
from recsys.heads.learning import Recipe, learn_head
from recsys.heads.params import FusionParams
from recsys.heads.reference import pack_head
from recsys.models.packed import pack_ranker
from recsys.models.reference import ModelReference
from recsys.profiles.params import UsersParams
from recsys.ranking.item_weights import ItemWeights
from recsys.validation.choosing import choose_recipe
from recsys.validation.weighing import choose_item_weights


def fuse(
    base: EncoderReference,
    cache: Path,
    dataset: Dataset,
    folds: Sequence[NDArray[np.int64]],
    params: FusionParams,
    users: UsersParams,
    k: int,
    max_users: int,
    head_share: float,
    say: Callable[[str], None],
) -> tuple[ModelReference, Recipe]:
    """Give the encoder a head, where one helps.

    Args:
        base: the encoder.
        cache: head and ranker are packed in `<cache>/heads` and `<cache>/rankers`.
        dataset: the training side, its vectors by that encoder, interactions of held items included.
        folds: rows of the items held out cold to choose by, once for each fold; nor has the base learned from them.
        params: section `fusion`.
        users: section `users`; an encoder without a head is judged by its λ, heads by all that it names.
        k: cutoff of ndcg@k.
        max_users: users asked in validation.
        head_share: share of the warm items that is no tail, as in section `evaluate`.
        say: told what is being done.

    Returns:
        The model, and how it was chosen; the encoder alone where no head was better.

    Raises:
        TrainingError: the kernel is degenerate.
    """
    say(f"{len(dataset.texts):,} texts for the head to learn from")
    recipe = choose_recipe(
        dataset, folds, params, users.lambdas, k, max_users, say, alone_lambdas=(users.ridge_lambda,)
    )
    if recipe.lexical_share is None:
        say("no head was better than the encoder alone" if recipe.tried else "nobody can be asked: no head")
        return ModelReference.of(base), recipe
    recipe = choose_item_weights(
        dataset, folds[0], recipe, params, users.ridge_lambda, k, max_users, head_share, say
    )
    say(recipe.sentence)
    head = learn_head(dataset, recipe, params)
    ranker = None
    settings = recipe.item_weights(params)
    if settings is not None:
        say(
            f"item weights with λ = {settings.ease_lambda:g}, popularity power {settings.popularity_power:g} and "
            f"lift {settings.lift:g}"
        )
        profiled = replace(
            dataset,
            vectors_ID=head.profiles(dataset.texts, dataset.vectors_ID),
            ridge_lambda=recipe.lambda_of(head),
            lexical_width=head.lexical_width,
        )
        weights = ItemWeights.learn(profiled, settings)
        ranker = pack_ranker("item_weights", weights, cache / "rankers") if weights else None
    packed = pack_head(base, head, cache / "heads")
    return ModelReference.of(base, packed, recipe.lambda_of(head), ranker), recipe
