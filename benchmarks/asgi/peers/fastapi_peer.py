"""FastAPI, as its users write it."""

# Annotations are read at run time, also those of functions in functions.
# ruff: noqa: TC001, TC002, TC003

import collections.abc as cabc
import typing as t

from fastapi import Body
from fastapi import Cookie
from fastapi import FastAPI
from fastapi import Form
from fastapi import Header
from fastapi import Request
from fastapi import Response
from fastapi import UploadFile
from fastapi.responses import HTMLResponse
from fastapi.responses import StreamingResponse
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates
from pydantic import BaseModel
from starlette.middleware.base import RequestResponseEndpoint
from starlette.middleware.sessions import SessionMiddleware

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

NEEDS = {
    "s6": "python-multipart",
    "s7": "jinja2",
    "s8": "itsdangerous",
    "s11": "python-multipart",
}


def s1() -> ASGIApp:
    """Return a short str."""
    app = FastAPI()

    @app.get("/", response_class=HTMLResponse)
    async def index() -> str:
        return TEXT

    return app


def s2() -> ASGIApp:
    """Return a small object, encoded at each request."""
    app = FastAPI()

    @app.get("/")
    async def index() -> dict[str, t.Any]:
        return SMALL

    return app


def s3() -> ASGIApp:
    """Route `{id}`, an int, among 300 routes."""
    app = FastAPI(default_response_class=HTMLResponse)

    async def items() -> str:
        return "items"

    async def item(id: int) -> str:
        return f"item {id}"

    async def parts(id: int) -> str:
        return f"parts of {id}"

    for name in COLLECTIONS:
        app.get(f"/{name}")(items)
        app.get(f"/{name}/{{id}}")(item)
        app.get(f"/{name}/{{id}}/parts")(parts)
    return app


def s4() -> ASGIApp:
    """Read a query, a header and a cookie; set a cookie and two headers."""
    app = FastAPI()

    @app.get("/", response_class=HTMLResponse)
    async def index(
        q: str,
        x_token: t.Annotated[str, Header()],
        theme: t.Annotated[str, Cookie()],
        response: Response,
    ) -> str:
        response.headers["X-One"] = "1"
        response.headers["X-Two"] = "2"
        response.set_cookie("seen", "yes")
        return f"{q} {x_token} {theme}"

    return app


def s5() -> ASGIApp:
    """Read JSON."""
    app = FastAPI()

    @app.post("/")
    async def index(order: t.Annotated[dict[str, t.Any], Body()]) -> dict[str, t.Any]:
        return {"name": order["name"], "items": len(order["items"])}

    return app


class Fields(BaseModel):
    """The form of s6."""

    field0: str
    field1: str
    field2: str
    field3: str
    field4: str
    field5: str
    field6: str
    field7: str
    field8: str
    field9: str


def s6() -> ASGIApp:
    """Read a form."""
    app = FastAPI()

    @app.post("/", response_class=HTMLResponse)
    async def index(form: t.Annotated[Fields, Form()]) -> str:
        return " ".join(getattr(form, name) for name in FIELDS)

    return app


def s7() -> ASGIApp:
    """Render 20 rows."""
    app = FastAPI()
    templates = Jinja2Templates(directory=TEMPLATES)

    @app.get("/", response_class=HTMLResponse)
    async def index(request: Request) -> Response:
        context = {"title": TITLE, "rows": ROWS}
        return templates.TemplateResponse(request, "rows.html", context)

    return app


def s8() -> ASGIApp:
    """Count in a session, which is Starlette's."""
    app = FastAPI()
    app.add_middleware(SessionMiddleware, secret_key="secret")

    @app.get("/", response_class=HTMLResponse)
    async def index(request: Request) -> str:
        count = request.session.get("count", 0) + 1
        request.session["count"] = count
        return str(count)

    return app


def s9() -> ASGIApp:
    """Know nothing of the path."""
    return s1()


def s10() -> ASGIApp:
    """Do something twice before the view, and twice after it."""
    app = FastAPI()

    @app.middleware("http")
    async def first(request: Request, call_next: RequestResponseEndpoint) -> Response:
        request.state.one = "one"
        response = await call_next(request)
        response.headers["X-Three"] = "3"
        return response

    @app.middleware("http")
    async def second(request: Request, call_next: RequestResponseEndpoint) -> Response:
        request.state.two = "two"
        response = await call_next(request)
        response.headers["X-Four"] = "4"
        return response

    @app.get("/", response_class=HTMLResponse)
    async def index(request: Request) -> str:
        return f"{request.state.one} {request.state.two}"

    return app


def s11() -> ASGIApp:
    """Take a file."""
    app = FastAPI()

    @app.post("/", response_class=HTMLResponse)
    async def index(file: UploadFile) -> str:
        return str(len(await file.read()))

    return app


def s12() -> ASGIApp:
    """Stream a hundred chunks."""
    app = FastAPI()

    async def chunks() -> cabc.AsyncIterator[bytes]:
        for _ in range(CHUNKS):
            yield CHUNK

    @app.get("/")
    async def index() -> StreamingResponse:
        return StreamingResponse(chunks(), media_type="text/plain")

    return app


def s13() -> ASGIApp:
    """Send a file."""
    app = FastAPI()
    app.mount("/static", StaticFiles(directory=STATIC))
    return app


def sync() -> ASGIApp:
    """Return a short str from a view without async."""
    app = FastAPI()

    @app.get("/", response_class=HTMLResponse)
    def index() -> str:
        return TEXT

    return app
