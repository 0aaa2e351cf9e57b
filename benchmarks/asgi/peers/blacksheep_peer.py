"""BlackSheep, as its users write it."""

# Annotations are read at run time, also those of functions in functions.
# ruff: noqa: TC001, TC003

import collections.abc as cabc
import typing as t

from blacksheep import Application
from blacksheep import Cookie
from blacksheep import FromCookie
from blacksheep import FromFiles
from blacksheep import FromHeader
from blacksheep import FromJSON
from blacksheep import Request
from blacksheep import Response
from blacksheep import StreamedContent
from blacksheep import html
from blacksheep import json
from blacksheep.server.responses import view
from blacksheep.server.routing import Router
from blacksheep.settings.html import html_settings

from benchmarks.asgi.door import ASGIApp
from benchmarks.asgi.scenarios import CHUNK
from benchmarks.asgi.scenarios import CHUNKS
from benchmarks.asgi.scenarios import FIELDS
from benchmarks.asgi.scenarios import ROWS
from benchmarks.asgi.scenarios import STATIC
from benchmarks.asgi.scenarios import TEMPLATES
from benchmarks.asgi.scenarios import TITLE
from benchmarks.scenarios import COLLECTIONS
from benchmarks.scenarios import SMALL
from benchmarks.scenarios import TEXT

NEEDS = {"s7": "jinja2"}
Handler = t.Callable[[Request], t.Awaitable[Response]]


def _app() -> Application:
    # A router of its own: without one all applications of the process share their
    # routes.
    return Application(router=Router())


def s1() -> ASGIApp:
    """Return a short str."""
    app = _app()

    @app.router.get("/")
    async def index() -> Response:
        return html(TEXT)

    return app


def s2() -> ASGIApp:
    """Return a small object, encoded at each request."""
    app = _app()

    @app.router.get("/")
    async def index() -> Response:
        return json(SMALL)

    return app


def s3() -> ASGIApp:
    """Route `{int:id}` among 300 routes."""
    app = _app()

    async def items() -> Response:
        return html("items")

    async def item(id: int) -> Response:
        return html(f"item {id}")

    async def parts(id: int) -> Response:
        return html(f"parts of {id}")

    for name in COLLECTIONS:
        app.router.add_get(f"/{name}", items)
        app.router.add_get(f"/{name}/{{int:id}}", item)
        app.router.add_get(f"/{name}/{{int:id}}/parts", parts)
    return app


class _Token(FromHeader[str]):
    name = "X-Token"


class _Theme(FromCookie[str]):
    name = "theme"


def s4() -> ASGIApp:
    """Read a query, a header and a cookie; set a cookie and two headers."""
    app = _app()

    @app.router.get("/")
    async def index(q: str, token: _Token, theme: _Theme) -> Response:
        response = html(f"{q} {token.value} {theme.value}")
        response.add_header(b"X-One", b"1")
        response.add_header(b"X-Two", b"2")
        response.set_cookie(Cookie("seen", "yes"))
        return response

    return app


def s5() -> ASGIApp:
    """Read JSON."""
    app = _app()

    @app.router.post("/")
    async def index(data: FromJSON[dict[str, t.Any]]) -> Response:
        order = data.value
        return json({"name": order["name"], "items": len(order["items"])})

    return app


def s6() -> ASGIApp:
    """Read a form."""
    app = _app()

    @app.router.post("/")
    async def index(request: Request) -> Response:
        form = await request.form()
        return html(" ".join(form[name] for name in FIELDS))

    return app


def s7() -> ASGIApp:
    """Render 20 rows."""
    from blacksheep.server.rendering.jinja2 import JinjaRenderer
    from jinja2 import FileSystemLoader

    html_settings.use(JinjaRenderer(FileSystemLoader(TEMPLATES)))
    app = _app()

    @app.router.get("/")
    async def index() -> Response:
        return view("rows", {"title": TITLE, "rows": ROWS})

    return app


def s8() -> ASGIApp:
    """Count in a session."""
    app = _app()
    app.use_sessions("secret")

    @app.router.get("/")
    async def index(request: Request) -> Response:
        count = request.session.get("count", 0) + 1
        request.session["count"] = count
        return html(str(count))

    return app


def s9() -> ASGIApp:
    """Know nothing of the path."""
    return s1()


def s10() -> ASGIApp:
    """Do something twice before the view, and twice after it."""
    app = _app()

    async def first(request: Request, handler: Handler) -> Response:
        request.one = "one"
        response = await handler(request)
        response.add_header(b"X-Three", b"3")
        return response

    async def second(request: Request, handler: Handler) -> Response:
        request.two = "two"
        response = await handler(request)
        response.add_header(b"X-Four", b"4")
        return response

    app.middlewares.append(first)
    app.middlewares.append(second)

    @app.router.get("/")
    async def index(request: Request) -> Response:
        return html(f"{request.one} {request.two}")

    return app


def s11() -> ASGIApp:
    """Take a file."""
    app = _app()

    @app.router.post("/")
    async def index(files: FromFiles) -> Response:
        file = files.value[0]
        return html(str(len(file.data)))

    return app


def s12() -> ASGIApp:
    """Stream a hundred chunks."""
    app = _app()

    async def chunks() -> cabc.AsyncIterator[bytes]:
        for _ in range(CHUNKS):
            yield CHUNK

    @app.router.get("/")
    async def index() -> Response:
        content = StreamedContent(b"text/plain; charset=utf-8", chunks)
        return Response(200, content=content)

    return app


def s13() -> ASGIApp:
    """Send a file."""
    app = _app()
    app.serve_files(STATIC, root_path="static")
    return app
