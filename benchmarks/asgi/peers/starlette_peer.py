"""Starlette, as its users write it."""

from __future__ import annotations

import typing as t

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import HTMLResponse
from starlette.responses import JSONResponse
from starlette.responses import StreamingResponse
from starlette.routing import Mount
from starlette.routing import Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates

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

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from starlette.middleware.base import RequestResponseEndpoint
    from starlette.requests import Request
    from starlette.responses import Response

    from benchmarks.asgi.door import ASGIApp

NEEDS = {
    "s6": "python-multipart",
    "s7": "jinja2",
    "s8": "itsdangerous",
    "s11": "python-multipart",
}


def s1() -> ASGIApp:
    """Return a short str."""

    async def index(_request: Request) -> Response:
        return HTMLResponse(TEXT)

    return Starlette(routes=[Route("/", index)])


def s2() -> ASGIApp:
    """Return a small object, encoded at each request."""

    async def index(_request: Request) -> Response:
        return JSONResponse(SMALL)

    return Starlette(routes=[Route("/", index)])


def s3() -> ASGIApp:
    """Route `{id:int}` among 300 routes."""

    async def items(_request: Request) -> Response:
        return HTMLResponse("items")

    async def item(request: Request) -> Response:
        return HTMLResponse(f"item {request.path_params['id']}")

    async def parts(request: Request) -> Response:
        return HTMLResponse(f"parts of {request.path_params['id']}")

    routes = []
    for name in COLLECTIONS:
        routes.append(Route(f"/{name}", items))
        routes.append(Route(f"/{name}/{{id:int}}", item))
        routes.append(Route(f"/{name}/{{id:int}}/parts", parts))
    return Starlette(routes=routes)


def s4() -> ASGIApp:
    """Read a query, a header and a cookie; set a cookie and two headers."""

    async def index(request: Request) -> Response:
        query = request.query_params["q"]
        token = request.headers["x-token"]
        theme = request.cookies["theme"]
        response = HTMLResponse(f"{query} {token} {theme}")
        response.headers["X-One"] = "1"
        response.headers["X-Two"] = "2"
        response.set_cookie("seen", "yes")
        return response

    return Starlette(routes=[Route("/", index)])


def s5() -> ASGIApp:
    """Read JSON."""

    async def index(request: Request) -> Response:
        order = await request.json()
        return JSONResponse({"name": order["name"], "items": len(order["items"])})

    return Starlette(routes=[Route("/", index, methods=["POST"])])


def s6() -> ASGIApp:
    """Read a form."""

    async def index(request: Request) -> Response:
        async with request.form() as form:
            return HTMLResponse(" ".join(str(form[name]) for name in FIELDS))

    return Starlette(routes=[Route("/", index, methods=["POST"])])


def s7() -> ASGIApp:
    """Render 20 rows."""
    templates = Jinja2Templates(directory=TEMPLATES)

    async def index(request: Request) -> Response:
        context = {"title": TITLE, "rows": ROWS}
        return templates.TemplateResponse(request, "rows.html", context)

    return Starlette(routes=[Route("/", index)])


def s8() -> ASGIApp:
    """Count in a session."""

    async def index(request: Request) -> Response:
        count = request.session.get("count", 0) + 1
        request.session["count"] = count
        return HTMLResponse(str(count))

    middleware = [Middleware(SessionMiddleware, secret_key="secret")]
    return Starlette(routes=[Route("/", index)], middleware=middleware)


def s9() -> ASGIApp:
    """Know nothing of the path."""
    return s1()


def s10() -> ASGIApp:
    """Do something twice before the view, and twice after it."""

    class First(BaseHTTPMiddleware):
        async def dispatch(
            self, request: Request, call_next: RequestResponseEndpoint
        ) -> Response:
            request.state.one = "one"
            response = await call_next(request)
            response.headers["X-Three"] = "3"
            return response

    class Second(BaseHTTPMiddleware):
        async def dispatch(
            self, request: Request, call_next: RequestResponseEndpoint
        ) -> Response:
            request.state.two = "two"
            response = await call_next(request)
            response.headers["X-Four"] = "4"
            return response

    async def index(request: Request) -> Response:
        return HTMLResponse(f"{request.state.one} {request.state.two}")

    middleware = [Middleware(First), Middleware(Second)]
    return Starlette(routes=[Route("/", index)], middleware=middleware)


def s11() -> ASGIApp:
    """Take a file."""

    async def index(request: Request) -> Response:
        async with request.form() as form:
            data = await form["file"].read()
            return HTMLResponse(str(len(data)))

    return Starlette(routes=[Route("/", index, methods=["POST"])])


def s12() -> ASGIApp:
    """Stream a hundred chunks."""

    async def chunks() -> cabc.AsyncIterator[bytes]:
        for _ in range(CHUNKS):
            yield CHUNK

    async def index(_request: Request) -> Response:
        return StreamingResponse(chunks(), media_type="text/plain")

    return Starlette(routes=[Route("/", index)])


def s13() -> ASGIApp:
    """Send a file."""
    return Starlette(routes=[Mount("/static", StaticFiles(directory=STATIC))])


def sync() -> ASGIApp:
    """Return a short str from a view without async."""

    def index(_request: Request) -> Response:
        return HTMLResponse(TEXT)

    return Starlette(routes=[Route("/", index)])
