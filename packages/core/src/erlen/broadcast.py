"""Layer 1: messages to everybody who listens, in threads and in event loops.

In one process, or through Redis in all of them. Delivery takes no lock and
waits for nobody: a reader that does not keep up is let go.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
import typing as t
import weakref
from collections import deque
from contextvars import ContextVar

from . import json
from ._unavailable import Unavailable
from ._waiters import Waiters

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from ._redis_broadcast import RedisRelay

__all__ = [
    "Broadcast",
    "BroadcastUnavailable",
    "Message",
    "SubscriberTooSlow",
    "Subscription",
    "SubscriptionClosed",
]

_log = logging.getLogger(__name__)


class BroadcastUnavailable(Unavailable):
    """A 503: the server that passes messages on does not answer."""

    description = "Live updates are unavailable for the moment. Try again soon."


class SubscriptionClosed(RuntimeError):  # noqa: N818  # what happened, not a mistake
    """The subscription was closed, so there is nothing to get any more."""

    def __init__(self) -> None:
        super().__init__(
            "The subscription is closed: its close() was called, or its broadcast's,"
            " or it was made before the process was forked. Subscribe again."
        )


class SubscriberTooSlow(RuntimeError):  # noqa: N818  # as above
    """The subscription was ended, because too many messages were unread."""

    def __init__(self) -> None:
        super().__init__(
            "The subscription was ended, because its reader did not keep up. Subscribe"
            " again, or allow more unread messages: Broadcast(..., backlog=1000)."
        )


class Message(t.NamedTuple):
    """What a subscription gives: the channel, and what was published there."""

    channel: str
    data: t.Any


class Stopping:
    """Ends the waiting of somebody who runs in a thread of his own.

    Whoever starts such a thread puts one into its context.
    """

    stopped = False
    waits_for: Subscription | None = None

    def stop(self) -> None:
        """Close the subscription that is waited for, now or later."""
        self.stopped = True
        if self.waits_for is not None:
            self.waits_for.close()


stopping: ContextVar[Stopping | None] = ContextVar("erlen.stopping", default=None)


class Subscription:
    """The messages of some channels, from now on; for one reader.

    Read it by `for` and `get` in a thread, by `async for` and `aget` in an event
    loop. `with` and `async with` wait until it is in force, which takes a moment
    with Redis, and close it at their end. It is made by `Broadcast.subscribe`.
    """

    def __init__(self, broadcast: Broadcast, channels: tuple[str, ...]) -> None:
        self.channels = channels
        self._broadcast = broadcast
        self._unread: deque[tuple[str, str | bytes]] = deque()
        self._end: type[SubscriptionClosed | SubscriberTooSlow] | None = None
        self._waiters = Waiters()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {', '.join(map(repr, self.channels))}>"

    def get(self, timeout: float | None = None) -> Message | None:
        """Wait in a thread for the next message.

        Args:
            timeout: For how many seconds at most; None is for ever.

        Returns:
            The message; None if there was none in time.

        Raises:
            SubscriberTooSlow: Too many were unread. All that were kept are read.
            SubscriptionClosed: It is closed.
        """
        stop = stopping.get()
        if stop is not None:
            stop.waits_for = self
            if stop.stopped:
                self.close()
        return self._waiters.wait(self._next, timeout)

    async def aget(self, timeout: float | None = None) -> Message | None:  # noqa: ASYNC109  # it raises nothing
        """Wait in an event loop for the next message.

        Args:
            timeout: As of `get`.

        Raises:
            SubscriberTooSlow: As `get`.
            SubscriptionClosed: As `get`.
        """
        return await self._waiters.wait_async(self._next, timeout)

    def close(self) -> None:
        """End it; messages that nobody read are dropped. Any thread may do it."""
        self._finish(SubscriptionClosed)
        self._unread.clear()

    def __iter__(self) -> t.Self:
        return self

    def __next__(self) -> Message:
        try:
            return t.cast("Message", self.get())
        except SubscriptionClosed:
            raise StopIteration from None

    def __aiter__(self) -> t.Self:
        return self

    async def __anext__(self) -> Message:
        try:
            return t.cast("Message", await self.aget())
        except SubscriptionClosed:
            raise StopAsyncIteration from None

    def __enter__(self) -> t.Self:
        return self._entered(self._settle())

    async def __aenter__(self) -> t.Self:
        return self._entered(await self._asettle())

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    async def __aexit__(self, *exc_info: object) -> None:
        self.close()

    def _entered(self, in_force: bool | None) -> t.Self:
        if not in_force:
            self.close()
            raise BroadcastUnavailable
        return self

    def _settle(self) -> bool | None:
        """Wait until it is in force, and say whether it is."""
        return self._waiters.wait(self._in_force, self._broadcast._timeout)

    async def _asettle(self) -> bool | None:
        timeout = self._broadcast._timeout
        return await self._waiters.wait_async(self._in_force, timeout)

    def _in_force(self) -> bool | None:
        relay = self._broadcast._relay
        there = relay is None or relay.listens_to(self.channels)
        return True if there or self._end is not None else None

    def _next(self) -> Message | None:
        end = self._end  # first: what is unread was put before it
        while self._unread:
            channel, text = self._unread.popleft()
            try:
                return Message(channel, json.loads(text))
            except ValueError as exc:  # by another program
                _log.warning("A message on %r is no JSON: %s", channel, exc)
        if end is not None:
            raise end
        return None

    def _put(self, channel: str, text: str | bytes) -> None:
        if self._end is None:
            if len(self._unread) < self._broadcast.backlog:
                self._unread.append((channel, text))
            else:
                self._finish(SubscriberTooSlow)
        self._waiters.wake()

    def _finish(self, end: type[SubscriptionClosed | SubscriberTooSlow]) -> None:
        self._end = end
        self._broadcast._forget(self)
        self._waiters.wake()


class Broadcast:
    """Passes messages on to all that subscribed to a channel.

    All threads and event loops of a process may use the same one at once.

    Args:
        url: `memory://` for one process; for all of them `redis://`, `rediss://`
            (TLS), `unix://`, `valkey://` or `valkeys://`, which needs the extra
            `redis`.
        backlog: How many messages a subscription keeps unread before it is ended.
        prefix: What the names of the channels begin with in Redis, where databases
            do not keep them apart: two applications need two.
        timeout: For how many seconds Redis may not answer.

    Raises:
        RuntimeError: redis-py is not installed.
        ValueError: The URL is none of these, or there is no backlog or time.
    """

    def __init__(
        self,
        url: str = "memory://",
        *,
        backlog: int = 100,
        prefix: str = "erlen:broadcast:",
        timeout: float = 1.0,
    ) -> None:
        if backlog < 1 or timeout <= 0:
            raise ValueError(
                f"Broadcast() got backlog={backlog!r} and timeout={timeout!r}, and needs"
                " a number of messages from 1 on, and more than 0 seconds."
            )
        self.backlog = backlog
        self._timeout = timeout
        # Each value is replaced and never changed, so that reading needs no lock.
        self._rooms: dict[str, tuple[Subscription, ...]] = {}
        self._gone: deque[Subscription] = deque()
        self._lock = threading.Lock()
        self._relay = self._open(url, prefix)
        _all.add(self)

    def _open(self, url: str, prefix: str) -> RedisRelay | None:
        found = re.match(r"([a-z][\w+.-]*)://", url.lower())
        scheme = found[1] if found else None
        if scheme == "memory":
            return None
        from ._redis_broadcast import RedisRelay
        from ._redis_store import SCHEMES

        if scheme not in SCHEMES:
            raise ValueError(
                # Not the URL, which may have a password.
                "The URL of Broadcast() has"
                f" {f'the scheme {scheme!r}' if scheme else 'no scheme'}. Known are"
                f" {', '.join(f'{it}://' for it in ('memory', *SCHEMES))}."
            )
        return RedisRelay(self, url, prefix, self._timeout)

    def publish(self, channel: str, data: t.Any) -> None:
        """Send data to all that are subscribed to a channel.

        It is written as JSON, so each of them gets a value of its own. With Redis
        this waits for its answer.

        Args:
            channel: The name of the channel.
            data: What can be written as JSON.

        Raises:
            BroadcastUnavailable: Redis does not answer.
            TypeError: Something in `data` cannot be written as JSON.
        """
        text = json.dumps(data)
        if self._relay is None:
            self._deliver(channel, text)
            return
        try:
            self._relay.publish(channel, text)
        except (self._relay.error, OSError) as exc:
            _log.warning("A message could not be sent: %s: %s", type(exc).__name__, exc)
            raise BroadcastUnavailable from exc

    async def apublish(self, channel: str, data: t.Any) -> None:
        """Send data as `publish` does, and let the event loop go on meanwhile.

        Args:
            channel: The name of the channel.
            data: What can be written as JSON.

        Raises:
            BroadcastUnavailable: As `publish`.
            TypeError: As `publish`.
        """
        if self._relay is None:
            self.publish(channel, data)
        else:
            import asyncio

            await asyncio.to_thread(self.publish, channel, data)

    def subscribe(self, *channels: str) -> Subscription:
        """Keep the messages of some channels from now on.

        This does not wait, and Redis may be away: it is asked again until it is
        there. Messages that are published while it is away are lost.

        Args:
            *channels: Names of channels.

        Returns:
            The subscription. Close it, best by `with`.

        Raises:
            TypeError: There is no channel, or it is no text.
        """
        if not channels or not all(isinstance(it, str) for it in channels):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without types
            raise TypeError(
                f"subscribe() takes names of channels, one at least, and got"
                f" {', '.join(map(repr, channels)) or 'none'}."
            )
        subscription = Subscription(self, tuple(dict.fromkeys(channels)))
        with self._locked():
            for channel in subscription.channels:
                self._rooms[channel] = (*self._rooms.get(channel, ()), subscription)
            if self._relay is not None:
                self._relay.listen()
        return subscription

    def close(self) -> None:
        """End all subscriptions, and the connections to Redis.

        It can be used again, which opens new ones.
        """
        with self._locked():
            subscriptions = [it for room in self._rooms.values() for it in room]
        for subscription in subscriptions:
            subscription.close()
        if self._relay is not None:
            self._relay.close()

    def _deliver(self, channel: str, text: str | bytes) -> None:
        for subscription in self._rooms.get(channel, ()):
            subscription._put(channel, text)

    def _wake(self, channel: str) -> None:
        for subscription in self._rooms.get(channel, ()):
            subscription._waiters.wake()

    @contextlib.contextmanager
    def _locked(self) -> cabc.Generator[None, None, None]:
        with self._lock:
            yield
        self._sweep()

    def _forget(self, subscription: Subscription) -> None:
        self._gone.append(subscription)
        self._sweep()

    def _sweep(self) -> None:
        # Never waits for the lock: its holder may be what this finalizer interrupted,
        # and sweeps when he lets go of it.
        while self._gone and self._lock.acquire(blocking=False):
            try:
                gone = {self._gone.popleft() for _ in range(len(self._gone))}
                for channel in {it for each in gone for it in each.channels}:
                    room = self._rooms.get(channel, ())
                    left = tuple(it for it in room if it not in gone)
                    if left:
                        self._rooms[channel] = left
                    else:
                        self._rooms.pop(channel, None)
            finally:
                self._lock.release()
            if self._relay is not None:
                self._relay.refresh()

    def _start_over(self) -> None:
        """Forget what belongs to the process that this one was forked from."""
        rooms, self._rooms = self._rooms, {}
        self._gone.clear()
        self._lock = threading.Lock()
        for subscription in {it for room in rooms.values() for it in room}:
            subscription._end = SubscriptionClosed
        if self._relay is not None:
            self._relay.start_over()


_all: weakref.WeakSet[Broadcast] = weakref.WeakSet()


def _after_fork() -> None:
    for broadcast in list(_all):
        broadcast._start_over()


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)
