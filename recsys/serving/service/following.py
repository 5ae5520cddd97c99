"""Which release the service answers from: what CURRENT names, loaded beside the old one and swapped in whole.

A request takes the release once, at its start, and answers from that one. A release that cannot be read is refused: the
one before goes on, `problem` says why, and later looks try again.
"""

import gc
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from recsys.errors import RecsysError
from recsys.publishing.objects import ObjectFiles, Profiles
from recsys.publishing.release import Manifest
from recsys.publishing.store import CURRENT, ReleaseStore
from recsys.serving.recommender import Recommender
from recsys.serving.service.loading import Attempts, Served
from recsys.serving.service.trial import Trial

log = logging.getLogger(__name__)


class Follower:
    """Follows CURRENT of a store in a thread of its own.

    Args:
        store: where releases live.
        cache: folder for downloads; may be shared by processes.
        poll_s: seconds between two looks.
        held: which files of feedback a release holds.
        trial: release and share of users who get it instead; None: there is no trial.
        explores: whether lists explore.
        opened: a release that this process inherited from the one that forked it.
    """

    def __init__(
        self,
        store: ReleaseStore,
        cache: Path,
        poll_s: float,
        held: Callable[[Manifest], frozenset[int]] = lambda _: frozenset(),
        trial: tuple[str, float] | None = None,
        explores: bool = False,
        opened: Recommender | None = None,
    ) -> None:
        self._store = store
        self._explores = explores
        self._held = held
        self._files = ObjectFiles(store.storage, cache)
        self._opened = opened
        self._poll_s = poll_s
        self._served: Served | None = None
        self._tag: str | None = None
        self._sampled: str | None = None
        self._attempts = Attempts(poll_s)
        self._looking = threading.Lock()
        self.trial = Trial(store, self._loaded, *trial, poll_s) if trial else None
        self.after_look: Callable[[], None] = lambda: None
        """Called after each look."""
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self.problem = ""
        """Why the newest look failed; empty where it did not."""
        self.n_swaps = 0
        self.n_refused = 0
        """Looks that found a release that cannot be read, or no store."""

    @property
    def served(self) -> Served | None:
        """The release to answer from; None before the first is loaded."""
        return self._served

    def look(self) -> bool:
        """Look once, and load what CURRENT names if it is another release; then look after the trial.

        Returns:
            Whether another release answers now.
        """
        with self._looking:  # the thread that follows, and whoever asks for a look at once
            is_other = self._look_at_current()
            if self.trial:
                self.trial.look(self._served)
        try:
            self.after_look()
        except Exception:  # figures that cannot be written are no reason to follow no more
            log.exception("a look was not noted")
        return is_other

    def _look_at_current(self) -> bool:
        try:
            return self._look()
        except Exception as error:  # whatever is wrong with a new release, the one before goes on
            problem = str(error) if isinstance(error, RecsysError) else f"{type(error).__name__}: {error}"
            if problem != self.problem:
                fields = {"problem": problem, "still": self._release_id()}
                log.exception("release refused", extra={"fields": fields})
            self.problem = problem
            self.n_refused += 1
            return False

    def _look(self) -> bool:
        pointer = self._store.current()
        if pointer.tag == self._tag:
            self.problem = ""
            return False
        release = pointer.current.release
        if release != self._release_id():
            if not self._attempts.is_due(pointer.tag):
                return False
            self._served = self._loaded(release)
            if (
                self.n_swaps
            ):  # the release before may be the one that this process was forked with, see `workers.py`
                gc.unfreeze()
            self.n_swaps += 1
            log.info(
                "release serves",
                extra={"fields": {"release": release, "generation": pointer.current.generation}},
            )
        self._tag, self.problem = pointer.tag, ""
        return True

    def _loaded(self, release: str) -> Served:
        recommender, self._opened = self._opened, None
        if recommender is None or recommender.release != release:
            manifest = self._store.manifest(release)
            recommender = Recommender(manifest, Profiles(manifest, self._files))
        recommender.warm()
        if self._explores:
            recommender.warm_exploring()
        return Served(recommender, datetime.now(UTC), self._held(recommender.manifest))

    def start(self) -> None:
        """Look now, and from now on each `poll_s`."""
        self._thread = threading.Thread(target=self._follow, name=f"follow {CURRENT}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._ending.set()
        if self._thread:
            self._thread.join(timeout=self._poll_s + 5)

    def _follow(self) -> None:
        while not self._ending.is_set():
            self.look()
            self._sample()
            self._ending.wait(self._poll_s)

    def _sample(self) -> None:
        """What takes seconds and no answer waits for; once per release."""
        served = self._served
        if served is None or served.release == self._sampled:
            return
        self._sampled = served.release
        try:
            served.recommender.sample_users()
        except Exception:  # whoever follows goes on: only the audience of new items stays unknown
            log.exception("no users sampled")

    def _release_id(self) -> str | None:
        return self._served.release if self._served else None
