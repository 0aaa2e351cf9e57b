from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from erlen import Erlen
from erlen import session
from erlen.session_stores import SessionStore
from erlen.session_stores import SessionStoreError
from erlen_db import SQLAlchemy
from erlen_db import sessions
from erlen_db.migrate.cli import clear_sessions
from erlen_db.sessions import DatabaseSessionStore

SERVERS = {
    "postgresql": os.environ.get(
        "POSTGRESQL_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/test"
    ),
    "mariadb": os.environ.get(
        "MARIADB_URL", "mysql+pymysql://root@127.0.0.1:3306/test"
    ),
}
TABLE = f"sessions_{os.getpid()}"
EVERYWHERE = [
    "memory",
    "file",
    pytest.param("postgresql", marks=pytest.mark.service),
    pytest.param("mariadb", marks=pytest.mark.service),
]


@pytest.fixture(autouse=True)
def _no_connection_of_a_store_is_left(monkeypatch):
    engines = []
    make_engine = sessions.make_engine

    def make(*args):
        engines.append(make_engine(*args))
        return engines[-1]

    monkeypatch.setattr(sessions, "make_engine", make)
    yield
    for engine in engines:
        engine.dispose()


def find_url(name):
    if name in SERVERS:
        engine = sa.create_engine(SERVERS[name])
        try:
            engine.connect().close()
        except sa.exc.OperationalError as exc:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"no {name} at {name.upper()}_URL: {exc.orig}")
        finally:
            engine.dispose()
        return SERVERS[name]
    return {"memory": "sqlite://", "file": "sqlite:///test.db"}[name]


@pytest.fixture
def app(app, request):
    name = getattr(request, "param", "file")
    app.config["SQLALCHEMY_DATABASE_URI"] = find_url(name)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    return app


@pytest.fixture
def store(app, db):
    """Return a store with a table, in a context of the application."""
    store = DatabaseSessionStore(db, table=TABLE)
    with app.app_context():
        db.metadata.drop_all(db.engine)
        db.metadata.create_all(db.engine)
        yield store
        db.session.remove()
        db.metadata.drop_all(db.engine)


@pytest.fixture
def clock(monkeypatch):
    """Return a function that lets time pass."""
    now = [1_800_000_000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])

    def wait(**kwargs):
        now[0] += timedelta(**kwargs).total_seconds()

    return wait


everywhere = pytest.mark.parametrize("app", EVERYWHERE, indirect=True)


def count(store):
    """Return how many rows there are, expired or not."""
    select = sa.select(sa.func.count()).select_from(store.table)
    with store._engine().connect() as connection:
        return connection.execute(select).scalar_one()


# The protocol


@everywhere
def test_a_store_swaps_what_nobody_else_has_changed(store):
    key = f"test:{uuid.uuid4()}"

    assert isinstance(store, SessionStore)
    assert store.get(key) is None
    assert not store.replace(key, b"old", b"new", 60)
    assert store.replace(key, None, b"\x00\xff", 60)
    assert not store.replace(key, None, b"new", 60)
    assert not store.replace(key, b"", b"new", 60)
    assert store.get(key) == b"\x00\xff"
    assert store.replace(key, b"\x00\xff", b"new", 60)
    assert store.replace(key, b"new", b"new", 60)
    assert store.get(key) == b"new"
    store.delete(key)
    store.delete(key)
    assert store.get(key) is None
    assert store.replace(key, None, b"", 60)
    assert store.get(key) == b""


@everywhere
def test_large_values_and_long_keys(store):
    large = os.urandom(2**20)
    long = "k" * 5000

    assert store.replace(long, None, large, 60)
    assert store.get(long) == large
    assert not store.replace(long, large[:-1], b"new", 60)
    assert store.replace(long, large, large[::-1], 60)
    assert store.get(long) == large[::-1]
    assert store.get(long[:-1]) is None
    assert store.get(long.upper()) is None
    assert store.get(long + " ") is None


@everywhere
def test_what_is_expired_is_forgotten(store, clock):
    store.replace("early", None, b"1", 1)
    store.replace("late", None, b"1", 60)
    clock(seconds=1)

    assert store.get("early") is None
    assert store.get("late") == b"1"
    assert not store.replace("early", b"1", b"2", 60)
    assert count(store) == 2
    assert store.replace("early", None, b"2", 60)
    assert store.get("early") == b"2"
    clock(seconds=59)
    assert store.clear() == 1
    assert store.get("early") == b"2"
    assert store.clear() == 0
    assert count(store) == 1


@everywhere
def test_the_expired_are_deleted_in_pieces_and_by_themselves(store, clock, monkeypatch):
    monkeypatch.setattr(sessions, "_SWEEP", 3)
    for number in range(7):
        store.replace(str(number), None, b"1", 1)
    clock(seconds=1)

    store.replace("a", None, b"1", 60)
    store.replace("b", None, b"1", 60)
    assert count(store) == 9
    store.replace("c", None, b"1", 60)
    assert count(store) == 10 - 3
    assert store.clear() == 4
    assert count(store) == 3


@everywhere
def test_of_those_that_come_at_once_one_is_first(app, store):
    barrier = threading.Barrier(4)

    def race(number):
        done = []
        with app.app_context():
            for key in "abcdefgh":
                barrier.wait(20)
                done.append(store.replace(key, None, b"%d" % number, 60))
        return done

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(race, range(4)))
    assert [sum(it) for it in zip(*done, strict=True)] == [1] * 8


@everywhere
def test_no_change_is_lost(app, store):
    store.replace("n", None, b"0", 60)

    def add(number):
        with app.app_context():
            for _ in range(10):
                while True:
                    old = store.get("n")
                    if store.replace("n", old, b"%d" % (int(old) + 1), 60):
                        break

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))
    assert store.get("n") == b"40"


# Its transactions


@everywhere
def test_what_the_request_has_not_committed_stays_so(app, db, store):
    other = sa.Table(f"{TABLE}_other", db.metadata, sa.Column("id", sa.Integer))
    other.create(db.engine)
    if app.config["SQLALCHEMY_DATABASE_URI"].endswith("test.db"):
        db.session.execute(sa.select(other)).all()  # others cannot write, otherwise
    else:
        db.session.execute(sa.insert(other).values(id=1))
    store.replace("a", None, b"1", 60)
    db.session.rollback()

    assert store.get("a") == b"1"
    assert db.session.execute(sa.select(other)).all() == []


def test_statements_that_meet_others_are_sent_again(store, monkeypatch):
    monkeypatch.setattr(sessions, "is_conflict", lambda exc: "busy" in str(exc))
    errors = [sa.exc.OperationalError("", {}, Exception("busy"))] * 2

    def fail(connection):
        if errors:
            raise errors.pop()
        return "done"

    assert store._ask(fail) == "done"
    errors += [sa.exc.OperationalError("", {}, Exception("busy"))] * 9
    with pytest.raises(SessionStoreError, match="busy"):
        store._ask(fail)
    assert len(errors) == 9 - sessions._TRIES


# Where it is


def test_the_table_is_in_the_metadata(app, db):
    first = DatabaseSessionStore(db)
    second = DatabaseSessionStore(db)
    bound = DatabaseSessionStore(db, bind_key="other", table="people")

    assert db.metadata.tables["erlen_sessions"] is first.table is second.table
    assert db.metadatas["other"].tables["people"] is bound.table
    assert [it.name for it in first.table.indexes] == ["ix_erlen_sessions_expires"]


def test_a_database_of_its_own(app, tmp_path):
    app.config["SQLALCHEMY_BINDS"] = {"sessions": f"sqlite:///{tmp_path}/sessions.db"}
    db = SQLAlchemy(app)
    store = DatabaseSessionStore(db, bind_key="sessions")
    with app.app_context():
        db.create_all()
        db.session.execute(sa.text("CREATE TABLE other (id INTEGER)"))  # and holds it
        assert store.replace("a", None, b"1", 60)
        assert store.get("a") == b"1"


def test_one_store_for_several_applications(tmp_path):
    db = SQLAlchemy()
    store = DatabaseSessionStore(db)
    for name in "one", "two":
        app = Erlen(name, instance_path=str(tmp_path / name))
        app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///test.db"
        db.init_app(app)
        with app.app_context():
            db.create_all()
            assert store.replace("key", None, name.encode(), 60)


def test_outside_of_a_context(db):
    store = DatabaseSessionStore(db)

    for ask in (store.clear, lambda: store.get("a"), lambda: store.delete("a")):
        with pytest.raises(RuntimeError, match="outside of an application context"):
            ask()


# Errors


def test_a_table_that_is_not_there(app, db, caplog):
    store = DatabaseSessionStore(db)
    with app.app_context():
        with pytest.raises(SessionStoreError, match=r"'erlen_sessions'.*db migrate"):
            store.get("a")
        with pytest.raises(SessionStoreError) as info:
            store.replace("a", None, b"secret", 60)
        assert "secret" not in str(info.value)
        store._sweep()
    assert "Expired sessions could not be deleted" in caplog.text


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://ada:secret@127.0.0.1:{}/test",
        "mysql+pymysql://ada:secret@127.0.0.1:{}/test",
    ],
)
def test_a_database_that_is_away_is_a_503(app, url, caplog):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        app.config["SQLALCHEMY_DATABASE_URI"] = url.format(sock.getsockname()[1])
        db = SQLAlchemy(app)
        app.config["SESSION_STORE"] = DatabaseSessionStore(db)
        app.add_url_rule("/", "index", lambda: session.update(a=1) or "done")
        response = app.test_client().get("/")

    assert response.status_code == 503
    assert response.headers["Retry-After"] == "5"
    assert "The session store does not answer" in caplog.text
    assert "secret" not in caplog.text
    assert "erlen db migrate" not in caplog.text


# In an application


@pytest.fixture
def views(app, db, store):
    class Note(db.Model):
        __tablename__ = f"{TABLE}_note"
        id = db.Column(db.Integer, primary_key=True)

    db.create_all()
    app.config["SESSION_STORE"] = store

    @app.post("/read")
    def read():
        session["seen"] = len(db.session.scalars(db.select(Note)).all())
        return "done"

    @app.post("/add")
    def add():
        db.session.add(Note())
        db.session.flush()
        session["added"] = True
        return "done"

    @app.post("/save")
    def save():
        db.session.add(Note())
        db.session.commit()
        session["saved"] = True
        return "done"

    @app.post("/leave")
    def leave():
        db.session.scalars(db.select(Note)).all()
        session.revoke()
        return "done"

    @app.get("/")
    def index():
        return dict(session)

    return app


@everywhere
def test_requests_that_use_the_database_as_well(views, client):
    """On SQLite, they begin as writers, and the store writes before they end."""
    for path in "/read", "/save", "/read":
        assert client.post(path).status_code == 200
    assert client.get("/").json == {"saved": True, "seen": 1}
    assert client.post("/leave").status_code == 200
    assert client.get("/").json == {}


def test_changes_that_are_not_committed_are_told_of(views, client, caplog):
    assert client.post("/add").status_code == 503
    assert "commit() or rollback()" in caplog.text
    assert client.get("/").json == {}


@pytest.mark.parametrize(
    "app", [it for it in EVERYWHERE if it != "file"], indirect=True
)
def test_elsewhere_they_are_no_matter(views, client):
    assert client.post("/add").status_code == 200
    assert client.get("/").json == {"added": True}


def test_the_command(app, store, clock):
    runner = app.test_cli_runner()
    app.config["SESSION_STORE"] = None
    result = runner.invoke(clear_sessions)
    assert result.exit_code == 1
    assert "no sessions are in a table" in result.output
    app.config["SESSION_STORE"] = store
    for number in range(3):
        store.replace(str(number), None, b"1", 1 + number)
    clock(seconds=1)
    assert runner.invoke(clear_sessions).output == "Deleted 1 expired session.\n"
    clock(seconds=9)
    assert runner.invoke(clear_sessions).output == "Deleted 2 expired sessions.\n"
