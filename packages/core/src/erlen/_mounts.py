"""Layer 3: which mounted application a request is for."""

from __future__ import annotations

import typing as t

from ._forwarded import trust_proxies

if t.TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from _typeshed.wsgi import WSGIEnvironment


def find_mounted(
    app: t.Any, environ: WSGIEnvironment
) -> tuple[WSGIApplication, WSGIEnvironment] | None:
    """Find the application mounted where a request goes, and make its environ.

    Args:
        app: The application that has the mounts.
        environ: The WSGI environ; it is left as it is.

    Returns:
        None where the path is below no prefix.
    """
    path = environ.get("PATH_INFO", "")
    for prefix, application in app._mounts:
        raw = prefix.encode().decode("latin-1")  # as WSGI has paths
        if f"{path}/".startswith(f"{raw}/"):
            inner = environ.copy()
            if app.config["PROXY_HOPS"]:
                trust_proxies(inner, app.config["PROXY_HOPS"])
            inner["SCRIPT_NAME"] = inner.get("SCRIPT_NAME", "").rstrip("/") + raw
            inner["PATH_INFO"] = path[len(raw) :]
            return application, inner
    return None
