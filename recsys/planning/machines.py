"""The machines of a plan: as described, and like this machine in all else."""

import os
import shutil
from pathlib import Path

from recsys.planning.planning import Machines
from recsys.processor import usable_cores


def these(
    folder: Path,
    *,
    workers: int,
    cores: int | None,
    memory_bytes: float | None,
    disk_bytes: float | None,
    gpus: int,
    gpu_texts_per_s: float | None,
) -> Machines:
    """Machines as described.

    Args:
        folder: on the disk whose free space counts where `disk_bytes` is None.
        workers: how many.
        cores: of each; None: as this process may use.
        memory_bytes: of each; None: as this machine has.
        disk_bytes: free on each; None: as here.
        gpus: in all of them together.
        gpu_texts_per_s: of one GPU; None: unknown.

    Returns:
        The machines.
    """
    return Machines(
        workers,
        cores or usable_cores(),
        memory_bytes or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        disk_bytes or shutil.disk_usage(folder).free,
        gpus,
        gpu_texts_per_s,
    )
