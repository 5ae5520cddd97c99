"""Learn item weights: EASE, pulled towards the scores of ridge users over profiles.

A ridge user scores item j by h K[:, j], with h the history and K = X (XᵀX + λΣ⁻¹)⁻¹ Xᵀ. Had j been left out of the
regression, its score would be 1 / (1 - K[j, j]) times that. So the prior is B₀ = K / (1 - diag K) off the diagonal: the
profile scores, with every warm item scored as though it were cold. EASE's weights W are pulled towards s B₀ (see
`ease.py`), with s by least squares. They add W - s K to the ridge scores; divided by s, this leaves the scores of cold
items unchanged. Two numbers bring all items into one list: a lift for cold items, and a factor for the head,
which is the share of the warm items with the most users: d_j = head_factor there, and 1 elsewhere:

    known item:  d_j (s h K + h (W - s K)) / (s · lift),  so f_j = d_j / lift, B = (W - s K) d_j / (s · lift)
    any other:   h X (XᵀX + λΣ⁻¹)⁻¹ x

Lists by expected likes alone leave the tail few places. One factor for the whole head keeps the order within head and
tail, so the tail gets its places back for the least loss of the whole list.

In each column of B only the largest weights are kept. The many small ones, which correct for the ridge having learned
from the item itself, are dropped. Items with too few users for weights have only f, one value for all of them.

Papers: Steck 2019 (EASE); Ning & Karypis 2011 (sparse weights between items), 2012 (beside content); Abdollahpouri,
Burke & Mobasher 2017 (head and tail as two groups, of which one is lifted).
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, eye_array

from recsys.dataset.dataset import Dataset
from recsys.dataset.interactions import Interactions
from recsys.profiles.ridge import Ridge
from recsys.ranking.dot import ProfilesOf, ridge_by_sample, ridge_of
from recsys.ranking.ease import ease_weights, prior_scale
from recsys.ranking.item_weights import ItemWeights, digests
from recsys.storage.strings import Strings

# Shape suffixes: I items, W warm items, D width of a profile, T known items in order of their digests, S those of them
# with most users.


@dataclass(frozen=True)
class ItemWeightsSettings:
    """The choices of validation, and how many weights are kept."""

    ease_lambda: float
    """How strongly weights are pulled towards the profile scores, in users."""
    head_factor: float
    """Factor on the scores of the head, in (0, 1]; 1: the head is not lowered."""
    head_share: float
    """Share of the warm items, those with the most users, that is the head."""
    lift: float
    """Factor on the profile score of items without interactions."""
    max_items: int
    """The most items that have weights between them: those with the most users."""
    weights_per_item: int
    """Weights kept for each item: those that change its score most."""


def learn_item_weights(dataset: Dataset, settings: ItemWeightsSettings) -> ItemWeights | None:
    """Learn the ranker that validation chose, from all interactions.

    Args:
        dataset: with profiles and λ. Profiles of items without interactions are not read.
        settings: what validation chose.

    Returns:
        None where there is nothing to learn from.
    """
    return _learned(co_occurrence(dataset, settings.max_items, settings.head_share), settings)


def learn_by_sample(
    known: Interactions,
    profiles_of: ProfilesOf,
    ridge_lambda: float,
    lexical_width: int,
    prior_weight: float,
    settings: ItemWeightsSettings,
    n_items: int,
    seed: int,
) -> ItemWeights | None:
    """Like `learn_item_weights`, where the profiles of all items would take too much time and memory.

    Args:
        known: all interactions.
        profiles_of: of items.
        ridge_lambda: λ of users over these profiles.
        lexical_width: number of leading dimensions of profiles that ridge regression leaves out.
        prior_weight: of the users' prior.
        settings: what validation chose.
        n_items: the most items without weights whose profiles are read, see `ridge_by_sample`.
        seed: of their sample.

    Returns:
        None where there is nothing to learn from.
    """
    if len(known.warm) < 2:
        return None
    ridge = ridge_by_sample(
        known, profiles_of, ridge_lambda, lexical_width, prior_weight, settings.max_items, n_items, seed
    )
    found = co_occurrence_by(known, profiles_of, ridge, settings.max_items, settings.head_share)
    return _learned(found, settings)


def _learned(found: "CoOccurrence | None", settings: ItemWeightsSettings) -> ItemWeights | None:
    if found is None:
        return None
    weights = item_weights(found, settings.ease_lambda, settings.weights_per_item)
    return balanced(weights, found, settings.head_factor, settings.lift)


@dataclass(frozen=True)
class CoOccurrence:
    """Co-occurrence of items in histories, beside the scores of ridge users."""

    digests_T: NDArray[np.bytes_]
    """Digests of the ids of the warm items."""
    is_head_T: NDArray[np.bool_]
    """Whether an item is of the head, and among the S items."""
    inside: NDArray[np.int64]
    """Places in T of the S items that have weights between them."""
    gram_SS: NDArray[np.float32]
    """Number of users of both items."""
    ridge_SS: NDArray[np.float64]
    """K."""
    prior_SS: NDArray[np.float64]
    """s B₀."""
    scale: float
    """s > 0."""


def co_occurrence(dataset: Dataset, max_items: int, head_share: float) -> CoOccurrence | None:
    """Compute what is the same for weights of every λ and lift.

    Args:
        dataset: with profiles and λ.
        max_items: the most items with weights between them: those with the most users.
        head_share: share of the warm items, those with the most users, that is the head.

    Returns:
        None where fewer than two items are warm, or where interactions contradict the profile scores.
    """
    if len(dataset.warm) < 2:
        return None
    profiles_of, ridge = dataset.vectors_ID.__getitem__, ridge_of(dataset)
    return co_occurrence_by(dataset.interactions, profiles_of, ridge, max_items, head_share)


def co_occurrence_by(
    known: Interactions, profiles_of: ProfilesOf, ridge: Ridge, max_items: int, head_share: float
) -> CoOccurrence | None:
    """Compute the same from the profiles of the items that may have weights, and what users share.

    In the dimensions of separate words nothing is regressed, so leaving an item out does not change its score there.

    Args:
        known: interactions; at least two items are warm.
        profiles_of: of items.
        ridge: with the Gram matrix of all warm items.
        max_items: the most items with weights between them: those with the most users.
        head_share: share of the warm items, those with the most users, that is the head.

    Returns:
        None where interactions contradict the profile scores.
    """
    warm = known.warm
    digests_W = digests(Strings(known.item_ids).take(warm))
    order = np.argsort(digests_W)
    # in single precision, as for every earlier challenger
    histories_UT = csr_array(known.matrix_UI[:, warm[order]], dtype=np.float32)
    n_users_T = np.asarray(histories_UT.sum(axis=0)).ravel()
    inside = np.sort(np.argsort(-n_users_T, kind="stable")[:max_items])
    histories_US = csr_array(histories_UT[:, inside])
    profiles_SD = profiles_of(warm[order[inside]]).astype(np.float64)
    weights_SD = ridge.weights(profiles_SD).astype(np.float64)
    words, others = slice(ridge.lexical_width), slice(ridge.lexical_width, None)
    words_SS, ridge_SS = (weights_SD[:, part] @ profiles_SD[:, part].T for part in (words, others))
    prior_SS = words_SS + ridge_SS / (1 - np.diag(ridge_SS))
    ridge_SS += words_SS
    np.fill_diagonal(prior_SS, 0)
    gram_SS = (histories_US.T @ histories_US).toarray()
    scale = prior_scale(gram_SS, prior_SS)
    if scale <= 0:
        return None
    head = known.head(warm, head_share)
    is_head_T = np.isin(warm[order], head) & np.isin(np.arange(len(order)), inside)
    return CoOccurrence(digests_W[order], is_head_T, inside, gram_SS, ridge_SS, prior_SS * scale, scale)


def item_weights(found: CoOccurrence, ease_lambda: float, n_kept: int) -> ItemWeights:
    """The ranker for one λ, with head factor 1 and lift 1.

    Args:
        found: what it is learned from.
        ease_lambda: λ > 0: how strongly weights are pulled towards the prior, in users.
        n_kept: weights kept for each item: those that change its score most.

    Returns:
        The ranker.
    """
    added_SS = ease_weights(found.gram_SS, found.prior_SS.copy(), ease_lambda)
    added_SS -= found.scale * found.ridge_SS
    np.fill_diagonal(added_SS, 0)
    sizes_SS = np.abs(added_SS)
    if n_kept < len(added_SS):
        edge_1S = np.partition(sizes_SS, len(added_SS) - n_kept, axis=0)[len(added_SS) - n_kept]
        added_SS[sizes_SS < edge_1S] = 0
    n = len(found.digests_T)
    placed_ST = csr_array(eye_array(n, format="csr")[found.inside])
    weights_TT = csr_array(placed_ST.T @ csr_array(added_SS / found.scale) @ placed_ST).astype(np.float32)
    weights_TT.sort_indices()
    return ItemWeights(found.digests_T, weights_TT, np.ones(n, np.float32), n)


def balanced(weights: ItemWeights, found: CoOccurrence, head_factor: float, lift: float) -> ItemWeights:
    """Lower the head, and lift items without interactions.

    Items of the head that have no weights, since there are more than `max_items`, are not lowered: what has no weights
    is ordered by profiles.

    Args:
        weights: with head factor 1 and lift 1.
        found: what they were learned from.
        head_factor: on the scores of the head.
        lift: factor on the profile score of items without interactions.

    Returns:
        The ranker.
    """
    factor_T = (np.where(found.is_head_T, head_factor, 1.0) / lift).astype(np.float32)
    weights_TT = weights.weights_TT.copy()
    weights_TT.data *= factor_T[weights_TT.indices]
    return replace(weights, weights_TT=weights_TT, factor_T=factor_T)
