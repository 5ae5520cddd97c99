"""Several processes that train one encoder together, by torch.distributed; each is a *rank*, from 0.

Every rank makes the same plan of a batch and encodes its share of the batch's packs. The vectors of all are gathered,
so each computes the loss of the whole batch and backpropagates through its own packs; these gradients add up to the
gradient of a single process. Every rank then makes the same step. Packs, dropout and plans are those of a single
process, and so is the loss curve, except for rounding: gradients are summed in another order. Only rank 0 validates,
decides and writes, and it tells the others.

torchrun starts the processes, here (`launch`) or by hand on several machines, and ends all of them when one dies.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from recsys.processes import end_with
from recsys.training.launching import is_launched
from recsys.training.tower import Tower

Result = TypeVar("Result")
WAIT = timedelta(days=14)
"""Other ranks wait this long while rank 0 learns a head. If a rank dies, its connections close, and the wait ends at
once."""


class Dismissed(Exception):
    """Rank 0 has ended this training early."""


@dataclass(frozen=True)
class Ranks:
    """The processes of a training, seen from one of them."""

    rank: int = 0
    size: int = 1
    local: int = 0
    """Number of this process among those of its machine."""
    device: str = "cpu"

    @property
    def is_first(self) -> bool:
        """Whether this process decides and writes."""
        return self.rank == 0

    def share(self, n: int) -> range:
        """Which of n packs this process encodes."""
        return range(self.rank, n, self.size)

    def gather(self, mine: Mapping[int, Tensor], sizes: Sequence[int], width: int) -> list[Tensor]:
        """Vectors of all packs.

        Args:
            mine: pack -> its vectors, of this process's share; they keep their gradient.
            sizes: texts of every pack.
            width: D.

        Returns:
            x_GD of each pack, in order; those of other processes are constants.
        """
        if self.size == 1:
            return [mine[place] for place in range(len(sizes))]
        whole_BD = torch.zeros((sum(sizes), width), device=self.device)
        pieces = list(whole_BD.split(list(sizes)))
        for place, x_GD in mine.items():
            pieces[place].copy_(x_GD.detach())
        dist.all_reduce(whole_BD)  # each row is zero but in one process
        return [mine.get(place, piece) for place, piece in enumerate(pieces)]

    def fitting(self, call: Callable[[], Result]) -> Result:
        """Run a call that may run out of memory. If it does so in any process, all of them raise.

        Args:
            call: computes without the other processes.

        Returns:
            Its result.

        Raises:
            OutOfMemoryError: here or elsewhere.
        """
        if self.size == 1:
            return call()
        found, error = None, None
        try:
            found = call()
        except torch.OutOfMemoryError as caught:
            error = caught
        failed = torch.tensor(int(error is not None))
        dist.all_reduce(failed, dist.ReduceOp.MAX)
        if failed:
            raise error or torch.OutOfMemoryError("another process has too little memory")
        return found  # type: ignore[return-value]  # no error: it is the call's

    def sum_gradients(self, tower: Tower) -> None:
        """Give every process the sum of all gradients, of parameters that have one anywhere."""
        if self.size == 1:
            return
        values = [value for _, value in tower.trained()]
        has = torch.tensor([value.grad is not None for value in values], dtype=torch.int32)
        dist.all_reduce(has, dist.ReduceOp.MAX)
        some = [value for value, one in zip(values, has.tolist(), strict=True) if one]
        flat = torch.cat(
            [(torch.zeros_like(one) if one.grad is None else one.grad).flatten() for one in some]
        )
        dist.all_reduce(flat)
        for value, grad in zip(some, flat.split([one.numel() for one in some]), strict=True):
            value.grad = grad.view_as(value)

    def sum(self, whole: Tensor) -> Tensor:
        """The sum over all processes of a tensor on the CPU."""
        if self.size > 1:
            dist.all_reduce(whole)
        return whole

    def from_first(self, call: Callable[[], Result]) -> Result:
        """Run a call in rank 0; every process gets its result."""
        found: Result = self.broadcast(call() if self.is_first else None)
        return found

    def broadcast(self, value: Any) -> Any:  # noqa: ANN401  what rank 0 sends
        """Rank 0's value, in every process; what the others pass is not used."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        return box[0]

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            dist.all_reduce(torch.zeros(1))

    def leave(self) -> None:
        """End the work together; nothing is shared afterwards."""
        if self.size > 1:
            dist.destroy_process_group()


ALONE = Ranks()


def join() -> Ranks:
    """Join the processes that torchrun has started together; ALONE where it has not.

    CUDA tensors travel by NCCL, all others by Gloo.
    """
    cuda = torch.cuda.is_available()
    if not is_launched():
        return Ranks(device="cuda" if cuda else "cpu")
    end_with(os.getppid())
    local = int(os.environ["LOCAL_RANK"])
    if cuda:
        torch.cuda.set_device(local)
    if not dist.is_initialized():
        dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=WAIT)
    return Ranks(dist.get_rank(), dist.get_world_size(), local, "cuda" if cuda else "cpu")


def lead(ranks: Ranks, training: dict[str, Any] | None) -> None:
    """In rank 0: tell the others which training comes next; None: no more."""
    ranks.broadcast(training)


def follow(ranks: Ranks, train: Callable[[dict[str, Any]], object]) -> None:
    """In the other ranks: take part in one training after the other, until rank 0 has no more.

    Args:
        ranks: of this process.
        train: takes part in the training that rank 0 names.
    """
    while (training := ranks.broadcast(None)) is not None:
        train(training)
