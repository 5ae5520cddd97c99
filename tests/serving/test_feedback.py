"""The feedback store, once in SQLite and once in a real Postgres."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from uuid import uuid4

import pytest
import sqlalchemy as sa

from recsys.catalogue.pseudonyms import Pseudonyms
from recsys.errors import ConfigError, ConflictError, RequestError, StorageError
from recsys.publishing.provenance import LandedFile
from recsys.serving.feedback import MAX_AHEAD, FeedbackStore
from recsys.serving.feedback_events import Added, Event
from recsys.serving.feedback_forget import forget
from recsys.serving.feedback_outbox import ship
from recsys.serving.feedback_tables import VERSION, about, batches, events, open_engine
from recsys.storage.folder import FolderStorage
from recsys.storage.protocol import Storage

NAMES = Pseudonyms("a-key-for-tests-0123456789")
ANN, BOB = NAMES.of("ann"), NAMES.of("bob")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def like(event_id: str, item: str = "alien", user: str = ANN, **more: object) -> Event:
    return Event(
        **({"event_id": event_id, "user": user, "item_id": item, "event": "like", "at": NOON} | more)
    )


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.servers)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'feedback.db'}"
    server = sa.make_url(request.getfixturevalue("postgres"))
    name = f"feedback_{uuid4().hex[:12]}"
    engine = sa.create_engine(server.set(drivername="postgresql+psycopg2"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return server.set(database=name).render_as_string(hide_password=False)


@pytest.fixture
def open_store(url: str) -> Iterator[Callable[[], FeedbackStore]]:
    """Opens the same store again and again, as several processes do."""
    opened: list[FeedbackStore] = []

    def open_it() -> FeedbackStore:
        opened.append(FeedbackStore.open(url))
        return opened[-1]

    yield open_it
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[[], FeedbackStore]) -> FeedbackStore:
    return open_store()


@pytest.fixture
def landing(tmp_path: Path) -> FolderStorage:
    return FolderStorage(tmp_path / "landing")


def in_release(*names: str) -> list[LandedFile]:
    """What a manifest says of these files."""
    return [
        LandedFile(
            part="000001-0000000000", kind="interactions", source=name, sha256="0" * 64, arrived_at="",
            n_rows=1, n_quarantined=0, accepted_by=None, data_version=None,
        )
        for name in names
    ]  # fmt: skip


def landed_ids(landing: Storage) -> list[str]:
    """Ids of all events in all files, processed ones too."""
    files = [*landing.list("interactions/"), *landing.list("processed/")]
    return [json.loads(line)["event_id"] for file in files for line in landing.read(file.key).splitlines()]


def test_events_come_back_in_order_of_arrival_from_a_store_that_was_closed(
    open_store: Callable[[], FeedbackStore],
) -> None:
    given = [
        like("1", "jaws", at=NOON + timedelta(microseconds=7), value=4.5, release="000001-0123456789"),
        like("2", "babe", at=NOON - timedelta(days=1)),
        like("3", "jaws", event="unlike"),
    ]
    first = open_store()
    assert first.add(given) == Added(3, 0)
    first.close()
    assert open_store().of(ANN) == tuple(given)
    assert open_store().of(BOB) == ()


def test_an_event_without_a_time_gets_that_of_its_arrival(store: FeedbackStore) -> None:
    store.add([like("1", at=None)], now=NOON)
    assert store.of(ANN)[0].at == NOON


def test_an_event_of_the_future_is_refused_and_a_clock_that_is_a_little_ahead_is_not(
    store: FeedbackStore,
) -> None:
    store.add([like("1", at=NOON + MAX_AHEAD)], now=NOON)
    with pytest.raises(RequestError, match="'3' lies in the future"):
        store.add([like("2"), like("3", at=NOON + MAX_AHEAD + timedelta(seconds=1))], now=NOON)
    assert [event.event_id for event in store.of(ANN)] == ["1"]


def test_a_repeated_event_changes_nothing(store: FeedbackStore) -> None:
    store.add([like("1", at=None), like("2")], now=NOON)
    again = [like("1", at=None), like("2"), like("3"), like("3")]
    assert store.add(again, now=NOON + timedelta(hours=1)) == Added(1, 3)
    assert [event.event_id for event in store.of(ANN)] == ["1", "2", "3"]
    assert store.of(ANN)[0].at == NOON


@pytest.mark.parametrize(
    "other",
    [{"item_id": "jaws"}, {"user": BOB}, {"event": "view"}, {"value": 1.0}, {"at": NOON + timedelta(1)}],
)
def test_an_id_with_other_content_is_refused_and_nothing_of_the_call_is_stored(
    store: FeedbackStore, other: dict[str, object]
) -> None:
    store.add([like("1")])
    with pytest.raises(ConflictError, match="'1'"):
        store.add([like("2"), replace(like("1"), **other)])
    with pytest.raises(ConflictError, match="'9'"):
        store.add([like("9"), replace(like("9"), **other)])
    assert [event.event_id for event in store.of(ANN)] == ["1"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("event_id", ""), ("event_id", "a b"), ("event_id", "x" * 129), ("user", "ann"), ("item_id", ""),
        ("item_id", " jaws"), ("item_id", "ja\0ws"), ("item_id", "\ud800"), ("event", "ann@example.org"),
        ("value", float("nan")), ("value", float("inf")), ("at", datetime(2026, 1, 1)), ("at", NOON.replace(year=1969)),
    ],
)  # fmt: skip
def test_what_intake_would_not_take_is_no_event(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(like("1"), **{field: value})


def test_writers_at_once_lose_and_double_nothing(open_store: Callable[[], FeedbackStore]) -> None:
    stores, start = [open_store() for _ in range(4)], Barrier(4)

    def write(n: int) -> int:
        start.wait()
        # Half of the events are everybody's, in another order for each: what makes Postgres' writers deadlock.
        shared = [like(f"shared-{m}") for m in range(40)][:: 1 if n % 2 else -1]
        own = [like(f"{n}-{m}") for m in range(40)]
        return (
            sum(stores[n].add([a, b]).n_new for a, b in zip(shared, own, strict=True))
            + stores[n].add(shared).n_new
        )

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(write, range(4))) == 40 + 4 * 40
    assert len({event.event_id for event in stores[0].of(ANN)}) == len(stores[0].of(ANN)) == 200


def test_a_user_with_many_events_is_answered_from_the_newest(store: FeedbackStore) -> None:
    store.add([like(f"{n}") for n in range(1200)])
    assert [event.event_id for event in store.of(ANN, limit=3)] == ["1197", "1198", "1199"]


def test_events_are_shipped_once_with_a_pseudonym_and_its_signature_and_no_raw_id(
    store: FeedbackStore, landing: FolderStorage
) -> None:
    store.add([like("1", value=2.0), like("2", user=BOB)])
    done = ship(store, landing, NAMES)
    assert done.n_events == 2 and len(done.keys) == 1
    rows = [json.loads(line) for line in landing.read(done.keys[0]).splitlines()]
    assert rows[0] == {
        "event_id": "1", "user_pseudonym": ANN, "user_signature": NAMES.signature(ANN), "item_id": "alien",
        "event": "like", "value": 2.0, "timestamp": "2026-01-01T12:00:00.000000+00:00",
    }  # fmt: skip
    assert "value" not in rows[1] and b"bob" not in landing.read(done.keys[0])
    assert ship(store, landing, NAMES).keys == ()
    store.add([like("3")])
    ship(store, landing, NAMES)
    assert sorted(landed_ids(landing)) == ["1", "2", "3"]


def test_a_file_has_a_limit_and_the_rest_goes_into_the_next(store: FeedbackStore, landing: Storage) -> None:
    store.add([like(f"{n}") for n in range(7)])
    assert len(ship(store, landing, NAMES, max_events=3).keys) == 3
    assert sorted(landed_ids(landing)) == [f"{n}" for n in range(7)]


class Killed(BaseException):
    """Stands for kill -9: nothing catches it."""


class DyingStorage(FolderStorage):
    """A landing zone during whose write the process ends, before or after the bytes are there."""

    dies_before = True

    def write(self, key: str, content: bytes | Path) -> None:
        if not self.dies_before:
            super().write(key, content)
        raise Killed


@pytest.mark.parametrize("dies_before", [True, False])
@pytest.mark.parametrize("is_taken", [True, False])
def test_a_killed_shipment_ends_as_one_file_of_the_same_name(
    store: FeedbackStore, landing: FolderStorage, tmp_path: Path, dies_before: bool, is_taken: bool
) -> None:
    store.add([like("1"), like("2")])
    dying = DyingStorage(tmp_path / "landing")
    dying.dies_before = dies_before
    with pytest.raises(Killed):
        ship(store, dying, NAMES)
    store.add([like("3")])
    planned = [stored.key for stored in landing.list("interactions/")]
    if is_taken:
        for key in planned:
            landing.move(key, f"processed/000007-0123456789/{key.partition('/')[2]}")
    done = ship(store, landing, NAMES)
    assert len(done.keys) == 2 and set(planned) <= set(done.keys)
    assert sorted(landed_ids(landing)) == ["1", "2", "3"]


def test_one_ships_at_a_time(open_store: Callable[[], FeedbackStore], landing: Storage) -> None:
    one, other = open_store(), open_store()
    one.add([like("1")])
    with one.shipping() as is_mine:
        assert is_mine and ship(other, landing, NAMES).is_busy
    assert ship(other, landing, NAMES).n_events == 1


def test_an_event_that_the_release_holds_counts_there_and_no_longer_here(
    store: FeedbackStore, landing: Storage
) -> None:
    store.add([like("1")])
    assert store.held(in_release("ratings.csv")) == frozenset()
    (key,) = ship(store, landing, NAMES).keys
    store.add([like("2", at=NOON + timedelta(hours=1))])
    held = store.held(in_release("ratings.csv", key.rpartition("/")[2]))
    assert [event.event_id for event in store.of(ANN)] == ["1", "2"]
    assert [event.event_id for event in store.of(ANN, held)] == ["2"]
    ship(store, landing, NAMES)
    assert [event.event_id for event in store.of(ANN, held)] == ["2"]
    waiting = store.waiting(held)
    assert (waiting.n_unshipped, waiting.n_shipped, waiting.oldest) == (0, 1, NOON + timedelta(hours=1))
    assert store.waiting([]).n_shipped == 2 and store.waiting([]).oldest == NOON


def test_held_events_are_deleted_after_the_grace_period_and_others_never(
    store: FeedbackStore, landing: Storage
) -> None:
    store.add([like("1"), like("2", user=BOB)])
    (key,) = ship(store, landing, NAMES).keys
    store.add([like("3")])
    held, hour = store.held(in_release(key.rpartition("/")[2])), timedelta(hours=1)
    assert store.prune(held, hour, NOON) == 0
    assert store.prune([], hour, NOON + 2 * hour) == 0  # rolled back: the grace period begins anew
    assert store.prune(held, hour, NOON + 3 * hour) == 0
    assert store.prune(held, hour, NOON + 4 * hour) == 2
    assert [event.event_id for event in store.of(ANN)] == ["3"] and store.of(BOB) == ()
    ship(store, landing, NAMES)
    assert len({*landing.list("interactions/")}) == 2
    with store.reading() as connection:
        assert connection.execute(sa.select(batches.c.id)).scalars().all() == [2]


def test_a_forgotten_person_has_no_events_and_a_planned_file_goes_on_without_them(
    store: FeedbackStore, landing: FolderStorage, tmp_path: Path
) -> None:
    dying = DyingStorage(tmp_path / "landing")
    store.add([like("1"), like("2", user=BOB)])
    ship(store, landing, NAMES)
    store.add([like("3"), like("4", user=BOB)])
    with pytest.raises(Killed):
        ship(store, dying, NAMES)
    assert forget(store, ANN) == 2 and forget(store, ANN) == 0
    assert store.of(ANN) == () and [event.event_id for event in store.of(BOB)] == ["2", "4"]
    ship(store, landing, NAMES)
    assert sorted(landed_ids(landing)) == [
        "1",
        "2",
        "4",
    ]  # what has landed is for `recsys forget` to take out
    store.add([like("5")])
    with pytest.raises(Killed):
        ship(store, dying, NAMES)
    assert forget(store, ANN) == 1
    assert ship(store, landing, NAMES).keys == ()
    assert store.waiting([]).n_unshipped == 0


def test_a_forgotten_person_leaves_no_byte_in_sqlite_files_while_others_read(tmp_path: Path) -> None:
    store = FeedbackStore.open(f"sqlite:///{tmp_path / 'feedback.db'}")
    other = FeedbackStore.open(f"sqlite:///{tmp_path / 'feedback.db'}")
    store.add([like(f"{n}", user=ANN if n % 2 else BOB) for n in range(500)])
    assert other.of(ANN)
    assert forget(store, ANN) == 250
    assert not [path.name for path in tmp_path.iterdir() if ANN.encode() in path.read_bytes()]
    assert len(other.of(BOB)) == 250
    store.close()
    other.close()


def test_another_key_is_refused(store: FeedbackStore, landing: Storage) -> None:
    store.add([like("1")])
    store.require_key(NAMES)
    store.require_key(NAMES)
    with pytest.raises(ConfigError, match="is not the key that made the pseudonyms of the feedback store"):
        ship(store, landing, Pseudonyms("another-key-for-tests-012345"))
    assert landing.list("") == []


def test_a_store_of_a_later_version_is_refused(open_store: Callable[[], FeedbackStore]) -> None:
    with open_store().engine.begin() as connection:
        connection.execute(sa.update(about).values(version=VERSION + 1))
    with pytest.raises(ConfigError, match="upgrade firstlight-recsys"):
        open_store()


def test_several_open_a_new_store_at_once(open_store: Callable[[], FeedbackStore]) -> None:
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda _: open_store(), range(4)))
    with stores[0].reading() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(about)).scalar() == 1


def test_who_only_reads_makes_and_changes_nothing(
    url: str, open_store: Callable[[], FeedbackStore], tmp_path: Path
) -> None:
    says = "holds no feedback store" if url.startswith("postgres") else "there is no feedback store"
    with pytest.raises(ConfigError, match=says):
        FeedbackStore.open_existing(url)
    assert not any(tmp_path.iterdir())
    with open_engine(url).begin() as connection:  # a database of somebody else
        connection.exec_driver_sql("CREATE TABLE other (id INTEGER)")
    with pytest.raises(ConfigError, match="holds no feedback store"):
        FeedbackStore.open_existing(url)
    with sa.create_engine(open_engine(url).url).connect() as connection:
        assert sa.inspect(connection).get_table_names() == ["other"]
    open_store().add([like("1")])
    reader = FeedbackStore.open_existing(url)
    assert [event.event_id for event in reader.of(ANN)] == ["1"]
    if url.startswith("sqlite"):
        with pytest.raises(StorageError, match="readonly"):
            reader.add([like("2")])
    reader.close()
    with open_store().engine.begin() as connection:
        connection.execute(sa.update(about).values(version=VERSION + 1))
    with pytest.raises(ConfigError, match="upgrade firstlight-recsys"):
        FeedbackStore.open_existing(url)


@pytest.mark.parametrize("address", ["sqlite://", "sqlite:///:memory:", "mysql://host/db", "feedback.db", ""])
def test_an_address_that_keeps_nothing_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="feedback store"):
        FeedbackStore.open(address)


def test_a_database_out_of_reach_is_named_without_its_password() -> None:
    with pytest.raises(StorageError, match=r"127\.0\.0\.1") as caught:
        FeedbackStore.open("postgresql://someone:secret@127.0.0.1:1/feedback")
    assert "secret" not in str(caught.value)


def test_sqlite_syncs_every_commit_to_its_log(tmp_path: Path) -> None:
    store = FeedbackStore.open(f"sqlite:///{tmp_path / 'deep' / 'feedback.db'}")
    with store.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        plan = connection.exec_driver_sql(
            "EXPLAIN QUERY PLAN SELECT * FROM feedback_events WHERE user = 'x' ORDER BY seq DESC LIMIT 10"
        ).all()
    assert "feedback_events_by_user" in str(plan)
    store.close()


def test_a_writer_that_dies_in_its_transaction_leaves_nothing(tmp_path: Path) -> None:
    store = FeedbackStore.open(f"sqlite:///{tmp_path / 'feedback.db'}")
    store.add([like("1")])
    other = sqlite3.connect(tmp_path / "feedback.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("DELETE FROM feedback_events")
    other.close()
    assert [event.event_id for event in store.of(ANN)] == ["1"]
    store.close()


def test_the_tables_hold_no_column_for_a_raw_id() -> None:
    assert "user_id" not in events.c


def test_a_closed_store_of_sqlite_is_one_file(tmp_path: Path) -> None:
    store = FeedbackStore.open(f"sqlite:///{tmp_path / 'feedback.db'}")
    store.add([like("1")])
    with ThreadPoolExecutor(2) as pool:
        assert [pool.submit(store.of, BOB).result() for _ in range(4)] == [()] * 4
        assert store.of(BOB) == ()
        store.close()
        assert {path.name for path in tmp_path.iterdir()} == {"feedback.db", "feedback.db.opening"}
    assert len(store.of(ANN)) == 1
    store.close()


@pytest.mark.parametrize("is_replaced", [False, True])
def test_nothing_is_stored_in_a_file_that_was_deleted_but_what_is_there_is_still_shipped(
    tmp_path: Path, landing: Storage, is_replaced: bool
) -> None:
    path = tmp_path / "feedback.db"
    store = FeedbackStore.open(f"sqlite:///{path}")
    store.add([like("1")])
    path.unlink()
    if is_replaced:
        FeedbackStore.open(f"sqlite:///{tmp_path / 'backup.db'}").close()
        (tmp_path / "backup.db").rename(path)
    with pytest.raises(StorageError, match=r"feedback\.db was deleted or replaced while it was open"):
        store.add([like("2")])
    assert ship(store, landing, NAMES).n_events == 1
    store.close()
