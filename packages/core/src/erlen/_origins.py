"""Layer 1: which sites' pages may open connections, by what browsers say of them.

A WebSocket comes with the cookies of this site, whichever page opens it, and
nothing but its `Origin` tells them apart.
"""

from __future__ import annotations

import re
import typing as t

from werkzeug.exceptions import Forbidden

if t.TYPE_CHECKING:
    from werkzeug.wrappers import Request

_ORIGIN = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[^\s/?#@:\\\[\]]+)(?::(\d+))?")

_PORTS = {"http": "80", "https": "443"}

_CURE = """\
 This site's own is %r. Set PROXY_HOPS if a proxy in front changes scheme or host, or list
the origin in WEBSOCKET_ORIGINS."""


def check_origin(app: t.Any, request: Request) -> None:
    """Refuse a WebSocket that a page of another site opens.

    Raises:
        Forbidden: 403, its Origin is neither this site's own nor in the setting
            `WEBSOCKET_ORIGINS`.
    """
    origin = request.headers.get("Origin")
    if origin is None:  # not a browser
        return
    own = f"{request.scheme}://{request.host or '(no valid host)'}"
    listed: t.Any = app.config["WEBSOCKET_ORIGINS"] or ()
    listed = listed.split(",") if isinstance(listed, str) else listed
    allowed = {normalize(it) for it in (own, *listed)}
    if normalize(origin) not in allowed and "*" not in allowed:
        cure = _CURE % own if app.debug else ""
        raise Forbidden(f"WebSockets of pages from {origin!r} are refused.{cure}")


def normalize(origin: str) -> str:
    """Write an origin in one way: small letters, punycode, no port of its scheme."""
    origin = origin.strip().lower()
    match = _ORIGIN.fullmatch(origin)
    if match is None:
        return origin
    scheme, host, port = match.groups()
    if not host.isascii():
        try:
            host = host.encode("idna").decode()
        except UnicodeError:
            return origin
    return f"{scheme}://{host}" + (
        f":{port}" if port and port != _PORTS[scheme] else ""
    )
