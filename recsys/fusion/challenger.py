"""A challenger's head: chosen by a cold start of the training side's own, learned from all of it, packed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.encoders import EncoderReference, open_encoder
from recsys.encoders.fused import pack_fused
from recsys.fusion.heads import Recipe, Shop, choose_recipe, learn_head
from recsys.fusion.params import FusionParams


def fuse(
    base: EncoderReference,
    encoders: Path,
    batch_tokens: int,
    texts: tuple[str, ...],
    histories_UI: csr_array,
    held: NDArray[np.int64],
    params: FusionParams,
    ridge_lambda: float,
    k: int,
    max_users: int,
    say: Callable[[str], None],
) -> tuple[EncoderReference, Recipe]:
    """Give the encoder a head, where one helps.

    Args:
        base: packed in `encoders`.
        encoders: folder of packed encoders.
        batch_tokens: tokens encoded at once.
        texts: of the training items.
        histories_UI: 1 where a user met a training item, the held ones included.
        held: rows of the items held out cold to choose by.
        params: section `fusion`.
        ridge_lambda: λ of the user profiles.
        k: cutoff of ndcg@k.
        max_users: users asked in validation.
        say: told what is being done.

    Returns:
        The encoder with its head, and how it was chosen; the base itself where no head was better.

    Raises:
        TrainingError: the kernel is degenerate.
    """
    say(f"{len(texts):,} texts for the head to learn from")
    vectors_IL = open_encoder(base, encoders, batch_tokens).encode(texts)
    shop = Shop(texts, vectors_IL, histories_UI)
    recipe = choose_recipe(shop, (held,), params, (ridge_lambda,), k, max_users, say)
    if recipe.lexical_share is None:
        say("no head was better than the encoder alone" if recipe.tried else "nobody can be asked: no head")
        return base, recipe
    say(f"head with {recipe.lexical_share:.0%} words, metric power {recipe.metric_power:g}")
    return pack_fused(base, learn_head(shop, recipe, params), encoders), recipe
