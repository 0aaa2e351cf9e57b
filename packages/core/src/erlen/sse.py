"""Layer 1: server-sent events: what a view returns to send them one by one.

What takes time to come is waited for with a limit, so that a line can be sent
now and then: that keeps proxies patient, and tells that the browser has left.
"""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import dataclasses
import logging
import re
import threading
import time
import typing as t
from collections import deque
from contextvars import copy_context
from itertools import chain

from . import _state
from . import json
from ._waiters import Waiters
from ._waiters import in_event_loop
from .broadcast import Message
from .broadcast import Stopping
from .broadcast import SubscriberTooSlow
from .broadcast import Subscription
from .broadcast import SubscriptionClosed
from .broadcast import stopping
from .helpers import _announce
from .helpers import _ContextStream
from .helpers import stream_with_context
from .signals import stream_started
from .wrappers import Response

__all__ = ["Comment", "Event", "EventStream", "last_event_id"]

_log = logging.getLogger(__name__)

_LINE_END = re.compile("\r\n|\r|\n")
_FORBIDDEN = re.compile("[\r\n\0]")
_HEARTBEAT = b":\n\n"

#: For how many seconds the end of a stream waits for the end of its source.
_GRACE = 0.5


def _lines(field: str, text: str) -> list[str]:
    return [f"{field}: {line}" for line in _LINE_END.split(text)]


def _bytes(lines: list[str]) -> bytes:
    # Half of a surrogate pair, which can come from any client, becomes a "?".
    return ("\n".join(lines) + "\n\n").encode(errors="replace")


@dataclasses.dataclass(frozen=True)
class Event:
    """An event.

    Args:
        data: Text is sent as it is, anything else as JSON by the application's
            provider.
        event: Its type; the browser calls it `message` without one.
        id: What the browser sends back when it connects again.
        retry: After how many milliseconds the browser shall connect again.

    Raises:
        TypeError: `event` is no text, `id` neither text nor number, `retry` no
            number.
        ValueError: CR, LF or NUL in `event` or `id`, or `retry` is negative.
    """

    data: t.Any
    _: dataclasses.KW_ONLY
    event: str | None = None
    id: str | int | None = None
    retry: int | None = None

    def __post_init__(self) -> None:
        _check_text("event", self.event, str)
        _check_text("id", self.id, (str, int))
        _check_retry(self.retry)

    def encode(self) -> bytes:
        """Return the event as it is sent."""
        lines: list[str] = []
        if self.retry is not None:
            lines.append(f"retry: {self.retry}")
        if self.event is not None:
            lines.append(f"event: {self.event}")
        if self.id is not None:
            lines.append(f"id: {self.id}")
        text = self.data if isinstance(self.data, str) else json.dumps(self.data)
        return _bytes(lines + _lines("data", text))


@dataclasses.dataclass(frozen=True)
class Comment:
    """Lines that the browser leaves out, for people who look at the stream.

    Args:
        text: The lines.
    """

    text: str

    def encode(self) -> bytes:
        """Return the comment as it is sent."""
        return _bytes(_lines("", self.text))


def _check_text(name: str, value: t.Any, kinds: t.Any) -> None:
    if value is None:
        return
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise TypeError(
            f"The {name} of an event must be text, and is {value!r}, of type"
            f" {type(value).__name__!r}."
        )
    if _FORBIDDEN.search(str(value)):
        raise ValueError(
            f"The {name} of an event has a line break or a NUL in it: {value!r}. Put"
            " such text into its data, which may have several lines."
        )


def _check_retry(value: t.Any) -> None:
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(
            f"retry is a whole number of milliseconds, and is {value!r}, of type"
            f" {type(value).__name__!r}."
        )
    if value < 0:
        raise ValueError(f"retry is a number of milliseconds, and is {value!r}.")


def last_event_id() -> str | None:
    """Return the id of the last event that the browser got before it came back.

    It is what the client says: check it like anything else of a request.

    Returns:
        The id; None if it connects for the first time, or sends what is no id.

    Raises:
        RuntimeError: No request is active.
    """
    request = _state.request_context("last_event_id").request
    value = request.environ.get("HTTP_LAST_EVENT_ID") or None
    if value is None or _FORBIDDEN.search(value):
        return None
    try:
        return t.cast("str", value.encode("latin-1").decode())
    except UnicodeError:
        return None


class _EndedError(Exception):
    """There are no more events."""


Encode = t.Callable[[t.Any], bytes]


def _encoder(convert: t.Callable[[t.Any], t.Any] | None) -> Encode:
    def encode(item: t.Any) -> bytes:
        """Return what is sent for an item of the source, which can be nothing."""
        if convert is not None:
            item = convert(item)
        if item is None:
            return b""
        if isinstance(item, Message):
            item = Event(item.data)
        elif not isinstance(item, (Event, Comment)):
            item = Event(item)
        return t.cast("bytes", item.encode())

    return encode


class _Feed:
    """Where events come from.

    A feed has `get` or `aget`, which returns what to send, b"" for nothing at all,
    or None if nothing came in time, and raises _EndedError; and `close` or `aclose`.
    """

    def open(self) -> None:
        """Wait until it will miss nothing."""

    async def aopen(self) -> None:
        """Wait as `open`."""


class _Live(_Feed):
    """A subscription, which can wait with a limit by itself.

    It holds no context: a request's database connection is not kept for hours.
    """

    def __init__(self, subscription: Subscription, encode: Encode) -> None:
        self._subscription = subscription
        self._encode = encode
        self._run = copy_context().run

    def open(self) -> None:
        self._subscription._settle()

    async def aopen(self) -> None:
        await self._subscription._asettle()

    def get(self, timeout: float | None) -> bytes | None:
        try:
            return self._encoded(self._subscription.get(timeout))
        except (SubscriptionClosed, SubscriberTooSlow) as exc:
            raise self._ended(exc) from None

    async def aget(self, timeout: float | None) -> bytes | None:  # noqa: ASYNC109  # it raises nothing
        try:
            return self._encoded(await self._subscription.aget(timeout))
        except (SubscriptionClosed, SubscriberTooSlow) as exc:
            raise self._ended(exc) from None

    def close(self) -> None:
        self._subscription.close()

    async def aclose(self) -> None:
        self._subscription.close()

    def __del__(self) -> None:
        self.close()  # of a response that was never sent

    def _encoded(self, message: Message | None) -> bytes | None:
        return None if message is None else self._run(self._encode, message)

    def _ended(self, exc: Exception) -> _EndedError:
        if isinstance(exc, SubscriberTooSlow):
            _log.warning("A client does not keep up with %r.", self._subscription)
        return _EndedError()


class _NoRequest:
    """Stands for the context of a request where there is none."""

    def hold(self) -> None:
        """There is nothing to hold."""

    def release(self, exc: BaseException | None = None) -> None:
        """There is nothing to let go of."""


def _in_context(source: cabc.Iterable[t.Any], encode: Encode) -> _ContextStream[bytes]:
    """Iterate in the context of now, which is kept until the end."""
    ctx = _state.current.get()[1]
    items = map(encode, source)
    holder = t.cast("t.Any", ctx or _NoRequest())
    stream = _ContextStream(holder, source, items)
    if ctx is not None and stream_started.receivers:
        stream._items = chain(_announce(ctx), items)
    return stream


class _Plain(_Feed):
    """Anything that is iterated, in the thread that serves it."""

    def __init__(self, source: cabc.Iterable[t.Any], encode: Encode) -> None:
        self._items = _in_context(source, encode)
        self.close = self._items.close

    def get(self, timeout: None) -> bytes:
        for made in self._items:
            return made
        raise _EndedError


class _Handover(_Feed):
    """Takes one thing at a time from who makes it to who sends it."""

    def __init__(self, taken: threading.Semaphore | asyncio.Semaphore) -> None:
        self._taken: t.Any = taken
        self._waiters = Waiters()
        self._made: deque[bytes] = deque()
        self._error: BaseException | None = None
        self._ended = False

    def _put(self, made: bytes) -> None:
        self._made.append(made)
        self._waiters.wake()

    def _end(self, error: BaseException | None, unheard: bool) -> None:
        if error is not None and unheard:
            _log.error("The source of a stream failed at its end.", exc_info=error)
        self._error = error
        self._ended = True
        self._waiters.wake()

    def _take(self) -> bytes | None:
        ended = self._ended  # first: what was made was put before it
        if self._made:
            made = self._made.popleft()
            self._taken.release()
            return made
        if ended:
            error, self._error = self._error, None
            raise error or _EndedError
        return None

    def _has_ended(self) -> bool | None:
        return self._ended or None


class _Thread(_Handover):
    """Anything that is iterated; in a thread, so that waiting has a limit."""

    def __init__(self, source: cabc.Iterable[t.Any], encode: Encode) -> None:
        super().__init__(threading.Semaphore(0))
        self._stopping = Stopping()
        token = stopping.set(self._stopping)
        try:
            self._items = _in_context(source, encode)
        finally:
            stopping.reset(token)
        self._thread: threading.Thread | None = None

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._work, name="erlen-events", daemon=True
            )
            self._thread.start()

    def get(self, timeout: float | None) -> bytes | None:
        self._begin()
        return self._waiters.wait(self._take, timeout)

    async def aget(self, timeout: float | None) -> bytes | None:  # noqa: ASYNC109  # it raises nothing
        self._begin()
        return await self._waiters.wait_async(self._take, timeout)

    def close(self) -> None:
        self._stop()
        if self._thread is None:
            self._items.close()
        elif not in_event_loop():
            self._waiters.wait(self._has_ended, _GRACE)

    async def aclose(self) -> None:
        self._stop()
        self._begin()  # also if it never did: what is torn down may wait
        await self._waiters.wait_async(self._has_ended, _GRACE)

    def _stop(self) -> None:
        self._stopping.stop()
        self._taken.release()

    def _work(self) -> None:
        error: BaseException | None = None
        try:
            while not self._stopping.stopped:
                made = next(self._items, None)
                if made is None:
                    break
                if made:
                    self._put(made)
                    self._taken.acquire()
        except BaseException as exc:  # noqa: BLE001  # raised where it is sent
            if not (self._stopping.stopped and isinstance(exc, SubscriptionClosed)):
                error = exc  # else it is how a source learns that its client has left
        try:
            self._items.close()
        except BaseException as exc:  # noqa: BLE001  # as above
            error = exc
        self._end(error, self._stopping.stopped)


class _Task(_Handover):
    """Anything that is iterated by `async for`; all of it in one task."""

    _task: asyncio.Task[None] | None = None
    _running = _stopped = False

    def __init__(self, source: cabc.AsyncIterable[t.Any], encode: Encode) -> None:
        super().__init__(asyncio.Semaphore(0))
        ctx = _state.current.get()[1]
        self._items: t.Any = source if ctx is None else stream_with_context(source)
        self._encode = encode
        self._context = copy_context()

    def _begin(self) -> asyncio.Task[None]:
        if self._task is None:
            loop = asyncio.get_running_loop()
            self._task = loop.create_task(self._work(), context=self._context)
        return self._task

    async def aget(self, timeout: float | None) -> bytes | None:  # noqa: ASYNC109  # it raises nothing
        self._begin()
        return await self._waiters.wait_async(self._take, timeout)

    async def aclose(self) -> None:
        self._stopped = True
        task = self._begin()
        if self._running:  # else it ends by itself, and closes what must be closed
            task.cancel()
        await asyncio.wait((task,))

    async def _work(self) -> None:
        self._running = True
        error: Exception | None = None
        try:
            if not self._stopped:
                await self._make()
        except asyncio.CancelledError:
            """The client has left."""
        except Exception as exc:  # noqa: BLE001  # raised where it is sent
            error = exc
        self._running = False
        try:
            if hasattr(self._items, "aclose"):
                await self._items.aclose()
        except Exception as exc:  # noqa: BLE001  # as above
            error = exc
        self._end(error, self._stopped)

    async def _make(self) -> None:
        async for item in self._items:
            if self._stopped:  # it did not mind that it was cancelled
                return
            if made := self._encode(item):
                self._put(made)
                await self._taken.acquire()


# The body of a response: the first lines, then what comes, with a heartbeat.


class _Body:
    """What the bodies have in common."""

    _open = _closed = False

    def __init__(self, feed: t.Any, first: bytes, heartbeat: float | None) -> None:
        self._feed = feed
        self._first = first
        self._heartbeat = heartbeat
        self._due = 0.0

    def _rest(self, fresh: bool) -> float | None:
        """Return for how long to wait for the next event."""
        if self._heartbeat is None:
            return None
        if fresh:
            self._due = time.monotonic() + self._heartbeat
        return self._due - time.monotonic()

    def _is_due(self) -> bool:
        return self._heartbeat is not None and time.monotonic() >= self._due


class _SyncBody(_Body):
    """A body that is iterated in a thread."""

    def __iter__(self) -> t.Self:
        return self

    def __next__(self) -> bytes:
        if self._closed:
            raise StopIteration
        try:
            if not self._open:
                self._open = True
                self._feed.open()
                return self._first
            made = self._feed.get(self._rest(fresh=True))
            while made == b"" and not self._is_due():
                made = self._feed.get(self._rest(fresh=False))
        except _EndedError:
            self.close()
            raise StopIteration from None
        except BaseException:
            self.close()
            raise
        return made or _HEARTBEAT

    def close(self) -> None:
        """Close the source, in the context in which it runs."""
        if not self._closed:
            self._closed = True
            self._feed.close()


class _AsyncBody(_Body):
    """A body that is iterated in an event loop."""

    def __aiter__(self) -> t.Self:
        return self

    async def __anext__(self) -> bytes:
        if self._closed:
            raise StopAsyncIteration
        try:
            if not self._open:
                self._open = True
                await self._feed.aopen()
                return self._first
            made = await self._feed.aget(self._rest(fresh=True))
            while made == b"" and not self._is_due():
                made = await self._feed.aget(self._rest(fresh=False))
        except _EndedError:
            await self.aclose()
            raise StopAsyncIteration from None
        except BaseException:
            await self.aclose()
            raise
        return made or _HEARTBEAT

    async def aclose(self) -> None:
        """Close the source, in the context in which it runs."""
        if not self._closed:
            self._closed = True
            await self._feed.aclose()


class _BothBody(_SyncBody, _AsyncBody):
    """A body for both doors."""


class EventStream(Response):
    """The response of a view that sends events as they come.

    Args:
        source: A generator or another iterable, an async generator, or a
            `Subscription` of a broadcast. It gives events; text and what can be
            written as JSON is the data of one; None is nothing.
        retry: After how many milliseconds the browser shall connect again.
        heartbeat: After how many seconds without an event a comment is sent. That
            takes a thread for a source that is a generator or an iterable. None is
            never; such a source then runs in the thread that serves it.
        convert: Makes an event, or None, of each thing that the source gives.
        status: As of `Response`.
        headers: As of `Response`.

    Raises:
        TypeError: `source` cannot be iterated, or is text, bytes or a dict.
        ValueError: `heartbeat` is not above 0, or `retry` is negative.
    """

    implicit_sequence_conversion = False

    def __init__(
        self,
        source: t.Any,
        *,
        retry: int | None = None,
        heartbeat: float | None = 15.0,
        convert: t.Callable[[t.Any], t.Any] | None = None,
        status: int | str | None = None,
        headers: t.Any = None,
    ) -> None:
        _check_retry(retry)
        if heartbeat is not None and heartbeat <= 0:
            raise ValueError(
                f"heartbeat is a number of seconds above 0, or None; it is {heartbeat!r}."
            )
        first = _HEARTBEAT if retry is None else f"retry: {retry}\n\n".encode()
        body = _body(source, _encoder(convert), first, heartbeat)
        waits = not isinstance(body, _SyncBody)
        super().__init__(
            t.cast("t.Any", body if waits else None),
            status=status,
            headers=headers,
            content_type="text/event-stream",
        )
        if not waits:
            self.response = t.cast("t.Any", body)
        self.headers.setdefault("Cache-Control", "no-store, no-transform")
        self.headers.setdefault("X-Accel-Buffering", "no")


def _body(
    source: t.Any, encode: Encode, first: bytes, heartbeat: float | None
) -> _Body:
    if isinstance(source, Subscription):
        return _BothBody(_Live(source, encode), first, heartbeat)
    if hasattr(source, "__aiter__"):
        return _AsyncBody(_Task(source, encode), first, heartbeat)
    if isinstance(source, (str, bytes, cabc.Mapping)) or not hasattr(
        source, "__iter__"
    ):
        raise TypeError(
            f"EventStream() takes what gives events, and got"
            f" {type(t.cast('t.Any', source)).__name__!r}. Pass a generator, which is"
            " what a generator function returns when it is called, a list, or"
            " broadcast.subscribe(...)."
        )
    if heartbeat is None:
        return _SyncBody(_Plain(source, encode), first, None)
    return _BothBody(_Thread(source, encode), first, heartbeat)
