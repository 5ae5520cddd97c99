"""What workers and the process that supervises them tell each other about the next release.

Workers see what CURRENT names, since they follow it. The supervisor starts a new generation of workers for it. Requests
go through a pipe, one JSON object a line; what became of them stands in a file that is replaced whole.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from recsys.storage.atomic import write_whole

LONGEST_S = 600.0
"""A worker waits no longer for what becomes of its request; a new release may have to be fetched."""
REPEATED_S = 5.0
"""A worker that waits repeats its request so often."""
LONGEST_TEXT = 250
"""Characters of a text in a message. JSON makes at most 12 bytes of each, and the pipe takes up to 4,096 bytes in one
piece, whoever else writes into it (PIPE_BUF of Linux)."""


@dataclass(frozen=True)
class Outcome:
    """What became of the releases that were handed over so far."""

    release: str | None = None
    """That of the newest generation that serves."""
    n_swaps: int = 0
    """Generations that have served."""
    n_refused: int = 0
    refused: str = ""
    """Tag of CURRENT at the last refusal; empty where the newest attempt went well."""
    problem: str = ""
    """Why it was refused."""


class Handover:
    """The pipe and the file; made before the first fork.

    Args:
        folder: of this run of the service.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "handover.json"
        self.pipe, self._into = os.pipe()
        os.set_blocking(self.pipe, False)
        os.set_blocking(self._into, False)
        self._rest = b""
        self.generation = 0
        """Of whoever sends."""
        self.must_serve = False
        """Whether a worker ends that has no release: others answer as before."""

    @property
    def outcome(self) -> Outcome:
        """What became of the releases that were handed over so far."""
        try:
            return Outcome(**json.loads(self._path.read_bytes()))
        except FileNotFoundError:
            return Outcome()

    def note(self, outcome: Outcome) -> None:
        """Let workers know; called by the supervisor.

        Args:
            outcome: of the newest attempt.
        """
        write_whole(self._path, json.dumps(asdict(outcome)).encode())

    def ask(self, tag: str, own: str | None, is_over: Callable[[], bool]) -> Outcome:
        """Ask for workers of what CURRENT names, and wait for them; called by a worker that serves another release.

        Args:
            tag: of CURRENT.
            own: release of the worker; None: it has none.
            is_over: whether to wait no longer.

        Returns:
            What became of it. A tag that was refused already is tried again when it is due; nobody waits for that. Nor
            does a worker whose work others have taken over.
        """
        before = self.outcome
        if before.release not in (None, own):
            return before
        self.tell(look=tag)
        asked = time.monotonic()
        until, again = asked + LONGEST_S, asked + REPEATED_S
        while before.refused != tag and self.outcome == before and not is_over() and time.monotonic() < until:
            time.sleep(0.05)
            if time.monotonic() > again:
                self.tell(look=tag)
                again += REPEATED_S
        return self.outcome

    def tell(self, **message: Any) -> None:  # noqa: ANN401  anything that JSON holds
        """Send a message to the supervisor. One that finds the pipe full is lost; requests are repeated."""
        short = {
            key: value[:LONGEST_TEXT] if isinstance(value, str) else value for key, value in message.items()
        }
        try:
            os.write(self._into, json.dumps({**short, "generation": self.generation}).encode() + b"\n")
        except BlockingIOError:
            return

    def messages(self) -> list[dict[str, Any]]:
        """What has come since the last call."""
        try:
            while chunk := os.read(self.pipe, 65536):
                self._rest += chunk
        except BlockingIOError:
            pass
        *lines, self._rest = self._rest.split(b"\n")
        return [json.loads(line) for line in lines]
