"""What tests ask of a database: how many queries, nothing left, migrations that fit.

It needs no pytest; the fixtures that do are in `erlen_db.pytest_plugin`.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
import threading
import typing as t

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import pool as sa_pool

from . import _engines
from ._statements import Observer
from .record_queries import describe

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from alembic.script import Script

    from erlen import Erlen

    from ._statements import Statement
    from .record_queries import _QueryInfo

__all__ = ["assert_queries", "check_migrations", "rolled_back"]

_ASYNC = (
    "db.async_session has a connection of its own, which takes no part in the"
    " transaction that is rolled back: it would not see the rows of this test, and its"
    " own would stay. Use the fixture 'db' without 'db_session' for async views, whose"
    " tables are dropped instead."
)


@contextlib.contextmanager
def assert_queries(
    count: int, *, at_most: bool = False, engine: sa.Engine | None = None
) -> cabc.Generator[list[_QueryInfo]]:
    """Fail where the block sends another number of queries.

    It counts what all engines of this process send, in whatever thread, so that
    the block can use a client of either door. What begins and ends transactions
    and savepoints is no query.

    Args:
        count: The number of queries.
        at_most: Whether fewer are well, too.
        engine: Counts this one only, such as `db.engines["users"]`.

    Yields:
        The list of the queries, which grows: each has `statement`, `parameters`,
        `location`.

    Raises:
        AssertionError: There are more, or fewer; it lists them.
    """
    __tracebackhide__ = True
    queries: list[_QueryInfo] = []

    def note(statement: Statement) -> None:
        queries.append(describe(statement))

    observer = Observer(note)
    target = sa.Engine if engine is None else engine
    observer.attach(target)
    try:
        yield queries
    finally:
        observer.detach(target)
    if len(queries) == count or (at_most and len(queries) < count):
        return
    wanted = f"at most {count}" if at_most else str(count)
    raise AssertionError(
        "\n".join(
            [
                f"{len(queries)} queries were sent, not {wanted}:",
                *(f"{number}. {it}" for number, it in enumerate(queries, 1)),
            ]
        )
    )


class _SharedPool(sa_pool.StaticPool):
    """The one connection of a test, which nobody but the test closes."""

    def dispose(self) -> None:
        """Keep the connection."""

    def recreate(self) -> _SharedPool:
        """Return this one, which stays as it is."""
        return self


class _Part:
    """What a user of the connection takes for its transaction: a savepoint."""

    def __init__(self, name: str) -> None:
        self.name = name
        #: Whether there is anything to take back.
        self.changes = False
        self.ended = False


class _Sandbox:
    """Lets all transactions of an engine be savepoints in one that is rolled back.

    All users share one connection. Their savepoints nest in the order in which they
    began, so one is released once all that began after it have ended.

    Args:
        engine: The engine.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._dialect = engine.dialect
        self._lock = threading.RLock()
        self._parts: list[_Part] = []
        self._of: dict[int, _Part] = {}
        self._number = 0
        self._pool = engine.pool
        self._own = dict(vars(self._dialect))
        self._connection = engine.raw_connection()

    def enter(self) -> None:
        """Begin the transaction, and take over what the engine does."""
        engine, dialect = self._engine, t.cast("t.Any", self._dialect)
        driver: t.Any = self._connection.dbapi_connection
        dialect.do_begin(self._connection)
        if not getattr(driver, "in_transaction", True):
            # Outside of BEGIN, releasing the first savepoint of SQLite commits.
            self._execute("BEGIN")
        engine.pool = _SharedPool(
            lambda: driver, reset_on_return=None, dialect=self._dialect
        )
        dialect.do_begin = self._begin
        dialect.do_commit = self._commit
        dialect.do_rollback = self._rollback
        # It cannot change in a transaction; and AUTOCOMMIT would not be rolled back.
        dialect.set_isolation_level = dialect.reset_isolation_level = self._ignore
        event.listen(engine, "before_cursor_execute", self._note)
        event.listen(engine, "handle_error", self._note_failure)

    def leave(self) -> None:
        """Roll back, and give back what was taken over."""
        event.remove(self._engine, "before_cursor_execute", self._note)
        event.remove(self._engine, "handle_error", self._note_failure)
        for name in (
            *("do_begin", "do_commit", "do_rollback"),
            *("set_isolation_level", "reset_isolation_level"),
        ):
            delattr(self._dialect, name)
            if name in self._own:
                setattr(self._dialect, name, self._own[name])
        self._engine.pool = self._pool
        self._connection.rollback()
        self._connection.close()

    def _ignore(self, *args: t.Any) -> None:
        """Leave the isolation level as it is."""

    def _execute(self, statement: str) -> None:
        cursor = self._connection.cursor()
        cursor.execute(statement)
        cursor.close()

    def _note(self, conn: t.Any, cursor: t.Any, statement: str, *args: t.Any) -> None:
        if statement.lstrip()[:6].upper() != "SELECT":
            self._find(conn).changes = True

    def _note_failure(self, failure: t.Any) -> None:
        """Take back what failed: PostgreSQL answers nothing until then."""
        self._find(failure.connection).changes = True

    def _find(self, conn: t.Any) -> _Part:
        return self._of.get(id(conn.connection)) or _Part("of nobody")

    def _take(self, proxied: t.Any) -> _Part:
        part = self._of.pop(id(proxied), None) or _Part("of nobody")
        part.ended = True
        return part

    def _begin(self, proxied: t.Any) -> None:
        with self._lock:
            self._number += 1
            part = _Part(f"erlen_{self._number}")
            self._execute(f"SAVEPOINT {part.name}")
            self._parts.append(part)
            self._of[id(proxied)] = part

    def _commit(self, proxied: t.Any) -> None:
        with self._lock:
            self._take(proxied)
            self._release()

    def _rollback(self, proxied: t.Any) -> None:
        with self._lock:
            part = self._take(proxied)
            if part.changes and part in self._parts:
                self._execute(f"ROLLBACK TO SAVEPOINT {part.name}")
                # Which took those along that began after it.
                del self._parts[self._parts.index(part) + 1 :]
            self._release()

    def _release(self) -> None:
        while self._parts and self._parts[-1].ended:
            self._execute(f"RELEASE SAVEPOINT {self._parts.pop().name}")


@contextlib.contextmanager
def rolled_back(engines: cabc.Iterable[sa.Engine]) -> cabc.Generator[None]:
    """Roll back in the end what the block commits through engines.

    Each engine has one connection for the block, shared by all threads, and one
    transaction around all others, which become savepoints. So work of one request
    at a time: what a test has changed and not committed is rolled back along with
    the requests that came after it. These things are out of reach: async engines
    of the same database, which raise; raw connections (`engine.raw_connection()`)
    that commit; DDL on MariaDB and MySQL, which commits by itself; numbers that
    sequences have given.

    Args:
        engines: The engines, such as `db.engines.values()`.

    Raises:
        RuntimeError: In the block, where an async engine of theirs is used.
    """
    engines = list(engines)
    databases = {_database(it) for it in engines}

    def refuse(connection: sa.Connection) -> None:
        if connection.dialect.is_async and _database(connection.engine) in databases:
            connection.close()
            raise RuntimeError(_ASYNC)

    with contextlib.ExitStack() as stack:
        for engine in engines:
            sandbox = _Sandbox(engine)
            sandbox.enter()
            stack.callback(sandbox.leave)
        event.listen(sa.Engine, "engine_connect", refuse)
        stack.callback(event.remove, sa.Engine, "engine_connect", refuse)
        yield


def _database(engine: sa.Engine) -> tuple[t.Any, ...]:
    url = engine.url
    return url.get_backend_name(), url.host, url.port, url.database


def check_migrations(app: Erlen, directory: str | None = None) -> None:
    """Run each migration up, down and up again, and compare with the models.

    It works on databases of its own, one for each of the application's: a file for
    SQLite, and on PostgreSQL, MariaDB and MySQL a database that is made and dropped,
    which the user has to be allowed to do. Those of the application stay as they are.

    Args:
        app: The application, with `Migrate`.
        directory: The folder of migrations; the application's by default.

    Raises:
        AssertionError: A migration fails, cannot be taken back or cannot be run
            after that; there are several heads; or the models have something else
            than the migrations make.
        RuntimeError: The application has no migrations, or a database of another
            kind.
    """
    from alembic.script import ScriptDirectory

    from .migrate._check import find_problems
    from .migrate._environment import environment
    from .migrate._environment import open_folder
    from .migrate._state import current_state

    with app.app_context(), _scratch_databases(app):
        config = open_folder(directory, opts=["check"])
        folder = ScriptDirectory.from_config(config)
        for script in [*folder.walk_revisions("base", "heads")][::-1]:
            _try_out(config, script)
        heads = ", ".join(folder.get_heads())
        if "," in heads:
            raise AssertionError(
                f"Several migrations are the last of their line: {heads}. Join them by"
                " `erlen db merge heads`."
            )
        with environment():
            problems = find_problems(config, current_state(), None)
    # The others are for a database in use, and for git: `erlen db check` tells them.
    found = [it.text for it in problems if it.kind == "drift"]
    if found:
        lines = ["The models are not what the migrations make.", *found]
        raise AssertionError("\n".join(lines))


def _try_out(config: t.Any, script: Script) -> None:
    from alembic import command

    from .migrate._environment import changing
    from .migrate._errors import explain

    name = script.revision
    steps: list[tuple[str, t.Any, str]] = [
        ("cannot be run", command.upgrade, name),
        ("cannot be taken back", command.downgrade, f"{name}-1"),
        ("cannot be run again after it was taken back", command.upgrade, name),
    ]
    # To take a merge back means to choose a side of it; it changes nothing itself.
    for what, run, target in steps[: 1 if script.is_merge_point else 3]:
        try:
            with changing(sql=False, lock_timeout=None):
                run(config, target)
        except Exception as exc:
            raise AssertionError(
                f"The migration {name} ({script.doc}) {what}: {explain(exc)}"
            ) from exc


@contextlib.contextmanager
def _scratch_databases(app: Erlen) -> cabc.Generator[None]:
    """Let the application have other databases, empty ones, for the block."""
    engines: t.Any = app.extensions["sqlalchemy"].engines
    own = dict(engines)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        stack.callback(engines.update, own)
        for number, (key, engine) in enumerate(own.items()):
            url = stack.enter_context(_scratch_database(engine, folder, number))
            engines[key] = _engines.make_engine(app, key, {"url": url})
            stack.callback(engines[key].dispose)
        yield


@contextlib.contextmanager
def _scratch_database(
    engine: sa.Engine, folder: str, number: int
) -> cabc.Generator[sa.URL]:
    kind = engine.dialect.name
    if kind == "sqlite":
        path = os.path.join(folder, f"{number}.db")
        yield engine.url.set(database=path, query={})
        return
    if kind not in {"postgresql", "mysql", "mariadb"}:
        raise RuntimeError(
            "check_migrations() makes a database for itself, which it can on SQLite,"
            f" PostgreSQL, MariaDB and MySQL, and not on {kind!r}."
        )
    name = f"erlen_check_{secrets.token_hex(6)}"
    _administer(engine, f"CREATE DATABASE {name}")
    try:
        yield engine.url.set(database=name)
    finally:
        force = " WITH (FORCE)" if kind == "postgresql" else ""
        _administer(engine, f"DROP DATABASE {name}{force}")


def _administer(engine: sa.Engine, statement: str) -> None:
    autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
    with autocommit.connect() as connection:
        connection.exec_driver_sql(statement)
