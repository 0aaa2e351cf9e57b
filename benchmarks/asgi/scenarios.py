"""What is asked over ASGI and what must come back, the same for every peer.

A scenario is a key, a title and a few exchanges; a new one is one entry here and
one function of its key in each peer's module.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass
from html import escape
from pathlib import Path

from benchmarks.scenarios import COLLECTIONS
from benchmarks.scenarios import HTML_TYPE
from benchmarks.scenarios import JSON_TYPE
from benchmarks.scenarios import SMALL
from benchmarks.scenarios import TEXT
from benchmarks.scenarios import WrongAnswerError

if t.TYPE_CHECKING:
    import collections.abc as cabc

Scope = dict[str, t.Any]
Message = dict[str, t.Any]
Headers = tuple[tuple[bytes, bytes], ...]

HERE: t.Final = Path(__file__).parent
TEMPLATES: t.Final = HERE / "peers" / "templates"
STATIC: t.Final = HERE / "peers" / "static"
# What uvicorn hands over of a body at a time.
PIECE: t.Final = 64 * 1024

PLAIN_TYPE: t.Final = "text/plain; charset=utf-8"
ORDER: t.Final[dict[str, t.Any]] = {
    "name": "order",
    "items": [
        {"id": number, "name": f"item {number}", "price": number + 0.5}
        for number in range(21)
    ],
}
FIELDS: t.Final = tuple(f"field{number}" for number in range(10))
TITLE: t.Final = "Rows"
# With characters that a template must escape.
ROWS: t.Final = tuple(
    {"id": number, "name": f"<{number}> & Co"} for number in range(20)
)
FILE: t.Final = bytes(range(256)) * (1024 * 1024 // 256)
CHUNK: t.Final = b"A chunk of a hundred bytes, one of a hundred".ljust(99, b".") + b"\n"
CHUNKS: t.Final = 100
_BOUNDARY: t.Final = b"b7c1c2b3a4d5e6f7"


@dataclass(frozen=True)
class Answer:
    """The only answer that is accepted.

    Attributes:
        status: The status code.
        content_type: None accepts any; one without parameters accepts any parameters.
        body: None accepts any, for what each framework words by itself. JSON is
            compared parsed, all else bytewise.
        headers: Others that must be there, names in lower case.
        cookies: Beginnings of the Set-Cookie headers that must be there.
        streamed: There need not be a Content-Length.
    """

    status: int
    content_type: str | None
    body: bytes | None
    headers: tuple[tuple[str, str], ...] = ()
    cookies: tuple[str, ...] = ()
    streamed: bool = False


@dataclass(frozen=True)
class Response:
    """What a peer sent.

    Attributes:
        status: The status code.
        headers: Name in lower case and value, in the order sent.
        body: All of it.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the first value of `name`; None when it was not sent."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def cookies(self) -> tuple[str, ...]:
        """The values of the Set-Cookie headers."""
        return tuple(value for key, value in self.headers if key == "set-cookie")


@dataclass(frozen=True)
class Exchange:
    """One request, and the answer that it must get.

    Attributes:
        path: Without the query.
        answer: What must come back.
        method: GET, or another.
        query: What follows the question mark.
        headers: Beyond those that curl sends each time.
        body: What is sent along.
        session: Send the cookies of an earlier answer of the same peer.
    """

    path: str
    answer: Answer
    method: str = "GET"
    query: bytes = b""
    headers: Headers = ()
    body: bytes = b""
    session: bool = False

    def scope(self) -> Scope:
        """Build what uvicorn hands over for this request from a client like curl."""
        headers = [
            (b"host", b"127.0.0.1:8000"),
            (b"user-agent", b"curl/8.5.0"),
            (b"accept", b"*/*"),
            *self.headers,
        ]
        if self.body:
            headers.append((b"content-length", b"%d" % len(self.body)))
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": ("127.0.0.1", 8000),
            "client": ("127.0.0.1", 50312),
            "scheme": "http",
            "method": self.method,
            "root_path": "",
            "path": self.path,
            "raw_path": self.path.encode("ascii"),
            "query_string": self.query,
            "headers": headers,
            "state": {},
        }

    def messages(self) -> tuple[Message, ...]:
        """Return the body as a server hands it over, in pieces."""
        starts = range(0, len(self.body), PIECE) if self.body else (0,)
        return tuple(
            {
                "type": "http.request",
                "body": self.body[start : start + PIECE],
                "more_body": start + PIECE < len(self.body),
            }
            for start in starts
        )

    def check(self, response: Response) -> None:
        """Accept `response`, or say in what it differs.

        Raises:
            WrongAnswerError: Anything differs.
        """
        for name, expected, given in self._compared(response):
            if expected != given:
                raise WrongAnswerError(
                    f"{self.method} {self.path}: {name}:"
                    f" expected {_short(expected)}, got {_short(given)}"
                )

    def _compared(
        self, response: Response
    ) -> cabc.Iterator[tuple[str, object, object]]:
        wanted = self.answer
        length = response.header("content-length")
        yield "status", wanted.status, response.status
        if wanted.content_type is not None:
            given = _tight(response.header("content-type") or "")
            if ";" not in wanted.content_type:
                given = given.partition(";")[0]
            yield "content type", _tight(wanted.content_type), given
        if length is not None or not wanted.streamed:
            yield "content length", str(len(response.body)), length
        for name, value in wanted.headers:
            yield name, value, response.header(name)
        for start in wanted.cookies:
            sent = any(cookie.startswith(start) for cookie in response.cookies)
            yield f"cookie {start!r}", "sent", "sent" if sent else response.cookies
        if wanted.body is not None:
            yield (
                "body",
                _parsed(wanted.content_type, wanted.body),
                _parsed(wanted.content_type, response.body),
            )


@dataclass(frozen=True)
class Scenario:
    """Requests of one kind, asked for in turn.

    Attributes:
        key: Names it on the command line and in the peers' modules.
        title: Says what is asked.
        exchanges: The requests.
        warm_up: How many are asked before any is timed.
        threads: Its views run in threads: the wall clock tells more than CPU time.
    """

    key: str
    title: str
    exchanges: tuple[Exchange, ...]
    warm_up: int = 200
    threads: bool = False


def _tight(content_type: str) -> str:
    return content_type.lower().replace(" ", "")


def _parsed(content_type: str | None, body: bytes) -> object:
    if content_type == JSON_TYPE:
        try:
            return json.loads(body)
        except ValueError:
            return body
    return body


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}... ({len(text)} characters)"


def _text(body: str, **more: t.Any) -> Answer:
    return Answer(200, HTML_TYPE, body.encode(), **more)


def _json(value: object) -> Answer:
    return Answer(200, JSON_TYPE, json.dumps(value).encode())


def _page() -> str:
    rows = "".join(
        f"\n<tr><td>{row['id']}</td><td>{escape(str(row['name']))}</td></tr>"
        for row in ROWS
    )
    return f"<!doctype html>\n<title>{TITLE}</title>\n<table>{rows}\n</table>"


def _multipart() -> bytes:
    return b"".join(
        (
            b"--" + _BOUNDARY + b"\r\n",
            b'Content-Disposition: form-data; name="file"; filename="file.bin"\r\n',
            b"Content-Type: application/octet-stream\r\n\r\n",
            FILE,
            b"\r\n--" + _BOUNDARY + b"--\r\n",
        )
    )


def _items() -> tuple[Exchange, ...]:
    # Many paths, so that an answer remembered by path gains nothing.
    return tuple(
        Exchange(f"/{name}/{1000 + number}", _text(f"item {1000 + number}"))
        for number, name in enumerate(COLLECTIONS)
    )


_CONDITIONS = Exchange(
    "/",
    _text(
        "word token dark",
        headers=(("x-one", "1"), ("x-two", "2")),
        cookies=("seen=yes",),
    ),
    query=b"q=word&page=2",
    headers=((b"x-token", b"token"), (b"cookie", b"theme=dark; other=1")),
)
_ORDER = Exchange(
    "/",
    _json({"name": "order", "items": 21}),
    method="POST",
    headers=((b"content-type", b"application/json"),),
    body=json.dumps(ORDER).encode(),
)
_FORM = Exchange(
    "/",
    _text(" ".join(f"value {name}" for name in FIELDS)),
    method="POST",
    headers=((b"content-type", b"application/x-www-form-urlencoded"),),
    body=b"&".join(b"%s=value+%s" % (name.encode(), name.encode()) for name in FIELDS),
)
_UPLOAD = Exchange(
    "/",
    _text(str(len(FILE))),
    method="POST",
    headers=((b"content-type", b"multipart/form-data; boundary=" + _BOUNDARY),),
    body=_multipart(),
)

SCENARIOS: t.Final = {
    scenario.key: scenario
    for scenario in (
        Scenario(
            "s1", "text: a view returns a short str", (Exchange("/", _text(TEXT)),)
        ),
        Scenario(
            "s2", "JSON: a view returns a small object", (Exchange("/", _json(SMALL)),)
        ),
        Scenario("s3", "routing: <int:id> among 300 routes", _items()),
        Scenario(
            "s4",
            "query, header and cookie in; a cookie and two headers out",
            (_CONDITIONS,),
        ),
        Scenario("s5", "JSON in: 1 KB", (_ORDER,)),
        Scenario("s6", "form in: 10 fields", (_FORM,)),
        Scenario("s7", "template: 20 rows, Jinja2", (Exchange("/", _text(_page())),)),
        Scenario(
            "s8",
            "session: read and written, in a cookie",
            (Exchange("/", _text("2", cookies=("",)), session=True),),
        ),
        Scenario("s9", "404", (Exchange("/nowhere", Answer(404, None, None)),)),
        Scenario(
            "s10",
            "hooks: two before, two after",
            (
                Exchange(
                    "/", _text("one two", headers=(("x-three", "3"), ("x-four", "4")))
                ),
            ),
        ),
        Scenario("s11", "upload: 1 MB, multipart", (_UPLOAD,), warm_up=20),
        Scenario(
            "s12",
            "stream: 100 chunks",
            (Exchange("/", Answer(200, PLAIN_TYPE, CHUNK * CHUNKS, streamed=True)),),
        ),
        Scenario(
            "s13",
            "static file: 10 KB",
            (
                Exchange(
                    "/static/cells.css",
                    Answer(200, "text/css", (STATIC / "cells.css").read_bytes()),
                ),
            ),
        ),
        Scenario(
            "sync",
            "text, from a view without async",
            (Exchange("/", _text(TEXT)),),
            threads=True,
        ),
    )
}
