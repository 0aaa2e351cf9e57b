"""Connections of PyMySQL that wait for no answer longer than they may.

Its own time-outs are for each piece of an answer, and a network that brings one
byte a second never sets them off.
"""

from __future__ import annotations

import math
import socket
import time
import typing as t

from pymysql.connections import Connection as _Connection  # type: ignore[import-untyped]  # it has no types
from pymysql.constants import CR  # type: ignore[import-untyped]
from pymysql.err import OperationalError  # type: ignore[import-untyped]

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from ._limits import Limits

# What an answer has to bring a second, on average, for the wait to go on.
_BYTES = 1000

_LEAST = 0.001  # since 0 means not to wait at all, and then not to get anything


class _Socket(socket.socket):
    """A socket that waits for each answer for `limit` seconds, all pieces together.

    What arrives gives some of the time back, so that many rows may take longer.
    """

    limit = math.inf
    _left = math.inf

    def sendall(self, data: t.Any, *args: t.Any) -> None:
        """Send a command."""
        self._left = self.limit
        super().sendall(data, *args)

    def recv_into(self, buffer: t.Any, nbytes: int = 0, flags: int = 0) -> int:
        """Receive a piece of the answer."""
        if self._left == math.inf:
            self.settimeout(None)
            return super().recv_into(buffer, nbytes, flags)
        self.settimeout(max(self._left, _LEAST))
        start = time.monotonic()
        size = super().recv_into(buffer, nbytes, flags)
        left = self._left - (time.monotonic() - start) + size / _BYTES
        self._left = min(left, self.limit)
        return size


class Connection(_Connection):  # type: ignore[misc]  # as above
    """A connection whose commands have `limit` seconds, and a rollback `short` ones.

    Through TLS and Unix sockets, what holds is PyMySQL's time-out for each piece.
    """

    short = math.inf
    _socket: _Socket | None = None

    @property
    def limit(self) -> float:
        """How long to wait for an answer, in seconds."""
        return math.inf if self._socket is None else self._socket.limit

    @limit.setter
    def limit(self, seconds: float) -> None:
        if self._socket is not None:
            self._socket.limit = seconds

    def dial(self, seconds: float) -> None:
        """Connect to the server.

        Args:
            seconds: How long each step may take, and quick commands from now on.

        Raises:
            OperationalError: The server is not there.
        """
        if self.unix_socket:
            self.connect()
            return
        bind = self.bind_address and (self.bind_address, 0)
        try:
            made = socket.create_connection(
                (self.host, self.port), self.connect_timeout, bind
            )
        except OSError as exc:
            raise OperationalError(
                CR.CR_CONN_HOST_ERROR,
                f"Can't connect to MySQL server on {self.host!r} ({exc})",
            ) from exc
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._socket = _Socket(made.family, made.type, made.proto, made.detach())
        self.host_info = f"socket {self.host}:{self.port}"
        self.limit = self.short = seconds
        # The first to speak is the server.
        self._socket._left = self.short
        self.connect(self._socket)

    def rollback(self) -> None:
        """Roll back."""
        self.limit, limit = self.short, self.limit
        try:
            super().rollback()
        finally:
            self.limit = limit


def make_connect(limits: Limits) -> cabc.Callable[..., t.Any]:
    """Make the function that opens connections."""

    def connect(*args: t.Any, **kwargs: t.Any) -> Connection:
        connection = Connection(*args, **{**kwargs, "defer_connect": True})
        connection.dial(limits.short)
        return connection

    return connect
