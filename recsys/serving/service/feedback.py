"""Feedback as the service keeps it: stored at once, shipped to the landing zone and pruned by a thread of its own."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from recsys.catalogue.feedback import hint
from recsys.catalogue.params import FeedbackParams
from recsys.catalogue.pseudonyms import PSEUDONYM_FORM, Pseudonyms
from recsys.errors import StorageError
from recsys.publishing.release import Manifest
from recsys.serving.answers import Answer
from recsys.serving.feedback import FeedbackStore
from recsys.serving.feedback_events import Added, Event
from recsys.serving.feedback_outbox import ship
from recsys.serving.feedback_tables import SQLITE, surely_has_none
from recsys.serving.params import ServeParams
from recsys.serving.service.loading import Served
from recsys.serving.service.trial import Trial
from recsys.serving.trials import ListCounts, Shown, click_counter, is_in_trial, prune_trials
from recsys.storage.protocol import Storage

log = logging.getLogger(__name__)
COUNT_S = 2.0
"""Seconds for which lists of a trial are counted in memory alone: what a kill loses of them."""


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
    _lists: ListCounts = field(default_factory=ListCounts)
    _ending: threading.Event = field(default_factory=threading.Event)

    @property
    def is_local(self) -> bool:
        """Whether the store is a file of this machine. Who reads it waits for nobody, as SQLite's log has it."""
        return self.store.engine.dialect.name == SQLITE

    def of(self, pseudonym: str, served: Served) -> Sequence[Event]:
        """A user's events that the release does not hold; none of somebody whose pseudonym cannot be one."""
        return self.store.of(pseudonym, served.held) if PSEUDONYM_FORM.fullmatch(pseudonym) else ()

    def surely_knows_nothing_of(self, pseudonym: str) -> bool:
        """Whether `of` is empty for every release, which is soon known; False where that would take longer."""
        return not PSEUDONYM_FORM.fullmatch(pseudonym) or surely_has_none(self.store.engine, pseudonym)

    def add(self, given: Sequence[Event], trial: Trial | None) -> Added:
        """Store events; while a trial runs, count clicks with them.

        Args:
            given: in order of arrival.
            trial: the release that a share of users gets.

        Returns:
            How many were new.
        """
        if trial is None or not trial.state.serves:
            return self.store.add(given)
        return self.store.add(given, also=click_counter(trial.release, trial.share, self.params.click_events))

    def notes(self, events: Iterable[str]) -> list[str]:
        """What names of events count as that no rule knows; a sentence for each."""
        hints = (hint(name, self.rules, self.params.click_events) for name in dict.fromkeys(events))
        return [one for one in hints if one is not None]

    def count_list(self, pseudonym: str | None, answer: Answer, trial: Trial | None) -> bool:
        """Count a list that a user was given, while a trial runs.

        Args:
            pseudonym: the user's; a list of nobody by name is not counted.
            answer: the list.
            trial: the release that a share of users gets.

        Returns:
            Whether it counts.
        """
        if not (trial and trial.state.serves and pseudonym and PSEUDONYM_FORM.fullmatch(pseudonym)):
            return False
        if (answer.release == trial.release) != is_in_trial(pseudonym, trial.release, trial.share):
            return False  # the trial ends just now, since its release has become the current one
        self._lists.add(Shown(trial.release, answer.release, pseudonym), len(answer.items))
        return True

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
        """Store counts, ship and prune until `stop`.

        Args:
            served: tells the current release.
        """
        threading.Thread(target=self._work, args=(served,), name="ship feedback", daemon=True).start()

    def stop(self) -> None:
        """End the thread, and store what was counted."""
        self._ending.set()
        self._store_counts()

    def _work(self, served: Callable[[], Served | None]) -> None:
        due = time.monotonic() + self.params.ship_s
        while not self._ending.wait(min(COUNT_S, self.params.ship_s)):
            self._store_counts()
            if time.monotonic() < due:
                continue
            due = time.monotonic() + self.params.ship_s
            try:
                self.ship()
                now = served()
                if now is not None:
                    self.store.prune(now.held, timedelta(days=self.params.keep_days))
                prune_trials(self.store, timedelta(days=self.params.keep_trial_days))
            except Exception:  # the next run goes on where this one stopped
                log.exception("feedback waits")

    def _store_counts(self) -> None:
        try:
            self._lists.store(self.store)
        except Exception:  # they wait for the next time
            log.exception("counts of a trial wait")

    @property
    def ships(self) -> bool:
        """Whether events reach the landing zone."""
        return self.landing is not None and self.pseudonyms is not None

    def ship(self) -> int:
        """Write what is in no file yet into the landing zone; returns how many events that were."""
        if self.landing is None or self.pseudonyms is None:
            return 0
        done = ship(self.store, self.landing, self.pseudonyms)
        if done.n_events:
            log.info("feedback shipped", extra={"fields": {"files": done.keys, "events": done.n_events}})
        return done.n_events
