"""Layer 4: the access log and the request ids of `erlen serve`, for both doors.

A wrapper for each, which is there only when it is on. A line is written once, when
the answer has ended or the client has left.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import os
import re
import sys
import time
import typing as t
from urllib.parse import quote

from ._forwarded import trust_proxies
from ._forwarded import trust_scope

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIApplication
    from _typeshed.wsgi import WSGIEnvironment

    from ._environ import Message
    from ._environ import Receive
    from ._environ import Scope
    from ._environ import Send

#: Where the environ of a request, and an ASGI scope, have the request's id.
KEY = "erlen.request_id"

_HEADER = "X-Request-ID"
_RAW_HEADER = b"x-request-id"
_GIVEN = re.compile(r"[\w.:+/=@-]{1,128}", re.ASCII)

# Longer ones would not be written in one piece where processes share a pipe.
_PATH_LENGTH = 2048


class _Entry:
    """What is known of one request, and whether its line has been written."""

    def __init__(self, given: str | None, method: str, path: bytes) -> None:
        trusted = given is not None and _GIVEN.fullmatch(given)
        self.id = given if given is not None and trusted else os.urandom(16).hex()
        self.method = method
        self.path = path
        self.client = "-"
        self.status = "-"
        self.size = 0
        self._began = time.perf_counter()
        self._open = True

    def write(self) -> None:
        """Write the line, the first time."""
        if not self._open:
            return
        self._open = False
        now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        duration = (time.perf_counter() - self._began) * 1000
        # Percent-encoded: nothing in it ends the line, or looks like another field.
        path = quote(self.path, "/:@!$&'()*+,;=~")[:_PATH_LENGTH] or "-"
        method = quote(self.method)
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
            sys.stdout.write(
                f"{now} {self.id} {self.client} {method} {path}"
                f" {self.status} {self.size} {duration:.1f}ms\n"
            )
            sys.stdout.flush()


class WsgiAccessLog:
    """A WSGI application that writes a line for each request of another.

    Args:
        application: The other one.
        trust_id: Whether an id that comes with a request is taken over.
        hops: `PROXY_HOPS`, for the client's address.
    """

    def __init__(
        self, application: WSGIApplication, trust_id: bool = False, hops: t.Any = None
    ) -> None:
        self._application = application
        self._trust_id = trust_id
        self._hops = hops

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> cabc.Iterable[bytes]:
        """Serve a request, and write its line when the body is closed."""
        given = environ.get("HTTP_X_REQUEST_ID") if self._trust_id else None
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        entry = _Entry(given, environ["REQUEST_METHOD"], path.encode("latin-1"))
        environ[KEY] = entry.id

        def start(status: str, headers: list[tuple[str, str]], *error: t.Any) -> t.Any:
            entry.status = status[:3]
            others = [pair for pair in headers if pair[0].lower() != "x-request-id"]
            return start_response(status, [*others, (_HEADER, entry.id)], *error)

        try:
            if self._hops:
                trust_proxies(environ, self._hops)
            entry.client = environ.get("REMOTE_ADDR") or "-"
            body = self._application(environ, t.cast("StartResponse", start))
        except BaseException:
            entry.status = "500"  # which the server sends
            entry.write()
            raise
        return _Body(body, entry)


class _Body:
    """A body whose bytes are counted; servers close it in the end."""

    def __init__(self, body: cabc.Iterable[bytes], entry: _Entry) -> None:
        self._body = body
        self._chunks = iter(body)
        self._entry = entry

    def __iter__(self) -> cabc.Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk = next(self._chunks)
        self._entry.size += len(chunk)
        return chunk

    def close(self) -> None:
        try:
            close: t.Callable[[], t.Any] | None = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self._entry.write()


class AsgiAccessLog:
    """An ASGI application that writes a line for each connection of another.

    Args:
        application: The other one.
        trust_id: Whether an id that comes with a request is taken over.
        hops: `PROXY_HOPS`, for the client's address.
    """

    def __init__(self, application: t.Any, trust_id: bool = False, hops: t.Any = None):
        self._application = application
        self._trust_id = trust_id
        self._hops = hops

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection, and write its line at its end."""
        if scope["type"] not in {"http", "websocket"}:
            await self._application(scope, receive, send)
            return
        given = None
        if self._trust_id:
            headers = dict(reversed(scope["headers"]))
            given = headers.get(_RAW_HEADER, b"").decode("latin-1")
        method = scope.get("method", "WEBSOCKET")
        entry = _Entry(given, method, scope["path"].encode(errors="replace"))
        watch = _watch_http if scope["type"] == "http" else _watch_websocket
        try:
            if self._hops:
                scope = trust_scope(scope, self._hops)
            entry.client = (scope.get("client") or "-")[0]
            await self._application(
                scope | {KEY: entry.id},
                functools.partial(_receive, entry, receive),
                functools.partial(_send, entry, watch, send),
            )
        except Exception:
            # Which the server says: in the answer, or when it closes the WebSocket.
            entry.status = {"-": "500", "1006": "1011"}.get(entry.status, entry.status)
            raise
        finally:
            entry.write()


async def _receive(entry: _Entry, receive: Receive) -> Message:
    message = await receive()
    if message["type"] == "websocket.disconnect":
        entry.status = str(message.get("code") or 1005)
    return message


async def _send(entry: _Entry, watch: t.Any, send: Send, message: Message) -> None:
    kind = message["type"]
    if kind in {"http.response.start", "websocket.accept"}:
        headers = [
            pair for pair in message.get("headers", ()) if pair[0] != _RAW_HEADER
        ]
        message = message | {
            "headers": [*headers, (_RAW_HEADER, entry.id.encode("latin-1"))]
        }
    ended = watch(entry, message)
    await send(message)
    if ended:
        entry.write()


def _watch_http(entry: _Entry, message: Message) -> bool:
    """Note what is sent; tell whether it was the last."""
    if message["type"] == "http.response.start":
        entry.status = str(message["status"])
    elif message["type"] == "http.response.body":
        entry.size += len(message.get("body", b""))
        return not message.get("more_body", False)
    return False


def _watch_websocket(entry: _Entry, message: Message) -> bool:
    """Note what is sent; the line is written when the view has ended, too."""
    kind = message["type"]
    if kind == "websocket.accept":
        entry.status = "1006"  # until somebody closes it
    elif kind == "websocket.close":
        # Before it is accepted, the server answers the request with a 403.
        refused = entry.status == "-"
        entry.status = "403" if refused else str(message.get("code") or 1000)
    elif kind == "websocket.http.response.start":
        entry.status = str(message["status"])
    else:
        body = message.get("bytes") or message.get("body")
        entry.size += len(body or message.get("text", "").encode())
    return False
