"""Connections of asyncmy that wait for no answer longer than they may.

Its own time-out is for each packet of an answer, and a network that brings one byte
a second may set it off much later than anybody waits.
"""

from __future__ import annotations

import asyncio
import math
import typing as t

from asyncmy.connection import Connection as _Connection
from asyncmy.errors import OperationalError

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from ._limits import Limits

_SERVER_LOST = 2013


class Connection(_Connection):
    """A connection whose commands have `limit` seconds, and quick ones `short`."""

    limit = short = math.inf

    async def connect(self) -> t.Any:
        """Connect to the server."""
        return await self._within(self.short, super().connect())

    async def query(self, sql: t.Any, unbuffered: bool = False) -> t.Any:
        """Send a statement, and wait for its answer."""
        parent: t.Any = super()
        return await self._within(self.limit, parent.query(sql, unbuffered))

    async def commit(self) -> None:
        """Commit."""
        await self._within(self.limit, super().commit())

    async def rollback(self) -> None:
        """Roll back."""
        await self._within(self.short, super().rollback())

    async def ping(self, reconnect: bool = False) -> None:
        """Ask the server whether it is there."""
        await self._within(self.short, super().ping(reconnect))

    async def _within(self, seconds: float, step: t.Awaitable[t.Any]) -> t.Any:
        try:
            async with asyncio.timeout(None if seconds == math.inf else seconds):
                return await step
        except TimeoutError:
            self.close()
            raise OperationalError(
                _SERVER_LOST,
                f"Lost connection: the server has not answered within {seconds:g} s",
            ) from None


def make_connect(limits: Limits) -> cabc.Callable[..., t.Any]:
    """Make the coroutine function that opens connections."""

    async def connect(*args: t.Any, **kwargs: t.Any) -> Connection:
        kind: t.Any = Connection
        connection: Connection = kind(*args, **kwargs)
        connection.limit = connection.short = limits.short
        await connection.connect()
        return connection

    return connect
