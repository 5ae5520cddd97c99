"""Feedback as the service keeps it: stored at once, shipped to the landing zone and pruned by a thread of its own."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from recsys.catalogue.params import FeedbackParams
from recsys.catalogue.pseudonyms import PSEUDONYM_FORM, Pseudonyms
from recsys.errors import StorageError
from recsys.publishing.release import Manifest
from recsys.serving.feedback import FeedbackStore
from recsys.serving.feedback_events import Event
from recsys.serving.feedback_outbox import ship
from recsys.serving.params import ServeParams
from recsys.serving.service.following import Served
from recsys.storage.protocol import Storage

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Feedback:
    """The store, the rules that say which events are likes, and the way into the next release."""

    store: FeedbackStore
    rules: FeedbackParams
    params: ServeParams
    landing: Storage | None
    """None: events stay in the store, and no release gets them."""
    pseudonyms: Pseudonyms | None
    """None: events cannot be signed for intake, so they stay too."""
    _ending: threading.Event = field(default_factory=threading.Event)

    def of(self, pseudonym: str, served: Served) -> Sequence[Event]:
        """A user's events that the release does not hold; none of somebody whose pseudonym cannot be one."""
        return self.store.of(pseudonym, served.held) if PSEUDONYM_FORM.fullmatch(pseudonym) else ()

    def waiting(self, served: Served) -> int | None:
        """How many events the release does not hold; None where the store cannot be reached."""
        try:
            found = self.store.waiting(served.held)
        except StorageError:  # /version is what people look at while something is broken
            return None
        return found.n_unshipped + found.n_shipped

    def held(self, manifest: Manifest) -> frozenset[int]:
        """Which shipped files a release holds."""
        return self.store.held(manifest.provenance.arrivals)

    def start(self, served: Callable[[], Served | None]) -> None:
        """Ship and prune each `ship_s`, until `stop`."""
        threading.Thread(target=self._work, args=(served,), name="ship feedback", daemon=True).start()

    def stop(self) -> None:
        """End the thread."""
        self._ending.set()

    def _work(self, served: Callable[[], Served | None]) -> None:
        while not self._ending.wait(self.params.ship_s):
            try:
                self.ship()
                now = served()
                if now is not None:
                    self.store.prune(now.held, timedelta(days=self.params.keep_days))
            except Exception:  # the next run goes on where this one stopped
                log.exception("feedback waits")

    def ship(self) -> int:
        """Write what is in no file yet into the landing zone; returns how many events that were."""
        if self.landing is None or self.pseudonyms is None:
            return 0
        done = ship(self.store, self.landing, self.pseudonyms)
        if done.n_events:
            log.info("feedback shipped", extra={"fields": {"files": done.keys, "events": done.n_events}})
        return done.n_events
