"""Layer 1: a broadcast through Redis or Valkey, one connection for a process.

A thread listens for all subscriptions, and tells the server which channels are
wanted. It starts with the first and ends with the last of them.
"""

from __future__ import annotations

import contextlib
import logging
import random
import selectors
import socket
import threading
import time
import typing as t

from ._redis_store import connect

if t.TYPE_CHECKING:
    import collections.abc as cabc

__all__ = ["RedisRelay"]

AnyBroadcast = t.Any

_log = logging.getLogger("erlen.broadcast")

#: After how many seconds of silence the server is asked whether it is there.
PING = 15.0

#: The seconds to wait before connecting again, the first and the longest time.
BACKOFF = (0.1, 5.0)


class RedisRelay:
    """Passes messages on through Redis or Valkey.

    Args:
        broadcast: Who has the subscriptions.
        url: Of one of the schemes of `_redis_store`.
        prefix: What the names of channels begin with in Redis.
        timeout: How long to wait for a connection and for each answer, in seconds.
    """

    def __init__(
        self, broadcast: AnyBroadcast, url: str, prefix: str, timeout: float
    ) -> None:
        self._client, self.error = connect(
            url, timeout, needs="A broadcast through Redis needs", name="Its URL"
        )
        self.broadcast = broadcast
        self.prefix = prefix
        self._patience = 2 * timeout
        self._reader: _Reader | None = None

    def publish(self, channel: str, text: str) -> None:
        """Send a text, and wait until the server has it."""
        self._client.execute_command("PUBLISH", self.prefix + channel, text)

    def listens_to(self, channels: cabc.Iterable[str]) -> bool:
        """Say whether the server sends what is published on all of these."""
        reader = self._reader
        return reader is not None and reader.confirmed.issuperset(channels)

    def listen(self) -> None:
        """See to it that a thread listens; the broadcast is locked."""
        if self._reader is None:
            self._reader = _Reader(self)
            self._reader.thread.start()
        self._reader.wake()

    def refresh(self) -> None:
        """Tell the thread that other channels are wanted now."""
        reader = self._reader
        if reader is not None:
            reader.wake()

    def may_end(self) -> bool:
        """Let the thread go if nobody listens; it must end then."""
        with self.broadcast._locked():
            if self.broadcast._rooms:
                return False
            self._reader = None
            return True

    def close(self) -> None:
        """Wait until the thread has ended, and close the other connections."""
        reader = self._reader
        if reader is not None and reader.thread is not threading.current_thread():
            reader.thread.join(self._patience)
        self._client.close()

    def connection(self) -> t.Any:
        """Make a connection that is not one of the pool."""
        pool = self._client.connection_pool
        return pool.connection_class(**pool.connection_kwargs)

    def start_over(self) -> None:
        """Leave thread and connection to the process that this was forked from."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.disconnect()


class _Reader:
    """The thread that listens, its connection, and what wakes it."""

    def __init__(self, relay: RedisRelay) -> None:
        self._relay = relay
        self._ear, self._bell = socket.socketpair()
        self._ear.setblocking(False)
        self._bell.setblocking(False)
        self._connection: t.Any = None
        self._asked: set[str] = set()
        #: The channels of which the server said that they are subscribed to.
        self.confirmed: set[str] = set()
        self.thread = threading.Thread(
            target=self._run, name="erlen-broadcast", daemon=True
        )

    def wake(self) -> None:
        """Let the thread look which channels are wanted."""
        with contextlib.suppress(OSError):  # it is full, or has ended
            self._bell.send(b"!")

    def disconnect(self) -> None:
        """Close what is open; in a fork this leaves the connection as it is."""
        self._ear.close()
        self._bell.close()
        if self._connection is not None:
            self._connection.disconnect()

    def _run(self) -> None:
        failures = 0
        try:
            while True:
                try:
                    self._connect()
                    if failures:
                        _log.warning("The broadcast server is back.")
                    failures = 0
                    self._listen()
                except Exception as exc:  # noqa: BLE001  # whatever: try again
                    if not failures:
                        _log.warning(
                            "The broadcast server is away, messages are lost: %s: %s",
                            type(exc).__name__,
                            exc,
                        )
                    failures += 1
                else:
                    return
                if self._pause(failures):
                    return
        finally:
            self.disconnect()

    def _connect(self) -> None:
        if self._connection is not None:
            self._connection.disconnect()
        self.confirmed, self._asked = set(), set()
        self._connection = self._relay.connection()
        self._connection.connect()

    def _pause(self, failures: int) -> bool:
        """Wait before the next try; say whether there is to be none."""
        self.confirmed = set()
        first, longest = BACKOFF
        delay = min(first * 2 ** min(failures - 1, 10), longest)
        end = time.monotonic() + delay * random.uniform(0.5, 1)  # noqa: S311  # not all at once
        with selectors.DefaultSelector() as selector:
            selector.register(self._ear, selectors.EVENT_READ)
            while (rest := end - time.monotonic()) > 0:
                if self._relay.may_end():
                    return True
                selector.select(rest)
                self._hush()
        return False

    def _hush(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._ear.recv(4096):
                pass

    def _listen(self) -> None:
        """Read what the server sends until nobody listens."""
        connection, silent = self._connection, False
        with selectors.DefaultSelector() as selector:
            selector.register(self._ear, selectors.EVENT_READ)
            selector.register(connection._sock, selectors.EVENT_READ)
            while not self._relay.may_end():
                self._ask(connection)
                if selector.select(PING):
                    self._hush()
                    while connection.can_read(timeout=0):
                        silent = False
                        self._take(connection.read_response(disable_decoding=True))
                elif silent:
                    raise TimeoutError(f"It said nothing for {2 * PING:.0f} seconds")
                else:
                    silent = True
                    connection.send_command("PING")

    def _ask(self, connection: t.Any) -> None:
        """Tell the server which channels are wanted now, and which no longer."""
        with self._relay.broadcast._locked():
            wanted = set(self._relay.broadcast._rooms)
        for command, channels in (
            ("UNSUBSCRIBE", self._asked - wanted),
            ("SUBSCRIBE", wanted - self._asked),
        ):
            if channels:
                names = [self._relay.prefix + channel for channel in channels]
                connection.send_command(command, *names)
        self._asked = wanted

    def _take(self, answer: list[t.Any]) -> None:
        kind, broadcast = answer[0], self._relay.broadcast
        if kind == b"pong":
            return
        channel = answer[1].decode()[len(self._relay.prefix) :]
        if kind == b"message":
            broadcast._deliver(channel, answer[2])
        elif kind == b"subscribe":
            self.confirmed = self.confirmed | {channel}
            broadcast._wake(channel)
        else:
            self.confirmed = self.confirmed - {channel}
