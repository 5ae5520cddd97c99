"""The first number of a profile where heads made it: what all items have in common, or what completes unit length.

It lets one inner product order items by nearness, and says nothing about an item. So what searches for items leaves it
out, and so does what asks how alike two items are.
"""

import numpy as np
from numpy.typing import NDArray

# Shape suffixes: N items, D dimensions.


def n_completing(lexical_width: int) -> int:
    """How many leading dimensions say nothing about an item.

    Args:
        lexical_width: of the profiles, see `HeadReference.lexical_width`.

    Returns:
        1 where there are leading dimensions that ridge regression leaves out, otherwise 0.
    """
    return min(1, lexical_width)


def directions(profiles_ND: NDArray[np.floating], lexical_width: int) -> NDArray[np.floating]:
    """What profiles say of their items, without how much it is: their inner products are cosines of likeness.

    Args:
        profiles_ND: unit rows.
        lexical_width: of the profiles, see `HeadReference.lexical_width`.

    Returns:
        [N, D'], unit rows without the completing dimension; zeros for a profile that is nothing else. The same array
        where there is no such dimension.
    """
    if n_completing(lexical_width) == 0:
        return profiles_ND
    left_ND = profiles_ND[:, n_completing(lexical_width) :]
    lengths_N1: NDArray[np.floating] = np.linalg.norm(left_ND, axis=1, keepdims=True)
    return np.asarray(np.divide(left_ND, lengths_N1, out=np.zeros_like(left_ND), where=lengths_N1 > 0))
