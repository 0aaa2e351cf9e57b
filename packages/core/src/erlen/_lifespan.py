"""Layer 3: what an application does before its first request and after its last.

Over WSGI no server says when it begins and ends: it is before the first request,
and when the process ends. `_asgi_lifespan` is for servers that say it.
"""

from __future__ import annotations

import inspect
import threading
import typing as t

_lock = threading.RLock()


def begin_here(app: t.Any) -> None:
    """Run the start-up functions over WSGI, before the first request.

    What one raises is raised here, and the next request tries again.
    """
    with _lock:
        if app._begun:
            return
        for function in app._startup_funcs:
            with app.app_context():
                app.ensure_sync(function)()
        app._begun = True
        end_at_exit(app)


def end_at_exit(app: t.Any) -> None:
    """Let the shutdown functions run when this process ends."""
    if app._shutdown_funcs:
        from ._later import at_exit

        at_exit(end_here, app)


def end_here(app: t.Any) -> None:
    """Run the shutdown functions when the process ends, if they have not run."""
    import asyncio  # loaded already where something is asynchronous

    if not app._begun:
        return
    app._begun = False
    for function in reversed(app._shutdown_funcs):
        with app.app_context():
            try:
                if inspect.iscoroutinefunction(function):
                    # Not by asgiref, which needs threads: there are no new ones now.
                    asyncio.run(function())
                else:
                    function()
            except Exception:
                app.logger.exception("A shutdown function failed: %r", function)
