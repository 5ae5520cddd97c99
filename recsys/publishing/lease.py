"""A lease in the store: only one collector deletes at a time, and publishers wait for it.

A collector writes the object COLLECTING, swaps CURRENT, then deletes. A publisher reads CURRENT, then COLLECTING, and
waits while the lease is held. So a publisher that started before the swap loses its own swap and starts again; one that
starts later finds what is left. No clock is compared: a collector is taken for dead if its object does not change while
a publisher watches it. One risk remains: a deletion that reaches the store more than LASTS_S after it was sent.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from uuid import uuid4

from recsys.errors import ReleaseError, StorageError, SwapLost
from recsys.storage.protocol import Storage

COLLECTING = "COLLECTING"
"""Empty or missing while nobody collects."""
LASTS_S = 60.0
"""A holder whose object has not changed for this many seconds is taken for dead."""
RENEW_S = 10.0
"""A lease older than this is renewed before the next step."""
POLL_S = 0.5


class Lease:
    """The right to delete, until another process takes it over."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._nonce = uuid4().hex
        self._n = 0
        self._renewed = 0.0
        self._tag: str | None = None

    def take(self) -> None:
        """Wait until the lease is free, and take it.

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
        """Check that the lease is still ours, and renew it. Call it before each deletion and between other steps.

        Raises:
            ReleaseError: another process took it over, because this one was suspended for too long.
        """
        if time.monotonic() - self._renewed < RENEW_S:
            return
        try:
            self._write()
        except SwapLost as error:
            raise ReleaseError(
                f"this collector was suspended for more than {LASTS_S:.0f} s, and others went on",
                remedy="run recsys collect again: it continues where this one stopped",
            ) from error

    def now(self) -> datetime:
        """The store's clock.

        Returns:
            The store's time when the lease was last taken or renewed.

        Raises:
            ReleaseError: somebody deleted it.
        """
        found = self._storage.find(COLLECTING)
        if found is None:
            raise ReleaseError(f"{COLLECTING} was deleted meanwhile", remedy="run recsys collect again")
        return found.modified

    def give_back(self) -> None:
        """Give the lease back. If this fails, it expires."""
        with suppress(StorageError):
            self._storage.swap(COLLECTING, b"", self._tag)

    def _write(self) -> None:
        self._n += 1
        content = f"{self._nonce} {self._n}\n".encode()
        refused: StorageError | None = None
        try:
            self._storage.swap(COLLECTING, content, self._tag)
        except StorageError as error:  # the reply may be lost after a success: read what is there now
            refused = error
        found = self._storage.read_tagged(COLLECTING)
        if found is None or found[0] != content:
            if refused is not None and (found[1] if found else None) == self._tag:
                raise refused  # nobody else was faster: the store refuses writes
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
    """Whether a collector deletes at the moment, or died while deleting."""
    found = storage.read_tagged(COLLECTING)
    return bool(found and found[0])


def wait_until_free(storage: Storage) -> None:
    """Wait while a collector deletes. A dead one's lease is taken over.

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
