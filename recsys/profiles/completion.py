"""The first number of a profile where heads made it: what all items have in common, or what completes unit length.

It lets one inner product order items by nearness, and says nothing about an item. So what searches for items leaves it
out.
"""


def n_completing(lexical_width: int) -> int:
    """How many leading dimensions say nothing about an item.

    Args:
        lexical_width: of the profiles, see `HeadReference.lexical_width`.

    Returns:
        1 where there are leading dimensions that ridge regression leaves out, otherwise 0.
    """
    return min(1, lexical_width)
