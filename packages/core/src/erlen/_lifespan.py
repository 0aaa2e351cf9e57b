"""Layer 3: what an application does before its first request and after its last.

Over WSGI no server says when it begins and ends: it is before the first request,
and when the process ends. `_asgi_lifespan` is for servers that say it.
"""

from __future__ import annotations

import threading
import typing as t
import weakref

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

        at_exit(end_here, weakref.ref(app))


def end_here(reference: weakref.ref[t.Any]) -> None:
    """Run the shutdown functions when the process ends, if they have not run.

    Args:
        reference: Of the application, which need not live until then.
    """
    import asyncio  # loaded already where something is asynchronous

    app = reference()
    if app is None or not app._begun:
        return
    app._begun = False
    for function in reversed(app._shutdown_funcs):
        with app.app_context():
            try:
                result = function()
                if asyncio.iscoroutine(result):
                    # Not by asgiref, which needs threads: there are no new ones now.
                    asyncio.run(result)
            except Exception:
                app.logger.exception("A shutdown function failed: %r", function)
