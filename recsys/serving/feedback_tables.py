"""Tables of the feedback store, and how SQLite and Postgres are opened for it."""

import sqlite3
import threading
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from filelock import FileLock
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.pool import ConnectionPoolEntry

from recsys.errors import ConfigError, StorageError

VERSION = 2
"""Version of the tables. A later one is refused; a store of an earlier version gets the tables that it lacks.
1: events and batches. 2: counts of trials as well, which a version that knows none would not forget a person in."""
BUSY_TIMEOUT_S = 30.0
"""A writer to SQLite waits so long for another one."""
SQLITE, POSTGRES = "sqlite", "postgresql"
URL_EXAMPLES = "sqlite:////var/lib/firstlight/feedback.db or postgresql://user:password@host/database"
NO_STORE = "name the store of `recsys serve`: --feedback, or RECSYS_FEEDBACK"
SETUP_LOCK, SHIPPING_LOCK = 7_311_001, 7_311_002
"""Keys of Postgres' advisory locks: who makes the tables, who ships."""

FILE = "file"
"""What a connection to SQLite keeps of the file that it opened, see `require_same_file`."""
_kept: WeakKeyDictionary[Engine, dict[int, sa.PoolProxiedConnection]] = WeakKeyDictionary()
"""Connections that threads keep, by the thread's number."""
metadata = sa.MetaData()

about = sa.Table(
    "feedback_about",
    metadata,
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("key_check", sa.Text),
)
"""One row: the version, and which key made the pseudonyms (null until it is known)."""

batches = sa.Table(
    "feedback_batches",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, SQLITE), primary_key=True),
    sa.Column("name", sa.Text, unique=True),
    sa.Column("landed_us", sa.BigInteger),
    sa.Column("held_us", sa.BigInteger),
    sqlite_autoincrement=True,
)
"""One row per shipped file. landed_us: when it was in the landing zone; held_us: since when the current release has
held it. Both are microseconds since 1970, null before. No number is given twice, also after rows are deleted."""

events = sa.Table(
    "feedback_events",
    metadata,
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, SQLITE), primary_key=True),
    sa.Column("event_id", sa.Text, nullable=False, unique=True),
    sa.Column("user", sa.Text, nullable=False),
    sa.Column("item_id", sa.Text, nullable=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("value", sa.Double),
    sa.Column("at_us", sa.BigInteger, nullable=False),
    sa.Column("release", sa.Text),
    sa.Column("batch", sa.ForeignKey(batches.c.id)),
    sa.Index("feedback_events_by_user", "user", "seq"),
    sa.Index("feedback_events_by_batch", "batch", "seq"),
    sqlite_autoincrement=True,
)
"""One row per event. seq: order of arrival; at_us: microseconds since 1970; batch: the file that it is shipped in."""
NEWEST_OF_USER = (
    sa.select(events)
    .where(events.c.user == sa.bindparam("of"))
    .order_by(events.c.seq.desc())
    .limit(sa.bindparam("limit"))
)
"""Rows of the user `of`, newest first, at most `limit`. Made once: each list needs them."""

ANY_OF_USER = 'SELECT 1 FROM feedback_events WHERE "user" = ? LIMIT 1'

trial_counts = sa.Table(
    "feedback_trial_counts",
    metadata,
    sa.Column("trial", sa.Text, primary_key=True),
    sa.Column("release", sa.Text, primary_key=True),
    sa.Column("user", sa.Text, primary_key=True),
    sa.Column("n_lists", sa.BigInteger, nullable=False),
    sa.Column("n_items", sa.BigInteger, nullable=False),
    sa.Column("n_clicks", sa.BigInteger, nullable=False),
    sa.Column("at_us", sa.BigInteger, nullable=False),
    sa.Index("feedback_trial_counts_by_user", "user"),
)
"""What a user was shown and clicked on while a share of users got the release `trial`. release: the one that answered
this user, the trial's own or the current one; at_us: of the last change."""


def open_engine(url: str, *, read_only: bool = False) -> Engine:
    """Connect to SQLite or Postgres; tables are not touched yet.

    Args:
        url: `sqlite:///path` or `postgresql://…`.
        read_only: SQLite makes no file, and changes none.

    Returns:
        The engine. A transaction that it begins may write; in SQLite it is the only one that does.

    Raises:
        ConfigError: the URL is of another kind, or names no file; with `read_only` also one that is not there.
    """
    try:
        parsed = make_url(url)
    except sa.exc.ArgumentError as error:
        remedy = f"give {URL_EXAMPLES}"
        raise ConfigError("the address of the feedback store is not a URL", remedy=remedy) from error
    kind = parsed.get_backend_name()
    if kind == SQLITE:
        return _open_sqlite(parsed, read_only)
    if kind == POSTGRES:
        options: dict[str, Any] = {"pool_pre_ping": True, "connect_args": {"connect_timeout": 10}}
        return sa.create_engine(parsed.set(drivername="postgresql+psycopg2"), **options)
    raise ConfigError(f"the feedback store cannot be a {kind} database", remedy=f"give {URL_EXAMPLES}")


def surely_has_none(engine: Engine, user: str) -> bool:
    """Whether a store holds no event of a user, which is so of most users whenever a list is made.

    SQLite answers this in a tenth of the time that SQLAlchemy takes to ask NEWEST_OF_USER.

    Args:
        engine: of the store.
        user: pseudonym.

    Returns:
        False where there are some, and where this cannot be told so quickly.
    """
    if engine.dialect.name != SQLITE:
        return False
    try:
        return not _own_connection(engine).cursor().execute(ANY_OF_USER, (user,)).fetchall()
    except (sa.exc.DBAPIError, sqlite3.Error):  # whoever asks in full says what is wrong
        _kept.get(engine, {}).pop(threading.get_ident(), None)
        return False


def close_all(engine: Engine) -> None:
    """Close all connections to a store, those that threads keep too.

    Args:
        engine: from `open_engine`.
    """
    for connection in _kept.pop(engine, {}).values():
        connection.close()
    engine.dispose()


def _own_connection(engine: Engine) -> sa.PoolProxiedConnection:
    """One that this thread keeps: a pool takes twice as long to hand one out and take it back as SQLite to answer."""
    kept, me = _kept.setdefault(engine, {}), threading.get_ident()
    if me not in kept:
        kept[me] = engine.raw_connection()
        kept[me].detach()
    return kept[me]


def _open_sqlite(url: URL, read_only: bool) -> Engine:
    if url.database in {None, "", ":memory:"}:
        raise ConfigError("a feedback store in memory would lose its events", remedy=f"give {URL_EXAMPLES}")
    path, driver = Path(str(url.database)).absolute(), url.set(drivername="sqlite+pysqlite")
    if read_only:
        if not path.is_file():
            raise ConfigError(f"there is no feedback store {path}", remedy=NO_STORE)
        return sa.create_engine(driver, creator=lambda: _connect_to_read(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(driver, connect_args={"timeout": BUSY_TIMEOUT_S})
    sa.event.listen(engine, "connect", lambda connection, record: _prepare_sqlite(connection, record, path))
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _connect_to_read(path: Path) -> sqlite3.Connection:
    address = (
        f"{path.as_uri()}?mode=rw"  # mode=ro cannot read a store that nobody has open: SQLite makes its -shm
    )
    connection = sqlite3.connect(address, BUSY_TIMEOUT_S, uri=True, check_same_thread=False)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _prepare_sqlite(connection: Any, record: ConnectionPoolEntry, path: Path) -> None:  # noqa: ANN401  sqlite3's
    connection.isolation_level = None  # `_begin_sqlite` begins transactions, not the driver
    # Where two turn a new file to WAL at once, SQLite refuses one without waiting.
    with FileLock(f"{path}.opening"):
        connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # what is committed survives a power failure
    connection.execute("PRAGMA foreign_keys = ON")
    record.info[FILE] = _file_at(path)


def require_same_file(connection: Connection) -> None:
    """Refuse to store events in a file that was deleted or replaced: SQLite writes on, and all ends with the process.

    Args:
        connection: to SQLite, from `open_engine`; one to Postgres passes.

    Raises:
        StorageError: another file lies there than the connection opened, or none.
    """
    opened = connection.info.get(FILE)  # of a store that is opened to be read, SQLite refuses to write anyway
    if opened is not None and opened != _file_at(Path(str(connection.engine.url.database))):
        raise StorageError(
            f"the feedback store {connection.engine.url.database} was deleted or replaced while it was open",
            remedy="start the service again; events that are not shipped yet are in the old file, until it ends",
        )


def _file_at(path: Path) -> tuple[int, int] | None:
    """Which file lies there; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that begins by reading and then writes would fail at once when another one has written meanwhile.
    is_reading = connection.get_execution_options().get("is_reading", False)
    connection.exec_driver_sql("BEGIN" if is_reading else "BEGIN IMMEDIATE")


def inserting(connection: Connection) -> Any:  # noqa: ANN401  the two dialects have no common type
    """The database's own `insert`, which knows what to do about a row that is there.

    Args:
        connection: to SQLite or Postgres.

    Returns:
        SQLAlchemy's function.
    """
    return postgresql.insert if connection.dialect.name == POSTGRES else sqlite.insert


def make_tables(engine: Engine) -> None:
    """Make the tables where they are missing. Safe to repeat, and by several processes at once.

    Args:
        engine: from `open_engine`.

    Raises:
        ConfigError: a later version made them.
    """
    with engine.begin() as connection:
        if engine.dialect.name == POSTGRES:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(SETUP_LOCK)))
        metadata.create_all(connection)
        found = connection.execute(sa.select(about.c.version)).scalar()
        if found is None:
            connection.execute(about.insert().values(version=VERSION))
        elif found < VERSION:
            connection.execute(sa.update(about).values(version=VERSION))
        else:
            _require_known(found)


def require_tables(engine: Engine) -> None:
    """Refuse a database that holds no feedback store. Nothing is made.

    Args:
        engine: from `open_engine`.

    Raises:
        ConfigError: it holds none, or a later version made it.
    """
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table(about.name):
            where = engine.url.render_as_string(hide_password=True)
            raise ConfigError(f"{where} holds no feedback store", remedy=NO_STORE)
        _require_known(connection.execute(sa.select(about.c.version)).scalar() or 0)


def _require_known(version: int) -> None:
    if version > VERSION:
        raise ConfigError(
            f"the feedback store has version {version}, this Firstlight knows {VERSION}",
            remedy="upgrade firstlight-recsys on this machine",
        )
