"""What is asked of the databases' peers, and what must come back and be stored.

Nothing is sent but method and path, so that no parser of bodies is in the figures.
An exchange is asked over WSGI or ASGI, as the peer has it.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass
from html import escape

from benchmarks import scenarios as wsgi
from benchmarks.asgi import scenarios as asgi
from benchmarks.db.databases import ADDED
from benchmarks.db.databases import FORTUNES
from benchmarks.db.databases import number
from benchmarks.scenarios import HTML_TYPE
from benchmarks.scenarios import JSON_TYPE

TWENTY: t.Final = 20
# Many keys, so that a row remembered by its key gains nothing.
_KEYS: t.Final = tuple(range(11, 10_000, 199))
_STARTS: t.Final = tuple(range(5, 9_900, 989))
_COUNTERS: t.Final = tuple(range(1, 21))


@dataclass(frozen=True)
class Exchange:
    """One request, the answer that it must get, and what must be stored after it.

    Attributes:
        path: What is asked for.
        body: The answer.
        content_type: Its type.
        method: GET, or another.
        status: The answer's.
        query: Finds what the request wrote; None where it only reads.
        stored: What it must find.
    """

    path: str
    body: bytes
    content_type: str = JSON_TYPE
    method: str = "GET"
    status: int = 200
    query: str | None = None
    stored: object = None

    def over_wsgi(self) -> wsgi.Exchange:
        """Return the same for a WSGI application."""
        answer = wsgi.Answer(self.status, self.content_type, self.body)
        return wsgi.Exchange(self.path, answer, self.method)

    def over_asgi(self) -> asgi.Exchange:
        """Return the same for an ASGI application."""
        answer = asgi.Answer(self.status, self.content_type, self.body)
        return asgi.Exchange(self.path, answer, self.method)


@dataclass(frozen=True)
class Scenario:
    """Requests of one kind, asked for in turn.

    Attributes:
        key: Its name.
        title: What it is about.
        exchanges: What is asked.
        grows: The table that has one row more after each request.
    """

    key: str
    title: str
    exchanges: tuple[Exchange, ...]
    grows: str | None = None


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _world(key: int) -> dict[str, int]:
    return {"id": key, "number": number(key)}


def _page() -> bytes:
    messages = sorted([*enumerate(FORTUNES, 1), (0, ADDED)], key=lambda row: row[1])
    rows = "".join(
        f"<tr><td>{key}</td><td>{escape(message)}</td></tr>\n"
        for key, message in messages
    )
    return (
        "<!doctype html>\n<html>\n<head><title>Fortunes</title></head>\n<body>\n"
        "<table>\n<tr><th>id</th><th>message</th></tr>\n"
        f"{rows}</table>\n</body>\n</html>"
    ).encode()


def _updates() -> tuple[Exchange, ...]:
    # Each row twice with different numbers: nobody gains by leaving an unchanged row.
    return tuple(
        Exchange(
            f"/counters/{key}/{value + key}",
            _json({"id": key, "number": value + key}),
            method="PUT",
            query=f"SELECT number FROM counter WHERE id = {key}",
            stored=value + key,
        )
        for value in (1000, 2000)
        for key in _COUNTERS
    )


SCENARIOS: t.Final = {
    scenario.key: scenario
    for scenario in (
        Scenario(
            "row",
            "a row by its key, as JSON",
            tuple(Exchange(f"/worlds/{key}", _json(_world(key))) for key in _KEYS),
        ),
        Scenario(
            "rows",
            "20 rows, each by its key",
            tuple(
                Exchange(
                    f"/each/{start}",
                    _json([_world(start + step) for step in range(TWENTY)]),
                )
                for start in _STARTS
            ),
        ),
        Scenario(
            "select",
            "20 rows by one query",
            tuple(
                Exchange(
                    f"/together/{start}",
                    _json([_world(start + step) for step in range(TWENTY)]),
                )
                for start in _STARTS
            ),
        ),
        Scenario(
            "fortunes",
            "12 rows and one added, sorted, as a page",
            (Exchange("/fortunes", _page(), HTML_TYPE),),
        ),
        Scenario(
            "insert",
            "a row inserted and committed",
            tuple(
                Exchange(
                    f"/entries/{value}",
                    _json({"number": value}),
                    method="POST",
                    status=201,
                    query="SELECT number FROM entry ORDER BY id DESC LIMIT 1",
                    stored=value,
                )
                for value in range(1, 11)
            ),
            grows="entry",
        ),
        Scenario("update", "a row read, changed and committed", _updates()),
    )
}
