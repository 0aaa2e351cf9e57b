"""Layer 4: WebSockets of the test clients.

They go through the ASGI door without a server, and keep an application to the
order of messages that servers ask for. What it raises is raised in the test.
"""

from __future__ import annotations

import asyncio
import typing as t
from urllib.parse import urlsplit

from werkzeug.datastructures import Headers
from werkzeug.wsgi import get_current_url

from . import json
from ._asgi_client import make_scope
from ._asgi_client import run
from .websockets import WebSocketClosed

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from _typeshed.wsgi import WSGIEnvironment
    from werkzeug.test import TestResponse

    from ._environ import Message

#: What may be sent, by what was sent last.
_NEXT = {
    "connect": {"accept", "close", "http.response.start"},
    "accept": {"send", "close"},
    "send": {"send", "close"},
    "http.response.start": {"http.response.body"},
    "http.response.body": {"http.response.body"},
}


#: For how many seconds a handler may go on after its end.
_LIMIT = 5.0


class WebSocketRejected(Exception):  # noqa: N818  # what happened, and no error
    """The application did not accept the WebSocket.

    Args:
        response: What it answered instead. A server that cannot send it answers
            403 without a body.
    """

    def __init__(self, response: TestResponse) -> None:
        super().__init__(response)
        self.response = response

    def __str__(self) -> str:
        return f"The WebSocket was rejected: {self.response.status}"


class AsyncClientWebSocket:
    """A WebSocket of an async test client, opened by `async with`.

    Attributes:
        subprotocol: What the application has chosen.
        headers: Those that came with its acceptance.
        close_code: Why it was closed, by the application or by this side; None
            while it is open.
        close_reason: What was said of it.
    """

    def __init__(
        self,
        client: t.Any,
        environ: WSGIEnvironment,
        subprotocols: cabc.Iterable[str] = (),
    ) -> None:
        """Prepare it; the clients do.

        Args:
            client: The client, whose cookies go there and come back.
            environ: The handshake.
            subprotocols: To choose from, the best one first.
        """
        self._client = client
        self._environ = environ
        self._subprotocols = list(subprotocols)
        self.subprotocol: str | None = None
        self.headers = Headers()
        self.close_code: int | None = None
        self.close_reason = ""
        self._state = "connect"
        self._error: BaseException | None = None

    async def _open(self) -> None:
        client, environ = self._client, self._environ
        if client._cookies is not None:
            client._add_cookies_to_wsgi(environ)
        scheme: str = environ["wsgi.url_scheme"]
        scope = make_scope(environ)
        scope["type"] = "websocket"
        scope["scheme"] = {"http": "ws", "https": "wss"}.get(scheme, scheme)
        scope["extensions"] = {"websocket.http.response": {}}
        scope["subprotocols"] = self._subprotocols
        if self._subprotocols:
            offered = ", ".join(self._subprotocols).encode("latin-1")
            scope["headers"].append((b"sec-websocket-protocol", offered))
        del scope["method"]
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._to_app.put_nowait({"type": "websocket.connect"})
        # None says that the application has ended.
        self._from_app: asyncio.Queue[Message | None] = asyncio.Queue()
        self._task = asyncio.ensure_future(self._serve(scope))
        try:
            await self._begin()
        except asyncio.CancelledError:
            self._task.cancel()
            await asyncio.wait({self._task})
            raise
        except BaseException:
            self._leave(1006)
            await self._finish()
            raise

    async def _begin(self) -> None:
        head = await self._from_app.get()
        if head is None:
            self._raise_error()
            raise RuntimeError("The ASGI application returned without an answer.")
        self._keep(head)
        if head["type"] != "websocket.accept":
            raise WebSocketRejected(await self._read_answer(head))
        self.subprotocol = head.get("subprotocol")

    async def _read_answer(self, head: Message) -> TestResponse:
        body = b""
        more = head["type"] == "websocket.http.response.start"
        while more and (message := await self._from_app.get()) is not None:
            body += message.get("body", b"")
            more = message.get("more_body", False)
        client = self._client
        status = f"{head.get('status', 403)}"
        request = client.application.request_class(self._environ, False)
        response: TestResponse = client.response_wrapper(
            iter([body]), status, self.headers, request=request
        )
        response.json_module = client.application.json
        return response

    def _keep(self, head: Message) -> None:
        """Keep the headers of the answer, and its cookies."""
        for name, value in head.get("headers", ()):
            self.headers.add(name.decode("latin-1"), value.decode("latin-1"))
        if self._client._cookies is not None:
            url = urlsplit(get_current_url(self._environ))
            self._client._update_cookies_from_response(
                url.hostname or "localhost",
                url.path,
                self.headers.getlist("Set-Cookie"),
            )

    async def _serve(self, scope: t.Any) -> None:
        app = self._client.application.asgi
        try:
            await app(scope, self._to_app.get, self._take)
        except BaseException as exc:  # noqa: BLE001  # raised in the test
            self._error = exc
        self._from_app.put_nowait(None)

    async def _take(self, message: Message) -> None:
        """Take what the application sends."""
        kind = message["type"].removeprefix("websocket.")
        if self.close_code is not None:
            raise OSError("The WebSocket is closed.")
        if kind not in _NEXT[self._state]:
            raise AssertionError(
                "Not as the ASGI standard has it:"
                f" {kind!r} was sent after {self._state!r}: {message!r}"
            )
        self._state = kind
        self._from_app.put_nowait(message)
        if kind == "close":
            code = message.get("code", 1000)
            self._to_app.put_nowait({"type": "websocket.disconnect", "code": code})

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        try:
            if error is not None:
                raise error
        finally:
            del error  # its traceback has this frame: no cycle

    def _leave(self, code: int, reason: str = "") -> None:
        if self.close_code is None:
            self.close_code, self.close_reason = code, reason
            self._to_app.put_nowait(
                {"type": "websocket.disconnect", "code": code, "reason": reason}
            )

    async def _finish(self) -> None:
        """Wait for the end of the application's task."""
        try:
            done, _ = await asyncio.wait({self._task}, timeout=_LIMIT)
        finally:
            self._task.cancel()
        if not done:
            await asyncio.wait({self._task})
            raise TimeoutError(
                f"The handler goes on, {_LIMIT} seconds after its client has left. Let it"
                " receive while it does something else: only that tells of the end."
            )
        self._raise_error()

    async def send(self, data: str | bytes) -> None:
        """Send a message.

        Raises:
            WebSocketClosed: It is closed.
        """
        self._check_open()
        kind = "text" if isinstance(data, str) else "bytes"
        self._to_app.put_nowait({"type": "websocket.receive", kind: data})
        await asyncio.sleep(0)

    async def send_json(self, data: t.Any) -> None:
        """Send a message of JSON text."""
        await self.send(json.dumps(data))

    async def receive(self, timeout: float = 5.0) -> str | bytes:  # noqa: ASYNC109  # a test's limit
        """Return the next message.

        Args:
            timeout: Seconds.

        Raises:
            TimeoutError: None has come.
            WebSocketClosed: The application closed instead, or had done so.
            Exception: What the application raised.
        """
        if self._from_app.empty():
            self._check_open()
        async with asyncio.timeout(timeout):
            message = await self._from_app.get()
        if message is None:
            self._leave(1006)
            self._raise_error()
        elif message["type"] == "websocket.close":
            self.close_code = message.get("code", 1000)
            self.close_reason = message.get("reason") or ""
        else:
            text: str | None = message.get("text")
            return t.cast("bytes", message["bytes"]) if text is None else text
        self._check_open()
        raise AssertionError  # pragma: no cover - it is closed

    async def receive_json(self, timeout: float = 5.0) -> t.Any:  # noqa: ASYNC109  # a test's limit
        """Return the next message, read as JSON."""
        return json.loads(await self.receive(timeout))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close it, and wait until the application has come to its end.

        Raises:
            Exception: What the application raised.
        """
        while not self._from_app.empty():
            message = self._from_app.get_nowait()
            if message is not None and message["type"] == "websocket.close":
                self.close_code = message.get("code", 1000)
                self.close_reason = message.get("reason") or ""
        self._leave(code, reason)
        await self._finish()

    def _check_open(self) -> None:
        if self.close_code is not None:
            raise WebSocketClosed(self.close_code, self.close_reason)

    async def __aenter__(self) -> t.Self:
        await self._open()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()


class ClientWebSocket:
    """A WebSocket of a test client, opened by `with`.

    The application goes on while one of these methods waits. It has
    `subprotocol`, `headers`, `close_code` and `close_reason`.
    """

    def __init__(self, *args: t.Any) -> None:
        self._socket = AsyncClientWebSocket(*args)

    @property
    def subprotocol(self) -> str | None:
        """What the application has chosen."""
        return self._socket.subprotocol

    @property
    def headers(self) -> Headers:
        """The headers that came with the acceptance."""
        return self._socket.headers

    @property
    def close_code(self) -> int | None:
        """Why it was closed, by either side; None while it is open."""
        return self._socket.close_code

    @property
    def close_reason(self) -> str:
        """What was said of its end."""
        return self._socket.close_reason

    def send(self, data: str | bytes) -> None:
        """Send a message."""
        run(self._socket.send(data))

    def send_json(self, data: t.Any) -> None:
        """Send a message of JSON text."""
        run(self._socket.send_json(data))

    def receive(self, timeout: float = 5.0) -> str | bytes:
        """Return the next message.

        Args:
            timeout: Seconds.

        Raises:
            TimeoutError: None has come.
            WebSocketClosed: The application closed instead, or had done so.
            Exception: What the application raised.
        """
        return run(self._socket.receive(timeout))

    def receive_json(self, timeout: float = 5.0) -> t.Any:
        """Return the next message, read as JSON."""
        return run(self._socket.receive_json(timeout))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close it, and wait until the application has come to its end.

        Raises:
            Exception: What the application raised.
        """
        run(self._socket.close(code, reason))

    def __enter__(self) -> t.Self:
        run(self._socket._open())
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
