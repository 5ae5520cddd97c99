"""Let a new model publish first: while it catches up, arrivals wait for one release.

Without this, arrivals published one after the other could overtake it for ever. Files that arrive meanwhile are
profiled, and published after the swap.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from recsys.errors import OtherEncoder
from recsys.storage.protocol import Storage

TURN = "TURN"
"""Its content is the hash of the model that catches up."""
LASTS = timedelta(minutes=15)
"""Of one that was not given back, since its process was killed: then arrivals go on."""


@contextmanager
def turn(storage: Storage, model_hash: str) -> Iterator[None]:
    """Ask arrivals to wait.

    Args:
        storage: where releases live.
        model_hash: of the model that catches up.

    Yields:
        Nothing; arrivals wait meanwhile, for LASTS at most.
    """
    storage.write(TURN, model_hash.encode())
    try:
        yield
    finally:
        storage.delete(TURN)


def wait_for_turn(storage: Storage) -> None:
    """See that no new model catches up at this moment.

    Args:
        storage: where releases live.

    Raises:
        OtherEncoder: one does; names it.
    """
    found, content = storage.find(TURN), storage.read_tagged(TURN)
    if found is None or content is None or datetime.now(UTC) - found.modified > LASTS:
        return
    model = content[0].decode(errors="replace")[:10]
    raise OtherEncoder(
        f"a release with model {model} catches up and comes first",
        remedy=f"publish again after it; {TURN} in {storage.url} holds for {LASTS.seconds // 60} minutes at most",
    )
