"""Falcon, as its users write it."""

from __future__ import annotations

import typing as t

import falcon

from benchmarks.scenarios import COLLECTIONS
from benchmarks.scenarios import HTML_TYPE
from benchmarks.scenarios import SMALL
from benchmarks.scenarios import TEXT

if t.TYPE_CHECKING:
    from wsgiref.types import WSGIApplication


def s1() -> WSGIApplication:
    """Return a short str."""

    class Index:
        def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
            resp.content_type = HTML_TYPE
            resp.text = TEXT

    app = falcon.App()
    app.add_route("/", Index())
    return app


def s2() -> WSGIApplication:
    """Return a small object, encoded at each request."""

    class Index:
        def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
            resp.media = SMALL

    app = falcon.App()
    app.add_route("/", Index())
    return app


class _Items:
    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        resp.content_type = HTML_TYPE
        resp.text = "items"


class _Item:
    def on_get(
        self,
        _req: falcon.Request,
        resp: falcon.Response,
        id: int,
    ) -> None:
        resp.content_type = HTML_TYPE
        resp.text = f"item {id}"


class _Parts:
    def on_get(
        self,
        _req: falcon.Request,
        resp: falcon.Response,
        id: int,
    ) -> None:
        resp.content_type = HTML_TYPE
        resp.text = f"parts of {id}"


def s3() -> WSGIApplication:
    """Route `<int:id>` among 300 routes."""
    app = falcon.App()
    for name in COLLECTIONS:
        app.add_route(f"/{name}", _Items())
        app.add_route(f"/{name}/{{id:int}}", _Item())
        app.add_route(f"/{name}/{{id:int}}/parts", _Parts())
    return app
