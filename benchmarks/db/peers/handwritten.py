"""A WSGI callable without a framework: what is around the rows costs next to nothing."""

from __future__ import annotations

import json
import typing as t

from benchmarks.scenarios import HTML_TYPE
from benchmarks.scenarios import JSON_TYPE

if t.TYPE_CHECKING:
    import collections.abc as cabc
    from wsgiref.types import StartResponse
    from wsgiref.types import WSGIApplication
    from wsgiref.types import WSGIEnvironment

Rows = list[dict[str, int]]
_STATUS: t.Final = {200: "200 OK", 201: "201 Created", 404: "404 Not Found"}


class Answers(t.Protocol):
    """What reads and writes the rows."""

    def worlds(self, key: int) -> object:
        """Read a row."""

    def each(self, start: int) -> object:
        """Read 20 rows, each by its key."""

    def together(self, start: int) -> object:
        """Read 20 rows by one query."""

    def fortunes(self) -> str:
        """Render the page."""

    def entries(self, number: int) -> object:
        """Insert a row."""

    def counters(self, key: int, number: int) -> object:
        """Change a row."""


def application(answers: Answers) -> WSGIApplication:
    """Route to the methods of `answers` by the first part of the path."""

    def app(
        environ: WSGIEnvironment, start_response: StartResponse
    ) -> cabc.Iterable[bytes]:
        _, name, *keys = environ["PATH_INFO"].split("/")
        status = 200
        content_type = JSON_TYPE
        answer = getattr(answers, name, None)
        if answer is None:
            status, body = 404, b"{}"
        elif name == "fortunes":
            content_type, body = HTML_TYPE, answer().encode()
        else:
            body = json.dumps(answer(*map(int, keys))).encode()
            if name == "entries":
                status = 201
        start_response(
            _STATUS[status],
            [("Content-Type", content_type), ("Content-Length", str(len(body)))],
        )
        return [body]

    return app
