"""Trials: a share of users gets another release, and what both groups click on is counted.

A user's group is a hash of their pseudonym, salted with the trial's release: it stays the same on every worker, and the
next trial gets other users. The feedback store counts lists and clicks per trial, release and user, while a trial runs.
"""

import hashlib
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine import Connection

from recsys.catalogue.folding import folded
from recsys.serving.feedback import FeedbackStore
from recsys.serving.feedback_events import Event, microseconds
from recsys.serving.feedback_tables import inserting, trial_counts

ROWS_PER_STATEMENT = 500
MAX_BUFFERED = 100_000
"""Users whose lists wait to be stored; lists of more users are not counted while the store is out of reach."""


def is_in_trial(pseudonym: str, release: str, share: float) -> bool:
    """Whether a user belongs to the share that gets a release. Who is in a share is in every larger one.

    Args:
        pseudonym: the user's.
        release: the trial's, the salt of the hash.
        share: of users, in [0, 1].

    Returns:
        The same for the same arguments, everywhere.
    """
    digest = hashlib.sha256(f"{release}\0{pseudonym}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:7]) < share * 256**7


@dataclass(frozen=True, order=True)
class Shown:
    """Whose lists are counted together."""

    trial: str
    """The release that a share of users gets."""
    release: str
    """The one that answered this user."""
    user: str
    """Pseudonym."""


class ListCounts:
    """Lists that were given, counted in memory until `store` is called. A killed process loses seconds of them."""

    def __init__(self) -> None:
        self._lock, self._storing = threading.Lock(), threading.Lock()
        self._waiting: dict[Shown, tuple[int, int]] = {}

    def add(self, shown: Shown, n_items: int, n_lists: int = 1) -> None:
        """Count a list.

        Args:
            shown: whose.
            n_items: its length.
            n_lists: more than one, where lists that could not be stored come back.
        """
        with self._lock:
            if shown in self._waiting or len(self._waiting) < MAX_BUFFERED:
                lists, items = self._waiting.get(shown, (0, 0))
                self._waiting[shown] = (lists + n_lists, items + n_items)

    def store(self, store: FeedbackStore, now: datetime | None = None) -> int:
        """Add what was counted to the store.

        Args:
            store: the feedback store.
            now: None: the clock's.

        Returns:
            Number of lists.

        Raises:
            StorageError: the database cannot be reached; what was counted waits for the next call.
        """
        with (
            self._storing
        ):  # who calls at the end waits for a call that is under way: its process goes on so long
            with self._lock:
                taken, self._waiting = self._waiting, {}
            if not taken:
                return 0
            try:
                with store.reaching(), store.engine.begin() as connection:
                    counted = {shown: (lists, items, 0) for shown, (lists, items) in taken.items()}
                    _add(connection, counted, now or datetime.now(UTC))
            except BaseException:
                for shown, (lists, items) in taken.items():
                    self.add(shown, items, lists)
                raise
        return sum(lists for lists, _ in taken.values())


def click_counter(
    trial: str, share: float, clicks: Collection[str]
) -> Callable[[Connection, Sequence[Event]], None]:
    """What `FeedbackStore.add` also does while a trial runs: count clicks, each event once.

    An event counts for the release that it names. It does not count where that release is not the one of its user's
    group: it would then tell of another trial, or of a share that was changed.

    Args:
        trial: the release that a share of users gets.
        share: of users.
        clicks: names of events.

    Returns:
        A function of the transaction and the new events.
    """
    names = frozenset(map(folded, clicks))

    def count(connection: Connection, new: Sequence[Event]) -> None:
        counted: dict[Shown, tuple[int, int, int]] = {}
        for event in new:
            if event.release is None or folded(event.event) not in names:
                continue
            if (event.release == trial) == is_in_trial(event.user, trial, share):
                shown = Shown(trial, event.release, event.user)
                counted[shown] = (0, 0, counted.get(shown, (0, 0, 0))[2] + 1)
        _add(connection, counted, datetime.now(UTC))

    return count


def _add(connection: Connection, counted: dict[Shown, tuple[int, int, int]], now: datetime) -> None:
    """Add to the counts; in order of their keys, so that two writers never wait for each other."""
    rows = [
        {
            "trial": shown.trial, "release": shown.release, "user": shown.user,
            "n_lists": lists, "n_items": items, "n_clicks": clicks, "at_us": microseconds(now),
        }
        for shown, (lists, items, clicks) in sorted(counted.items())
    ]  # fmt: skip
    for start in range(0, len(rows), ROWS_PER_STATEMENT):
        adding = inserting(connection)(trial_counts).values(rows[start : start + ROWS_PER_STATEMENT])
        more = {
            name: trial_counts.c[name] + adding.excluded[name] for name in ("n_lists", "n_items", "n_clicks")
        }
        keys = ["trial", "release", "user"]
        connection.execute(
            adding.on_conflict_do_update(index_elements=keys, set_={**more, "at_us": adding.excluded.at_us})
        )


@dataclass(frozen=True)
class GroupCounts:
    """What the users of one group were shown, and clicked on."""

    lists_U: NDArray[np.int64]
    clicks_U: NDArray[np.int64]
    n_items: int
    """Items in all lists, counted once per list."""


@dataclass(frozen=True)
class TrialCounts:
    """Both groups of a trial."""

    trial: str
    others: GroupCounts
    """Who got the current release."""
    tried: GroupCounts
    """Who got the trial's."""
    n_moved: int
    """Users who were in both groups, since the share was changed meanwhile; they count in neither."""


def last_other(store: FeedbackStore, trial: str) -> str | None:
    """The release that was last shown beside a trial's; None where nobody got another one.

    Args:
        store: the feedback store.
        trial: the release that a share of users got.

    Returns:
        A release id.

    Raises:
        StorageError: the database cannot be reached.
    """
    counts = trial_counts.c
    others = sa.select(counts.release).where(counts.trial == trial, counts.release != trial)
    with store.reading() as connection:
        found = connection.execute(
            others.order_by(counts.at_us.desc(), counts.release.desc()).limit(1)
        ).first()
    return str(found[0]) if found else None


def read_trial(store: FeedbackStore, trial: str, other: str | None = None) -> TrialCounts:
    """What was counted in a trial.

    Args:
        store: the feedback store.
        trial: the release that a share of users got.
        other: only who got this one is compared with them; None: whatever was current.

    Returns:
        Users with at least one list.

    Raises:
        StorageError: the database cannot be reached.
    """
    counts, is_tried = trial_counts.c, (trial_counts.c.release == trial).label("is_tried")
    sums = [sa.func.sum(counts[name]) for name in ("n_lists", "n_items", "n_clicks")]
    chosen = sa.select(counts.user, is_tried, *sums).where(counts.trial == trial)
    if other is not None:
        chosen = chosen.where(counts.release.in_([trial, other]))
    groups: dict[bool, dict[str, tuple[int, int, int]]] = {False: {}, True: {}}
    with store.reading() as connection:
        for user, tried, lists, items, clicks in connection.execute(chosen.group_by(counts.user, "is_tried")):
            if lists:
                groups[bool(tried)][user] = (int(lists), int(items), int(clicks))
    moved = groups[False].keys() & groups[True].keys()
    others, tried_ones = (
        _group([found for user, found in group.items() if user not in moved]) for group in groups.values()
    )
    return TrialCounts(trial, others, tried_ones, len(moved))


def _group(found: Sequence[tuple[int, int, int]]) -> GroupCounts:
    table = np.array(found, np.int64).reshape(-1, 3)
    return GroupCounts(table[:, 0], table[:, 2], int(table[:, 1].sum()))


def trials_of(store: FeedbackStore) -> tuple[str, ...]:
    """Releases that a share of users got, the latest trial first.

    Args:
        store: the feedback store.

    Returns:
        Their ids.

    Raises:
        StorageError: the database cannot be reached.
    """
    latest = sa.func.max(trial_counts.c.at_us).desc()
    found = sa.select(trial_counts.c.trial).group_by(trial_counts.c.trial).order_by(latest)
    with store.reading() as connection:
        if not sa.inspect(connection).has_table(trial_counts.name):  # a store from before there were trials
            return ()
        return tuple(connection.execute(found).scalars())


def prune_trials(store: FeedbackStore, keep: timedelta, now: datetime | None = None) -> int:
    """Delete the counts of trials that ended long ago.

    Args:
        store: the feedback store.
        keep: how long after the last change.
        now: None: the clock's.

    Returns:
        Number of rows.

    Raises:
        StorageError: the database cannot be reached.
    """
    oldest_us = microseconds((now or datetime.now(UTC)) - keep)
    latest = sa.select(trial_counts.c.trial).group_by(trial_counts.c.trial)
    over = latest.having(sa.func.max(trial_counts.c.at_us) < oldest_us)
    with store.reaching(), store.engine.begin() as connection:
        return connection.execute(sa.delete(trial_counts).where(trial_counts.c.trial.in_(over))).rowcount
