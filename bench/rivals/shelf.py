"""Arrays that several rows share, kept with what making them took, so that every row tells the whole cost."""

import json
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.storage.atomic import whole_file


@dataclass
class Shelf:
    """A folder of named parts."""

    folder: Path
    borrowed_s: float = 0.0
    """Seconds that parts took which were read instead of made."""
    peak_mib: float = 0.0
    """The most that a process which made one of them held."""

    def part(self, name: str, make: Callable[[], dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
        """Read a part, or make and keep it.

        Args:
            name: says all that it depends on.
            make: arrays by name.

        Returns:
            The arrays.
        """
        at = self.folder / f"{name}.npz"
        if at.exists():
            with np.load(at) as found:
                arrays = dict(found)
            cost = json.loads(str(arrays.pop("cost")))
            self.borrowed_s += cost["seconds"]
            self.peak_mib = max(self.peak_mib, cost["peak_mib"])
            return arrays
        started = time.perf_counter()
        arrays = make()
        cost = {
            "seconds": time.perf_counter() - started,
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
        with whole_file(at) as temporary, temporary.open("wb") as target:
            everything: dict[str, Any] = {"cost": np.array(json.dumps(cost)), **arrays}
            np.savez(target, **everything)
        return arrays
