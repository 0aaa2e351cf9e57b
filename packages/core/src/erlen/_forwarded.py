"""Layer 1: what trusted proxies say of the client, `PROXY_HOPS`.

One setting instead of middleware made by hand, applied where a request's
context is made, and so through every door.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from werkzeug.middleware.proxy_fix import ProxyFix

from ._environ import make_environ

if t.TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIEnvironment

    from ._environ import Scope

#: Where the values that the server gave are kept; nothing is trusted twice.
_ORIGINAL = "werkzeug.proxy_fix.orig"

_KINDS = ("for", "proto", "host", "port", "prefix")

#: The scheme of a request, from what a proxy calls it.
_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


def trust_proxies(environ: WSGIEnvironment, hops: t.Any) -> None:
    """Replace what the last proxy says by what the first trusted one says.

    Args:
        environ: The WSGI environ; it is changed, the values that the server
            gave stay under `werkzeug.proxy_fix.orig`.
        hops: The number of proxies in front, each of which sets
            X-Forwarded-For, -Proto and -Host; or a mapping of `for`, `proto`,
            `host`, `port` and `prefix` to such numbers.

    Raises:
        ValueError: `hops` is neither; the message names the setting.
    """
    if _ORIGINAL in environ:
        return
    counts = _counts(hops)
    scheme: str = environ["wsgi.url_scheme"]
    ProxyFix(_nothing, **counts)(environ, _nothing_started)
    # Some proxies say "wss", and a client that one lets through says anything.
    said: str = environ["wsgi.url_scheme"].lower()
    environ["wsgi.url_scheme"] = _SCHEMES.get(said, scheme)
    if counts["x_prefix"]:
        # One slash in front: "//host" or "host" would be read as a host in URLs.
        prefix = environ.get("SCRIPT_NAME", "").strip("/")
        environ["SCRIPT_NAME"] = prefix and f"/{prefix}"


def trust_scope(scope: Scope, hops: t.Any) -> Scope:
    """Return an ASGI scope with what the first trusted proxy says.

    Args:
        scope: Of the last proxy's connection; it is left as it is.
        hops: As for `trust_proxies`.
    """
    environ = make_environ(scope, None)
    trust_proxies(environ, hops)
    host = environ.get("HTTP_HOST", "").encode("latin-1")
    headers = [pair for pair in scope["headers"] if pair[0].lower() != b"host"]
    root = environ["SCRIPT_NAME"].encode("latin-1").decode(errors="replace")
    path = environ["PATH_INFO"].encode("latin-1").decode(errors="replace")
    return scope | {
        "headers": [(b"host", host), *headers] if "HTTP_HOST" in environ else headers,
        "scheme": environ["wsgi.url_scheme"],
        "client": (environ["REMOTE_ADDR"], 0) if "REMOTE_ADDR" in environ else None,
        "server": (environ["SERVER_NAME"], environ["SERVER_PORT"]),
        "root_path": root,
        "path": root + path,
        _ORIGINAL: environ[_ORIGINAL],
    }


def _counts(hops: t.Any) -> dict[str, int]:
    counts: dict[t.Any, t.Any] = {}
    if isinstance(hops, int):
        # Not port and prefix: proxies that do not set them pass a client's own on.
        counts = {"for": hops, "proto": hops, "host": hops}
    elif isinstance(hops, cabc.Mapping):
        counts = {**t.cast("t.Any", hops)}
    if not counts or not all(
        kind in _KINDS and isinstance(count, int) and count >= 0
        for kind, count in counts.items()
    ):
        raise ValueError(
            "PROXY_HOPS is the number of trusted proxies in front, such as 1, or a"
            f" mapping of {', '.join(_KINDS)} to such numbers, but not {hops!r}."
        )
    return {f"x_{kind}": counts.get(kind, 0) for kind in _KINDS}


def _nothing(
    environ: WSGIEnvironment, start_response: StartResponse
) -> cabc.Iterable[bytes]:
    return ()


def _nothing_started(*args: t.Any) -> t.Any:
    """Stand in for `start_response`, which nothing calls."""
