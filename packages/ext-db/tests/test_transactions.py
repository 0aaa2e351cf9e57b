from __future__ import annotations

import contextlib
import sqlite3

import pytest
import sqlalchemy as sa
from sqlalchemy import exc as sa_exc
from sqlalchemy import orm
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from erlen_db import SQLAlchemy
from erlen_db import transactions
from erlen_db._sqlite import immediate


@pytest.fixture
def app(app):
    """Return an application with a file, whose transactions are apart."""
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///a.db"
    return app


@pytest.fixture
def Todo(app, db):
    """Return a model with an empty table, in an application context."""

    class Todo(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)
        title: Mapped[str] = mapped_column(default="")

    with app.app_context():
        db.create_all()
        yield Todo


def titles(db):
    """Return what another connection sees."""
    with db.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        return list(connection.scalars(sa.text("SELECT title FROM todo ORDER BY id")))


@pytest.fixture
def pauses(monkeypatch):
    """Return the pauses between two tries, which are not made."""
    pauses = []

    async def sleep(seconds):
        pauses.append(seconds)

    monkeypatch.setattr(transactions.time, "sleep", pauses.append)
    monkeypatch.setattr(transactions.asyncio, "sleep", sleep)
    return pauses


def test_a_block_commits(db, Todo):
    with db.transaction() as session:
        assert session is db.session()
        assert immediate.get()
        session.add(Todo(title="a"))
        assert titles(db) == []
    assert titles(db) == ["a"]
    assert not immediate.get()
    assert not db.session().in_transaction()


def test_a_block_that_raises_rolls_back(db, Todo):
    with pytest.raises(KeyError), db.transaction() as session:
        session.add(Todo(title="a"))
        session.flush()
        raise KeyError
    assert titles(db) == []
    assert not immediate.get()


def test_a_block_inside_is_a_savepoint(db, Todo):
    with db.transaction() as session:
        session.add(Todo(title="a"))
        with pytest.raises(KeyError), db.transaction():
            session.add(Todo(title="b"))
            session.flush()
            raise KeyError
        with db.transaction():
            session.add(Todo(title="c"))
    assert titles(db) == ["a", "c"]


def test_a_block_object_can_be_used_again(db, Todo):
    block = db.transaction()
    with block as session:
        session.add(Todo(title="a"))
        with block:
            session.add(Todo(title="b"))
    with block:
        session.add(Todo(title="c"))
    assert titles(db) == ["a", "b", "c"]


def test_what_was_read_before_is_read_again(db, Todo):
    with db.transaction() as session:
        session.add(Todo(title="a"))
    todo = db.session.scalars(db.select(Todo)).one()
    with db.engine.begin() as connection:
        connection.execute(sa.text("UPDATE todo SET title = title || 'b'"))
    assert todo.title == "a"
    with db.transaction():
        todo.title += "c"
    assert titles(db) == ["abc"]


def test_what_was_changed_before_belongs_to_it(db, Todo):
    db.session.add(Todo(title="a"))
    with db.transaction() as session:
        session.add(Todo(title="b"))
    assert titles(db) == ["a", "b"]
    db.session.add(Todo(title="c"))
    db.session.flush()
    with pytest.raises(KeyError), db.transaction():
        raise KeyError
    assert titles(db) == ["a", "b"]


def test_an_isolation_level_is_of_the_outermost(db, Todo):
    with db.transaction(isolation="SERIALIZABLE") as session:
        connection = session.connection()
        assert connection.get_execution_options()["isolation_level"] == "SERIALIZABLE"
        with (
            pytest.raises(RuntimeError, match="outermost"),
            db.transaction(isolation="SERIALIZABLE"),
        ):
            pass
    assert not immediate.get()


def test_functions_are_atomic(db, Todo):
    @db.atomic
    def add(title, *, fail=False):
        """Add one."""
        db.session.add(Todo(title=title))
        if fail:
            raise KeyError(title)
        return title

    assert add("a") == "a"
    assert add.__doc__ == "Add one."
    with pytest.raises(KeyError):
        add("b", fail=True)
    assert titles(db) == ["a"]


def conflict():
    error = sqlite3.OperationalError("database is locked")
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY
    return sa_exc.OperationalError("", {}, error)


@pytest.mark.parametrize("failures", [0, 1, 2, 3])
def test_a_conflict_is_tried_again(db, Todo, pauses, failures):
    left = [conflict() for _ in range(failures)]

    @db.atomic(tries=3)
    def add():
        db.session.add(Todo(title="a"))
        db.session.flush()
        if left:
            raise left.pop()
        return 1

    if failures < 3:
        assert add() == 1
        assert titles(db) == ["a"]
    else:
        with pytest.raises(sa_exc.OperationalError):
            add()
        assert titles(db) == []
    assert len(pauses) == min(failures, 2)
    assert pauses == sorted(pauses)


def test_another_error_is_not_tried_again(db, Todo, pauses):
    calls = []

    def fail():
        calls.append(1)
        raise KeyError

    with pytest.raises(KeyError):
        db.retry(fail)
    assert (calls, pauses) == ([1], [])


def test_a_function_is_called_until_it_works(db, Todo, pauses):
    left = [conflict()]

    def add():
        if left:
            raise left.pop()
        db.session.add(Todo(title="a"))
        return 1

    assert db.retry(add) == 1
    assert titles(db) == ["a"]


@pytest.mark.parametrize("tries", [0, -1])
def test_something_is_tried_once_at_least(db, Todo, tries):
    with pytest.raises(ValueError, match=f"tries is {tries}"):
        db.retry(list, tries=tries)
    with pytest.raises(ValueError, match=f"tries is {tries}"):
        db.atomic(tries=tries)(list)


class DriverError(Exception):
    """An error of a driver."""

    def __init__(self, *args, **attributes):
        super().__init__(*args)
        self.__dict__.update(attributes)


def sqlite_error(code):
    error = sqlite3.OperationalError("")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("orig", "expected"),
    [
        (DriverError(sqlstate="40001"), True),
        (DriverError(sqlstate="40P01"), True),
        (DriverError(pgcode="40001"), True),
        (DriverError(sqlstate="23505"), False),
        (DriverError(1213, "Deadlock found"), True),
        (DriverError(1205, "Lock wait timeout"), True),
        (DriverError(1062, "Duplicate entry"), False),
        (DriverError(), False),
        (sqlite_error(sqlite3.SQLITE_BUSY), True),
        (sqlite_error(sqlite3.SQLITE_BUSY_SNAPSHOT), True),
        (sqlite_error(sqlite3.SQLITE_LOCKED), True),
        (sqlite_error(sqlite3.SQLITE_FULL), False),
        (sqlite3.OperationalError("of a test"), False),
    ],
    ids=repr,
)
def test_conflicts(orig, expected):
    assert transactions.is_conflict(sa_exc.OperationalError("", {}, orig)) is expected


def test_conflicts_of_other_kinds():
    assert transactions.is_conflict(orm.exc.StaleDataError())
    assert not transactions.is_conflict(KeyError())


def test_async_blocks(app, pauses):
    db = SQLAlchemy(app)

    class Todo(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)
        title: Mapped[str] = mapped_column(default="")

    left = [conflict()]

    @db.atomic(tries=2)
    async def add(title):
        db.async_session.add(Todo(title=title))
        if left:
            raise left.pop()
        return title

    @app.get("/")
    async def view():
        async with db.transaction() as session:
            assert session is db.async_session
            session.add(Todo(title="a"))
            with contextlib.suppress(KeyError):
                async with db.transaction():
                    session.add(Todo(title="b"))
                    await session.flush()
                    raise KeyError
        async with db.transaction(), db.transaction():
            pass
        todo = (await session.scalars(db.select(Todo))).one()
        async with db.transaction(isolation="SERIALIZABLE"):
            todo.title = "c"
        with contextlib.suppress(KeyError):
            async with db.transaction():
                session.add(Todo(title="d"))
                raise KeyError
        session.add(Todo(title="e"))
        async with db.transaction():
            pass
        with pytest.raises(KeyError):
            await failing()
        with pytest.raises(KeyError):
            await trying()
        return await add("f")

    @db.atomic
    async def failing():
        db.async_session.add(Todo(title="g"))
        raise KeyError

    @db.atomic(tries=2)
    async def trying():
        raise KeyError

    with app.app_context():
        db.create_all()
    assert app.test_client(door="asgi").get("/").text == "f"
    with app.app_context():
        assert titles(db) == ["c", "e", "f"]
    assert len(pauses) == 1


def test_async_tries_end(app, pauses):
    db = SQLAlchemy(app)

    @db.atomic(tries=2)
    async def fail():
        raise conflict()

    @app.get("/")
    async def view():
        with pytest.raises(sa_exc.OperationalError):
            await fail()
        return ""

    assert app.test_client(door="asgi").get("/").status_code == 200
    assert len(pauses) == 1
