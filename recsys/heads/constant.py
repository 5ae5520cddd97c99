"""The constant coordinate of a trained head, in the units of its other coordinates.

Scaled to unit length, a text that resembles few landmarks would look as similar to them as other texts do: little
evidence is stretched until it counts as much. A coordinate that is the same for every text, before scaling, leaves such
a profile short in all other dimensions.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Shape suffixes: N items, D directions.
MEASURED = 1000
"""Items whose coordinates are measured, up to twice as many."""


def some_of(rows: NDArray[Any]) -> NDArray[Any]:
    """Evenly spaced rows to measure; all where there are fewer than 2 * MEASURED."""
    return rows[:: max(1, len(rows) // MEASURED)]


def constant_of(factor: float, coordinates_ND: NDArray[np.float32], stretch_D: NDArray[np.float32]) -> float:
    """The constant coordinate.

    Args:
        factor: one of `fusion.constants`.
        coordinates_ND: of some items, before stretching.
        stretch_D: factor of each direction.

    Returns:
        `factor` times the median length of the stretched coordinates.
    """
    return factor * float(np.median(np.linalg.norm(coordinates_ND * stretch_D, axis=1)))
