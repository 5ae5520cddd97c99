"""Trials in the feedback store, in SQLite and in a real Postgres: who is in one, what is counted, what is deleted."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
import sqlalchemy as sa

from recsys.errors import ConfigError, StorageError
from recsys.serving import trials
from recsys.serving.feedback import FeedbackStore
from recsys.serving.feedback_forget import forget
from recsys.serving.feedback_tables import VERSION, about, trial_counts
from recsys.serving.trials import (
    ListCounts,
    Shown,
    click_counter,
    is_in_trial,
    prune_trials,
    read_trial,
    trials_of,
)
from tests.serving.test_feedback import NAMES, NOON, like, open_store, store, url

__all__ = ["open_store", "store", "url"]
OLD, NEW = "000001-0123456789", "000002-0123456789"
USERS = [NAMES.of(str(n)) for n in range(4000)]
INSIDE = [user for user in USERS if is_in_trial(user, NEW, 0.5)]
OUTSIDE = [user for user in USERS if not is_in_trial(user, NEW, 0.5)]


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 1.0])
def test_a_share_of_users_is_in_a_trial_and_stays_in_a_larger_share(share):
    inside = {user for user in USERS if is_in_trial(user, NEW, share)}
    assert abs(len(inside) / len(USERS) - share) < 4 * np.sqrt(share * (1 - share) / len(USERS)) + 1e-9
    assert inside <= {user for user in USERS if is_in_trial(user, NEW, min(share * 2, 1.0))}


def test_another_trial_gets_other_users():
    both = [user for user in INSIDE if is_in_trial(user, OLD, 0.5)]
    assert 0.45 < len(both) / len(INSIDE) < 0.55


def counted(store: FeedbackStore, *shown: tuple[str, str, int]) -> None:
    counts = ListCounts()
    for user, release, n_lists in shown:
        for _ in range(n_lists):
            counts.add(Shown(NEW, release, user), 10)
    counts.store(store, NOON)


def click(event_id: str, user: str, release: str, event: str = "click"):
    return like(event_id, user=user, release=release, event=event)


def test_lists_and_clicks_are_counted_by_group_and_each_click_once(store):
    (inside, silent), (outside, *_) = INSIDE[:2], OUTSIDE
    counted(store, (inside, NEW, 3), (silent, NEW, 1), (outside, OLD, 2), (outside, "000003-0123456789", 2))
    clicks = click_counter(NEW, 0.5, ["click", "add_to_cart"])
    given = [
        click("1", inside, NEW),
        click("2", inside, NEW, "Add-to-cart"),
        click("3", inside, NEW, "hide"),
        click("4", outside, OLD),
        click("5", outside, NEW),  # it was not shown that
        like("6", user=inside, event="click"),  # names no release
    ]
    for _ in range(2):
        store.add(given, also=clicks)
    found = read_trial(store, NEW)
    assert sorted(zip(found.tried.lists_U.tolist(), found.tried.clicks_U.tolist(), strict=True)) == [
        (1, 0),
        (3, 2),
    ]
    assert (found.others.lists_U.tolist(), found.others.clicks_U.tolist()) == ([4], [1])
    assert (found.tried.n_items, found.others.n_items, found.n_moved) == (40, 40, 0)
    assert read_trial(store, NEW, OLD).others.lists_U.tolist() == [2]
    assert trials_of(store) == (NEW,)


def test_events_that_are_refused_count_no_click(store):
    with pytest.raises(StorageError):
        store.add(
            [click("1", INSIDE[0], NEW)], also=lambda connection, _: connection.execute(sa.text("nonsense"))
        )
    assert store.of(INSIDE[0]) == () and trials_of(store) == ()


def test_users_of_both_groups_count_in_neither(store):
    counted(store, (INSIDE[0], NEW, 1), (INSIDE[0], OLD, 1), (INSIDE[1], NEW, 1))
    found = read_trial(store, NEW)
    assert (found.n_moved, len(found.tried.lists_U), len(found.others.lists_U)) == (1, 1, 0)


def test_writers_at_the_same_time_lose_no_count(open_store):
    stores = [open_store() for _ in range(4)]
    shown = [(user, NEW, 1) for user in INSIDE[:200]]

    def work(n: int) -> None:
        for _ in range(3):
            counted(stores[n], *(shown if n % 2 else reversed(shown)))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert read_trial(stores[0], NEW).tried.lists_U.tolist() == [12] * 200


def test_lists_wait_while_the_store_is_out_of_reach(store, monkeypatch):
    counts = ListCounts()
    counts.add(Shown(NEW, NEW, INSIDE[0]), 7)
    with monkeypatch.context() as broken:
        broken.setattr(store, "reaching", lambda: (_ for _ in ()).throw(StorageError("gone", remedy="wait")))
        with pytest.raises(StorageError):
            counts.store(store)
    assert counts.store(store) == 1 and counts.store(store) == 0
    assert read_trial(store, NEW).tried.n_items == 7


def test_the_last_call_waits_for_one_that_is_under_way(store, monkeypatch):
    counts, begun, add = ListCounts(), Event(), trials._add

    def slow(*given: object) -> None:
        begun.set()
        time.sleep(0.5)
        add(*given)

    monkeypatch.setattr(trials, "_add", slow)
    counts.add(Shown(NEW, NEW, INSIDE[0]), 7)
    thread = Thread(target=counts.store, args=(store,))
    thread.start()
    begun.wait()
    assert counts.store(store) == 0
    assert read_trial(store, NEW).tried.n_items == 7
    thread.join()


def test_a_forgotten_person_is_in_no_trial(store):
    counted(store, (INSIDE[0], NEW, 1), (INSIDE[1], NEW, 1))
    forget(store, INSIDE[0])
    assert len(read_trial(store, NEW).tried.lists_U) == 1
    if store.engine.dialect.name == "sqlite":
        path = Path(str(store.engine.url.database))
        assert not [one for one in path.parent.glob("feedback.db*") if INSIDE[0].encode() in one.read_bytes()]


def test_counts_of_a_trial_that_ended_long_ago_are_deleted(store):
    counted(store, (INSIDE[0], NEW, 1))
    assert prune_trials(store, timedelta(days=90), NOON + timedelta(days=89)) == 0
    assert prune_trials(store, timedelta(days=90), NOON + timedelta(days=91)) == 1 and trials_of(store) == ()


def test_a_store_from_before_there_were_trials_keeps_its_events_and_gets_what_it_lacks(open_store):
    old = open_store()
    old.add([like("1")])
    with old.engine.begin() as connection:
        trial_counts.drop(connection)
        connection.execute(sa.update(about).values(version=1))
    reader = FeedbackStore.open_existing(old.engine.url.render_as_string(hide_password=False))
    assert trials_of(reader) == ()
    with old.reading() as connection:
        assert connection.execute(sa.select(about.c.version)).scalar_one() == 1
    new = open_store()
    assert [event.event_id for event in new.of(like("1").user)] == ["1"] and trials_of(new) == ()
    with new.engine.begin() as connection:
        assert connection.execute(sa.select(about.c.version)).scalar_one() == VERSION
        connection.execute(sa.update(about).values(version=VERSION + 1))
    with pytest.raises(ConfigError, match="upgrade"):
        open_store()
