"""Falcon, as its users write it. It renders no templates and keeps no sessions."""

from __future__ import annotations

import typing as t

import falcon
import falcon.asgi

from benchmarks.asgi.scenarios import CHUNK
from benchmarks.asgi.scenarios import CHUNKS
from benchmarks.asgi.scenarios import FIELDS
from benchmarks.asgi.scenarios import PLAIN_TYPE
from benchmarks.asgi.scenarios import STATIC
from benchmarks.scenarios import COLLECTIONS
from benchmarks.scenarios import HTML_TYPE
from benchmarks.scenarios import SMALL
from benchmarks.scenarios import TEXT

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from falcon.asgi import Request
    from falcon.asgi import Response

    from benchmarks.asgi.door import ASGIApp


def _app(resource: object) -> ASGIApp:
    app = falcon.asgi.App()
    app.add_route("/", resource)
    return app


def s1() -> ASGIApp:
    """Return a short str."""

    class Index:
        async def on_get(self, _req: Request, resp: Response) -> None:
            resp.content_type = HTML_TYPE
            resp.text = TEXT

    return _app(Index())


def s2() -> ASGIApp:
    """Return a small object, encoded at each request."""

    class Index:
        async def on_get(self, _req: Request, resp: Response) -> None:
            resp.media = SMALL

    return _app(Index())


class _Items:
    async def on_get(self, _req: Request, resp: Response) -> None:
        resp.content_type = HTML_TYPE
        resp.text = "items"


class _Item:
    async def on_get(self, _req: Request, resp: Response, id: int) -> None:
        resp.content_type = HTML_TYPE
        resp.text = f"item {id}"


class _Parts:
    async def on_get(self, _req: Request, resp: Response, id: int) -> None:
        resp.content_type = HTML_TYPE
        resp.text = f"parts of {id}"


def s3() -> ASGIApp:
    """Route `{id:int}` among 300 routes."""
    app = falcon.asgi.App()
    for name in COLLECTIONS:
        app.add_route(f"/{name}", _Items())
        app.add_route(f"/{name}/{{id:int}}", _Item())
        app.add_route(f"/{name}/{{id:int}}/parts", _Parts())
    return app


def s4() -> ASGIApp:
    """Read a query, a header and a cookie; set a cookie and two headers."""

    class Index:
        async def on_get(self, req: Request, resp: Response) -> None:
            query = req.get_param("q")
            token = req.get_header("X-Token")
            theme = req.cookies["theme"]
            resp.set_header("X-One", "1")
            resp.set_header("X-Two", "2")
            resp.set_cookie("seen", "yes")
            resp.content_type = HTML_TYPE
            resp.text = f"{query} {token} {theme}"

    return _app(Index())


def s5() -> ASGIApp:
    """Read JSON."""

    class Index:
        async def on_post(self, req: Request, resp: Response) -> None:
            order = await req.get_media()
            resp.media = {"name": order["name"], "items": len(order["items"])}

    return _app(Index())


def s6() -> ASGIApp:
    """Read a form."""

    class Index:
        async def on_post(self, req: Request, resp: Response) -> None:
            form = await req.get_media()
            resp.content_type = HTML_TYPE
            resp.text = " ".join(form[name] for name in FIELDS)

    return _app(Index())


def s9() -> ASGIApp:
    """Know nothing of the path."""
    return s1()


def s10() -> ASGIApp:
    """Do something twice before the view, and twice after it."""

    class First:
        async def process_request(self, req: Request, _resp: Response) -> None:
            req.context.one = "one"

        async def process_response(
            self, _req: Request, resp: Response, _resource: object, _succeeded: bool
        ) -> None:
            resp.set_header("X-Three", "3")

    class Second:
        async def process_request(self, req: Request, _resp: Response) -> None:
            req.context.two = "two"

        async def process_response(
            self, _req: Request, resp: Response, _resource: object, _succeeded: bool
        ) -> None:
            resp.set_header("X-Four", "4")

    class Index:
        async def on_get(self, req: Request, resp: Response) -> None:
            resp.content_type = HTML_TYPE
            resp.text = f"{req.context.one} {req.context.two}"

    app = falcon.asgi.App(middleware=[First(), Second()])
    app.add_route("/", Index())
    return app


def s11() -> ASGIApp:
    """Take a file."""

    class Index:
        async def on_post(self, req: Request, resp: Response) -> None:
            size = 0
            async for part in await req.get_media():
                if part.name == "file":
                    size = len(await part.stream.read())
            resp.content_type = HTML_TYPE
            resp.text = str(size)

    return _app(Index())


def s12() -> ASGIApp:
    """Stream a hundred chunks."""

    async def chunks() -> cabc.AsyncIterator[bytes]:
        for _ in range(CHUNKS):
            yield CHUNK

    class Index:
        async def on_get(self, _req: Request, resp: Response) -> None:
            resp.content_type = PLAIN_TYPE
            resp.stream = chunks()

    return _app(Index())


def s13() -> ASGIApp:
    """Send a file."""
    app = falcon.asgi.App()
    app.add_static_route("/static", STATIC)
    return app
