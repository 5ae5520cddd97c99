"""Types for names and checksums that come from a store and become paths.

A release's manifest, an encoder's reference and the pointer are read from a store that others may write. What they
call a file must be one step of a path, never a way out of the folder that it is meant for.
"""

import re
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

MAX_NAME = 200
PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+=-]*")


def plain_name(name: str) -> str:
    """Refuse what is not one plain step of a path.

    Args:
        name: of a file, a segment or a part.

    Returns:
        The same name: letters, digits and `_ . @ + = -`, not beginning with a dot or a dash, 200 at most.

    Raises:
        ValueError: it is empty, too long, hidden, or holds a separator, a blank or a control character.
    """
    if len(name) > MAX_NAME or not PLAIN.fullmatch(name):
        raise ValueError(f"{name[:80]!r} is not a plain name of a file")
    return name


PlainName = Annotated[str, AfterValidator(plain_name)]
"""One step of a path."""
Sha256 = Annotated[str, StringConstraints(pattern=r"\A[0-9a-f]{64}\z")]
"""64 hex digits in lower case."""
