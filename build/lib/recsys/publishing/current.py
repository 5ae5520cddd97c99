"""CURRENT, the pointer: which release readers get, and whether a person holds it there."""

import json
from typing import Literal, Self

from pydantic import Field

from recsys.errors import ReleaseError
from recsys.publishing.release import FORMAT, Frozen, ReleaseId, refuse_newer


class Hold(Frozen):
    """Set by `rollback`: releases go on being built, but are not swapped in until `resume`."""

    who: str
    why: str
    head: ReleaseId
    """The newest release that was built; `resume` swaps to it."""


class Current(Frozen):
    """The pointer: which release readers get."""

    format: Literal[1] = FORMAT
    release: ReleaseId
    generation: int
    """Grows by one with every change."""
    nonce: str
    """Fresh with every change: whoever wrote it knows its own change again when the reply was lost."""
    hold: Hold | None
    collected_below: int = Field(default=0)
    """Releases of a lower sequence were given up by `collect`, beside those that were pointed to."""
    published_at: str
    by: str

    @property
    def head(self) -> str:
        """The newest release that was built: parent of the next one."""
        return self.hold.head if self.hold else self.release

    def to_bytes(self) -> bytes:
        """Readable JSON."""
        return (json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_bytes(cls, content: bytes, where: str) -> Self:
        """Read the pointer of the store at `where`.

        Args:
            content: the file's bytes.
            where: the store, for the message.

        Returns:
            The pointer.

        Raises:
            ReleaseError: it is damaged or of a newer format.
        """
        try:
            plain = json.loads(content)
            refuse_newer(plain, f"CURRENT in {where}")
            return cls.model_validate(plain)
        except (ValueError, RecursionError) as error:
            remedy = "restore CURRENT from a backup; releases/ holds the releases it may name"
            raise ReleaseError(f"CURRENT in {where} is damaged: {error}", remedy=remedy) from error
