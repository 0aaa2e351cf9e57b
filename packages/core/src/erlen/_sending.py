"""Layer 3: a body that is sent over ASGI piece by piece.

An asynchronous body is awaited; a synchronous one is read in a worker, one way
there for each piece. Both end when the client leaves, and are closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import typing as t

from werkzeug.exceptions import ClientDisconnected
from werkzeug.wsgi import FileWrapper

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from ._environ import Message
    from ._environ import Send
    from ._workers import Workers
    from .wrappers import Response

#: The bytes of a file that one way to a worker brings.
_PIECE = 256 * 1024

#: After how many pieces of a body all others have their turn.
_TURN = 32

#: What goes on after the answer; held here, because the loop itself does not.
_closing: set[asyncio.Task[None]] = set()


#: What lasts as long as its client stays, such as a WebSocket.
_lasting: set[asyncio.Task[t.Any]] = set()


class ClientLeftError(Exception):
    """There is nobody to send to any more."""


#: The headers of plain responses as they are sent. PERF: 0.2 us less.
_encoded: dict[tuple[tuple[str, str], ...], list[tuple[bytes, bytes]]] = {}
_ENCODED = 1024

#: What is sent of a response: the status code, the headers as WSGI has them, and the
#: body, an iterable of bytes or an asynchronous one. A list has one piece, and there
#: is nothing to close.
Reply = tuple[int, t.Any, t.Any]


def prepare(workers: Workers, request: t.Any, response: Response) -> Reply:
    """Make of a response what is sent of it."""
    fields = response._whole(request.method)
    if fields is not None:
        return response._status_code, fields, response.response
    sent: list[t.Any] = []
    body: t.Any = response(request.environ, lambda *head: sent.append(head))  # type: ignore[arg-type]  # nobody uses `write`
    status, headers = sent[0][:2]
    source: t.Any = response.response
    if response.is_sequence:  # it is all there: no way to a worker for it
        whole = [b"".join(body)]
        body = _Whole(whole, response) if response._on_close else whole
    elif hasattr(source, "__aiter__") and not response._sends_no_body(request.method):
        body = _Awaited(workers, response, source) if response._on_close else source
    return int(status[:3]), headers, body


class _Whole:
    """A body of one piece, whose response has functions to call at its end."""

    def __init__(self, pieces: list[bytes], response: Response) -> None:
        self.pieces = pieces
        self.close = response.close

    def __iter__(self) -> cabc.Iterator[bytes]:
        return iter(self.pieces)


class _Awaited:
    """An asynchronous body whose response has functions to call at its end."""

    def __init__(self, workers: Workers, response: Response, source: t.Any) -> None:
        self._workers = workers
        self._response = response
        self._source = source

    def __aiter__(self) -> cabc.AsyncIterator[bytes | str]:
        return aiter(self._source)

    async def aclose(self) -> None:
        await self._source.aclose()
        await self._workers.hop(True, self._response.close)


async def send_reply(
    workers: Workers, request: t.Any, reply: Reply, send: Send
) -> None:
    """Send a response, then close its body, whatever happens.

    Args:
        workers: Where a synchronous body is read and closed.
        request: The request, whose client is watched during a stream.
        reply: What is sent.
        send: The ASGI function.

    Raises:
        UnicodeEncodeError: A header is not Latin-1; nothing was sent.
    """
    status, headers, body = reply
    try:
        encoded = _encoded.get(headers) if headers.__class__ is tuple else None
        encoded = encode(headers) if encoded is None else [*encoded]
    except UnicodeEncodeError:
        await close_body(workers, body)
        raise
    head = {"type": "http.response.start", "status": status, "headers": encoded}
    if body.__class__ is not list:
        await _send_stream(workers, request, head, body, send)
        return
    try:
        await send(head)
        await send({"type": "http.response.body", "body": body[0]})
    except OSError:
        """The client has left, and the server says it in this way."""


def encode(headers: cabc.Sequence[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Return headers as ASGI has them, their names in small letters."""
    encoded = [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in headers
    ]
    if isinstance(headers, tuple):
        if len(_encoded) >= _ENCODED:
            _encoded.clear()
        _encoded[headers] = encoded
    return encoded


async def _send_stream(
    workers: Workers, request: t.Any, head: Message, body: t.Any, send: Send
) -> None:
    pieces = None if hasattr(body, "__aiter__") else _Pieces(body)
    watch = asyncio.ensure_future(_watch(request))
    try:
        await _put(send, head)
        if pieces is None:
            await _send_awaited(body, watch, send)
        else:
            await _send_read(workers, pieces, watch, send)
    except ClientDisconnected:
        if not request._body.cut:
            raise  # it is still there, and has sent less than it said
    except ClientLeftError:
        """Nothing is wrong: people close their browsers."""
    finally:
        watch.cancel()
        if pieces is None:
            await _to_the_end(_aclose(body))
        else:
            await _to_the_end(workers.hop(True, pieces.close))


async def _watch(request: t.Any) -> None:
    """Return when the client has left."""
    if request._sends_body and not request._body.ended:
        await request._body.watch()
        return
    while (await request._receive())["type"] != "http.disconnect":
        pass


async def _put(send: Send, message: Message) -> None:
    try:
        await send(message)
    except OSError as exc:  # so do servers say it since version 2.4
        raise ClientLeftError from exc


def _message(piece: bytes | str, more: bool) -> Message:
    data = piece.encode() if isinstance(piece, str) else piece
    return {"type": "http.response.body", "body": data, "more_body": more}


async def _send_awaited(
    body: cabc.AsyncIterable[bytes | str], watch: asyncio.Future[None], send: Send
) -> None:
    async def forward() -> None:
        items = aiter(body)
        try:
            count = 0
            async for piece in items:
                # PERF: not `_put`, whose coroutine costs 0.3 us a piece.
                try:
                    await send(_message(piece, True))
                except OSError as exc:
                    raise ClientLeftError from exc
                count += 1
                if not count % _TURN:  # neither may wait for anything
                    await asyncio.sleep(0)
        finally:  # in this task, whose context variables it knows
            await _aclose(items)

    task = asyncio.ensure_future(forward())
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if task.cancel():  # it closes the body, which `finish` waits for
            _closing.add(task)
            task.add_done_callback(_closing.discard)
            await asyncio.wait({task})
    if task.cancelled():
        raise ClientLeftError
    task.result()
    await _put(send, _message(b"", False))


async def _aclose(items: t.Any) -> None:
    close = getattr(items, "aclose", None)
    if close is not None:
        await close()


class _Pieces:
    """A synchronous body, read and closed in workers."""

    def __init__(self, body: cabc.Iterable[bytes]) -> None:
        self.body = body
        self._items = iter(body)
        self._close = getattr(body, "close", None)
        self._least = _PIECE if isinstance(body, FileWrapper) else 1

    def read(self) -> tuple[bytes, bool]:
        """Return the next piece, and whether more may follow."""
        pieces: list[bytes] = []
        size = 0
        for piece in self._items:
            pieces.append(piece)
            size += len(piece)
            if size >= self._least:
                return b"".join(pieces), True
        return b"".join(pieces), False

    def close(self) -> None:
        """Close the body, once."""
        close, self._close = self._close, None
        if close is not None:
            close()


async def _send_read(
    workers: Workers, pieces: _Pieces, watch: asyncio.Future[None], send: Send
) -> None:
    if isinstance(pieces.body, _Whole):
        await _put(send, _message(pieces.body.pieces[0], False))
        return
    more = True
    while more:
        piece, more = await workers.run(pieces.read)
        if watch.done():
            raise ClientLeftError
        await _put(send, _message(piece, more))


async def close_body(workers: Workers, body: t.Any) -> None:
    """Close a body of which nothing was sent."""
    if hasattr(body, "__aiter__"):
        await _to_the_end(_aclose(body))
    elif body.__class__ is not list:
        await _to_the_end(workers.hop(True, _Pieces(body).close))


async def _to_the_end(work: cabc.Coroutine[t.Any, t.Any, None]) -> None:
    """Await what must not be left half done when the task is cancelled."""
    task = asyncio.ensure_future(work)
    _closing.add(task)
    task.add_done_callback(_closing.discard)
    await asyncio.shield(task)


@contextlib.contextmanager
def lasting() -> cabc.Generator[None]:
    """Let the running task be cancelled when the server ends."""
    task: t.Any = asyncio.current_task()
    _lasting.add(task)
    try:
        yield
    finally:
        _lasting.discard(task)


async def finish() -> None:
    """Wait for what goes on after answers on the running loop."""
    loop = asyncio.get_running_loop()
    for task in [task for task in _lasting if task.get_loop() is loop]:
        task.cancel()
    while tasks := [it for it in (*_closing, *_lasting) if it.get_loop() is loop]:
        with contextlib.suppress(Exception):
            await asyncio.wait(tasks)
