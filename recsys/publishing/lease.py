"""One collector at a time, and no publisher beside it: an object in the store says that `collect` is deleting.

A collector first writes COLLECTING, then swaps CURRENT, then deletes. A publisher reads CURRENT, then COLLECTING, and
waits while it is taken. So a publisher that began earlier loses its swap and begins again, and one that begins later
sees what is left. No clock takes part: a collector that died is one whose object does not change while a publisher
watches it. What is left to chance is one deletion that reaches the store later than LASTS_S after it was sent.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from uuid import uuid4

from recsys.errors import ReleaseError, StorageError, SwapLost
from recsys.storage.protocol import Storage

COLLECTING = "COLLECTING"
"""Empty, or missing, while nobody collects."""
LASTS_S = 60.0
"""After so many seconds without a change whoever holds it is taken for dead."""
RENEW_S = 10.0
"""It is renewed before the next step when it is older."""
POLL_S = 0.5


class Lease:
    """The right to delete, as long as nobody has taken it away."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._nonce = uuid4().hex
        self._n = 0
        self._renewed = 0.0
        self._tag: str | None = None

    def take(self) -> None:
        """Wait until it is free, and take it.

        Raises:
            StorageError: the store cannot be reached, or takes no writes.
        """
        while True:
            wait_until_free(self._storage)
            found = self._storage.read_tagged(COLLECTING)
            self._tag = found[1] if found else None
            if found and found[0]:
                continue
            with suppress(SwapLost):
                self._write()
                return

    def hold(self) -> None:
        """See that it is still ours, and renew it; called right before each deletion, and between other steps.

        Raises:
            ReleaseError: somebody took it, since this process stood still for too long.
        """
        if time.monotonic() - self._renewed < RENEW_S:
            return
        try:
            self._write()
        except SwapLost as error:
            raise ReleaseError(
                f"this collector stood still for more than {LASTS_S:.0f} s, and others went on",
                remedy="run recsys collect again: it goes on where this one stopped",
            ) from error

    def now(self) -> datetime:
        """The store's own time.

        Returns:
            When the lease was taken or renewed last.

        Raises:
            ReleaseError: somebody deleted it.
        """
        found = self._storage.find(COLLECTING)
        if found is None:
            raise ReleaseError(f"{COLLECTING} was deleted meanwhile", remedy="run recsys collect again")
        return found.modified

    def give_back(self) -> None:
        """Let others go on; what cannot be given back runs out."""
        with suppress(StorageError):
            self._storage.swap(COLLECTING, b"", self._tag)

    def _write(self) -> None:
        self._n += 1
        content = f"{self._nonce} {self._n}\n".encode()
        refused: StorageError | None = None
        try:
            self._storage.swap(COLLECTING, content, self._tag)
        except StorageError as error:  # a lost reply may have been a success: what is there now tells
            refused = error
        found = self._storage.read_tagged(COLLECTING)
        if found is None or found[0] != content:
            if refused is not None and (found[1] if found else None) == self._tag:
                raise refused  # nobody else was faster: the store takes no writes
            raise SwapLost(f"{COLLECTING} in {self._storage.url} was taken by somebody else")
        self._tag, self._renewed = found[1], time.monotonic()


@contextmanager
def lease(storage: Storage) -> Iterator[Lease]:
    """Be the only collector.

    Args:
        storage: where releases live.

    Yields:
        The lease.
    """
    held = Lease(storage)
    held.take()
    try:
        yield held
    finally:
        held.give_back()


def is_collecting(storage: Storage) -> bool:
    """Whether somebody deletes right now, or died while deleting."""
    found = storage.read_tagged(COLLECTING)
    return bool(found and found[0])


def wait_until_free(storage: Storage) -> None:
    """Wait while somebody deletes; take it away from one that died.

    Args:
        storage: where releases live.

    Raises:
        StorageError: the store cannot be reached.
    """
    watched, since = "", time.monotonic()
    while True:
        found = storage.read_tagged(COLLECTING)
        if found is None or not found[0]:
            return
        if found[1] != watched:
            watched, since = found[1], time.monotonic()
        elif time.monotonic() - since > LASTS_S:
            with suppress(SwapLost):
                storage.swap(COLLECTING, b"", watched)
            continue
        time.sleep(POLL_S)
