"""Batches of objectives `texts` and `distill`, which learn from texts alone: no interaction is read."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recsys.training.known import Known, Plan, step_rng
from recsys.training.losses.imitation import distance_to_teacher
from recsys.training.losses.pairs import ranked_pairs

# Shape suffixes: B texts of the batch, D dimension.


def plan_texts(known: Known, number: int) -> Plan:
    """Plan one batch of texts. An epoch visits each text once.

    Args:
        known: data, parameters and texts.
        number: of the batch, from 0.

    Returns:
        The plan.
    """
    epoch, place = divmod(number, known.steps_per_epoch)
    order = step_rng(known.params.seed, epoch, "epoch").permutation(known.rows_T)
    rows_B = np.sort(np.array_split(order, known.steps_per_epoch)[place])
    return _imitating(known, rows_B) if known.params.objective == "distill" else _twice(known, rows_B)


def _imitating(known: Known, rows_B: NDArray[np.int64]) -> Plan:
    target_BD = known.corpus.targets_of(rows_B)

    def loss(x_BD: Tensor) -> Tensor:
        return distance_to_teacher(x_BD, torch.from_numpy(target_BD).to(x_BD.device))

    return Plan(rows_B, loss)


def _twice(known: Known, rows_B: NDArray[np.int64]) -> Plan:
    """Each text under two draws of dropout: each vector has to find the other among the texts of the batch.

    Paper: Gao et al. 2021, EMNLP, "SimCSE: simple contrastive learning of sentence embeddings", arXiv:2104.08821.
    """

    def loss(x_BD: Tensor) -> Tensor:
        a_BD, b_BD = x_BD.chunk(2)
        return ranked_pairs(a_BD, b_BD, None, known.params.temperature)

    return Plan(np.concatenate([rows_B, rows_B]), loss)
