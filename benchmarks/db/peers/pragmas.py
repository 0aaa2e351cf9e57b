"""What makes the SQLite files of all peers equally safe: settings of connections."""

from __future__ import annotations

import typing as t

from sqlalchemy import event

from benchmarks.db.databases import PRAGMAS

if t.TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.engine.interfaces import DBAPIConnection


def on(engine: Engine) -> None:
    """Set them on each connection of `engine`, as SQLAlchemy's manual has it."""
    if engine.dialect.name != "sqlite":
        return

    @event.listens_for(engine, "connect")
    def connected(connection: DBAPIConnection, _record: object) -> None:
        cursor = connection.cursor()
        for pragma in PRAGMAS:
            cursor.execute(pragma)
        cursor.close()
