"""Makes migrations on SQLite whole: all of one or nothing, and no rows lost.

A batch change copies a table and drops the old one, which deletes the rows that
refer to it when foreign keys are on (ON DELETE CASCADE). And the driver would
commit each step by itself, so that a killed migration could not run again.
"""

from __future__ import annotations

import contextlib
import typing as t
from collections import Counter

import sqlalchemy as sa
from sqlalchemy import event

if t.TYPE_CHECKING:
    import collections.abc as cabc

__all__ = ["ForeignKeyError", "off"]

# How many violations an error lists.
_SHOWN = 5


class ForeignKeyError(RuntimeError):
    """A migration left rows that refer to nothing, and was rolled back."""


class _Driver:
    """Speaks to the driver's connection, past the transactions of SQLAlchemy."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def __call__(self, statement: str) -> list[tuple[t.Any, ...]]:
        cursor = self._connection.connection.cursor()
        try:
            cursor.execute(statement)
            return list(cursor.fetchall())
        finally:
            cursor.close()

    def in_transaction(self) -> bool:
        return bool(
            t.cast(
                "t.Any", self._connection.connection.driver_connection
            ).in_transaction
        )


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _violations(driver: _Driver, error: type[Exception]) -> Counter[str]:
    """Count what refers to nothing, by the tables concerned."""
    found: Counter[str] = Counter()
    for (table,) in driver("SELECT name FROM sqlite_master WHERE type = 'table'"):
        try:
            rows = driver(f"PRAGMA foreign_key_check({_quote(table)})")
        except error as exc:
            # The referred columns are not unique, or not there.
            found[f"{table}: {exc}"] += 1
            continue
        for _, _, parent, _ in rows:
            found[f"{table} -> {parent}"] += 1
    return found


class _Guard:
    """Begins each transaction of a connection itself, and looks before it commits."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._driver = _Driver(connection)
        self._error = connection.dialect.loaded_dbapi.Error
        self._before: Counter[str] = Counter()
        self._pending = False
        self.active = True

    def _ours(self) -> bool:
        options = self._connection.get_execution_options()
        return self.active and options.get("isolation_level") != "AUTOCOMMIT"

    def begin(self, connection: sa.Connection) -> None:
        self._pending = self._ours()

    def execute(
        self, connection: sa.Connection, cursor: object, statement: str, *_: object
    ) -> None:
        # Not at `begin`: the engine may have a way to begin of its own, after that.
        if not self._pending or statement.lstrip().upper().startswith("BEGIN"):
            return
        self._pending = False
        if self._driver.in_transaction():
            # Maybe a deferred one, with nothing in it yet. It would fail at its first
            # write, without waiting, if somebody else wrote since it read.
            self._driver("ROLLBACK")
        self._driver("BEGIN IMMEDIATE")
        self._before = _violations(self._driver, self._error)

    def commit(self, connection: sa.Connection) -> None:
        if self._pending or not self._ours():
            return
        new = _violations(self._driver, self._error) - self._before
        if new:
            self._driver("ROLLBACK")
            raise ForeignKeyError(_message(new))


def _message(new: Counter[str]) -> str:
    lines = [f"  {where} ({count})" for where, count in new.most_common(_SHOWN)]
    if len(new) > _SHOWN:
        lines.append(f"  and {len(new) - _SHOWN} more")
    return (
        "The migration was rolled back, for it leaves foreign keys that refer to"
        " nothing:\n" + "\n".join(lines) + "\n"
        "Foreign keys are off while SQLite migrates, so a DELETE does not cascade:"
        " delete or change those rows in the migration, before what they refer to."
    )


@contextlib.contextmanager
def off(connection: sa.Connection) -> cabc.Generator[None]:
    """Run migrations on SQLite without foreign keys, each transaction being whole.

    Other databases are left alone. On SQLite, inside the `with` block:

    - foreign keys are off, which SQLite allows only between transactions;
    - a transaction is begun with BEGIN IMMEDIATE, before the first statement, so that
      CREATE, ALTER and DROP are in it and a killed migration leaves nothing behind;
    - before each COMMIT, foreign keys are checked. What the transaction broke is an
      error and rolled back; what was broken before is left as it is.

    Enter it outside of a transaction, after `_lock.hold()`, before
    `context.configure()`, and give that `transactional_ddl=True`: Alembic takes
    SQLite for a database that cannot, and would run each statement by itself.

    Args:
        connection: The connection that will migrate.

    Raises:
        ForeignKeyError: From the commit, when rows refer to nothing.
        RuntimeError: The connection is in a transaction, where nothing can be set.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    if connection.in_transaction():
        raise RuntimeError(
            "Migrations on SQLite must begin outside of a transaction, because foreign"
            " keys cannot be turned off inside of one. Commit or roll back first, or"
            " hand the migration a connection of its own."
        )
    driver = _Driver(connection)
    enforced = bool(driver("PRAGMA foreign_keys")[0][0])
    guard = _Guard(connection)
    driver("PRAGMA foreign_keys = OFF")
    event.listen(connection, "begin", guard.begin)
    event.listen(connection, "before_cursor_execute", guard.execute)
    event.listen(connection, "commit", guard.commit)
    try:
        yield
    finally:
        # Listeners of one connection cannot be taken away.
        connection.rollback()
        guard.active = False
        if enforced:
            driver("PRAGMA foreign_keys = ON")
