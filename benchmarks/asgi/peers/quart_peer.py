"""Quart, as its users write it."""

from __future__ import annotations

import typing as t

from quart import Quart
from quart import Response
from quart import g
from quart import make_response
from quart import render_template
from quart import request
from quart import session

from benchmarks.asgi.scenarios import CHUNK
from benchmarks.asgi.scenarios import CHUNKS
from benchmarks.asgi.scenarios import FIELDS
from benchmarks.asgi.scenarios import PLAIN_TYPE
from benchmarks.asgi.scenarios import ROWS
from benchmarks.asgi.scenarios import TITLE
from benchmarks.scenarios import COLLECTIONS
from benchmarks.scenarios import SMALL
from benchmarks.scenarios import TEXT

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from benchmarks.asgi.door import ASGIApp


def _app() -> Quart:
    app = Quart(__name__)
    app.secret_key = "as in any application with a session or a flashed message"
    return app


def s1() -> ASGIApp:
    """Return a short str."""
    app = _app()

    @app.get("/")
    async def index() -> str:
        return TEXT

    return app


def s2() -> ASGIApp:
    """Return a small object, encoded at each request."""
    app = _app()

    @app.get("/")
    async def index() -> dict[str, t.Any]:
        return SMALL

    return app


def s3() -> ASGIApp:
    """Route `<int:id>` among 300 routes."""
    app = _app()

    async def items() -> str:
        return "items"

    async def item(id: int) -> str:
        return f"item {id}"

    async def parts(id: int) -> str:
        return f"parts of {id}"

    for name in COLLECTIONS:
        app.add_url_rule(f"/{name}", f"{name}-items", items)
        app.add_url_rule(f"/{name}/<int:id>", f"{name}-item", item)
        app.add_url_rule(f"/{name}/<int:id>/parts", f"{name}-parts", parts)
    return app


def s4() -> ASGIApp:
    """Read a query, a header and a cookie; set a cookie and two headers."""
    app = _app()

    @app.get("/")
    async def index() -> Response:
        query = request.args["q"]
        token = request.headers["X-Token"]
        theme = request.cookies["theme"]
        response = await make_response(f"{query} {token} {theme}")
        response.headers["X-One"] = "1"
        response.headers["X-Two"] = "2"
        response.set_cookie("seen", "yes")
        return response

    return app


def s5() -> ASGIApp:
    """Read JSON."""
    app = _app()

    @app.post("/")
    async def index() -> dict[str, t.Any]:
        order = await request.get_json()
        return {"name": order["name"], "items": len(order["items"])}

    return app


def s6() -> ASGIApp:
    """Read a form."""
    app = _app()

    @app.post("/")
    async def index() -> str:
        form = await request.form
        return " ".join(form[name] for name in FIELDS)

    return app


def s7() -> ASGIApp:
    """Render 20 rows."""
    app = _app()

    @app.get("/")
    async def index() -> str:
        return await render_template("rows.html", title=TITLE, rows=ROWS)

    return app


def s8() -> ASGIApp:
    """Count in a session."""
    app = _app()

    @app.get("/")
    async def index() -> str:
        session["count"] = session.get("count", 0) + 1
        return str(session["count"])

    return app


def s9() -> ASGIApp:
    """Know nothing of the path."""
    return s1()


def s10() -> ASGIApp:
    """Do something twice before the view, and twice after it."""
    app = _app()

    @app.before_request
    async def one() -> None:
        g.one = "one"

    @app.before_request
    async def two() -> None:
        g.two = "two"

    @app.after_request
    async def three(response: Response) -> Response:
        response.headers["X-Three"] = "3"
        return response

    @app.after_request
    async def four(response: Response) -> Response:
        response.headers["X-Four"] = "4"
        return response

    @app.get("/")
    async def index() -> str:
        return f"{g.one} {g.two}"

    return app


def s11() -> ASGIApp:
    """Take a file."""
    app = _app()

    @app.post("/")
    async def index() -> str:
        file = (await request.files)["file"]
        return str(len(file.read()))

    return app


def s12() -> ASGIApp:
    """Stream a hundred chunks."""
    app = _app()

    async def chunks() -> cabc.AsyncIterator[bytes]:
        for _ in range(CHUNKS):
            yield CHUNK

    @app.get("/")
    async def index() -> tuple[cabc.AsyncIterator[bytes], dict[str, str]]:
        return chunks(), {"Content-Type": PLAIN_TYPE}

    return app


def s13() -> ASGIApp:
    """Send a file."""
    return _app()


def sync() -> ASGIApp:
    """Return a short str from a view without async."""
    app = _app()

    @app.get("/")
    def index() -> str:
        return TEXT

    return app
