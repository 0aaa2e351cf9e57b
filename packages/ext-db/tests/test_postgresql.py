from __future__ import annotations

import asyncio
import os
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from erlen import Erlen
from erlen_db import _limits
from erlen_db import _postgresql
from erlen_db import _settings
from erlen_db._engines import make_async_engine
from erlen_db._engines import make_engine
from erlen_db.errors import DatabaseBusy
from erlen_db.errors import DatabaseUnavailable
from erlen_db.errors import StatementTimeout

psycopg = pytest.importorskip("psycopg")

URL = os.environ.get(
    "POSTGRESQL_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/test"
)
NOWHERE = "postgresql+psycopg://ada@127.0.0.1:1/name"


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
    try:
        psycopg.connect(URL.replace("+psycopg", ""), connect_timeout=2).close()
    except psycopg.Error:
        return False
    return True


@pytest.fixture
def server(_answer):
    """Skip where there is no server."""
    if not _answer:
        text = f"no PostgreSQL answers at {URL}"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(text)


def find_params(engine):
    """Return what the driver is called with."""
    seen = []

    @event.listens_for(engine, "do_connect", once=True)
    def connect(dialect, record, args, params):
        seen.append(dict(params))
        raise engine.dialect.loaded_dbapi.OperationalError("seen")

    with pytest.raises(DatabaseUnavailable):
        engine.connect()
    return seen[0]


# --- options


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_each_step_has_its_time(make, driver):
    pytest.importorskip(driver)
    params = find_params(make(f"postgresql+{driver}://ada@127.0.0.1:1/name"))

    assert params["connect_timeout"] == 5
    assert params["tcp_user_timeout"] == 10000
    assert params["keepalives_idle"] == 30
    assert params["options"] == "-c statement_timeout=30000"
    assert params["fallback_application_name"] == "acme"


def test_each_has_its_switch(app, make):
    app.config["SQLALCHEMY_CONNECT_TIMEOUT"] = None
    app.config["SQLALCHEMY_STATEMENT_TIMEOUT"] = None
    engine = make(NOWHERE)
    params = find_params(engine)

    assert "connect_timeout" not in params
    assert "tcp_user_timeout" not in params
    assert "options" not in params
    assert "connect" not in vars(engine.dialect)


def test_a_part_of_a_second_is_rounded_up(app, make):
    app.config["SQLALCHEMY_CONNECT_TIMEOUT"] = timedelta(seconds=0.5)
    app.config["SQLALCHEMY_STATEMENT_TIMEOUT"] = timedelta(seconds=0.0001)
    params = find_params(make(NOWHERE))

    assert params["connect_timeout"] == 2
    assert params["options"] == "-c statement_timeout=1"


@pytest.mark.parametrize(
    ("url", "connect_args"),
    [
        (f"{NOWHERE}?connect_timeout=9&options=-c%20search_path%3Dx", {}),
        (NOWHERE, {"connect_timeout": 9, "options": "-c search_path=x"}),
    ],
)
def test_what_the_user_says_wins(make, url, connect_args):
    params = find_params(make(url, connect_args=connect_args))

    assert int(params["connect_timeout"]) == 9
    assert params["options"] == "-c statement_timeout=30000 -c search_path=x"


def test_other_drivers_are_only_asked_whether_they_are_there(app):
    options = {"connect_args": {}}
    url = sa.make_url("postgresql+pg8000://ada@host/name")

    assert _postgresql.set_defaults(app, url, options) == url
    assert options == {"pool_pre_ping": True, "connect_args": {}}
    _postgresql.set_async_defaults(app, url, options)
    assert options == {"pool_pre_ping": True, "connect_args": {}}


def test_limits_follow_from_each_other():
    assert _limits.Limits(2, 30, 5).whole == 32
    assert _limits.Limits(None, 30, 5).whole == 35
    assert _limits.Limits(2, None, 5).whole is None


# --- errors


@pytest.mark.parametrize(
    ("code", "lost", "kind"),
    [
        ("57P01", True, None),
        ("57P03", True, None),
        ("08006", True, None),
        ("57014", False, StatementTimeout),
        ("55P03", False, DatabaseBusy),
        ("40001", False, DatabaseBusy),
        ("23505", False, None),
        (None, False, None),
    ],
)
@pytest.mark.parametrize("name", ["sqlstate", "pgcode"])
def test_errors_are_known_by_their_code(name, code, lost, kind):
    error = Exception("x")
    setattr(error, name, code)

    assert _postgresql.is_lost(error) is lost
    assert _postgresql.find_error(error) is kind


# --- a connection that waits


class PG:
    """What psycopg knows of a connection."""

    def __init__(self, *states):
        self.states = list(states)
        self.finished = False

    @property
    def transaction_status(self):
        return self.states.pop(0)

    def finish(self):
        self.finished = True


def wait(*steps, pgconn, seconds):
    from erlen_db import _psycopg

    def command():
        # Not a tuple, to which nothing can be sent.
        for step in steps:  # noqa: UP028
            yield step
        return "answer"

    bounded = _psycopg._bound(command(), pgconn, seconds)
    try:
        next(bounded)
        for _ in steps:
            bounded.send(0)
    except StopIteration as exc:
        return exc.value
    raise AssertionError


def test_an_answer_in_time_is_passed_on():
    assert wait(pgconn=PG(), seconds=10) == "answer"
    assert wait(1, 2, pgconn=PG(), seconds=10) == "answer"


def test_an_answer_that_does_not_come_closes_the_connection():
    pgconn = PG(psycopg.pq.TransactionStatus.ACTIVE)
    with pytest.raises(psycopg.OperationalError, match="has not answered within"):
        wait(1, 2, pgconn=pgconn, seconds=-1)

    assert pgconn.finished


def test_who_waits_for_no_answer_may_wait():
    idle = psycopg.pq.TransactionStatus.IDLE

    assert wait(1, 2, pgconn=PG(idle, idle), seconds=-1) == "answer"


# --- with the server


@pytest.mark.service
@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_statement_that_takes_too_long_is_stopped(app, make, caplog, driver):
    pytest.importorskip(driver)
    app.config["SQLALCHEMY_STATEMENT_TIMEOUT"] = timedelta(seconds=0.05)
    engine = make(URL.replace("psycopg", driver))
    with engine.connect() as connection:
        with pytest.raises(StatementTimeout) as info:
            connection.exec_driver_sql("SELECT pg_sleep(9)")
        connection.rollback()
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
        name = connection.exec_driver_sql("SHOW application_name").scalar()

    assert name == "acme"
    assert not info.value.connection_invalidated
    (record,) = caplog.records
    assert "SELECT pg_sleep(9)" in record.getMessage()


@pytest.mark.service
@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
@pytest.mark.parametrize("idle", [True, False])
def test_a_connection_that_the_server_closed(make, driver, idle, caplog):
    pytest.importorskip(driver)
    engine, other = make(URL.replace("psycopg", driver)), make()
    with engine.connect() as connection:
        pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
        if idle:
            connection.close()
        with other.connect() as killer:
            killer.exec_driver_sql(f"SELECT pg_terminate_backend({pid})")
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
@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_database_that_is_unknown_is_a_matter_of_set_up(make, driver, caplog):
    pytest.importorskip(driver)
    url = sa.make_url(URL.replace("psycopg", driver)).set(database="of_nobody")
    with pytest.raises(DatabaseUnavailable):
        make(url).connect()

    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert 'database "of_nobody" does not exist' in record.getMessage()


@pytest.mark.service
@pytest.mark.usefixtures("server")
def test_async_statements_are_stopped_too(app):
    async def ask():
        engine = make_async_engine(app, None, {"url": URL})
        async with engine.connect() as connection:
            with pytest.raises(StatementTimeout):
                await connection.exec_driver_sql("SELECT pg_sleep(9)")
            await connection.rollback()
            await connection.exec_driver_sql("SELECT 1")
            raw = await connection.get_raw_connection()
            assert raw.driver_connection.limit == pytest.approx(5.05)
        await engine.dispose()

    app.config["SQLALCHEMY_STATEMENT_TIMEOUT"] = timedelta(seconds=0.05)
    asyncio.run(ask())
