"""CURRENT, the pointer: which release is the current one, and whether it is on hold."""

import json
from typing import Literal, Self

from pydantic import Field

from recsys.errors import ReleaseError
from recsys.publishing.entries import Frozen
from recsys.publishing.formats import FORMAT, refuse_newer
from recsys.publishing.release import ReleaseId


class Hold(Frozen):
    """Set by `rollback`: releases are still built and stored, but the pointer stays until `resume`."""

    who: str
    why: str
    head: ReleaseId
    """The newest release; `resume` points to it."""


class Current(Frozen):
    """The pointer: which release readers get."""

    format: Literal[1] = FORMAT
    release: ReleaseId
    generation: int
    """Increases by one with every change."""
    nonce: str
    """New with every change, so a writer recognises its own change after a lost reply."""
    hold: Hold | None
    collected_below: int = Field(default=0)
    """`collect` may delete releases with a lower sequence, except the current one."""
    published_at: str
    by: str

    @property
    def head(self) -> str:
        """The newest release: the parent of the next one."""
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
