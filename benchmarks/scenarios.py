"""What is asked and what must come back, the same for every peer.

A scenario is a key, a title and a few exchanges; an exchange is one request as
a server would hand it over, with the only answer that is accepted. A new
scenario is one entry here and one function of its key in each peer's module.
"""

from __future__ import annotations

import json
import sys
import typing as t
from dataclasses import dataclass
from io import BytesIO
from wsgiref.util import FileWrapper

if t.TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

TEXT = "Hello, World!"
SMALL: dict[str, t.Any] = {"message": "Hello, World!"}
# 100 collections of three routes each: the list, one item, the item's parts.
COLLECTIONS = tuple(f"collection-{number}" for number in range(100))

HTML_TYPE = "text/html; charset=utf-8"
JSON_TYPE = "application/json"


class WrongAnswerError(Exception):
    """A peer did not send what the scenario asks for."""


@dataclass(frozen=True)
class Answer:
    """The head and the body of a response."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True)
class Exchange:
    """One request, and the answer that it must get."""

    path: str
    answer: Answer
    method: str = "GET"

    def environ(self) -> WSGIEnvironment:
        """Build what gunicorn hands over for this request from a client like curl."""
        return {
            "wsgi.errors": sys.stderr,
            "wsgi.version": (1, 0),
            "wsgi.multithread": False,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
            "wsgi.input_terminated": True,
            "wsgi.input": BytesIO(),
            "wsgi.url_scheme": "http",
            "SERVER_SOFTWARE": "gunicorn/23.0.0",
            "REQUEST_METHOD": self.method,
            "QUERY_STRING": "",
            "RAW_URI": self.path,
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "127.0.0.1:8000",
            "HTTP_USER_AGENT": "curl/8.5.0",
            "HTTP_ACCEPT": "*/*",
            "REMOTE_ADDR": "127.0.0.1",
            "REMOTE_PORT": "50312",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "8000",
            "PATH_INFO": self.path,
            "SCRIPT_NAME": "",
        }

    def check(self, answer: Answer, length: str | None) -> None:
        """Accept `answer`, or say in what it differs.

        Args:
            answer: What the peer sent.
            length: Its Content-Length, in bytes, as sent; None when it sent none.

        Raises:
            WrongAnswerError: Anything differs. JSON bodies are compared parsed, all
                others bytewise.
        """
        wanted = self.answer
        differences = [
            f"{name}: expected {expected!r}, got {given!r}"
            for name, expected, given in (
                ("status", wanted.status, answer.status),
                ("content type", _plain(wanted), _plain(answer)),
                ("content length", str(len(answer.body)), length),
                ("body", _parsed(wanted), _parsed(answer)),
            )
            if expected != given
        ]
        if differences:
            raise WrongAnswerError(f"{self.method} {self.path}: {differences[0]}")


@dataclass(frozen=True)
class Scenario:
    """Requests of one kind, asked for in turn."""

    key: str
    title: str
    exchanges: tuple[Exchange, ...]


def _plain(answer: Answer) -> str:
    return answer.content_type.lower().replace(" ", "")


def _parsed(answer: Answer) -> object:
    if _plain(answer).startswith(JSON_TYPE):
        try:
            return json.loads(answer.body)
        except ValueError:
            return answer.body
    return answer.body


def _items() -> tuple[Exchange, ...]:
    # Many paths, so that an answer remembered by path gains nothing.
    return tuple(
        Exchange(
            f"/{name}/{1000 + number}",
            Answer(200, HTML_TYPE, b"item %d" % (1000 + number)),
        )
        for number, name in enumerate(COLLECTIONS)
    )


SCENARIOS: t.Final = {
    scenario.key: scenario
    for scenario in (
        Scenario(
            "s1",
            "text: a view returns a short str",
            (Exchange("/", Answer(200, HTML_TYPE, TEXT.encode())),),
        ),
        Scenario(
            "s2",
            "JSON: a view returns a small object",
            (Exchange("/", Answer(200, JSON_TYPE, json.dumps(SMALL).encode())),),
        ),
        Scenario("s3", "routing: <int:id> among 300 routes", _items()),
    )
}
