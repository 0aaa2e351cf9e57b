"""Sessions in a table, for applications that have a database and no other store.

Each answer is one statement on a connection of the store's own, so that what a
request has not committed is neither committed nor waited for with its session.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import logging
import math
import threading
import time
import typing as t
import weakref

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc
from sqlalchemy.dialects import mysql

from erlen.extension import current_context
from erlen.session_stores import SessionStoreError

from . import _settings
from . import _sqlite
from . import extension
from ._engines import make_engine
from .errors import DatabaseUnavailable
from .transactions import is_conflict

__all__ = ["DatabaseSessionStore"]

R = t.TypeVar("R")

_log = logging.getLogger("erlen_db")

# After so many writes of a process, some expired sessions are deleted; and how many.
_SWEEP = 1000

# How often a statement is sent that met another one.
_TRIES = 5


class DatabaseSessionStore:
    """Keeps sessions in a table: `SESSION_STORE = DatabaseSessionStore(db)`.

    The table is in the metadata of `db`, so the next migration creates it.
    Expired sessions are deleted now and then, and by `erlen db clear-sessions`.

    SQLite lets one connection write at a time. Where many requests write, give
    sessions a file of their own, with `bind_key`.

    Args:
        db: The extension.
        bind_key: The database that has the table; None is the default one.
        table: The name of the table.
    """

    def __init__(
        self,
        db: extension.SQLAlchemy,
        *,
        bind_key: str | None = None,
        table: str = "erlen_sessions",
    ) -> None:
        self._db = db
        self._bind_key = bind_key
        self.table = sa.Table(
            table,
            db._make_metadata(bind_key),
            # A digest: keys are of any length, and capitals matter everywhere.
            sa.Column("id", sa.String(64), primary_key=True),
            sa.Column(
                "value",
                sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb"),
                nullable=False,
            ),
            # In seconds since 1970.
            sa.Column("expires", sa.BigInteger, nullable=False, index=True),
            keep_existing=True,
        )
        self._engines: weakref.WeakKeyDictionary[t.Any, sa.Engine]
        self._engines = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()
        self._guard = threading.Lock()
        self._writes = itertools.count()

    def get(self, key: str) -> bytes | None:
        """Return the value of a key, or None.

        Raises:
            SessionStoreError: The database does not answer, or has no such table.
        """
        columns = self.table.c
        select = sa.select(columns.value).where(
            columns.id == _digest(key), columns.expires > _now()
        )
        value = self._ask(lambda it: it.execute(select).scalar())
        return None if value is None else bytes(value)

    def replace(self, key: str, old: bytes | None, new: bytes, seconds: int) -> bool:
        """Replace the value if it still is `old`, and let it expire.

        Raises:
            SessionStoreError: As of `get`.
        """
        self._let_go()
        columns = self.table.c
        values = {"value": new, "expires": math.ceil(time.time() + seconds)}
        update = sa.update(self.table).where(columns.id == _digest(key)).values(values)
        if old is not None:
            update = update.where(columns.value == old, columns.expires > _now())
            done = self._change(update)
        else:
            insert = sa.insert(self.table).values(id=_digest(key), **values)
            try:
                done = self._change(insert)
            except sa_exc.IntegrityError:
                # There is one, which may be expired and not yet deleted.
                done = self._change(update.where(columns.expires <= _now()))
        if next(self._writes) % _SWEEP == 0:
            self._sweep()
        return bool(done)

    def delete(self, key: str) -> None:
        """Forget a key, which may be unknown.

        Raises:
            SessionStoreError: As of `get`.
        """
        self._let_go()
        self._change(sa.delete(self.table).where(self.table.c.id == _digest(key)))

    def clear(self) -> int:
        """Delete the sessions that have expired.

        Returns:
            How many there were.

        Raises:
            SessionStoreError: As of `get`.
        """
        self._let_go()
        count = 0
        while deleted := self._clear_some():
            count += deleted
        return count

    def _clear_some(self) -> int:
        """Delete some of the expired, so that no statement holds up the others."""
        columns = self.table.c
        expired = columns.expires <= _now()
        select = sa.select(columns.id).where(expired).limit(_SWEEP)
        ids = self._ask(lambda it: it.scalars(select).all())
        if not ids:
            return 0
        # Some may have been written anew meanwhile.
        return self._change(sa.delete(self.table).where(expired, columns.id.in_(ids)))

    def _sweep(self) -> None:
        try:
            self._clear_some()
        except SessionStoreError as exc:
            _log.warning("Expired sessions could not be deleted: %s", exc)

    def _change(self, statement: sa.Insert | sa.Update | sa.Delete) -> int:
        return self._ask(lambda it: it.execute(statement).rowcount)

    def _ask(self, function: t.Callable[[sa.Connection], R]) -> R:
        """Call a function with a connection, on which each statement is committed.

        Raises:
            IntegrityError: There is such a row already.
            SessionStoreError: The database does not answer, or has no such table.
        """
        engine = self._engine()
        # In memory there is one connection, which tells all threads what the last of
        # them has changed.
        guard = self._guard if _is_memory(engine) else contextlib.nullcontext()
        left = _TRIES
        while True:
            left -= 1
            try:
                with guard, engine.connect() as connection:
                    return function(connection)
            except sa_exc.IntegrityError:
                raise
            except sa_exc.SQLAlchemyError as exc:
                if not left or not is_conflict(exc):
                    raise SessionStoreError(self._explain(exc)) from exc

    def _explain(self, exc: sa_exc.SQLAlchemyError) -> str:
        # Not its own text, which has the parameters: what people's sessions hold.
        orig = getattr(exc, "orig", None) or exc
        text = f"{type(orig).__name__}: {orig}"
        if isinstance(exc, (sa_exc.OperationalError, sa_exc.ProgrammingError)) and (
            not isinstance(exc, DatabaseUnavailable)
        ):
            text += (
                f" If there is no table {self.table.name!r} yet: it is in the metadata"
                " of db, and `erlen db migrate` and `erlen db upgrade` create it."
            )
        return text

    def _engine(self) -> sa.Engine:
        """Return the engine of the store for the current application.

        It has a pool of its own: a request that holds a connection and waits for
        another one, as all others do, would wait for ever.
        """
        shared = self._db.get_engine(self._bind_key)  # which says what is missing
        ctx: t.Any = current_context()
        with self._lock:
            engine = self._engines.get(ctx.app)
            if engine is None:
                engine = self._make_engine(ctx.app, shared)
                self._engines[ctx.app] = engine
        return engine

    def _make_engine(self, app: t.Any, shared: sa.Engine) -> sa.Engine:
        options = _settings.read_options(app, self._db._engine_options)[self._bind_key]
        options = {**options, "isolation_level": "AUTOCOMMIT"}
        engine = make_engine(app, self._bind_key, options)
        if _is_memory(shared):
            # Another database, which lives as long as the other one's sessions would.
            self.table.create(engine, checkfirst=True)
        else:
            extension._engines.add(engine)
        weakref.finalize(app, engine.dispose)
        return engine

    def _let_go(self) -> None:
        """End what the request has read, because SQLite has one writer.

        Requests that may write begin as writers, and this one's transaction is
        open until its teardown: the store would wait for itself.

        Raises:
            SessionStoreError: There are changes that are not committed.
        """
        if current_context() is None or not self._db.session.registry.has():
            return
        engine = self._db.get_engine(self._bind_key)
        session = self._db.session()
        transaction: t.Any = session.get_transaction()
        if (
            engine.dialect.name != "sqlite"
            or _is_memory(engine)
            or transaction is None
            or engine not in transaction._connections
        ):
            return
        if session.has_changes():
            raise SessionStoreError(
                "The request has changed rows and not committed, and SQLite lets"
                " nobody else write meanwhile. Call db.session.commit() or rollback()"
                " in the view, or give sessions a file of their own with bind_key."
            )
        session.commit()


def _is_memory(engine: sa.Engine) -> bool:
    return engine.dialect.name == "sqlite" and _sqlite.is_memory(engine.url)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _now() -> int:
    return math.floor(time.time())
