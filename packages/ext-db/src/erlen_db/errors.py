"""The errors that are answers: a database that is away, busy or overtaken.

Each is an error of SQLAlchemy's, so that what catches those goes on to work, and
an HTTP error, so that what nobody catches is a 503 or 409 that says when to try again.
"""

from __future__ import annotations

import typing as t

from sqlalchemy import exc as sa_exc
from sqlalchemy.orm import exc as orm_exc
from werkzeug.exceptions import Conflict

from erlen.extension import Unavailable

__all__ = [
    "DatabaseBusy",
    "DatabaseUnavailable",
    "EditConflict",
    "PoolExhausted",
    "StaleSnapshot",
    "StatementTimeout",
]


class DatabaseUnavailable(Unavailable, sa_exc.OperationalError):
    """A 503: the database does not answer, or the connection to it was lost.

    It is an `sqlalchemy.exc.OperationalError`, too, and takes the same arguments.
    `orig` is the error of the driver.

    Args:
        statement: The statement that failed, if it was one.
        params: Its parameters.
        orig: The error of the driver.
        hide_parameters: As of SQLAlchemy.
        connection_invalidated: Whether the connection was lost.
        code: As of SQLAlchemy, unused.
        ismulti: As of SQLAlchemy.
    """

    code: t.Any = 503  # SQLAlchemy's would be a text
    description = "The database is unavailable for the moment. Try again soon."
    response = None

    def __init__(
        self,
        statement: str | None = None,
        params: t.Any = None,
        orig: BaseException | None = None,
        hide_parameters: bool = True,
        connection_invalidated: bool = False,
        code: str | None = None,
        ismulti: bool | None = None,
    ) -> None:
        # Not Unavailable's: werkzeug's would call SQLAlchemy's without arguments.
        sa_exc.OperationalError.__init__(
            self,
            statement,
            params,
            t.cast("BaseException", orig),
            hide_parameters,
            connection_invalidated,
            None,
            ismulti,
        )
        self.retry_after = 5

    def __str__(self) -> str:
        # SQLAlchemy's would end with the address of a page about the error "503".
        lines = [*(f"({it})" for it in self.detail), str(self.args[0])]
        if self.statement:
            lines.append(f"[SQL: {self.statement}]")
        return "\n".join(lines)


class DatabaseBusy(DatabaseUnavailable):
    """A 503: another transaction has held a lock for too long."""

    description = "The database is busy for the moment. Try again soon."


class StatementTimeout(DatabaseUnavailable):
    """A 503: the server has stopped a statement that took too long."""

    description = "The database takes too long for the moment. Try again soon."


class StaleSnapshot(DatabaseUnavailable):
    """A 503: a transaction of SQLite wants to write on what it read too long ago.

    It began for reading, another one has written since, and SQLite lets nobody
    write on a state that is no longer the last one. What is going to write begins
    with `db.transaction()`, which waits for the other writers first.
    """

    description = "Another request was faster. Try again."


class PoolExhausted(Unavailable, sa_exc.TimeoutError):
    """A 503: all connections of the pool are in use, and none came back in time.

    It is an `sqlalchemy.exc.TimeoutError`, too.

    Args:
        message: What happened.
    """

    code: t.Any = 503  # as above
    description = "The server is busy for the moment. Try again soon."
    response = None

    def __init__(self, message: str = "The pool is exhausted.") -> None:
        sa_exc.TimeoutError.__init__(self, message)
        self.retry_after = 5

    def __str__(self) -> str:
        return str(self.args[0])


class EditConflict(Conflict, orm_exc.StaleDataError):
    """A 409: somebody else has changed or deleted the row since it was read.

    It is an `sqlalchemy.orm.exc.StaleDataError`, too.

    Args:
        message: What happened.
    """

    code: t.Any = 409  # as above
    description = (
        "Somebody else has changed this at the same time. Load it again, and repeat"
        " your change."
    )
    response = None

    def __init__(self, message: str = "The row was changed meanwhile.") -> None:
        orm_exc.StaleDataError.__init__(self, message)

    def __str__(self) -> str:
        return str(self.args[0])
