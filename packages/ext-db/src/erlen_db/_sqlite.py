"""SQLite: one writer at a time, readers that do not wait, real transactions.

The driver begins no transaction before the first change, so that what was read
may be old by then, and savepoints stand alone. Here each one begins with BEGIN:
IMMEDIATE, which waits for the other writers first, where a change is to be expected.
"""

from __future__ import annotations

import os
import sqlite3
import time
import typing as t
import weakref
from contextvars import ContextVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.pool import StaticPool

from erlen import request

from ._sqlite_queue import AsyncQueue
from ._sqlite_queue import Queue
from .errors import DatabaseBusy
from .errors import DatabaseUnavailable
from .errors import StaleSnapshot

if t.TYPE_CHECKING:
    import collections.abc as cabc
    from datetime import timedelta

    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import PoolProxiedConnection

Options = dict[str, t.Any]

#: The driver and what is imported; the one of async engines.
DRIVERS = {"pysqlite": "sqlite3"}
ASYNC_DRIVER = "aiosqlite"
EXTRAS = {"aiosqlite": "async"}

Given = dict[sa.Engine | sa.Connection, sa.Connection]

#: The connections of the session that is about to connect, and then, what it gets.
_asking: ContextVar[Given | PoolProxiedConnection | None]
_asking = ContextVar("erlen_db.asking", default=None)

#: Whether what begins now is going to write; `db.transaction()` sets it.
immediate: ContextVar[bool] = ContextVar("erlen_db.immediate", default=False)

_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_FALSE = frozenset({"", "0", "false", "no", "off"})

# Options of a pool with several connections, which a memory database cannot have.
_OF_QUEUE = ("max_overflow", "pool_size", "pool_timeout", "pool_use_lifo")

# Before it is tried again to be the first who makes the WAL, in seconds.
_PAUSE = 0.002


def is_memory(url: sa.URL) -> bool:
    """Say whether a URL is of a database in memory."""
    database = url.database or ""
    if database in {"", ":memory:"}:
        return True
    return _is_uri(url) and (
        database.startswith("file::memory:") or url.query.get("mode") == "memory"
    )


def _is_uri(url: sa.URL) -> bool:
    return str(url.query.get("uri", "")).lower() not in _FALSE


def find_file(url: sa.URL, folder: str) -> sa.URL:
    """Return the URL with a whole path; the application's folder is made if needed.

    Args:
        url: The URL of a file.
        folder: Where a relative path begins.
    """
    database = url.database or ""
    prefix = "file:" if _is_uri(url) and database.startswith("file:") else ""
    path = database.removeprefix(prefix)
    if not os.path.isabs(path):
        path = os.path.join(folder, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
    return url.set(database=prefix + path)


def set_defaults(app: t.Any, url: sa.URL, options: Options) -> sa.URL:
    """Fill in the engine options that nobody has set.

    There is no pre-ping: the database is in this process and cannot go away.

    Args:
        app: The application.
        url: The URL.
        options: The engine options, which are changed.

    Returns:
        The URL, with a whole path.
    """
    connect_args = options.setdefault("connect_args", {})
    if "timeout" not in url.query:
        connect_args.setdefault("timeout", _read_timeout(app))
    if not is_memory(url):
        if "poolclass" not in options and "pool" not in options:
            # As many as there are threads: no server has to be spared, and those who
            # stand in line to write have one each.
            options.setdefault("pool_size", 0)
        return find_file(url, app.instance_path)
    if "poolclass" not in options and "pool" not in options:
        # Each connection would be a database of its own.
        options["poolclass"] = StaticPool
        for name in _OF_QUEUE:
            options.pop(name, None)
    if "check_same_thread" not in url.query:
        connect_args.setdefault("check_same_thread", False)
    return url


def listen(app: t.Any, engine: sa.Engine, options: Options) -> None:
    """Set up the connections of an engine and how their transactions begin."""
    memory = is_memory(engine.url)
    wal = app.config["SQLALCHEMY_SQLITE_WAL"] and not memory
    foreign_keys = app.config["SQLALCHEMY_SQLITE_FOREIGN_KEYS"]
    timeout = options["connect_args"].get("timeout", engine.url.query.get("timeout"))
    seconds = float(timeout)

    def prepare(connection: DBAPIConnection, record: object) -> None:
        cursor = connection.cursor()
        if foreign_keys:
            cursor.execute("PRAGMA foreign_keys = ON")
        if wal:
            _set_wal(cursor, seconds)
        cursor.close()

    event.listen(engine, "connect", prepare)
    waits = app.config["SQLALCHEMY_SQLITE_IMMEDIATE"] and not memory
    kind = AsyncQueue if engine.dialect.is_async else Queue
    queue = kind(seconds) if waits else None
    begin: t.Any = _make_begin(queue, is_async=engine.dialect.is_async)
    engine.dialect.do_begin = begin  # type: ignore[method-assign]
    if waits:
        vars(engine)["connect"] = _make_connect(engine)


def has_line(bind: sa.Engine | sa.Connection) -> bool:
    """Say whether this is an engine with a line for those who want to write."""
    return "connect" in vars(bind)


def expect(engine: sa.Engine | sa.Connection, given: Given) -> None:
    """Note that what connects next does so for a session.

    Only sessions begin as writers: what somebody asks on a connection of one's own
    must not wait for the session of the same request.

    Args:
        engine: An engine that has a line.
        given: The connections that the session has got.
    """
    connection = given.get(engine)
    if connection is None or connection.closed:
        _asking.set(given)


def _make_connect(engine: sa.Engine) -> cabc.Callable[[], sa.Connection]:
    """Make what connects, and marks what a session gets.

    PERF: not by an event, with which SQLAlchemy looks for others at each statement.
    """
    known: t.Any = weakref.ref(engine)
    connect_as_before = sa.Engine.connect

    def connect() -> sa.Connection:
        engine = known()
        connection = connect_as_before(engine)
        given = _asking.get()
        if isinstance(given, dict):
            given[engine] = connection
            _asking.set(connection.connection)
        return connection

    return connect


def _read_timeout(app: t.Any) -> float:
    timeout: timedelta | None = app.config["SQLALCHEMY_SQLITE_BUSY_TIMEOUT"]
    return timeout.total_seconds() if timeout else 0.0


def _set_wal(cursor: t.Any, seconds: float) -> None:
    """Let readers and the one writer leave each other alone; once for each file."""
    end = time.monotonic() + seconds
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            (mode,) = cursor.fetchone()
        except sqlite3.OperationalError as exc:
            if _find_code(exc) == sqlite3.SQLITE_READONLY:
                return
            # Of several processes that meet at a new file, SQLite lets some not wait.
            if _find_code(exc) != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(_PAUSE)
        else:
            break
    if mode == "wal":
        # What a power cut may take then are the last commits, never the file.
        cursor.execute("PRAGMA synchronous = NORMAL")


def _make_begin(
    queue: Queue | AsyncQueue | None, *, is_async: bool
) -> cabc.Callable[[PoolProxiedConnection], None]:
    """Make what begins a transaction; the dialect's own does nothing at all.

    Here, errors of the driver are handled as those of statements are, which they
    are not in SQLAlchemy's event "begin".
    """

    def begin(proxied: PoolProxiedConnection) -> None:
        connection: t.Any = proxied.dbapi_connection
        driver: t.Any = proxied.driver_connection if is_async else connection
        # None is AUTOCOMMIT. A memory database has one connection for everybody, who
        # share a transaction then.
        if connection.isolation_level is None or driver.in_transaction:
            return
        if (
            queue is not None
            and _asking.get() is proxied
            and (immediate.get() or _is_unsafe())
        ):
            queue.begin(connection)
        else:
            connection.execute("BEGIN")

    return begin


def _is_unsafe() -> bool:
    try:  # PERF: one look-up less than asking whether there is a request
        return request.method not in _SAFE
    except RuntimeError:
        return False


def is_lost(error: BaseException) -> bool:
    """Return False: there is no connection that could be lost."""
    return False


def needs_set_up(error: BaseException) -> bool:
    """Say whether an error of connecting comes again until somebody mends its cause."""
    return _find_code(error) & 0xFF in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB}


def find_error(error: BaseException) -> type[DatabaseUnavailable] | None:
    """Return what an error of the driver is for a client; None is an error of ours."""
    code = _find_code(error)
    if code == sqlite3.SQLITE_BUSY_SNAPSHOT:
        return StaleSnapshot
    return (
        DatabaseBusy
        if code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
        else None
    )


def _find_code(error: BaseException) -> int:
    return getattr(error, "sqlite_errorcode", 0)
