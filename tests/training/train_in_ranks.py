"""Run by torchrun: train the same in rank 0 alone and in all ranks together; rank 0 writes both curves as JSON."""

import json
import sys
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path

import torch

from recsys.training.finetune import finetune
from recsys.training.inputs import TokenInputs
from recsys.training.ranks import Ranks, join
from recsys.training.stepping import Encoding
from recsys.training.texts import tokenise
from recsys.training.tower import open_tower
from tests.training.tastes import Watch, make_tastes, params

CASES = {
    "plain": {},
    "packs of few tokens, dropout, two batches a step": {"encode_tokens": 64, "accumulate": 2},
    "cached gradients": {"encode_tokens": 64, "grad_cache": True},
    "moved inputs": {"encode_tokens": 64, "adversarial_epsilon": 0.05, "layers": "all"},
    "adapters": {"encode_tokens": 64, "layers": "lora"},
    "memory gone in the last rank": {"encode_tokens": 256, "dropout": 0.0},
    "memory gone for the loss in the last rank": {"encode_tokens": 256, "dropout": 0.0},
}


def train(source, folder, ranks, breaks="", **changes):
    training_set, chosen = make_tastes(), params(**({"layers": "all", "epochs": 2} | changes))
    tower = open_tower(source, "mean", chosen.layers, chosen.top_layers, chosen.lora_rank, chosen.dropout)
    tower = tower.to(ranks.device)
    inputs, watch = TokenInputs(tokenise(training_set.texts, source, 32), ranks.device), Watch()
    if breaks == "encoding":
        tower.register_forward_pre_hook(_no_memory_above_100)
    with _no_memory_once() if breaks == "loss" else nullcontext():
        trained = finetune(training_set, tower, inputs, chosen, 1.0, folder, watch, ranks=ranks)
    weights = torch.cat([value.detach().cpu().flatten() for _, value in tower.trained()])
    return watch.losses, [asdict(epoch) for epoch in trained.epochs], weights, watch.sentences


def _no_memory_above_100(tower, fed):
    if tower.training and sum(block.shape[0] * block.shape[1] for block in fed[0]) > 100:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@contextmanager
def _no_memory_once():
    """The first loss of a training does not fit."""
    loss = Encoding._loss

    def gone(encoding, *others):
        Encoding._loss = loss
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    Encoding._loss = gone
    try:
        yield
    finally:
        Encoding._loss = loss


def main(source, folder):
    ranks = join()
    single, curves = Ranks(device=ranks.device), {}
    for number, (name, changes) in enumerate(CASES.items()):
        where = "loss" if "loss" in name else "encoding"
        breaks = where if name.startswith("memory") and ranks.rank == ranks.size - 1 else ""
        together = train(source, folder / f"{number}-together", ranks, breaks, **changes)
        alone = train(source, folder / f"{number}-alone-{ranks.rank}", single, **changes)
        apart = float((together[2] - alone[2]).abs().max()) if ranks.is_first else 0.0
        curves[name] = {
            "together": together[:2], "alone": alone[:2], "weights_apart": apart, "said": together[3],
        }  # fmt: skip
    if ranks.is_first:
        (folder / "curves.json").write_text(json.dumps(curves))
    ranks.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
