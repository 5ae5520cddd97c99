"""The number that completes a profile to unit length.

Where a head mixes words into profiles, their parts rarely have unit length together. One more number, the first of each
profile, holds what is missing, so that one inner product orders items by nearness. It says nothing about an item: what
searches for items leaves it out.
"""


def n_completing(lexical_width: int) -> int:
    """How many leading dimensions only complete unit length.

    Args:
        lexical_width: of the profiles, see `HeadReference.lexical_width`.

    Returns:
        1 where profiles hold words, otherwise 0.
    """
    return min(1, lexical_width)
