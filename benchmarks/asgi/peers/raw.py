"""The limit: a callable written by hand for each scenario, no framework."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import typing as t
from html import escape
from urllib.parse import parse_qs

from benchmarks.asgi.scenarios import CHUNK
from benchmarks.asgi.scenarios import CHUNKS
from benchmarks.asgi.scenarios import FIELDS
from benchmarks.asgi.scenarios import PLAIN_TYPE
from benchmarks.asgi.scenarios import ROWS
from benchmarks.asgi.scenarios import STATIC
from benchmarks.asgi.scenarios import TITLE
from benchmarks.scenarios import COLLECTIONS
from benchmarks.scenarios import HTML_TYPE
from benchmarks.scenarios import JSON_TYPE
from benchmarks.scenarios import SMALL
from benchmarks.scenarios import TEXT

if t.TYPE_CHECKING:
    from benchmarks.asgi.door import ASGIApp
    from benchmarks.asgi.door import Receive
    from benchmarks.asgi.door import Send
    from benchmarks.asgi.scenarios import Scope

KEY = b"as long as keys of HMAC should be"


async def _send(
    send: Send,
    body: bytes,
    content_type: str = HTML_TYPE,
    status: int = 200,
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", content_type.encode("latin-1")),
                (b"content-length", b"%d" % len(body)),
                *headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def _read(receive: Receive) -> bytes:
    pieces = []
    more = True
    while more:
        message = await receive()
        pieces.append(message["body"])
        more = message["more_body"]
    return b"".join(pieces)


def _cookie(headers: dict[bytes, bytes], wanted: str) -> str | None:
    for pair in headers.get(b"cookie", b"").decode("latin-1").split("; "):
        name, _, value = pair.partition("=")
        if name == wanted:
            return value
    return None


def s1() -> ASGIApp:
    """Return a short str."""

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await _send(send, TEXT.encode())

    return app


def s2() -> ASGIApp:
    """Return a small object, encoded at each request."""

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await _send(send, json.dumps(SMALL).encode(), JSON_TYPE)

    return app


def s3() -> ASGIApp:
    """Route `<int:id>` among 300 routes."""
    collections = frozenset(f"/{name}" for name in COLLECTIONS)

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        collection, _, item = scope["path"].rpartition("/")
        if collection in collections and item.isdecimal():
            await _send(send, b"item %d" % int(item))
        else:
            await _send(send, b"Not Found", status=404)

    return app


def s4() -> ASGIApp:
    """Read a query, a header and a cookie; set a cookie and two headers."""

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        query = parse_qs(scope["query_string"].decode())["q"][0]
        token = headers[b"x-token"].decode("latin-1")
        body = f"{query} {token} {_cookie(headers, 'theme')}".encode()
        more = (
            (b"x-one", b"1"),
            (b"x-two", b"2"),
            (b"set-cookie", b"seen=yes; Path=/"),
        )
        await _send(send, body, headers=more)

    return app


def s5() -> ASGIApp:
    """Read JSON."""

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        order = json.loads(await _read(receive))
        answer = {"name": order["name"], "items": len(order["items"])}
        await _send(send, json.dumps(answer).encode(), JSON_TYPE)

    return app


def s6() -> ASGIApp:
    """Read a form."""

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        form = parse_qs((await _read(receive)).decode())
        await _send(send, " ".join(form[name][0] for name in FIELDS).encode())

    return app


def s7() -> ASGIApp:
    """Write a page of 20 rows."""

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        rows = "".join(
            f"\n<tr><td>{row['id']}</td><td>{escape(str(row['name']))}</td></tr>"
            for row in ROWS
        )
        page = f"<!doctype html>\n<title>{TITLE}</title>\n<table>{rows}\n</table>"
        await _send(send, page.encode())

    return app


def s8() -> ASGIApp:
    """Count in a signed cookie."""

    def sign(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(hmac.digest(KEY, data, hashlib.sha256))

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        count = 0
        cookie = _cookie(dict(scope["headers"]), "session")
        if cookie is not None:
            data, _, signature = cookie.encode("latin-1").partition(b".")
            if hmac.compare_digest(sign(data), signature):
                count = json.loads(base64.urlsafe_b64decode(data))["count"]
        count += 1
        data = base64.urlsafe_b64encode(json.dumps({"count": count}).encode())
        value = b"session=" + data + b"." + sign(data) + b"; HttpOnly; Path=/"
        await _send(send, str(count).encode(), headers=((b"set-cookie", value),))

    return app


def s9() -> ASGIApp:
    """Know nothing of the path."""

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["path"] == "/":
            await _send(send, TEXT.encode())
        else:
            await _send(send, b"Not Found", status=404)

    return app


def s10() -> ASGIApp:
    """Do something twice before the view, and twice after it."""

    async def one(state: dict[str, str]) -> None:
        state["one"] = "one"

    async def two(state: dict[str, str]) -> None:
        state["two"] = "two"

    async def three(headers: list[tuple[bytes, bytes]]) -> None:
        headers.append((b"x-three", b"3"))

    async def four(headers: list[tuple[bytes, bytes]]) -> None:
        headers.append((b"x-four", b"4"))

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        state: dict[str, str] = {}
        headers: list[tuple[bytes, bytes]] = []
        await one(state)
        await two(state)
        body = f"{state['one']} {state['two']}".encode()
        await three(headers)
        await four(headers)
        await _send(send, body, headers=tuple(headers))

    return app


def s11() -> ASGIApp:
    """Take a file."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        content_type = dict(scope["headers"])[b"content-type"]
        boundary = b"--" + content_type.partition(b"boundary=")[2]
        body = await _read(receive)
        start = body.index(b"\r\n\r\n") + 4
        file = body[start : body.index(b"\r\n" + boundary, start)]
        await _send(send, str(len(file)).encode())

    return app


def s12() -> ASGIApp:
    """Stream a hundred chunks."""

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"content-type", PLAIN_TYPE.encode("latin-1"))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for _ in range(CHUNKS):
            chunk = {"type": "http.response.body", "body": CHUNK, "more_body": True}
            await send(chunk)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return app


def s13() -> ASGIApp:
    """Send a file."""

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        name = scope["path"].removeprefix("/static/")
        await _send(send, (STATIC / name).read_bytes(), "text/css; charset=utf-8")

    return app
