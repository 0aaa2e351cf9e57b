from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.pool import NullPool
from sqlalchemy.pool import QueuePool
from sqlalchemy.pool import StaticPool

from erlen import Erlen
from erlen_db import _limits
from erlen_db import _settings
from erlen_db import _sqlite
from erlen_db import _sqlite_queue
from erlen_db._engines import make_async_engine
from erlen_db._engines import make_engine
from erlen_db.errors import DatabaseBusy
from erlen_db.errors import DatabaseUnavailable
from erlen_db.errors import StaleSnapshot


@pytest.fixture
def app(tmp_path):
    app = Erlen("acme", instance_path=str(tmp_path / "instance"))
    _settings.declare(app)
    app.config["SQLALCHEMY_SQLITE_BUSY_TIMEOUT"] = timedelta(seconds=0.05)
    return app


@pytest.fixture
def make(app):
    """Return what makes engines, which are disposed of at the end."""
    engines = []

    def make(url="sqlite:///app.db", **options):
        engines.append(make_engine(app, None, {"url": url, **options}))
        return engines[-1]

    yield make
    for engine in engines:
        engine.dispose()


class for_sessions:  # noqa: N801  # is called as a function
    """An engine as a session uses it."""

    def __init__(self, engine):
        self.engine = engine
        self.url = engine.url
        self.dialect = engine.dialect

    def connect(self):
        _sqlite.expect(self.engine, {})
        return self.engine.connect()


@pytest.fixture
def immediate():
    token = _sqlite.immediate.set(True)
    yield
    _sqlite.immediate.reset(token)


def read(connection, pragma):
    return connection.exec_driver_sql(f"PRAGMA {pragma}").scalar()


def is_locked(path):
    """Say whether somebody is writing to a file."""
    other = sqlite3.connect(path, timeout=0, isolation_level=None)
    with contextlib.closing(other):
        try:
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        return False


# --- where the file is


def test_a_relative_path_lies_in_the_instance_folder(app, make):
    make("sqlite:///data/app.db").connect().close()

    assert os.path.isfile(os.path.join(app.instance_path, "data", "app.db"))


def test_an_absolute_path_is_left_alone(make, tmp_path):
    make(f"sqlite:///{tmp_path}/app.db").connect().close()

    assert (tmp_path / "app.db").is_file()


@pytest.mark.parametrize("name", ["file:app.db?mode=rwc&uri=true", "app.db?uri=true"])
def test_a_uri_lies_there_too(app, make, name):
    engine = make(f"sqlite:///{name}")
    with engine.connect() as connection:
        assert read(connection, "journal_mode") == "wal"

    assert os.path.isfile(os.path.join(app.instance_path, "app.db"))


def test_a_folder_that_is_missing_elsewhere_is_not_made(make, tmp_path, caplog):
    engine = make(f"sqlite:///{tmp_path}/missing/app.db")
    with pytest.raises(DatabaseUnavailable):
        engine.connect()

    assert not (tmp_path / "missing").exists()
    (record,) = caplog.records
    assert "cannot be used as it is set up" in record.getMessage()
    assert record.levelname == "ERROR"


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file::memory:?uri=true",
        "sqlite:///file:x?mode=memory&uri=true&check_same_thread=false",
    ],
)
def test_a_database_in_memory_is_one_for_all_threads(make, url):
    engine = make(url, pool_size=7, max_overflow=1, pool_timeout=1, pool_use_lifo=True)
    found = []

    def look():
        with engine.connect() as connection:
            found.append(connection.exec_driver_sql("SELECT a FROM t").scalar())

    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a INTEGER)")
        connection.exec_driver_sql("INSERT INTO t VALUES (5)")
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()

    assert isinstance(engine.pool, StaticPool)
    assert found == [5]


def test_in_memory_two_at_once_share_a_transaction(make, immediate):
    engine = make("sqlite://")
    with engine.connect() as one, engine.connect() as other:
        one.exec_driver_sql("CREATE TABLE t (a INTEGER)")
        assert other.exec_driver_sql("SELECT * FROM t").all() == []


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///app.db"])
def test_the_users_own_pool_wins(make, url):
    assert isinstance(make(url, poolclass=NullPool).pool, NullPool)


def test_a_file_has_as_many_connections_as_are_asked_for(make):
    engine = make()
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(engine.connect())

    assert isinstance(engine.pool, QueuePool)
    assert make(pool_size=3).pool.size() == 3


# --- how connections are set up


def test_files_have_a_wal_and_foreign_keys(make):
    with make().connect() as connection:
        assert read(connection, "journal_mode") == "wal"
        assert read(connection, "synchronous") == 1
        assert read(connection, "foreign_keys") == 1
        assert read(connection, "busy_timeout") == 50


def test_each_has_its_switch(app, make):
    app.config.update(
        SQLALCHEMY_SQLITE_WAL=False,
        SQLALCHEMY_SQLITE_FOREIGN_KEYS=False,
        SQLALCHEMY_SQLITE_BUSY_TIMEOUT=timedelta(0),
    )
    with make().connect() as connection:
        assert read(connection, "journal_mode") == "delete"
        assert read(connection, "synchronous") == 2
        assert read(connection, "foreign_keys") == 0
        assert read(connection, "busy_timeout") == 0


@pytest.mark.parametrize(
    ("url", "connect_args"),
    [("sqlite:///app.db?timeout=0.2", {}), ("sqlite:///app.db", {"timeout": 0.2})],
)
def test_what_the_user_says_about_time_wins(make, url, connect_args, immediate):
    engine = for_sessions(make(url, connect_args=connect_args))
    with engine.connect() as connection:
        assert read(connection, "busy_timeout") == 200
        assert is_locked(connection.engine.url.database)


def test_a_database_in_memory_needs_no_wal(make):
    with make("sqlite://").connect() as connection:
        assert read(connection, "journal_mode") == "memory"
        assert read(connection, "foreign_keys") == 1


def test_a_file_that_may_only_be_read_is_read(make, tmp_path):
    path = tmp_path / "app.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (a)")
    with make(f"sqlite:///file:{path}?mode=ro&uri=true").connect() as connection:
        assert connection.exec_driver_sql("SELECT * FROM t").all() == []
        assert read(connection, "journal_mode") == "delete"


class Cursor:
    """A cursor whose PRAGMA fails with these codes, one after the other."""

    def __init__(self, *codes, mode="wal"):
        self.codes = list(codes)
        self.mode = mode
        self.executed = []

    def execute(self, statement):
        self.executed.append(statement)
        if self.codes:
            error = sqlite3.OperationalError("no")
            error.sqlite_errorcode = self.codes.pop(0)
            raise error

    def fetchone(self):
        return (self.mode,)


def test_who_comes_second_to_a_new_file_tries_again():
    cursor = Cursor(sqlite3.SQLITE_BUSY)
    _sqlite._set_wal(cursor, 10)

    assert len(cursor.executed) == 3
    with pytest.raises(sqlite3.OperationalError):
        _sqlite._set_wal(Cursor(sqlite3.SQLITE_BUSY), -1)
    with pytest.raises(sqlite3.OperationalError):
        _sqlite._set_wal(Cursor(sqlite3.SQLITE_IOERR), 10)


def test_where_there_is_no_wal_nothing_rests_on_it():
    cursor = Cursor(mode="delete")
    _sqlite._set_wal(cursor, 10)
    _sqlite._set_wal(read_only := Cursor(sqlite3.SQLITE_READONLY), 10)

    assert len(cursor.executed) == len(read_only.executed) == 1


# --- transactions


def test_what_is_read_stays_as_it_was(make):
    engine = make()
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a INTEGER)")
    with engine.connect() as reader:
        assert reader.exec_driver_sql("SELECT * FROM t").all() == []
        with engine.begin() as writer:
            writer.exec_driver_sql("INSERT INTO t VALUES (1)")
        assert reader.exec_driver_sql("SELECT * FROM t").all() == []
        reader.rollback()
        assert reader.exec_driver_sql("SELECT * FROM t").all() == [(1,)]


def test_tables_and_savepoints_are_rolled_back(make):
    engine = make()
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a INTEGER)")
        savepoint = connection.begin_nested()
        connection.exec_driver_sql("INSERT INTO t VALUES (1)")
        savepoint.rollback()
        assert connection.exec_driver_sql("SELECT * FROM t").all() == []
        connection.begin_nested().commit()
        connection.rollback()
        assert sa.inspect(connection).get_table_names() == []


@pytest.mark.parametrize("option", [{}, {"isolation_level": "AUTOCOMMIT"}])
def test_autocommit_begins_nothing(make, option):
    with make(**option).connect() as connection:
        if not option:
            connection.exec_driver_sql("SELECT 1")
            assert connection.connection.driver_connection.in_transaction
            connection.rollback()
            connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.exec_driver_sql("SELECT 1")
        assert not connection.connection.driver_connection.in_transaction


@pytest.mark.parametrize(
    ("method", "locks"),
    [
        *(("GET", False), ("HEAD", False), ("OPTIONS", False), ("TRACE", False)),
        *(("POST", True), ("PUT", True), ("PATCH", True), ("DELETE", True)),
        ("MERGE", True),
    ],
)
def test_requests_that_change_something_get_the_lock_first(app, make, method, locks):
    engine = for_sessions(make())
    with app.test_request_context(method=method), engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
        assert is_locked(engine.url.database) is locks


def test_so_does_what_says_that_it_writes(app, make, immediate):
    engine = for_sessions(make())
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
        assert is_locked(engine.url.database)
        assert read(connection, "busy_timeout") == 50


def test_what_is_no_session_does_not_wait_for_one(app, make, immediate):
    engine = make()
    with for_sessions(engine).connect() as session:
        session.exec_driver_sql("SELECT 1")
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT 1")
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
        assert not is_locked(engine.url.database)
    assert not _sqlite.has_line(make("sqlite://"))


def test_this_has_its_switch(app, make, immediate):
    app.config["SQLALCHEMY_SQLITE_IMMEDIATE"] = False
    engine = for_sessions(make())
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
        assert not is_locked(engine.url.database)


def test_writing_on_what_is_no_longer_true_says_what_to_do(make, caplog):
    engine = make()
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a INTEGER)")
    with engine.connect() as reader:
        reader.exec_driver_sql("SELECT * FROM t").all()
        with engine.begin() as writer:
            writer.exec_driver_sql("INSERT INTO t VALUES (1)")
        with pytest.raises(StaleSnapshot) as info:
            reader.exec_driver_sql("INSERT INTO t VALUES (2)")

    assert info.value.orig.sqlite_errorname == "SQLITE_BUSY_SNAPSHOT"
    (record,) = caplog.records
    assert "db.transaction()" in record.getMessage()
    assert "INSERT INTO t VALUES (2)" in record.getMessage()


def test_who_waits_in_vain_for_another_writer_is_told_so(make, caplog, immediate):
    engine = for_sessions(make())
    with engine.connect() as first, engine.connect() as second:
        _sqlite._asking.set(first.connection)
        first.exec_driver_sql("SELECT 1")
        _sqlite._asking.set(second.connection)
        with pytest.raises(DatabaseBusy):
            second.exec_driver_sql("SELECT 1")
        assert not second.in_transaction()
        first.rollback()
        second.exec_driver_sql("SELECT 1")
        assert read(second, "busy_timeout") == 50

    (record,) = caplog.records
    assert "is busy or slow" in record.getMessage()


def test_another_error_stays_what_it_is(make, caplog):
    with make().connect() as connection, pytest.raises(sa.exc.OperationalError) as info:
        connection.exec_driver_sql("SELECT nothing")

    assert not isinstance(info.value, DatabaseUnavailable)
    assert caplog.records == []


def test_a_file_that_is_no_database_is_a_matter_of_set_up(make, tmp_path, caplog):
    (tmp_path / "app.db").write_bytes(b"no database" * 1000)
    with pytest.raises(DatabaseUnavailable):
        make(f"sqlite:///{tmp_path}/app.db").connect()

    assert caplog.records[0].levelname == "ERROR"


def test_connections_without_limits_are_left_alone(make):
    engine = make()
    _limits.listen(engine, _limits.Limits(1, 1, 1))
    for _ in "12":
        engine.connect().close()


# --- the line of those who want to write


def wait_for_line(line, length):
    while len(line._waiting) < length:
        pass


def test_the_lock_is_given_in_the_order_in_which_it_was_asked_for():
    line = _sqlite_queue.Line()
    order = []

    def run(number):
        assert line.acquire(10)
        order.append(number)
        line.release()

    assert line.acquire(10)
    threads = [threading.Thread(target=run, args=(number,)) for number in range(5)]
    for number, thread in enumerate(threads):
        thread.start()
        wait_for_line(line, number + 1)
    line.release()
    for thread in threads:
        thread.join()

    assert order == [0, 1, 2, 3, 4]
    assert line.acquire(0)


def test_who_has_waited_for_too_long_leaves_the_line():
    line = _sqlite_queue.Line()
    line.acquire(0)

    assert not line.acquire(0)
    assert not line._waiting
    line.release()
    assert line.acquire(0)


class Lock:
    """A lock that is not given, while somebody else gives it or something happens."""

    def __init__(self, line, error, given):
        self.line = line
        self.error = error
        self.given = given

    def acquire(self, timeout=-1):
        if timeout < 0:
            return True
        if self.given:
            self.line._waiting.popleft()
        if self.error:
            raise self.error
        return False


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("error", [None, KeyboardInterrupt()])
def test_a_lock_that_comes_in_the_last_moment_is_not_lost(monkeypatch, given, error):
    line = _sqlite_queue.Line()
    line.acquire(0)
    monkeypatch.setattr(
        _sqlite_queue.threading, "Lock", lambda: Lock(line, error, given)
    )
    if error:
        with pytest.raises(KeyboardInterrupt):
            line.acquire(1)
        assert line._held is not given  # is handed on
    else:
        assert line.acquire(1) is given
        assert line._held


def find_queue(engine):
    begin = engine.dialect.do_begin
    return begin.__closure__[begin.__code__.co_freevars.index("queue")].cell_contents


def test_who_was_not_called_in_time_asks_once(make, immediate):
    engine = for_sessions(make())
    engine.connect().close()
    assert find_queue(engine)._line.acquire(0)
    with contextlib.closing(sqlite3.connect(engine.url.database)) as other:
        other.execute("BEGIN IMMEDIATE")
        with engine.connect() as connection, pytest.raises(DatabaseBusy):
            connection.exec_driver_sql("SELECT 1")
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
        assert is_locked(engine.url.database)


def test_a_forked_process_has_a_line_of_its_own(make, monkeypatch, immediate):
    engine = for_sessions(make())
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
    assert find_queue(engine)._line.acquire(0)  # by a thread that is in the parent only
    monkeypatch.setattr(_sqlite_queue.os, "getpid", lambda: -1)
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")


# --- async


def test_async_engines_are_set_up_alike(app):
    async def ask():
        engine = make_async_engine(app, None, {"url": "sqlite:///app.db"})
        async with engine.connect() as connection:
            for pragma, value in {"journal_mode": "wal", "foreign_keys": 1}.items():
                found = await connection.exec_driver_sql(f"PRAGMA {pragma}")
                assert found.scalar() == value
            assert not is_locked(engine.url.database)
        await engine.dispose()

    asyncio.run(ask())


def test_async_writers_stand_in_line(app, immediate):
    class AsyncForSessions:
        def __init__(self, engine):
            self.engine = engine

        def __getattr__(self, name):
            _sqlite.expect(self.engine.sync_engine, {})
            return getattr(self.engine, name)

    async def write(engine, number):
        async with engine.begin() as connection:
            old = (await connection.exec_driver_sql("SELECT a FROM t")).scalar()
            await asyncio.sleep(0)
            await connection.exec_driver_sql(f"UPDATE t SET a = {old + 1}")

    async def ask():
        made = make_async_engine(app, None, {"url": "sqlite:///app.db"})
        engine = AsyncForSessions(made)
        async with engine.begin() as connection:
            await connection.exec_driver_sql("CREATE TABLE t (a INTEGER)")
            await connection.exec_driver_sql("INSERT INTO t VALUES (0)")
        await asyncio.gather(*(write(engine, number) for number in range(5)))
        async with engine.connect() as first:
            found = await first.exec_driver_sql("SELECT a FROM t")
            assert found.scalar() == 5
            async with engine.connect() as second:
                with pytest.raises(DatabaseBusy):
                    await second.exec_driver_sql("SELECT 1")
        await made.dispose()

    app.config["SQLALCHEMY_SQLITE_BUSY_TIMEOUT"] = timedelta(seconds=0.3)
    asyncio.run(ask())


def test_async_memory_is_one_connection(app, immediate):
    async def ask():
        engine = make_async_engine(app, None, {"url": "sqlite://", "pool_size": 5})
        async with engine.connect() as one, engine.connect() as other:
            await one.exec_driver_sql("CREATE TABLE t (a INTEGER)")
            assert (await other.exec_driver_sql("SELECT * FROM t")).all() == []
        await engine.dispose()

    asyncio.run(ask())
