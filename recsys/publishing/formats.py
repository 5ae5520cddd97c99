"""Formats of releases: each number says what a reader must know. A release has the oldest that its content allows."""

from typing import Any, Literal

from recsys.errors import ReleaseError

FORMAT: Literal[1] = 1
"""The first format. It is raised when an older reader could misunderstand a release; newer formats are refused."""
PARTED: Literal[6] = 6
"""First format that names the parts of a model. Earlier ones hold one reference, `encoder`, and the ranker's name."""
DETAILED: Literal[7] = 7
"""First format whose segments hold details of items, for pages, and an inverted index of their words."""
CHOSEN: Literal[8] = 8
"""First format that may hold a width of searches or a temperature; a release has it where it holds one of them. Older
formats are read; docs/formats.md describes them all."""
RELATED: Literal[9] = 9
"""First format that may hold what relations and vectors add; a release has it where it is made of any."""
WEIGHTED: Literal[10] = 10
"""First format that may withhold items, and whose users may have a weighting: histories then hold how strong likes are.
A release has it where it does one of both."""
BY_EVENT: Literal[11] = 11
"""First format whose users' weighting may tell events apart: histories then hold the events of likes. A release has it
where it does."""
PREFIXED: Literal[12] = 12
"""First format whose encoder may have prefixes or be a decoder; a release has it where its encoder is one of both."""
PRIVATE: Literal[13] = 13
"""First format whose users' shared statistics may have noise; a release has it where they do."""
COMPACT: Literal[14] = 14
"""First format that may search a segment by a graph over rotated 4-bit copies; a release has it where one is so
searched."""
WITH_PRIOR: Literal[15] = 15
"""First format whose users may have a prior; a release has it where they do."""
SIGNS: Literal[16] = 16
"""First format that may search a segment by a graph over the signs of rotated vectors; a release has it where one is so
searched."""
ALIKE: Literal[17] = 17
"""First format whose users may count likes less that are alike; a release has it where they do."""
NEWEST = ALIKE


def refuse_newer(plain: Any, what: str, newest: int = FORMAT) -> None:  # noqa: ANN401  any JSON value
    """Refuse a format that this version does not know.

    Args:
        plain: a parsed JSON document.
        what: its name, for the message.
        newest: the newest known format; all before it are known too.

    Raises:
        ReleaseError: `plain` has no known format.
    """
    found = plain.get("format") if isinstance(plain, dict) else None
    if found not in range(FORMAT, newest + 1):
        known = f"format {FORMAT}" if newest == FORMAT else f"formats {FORMAT} to {newest}"
        raise ReleaseError(
            f"{what} has format {found}, this Firstlight reads {known}",
            remedy="upgrade firstlight-recsys where you read, or roll back to an older release",
        )
