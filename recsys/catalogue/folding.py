"""Names of columns and events compared without case, blanks and punctuation."""

import re

SEPARATOR = "."
"""Between the names of a path to a value inside an object, such as `item.id`."""


def folded(name: str) -> str:
    """A name without case, blanks and punctuation: `Item ID` and `item_id` become the same.

    Args:
        name: of a column or an event.

    Returns:
        Its letters and digits, case-folded.
    """
    return re.sub(r"[\W_]+", "", name).casefold()
