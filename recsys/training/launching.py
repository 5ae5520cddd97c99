"""Start the processes of a training on this machine, and say which one failed. Only starting loads torch."""

import os
import sys
from collections.abc import Mapping, Sequence
from signal import Signals
from typing import TYPE_CHECKING
from uuid import uuid4

from recsys.errors import TrainingError

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure


def is_launched() -> bool:
    """Whether torchrun has started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def launch(n: int, arguments: Sequence[str], environment: dict[str, str]) -> None:
    """Run `python -m …` in n processes that train together, by torchrun, and wait for all of them.

    When one ends early, torchrun ends the others.

    Args:
        n: processes; each uses its share of this machine's processors, or a GPU of its own.
        arguments: what follows `python`.
        environment: variables beside this process's.

    Raises:
        TrainingError: a process ended early; says which and how.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    threads = max(1, len(os.sched_getaffinity(0)) // n)
    before = dict(os.environ)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    os.environ.setdefault(
        "GLOO_SOCKET_IFNAME", "lo"
    )  # the processes are all here, whatever this host is called
    os.environ.update(environment)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=n,
        run_id=uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        local_addr="127.0.0.1",
        max_restarts=0,
        monitor_interval=1,
    )
    try:
        elastic_launch(config, sys.executable)(*arguments)
    except ChildFailedError as error:
        rank, failure = _first(error.failures)
        raise TrainingError(
            f"process {rank} of {n} {_ended(failure.exitcode)}; the others were ended",
            remedy="read its message above, or check what killed it (memory?); "
            "the next run continues from the last checkpoint",
        ) from None
    finally:
        os.environ.clear()
        os.environ.update(before)


def _first(failures: Mapping[int, "ProcessFailure"]) -> tuple[int, "ProcessFailure"]:
    """The process that failed first; among several in the same second, the killed one: the others lost its connections.

    torchrun ends the others by SIGTERM, so that signal says nothing.
    """
    return min(
        failures.items(),
        key=lambda pair: (pair[1].timestamp, pair[1].exitcode >= 0 or pair[1].exitcode == -Signals.SIGTERM),
    )


def _ended(code: int) -> str:
    return f"was ended by {Signals(-code).name}" if code < 0 else f"ended with code {code}"
