"""Let a new model be published first: while it catches up with new data, arrivals publish nothing.

Without this, arrivals published one after the other could overtake it again and again. Files that arrive meanwhile are
profiled, and published after the swap.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from recsys.errors import OtherModel
from recsys.storage.clock import time_of_storage
from recsys.storage.protocol import Storage

KEY = "TURN"
"""Object in the store that gives a model priority; its content is the hash of the model that catches up."""
LASTS = timedelta(minutes=15)
"""Time after which the priority of a killed process ends."""


@contextmanager
def priority(storage: Storage, model_hash: str) -> Iterator[None]:
    """Take priority over arrivals.

    Args:
        storage: where releases live.
        model_hash: of the model that catches up.

    Yields:
        Nothing; arrivals publish nothing meanwhile, for LASTS at most.
    """
    storage.write(KEY, model_hash.encode())
    try:
        yield
    finally:
        storage.delete(KEY)


def yield_to_other_model(storage: Storage) -> None:
    """Refuse to publish while a new model has priority.

    Args:
        storage: where releases live.

    Raises:
        OtherModel: a model has priority; names it.
        StorageError: the store is out of reach.
    """
    found, content = storage.find(KEY), storage.read_tagged(KEY)
    if found is None or content is None or time_of_storage(storage) - found.modified > LASTS:
        return
    model = content[0].decode(errors="replace")[:10]
    raise OtherModel(
        f"a release with model {model} catches up and comes first",
        remedy=f"publish again after it; {KEY} in {storage.url} holds for {LASTS.seconds // 60} minutes at most",
    )
