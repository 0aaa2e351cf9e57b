from __future__ import annotations

import os
import threading

import pytest
import sqlalchemy as sa

from erlen_db.migrate import _lock

SERVERS = {
    "postgresql": os.environ.get(
        "POSTGRESQL_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/test"
    ),
    "mariadb": os.environ.get(
        "MARIADB_URL", "mysql+pymysql://root@127.0.0.1:3306/test"
    ),
}


def _server(name):
    """Connect to a real server, or skip the test; in CI it must be there."""
    engine = sa.create_engine(SERVERS[name])
    try:
        with engine.connect():
            return engine
    except sa.exc.OperationalError as exc:
        engine.dispose()
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no {name}: {exc.orig}")


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.service),
        pytest.param("mariadb", marks=pytest.mark.service),
    ]
)
def engine(request, tmp_path):
    if request.param == "sqlite":
        engine = sa.create_engine(f"sqlite:///{tmp_path / 'app.db'}")
    else:
        engine = _server(request.param)
    yield engine
    engine.dispose()


def test_the_second_one_gives_up_and_says_for_whom_it_waited(engine):
    said = []
    with (
        engine.connect() as first,
        engine.connect() as second,
        _lock.hold(first, name="erlen test"),
    ):
        with (
            pytest.raises(_lock.MigrationLockError, match="--lock-timeout") as raised,
            _lock.hold(second, 0.15, name="erlen test", say=said.append),
        ):
            pass
        assert not second.in_transaction()
        assert not first.in_transaction()

    assert len(said) == 1
    assert said[0].startswith("Waiting up to 0.15 s for another migration: ")
    # It names the process, the connection or the like, with its number.
    assert "process" in said[0] or "connection" in said[0]
    assert any(character.isdigit() for character in said[0].split(":", 1)[1])
    assert said[0].split(": ", 1)[1].rstrip(".") in str(raised.value)


def test_the_second_one_goes_on_when_the_first_has_ended(engine):
    held, waiting = threading.Event(), threading.Event()
    order = []

    def first():
        with engine.connect() as connection, _lock.hold(connection, name="erlen test"):
            held.set()
            waiting.wait(20)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    held.wait(20)
    with (
        engine.connect() as connection,
        _lock.hold(connection, 20, name="erlen test", say=lambda line: waiting.set()),
    ):
        order.append("second")
        assert not connection.in_transaction()
    thread.join()

    assert order == ["first", "second"]


def test_the_lock_is_free_after_an_error(engine):
    with (
        engine.connect() as first,
        pytest.raises(ZeroDivisionError),
        _lock.hold(first, name="erlen test"),
    ):
        first.execute(sa.text("SELECT 1"))
        1 / 0  # noqa: B018

    with engine.connect() as second, _lock.hold(second, 0, name="erlen test"):
        pass


def test_it_keeps_out_of_a_transaction_that_is_open(engine):
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT 1"))
        with _lock.hold(connection, name="erlen test"):
            assert connection.in_transaction()
        assert connection.in_transaction()


@pytest.mark.service
@pytest.mark.parametrize("name", SERVERS)
def test_a_connection_that_breaks_lets_go(name):
    engine = _server(name)
    kill = {"postgresql": "SELECT pg_terminate_backend(:id)", "mariadb": "KILL :id"}
    number = {"postgresql": "pg_backend_pid()", "mariadb": "connection_id()"}
    with engine.connect() as first, engine.connect() as second:
        with _lock.hold(first, name="erlen test"):
            identity = first.scalar(sa.text(f"SELECT {number[name]}"))
            first.rollback()
            second.execute(sa.text(kill[name]), {"id": identity})
            second.rollback()
        assert first.invalidated
        with _lock.hold(second, 5, name="erlen test"):
            pass
    engine.dispose()


@pytest.mark.service
@pytest.mark.parametrize("name", SERVERS)
def test_other_names_do_not_wait_for_each_other(name):
    engine = _server(name)
    with (
        engine.connect() as first,
        engine.connect() as second,
        _lock.hold(first, name="erlen test"),
        _lock.hold(second, 0, name="erlen test 2"),
    ):
        pass
    engine.dispose()


@pytest.mark.service
@pytest.mark.parametrize("name", SERVERS)
def test_who_has_gone_meanwhile_is_another_migrator(name):
    engine = _server(name)
    with engine.connect() as connection:
        lock = _lock._lock_for(connection, "erlen nobody has this")
        assert lock.holder() == "another migrator"
    engine.dispose()


def test_a_failed_release_closes_the_connection():
    class Lock:
        def release(self):
            raise sa.exc.OperationalError("SELECT 1", {}, Exception("gone"))

    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        _lock._let_go(connection, Lock(), lambda: None)
        assert connection.invalidated
    engine.dispose()


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///file:one?mode=memory&cache=shared&uri=true"]
)
def test_a_database_in_memory_has_no_lock(url):
    engine = sa.create_engine(url, poolclass=sa.pool.StaticPool)
    with engine.connect() as first, _lock.hold(first):
        assert _lock._lock_for(first, "alembic_version") is None
    engine.dispose()


def test_other_databases_have_no_lock():
    class Connection:
        dialect = sa.create_mock_engine("postgresql://", print).dialect

    connection = Connection()
    connection.dialect.name = "oracle"

    assert _lock._lock_for(connection, "alembic_version") is None


def test_the_files_lie_beside_the_database(tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'app.db'}")
    with engine.connect() as connection:
        with _lock.hold(connection):
            note = (tmp_path / "app.db.migrate.pid").read_text()
            assert note.startswith(f"process {os.getpid()} on ")
        assert not (tmp_path / "app.db.migrate.pid").exists()
    engine.dispose()


@pytest.mark.parametrize("note", ["", None])
def test_a_missing_or_empty_note_is_another_migrator(tmp_path, note):
    if note is not None:
        (tmp_path / "app.db.migrate.pid").write_text(note)

    assert _lock._SQLite(str(tmp_path / "app.db")).holder() == "another migrator"


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    lock = _lock._SQLite(str(tmp_path / "app.db"))

    def refuse(**kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(lock._lock, "acquire", refuse)

    with pytest.raises(RuntimeError, match=r"app\.db\.migrate\.lock.*writable"):
        lock.take()


@pytest.mark.service
def test_who_waits_is_in_nobodys_way():
    """CREATE INDEX CONCURRENTLY waits for all transactions that are older."""
    engine = _server("postgresql")
    name = f"erlen_lock_{os.getpid()}"
    waiting, done = threading.Event(), threading.Event()

    def second():
        with (
            engine.connect() as connection,
            _lock.hold(connection, 20, name=name, say=lambda line: waiting.set()),
        ):
            done.set()

    with engine.connect() as connection:
        with _lock.hold(connection, name=name):
            thread = threading.Thread(target=second)
            thread.start()
            waiting.wait(20)
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.execute(sa.text("SET statement_timeout = '10s'"))
            connection.execute(sa.text(f"CREATE TABLE {name} (c INT)"))
            connection.execute(
                sa.text(f"CREATE INDEX CONCURRENTLY {name}_c ON {name} (c)")
            )
            assert not done.is_set()
        thread.join()
        connection.execute(sa.text(f"DROP TABLE {name}"))
        connection.invalidate()
    engine.dispose()
    assert done.is_set()
