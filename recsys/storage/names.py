"""Types for names and checksums that come from a store and become paths.

A release's manifest, an encoder's reference and the pointer are read from a store that others may write. A file name in
them must be a single path component, so that it cannot lead out of the folder it is meant for.
"""

import re
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

MAX_NAME = 200
PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+=-]*")


def plain_name(name: str) -> str:
    """Refuse anything but a single path component.

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
"""A single path component."""
Sha256 = Annotated[str, StringConstraints(pattern=r"\A[0-9a-f]{64}\z")]
"""64 hex digits in lower case."""
