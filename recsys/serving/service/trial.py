"""The release that a share of users gets beside the current one.

It is opened in every worker and stays open. Where it cannot be read, or has been deleted from the store, the current
release serves everybody, and `problem` says why. Once it is the current one, the trial is over.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from recsys.errors import ConfigError, ReleaseError
from recsys.publishing.store import ReleaseStore, manifest_key
from recsys.serving.service.loading import Attempts, Served, problem_of
from recsys.serving.trials import is_in_trial

log = logging.getLogger(__name__)
Group = Literal["current", "trial"]


@dataclass(frozen=True)
class TrialState:
    """What runs beside the current release."""

    release: str
    share: float
    """Share of users who get the release of the trial."""
    serves: bool
    problem: str
    """Why it does not serve; empty where it does, and where the trial is over."""


class Trial:
    """Keeps one release open beside the current one.

    Args:
        store: where releases live.
        load: opens a release.
        release: which.
        share: of users who get it, above 0.
        poll_s: seconds between two looks.
    """

    def __init__(
        self, store: ReleaseStore, load: Callable[[str], Served], release: str, share: float, poll_s: float
    ) -> None:
        self._store = store
        self._load = load
        self.release = release
        self.share = share
        self._attempts = Attempts(poll_s)
        self._served: Served | None = None
        self._is_over = False
        """Once it was the current release. It stays over when another becomes current, such as after a rollback."""
        self.problem = ""
        """Why it does not serve; empty where it does, and where it is the current release."""

    @property
    def state(self) -> TrialState:
        """Whether it serves, and why not."""
        return TrialState(self.release, self.share, self._served is not None, self.problem)

    def look(self, current: Served | None) -> None:
        """Open the release if it is not open, and see that it is still there.

        Args:
            current: the release that everybody else gets; None: none serves yet.
        """
        if current is None:
            return
        if self._is_over or current.release == self.release:
            self._served, self.problem, self._is_over = None, "", True
            return
        try:
            if self._store.storage.find(manifest_key(self.release)) is None:
                raise ReleaseError(
                    f"{self.release} is not in {self._store.storage.url}", remedy="end the trial"
                )
            if self._served is None and self._attempts.is_due(self.release):
                self._served = self._checked(self._load(self.release), current)
                fields = {"release": self.release, "share": self.share}
                log.info("trial serves", extra={"fields": fields})
            if self._served is not None:
                self.problem = ""
        except Exception as error:  # whatever is wrong with it, the current release serves everybody
            problem = problem_of(error)
            if problem != self.problem:
                log.exception(
                    "trial refused", extra={"fields": {"release": self.release, "problem": problem}}
                )
            if isinstance(error, ReleaseError | ConfigError):
                self._served = None  # not where the store is out of reach: what is open can still answer
            self.problem = problem

    def serves(self, pseudonym: str | None) -> Served | None:
        """The trial's release where this user gets it.

        Args:
            pseudonym: the user's; None: nobody is named.

        Returns:
            None: the current release answers.
        """
        served = self._served
        if served is None or pseudonym is None or not is_in_trial(pseudonym, self.release, self.share):
            return None
        return served

    def _checked(self, served: Served, current: Served) -> Served:
        keys = [one.recommender.manifest.pseudonym_key_check for one in (served, current)]
        if None not in keys and keys[0] != keys[1]:
            raise ConfigError(
                f"the pseudonyms of release {self.release} were made with another key than those of {current.release}",
                remedy="try a release whose users have the same pseudonyms",
            )
        return served
