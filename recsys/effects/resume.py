"""Effect `resume`: end the hold that `rollback` set."""

from recsys.publishing.current import Current, Hold
from recsys.publishing.store import Pointer, ReleaseStore
from recsys.storage.protocol import Storage


def resume(storage: Storage, who: str) -> Current:
    """End the hold: the newest release becomes the current one. Without a hold nothing changes.

    Args:
        storage: where releases live.
        who: who decided.

    Returns:
        The pointer.

    Raises:
        ReleaseError: nothing is published, or the newest release is incomplete.
    """
    store = ReleaseStore(storage)

    def make(before: Pointer) -> tuple[str, Hold | None, str, int] | None:
        if before.current.hold is None:
            return None
        store.require_objects(store.manifest(before.current.head))
        return before.current.head, None, who, 0

    return store.change(make)
