"""Layer 4: the ASGI door, `app.asgi`.

It makes the request's context of the scope, lets `_flow` drive the steps, and
sends what comes of them. Where the steps themselves are replaced, or another
application is asked, that runs as it is under WSGI, in a worker.
"""

from __future__ import annotations

import typing as t
from asyncio import CancelledError
from asyncio import get_running_loop
from itertools import chain

from werkzeug.wsgi import ClosingIterator

from ._asgi_lifespan import begin
from ._asgi_lifespan import check_door
from ._asgi_lifespan import serve_lifespan
from ._derived import decode_wsgi
from ._environ import make_environ
from ._flow import ScopeContext
from ._flow import live
from ._flow import travel
from ._forwarded import trust_scope
from ._mounts import find_mounted
from ._sending import close_body
from ._sending import send_reply
from ._workers import Workers
from .wrappers import Request

if t.TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from _typeshed.wsgi import WSGIEnvironment

    from ._environ import Receive
    from ._environ import Scope
    from ._environ import Send
    from ._sending import Reply


class AsgiDoor:
    """An application as an ASGI 3 application.

    Servers take an object of a class with `async def __call__` for ASGI 3, and
    a function or a method for what they guess.
    """

    def __init__(self, app: t.Any) -> None:
        self._app = app
        self._workers: Workers | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection: a request, a WebSocket, or the server's own life."""
        app = self._app
        workers = self._workers
        # PERF: a request that nothing special is asked for is served right here.
        if (
            workers is None
            or workers.loop is not get_running_loop()
            or not app._begun
            or scope["type"] != "http"
            or app._mounts
            or app._overridden
            or app.config["PROXY_HOPS"]
        ):
            other = await self._find_other_way(scope, receive, send)
            if other is None:
                return
            scope, workers = other
        request = app.request_class._of_scope(scope, receive, workers)
        ctx = ScopeContext(app, None, request)  # type: ignore[arg-type]  # the request makes it
        coroutine = live(app, ctx)
        try:
            asked = coroutine.send(None)
        except StopIteration as end:
            reply = end.value  # without having waited
        else:
            reply = await _go_on(ctx, coroutine, asked)
        await send_reply(workers, request, reply, send)

    # What a WSGI server's users read, as it calls this without a `send`.
    __call__.__qualname__ = (
        "This is the ASGI door of the application: give a WSGI server `module:app`,"
        " not `module:app.asgi`. AsgiDoor.__call__"
    )

    async def _find_other_way(
        self, scope: Scope, receive: Receive, send: Send
    ) -> tuple[Scope, Workers] | None:
        """Serve what is no plain request, else return how it is to be served."""
        app = self._app
        workers = self._workers
        loop = get_running_loop()
        if workers is None or workers.loop is not loop:
            workers = self._workers = Workers(app.config["ASGI_THREADS"], loop)
        kind = scope["type"]
        if kind == "lifespan":
            await serve_lifespan(app, workers, receive, send)
            return None
        if not app._begun:
            await begin(app, workers)
        if app.config["PROXY_HOPS"]:
            scope = trust_scope(scope, app.config["PROXY_HOPS"])
        wrapped = kind == "http" and "wsgi_app" in app._overridden
        mounted = (
            app._mounts and not wrapped and find_mounted_scope(app, workers, scope)
        )
        if mounted:
            await mounted[0](mounted[1], receive, send)
        elif kind == "websocket":
            from ._websocket import serve_websocket

            await serve_websocket(app, workers, scope, receive, send)
        elif app._overridden:
            check_door(app)
            await serve_wsgi(app.wsgi_app, workers, scope, receive, send)
        else:
            return scope, workers
        return None


async def _go_on(ctx: ScopeContext, coroutine: t.Any, asked: t.Any) -> Reply:
    """Let a request go on that has something to wait for."""
    try:
        return t.cast("Reply", await travel(ctx, coroutine, asked))
    except CancelledError:
        if ctx.result is not None:  # it has ended all the same, and nobody sends it
            await close_body(ctx.workers, ctx.result[2])
        raise
    finally:
        ctx.result = ctx.context = None  # both may have the context: no cycle


def find_mounted_scope(
    app: t.Any, workers: Workers, scope: Scope
) -> tuple[t.Any, Scope] | None:
    """Find the application mounted where a connection goes, and make its scope."""
    found: t.Any = find_mounted(app, make_environ(scope, None))
    if found is None:
        return None
    application, environ = found
    root, path = map(decode_wsgi, (environ["SCRIPT_NAME"], environ["PATH_INFO"]))
    inner = scope | {"root_path": root, "path": root + path}
    return getattr(application, "asgi", None) or WsgiDoor(application, workers), inner


class WsgiDoor:
    """Another WSGI application behind the ASGI door."""

    def __init__(self, application: WSGIApplication, workers: Workers) -> None:
        self._application = application
        self._workers = workers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request in a worker; a WebSocket has no way into WSGI."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        await serve_wsgi(self._application, self._workers, scope, receive, send)


async def serve_wsgi(
    application: WSGIApplication,
    workers: Workers,
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    """Serve one request by a WSGI application, in one way to a worker."""
    request = Request._of_scope(scope, receive, workers)
    said: list[t.Any] = []
    try:
        try:
            await workers.run(call_wsgi, application, request.environ, said)
        except CancelledError:
            if said:
                await close_body(workers, said[2])
            raise
        status, headers, pieces = said
        reply = int(status[:3]), headers, pieces
        await send_reply(workers, request, reply, send)
    finally:
        request.close()


def call_wsgi(
    application: WSGIApplication, environ: WSGIEnvironment, reply: list[t.Any]
) -> None:
    """Call a WSGI application until it has said status and headers.

    Args:
        application: The WSGI application.
        environ: The WSGI environ.
        reply: Gets the status, the headers and the body.

    Raises:
        RuntimeError: It has said none before its first piece.
    """
    said: list[t.Any] = []
    written: list[bytes] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], exc_info: t.Any = None
    ) -> t.Callable[[bytes], t.Any]:
        said[:] = [status, headers]
        return written.append

    body: t.Any = application(environ, start_response)
    close = getattr(body, "close", None)
    items = body
    try:
        if not said:  # a generator says it with its first piece
            items = iter(body)
            written += [next(items, b"")]
        if not said:
            raise RuntimeError(  # noqa: TRY301  # the body is closed for it, too
                f"The WSGI application {application!r} has not called start_response"
                " before the first piece of its body."
            )
    except BaseException:
        if close is not None:
            close()
        raise
    if body.__class__ is list:
        body = [b"".join((*written, *body))]  # as `Reply` has a list
    elif written:
        body = ClosingIterator(chain(written, items), close)
    reply += [*said, body]
