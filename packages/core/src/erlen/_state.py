"""Layer 1: the one context variable.

It holds the pair (application context, request context) that is in force, so
that entering a request is one `set` and leaving it one `reset`. `_cv_app` and
`_cv_request` are two views of the pair for code that knows Flask's names.
"""

from __future__ import annotations

import threading
import typing as t
from contextvars import ContextVar

if t.TYPE_CHECKING:
    from contextvars import Token

    from ._protocols import AppContextLike
    from ._protocols import RequestContextLike

T = t.TypeVar("T")

# (AppContextLike | None, RequestContextLike | None); the classes that are put
# there have more, and whoever pushes them knows which.
Frame = tuple[t.Any, t.Any]

current: ContextVar[Frame] = ContextVar("erlen.current", default=(None, None))

#: Of a thread that runs synchronous code under ASGI: `workers`, whose one it is.
thread = threading.local()

#: The worker that waits for the coroutine that runs here, under ASGI.
lent: ContextVar[t.Any] = ContextVar("erlen.lent", default=None)

_APP_CURE = """\
Push one first: "with app.app_context():" in a script, a thread or a test;
commands get theirs from @app.cli.command() or @with_appcontext."""

_REQUEST_CURE = """\
Use it inside a view or a hook, or push a request first:
"with app.test_request_context():" in a test or a script. A thread that is
started by a view needs @copy_current_request_context."""


def outside_app(name: str) -> RuntimeError:
    """Build the error for touching `name` while no application is current."""
    return RuntimeError(
        f"Working outside of application context: {name!r} was used while no"
        f" application is current.\n\n{_APP_CURE}"
    )


def outside_request(name: str) -> RuntimeError:
    """Build the error for touching `name` while no request is current."""
    return RuntimeError(
        f"Working outside of request context: {name!r} was used while no"
        f" request is active.\n\n{_REQUEST_CURE}"
    )


def outside_websocket() -> RuntimeError:
    """Build the error for touching `websocket` while none is current."""
    return RuntimeError(
        "Working outside of a WebSocket: 'websocket' was used while none is open. Use it"
        " in an 'async def' handler that is declared by @app.websocket(), in what runs"
        " before it, or in a task that it starts and awaits."
    )


def serving_workers() -> t.Any:
    """Return the workers of the ASGI server for which this code runs, or None."""
    workers = getattr(thread, "workers", None)
    if workers is None:
        ctx = current.get()[1]
        if ctx is not None:
            workers = ctx.request._workers
    return workers


def app_context(name: str) -> AppContextLike:
    """Return the application context in force.

    Args:
        name: What the caller was asked for, named in the error.

    Raises:
        RuntimeError: No application context is pushed.
    """
    ctx = current.get()[0]
    if ctx is None:
        raise outside_app(name)
    return t.cast("AppContextLike", ctx)


def request_context(name: str) -> RequestContextLike:
    """Return the request context in force.

    Args:
        name: What the caller was asked for, named in the error.

    Raises:
        RuntimeError: No request context is pushed.
    """
    ctx = current.get()[1]
    if ctx is None:
        raise outside_request(name)
    return t.cast("RequestContextLike", ctx)


class _FrameView(t.Generic[T]):
    """One half of the current frame, with the methods of a `ContextVar`."""

    __slots__ = ("_index", "name")

    def __init__(self, name: str, index: int) -> None:
        self.name = name
        self._index = index

    def get(self, *default: t.Any) -> T:
        """Return the context in force, else `default`, else raise LookupError."""
        value = current.get()[self._index]
        if value is not None:
            return t.cast("T", value)
        if default:
            return t.cast("T", default[0])
        raise LookupError(self.name)

    def set(self, value: T | None) -> Token[Frame]:
        """Put `value` in force and return the token for `reset`."""
        frame: list[t.Any] = list(current.get())
        frame[self._index] = value
        return current.set((frame[0], frame[1]))

    def reset(self, token: Token[Frame]) -> None:
        """Put back what was in force before the `set` that gave `token`."""
        current.reset(token)


_cv_app: _FrameView[t.Any] = _FrameView("erlen.app_ctx", 0)
_cv_request: _FrameView[t.Any] = _FrameView("erlen.request_ctx", 1)
