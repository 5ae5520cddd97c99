"""Which release the service answers from: what CURRENT names, loaded beside the old one and swapped in whole.

A request takes the release once, at its start, and answers from that one. A release that cannot be read is refused: the
one before goes on, `problem` says why, and later looks try again.
"""

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from recsys.errors import ReleaseError
from recsys.publishing.object_files import ObjectFiles
from recsys.publishing.release import Manifest
from recsys.publishing.released_profiles import Profiles
from recsys.publishing.store import CURRENT, ReleaseStore
from recsys.serving.recommender import Recommender
from recsys.serving.service.handover import Handover
from recsys.serving.service.loading import Attempts, Served, problem_of
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
        handover: where another release is asked for, whose workers then take over from this process; None: this
            process loads it beside the old one.
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
        handover: Handover | None = None,
    ) -> None:
        self._store = store
        self._explores = explores
        self._held = held
        self._files = ObjectFiles(store.storage, cache)
        self._opened = opened
        self._handover = handover
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
        self._n_swaps = 0
        self._n_refused = 0
        self.next_release: str | None = None
        """That of the workers that take over from this one; None: none do."""

    @property
    def served(self) -> Served | None:
        """The release to answer from; None before the first is loaded."""
        return self._served

    @property
    def n_swaps(self) -> int:
        """Releases that have answered; of the whole service, where it has several workers."""
        return self._handover.outcome.n_swaps if self._handover else self._n_swaps

    @property
    def n_refused(self) -> int:
        """Looks that found no store, or a release that cannot be read."""
        return self._n_refused + (self._handover.outcome.n_refused if self._handover else 0)

    def start_up(self) -> None:
        """Look for the first time.

        Raises:
            ReleaseError: this process is to take over from others that answer, and cannot.
        """
        if self._handover and self._opened is None and not self._handover.must_serve:
            self.problem = "no release could be opened before the workers started"
            return  # the thread that follows asks for one, while this worker says so
        self.look()
        if self._served is None and self._handover and self._handover.must_serve:
            raise ReleaseError(
                self.problem, remedy="the previous release stays in use; publish another one, or roll back"
            )

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
            problem = problem_of(error)
            if problem != self.problem:
                fields = {"problem": problem, "still": self._release_id()}
                log.exception("release refused", extra={"fields": fields})
            self.problem = problem
            self._n_refused += 1
            if self._handover:
                self._handover.tell(problem=problem)
            return False

    def _look(self) -> bool:
        if self._handover and self._served is None and self._opened is not None:
            self._serve(self._opened.release)  # whatever CURRENT names meanwhile
            return True
        pointer = self._store.current()
        if pointer.tag == self._tag:
            self.problem = ""
            return False
        release = pointer.current.release
        if release != self._release_id():
            if self._handover:
                return self._hand_over(self._handover, pointer.tag)
            if not self._attempts.is_due(pointer.tag):
                return False
            self._serve(release)
        self._tag, self.problem = pointer.tag, ""
        return True

    def _serve(self, release: str) -> None:
        self._served = self._loaded(release)
        self._n_swaps += 1
        log.info("release serves", extra={"fields": {"release": release}})

    def _hand_over(self, handover: Handover, tag: str) -> bool:
        """Ask for workers of what CURRENT names now; False: this process answers as before, until it is told to end."""
        outcome = handover.ask(tag, self._release_id(), self._ending.is_set)
        self.problem = outcome.problem
        self.next_release = outcome.release if outcome.release != self._release_id() else None
        return False

    def _loaded(self, release: str) -> Served:
        recommender = self._opened
        if recommender is None or recommender.release != release:
            manifest = self._store.manifest(release)
            recommender = Recommender(manifest, Profiles(manifest, self._files))
        recommender.warm()
        if self._explores:
            recommender.warm_exploring()
        served = Served(recommender, datetime.now(UTC), self._held(recommender.manifest))
        self._opened = None
        return served

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
