"""The limit: a callable written by hand for each scenario, no framework."""

from __future__ import annotations

import json
import typing as t

from benchmarks.scenarios import COLLECTIONS
from benchmarks.scenarios import HTML_TYPE
from benchmarks.scenarios import JSON_TYPE
from benchmarks.scenarios import SMALL
from benchmarks.scenarios import TEXT

if t.TYPE_CHECKING:
    import collections.abc as cabc
    from wsgiref.types import StartResponse
    from wsgiref.types import WSGIApplication
    from wsgiref.types import WSGIEnvironment


def s1() -> WSGIApplication:
    """Return a short str."""

    def app(
        _environ: WSGIEnvironment, start_response: StartResponse
    ) -> cabc.Iterable[bytes]:
        body = TEXT.encode()
        start_response(
            "200 OK",
            [("Content-Type", HTML_TYPE), ("Content-Length", str(len(body)))],
        )
        return [body]

    return app


def s2() -> WSGIApplication:
    """Return a small object, encoded at each request."""

    def app(
        _environ: WSGIEnvironment, start_response: StartResponse
    ) -> cabc.Iterable[bytes]:
        body = json.dumps(SMALL).encode()
        start_response(
            "200 OK",
            [("Content-Type", JSON_TYPE), ("Content-Length", str(len(body)))],
        )
        return [body]

    return app


def s3() -> WSGIApplication:
    """Route `<int:id>` among 300 routes."""
    collections = frozenset(f"/{name}" for name in COLLECTIONS)

    def app(
        environ: WSGIEnvironment, start_response: StartResponse
    ) -> cabc.Iterable[bytes]:
        collection, _, item = environ["PATH_INFO"].rpartition("/")
        if collection in collections and item.isdecimal():
            status = "200 OK"
            body = b"item %d" % int(item)
        else:
            status = "404 Not Found"
            body = b"Not Found"
        start_response(
            status,
            [("Content-Type", HTML_TYPE), ("Content-Length", str(len(body)))],
        )
        return [body]

    return app
