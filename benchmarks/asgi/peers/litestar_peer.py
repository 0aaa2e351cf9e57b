"""Litestar, as its users write it."""

# Annotations are read at run time, also those of functions in functions.
# ruff: noqa: TC001, TC002, TC003

import collections.abc as cabc
import typing as t

from litestar import Litestar
from litestar import MediaType
from litestar import Request
from litestar import Response
from litestar import get
from litestar import post
from litestar.datastructures import MutableScopeHeaders
from litestar.datastructures import UploadFile
from litestar.middleware import ASGIMiddleware
from litestar.params import FromCookie
from litestar.params import FromPath
from litestar.params import FromQuery
from litestar.params import HeaderParameter
from litestar.params import JSONBody
from litestar.params import MultipartBody
from litestar.params import URLEncodedBody
from litestar.response import Stream
from litestar.response import Template
from litestar.static_files import create_static_files_router
from litestar.template.config import TemplateConfig
from litestar.types import ASGIApp as App
from litestar.types import Message
from litestar.types import Receive
from litestar.types import Scope
from litestar.types import Send

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

NEEDS = {"s7": "jinja2", "s8": "cryptography"}


def _app(handlers: list[t.Any], **more: t.Any) -> Litestar:
    # Its logging would be that of all peers in this process.
    return Litestar(handlers, logging_config=None, **more)


def s1() -> ASGIApp:
    """Return a short str."""

    @get("/", media_type=MediaType.HTML)
    async def index() -> str:
        return TEXT

    return _app([index])


def s2() -> ASGIApp:
    """Return a small object, encoded at each request."""

    @get("/")
    async def index() -> dict[str, t.Any]:
        return SMALL

    return _app([index])


def s3() -> ASGIApp:
    """Route `{id:int}` among 300 routes."""

    async def items() -> str:
        return "items"

    async def item(id: FromPath[int]) -> str:
        return f"item {id}"

    async def parts(id: FromPath[int]) -> str:
        return f"parts of {id}"

    handlers = []
    for name in COLLECTIONS:
        for path, view in (
            (f"/{name}", items),
            (f"/{name}/{{id:int}}", item),
            (f"/{name}/{{id:int}}/parts", parts),
        ):
            handlers.append(get(path, media_type=MediaType.HTML)(view))
    return _app(handlers)


def s4() -> ASGIApp:
    """Read a query, a header and a cookie; set a cookie and two headers."""

    @get("/", media_type=MediaType.HTML)
    async def index(
        q: FromQuery[str],
        token: t.Annotated[str, HeaderParameter(name="X-Token")],
        theme: FromCookie[str],
    ) -> Response[str]:
        headers = {"X-One": "1", "X-Two": "2"}
        response = Response(f"{q} {token} {theme}", headers=headers)
        response.set_cookie("seen", "yes")
        return response

    return _app([index])


def s5() -> ASGIApp:
    """Read JSON."""

    @post("/", status_code=200)
    async def index(data: JSONBody[dict[str, t.Any]]) -> dict[str, t.Any]:
        return {"name": data["name"], "items": len(data["items"])}

    return _app([index])


def s6() -> ASGIApp:
    """Read a form."""

    @post("/", media_type=MediaType.HTML, status_code=200)
    async def index(data: URLEncodedBody[dict[str, str]]) -> str:
        return " ".join(data[name] for name in FIELDS)

    return _app([index])


def s7() -> ASGIApp:
    """Render 20 rows."""
    from litestar.plugins.jinja import JinjaTemplateEngine

    @get("/")
    async def index() -> Template:
        return Template("rows.html", context={"title": TITLE, "rows": ROWS})

    config = TemplateConfig(directory=TEMPLATES, engine=JinjaTemplateEngine)
    return _app([index], template_config=config)


def s8() -> ASGIApp:
    """Count in a session; its cookie is encrypted, not only signed."""
    from litestar.middleware.session.client_side import CookieBackendConfig

    @get("/", media_type=MediaType.HTML)
    async def index(request: Request[t.Any, t.Any, t.Any]) -> str:
        count = request.session.get("count", 0) + 1
        request.session["count"] = count
        return str(count)

    config = CookieBackendConfig(secret=b"sixteen bytes of")
    return _app([index], middleware=[config.middleware])


def s9() -> ASGIApp:
    """Know nothing of the path."""
    return s1()


def s10() -> ASGIApp:
    """Do something twice before the view, and twice after it.

    `before_request` and `after_request` take one function each: two of each are
    middleware.
    """

    class First(ASGIMiddleware):
        async def handle(
            self, scope: Scope, receive: Receive, send: Send, next_app: App
        ) -> None:
            async def send_wrapper(message: Message) -> None:
                if message["type"] == "http.response.start":
                    MutableScopeHeaders.from_message(message)["X-Three"] = "3"
                await send(message)

            scope["state"]["one"] = "one"
            await next_app(scope, receive, send_wrapper)

    class Second(ASGIMiddleware):
        async def handle(
            self, scope: Scope, receive: Receive, send: Send, next_app: App
        ) -> None:
            async def send_wrapper(message: Message) -> None:
                if message["type"] == "http.response.start":
                    MutableScopeHeaders.from_message(message)["X-Four"] = "4"
                await send(message)

            scope["state"]["two"] = "two"
            await next_app(scope, receive, send_wrapper)

    @get("/", media_type=MediaType.HTML)
    async def index(request: Request[t.Any, t.Any, t.Any]) -> str:
        return f"{request.state.one} {request.state.two}"

    return _app([index], middleware=[First(), Second()])


def s11() -> ASGIApp:
    """Take a file."""

    @post("/", media_type=MediaType.HTML, status_code=200)
    async def index(data: MultipartBody[UploadFile]) -> str:
        return str(len(await data.read()))

    return _app([index])


def s12() -> ASGIApp:
    """Stream a hundred chunks."""

    async def chunks() -> cabc.AsyncIterator[bytes]:
        for _ in range(CHUNKS):
            yield CHUNK

    @get("/")
    async def index() -> Stream:
        return Stream(chunks(), media_type=MediaType.TEXT)

    return _app([index])


def s13() -> ASGIApp:
    """Send a file."""
    return _app([create_static_files_router("/static", directories=[STATIC])])


def sync() -> ASGIApp:
    """Return a short str from a view without async."""

    @get("/", media_type=MediaType.HTML, sync_to_thread=True)
    def index() -> str:
        return TEXT

    return _app([index])
