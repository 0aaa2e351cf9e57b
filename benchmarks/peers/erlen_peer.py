"""Erlen: the Flask peer with its import changed, which a test checks."""

from __future__ import annotations

import typing as t

from benchmarks.scenarios import COLLECTIONS
from benchmarks.scenarios import SMALL
from benchmarks.scenarios import TEXT
from erlen import Erlen

if t.TYPE_CHECKING:
    from wsgiref.types import WSGIApplication


def _app() -> Erlen:
    app = Erlen(__name__)
    app.secret_key = "as in any application with a session or a flashed message"
    return app


def s1() -> WSGIApplication:
    """Return a short str."""
    app = _app()

    @app.get("/")
    def index() -> str:
        return TEXT

    return app


def s2() -> WSGIApplication:
    """Return a small object, encoded at each request."""
    app = _app()

    @app.get("/")
    def index() -> dict[str, t.Any]:
        return SMALL

    return app


def s3() -> WSGIApplication:
    """Route `<int:id>` among 300 routes."""
    app = _app()

    def items() -> str:
        return "items"

    def item(id: int) -> str:
        return f"item {id}"

    def parts(id: int) -> str:
        return f"parts of {id}"

    for name in COLLECTIONS:
        app.add_url_rule(f"/{name}", f"{name}-items", items)
        app.add_url_rule(f"/{name}/<int:id>", f"{name}-item", item)
        app.add_url_rule(f"/{name}/<int:id>/parts", f"{name}-parts", parts)
    return app
