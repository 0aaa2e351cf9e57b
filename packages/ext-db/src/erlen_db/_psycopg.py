"""Connections of psycopg 3 that wait for no answer longer than they may.

A network that takes the bytes and brings none back, or one a second, sets off no
time-out of the kernel's, and the server's own cannot reach the client.
"""

from __future__ import annotations

import time
import typing as t

import psycopg
from psycopg.pq import TransactionStatus

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from psycopg.pq.abc import PGconn

    from ._limits import Limits

Wait = t.Generator[t.Any, t.Any, t.Any]


def _bound(waits: Wait, pgconn: PGconn, seconds: float) -> Wait:
    """Pass on what a command waits for; close the connection if it is too long."""
    try:
        wanted = next(waits)
        end = time.monotonic() + seconds
        while True:
            ready = yield wanted
            # Who waits for a notification has no command under way.
            if (
                time.monotonic() > end
                and pgconn.transaction_status == TransactionStatus.ACTIVE
            ):
                break
            wanted = waits.send(ready)
    except StopIteration as exc:
        return exc.value
    pgconn.finish()
    raise psycopg.OperationalError(
        f"the server has not answered within {seconds:g} s; the connection is closed"
    )


class Connection(psycopg.Connection[t.Any]):
    """A connection whose commands have `limit` seconds, and a rollback `short` ones."""

    limit = short = 5.0

    def wait(self, gen: t.Any, *args: t.Any, **kwargs: t.Any) -> t.Any:
        """Wait for the end of a command."""
        return super().wait(_bound(gen, self.pgconn, self.limit), *args, **kwargs)

    def rollback(self) -> None:
        """Roll back."""
        self.limit, limit = self.short, self.limit
        try:
            super().rollback()
        finally:
            self.limit = limit


class AsyncConnection(psycopg.AsyncConnection[t.Any]):
    """The same for async views."""

    limit = short = 5.0

    async def wait(self, gen: t.Any, *args: t.Any, **kwargs: t.Any) -> t.Any:
        """Wait for the end of a command."""
        bounded = _bound(gen, self.pgconn, self.limit)
        return await super().wait(bounded, *args, **kwargs)

    async def rollback(self) -> None:
        """Roll back."""
        self.limit, limit = self.short, self.limit
        try:
            await super().rollback()
        finally:
            self.limit = limit


def make_connect(limits: Limits) -> cabc.Callable[..., t.Any]:
    """Make the function that opens connections."""

    def connect(*args: t.Any, **kwargs: t.Any) -> Connection:
        connection = Connection.connect(*args, **kwargs)
        connection.limit = connection.short = limits.short
        return connection

    return connect


def make_async_connect(limits: Limits) -> cabc.Callable[..., t.Any]:
    """Make the coroutine function that opens connections."""

    async def connect(*args: t.Any, **kwargs: t.Any) -> AsyncConnection:
        connection = await AsyncConnection.connect(*args, **kwargs)
        connection.limit = connection.short = limits.short
        return connection

    return connect
