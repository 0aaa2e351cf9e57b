from __future__ import annotations

import asyncio
import math
import os
import socket
import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from erlen import Erlen
from erlen_db import _limits
from erlen_db import _mariadb
from erlen_db import _settings
from erlen_db._engines import make_async_engine
from erlen_db._engines import make_engine
from erlen_db.errors import DatabaseBusy
from erlen_db.errors import DatabaseUnavailable
from erlen_db.errors import StatementTimeout

pymysql = pytest.importorskip("pymysql")

URL = os.environ.get("MARIADB_URL", "mysql+pymysql://root@127.0.0.1:3306/test")
NOWHERE = "mariadb+pymysql://ada@127.0.0.1:1/name"


@pytest.fixture
def app():
    app = Erlen("acme")
    _settings.declare(app)
    return app


@pytest.fixture
def make(app):
    """Return what makes engines, which are disposed of at the end."""
    engines = []

    def make(url=URL, **options):
        engines.append(make_engine(app, None, {"url": url, **options}))
        return engines[-1]

    yield make
    for engine in engines:
        engine.dispose()


@pytest.fixture(scope="session")
def _answer():
    url = sa.make_url(URL)
    try:
        pymysql.connect(
            host=url.host,
            port=url.port or 3306,
            user=url.username,
            password=url.password or "",
            connect_timeout=2,
        ).close()
    except pymysql.Error:
        return False
    return True


@pytest.fixture
def server(_answer):
    """Skip where there is no server."""
    if not _answer:
        text = f"no MariaDB answers at {URL}"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(text)


def find_params(engine):
    """Return what the driver is called with."""
    seen = []

    @event.listens_for(engine, "do_connect", once=True)
    def connect(dialect, record, args, params):
        seen.append(dict(params))
        raise engine.dialect.loaded_dbapi.OperationalError(2003, "seen")

    with pytest.raises(DatabaseUnavailable):
        engine.connect()
    return seen[0]


# --- options


def test_each_step_has_its_time(make):
    engine = make(NOWHERE)
    params = find_params(engine)

    assert params["connect_timeout"] == 5
    assert params["read_timeout"] == params["write_timeout"] == 35
    assert params["charset"] == "utf8mb4"
    assert engine.pool._recycle == 280


def test_each_has_its_switch(app, make):
    app.config["SQLALCHEMY_CONNECT_TIMEOUT"] = None
    app.config["SQLALCHEMY_STATEMENT_TIMEOUT"] = None
    engine = make(NOWHERE)
    params = find_params(engine)

    assert not {"connect_timeout", "read_timeout", "write_timeout"} & set(params)
    assert "connect" not in vars(engine.dialect)


@pytest.mark.parametrize(
    ("url", "connect_args"),
    [
        (f"{NOWHERE}?connect_timeout=9&charset=latin1", {}),
        (NOWHERE, {"connect_timeout": 9, "charset": "latin1"}),
    ],
)
def test_what_the_user_says_wins(make, url, connect_args):
    engine = make(url, connect_args=connect_args, pool_recycle=9)
    params = find_params(engine)

    assert params["connect_timeout"] == 9
    assert params["charset"] == "latin1"
    assert engine.pool._recycle == 9


@pytest.mark.parametrize(
    ("driver", "timeouts"),
    [
        ("pymysql", {"connect_timeout": 1.5, "read_timeout": 4, "write_timeout": 4}),
        ("mysqldb", {"connect_timeout": 2, "read_timeout": 4, "write_timeout": 4}),
        ("asyncmy", {"connect_timeout": 1.5}),
        ("aiomysql", {"connect_timeout": 1.5}),
        ("other", {}),
    ],
)
def test_each_driver_has_its_names(driver, timeouts):
    limits = _limits.Limits(1.5, 2.5, None)

    assert _mariadb._make_timeouts(driver, limits) == timeouts


# --- errors


@pytest.mark.parametrize(
    ("code", "lost", "kind"),
    [
        (2013, True, None),
        (1053, True, None),
        (1927, True, None),
        (1969, False, StatementTimeout),
        (3024, False, StatementTimeout),
        (1205, False, DatabaseBusy),
        (1213, False, DatabaseBusy),
        (1062, False, None),
    ],
)
def test_errors_are_known_by_their_number(code, lost, kind):
    error = pymysql.err.OperationalError(code, "x")

    assert _mariadb.is_lost(error) is lost
    assert _mariadb.find_error(error) is kind


def test_an_error_without_a_number_is_none_that_we_know():
    error = pymysql.err.OperationalError()

    assert not _mariadb.is_lost(error)
    assert _mariadb.find_error(error) is None


# --- a connection that waits


@pytest.fixture
def pair():
    from erlen_db import _pymysql

    ours, theirs = socket.socketpair()
    ours = _pymysql._Socket(ours.family, ours.type, ours.proto, ours.detach())
    yield ours, theirs
    ours.close()
    theirs.close()


def test_all_pieces_of_an_answer_share_the_time(pair):
    ours, theirs = pair
    ours.limit = 0.3
    ours.sendall(b"?")
    stop = threading.Event()

    def drip():
        while not stop.wait(0.05):
            theirs.sendall(b".")

    thread = threading.Thread(target=drip)
    thread.start()
    received = 0
    with pytest.raises(TimeoutError):
        while received < 100:
            received += ours.recv_into(bytearray(1))
    stop.set()
    thread.join()

    assert 0 < received < 10


def test_what_arrives_gives_time_back(pair):
    ours, theirs = pair
    ours.limit = 0.3
    ours.sendall(b"?")
    theirs.sendall(b"." * 5000)
    ours._left = 0.1

    assert ours.recv_into(bytearray(10000)) == 5000
    assert ours._left == 0.3


def test_without_a_limit_it_waits(pair):
    ours, theirs = pair
    ours.sendall(b"?")
    theirs.sendall(b".")

    assert ours.recv_into(bytearray(1)) == 1
    assert ours.gettimeout() is None


# --- with the server


@pytest.mark.service
@pytest.mark.usefixtures("server")
def test_a_statement_that_takes_too_long_is_stopped(app, make, caplog):
    app.config["SQLALCHEMY_STATEMENT_TIMEOUT"] = timedelta(seconds=0.05)
    with make().connect() as connection:
        with pytest.raises(StatementTimeout) as info:
            connection.exec_driver_sql("SELECT sleep(9)")
        connection.rollback()
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1

    assert not info.value.connection_invalidated
    (record,) = caplog.records
    assert "SELECT sleep(9)" in record.getMessage()


@pytest.mark.service
@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("idle", [True, False])
def test_a_connection_that_the_server_closed(make, idle, caplog):
    engine, other = make(), make()
    with engine.connect() as connection:
        number = connection.exec_driver_sql("SELECT connection_id()").scalar()
        if idle:
            connection.close()
        with other.connect() as killer:
            killer.exec_driver_sql(f"KILL {number}")
        if not idle:
            with pytest.raises(DatabaseUnavailable) as info:
                connection.exec_driver_sql("SELECT 1")
            assert info.value.connection_invalidated
            connection.rollback()
            assert connection.exec_driver_sql("SELECT 1").scalar() == 1

    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
    assert len(caplog.records) == (0 if idle else 1)


@pytest.mark.service
@pytest.mark.usefixtures("server")
def test_a_wrong_password_is_a_matter_of_set_up(make, caplog):
    url = sa.make_url(URL).set(username="nobody", password="p4ssw0rd")
    with pytest.raises(DatabaseUnavailable):
        make(url).connect()

    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert "Access denied" in record.getMessage()
    assert "p4ssw0rd" not in record.getMessage()


@pytest.mark.service
@pytest.mark.usefixtures("server")
def test_a_socket_file_is_dialled_by_the_driver_itself(make):
    with make().connect() as connection:
        path = connection.exec_driver_sql("SELECT @@socket").scalar()
    if not os.path.exists(path):
        pytest.skip("the server's socket is not on this machine")
    url = sa.make_url(URL).set(host=None, port=None, query={"unix_socket": path})
    with make(url).connect() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
        assert connection.connection.driver_connection.limit == math.inf


@pytest.mark.service
@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("driver", ["asyncmy", "aiomysql"])
def test_async_statements_are_stopped_too(app, driver):
    pytest.importorskip(driver)

    async def ask():
        url = sa.make_url(URL).set(drivername=f"mysql+{driver}")
        engine = make_async_engine(app, None, {"url": url})
        async with engine.connect() as connection:
            with pytest.raises(StatementTimeout):
                await connection.exec_driver_sql("SELECT sleep(9)")
            await connection.rollback()
            await connection.exec_driver_sql("SELECT 1")
            await connection.commit()
        async with engine.connect() as connection:  # asks whether it is there
            await connection.exec_driver_sql("SELECT 1")
        await engine.dispose()

    app.config["SQLALCHEMY_STATEMENT_TIMEOUT"] = timedelta(seconds=0.05)
    asyncio.run(ask())


def test_async_connections_of_others_making_have_no_limit(app):
    options = {"connect_args": {}}
    url = sa.make_url("mysql+aiomysql://ada@host/name")
    _mariadb.set_async_defaults(app, url, options)

    assert options == {"connect_args": {}}


@pytest.mark.parametrize("forever", [True, False])
def test_a_step_of_an_async_connection_ends(forever):
    _asyncmy = pytest.importorskip("erlen_db._asyncmy")

    async def run():
        connection = _asyncmy.Connection()
        if forever:
            await connection._within(math.inf, asyncio.sleep(0))
            return
        with pytest.raises(_asyncmy.OperationalError, match=r"within 0\.01 s"):
            await connection._within(0.01, asyncio.sleep(9))

    asyncio.run(run())


def test_other_drivers_have_the_limit_of_the_server(app):
    engine = sa.create_engine("sqlite://")  # its driver is none of ours
    before, connect = len(engine.pool.dispatch.connect), engine.dialect.connect

    _mariadb.listen(app, engine, {})

    assert len(engine.pool.dispatch.connect) == before + 1
    assert engine.dialect.connect == connect
