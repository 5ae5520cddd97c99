"""A release that is open and warm, and when one that could not be opened is tried again."""

import time
from dataclasses import dataclass
from datetime import datetime

from recsys.errors import RecsysError
from recsys.publishing.object_files import ObjectFiles
from recsys.publishing.released_profiles import Profiles
from recsys.publishing.store import ReleaseStore
from recsys.serving.recommender import Recommender

LONGEST_WAIT_S = 60.0
"""Between two attempts to load the same release, which fetch it anew each; each failure doubles the wait up to this."""


@dataclass(frozen=True)
class Served:
    """A release that answers."""

    recommender: Recommender
    since: datetime
    """When this process began to answer from it, UTC."""
    held: frozenset[int] = frozenset()
    """Files of feedback that the release holds, see `FeedbackStore.held`."""

    @property
    def release(self) -> str:
        """Id of the release."""
        return self.recommender.release


def opened(store: ReleaseStore, files: ObjectFiles, release: str | None = None) -> Recommender:
    """Open a release as far as processes can share it, before they are forked.

    Args:
        store: where releases live.
        files: of the store. Whoever is forked does not use its connections: all files are here by then.
        release: which; None: the current one.

    Returns:
        The release, open.

    Raises:
        RecsysError: it cannot be opened.
    """
    manifest = store.manifest(release or store.current().current.release)
    recommender = Recommender(manifest, Profiles(manifest, files))
    recommender.open()
    return recommender


def problem_of(error: Exception) -> str:
    """What an error says to those who run the service."""
    return str(error) if isinstance(error, RecsysError) else f"{type(error).__name__}: {error}"


class Attempts:
    """Spaces attempts to load the same thing; another thing is due at once.

    Args:
        first_wait_s: seconds between the first attempt and the second.
    """

    def __init__(self, first_wait_s: float) -> None:
        self._first_wait_s = first_wait_s
        self._last: tuple[str | None, float, float] = (None, 0.0, 0.0)

    def is_due(self, what: str) -> bool:
        """Whether to try now. An attempt that is due counts as made.

        Args:
            what: names the thing.

        Returns:
            False while the wait since the last attempt lasts.
        """
        last, again_at, wait_s = self._last
        if last != what:
            wait_s = self._first_wait_s
        elif time.monotonic() < again_at:
            return False
        longer_s = max(self._first_wait_s, min(2 * wait_s, LONGEST_WAIT_S))
        self._last = (what, time.monotonic() + wait_s, longer_s)
        return True
