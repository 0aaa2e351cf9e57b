"""What holds for each connection that changes a database, whoever wrote env.py.

The lock, foreign keys and time-outs belong to the connection that migrates, which
env.py opens: they are set up when an engine opens one, and undone when it is closed.
"""

from __future__ import annotations

import contextlib
import math
import typing as t

from sqlalchemy import event

from . import _foreign_keys
from . import _lock

if t.TYPE_CHECKING:
    import collections.abc as cabc

    import sqlalchemy as sa

__all__ = ["guarded"]


class _Guard:
    def __init__(self, seconds: float, say: cabc.Callable[[str], object]) -> None:
        self._seconds = seconds
        self._say = say
        self._locked: set[str] = set()
        self._stacks: list[contextlib.ExitStack] = []

    def prepare(self, connection: sa.Connection) -> None:
        """Set up a connection before env.py gets it."""
        stack = contextlib.ExitStack()
        stack.callback(connection.close)
        try:
            self._enter(connection, stack)
        except BaseException:
            stack.close()
            raise
        self._stacks.append(stack)
        # Events tell of the end of a connection when it can be used no longer.
        vars(connection)["close"] = stack.close

    def _enter(self, connection: sa.Connection, stack: contextlib.ExitStack) -> None:
        stack.callback(_drop, connection)
        url = connection.engine.url.set(drivername="any", username=None, query={})
        database = url.render_as_string()
        # Two bind keys may be of one database.
        if database not in self._locked:
            self._locked.add(database)
            stack.callback(self._locked.discard, database)
            stack.enter_context(_lock.hold(connection, self._seconds, say=self._say))
        _lift_time_limits(connection)
        stack.enter_context(_foreign_keys.off(connection))

    def finish(self) -> None:
        """Close what env.py has not closed."""
        for stack in self._stacks:
            stack.close()


def _lift_time_limits(connection: sa.Connection) -> None:
    """Let statements take as long as they need, which those of a request must not."""
    dialect: t.Any = connection.dialect
    if dialect.name == "postgresql":
        name = "statement_timeout"
    elif dialect.name in {"mysql", "mariadb"}:
        name = "max_statement_time" if dialect.is_mariadb else "max_execution_time"
    else:
        return
    connection.exec_driver_sql(f"SET SESSION {name} = 0")
    connection.commit()
    driver: t.Any = connection.connection.driver_connection
    if hasattr(driver, "limit"):  # of the classes that our engines connect with
        driver.limit = math.inf
    if hasattr(driver, "_read_timeout"):  # PyMySQL's, for each piece of an answer
        driver._read_timeout = driver._write_timeout = None


def _drop(connection: sa.Connection) -> None:
    """Keep a connection whose time-outs were lifted from others."""
    if connection.dialect.name != "sqlite" and not connection.invalidated:
        connection.invalidate()


@contextlib.contextmanager
def guarded(
    engines: cabc.Iterable[sa.Engine],
    seconds: float,
    say: cabc.Callable[[str], object],
) -> cabc.Generator[None]:
    """Guard the connections that engines open in the `with` block.

    Each has the lock of its database and no time-out; on SQLite, transactions are
    whole and foreign keys are off until they are checked before the commit.

    Args:
        engines: The engines.
        seconds: For how long to wait for another migrator.
        say: Is given a line when one has to wait.

    Raises:
        MigrationLockError: From what opens a connection: another migrator took longer.
    """
    guard = _Guard(seconds, say)
    listened = list(engines)
    for engine in listened:
        event.listen(engine, "engine_connect", guard.prepare)
    try:
        yield
    finally:
        for engine in listened:
            event.remove(engine, "engine_connect", guard.prepare)
        guard.finish()
