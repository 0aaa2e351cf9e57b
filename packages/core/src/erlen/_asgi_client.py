"""Layer 4: the test clients' way through the ASGI door.

`AsgiServer` is a WSGI application that serves each call through `app.asgi`, as
an ASGI server would, so that `ErlenClient` is the same for both doors. Coroutines
of async clients wait for it in `AsyncCalls`.
"""

from __future__ import annotations

import asyncio
import functools
import math
import os
import threading
import typing as t
import weakref
from collections import deque
from urllib.parse import quote
from urllib.parse import unquote_to_bytes

from werkzeug.http import HTTP_STATUS_CODES

from ._workers import Workers

if t.TYPE_CHECKING:
    import collections.abc as cabc
    from concurrent.futures import Future

    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIEnvironment

    from ._environ import Message
    from ._environ import Scope

T = t.TypeVar("T")
Work = t.Coroutine[t.Any, t.Any, T]

VERSIONS = {"version": "3.0", "spec_version": "2.4"}

#: The most bytes of a request's body in one message.
_PIECE = 64 * 1024

#: The characters of a path that need no percent sign.
_SAFE = "/!$&'()*+,;=:@~"

_LOOP_RUNS = """\
A client with door="asgi" runs an event loop of its own, and one runs here already. In
async functions use the other client: "async with app.async_test_client() as client:"
and "await client.get(...)"."""


# The request


def make_scope(environ: WSGIEnvironment) -> Scope:
    """Return the ASGI scope of a request, with all that WSGI servers say of it.

    Keys that begin with `erlen.` or `werkzeug.` are taken along.
    """
    root, path = environ.get("SCRIPT_NAME", ""), environ.get("PATH_INFO", "")
    raw_path = _raw_path(environ, root, path)
    address = environ.get("REMOTE_ADDR")
    scope: Scope = {
        "type": "http",
        "asgi": VERSIONS,
        "http_version": environ.get("SERVER_PROTOCOL", "HTTP/1.1").partition("/")[2],
        "method": environ["REQUEST_METHOD"],
        "scheme": environ["wsgi.url_scheme"],
        "path": unquote_to_bytes(raw_path).decode(errors="replace"),
        "raw_path": raw_path,
        "root_path": root.encode("latin-1").decode(errors="replace"),
        "query_string": environ.get("QUERY_STRING", "").encode("latin-1"),
        "headers": _make_headers(environ),
        "client": (address, int(environ.get("REMOTE_PORT") or 0)) if address else None,
        "server": (environ["SERVER_NAME"], int(environ["SERVER_PORT"])),
    }
    for key in environ:
        if key.startswith(("erlen.", "werkzeug.")) and key != "werkzeug.request":
            scope[key] = environ[key]
    return scope


def _raw_path(environ: WSGIEnvironment, root: str, path: str) -> bytes:
    """Return the path as it is on the wire."""
    raw_path = environ.get("RAW_URI", "").partition("?")[0].encode("latin-1")
    raw = quote(raw_path, f"{_SAFE}%").encode()
    start = quote(root.encode("latin-1"), _SAFE).encode()
    for candidate in (start + raw, raw):
        if unquote_to_bytes(candidate) == (root + path).encode("latin-1"):
            return candidate
    return start + quote(path.encode("latin-1"), _SAFE).encode()


def _make_headers(environ: WSGIEnvironment) -> list[tuple[bytes, bytes]]:
    named = {key[5:]: environ[key] for key in environ if key.startswith("HTTP_")}
    for key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(key):
            named[key] = environ[key]
    if environ.get("wsgi.input_terminated") and "CONTENT_LENGTH" not in named:
        named.setdefault("TRANSFER_ENCODING", "chunked")
    return [
        (name.replace("_", "-").lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in named.items()
    ]


def read_body(environ: WSGIEnvironment) -> cabc.Iterator[Message]:
    """Give the body of a request in messages, read when they are asked for.

    A body that is shorter than its length ends as where a client leaves.
    """
    length = environ.get("CONTENT_LENGTH") or ""
    size: float = int(length) if length.isdecimal() else 0
    if not length and environ.get("wsgi.input_terminated"):
        size = math.inf
    rest = size
    while rest > 0:
        try:
            piece = environ["wsgi.input"].read(int(min(rest, _PIECE)))
        except OSError:  # a server's way to say that the client has left
            yield {"type": "http.disconnect"}
            return
        if not piece:
            break
        rest -= len(piece)
        yield {"type": "http.request", "body": piece, "more_body": rest > 0}
    if 0 < rest < math.inf:
        yield {"type": "http.disconnect"}
    elif size in {0, math.inf}:
        yield {"type": "http.request", "body": b"", "more_body": False}


# The answer


class Checks:
    """What a server may expect of the messages of an application.

    Args:
        scope: Of the request that is answered.
    """

    def __init__(self, scope: Scope) -> None:
        self._bodiless = scope["method"] == "HEAD"
        self._missing: int | None = None
        self._state = "start"
        #: The first fault, which the application may have swallowed.
        self.fault: AssertionError | None = None

    def look_at(self, message: Message) -> None:
        """Check the next message that the application sends."""
        try:
            kind: t.Any = message.get("type") if _is_dict(message) else None
            _demand(isinstance(kind, str), f"a message has no type: {message!r}")
            _demand(self._state != "end", f"{kind!r} was sent after the end")
            expected = "body" if self._state == "body" else "start"
            _demand(
                kind == f"http.response.{expected}",
                f"{kind!r} was sent where 'http.response.{expected}' belongs",
            )
            (self._look_at_body if expected == "body" else self._look_at_head)(message)
        except AssertionError as exc:
            self.fault = self.fault or exc
            raise

    def _look_at_head(self, message: Message) -> None:
        status = message.get("status")
        _demand(
            isinstance(status, int) and 200 <= status <= 999,
            f"the status is no number from 200: {status!r}",
        )
        for header in message.get("headers", ()):
            pair: tuple[t.Any, ...] = tuple(header)
            _demand(
                len(pair) == 2 and all(isinstance(part, bytes) for part in pair),
                f"a header is not two bytes objects: {header!r}",
            )
            name, value = pair
            _demand(
                name and name == name.lower() and not name.startswith(b":"),
                f"the name of a header is not in small letters: {name!r}",
            )
            _demand(
                not set(name + value) & set(b"\r\n\0"),
                f"a header has control characters: {header!r}",
            )
            if name == b"content-length":
                self._missing = int(value)
        if self._bodiless or status in {204, 304}:
            self._bodiless, self._missing = True, None
        self._state = "body"

    def _look_at_body(self, message: Message) -> None:
        body, more = message.get("body", b""), message.get("more_body", False)
        _demand(isinstance(body, bytes), f"the body is not bytes: {body!r}")
        _demand(isinstance(more, bool), f"more_body is neither True nor False: {more}")
        _demand(not (body and self._bodiless), f"this answer has no body: {body!r}")
        if self._missing is not None:
            self._missing -= len(body)
            _demand(
                self._missing == 0 or (self._missing > 0 and more),
                f"the body does not have its Content-Length: {self._missing} missing",
            )
        if not more:
            self._state = "end"

    def finish(self) -> None:
        """Check that the application has said all, as it returns."""
        if self.fault is not None:
            raise self.fault
        _demand(self._state == "end", f"no end was sent, but the {self._state} is next")


def _is_dict(message: t.Any) -> bool:
    return isinstance(message, dict)


def _demand(condition: t.Any, fault: str) -> None:
    if not condition:
        raise AssertionError(f"Not as the ASGI standard has it: {fault}")


class _ClientLeftError(OSError):
    """There is nobody who reads the answer."""


class Exchange:
    """One request and its answer, carried as an ASGI server does.

    Args:
        app: The ASGI application.
        environ: The request, as WSGI has it.
        validate: Check the messages that the application sends.
    """

    def __init__(
        self, app: t.Any, environ: WSGIEnvironment, validate: bool = False
    ) -> None:
        self._app = app
        self._scope = make_scope(environ)
        self._input = read_body(environ)
        self._checks = Checks(self._scope) if validate else None
        self._left = False
        self._task: asyncio.Task[None]
        #: Status and headers, when they have come.
        self.head: Message | None = None
        #: The body as far as it has come, and whether that is all.
        self.pieces: deque[bytes] = deque()
        self.ended = False
        #: What the application raised.
        self.error: BaseException | None = None

    async def begin(self) -> None:
        """Call the application, until the body begins or all has ended."""
        self.loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        self._news = asyncio.Event()
        self._wanted = asyncio.Event()
        self._task = asyncio.ensure_future(self._serve())
        await self.proceed()

    async def _serve(self) -> None:
        try:
            await self._app(self._scope, self._receive, self._send)
            if self._checks is not None and not self._left:
                self._checks.finish()
        except _ClientLeftError:
            """What it may raise, as the server has raised it."""
        except BaseException as exc:  # noqa: BLE001  # raised where the answer is read
            self.error = exc
        self.ended = True
        self._news.set()

    async def _receive(self) -> Message:
        message = None if self._left else next(self._input, None)
        if message is None:
            await self._over.wait()
            message = {"type": "http.disconnect"}
        return message

    async def _send(self, message: Message) -> None:
        if self._left:
            raise _ClientLeftError("The client has left.")
        if self._checks is not None:
            self._checks.look_at(message)
        if message["type"] == "http.response.start":
            self.head = message
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        if body or more:
            self.pieces.append(body)
        if not more:
            self._over.set()
            return
        self._wanted.clear()
        self._news.set()
        await self._wanted.wait()  # nothing is made before somebody asks for it
        if self._left:
            raise _ClientLeftError("The client has left.")

    async def proceed(self) -> None:
        """Go on until there is a piece of the body, or all has ended."""
        try:
            while not (self.pieces or self.ended):
                self._news.clear()
                self._wanted.set()
                await self._news.wait()
        except asyncio.CancelledError:
            self.leave()
            self._task.cancel()
            raise

    async def finish(self) -> None:
        """Leave, and let the application come to its end."""
        self.leave()
        while not self.ended:
            self.pieces.clear()
            await self.proceed()

    def leave(self) -> None:
        """Let the application know that the client has left."""
        self._left = True
        self._over.set()
        self._wanted.set()

    def raise_error(self) -> None:
        """Raise what the application raised."""
        error, self.error = self.error, None
        try:
            if error is not None:
                raise error
        finally:
            del error  # its traceback has this frame: no cycle


class Body:
    """The body of an answer, for which the application works when it is read."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._closed = False

    def __iter__(self) -> cabc.Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        exchange = self._exchange
        if not (exchange.pieces or exchange.ended):
            run(exchange.proceed(), exchange.loop)
        if exchange.pieces:
            return exchange.pieces.popleft()
        exchange.raise_error()
        raise StopIteration

    def close(self) -> None:
        """Leave, once, if not all has been read."""
        if not self._closed:
            self._closed = True
            if not self._exchange.ended:
                run(self._exchange.finish(), self._exchange.loop)
            self._exchange.raise_error()

    def __del__(self) -> None:
        exchange = self._exchange
        if self._closed or exchange.ended or exchange.loop.is_closed():
            return
        if exchange.loop is _place.loop and asyncio._get_running_loop() is None:
            self.close()
        else:  # it hears of that when its loop goes on
            exchange.loop.call_soon_threadsafe(exchange.leave)


class AsgiServer:
    """An application's ASGI door as a WSGI application.

    Args:
        app: The application, with its door as `asgi`.
        validate: Check the messages that it sends.
    """

    def __init__(self, app: t.Any, validate: bool = False) -> None:
        self._app = app
        self._validate = validate

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> cabc.Iterable[bytes]:
        """Serve one request."""
        exchange = Exchange(self._app.asgi, environ, self._validate)
        run(exchange.begin())
        head = exchange.head
        if head is None:
            exchange.raise_error()
            raise RuntimeError("The ASGI application returned without an answer.")
        status: int = head["status"]
        start_response(
            f"{status} {HTTP_STATUS_CODES.get(status, 'UNKNOWN').upper()}",
            [
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, value in head.get("headers", ())
            ],
        )
        return Body(exchange)


# Where it runs


class _Owned:
    """An event loop that ends with its thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        weakref.finalize(self, _end, self.loop, os.getpid())


def _end(loop: asyncio.AbstractEventLoop, process: int) -> None:
    if os.getpid() != process:
        return  # it is a parent's, who goes on with it
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.wait(tasks))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


class _Place(threading.local):
    """Where coroutines of this thread's clients run."""

    #: The call of an async client that this thread works for.
    call: _Call | None = None

    _owned: _Owned | None = None
    _process = 0

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop of the clients of this thread."""
        if self._owned is None or self._process != os.getpid():
            self._owned, self._process = _Owned(), os.getpid()
        return self._owned.loop


_place = _Place()


def run(coroutine: Work[T], loop: asyncio.AbstractEventLoop | None = None) -> T:
    """Run a coroutine to its end, while the caller waits.

    Args:
        coroutine: What is run.
        loop: Where; None is the loop of this thread.

    Raises:
        RuntimeError: An event loop runs here, which would have to wait, too.
    """
    if asyncio._get_running_loop() is not None:
        coroutine.close()
        raise RuntimeError(_LOOP_RUNS)
    if _place.call is not None:
        return _place.call.run(coroutine)
    return (loop or _place.loop).run_until_complete(coroutine)


class _Call:
    """Something that an async client does in a thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._future: Future[t.Any] | None = None
        self._cancelled = False

    def run(self, coroutine: Work[T]) -> T:
        """Run a coroutine on the client's loop, from the thread."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        self._future = future
        if self._cancelled:
            future.cancel()
        try:
            return future.result()
        finally:
            self._future = None

    def do(self, function: t.Callable[[], T]) -> T:
        """Call a function in the thread."""
        _place.call = self
        try:
            return function()
        finally:
            _place.call = None

    def cancel(self) -> None:
        """Cancel what runs on the loop, and what comes after it."""
        self._cancelled = True
        future = self._future
        if future is not None:
            future.cancel()


class AsyncCalls:
    """Calls a synchronous client in threads, with the application on the loop here."""

    #: As many requests as a test sends at the same time.
    _THREADS = 10_000

    def __init__(self) -> None:
        self._workers: Workers | None = None

    async def do(
        self, function: t.Callable[..., T], *args: t.Any, **kwargs: t.Any
    ) -> T:
        """Call a function; where the caller is cancelled, the application is, too."""
        if self._workers is None or not self._workers.is_here():
            self._workers = Workers(self._THREADS, asyncio.get_running_loop())
        call = _Call(self._workers.loop)
        work: t.Callable[[], T] = functools.partial(function, *args, **kwargs)
        task: asyncio.Future[t.Any] = asyncio.ensure_future(
            self._workers.run(call.do, work)
        )
        try:
            return t.cast("T", await asyncio.shield(task))
        except asyncio.CancelledError:
            call.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.exception()  # has been seen
            raise


class Lifespan:
    """The life of an ASGI application, as its server tells it.

    Args:
        app: The ASGI application.
    """

    def __init__(self, app: t.Any) -> None:
        self._app = app
        self._told: asyncio.Queue[Message] = asyncio.Queue()
        self._said: asyncio.Queue[Message | None] = asyncio.Queue()

    async def begin(self) -> None:
        """Run what the application does before its first request.

        Raises:
            RuntimeError: It failed, with its own traceback in the message.
        """
        self._task = asyncio.ensure_future(self._live())
        await self._tell("startup")

    async def end(self) -> None:
        """Run what the application does after its last request.

        Raises:
            RuntimeError: It failed, with its own traceback in the message.
        """
        await self._tell("shutdown")
        await self._task

    async def _live(self) -> None:
        try:
            scope = {"type": "lifespan", "asgi": VERSIONS}
            await self._app(scope, self._told.get, self._said.put)
        finally:
            self._said.put_nowait(None)

    async def _tell(self, what: str) -> None:
        self._told.put_nowait({"type": f"lifespan.{what}"})
        said = await self._said.get()
        if said is None:
            await self._task  # which raises what the application raised
        if said is None or said["type"] != f"lifespan.{what}.complete":
            text = "it returned without a word" if said is None else said["message"]
            raise RuntimeError(f"The {what} of the application failed:\n{text}")
