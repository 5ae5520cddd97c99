"""Learn event heads with torch, on one thread: the same examples and seed give the same bytes.

The loss is a sum over the examples:

    cross-entropy of clicks, with log q taken off the logit where negatives were sampled
    cross-entropy of purchases over all examples, P(purchase) = P(click) P(purchase | click)   (ESMM)
    squared error of values, where a pair has one
    `text_weight` times |x - W' W x|² over the items of the batch: the projection must also give the text's profile back

Users and items are held out to stop early, and to calibrate. Papers: Ma et al. 2018, Entire Space Multi-Task Model
(SIGIR); Platt 1999; Cheng et al. 2016, Wide & Deep (the linear part beside the hidden layers).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from recsys.errors import TrainingError
from recsys.ranking.event_examples import Examples
from recsys.ranking.event_heads import CLICK, HEADS, PURCHASE, VALUE, WEIGHTS, EventHeads
from recsys.ranking.params import RankerParams
from recsys.ranking.platt import platt

if TYPE_CHECKING:
    from torch import Tensor

# Shape suffixes: E examples, B examples of a batch, U users, F features, D width of a profile, P projected dimensions.
MIN_CLICKS = 20
"""With fewer examples of a click, or of its absence, nothing is learned."""
LEAST_LOGIT = -30.0
"""Bounds log q plus a logit, and keeps logarithms finite."""


@dataclass(frozen=True)
class Course:
    """How training went."""

    losses: tuple[float, ...]
    """Mean loss on held-out pairs, after each epoch; the first is before any step."""
    best_epoch: int


def learn_event_heads(examples: Examples, params: RankerParams) -> tuple[EventHeads, Course] | None:
    """Learn until held-out pairs no longer improve, then calibrate on them.

    Args:
        examples: of all users.
        params: section `ranker`.

    Returns:
        The heads and the course; None where there is too little to learn from: fewer than MIN_CLICKS clicks or
        examples without one, or fewer than two users.

    Raises:
        TrainingError: a loss is not finite.
    """
    import torch

    learning, held, unseen = _apart(examples, params)
    for some in (learning, held):
        if min(some.clicked_E.sum(), (~some.clicked_E).sum()) < MIN_CLICKS:
            return None
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums in one order: the same weights each time
    try:
        weights, course = _Run(learning, held, params).all()
    finally:
        torch.set_num_threads(threads)
    return _calibrated(weights, learning, unseen), course


def _apart(examples: Examples, params: RankerParams) -> tuple[Examples, Examples, Examples]:
    """Split the examples: to learn from, to decide when to stop, and to calibrate.

    Those for stopping share neither a user nor an item with those to learn from: otherwise a network that memorised
    single items would look good. All examples that were not learned from are used to calibrate.
    """
    rng = np.random.default_rng([params.seed, 11])
    is_held = []
    for rows in (examples.row_U, examples.item_E):
        drawn = rng.permutation(np.unique(rows))
        is_held.append(drawn[: round(params.held_out * len(drawn))])
    is_held_U = np.isin(examples.row_U, is_held[0])
    is_held_I = np.zeros(len(examples.vectors_ID), bool)
    is_held_I[is_held[1]] = True
    by_user_E, by_item_E = is_held_U[examples.user_E], is_held_I[examples.item_E]
    if not is_held[1].size:  # one item, or hardly more: users alone are held out
        return examples.only(~by_user_E), examples.only(by_user_E), examples.only(by_user_E)
    return (
        examples.only(~by_user_E & ~by_item_E),
        examples.only(by_user_E & by_item_E),
        examples.only(by_user_E | by_item_E),
    )


class _Run:
    """One training."""

    def __init__(self, learning: Examples, held: Examples, params: RankerParams) -> None:
        import torch

        self.learning, self.held, self.params = learning, held, params
        self.values = _scale_of(learning)
        self.rng = np.random.default_rng([params.seed, 13])
        self.vectors_ID = torch.from_numpy(np.ascontiguousarray(learning.vectors_ID))
        self.weights = _first(learning, params)
        trained = [one for name, one in self.weights.items() if name not in ("mean_F", "scale_F")]
        for one in trained:
            one.requires_grad_()
        self.optimizer = torch.optim.AdamW(trained, lr=params.learning_rate, weight_decay=params.weight_decay)

    def all(self) -> tuple[dict[str, NDArray[np.float32]], Course]:
        """Train to the end; the best weights."""
        losses, best, best_epoch = [self._held_loss()], self._copy(), 0
        for epoch in range(1, self.params.epochs + 1):
            order = self.rng.permutation(len(self.learning.item_E))
            for start in range(0, len(order), self.params.batch):
                loss = self._loss(
                    self.learning, order[start : start + self.params.batch], self.params.text_weight
                )
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
            losses.append(self._held_loss())
            if not np.isfinite(losses[-1]):
                raise TrainingError(
                    f"epoch {epoch} of the event heads: the loss is not finite",
                    remedy="lower ranker.learning_rate",
                )
            if losses[-1] < min(losses[:-1]):
                best, best_epoch = self._copy(), epoch
            elif epoch - best_epoch >= self.params.patience:
                break
        return best, Course(tuple(losses), best_epoch)

    def _held_loss(self) -> float:
        import torch

        places = np.arange(len(self.held.item_E))
        with torch.no_grad():
            sums = [
                float(self._loss(self.held, part, 0.0)) * len(part)
                for part in np.array_split(places, max(1, len(places) // 8192))
            ]
        return sum(sums) / len(places)

    def _loss(self, examples: Examples, part: NDArray[np.int64], text_weight: float) -> "Tensor":
        import torch
        from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

        features_BF = torch.from_numpy(examples.features_EF[part])
        profiles_BD = self._profiles(examples, part) if self.params.width else None
        logits_BE = _logits(self.weights, features_BF, profiles_BD)
        log_q_B = torch.from_numpy(examples.log_q_E[part])
        clicked_B = torch.from_numpy(examples.clicked_E[part]).float()
        loss = binary_cross_entropy_with_logits(logits_BE[:, CLICK] - log_q_B, clicked_B)
        if examples.purchased_E is not None:
            bought_B = torch.from_numpy(examples.purchased_E[part]).float()
            # P(purchase | sampled) = P(click | sampled) P(purchase | click): only pairs without a click are left out
            log_p_B = logsigmoid(logits_BE[:, CLICK] - log_q_B) + logsigmoid(logits_BE[:, PURCHASE])
            log_p_B = log_p_B.clamp(LEAST_LOGIT, -1e-6)
            loss = loss - (bought_B * log_p_B + (1 - bought_B) * torch.log1p(-log_p_B.exp())).mean()
        if examples.value_E is not None:
            mean, scale = (
                self.values
            )  # values in their own scale would outweigh the other losses, or not count
            value_B = (torch.from_numpy(examples.value_E[part]) - mean) / scale
            has_B = torch.isfinite(value_B)
            if has_B.any():
                loss = loss + ((logits_BE[:, VALUE] - value_B)[has_B] ** 2).sum() / len(part)
        if text_weight and profiles_BD is not None:
            projection_DP, (_, items_BD) = self.weights["projection_DP"], profiles_BD
            back_BD = (items_BD @ projection_DP) @ projection_DP.T
            loss = loss + text_weight * ((items_BD - back_BD) ** 2).sum(1).mean()
        return loss

    def _profiles(self, examples: Examples, part: NDArray[np.int64]) -> "tuple[Tensor, Tensor]":
        """Tastes of the users and profiles of the items, [B, D] each."""
        import torch

        tastes_BD = torch.from_numpy(examples.tastes_UD[examples.user_E[part]])
        return tastes_BD, self.vectors_ID[torch.from_numpy(examples.item_E[part])]

    def _copy(self) -> dict[str, NDArray[np.float32]]:
        return {name: one.detach().numpy().copy() for name, one in self.weights.items()}


def _logits(
    weights: "dict[str, Tensor]", features_BF: "Tensor", profiles_BD: "tuple[Tensor, Tensor] | None"
) -> "Tensor":
    """As `EventHeads.logits`."""
    import torch

    w = weights
    plain_BF = inputs_BN = (features_BF - w["mean_F"]) / w["scale_F"]
    if profiles_BD is not None:
        taste_BP, item_BP = (one_BD @ w["projection_DP"] for one_BD in profiles_BD)
        inputs_BN = torch.cat([plain_BF, taste_BP, item_BP, taste_BP * item_BP], 1)
    hidden_BH = torch.relu(inputs_BN @ w["first_NH"] + w["first_H"])
    hidden_BJ = torch.relu(hidden_BH @ w["second_HJ"] + w["second_J"])
    logits_BE: Tensor = hidden_BJ @ w["heads_JE"] + w["heads_E"] + plain_BF @ w["wide_FE"]
    return logits_BE


def _first(learning: Examples, params: RankerParams) -> "dict[str, Tensor]":
    """Weights before the first step: leading directions of the items, small random layers, heads at the base rates."""
    import torch

    generator = torch.Generator().manual_seed(params.seed)
    mean_F, scale_F = learning.features_EF.mean(axis=0), learning.features_EF.std(axis=0)
    width = min(params.width, learning.vectors_ID.shape[1])
    n_features, n_heads = len(mean_F), len(HEADS)

    def layer(n_in: int, n_out: int) -> "Tensor":
        drawn: Tensor = torch.randn(n_in, n_out, generator=generator) * (2 / n_in) ** 0.5
        return drawn

    n_inputs, (n_hidden, n_second) = n_features + 3 * width, params.hidden
    heads_E = np.zeros(n_heads, np.float32)
    heads_E[CLICK] = _logit(float(learning.clicked_E.mean())) + float(learning.log_q_E.mean())
    if learning.purchased_E is not None and learning.clicked_E.any():
        heads_E[PURCHASE] = _logit(float(learning.purchased_E[learning.clicked_E].mean()))
    first = {
        "mean_F": torch.from_numpy(mean_F),
        "scale_F": torch.from_numpy(np.where(scale_F > 1e-6, scale_F, 1).astype(np.float32)),
        "projection_DP": torch.from_numpy(_directions(learning, width)),
        "first_NH": layer(n_inputs, n_hidden),
        "first_H": torch.zeros(n_hidden),
        "second_HJ": layer(n_hidden, n_second),
        "second_J": torch.zeros(n_second),
        "heads_JE": 0.1 * layer(n_second, n_heads),
        "heads_E": torch.from_numpy(heads_E),
        "wide_FE": torch.zeros(n_features, n_heads),
    }
    return {name: first[name] for name in WEIGHTS}


def _directions(learning: Examples, width: int) -> NDArray[np.float32]:
    """The leading directions of the items, [D, width]."""
    vectors_ND = learning.vectors_ID[np.unique(learning.item_E)].astype(np.float64)
    if not width:
        return np.zeros((vectors_ND.shape[1], 0), np.float32)
    _, directions_DD = np.linalg.eigh(vectors_ND.T @ vectors_ND)
    return directions_DD[:, ::-1][:, :width].astype(np.float32).copy()


def _scale_of(learning: Examples) -> tuple[float, float]:
    """Mean and deviation of the values that are known; 0 and 1 where none or only one is."""
    known = np.zeros(0) if learning.value_E is None else learning.value_E[np.isfinite(learning.value_E)]
    return (float(known.mean()), float(known.std()) or 1.0) if len(known) else (0.0, 1.0)


def _logit(share: float) -> float:
    bounded = min(max(share, 1e-4), 1 - 1e-4)
    return float(np.log(bounded / (1 - bounded)))


def _calibrated(weights: dict[str, NDArray[np.float32]], learning: Examples, held: Examples) -> EventHeads:
    """Calibrate each head on held-out pairs. A head for which these lack one of both outcomes is left as it is."""
    calibration_E2 = np.tile([1.0, 0.0], (len(HEADS), 1))
    is_learned_E = np.array([True, *(_has(one) for one in (learning.purchased_E, learning.value_E))])
    plain = EventHeads(weights, calibration_E2.copy(), is_learned_E)
    raw_EE = plain.logits(held.features_EF, held.tastes_UD[held.user_E], held.vectors_ID[held.item_E]).astype(
        np.float64
    )
    keep_E = np.where(
        held.clicked_E, 1.0, np.exp(-held.log_q_E.astype(np.float64))
    )  # a negative stands for 1 / q
    calibration_E2[CLICK] = platt(raw_EE[:, CLICK], held.clicked_E, keep_E)
    mean, scale = _scale_of(learning)
    calibration_E2[VALUE] = scale, mean
    if held.purchased_E is not None:
        clicked = held.clicked_E
        calibration_E2[PURCHASE] = platt(
            raw_EE[clicked, PURCHASE], held.purchased_E[clicked], np.ones(clicked.sum())
        )
    return EventHeads(weights, calibration_E2, is_learned_E)


def _has(column: NDArray[np.generic] | None) -> bool:
    """Whether a head has two different outcomes to learn from."""
    if column is None:
        return False
    known = column[np.isfinite(column.astype(np.float64))]
    return len(known) > 0 and known.min() != known.max()
