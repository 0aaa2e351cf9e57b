"""How long each step may take: from the settings, to the connections that keep it."""

from __future__ import annotations

import typing as t

from sqlalchemy import event

if t.TYPE_CHECKING:
    import sqlalchemy as sa

# What a step that should be quick gets where no setting says it: a ping, a rollback.
_SHORT = 5.0


class Limits(t.NamedTuple):
    """Seconds; None is no limit."""

    connect: float | None
    statement: float | None
    pool: float | None

    @property
    def short(self) -> float:
        """How long to wait for what the server does at once."""
        return self.connect or _SHORT

    @property
    def whole(self) -> float | None:
        """How long to wait for the answer to a statement.

        The server gives up first, and the connection lives on.
        """
        return self.statement and self.statement + self.short


def read(app: t.Any) -> Limits:
    """Read the settings of an application."""
    values = (
        app.config[f"SQLALCHEMY_{name}_TIMEOUT"]
        for name in ("CONNECT", "STATEMENT", "POOL")
    )
    return Limits(*(value and value.total_seconds() for value in values))


def listen(engine: sa.Engine, limits: Limits) -> None:
    """Tell the connections of an engine how long each command has.

    A connection in the pool is short of time: there is nothing but the ping.
    """

    def take(connection: object, record: t.Any, proxied: object) -> None:
        if hasattr(record.driver_connection, "limit"):  # not of the user's own making
            record.driver_connection.limit = limits.whole

    def give_back(connection: object, record: t.Any) -> None:
        if hasattr(record.driver_connection, "limit"):  # is lost, maybe
            record.driver_connection.limit = limits.short

    event.listen(engine, "checkout", take)
    event.listen(engine, "checkin", give_back)
