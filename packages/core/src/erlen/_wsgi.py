"""Layer 4: the WSGI door, the synchronous driver of the steps."""

from __future__ import annotations

import typing as t

from . import _state
from ._lifespan import begin_here
from ._mounts import find_mounted

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIEnvironment

    from ._protocols import Door


def wsgi_app(
    self: Door, environ: WSGIEnvironment, start_response: StartResponse
) -> cabc.Iterable[bytes]:
    """Serve one request, as a WSGI application; middleware wraps this.

    Args:
        self: The application; this is its method.
        environ: The WSGI environ.
        start_response: Takes status and headers.

    Returns:
        The body, in pieces. The request's context is closed by then, unless
        the body keeps it (`stream_with_context`).
    """
    if not self._begun:
        begin_here(self)
    if self._mounts and (found := find_mounted(self, environ)):
        mounted, inner = found
        return mounted(inner, start_response)
    ctx = self.request_context(environ)
    error: BaseException | None = None
    try:
        try:
            ctx.push()
            return self.full_dispatch_request()(environ, start_response)
        except Exception as exc:  # noqa: BLE001  # answered by a 500
            error = exc
            return self.handle_exception(exc)(environ, start_response)
        except BaseException as exc:
            error = exc
            raise
    finally:
        if "werkzeug.debug.preserve_context" in environ:
            for kept in _state.current.get():
                environ["werkzeug.debug.preserve_context"](kept)
        if error is not None and self.should_ignore_error(error):
            error = None
        ctx.pop(error)
        error = None  # this frame is in its traceback: no cycle
