"""The plan of a batch: the items that are encoded with gradient, and the loss of their vectors.

A plan depends only on the number of the batch, the seed and the last profiles. So a run that continues after a kill
makes the same plans as one that was never interrupted.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from recsys.training.known import Known, Plan, batch_size, step_rng
from recsys.training.losses.co_occurrence import co_occurrence_softmax
from recsys.training.losses.imitation import squared_distance
from recsys.training.losses.mean import mean_users
from recsys.training.losses.pairs import ranked_pairs
from recsys.training.losses.ridge import ridge_users
from recsys.training.losses.softmax import two_sided_softmax
from recsys.training.params import FinetuneParams
from recsys.training.plans_of_texts import plan_texts

# Shape suffixes: U users, I items, B items of the batch, P pairs, D dimension, M mined.
NEWTON_STEPS = 50
QUANTILE_SAMPLE = 4096
"""Items from which quantiles of similarity are estimated."""


def plan_batch(known: Known, number: int) -> Plan | None:
    """Plan one batch.

    Args:
        known: data, parameters, last profiles.
        number: of the batch, from 0.

    Returns:
        The plan; None where no user of a sampled item has another item outside the batch.
    """
    if known.params.learns_from_texts:
        plan: Plan | None = plan_texts(known, number)
    elif known.params.objective == "pairs":
        plan = _pairs(known, number)
    else:
        plan = _items_and_users(known, number)
    return _pulled(known, plan) if plan is not None and known.params.pull > 0 else plan


def _pulled(known: Known, plan: Plan) -> Plan:
    """The same batch with the distance to the champion's vectors added to its loss.

    Paper: Li & Hoiem 2016, ECCV, "Learning without forgetting", arXiv:1606.09282 (the old model's outputs as targets).
    """
    if known.corpus.targets_ND is None:  # the champion may know the test data, so nothing pulls
        return plan
    target_BD = known.corpus.targets_of(plan.rows)

    def loss(x_BD: Tensor) -> Tensor:
        return plan.loss(x_BD) + known.params.pull * squared_distance(
            x_BD, torch.from_numpy(target_BD).to(x_BD.device)
        )

    return Plan(plan.rows, loss)


def _items_and_users(known: Known, number: int) -> Plan | None:
    training_set, params = known.training_set, known.params
    items_B = _batch_items(known, number)
    users_BU = training_set.fit_IU[items_B]
    n_here_U = np.bincount(users_BU.indices, minlength=len(training_set.users))
    users = np.flatnonzero((n_here_U > 0) & (training_set.fit.n_items_U > n_here_U))
    if len(users) == 0:
        return None
    if len(users) > params.batch_users:
        rng = step_rng(params.seed, number, "users")
        users = np.sort(rng.choice(users, params.batch_users, replace=False))
    positive_UB = training_set.fit_UI[users][:, items_B]
    b_UD = training_set.fit_UI[users] @ known.vectors_ID - positive_UB @ known.vectors_ID[items_B]
    w_UD = ridge_users(b_UD, known.ridge) if params.objective == "ridge" else mean_users(b_UD)
    positive_UB = positive_UB.toarray() > 0
    return Plan(items_B, _items_and_users_loss(known, items_B, w_UD, positive_UB, users_BU))


def _items_and_users_loss(
    known: Known,
    items_B: NDArray[np.int64],
    w_UD: NDArray[np.float32],
    positive_UB: NDArray[np.bool_],
    users_BU: csr_array,
) -> Callable[[Tensor], Tensor]:
    params = known.params
    masked_UB = _near_a_positive(known, items_B, positive_UB)
    log_chance_B = params.logq * np.log(_inclusion(known)[items_B]).astype(np.float32)
    shared_BB = _shared(users_BU) if params.co_occurrence_weight > 0 else None

    def loss(x_BD: Tensor) -> Tensor:
        def there(array: NDArray[np.generic]) -> Tensor:
            return torch.from_numpy(array).to(x_BD.device)

        scores_UB = there(w_UD) @ x_BD.T / params.temperature
        found = two_sided_softmax(
            scores_UB, there(positive_UB), there(masked_UB), there(log_chance_B), params.item_side
        )
        return _with_co_occurrence(found, x_BD, shared_BB, params)

    return loss


def _with_co_occurrence(
    loss: Tensor, x_BD: Tensor, shared_BB: NDArray[np.float32] | None, params: FinetuneParams
) -> Tensor:
    if shared_BB is None:
        return loss
    shared = torch.from_numpy(shared_BB).to(x_BD.device)
    return loss + params.co_occurrence_weight * co_occurrence_softmax(x_BD, shared, params.temperature)


def _pairs(known: Known, number: int) -> Plan | None:
    """One pair of items from each of batch_items // 2 users."""
    training_set, params = known.training_set, known.params
    rng = step_rng(params.seed, number, "pairs")
    users = np.flatnonzero(training_set.fit.n_items_U > 1)
    users = rng.choice(users, min(len(users), params.batch_items // 2), replace=False)
    histories = training_set.fit_UI[users]
    pairs_P2 = np.stack(
        [
            rng.choice(histories.indices[histories.indptr[row] : histories.indptr[row + 1]], 2, replace=False)
            for row in range(len(users))
        ]
    ).astype(np.int64)
    rows, places = np.unique(pairs_P2, return_inverse=True)
    places_P2 = torch.from_numpy(places.reshape(-1, 2))
    if len(users) < 2:
        return None
    masks_PP2 = [histories[:, pairs_P2[:, side]].toarray() > 0 for side in (0, 1)]
    for mask_PP in masks_PP2:
        np.fill_diagonal(mask_PP, False)
    shared_BB = _shared(training_set.fit_IU[rows]) if params.co_occurrence_weight > 0 else None

    def loss(x_BD: Tensor) -> Tensor:
        a_PD, b_PD = (x_BD[places_P2[:, side].to(x_BD.device)] for side in (0, 1))
        as_anchor_PP, as_positive_PP = (torch.from_numpy(mask_PP).to(x_BD.device) for mask_PP in masks_PP2)
        found = ranked_pairs(a_PD, b_PD, as_positive_PP, params.temperature)
        if params.item_side > 0:
            found = found + params.item_side * ranked_pairs(b_PD, a_PD, as_anchor_PP, params.temperature)
        return _with_co_occurrence(found, x_BD, shared_BB, params)

    return Plan(rows, loss)


def _batch_items(known: Known, number: int) -> NDArray[np.int64]:
    """Rows of the batch's items, ascending."""
    params, fit_rows = known.params, known.training_set.fit_rows
    if params.popularity_power > 0:
        n_items = batch_size(known.training_set, params)
        rng = step_rng(params.seed, number, "items")
        chosen = rng.choice(fit_rows, n_items, replace=False, p=known.chance_E)
    else:
        epoch, place = divmod(number, known.steps_per_epoch)
        order = step_rng(params.seed, epoch, "epoch").permutation(fit_rows)
        chosen = np.array_split(order, known.steps_per_epoch)[place]
    n_mined = int(params.hard_share * len(chosen))
    if n_mined:
        chosen = _with_mined(known, chosen[n_mined:], n_mined)
    return np.sort(chosen)


def _inclusion(known: Known) -> NDArray[np.float64]:
    """Each item's probability to be in a batch, [I]; 1 for items of the validation slice, which are in none."""
    chance_I = np.ones(len(known.training_set.item_ids))
    if known.params.popularity_power > 0:
        n_items = batch_size(known.training_set, known.params)
        chance_I[known.training_set.fit_rows] = inclusion_chances(known.chance_E, n_items)
    return chance_I


def inclusion_chances(chance_E: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Probability of each item to be among n drawn one after the other without replacement.

    It is 1 - exp(-t p), with t such that the sum is n: an item is drawn if an exponential clock of rate p rings before
    the n-th of all clocks.

    Paper: Rosén 1997, Journal of Statistical Planning and Inference 62, "Asymptotic theory for order sampling".

    Args:
        chance_E: probability to be drawn first; the sum is 1.
        n: fewer than the items with a positive probability.

    Returns:
        The probabilities; their sum is n.
    """
    t = 0.0
    for _ in range(NEWTON_STEPS):  # from below: the sum is concave in t, so no step goes too far
        left_E = np.exp(-t * chance_E)
        t += (n - (1 - left_E).sum()) / (chance_E * left_E).sum()
    return np.asarray(-np.expm1(-t * chance_E), np.float64)


def _with_mined(known: Known, chosen: NDArray[np.int64], n_mined: int) -> NDArray[np.int64]:
    """Add hard negatives: the items nearest to some of the chosen ones, but no nearer than the quantile allows.

    Paper: Moreira et al. 2024, arXiv:2407.15831 (positive-aware mining: what is too near may be a positive).
    """
    fit_rows = known.training_set.fit_rows
    vectors_ED = known.vectors_ID[fit_rows]
    taken_E = np.isin(fit_rows, chosen)
    mined = []
    for row in np.resize(chosen, n_mined):  # again from the first, where more are mined than chosen
        cosines_E = vectors_ED @ known.vectors_ID[row]
        limit = np.quantile(cosines_E, known.params.hard_quantile)
        cosines_E[taken_E | (cosines_E > limit)] = -np.inf
        best = int(cosines_E.argmax())
        if np.isfinite(cosines_E[best]):
            taken_E[best] = True
            mined.append(fit_rows[best])
    return np.concatenate([chosen, np.array(mined, np.int64)])


def _near_a_positive(
    known: Known, items_B: NDArray[np.int64], positive_UB: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """masked_UB: items nearer to a positive of the user than the quantile allows. They may be positives too."""
    if known.params.hard_quantile >= 1:
        return np.zeros_like(positive_UB)
    fit_rows = known.training_set.fit_rows
    sample = fit_rows[:: max(1, len(fit_rows) // QUANTILE_SAMPLE)]
    batch_BD = known.vectors_ID[items_B]
    limit_B1 = np.quantile(
        batch_BD @ known.vectors_ID[sample].T, known.params.hard_quantile, axis=1, keepdims=True
    )
    near_BB = (batch_BD @ batch_BD.T > limit_B1).astype(np.float32)
    near_UB = positive_UB.astype(np.float32) @ near_BB > 0
    return np.asarray(near_UB & ~positive_UB, np.bool_)


def _shared(users_BU: csr_array) -> NDArray[np.float32]:
    """Cosine of two items' users: users in common over the root of both counts, float32 [B, B]."""
    both_BB = (users_BU @ users_BU.T).toarray()
    n_B = np.sqrt(np.maximum(both_BB.diagonal(), 1))
    return np.asarray(both_BB / n_B[:, None] / n_B, np.float32)
