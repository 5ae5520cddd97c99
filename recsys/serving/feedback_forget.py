"""Take one person's events out of the feedback store, also out of the pages that its database has given up."""

import time
from contextlib import closing

import sqlalchemy as sa

from recsys.errors import StorageError
from recsys.serving.feedback import FeedbackStore
from recsys.serving.feedback_tables import POSTGRES, events, trial_counts

WAIT_S = 60.0
"""Seconds to wait for another process to end its shipment, or its look at the store."""


def forget(store: FeedbackStore, pseudonym: str) -> int:
    """Delete a user's events, and what was counted of them in trials. Safe to repeat and to kill.

    Backups and archived logs of the database are not touched.

    Args:
        store: the feedback store.
        pseudonym: the user's.

    Returns:
        How many there were.

    Raises:
        StorageError: the database cannot be reached, or others keep it busy.
    """
    end = time.monotonic() + WAIT_S
    while True:
        with store.shipping() as is_mine:  # so nobody writes a file of events that were read before
            if is_mine:
                with store.reaching(), store.engine.begin() as connection:
                    n_events = connection.execute(
                        sa.delete(events).where(events.c.user == pseudonym)
                    ).rowcount
                    connection.execute(sa.delete(trial_counts).where(trial_counts.c.user == pseudonym))
                break
        if time.monotonic() > end:
            raise _busy(store)
        time.sleep(0.1)
    with store.reaching():
        _overwrite(store, end)
    return n_events


def _overwrite(store: FeedbackStore, end: float) -> None:
    """Write the tables again: a deleted row stays in a database's file until then."""
    with closing(store.engine.raw_connection()) as raw:
        connection = raw.driver_connection
        assert connection is not None
        if store.engine.dialect.name == POSTGRES:
            connection.autocommit = True
            for table in (events, trial_counts):
                connection.cursor().execute(f"VACUUM FULL {table.name}")
            connection.autocommit = False
            return
        connection.execute("VACUUM")
        while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if time.monotonic() > end:
                raise _busy(store)
            time.sleep(0.1)


def _busy(store: FeedbackStore) -> StorageError:
    remedy = "run the command again, with the service stopped if need be"
    return StorageError(f"the feedback store {store.where} was busy for {WAIT_S:.0f} s", remedy=remedy)
