"""The feedback store: what users have done since the current release was made.

An event is durable when `add` returns, and `of` returns it from then on. `feedback_outbox.ship` writes it into the
landing zone, in a file of interactions. Once the current release holds that file, the event counts there and no longer
here (`held`). After a grace period it is deleted (`prune`). The store knows pseudonyms, never a raw user id.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Self

import sqlalchemy as sa
from filelock import FileLock, Timeout
from sqlalchemy.engine import Connection, Engine

from recsys.catalogue.kinds import INTERACTIONS
from recsys.catalogue.pseudonyms import Pseudonyms
from recsys.errors import RequestError, StorageError
from recsys.publishing.provenance import LandedFile
from recsys.serving.feedback_adding import add_events, conflict
from recsys.serving.feedback_events import Added, Event, Waiting, as_event, as_row, microseconds, moment
from recsys.serving.feedback_tables import (
    NEWEST_OF_USER,
    POSTGRES,
    SHIPPING_LOCK,
    about,
    batches,
    close_all,
    events,
    make_tables,
    open_engine,
    require_same_file,
    require_tables,
    surely_has_none,
)

ATTEMPTS = 5
MAX_AHEAD = timedelta(minutes=5)
"""How far a client's clock may be ahead. A later event would outweigh all others, and intake would quarantine it."""
DEADLOCK = "40P01"
"""Postgres' code for two writers that add the same events in different orders; one of them must try again."""


class FeedbackStore:
    """Events in SQLite or Postgres. Safe to share between threads; several processes may open the same store."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.where = engine.url.render_as_string(hide_password=True)

    @classmethod
    def open(cls, url: str) -> Self:
        """Open a store; a new one is made.

        Args:
            url: `sqlite:///path`, or `postgresql://user:password@host/database` for several replicas.

        Returns:
            The store.

        Raises:
            ConfigError: the URL is of another kind, or a later Firstlight made the store.
            StorageError: the database cannot be reached.
        """
        store = cls(open_engine(url))
        with store.reaching():
            make_tables(store.engine)
        return store

    @classmethod
    def open_existing(cls, url: str) -> Self:
        """Open a store to read it. Nothing is made or changed, since the address may be mistyped.

        Args:
            url: as for `open`.

        Returns:
            The store.

        Raises:
            ConfigError: there is none, the URL is of another kind, or a later Firstlight made the store.
            StorageError: the database cannot be reached.
        """
        store = cls(open_engine(url, read_only=True))
        with store.reaching():
            require_tables(store.engine)
        return store

    def close(self) -> None:
        """Close all connections."""
        close_all(self.engine)

    def require_key(self, pseudonyms: Pseudonyms) -> None:
        """Refuse a key other than the one behind the store's pseudonyms; remember the first. Safe to repeat.

        Args:
            pseudonyms: hold the current key.

        Raises:
            ConfigError: it is another key.
            StorageError: the database cannot be reached.
        """
        with self.reaching(), self.engine.begin() as connection:
            first = sa.update(about).where(about.c.key_check.is_(None))
            connection.execute(first.values(key_check=pseudonyms.key_check))
            known = connection.execute(sa.select(about.c.key_check)).scalar_one()
        pseudonyms.require_check(known, f"the feedback store {self.where}")

    def add(
        self,
        given: Sequence[Event],
        now: datetime | None = None,
        also: Callable[[Connection, Sequence[Event]], None] = lambda *_: None,
    ) -> Added:
        """Store events, all or none of them. They survive a kill and a power failure from here on.

        Args:
            given: in the order in which they arrived. A repeated event changes nothing.
            now: time of the events that state none; None: the clock's.
            also: called with the new events, in the transaction that stores them.

        Returns:
            How many were new.

        Raises:
            ConflictError: an event's id is known with other content.
            RequestError: an event lies in the future.
            StorageError: the database cannot be reached, or refuses, or its file was deleted or replaced.
        """
        now, first = now or datetime.now(UTC), dict[str, Event]()
        for event in given:
            if event.at is not None and event.at > now + MAX_AHEAD:
                remedy = "set the client's clock, or leave `at` out"
                raise RequestError(f"event {event.event_id!r} lies in the future", remedy=remedy)
            if not event.repeats(first.setdefault(event.event_id, event)):
                raise conflict(event)
        rows = [as_row(event, now) for event in first.values()]
        for attempt in range(ATTEMPTS):
            try:
                with self.reaching(), self.engine.begin() as connection:
                    require_same_file(connection)
                    new = add_events(connection, first, rows)
                    also(connection, [event for event in first.values() if event.event_id in new])
                return Added(len(new), len(given) - len(new))
            except StorageError as error:
                if attempt + 1 == ATTEMPTS or not _is_deadlock(error):
                    raise
        raise AssertionError("the last attempt returns or raises")

    def of(self, user: str, held: Collection[int] = (), limit: int = 2_000) -> tuple[Event, ...]:
        """A user's events that the release does not hold, in order of arrival.

        Args:
            user: pseudonym.
            held: what `held` returned for the release.
            limit: only the newest so many events are looked at; older ones count again in the next release.

        Returns:
            The events; their times are known.

        Raises:
            StorageError: the database cannot be reached.
        """
        if surely_has_none(self.engine, user):
            return ()
        with self.reading() as connection:
            found = connection.execute(NEWEST_OF_USER, {"of": user, "limit": limit}).all()
        return tuple(as_event(row) for row in reversed(found) if row.batch not in held)

    def held(self, arrivals: Iterable[LandedFile]) -> frozenset[int]:
        """Which shipped files a release holds; a file's name carries the hash of its content.

        Args:
            arrivals: `provenance.arrivals` of the release's manifest.

        Returns:
            Numbers of files, for `of`, `waiting` and `prune`.

        Raises:
            StorageError: the database cannot be reached.
        """
        sources = {landed.source for landed in arrivals if landed.kind == INTERACTIONS}
        with self.reading() as connection:
            known = connection.execute(sa.select(batches.c.id, batches.c.name)).all()
        return frozenset(row.id for row in known if row.name in sources)

    def waiting(self, held: Collection[int]) -> Waiting:
        """How many events the current release does not hold.

        Args:
            held: what `held` returned for the release.

        Returns:
            Numbers, and the age of the oldest.

        Raises:
            StorageError: the database cannot be reached.
        """
        counted = sa.select(events.c.batch, sa.func.count(), sa.func.min(events.c.at_us))
        with self.reading() as connection:
            found = connection.execute(counted.group_by(events.c.batch)).all()
        left = [(batch, n, at_us) for batch, n, at_us in found if batch not in held]
        n_unshipped = sum(n for batch, n, _ in left if batch is None)
        oldest = min((at_us for _, _, at_us in left), default=None)
        n_shipped = sum(n for _, n, _ in left) - n_unshipped
        return Waiting(n_unshipped, n_shipped, None if oldest is None else moment(oldest))

    def prune(self, held: Collection[int], grace: timedelta, now: datetime | None = None) -> int:
        """Delete events that the current release has held for some time.

        A deleted event that is sent again counts as new, and after a roll back it is missing: the grace period should
        be longer than clients repeat, and than a release is rolled back.

        Args:
            held: what `held` returned for the current release.
            grace: how long after the release was noticed here first.
            now: None: the clock's.

        Returns:
            Number of events.

        Raises:
            StorageError: the database cannot be reached.
        """
        now_us = microseconds(now or datetime.now(UTC))
        with self.reaching(), self.engine.begin() as connection:
            known = connection.execute(sa.select(batches.c.id, batches.c.held_us)).all()
            for row in known:
                held_us = (row.held_us or now_us) if row.id in held else None
                if held_us != row.held_us:
                    one = sa.update(batches).where(batches.c.id == row.id)
                    connection.execute(one.values(held_us=held_us))
            over = sa.select(batches.c.id).where(
                batches.c.held_us <= now_us - grace // timedelta(microseconds=1)
            )
            n_events = connection.execute(sa.delete(events).where(events.c.batch.in_(over))).rowcount
            connection.execute(sa.delete(batches).where(batches.c.id.in_(over)))
        return n_events

    @contextmanager
    def shipping(self) -> Iterator[bool]:
        """Hold the lock for shipping. A killed process releases it at once.

        Yields: False where another process or thread holds it.

        Raises:
            StorageError: the database cannot be reached.
        """
        if self.engine.dialect.name != POSTGRES:
            lock, is_mine = FileLock(f"{self.engine.url.database}.shipping"), True
            try:
                lock.acquire(timeout=0)
            except Timeout:
                is_mine = False
            try:
                yield is_mine
            finally:
                lock.release()
            return
        with self.reaching():
            connection = self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        with connection:
            with self.reaching():
                is_mine = connection.execute(
                    sa.select(sa.func.pg_try_advisory_lock(SHIPPING_LOCK))
                ).scalar_one()
            try:
                yield bool(is_mine)
            finally:
                if is_mine:
                    connection.execute(sa.select(sa.func.pg_advisory_unlock(SHIPPING_LOCK)))

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that only reads.

        Yields:
            The connection.

        Raises:
            StorageError: the database cannot be reached.
        """
        with self.reaching(), self.engine.connect().execution_options(is_reading=True) as connection:
            yield connection

    @contextmanager
    def reaching(self) -> Iterator[None]:
        """Turn errors of the database into StorageError: it is out of reach, or refuses.

        Yields:
            Nothing.

        Raises:
            StorageError: it is, or does.
        """
        try:
            yield
        except sa.exc.DBAPIError as error:
            remedy = "see that the database runs, has space and may be written; events that were confirmed are kept"
            raise StorageError(f"the feedback store {self.where}: {error.orig}", remedy=remedy) from error


def _is_deadlock(error: StorageError) -> bool:
    return getattr(getattr(error.__cause__, "orig", None), "pgcode", None) == DEADLOCK
