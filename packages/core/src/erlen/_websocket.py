"""Layer 4: WebSockets, through the ASGI door.

The handshake is a request: its hooks run in a worker, one way there for all, and
it is answered as a request where it is turned away. Then the handler has the
connection to itself. The context is left in a task that nobody cancels.
"""

from __future__ import annotations

import typing as t

from werkzeug.exceptions import Forbidden
from werkzeug.exceptions import HTTPException

from . import _sending
from ._origins import check_origin
from ._scaffold import find_handler
from .ctx import RequestContext
from .sessions import SESSION_ERRORS
from .signals import request_started
from .websockets import InvalidMessage
from .websockets import WebSocket
from .websockets import WebSocketClosed

_UPGRADE = {b"connection": b"Upgrade", b"upgrade": b"websocket"}


async def serve_websocket(
    app: t.Any, workers: t.Any, scope: t.Any, receive: t.Any, send: t.Any
) -> None:
    """Serve one WebSocket, until it is closed or turned away."""
    if (await receive())["type"] == "websocket.connect":  # and has not left already
        with _sending.lasting():
            await Connection(app, workers, scope, receive, send).serve()


class Connection:
    """One WebSocket on its way through hooks and handler."""

    def __init__(
        self, app: t.Any, workers: t.Any, scope: t.Any, receive: t.Any, send: t.Any
    ) -> None:
        # Over HTTP/2 there are none, and some servers keep them for themselves.
        headers = [it for it in scope["headers"] if it[0].lower() not in _UPGRADE]
        scope = scope | {"method": "GET", "headers": [*headers, *_UPGRADE.items()]}
        request = app.request_class._of_scope(scope, receive, workers)
        request._body.ended = True  # it has none
        self.app, self.workers, self.request = app, workers, request
        self.ctx: t.Any = RequestContext(app, None, request)  # type: ignore[arg-type]  # the request makes it
        self.error: BaseException | None = None
        self.websocket = WebSocket(request, receive, send, self._save_session)
        request._websocket = self.websocket

    async def serve(self) -> None:
        """Serve it to its end, and leave the context whatever happens."""
        websocket = self.websocket
        try:
            outcome = await self._run()
            if not websocket.answered:
                answer = await self.workers.run(self._make_answer, outcome)
                await websocket._turn_away(*answer)
            elif isinstance(outcome, Exception):
                await self._fail(outcome)
            await websocket.close()
        except BaseException as exc:
            self.error = exc
            raise
        finally:
            outcome = None  # it may have this frame: no cycle
            await _sending._to_the_end(self._leave())

    async def _run(self) -> t.Any:
        """Run hooks and handler; return what came of it, also what was raised."""
        try:
            rv = await self.workers.run(self._begin)
            if rv is None:
                handler = find_handler(self.ctx._plan.declared.view)
                rv = await handler(**self.request.view_args)
            if rv is None and not self.websocket.answered:
                rv = Forbidden("Nobody accepted the WebSocket.")
        except Exception as exc:  # noqa: BLE001  # whatever a handler raises is handled
            return exc
        return rv

    def _begin(self) -> t.Any:
        """In a worker: enter the context, and run what comes before the handler."""
        app, ctx, request = self.app, self.ctx, self.request
        ctx.push()
        app._got_first_request = True
        check_origin(app, request)
        if request_started.receivers:
            request_started.send(app, _async_wrapper=app.ensure_sync)
        if app.session_interface.waits and request._has_cookie and ctx._session is None:
            ctx._open_session_ahead()
        rv = app.preprocess_request()
        if rv is None and request.routing_exception is not None:
            app.raise_routing_exception(request)
        app._plan(ctx)
        return rv

    def _make_answer(self, rv: t.Any) -> tuple[int, t.Any, bytes]:
        """In a worker: answer a handshake that is turned away."""
        app = self.app
        try:
            if isinstance(rv, Exception):
                rv = app.handle_user_exception(rv)
            response = app.finalize_request(rv)
        except Exception as exc:  # noqa: BLE001  # answered by a 500
            self.error = exc
            response = app.handle_exception(exc)
        rv = None  # an HTTP error is in its own frames: no cycle
        try:
            answer = response.get_wsgi_response(self.request.environ)
            return int(answer[1][:3]), answer[2], b"".join(answer[0])
        finally:
            response.close()

    async def _fail(self, exc: Exception) -> None:
        """Close because of an error after the handshake was accepted."""
        websocket = self.websocket
        if is_only(exc, InvalidMessage):
            await websocket.close(1007, "The message is invalid.")
        elif isinstance(exc, HTTPException) and (exc.code or 500) < 500:
            await websocket.close(1008, exc.name)
        elif not (websocket.closed and is_only(exc, WebSocketClosed)):
            self.error = exc
            await websocket.close(1011)
            await self.workers.run(self.app._report, exc)

    async def _save_session(self) -> list[str]:
        """Save the session before the handshake is accepted; return its cookies."""
        ctx, response = self.ctx, self.app.response_class()
        if ctx._session is not None or self.request._has_cookie:
            save = self.app._save_session
            if self.app.session_interface.waits:
                await self.workers.run(save, ctx, response)
            else:
                save(ctx, response)
        session = self.ctx._session
        if getattr(session.__class__, "modified", None) is False:
            session.modified = False  # what is changed from now on is told apart
        return t.cast("list[str]", response.headers.getlist("Set-Cookie"))

    async def _leave(self) -> None:
        try:
            if self.ctx._pushes is not None:
                await self.workers.run(self._end)
        finally:
            await self.websocket._leave()
            del self.request._websocket, self.websocket, self.error  # no cycle

    def _end(self) -> None:
        """In a worker: save the session if that needs no cookie; leave the context."""
        app, ctx, session = self.app, self.ctx, self.ctx._session
        try:
            if self.websocket.accepted and session is not None and session.modified:
                if app.session_interface.waits:
                    app._save_session(ctx, app.response_class())
                elif app.debug:
                    app.logger.warning("The session was changed after accept(): lost.")
        except SESSION_ERRORS as exc:
            app.logger.warning("The session of a WebSocket was not saved: %s", exc)
        finally:
            ignored = self.error is not None and app.should_ignore_error(self.error)
            ctx.pop(None if ignored else self.error)


def is_only(exc: t.Any, kind: type[Exception]) -> bool:
    """Say whether that is all that was raised, also by a group of tasks."""
    if isinstance(exc, ExceptionGroup):
        return t.cast("t.Any", exc).split(kind)[1] is None
    return isinstance(exc, kind)
