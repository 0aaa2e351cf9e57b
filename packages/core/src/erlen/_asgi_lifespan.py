"""Layer 3: the life of an application as an ASGI server tells it."""

from __future__ import annotations

import asyncio
import inspect
import traceback
import typing as t

from ._lifespan import end_at_exit
from ._sending import finish

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from ._environ import Receive
    from ._environ import Send
    from ._workers import Workers

_WRAPPED = """\
`app.wsgi_app` of {app!r} is wrapped or replaced, by {name!r}, and the ASGI door does not
go through it. Wrap `app.asgi` by ASGI middleware instead; or set
ASGI_RUN_WSGI_MIDDLEWARE=True, and each request is served through `wsgi_app` in a worker
thread. For proxies there is PROXY_HOPS."""


def check_door(app: t.Any) -> None:
    """Refuse an application that cannot be served through the ASGI door as it is.

    Raises:
        RuntimeError: Its WSGI middleware would be left out.
        ValueError: `ASGI_THREADS` is no number of threads.
    """
    threads = app.config["ASGI_THREADS"]
    if not isinstance(threads, int) or threads < 1:
        raise ValueError(
            "ASGI_THREADS is the number of threads in which plain functions run at the"
            f" same time, at least 1, but not {threads!r}."
        )
    if "wsgi_app" in app._overridden and not app.config["ASGI_RUN_WSGI_MIDDLEWARE"]:
        name = getattr(app.wsgi_app, "__qualname__", type(app.wsgi_app).__qualname__)
        raise RuntimeError(_WRAPPED.format(app=app, name=name))


async def begin(app: t.Any, workers: Workers) -> None:
    """Run the start-up functions, where a server does not say when it begins."""
    await _begin_once(app, workers)
    end_at_exit(app)


async def _begin_once(app: t.Any, workers: Workers) -> None:
    check_door(app)
    while not app._begun:
        running: asyncio.Future[None] | None = app._beginning
        if running is None or running.get_loop() is not workers.loop:
            running = app._beginning = asyncio.ensure_future(_begin(app, workers))
        await asyncio.shield(running)


async def _begin(app: t.Any, workers: Workers) -> None:
    try:
        for function in app._startup_funcs:
            await _call(app, workers, function)
        app._begun = True
    finally:
        app._beginning = None  # the next request tries again


async def end(app: t.Any, workers: Workers) -> None:
    """Finish what goes on after answers, then run the shutdown functions.

    The last that was declared is the first; all of them run.

    Raises:
        Exception: What one of them raised; a group where several did.
    """
    await finish()
    errors: list[Exception] = []
    app._begun = False
    for function in reversed(app._shutdown_funcs):
        try:
            await _call(app, workers, function)
        except Exception as exc:  # noqa: BLE001  # raised after the last
            errors.append(exc)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ExceptionGroup("several shutdown functions failed", errors)


async def _call(app: t.Any, workers: Workers, function: t.Callable[[], t.Any]) -> None:
    """Call a function in an application context, which is left in a worker."""
    ctx = app.app_context()
    await workers.run(ctx.push)
    error: BaseException | None = None
    try:
        if inspect.iscoroutinefunction(function):
            await function()
        else:
            await workers.run(function)
    except BaseException as exc:
        error = exc
        raise
    finally:
        await workers.hop(True, ctx.pop, error)
        error = None  # this frame is in its traceback: no cycle


async def serve_lifespan(
    app: t.Any, workers: Workers, receive: Receive, send: Send
) -> None:
    """Serve the server's own life: begin when it begins, end when it ends."""
    await receive()
    if not await _report(send, "startup", _begin_once(app, workers)):
        return
    await receive()
    await _report(send, "shutdown", end(app, workers))


async def _report(
    send: Send, what: str, work: cabc.Coroutine[t.Any, t.Any, None]
) -> bool:
    try:
        await work
    except Exception:  # noqa: BLE001  # the server prints it and ends
        message = traceback.format_exc()
        await send({"type": f"lifespan.{what}.failed", "message": message})
        return False
    await send({"type": f"lifespan.{what}.complete"})
    return True
