"""Layer 2: the WebSocket that a handler talks through, and what it raises.

`_websocket` makes one for each connection; `erlen.websocket` is the current one.
It keeps to the order of messages that ASGI wants, whatever is called when.
"""

from __future__ import annotations

import asyncio
import typing as t

from werkzeug.datastructures import Headers

from . import json

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from ._environ import Message
    from ._environ import Receive
    from ._environ import Send
    from .wrappers import Request

    Fields = cabc.Mapping[str, str] | cabc.Iterable[tuple[str, str]] | None

__all__ = ["InvalidMessage", "WebSocket", "WebSocketClosed"]

#: What else may be said at the end than numbers of one's own, from 3000 to 4999.
_CODES = frozenset((1000, 1001, 1002, 1003, *range(1007, 1015)))

_OWN = "1000 to 1003, 1007 to 1014, or one of your own from 3000 to 4999."

#: For how many seconds a server that ends may take to say so.
_PATIENCE = 1.0

_TWO_RECEIVE = """\
Two tasks receive from one WebSocket. Let one of them receive, and hand the messages on by
an asyncio.Queue for each."""


class WebSocketClosed(Exception):  # noqa: N818  # what happened, and no error
    """The WebSocket is closed; a handler that lets it pass has just ended.

    Args:
        code: Why: 1000 is a usual end, 1001 the browser's leaving of the page,
            1005 none that was said, 1006 a connection that broke.
        reason: What the other side says of it.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"The WebSocket is closed: {code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class InvalidMessage(Exception):  # noqa: N818  # the client's
    """A message is not what was asked for; uncaught it closes with 1007."""


class WebSocket:
    """One WebSocket, from the handshake to its end.

    Before it is accepted, it can be turned away as any request: by `abort`, or
    by what a before-request function returns. Receiving and sending accept it.

    Attributes:
        request: The handshake, a request as any other.
        subprotocols: What the client offers.
        subprotocol: What was accepted of them.
        accepted: Whether it was accepted, even if it is closed by now.
    """

    def __init__(
        self, request: Request, receive: Receive, send: Send, make_cookies: t.Any
    ) -> None:
        """Make it; `_websocket` does.

        Args:
            request: The handshake.
            receive: The ASGI function.
            send: The ASGI function.
            make_cookies: An async function that saves the session, and returns its
                cookies.
        """
        self._scope = t.cast("t.Any", request._scope)
        self.request = request
        self.subprotocols: list[str] = list(self._scope.get("subprotocols", ()))
        self.subprotocol: str | None = None
        self.accepted = False
        self._receive, self._send, self._make_cookies = receive, send, make_cookies
        # While one of them is held, nobody else accepts or sends.
        self._opening, self._sending = asyncio.Lock(), asyncio.Lock()
        # Whether somebody receives, and whether something was sent since.
        self._receives = self._sent = False
        self._ahead: asyncio.Task[Message] | None = None
        self._end: tuple[int, str] | None = None

    @property
    def path(self) -> str:
        """The path of the handshake's URL."""
        return self.request.path

    @property
    def headers(self) -> Headers:
        """The headers of the handshake."""
        return self.request.headers

    @property
    def closed(self) -> bool:
        """Whether it is known to be closed, by either side."""
        return self._end is not None

    @property
    def answered(self) -> bool:
        """Whether the handshake was accepted or turned away, or the client left."""
        return self.accepted or self.closed

    async def accept(
        self, subprotocol: str | None = None, headers: Fields = None
    ) -> None:
        """Accept the handshake, and save the session.

        Args:
            subprotocol: One of `subprotocols`.
            headers: Go out with the answer, if the server sends such headers.

        Raises:
            RuntimeError: It was accepted already.
            ValueError: The client does not offer the subprotocol.
            WebSocketClosed: The client has left.
        """
        if subprotocol is not None and subprotocol not in self.subprotocols:
            raise ValueError(f"Offered are {self.subprotocols}, not {subprotocol!r}.")
        if self.accepted:
            raise RuntimeError("Call accept() once, and before receive() and send().")
        await self._open(subprotocol, Headers(t.cast("t.Any", headers)))

    async def receive(self) -> str | bytes:
        """Wait for the next message.

        Raises:
            RuntimeError: Another task is waiting for it.
            WebSocketClosed: The WebSocket is closed, by either side.
        """
        if self._receives:
            raise RuntimeError(_TWO_RECEIVE)
        self._receives, self._sent = True, False
        try:
            await self._open()
            if self._ahead is not None:
                # It goes on if this is cancelled, as by a time-out.
                await asyncio.wait({self._ahead})
            ahead, self._ahead = self._ahead, None
            message = await self._take() if ahead is None else ahead.result()
        finally:
            self._receives = False
        if message["type"] == "websocket.disconnect" and self._end is not None:
            raise WebSocketClosed(*self._end)
        text: str | None = message.get("text")
        return t.cast("bytes", message["bytes"]) if text is None else text

    async def receive_json(self) -> t.Any:
        """Wait for the next message and read it as JSON.

        Raises:
            InvalidMessage: It is no JSON; if nobody catches this, the WebSocket is
                closed with 1007 and nothing is logged.
            WebSocketClosed: As `receive`.
        """
        data = await self.receive()
        try:
            raw = data.encode() if isinstance(data, str) else data
            return json._read_body(json.loads, raw)
        except ValueError as exc:
            raise InvalidMessage("The message is no JSON.") from exc

    async def send(self, data: str | bytes | bytearray | memoryview) -> None:
        """Send one message: text, or bytes.

        Several tasks may send at a time. It returns when the server has taken the
        message over.

        Raises:
            TypeError: It is neither; `send_json` sends everything else.
            WebSocketClosed: The WebSocket is known to be closed.
        """
        if not isinstance(data, (str, bytes, bytearray, memoryview)):  # pyright: ignore[reportUnnecessaryIsInstance]  # nobody checks the caller
            raise TypeError(f"Send str or bytes, or by send_json(), not {data!r}.")
        await self._open()
        part = {"text": data} if isinstance(data, str) else {"bytes": bytes(data)}
        await self._put({"type": "websocket.send", **part})
        if self._sent and not self._receives and self._ahead is None:
            # Nobody would be told that the client has left: see what comes next.
            self._ahead = asyncio.ensure_future(self._take())
        self._sent = True

    async def send_json(self, data: t.Any) -> None:
        """Send a message of JSON text, by the application's JSON provider."""
        await self.send(json.dumps(data))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the WebSocket; before it is accepted, this answers a 403.

        Args:
            code: 1000 to 1003, 1007 to 1014, or from 3000 to 4999.
            reason: For the other side; at most 123 bytes of UTF-8.

        Raises:
            ValueError: They cannot be sent.
        """
        if code not in _CODES and not 3000 <= code <= 4999:
            raise ValueError(f"The code {code!r} cannot be sent: use {_OWN}")
        if len(reason.encode()) > 123:
            raise ValueError(f"The reason has more than 123 bytes: {reason!r}")
        message = {"type": "websocket.close", "code": code, "reason": reason}
        await self._put(message, end=(code, reason))

    def __aiter__(self) -> t.Self:
        """Give the messages, until the other side closes."""
        return self

    async def __anext__(self) -> str | bytes:
        try:
            return await self.receive()
        except WebSocketClosed:
            raise StopAsyncIteration from None

    async def _open(self, subprotocol: str | None = None, headers: t.Any = ()) -> None:
        """Be sure that it is accepted."""
        async with self._opening:
            if not self.answered:
                cookies = await self._make_cookies()
                fields = [*headers, *(("Set-Cookie", cookie) for cookie in cookies)]
                self.subprotocol, self.accepted = subprotocol, True
                message = {"type": "websocket.accept", "subprotocol": subprotocol}
                await self._put(message | {"headers": encode(fields)})
        if self._end is not None:
            raise WebSocketClosed(*self._end)

    async def _turn_away(self, status: int, fields: t.Any, body: bytes) -> None:
        """Answer the handshake otherwise, which is 403 where the server cannot."""
        kind = "websocket.http.response"
        head = {"type": f"{kind}.start", "status": status, "headers": encode(fields)}
        messages: list[Message] = [head, {"type": f"{kind}.body", "body": body}]
        if kind not in (self._scope.get("extensions") or ()):
            messages = [{"type": "websocket.close", "code": 1008}]
        await self._put(*messages, end=(1006, ""))

    async def _leave(self) -> None:
        """Let go of the connection, whose task has ended or was cancelled."""
        if self.accepted and self._end is None:  # it was cancelled: the server ends
            leaving = asyncio.ensure_future(self.close(1001))
            await asyncio.wait(
                {leaving}, timeout=_PATIENCE
            )  # and may not answer any more
            leaving.cancel()
        self._end = self._end or (1006, "")
        if self._ahead is not None:
            self._ahead.cancel()

    async def _put(self, *messages: Message, end: t.Any = None) -> None:
        """Send messages while it is open; with an `end`, they are the last ones."""
        async with self._sending:
            if self._end is None:
                self._end = end
                try:
                    for message in messages:
                        await self._send(message)
                except OSError:  # so do servers say that nobody is there
                    self._end = end or (1006, "")
        if end is None and self._end is not None:
            raise WebSocketClosed(*self._end)

    async def _take(self) -> Message:
        message = await self._receive()
        if message["type"] == "websocket.disconnect" and self._end is None:
            self._end = int(message.get("code") or 1005), message.get("reason") or ""
        return message


def encode(fields: t.Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Return headers as ASGI has them."""
    return [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in fields]
