from __future__ import annotations

import asyncio
import logging
import socket
import sys
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import exc as sa_exc
from sqlalchemy.engine import default
from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.pool import NullPool
from sqlalchemy.pool import QueuePool
from sqlalchemy.pool import SingletonThreadPool
from sqlalchemy.pool import StaticPool

from erlen import Erlen
from erlen.extension import ConfigError
from erlen_db import _engines
from erlen_db import _settings
from erlen_db._engines import make_async_engine
from erlen_db._engines import make_engine
from erlen_db.errors import DatabaseUnavailable
from erlen_db.errors import PoolExhausted

PASSWORD = "p4ssw0rd"


@pytest.fixture
def app(tmp_path):
    app = Erlen("acme", instance_path=str(tmp_path))
    _settings.declare(app)
    app.config["SQLALCHEMY_CONNECT_TIMEOUT"] = timedelta(seconds=2)
    return app


@pytest.fixture
def make(app):
    """Return what makes engines, which are disposed of at the end."""
    engines = []

    def make(url, bind_key=None, **options):
        engines.append(make_engine(app, bind_key, {"url": url, **options}))
        return engines[-1]

    yield make
    for engine in engines:
        engine.dispose()


@pytest.fixture
def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


# --- settings that are wrong


@pytest.mark.parametrize(
    ("bind_key", "name"),
    [(None, "SQLALCHEMY_DATABASE_URI"), ("b", "SQLALCHEMY_BINDS['b']")],
)
@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "is no URL"),
        (f"ada:{PASSWORD}@host", "is no URL"),
        (f"postgresql://ada:{PASSWORD}/x@host:y/name", "percent-encode"),
        (f"postgresql://ada:x@host:{PASSWORD}/name", "percent-encode"),
        (5, "is no URL"),
        (None, "is no URL"),
        (f"postgres://ada:{PASSWORD}@host/name", "Write postgresql://"),
        (f"nothing://ada:{PASSWORD}@host/name", "knows no such database"),
        (f"postgresql+nothing://ada:{PASSWORD}@host/name", "knows no such database"),
        (f"sqlite://ada:{PASSWORD}@host/name", "Invalid SQLite URL"),
    ],
)
@pytest.mark.parametrize("function", [make_engine, make_async_engine])
def test_a_wrong_url_names_its_setting_and_no_password(
    app, function, url, words, bind_key, name
):
    with pytest.raises(ConfigError) as info:
        function(app, bind_key, {"url": url})

    assert str(info.value).startswith(f"{name} ")
    assert words in str(info.value)
    assert PASSWORD not in str(info.value)
    assert info.value.__suppress_context__ or info.value.__context__ is None


@pytest.mark.parametrize(
    ("url", "module", "extra"),
    [
        ("postgresql+psycopg://ada@host/name", "psycopg", "postgresql"),
        ("mariadb+pymysql://ada@host/name", "pymysql", "mariadb"),
        ("mysql+pymysql://ada@host/name", "pymysql", "mariadb"),
    ],
)
def test_a_driver_that_is_missing_names_its_extra(
    make, monkeypatch, url, module, extra
):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError) as info:
        make(url)

    assert f'pip install "erlen-db[{extra}]"' in str(info.value)


@pytest.mark.parametrize(
    ("url", "module", "extra"),
    [
        ("sqlite://", "aiosqlite", "async"),
        ("postgresql://ada@host/name", "psycopg", "postgresql"),
        ("mysql://ada@host/name", "asyncmy", "mariadb-async"),
    ],
)
def test_so_does_an_async_one(app, monkeypatch, url, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError) as info:
        make_async_engine(app, None, {"url": url})

    assert f'pip install "erlen-db[{extra}]"' in str(info.value)


def test_a_driver_of_others_is_named_itself(make):
    with pytest.raises(ConfigError, match=r"install the package that has"):
        make("oracle://ada@host/name")


@pytest.mark.parametrize(
    ("url", "missing", "driver"),
    [
        ("postgresql://", ["psycopg"], "psycopg2"),
        ("postgresql://", ["psycopg2"], "psycopg"),
        ("postgresql+psycopg://", ["psycopg2"], "psycopg"),
        ("mysql://", ["MySQLdb"], "pymysql"),
        ("mariadb://", ["MySQLdb"], "pymysql"),
    ],
)
def test_a_url_without_a_driver_takes_one_that_is_installed(
    make, monkeypatch, url, missing, driver
):
    pytest.importorskip("psycopg")
    found = _engines._is_installed
    monkeypatch.setattr(
        *(_engines, "_is_installed"),
        lambda module: (
            module not in missing
            and (module in {"psycopg2", "MySQLdb"} or found(module))
        ),
    )
    if driver == "psycopg2":
        pytest.importorskip("psycopg2")

    assert make(f"{url}ada@host/name").driver == driver


def test_where_none_is_installed_that_of_the_extra_is_asked_for(make, monkeypatch):
    monkeypatch.setattr(_engines, "_is_installed", lambda module: False)
    monkeypatch.setitem(sys.modules, "pymysql", None)
    with pytest.raises(ConfigError, match=r'pip install "erlen-db\[mariadb\]"'):
        make("mysql://ada@host/name")


# --- options


@pytest.mark.parametrize(
    "url",
    ["postgresql+psycopg://ada@host/name", "mariadb+pymysql://ada@host/name"],
)
def test_servers_are_asked_whether_they_are_there(app, make, url):
    assert make(url).pool._pre_ping
    assert not make(url, pool_pre_ping=False).pool._pre_ping
    assert make(url).pool.timeout() == 5
    assert make(url, pool_timeout=1).pool.timeout() == 1
    app.config["SQLALCHEMY_POOL_TIMEOUT"] = None
    assert make(url).pool.timeout() is None


def test_what_is_given_is_not_changed(make):
    given = {"connect_args": {"timeout": 1}, "echo": False}
    make("sqlite://", **given)

    assert given == {"connect_args": {"timeout": 1}, "echo": False}


@pytest.mark.parametrize("poolclass", [NullPool, StaticPool, SingletonThreadPool])
def test_a_pool_class_without_a_queue_is_given_no_time(make, poolclass):
    engine = make("postgresql+psycopg://ada@host/name", poolclass=poolclass)

    assert isinstance(engine.pool, poolclass)
    assert type(engine.pool).__name__ == poolclass.__name__


def test_a_pool_that_is_given_is_used(make):
    pool = NullPool(lambda: None)

    assert make("postgresql+psycopg://ada@host/name", pool=pool).pool is pool


def test_an_async_engine_has_the_pool_that_fits(app):
    url = "postgresql+psycopg://ada@host/name"
    for options in ({}, {"poolclass": QueuePool}, {"pool_size": 3}):
        engine = make_async_engine(app, None, {"url": url, **options})
        assert isinstance(engine.pool, AsyncAdaptedQueuePool)


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("sqlite://", "aiosqlite"),
        ("sqlite+pysqlite://", "aiosqlite"),
        ("postgresql://ada@host/name", "psycopg"),
        ("postgresql+psycopg://ada@host/name", "psycopg"),
        ("postgresql+psycopg2://ada@host/name", "psycopg"),
        ("postgresql+psycopg_async://ada@host/name", "psycopg"),
        ("mysql+pymysql://ada@host/name", "asyncmy"),
        ("mariadb://ada@host/name", "asyncmy"),
        ("mysql+aiomysql://ada@host/name", "aiomysql"),
    ],
)
def test_an_async_engine_has_an_async_driver(app, url, driver):
    pytest.importorskip(driver)
    engine = make_async_engine(app, None, {"url": url})

    assert engine.driver == driver
    assert engine.dialect.is_async


# --- databases of others


class _Foreign(default.DefaultDialect):
    """A dialect that is none of ours, whose driver is whatever a test puts here."""

    name = "foreign"
    driver = "foreign"
    supports_statement_cache = True
    lost = False
    connections = []

    class DBAPI:
        class Error(Exception):
            pass

        paramstyle = "qmark"

        @staticmethod
        def connect(*args, **kwargs):
            raise _Foreign.connections.pop()

    @classmethod
    def import_dbapi(cls):
        return cls.DBAPI

    def is_disconnect(self, error, connection, cursor):
        return self.lost


@pytest.fixture
def foreign():
    sa.dialects.registry.register("foreign", __name__, "_Foreign")
    sa.dialects.registry.impls["foreign"] = lambda: _Foreign
    yield _Foreign
    del sa.dialects.registry.impls["foreign"]


@pytest.mark.parametrize(
    "error", [_Foreign.DBAPI.Error("away"), ConnectionResetError("away")]
)
@pytest.mark.usefixtures("foreign")
def test_a_database_of_others_that_is_away_is_a_503_as_well(make, app, caplog, error):
    engine = make("foreign://ada:p4ssw0rd@host/name?password=p4ssw0rd")
    _Foreign.connections = [error]
    with pytest.raises(DatabaseUnavailable) as info:
        engine.connect()

    assert engine.pool._pre_ping
    assert info.value.orig is error
    assert info.value.__cause__ is error
    (record,) = caplog.records
    assert record.name == "erlen_db"
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        "SQLALCHEMY_DATABASE_URI (foreign://ada:***@host/name) does not answer:"
        f" {type(error).__name__}: away"
    )
    with pytest.raises(ConfigError):
        make_async_engine(app, None, {"url": "foreign+async://host/name"})


@pytest.mark.usefixtures("foreign")
def test_what_is_no_error_of_the_driver_is_none_of_ours(make):
    engine = make("foreign://host/name")
    _Foreign.connections = [ZeroDivisionError()]
    with pytest.raises(ZeroDivisionError):
        engine.connect()


# --- while a connection is open


class Context:
    """What SQLAlchemy tells of an error."""

    is_disconnect = is_pre_ping = False
    connection = object()
    statement = parameters = None

    def __init__(self, error, **attributes):
        self.original_exception = error
        self.sqlalchemy_exception = sa_exc.OperationalError(None, None, error)
        vars(self).update(attributes)


@pytest.fixture
def handle():
    return _engines._Handler(None, "X (url)", sa.make_url("foreign://"))


def test_a_lost_connection_is_an_answer(handle, caplog):
    error = handle(Context(OSError("away"), statement="SELECT 1", parameters=(5,)))

    assert type(error) is DatabaseUnavailable
    assert error.connection_invalidated
    assert error.params == (5,)
    assert caplog.messages == ["X (url) does not answer: OSError: away [SQL: SELECT 1]"]


@pytest.mark.parametrize(
    "ctx",
    [
        Context(ValueError()),
        Context(ValueError(), sqlalchemy_exception=None, is_disconnect=True),
        Context(OSError(), is_pre_ping=True),
    ],
)
def test_other_errors_are_left_alone(handle, caplog, ctx):
    assert handle(ctx) is None
    assert caplog.records == []


def test_a_ping_that_fails_makes_a_new_connection(handle):
    ctx = Context(OSError(), is_pre_ping=True)
    handle(ctx)

    assert ctx.is_disconnect


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("foreign://ada:p4ssw0rd@host/name", "x *** y"),
        ("foreign://ada@host/name", "x p4ssw0rd y"),
        ("foreign://p4ssw0rd:p4ssw0rd@host/name", "x p4ssw0rd y"),
    ],
)
def test_a_password_is_hidden_wherever_it_is(url, text):
    assert _engines._hide_password(sa.make_url(url), "x p4ssw0rd y") == text


def test_an_error_of_a_flush_or_a_commit_is_an_answer_too(make, db_away):
    engine = make("sqlite:///app.db")
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a)")
        db_away(engine, "do_commit")
        with pytest.raises(DatabaseUnavailable):
            connection.commit()


@pytest.fixture
def db_away(monkeypatch):
    """Return what lets a step of a dialect fail as if the database were away."""

    def away(engine, step):
        def fail(*args):
            raise OSError

        monkeypatch.setattr(engine.dialect, step, fail)

    return away


# --- a pool that is too small


def test_a_pool_that_is_exhausted_is_an_answer(app, make, caplog):
    app.config["SQLALCHEMY_POOL_TIMEOUT"] = timedelta(seconds=0.01)
    engine = make("sqlite:///app.db", bind_key="b", pool_size=1, max_overflow=0)
    with engine.connect():
        with pytest.raises(PoolExhausted, match=r"pool_size") as info:
            engine.connect()
        assert isinstance(info.value, sa_exc.TimeoutError)
        assert isinstance(info.value.__cause__, sa_exc.TimeoutError)
    with engine.connect():
        pass

    (record,) = caplog.records
    assert "SQLALCHEMY_BINDS['b'] (sqlite:///" in record.getMessage()
    assert "SQLALCHEMY_POOL_TIMEOUT" in record.getMessage()


def test_so_is_an_async_one_and_one_that_was_made_anew(app):
    app.config["SQLALCHEMY_POOL_TIMEOUT"] = timedelta(seconds=0.01)
    options = {"url": "sqlite:///app.db", "pool_size": 1, "max_overflow": 0}

    async def ask():
        engine = make_async_engine(app, None, options)
        for _ in range(2):
            async with engine.connect():
                with pytest.raises(PoolExhausted):
                    await engine.connect()
            await engine.dispose()

    asyncio.run(ask())


# --- servers that are not there


@pytest.mark.parametrize(
    "url",
    ["postgresql+psycopg://ada:{0}@127.0.0.1", "mariadb+pymysql://ada:{0}@127.0.0.1"],
)
def test_a_server_that_is_not_there_is_a_503(make, caplog, url, free_port):
    engine = make(f"{url.format(PASSWORD)}:{free_port}/name")
    with pytest.raises(sa_exc.OperationalError) as info:
        engine.connect()

    assert isinstance(info.value, DatabaseUnavailable)
    assert info.value.connection_invalidated is False
    (record,) = caplog.records
    assert "does not answer" in record.getMessage()
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize("url", ["postgresql://ada@127.0.0.1", "mysql://ada@127.0.0.1"])
def test_so_it_is_for_async_views(app, caplog, url, free_port):
    async def ask():
        engine = make_async_engine(app, None, {"url": f"{url}:{free_port}/name"})
        with pytest.raises(DatabaseUnavailable):
            await engine.connect()
        await engine.dispose()

    asyncio.run(ask())
    assert len(caplog.records) == 1


def test_the_listeners_of_users_are_heard(make, free_port):
    engine = make(f"postgresql+psycopg://ada@127.0.0.1:{free_port}/name")
    heard = []

    @event.listens_for(engine, "do_connect")
    def connect(dialect, record, args, params):
        heard.append(params["connect_timeout"])

    with pytest.raises(DatabaseUnavailable):
        engine.connect()
    assert heard == [2]
