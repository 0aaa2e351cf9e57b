"""Layer 1: what a request derives from its environ, each when it is asked for."""

from __future__ import annotations

import typing as t

from werkzeug.datastructures import EnvironHeaders


def decode_wsgi(value: str) -> str:
    """Decode a WSGI string (bytes as Latin-1) as UTF-8, bad bytes replaced."""
    if value.isascii():
        return value
    return value.encode("latin1").decode(errors="replace")


def server(request: t.Any) -> tuple[str, int | None] | None:
    """Return name and port of the server; a socket file has no port."""
    environ = request.environ
    name = environ.get("SERVER_NAME")
    if name is None:
        return None
    try:
        return name, int(environ.get("SERVER_PORT", ""))
    except ValueError:
        return name, None  # a unix socket


def root_path(request: t.Any) -> str:
    """Return where the application is mounted, without a slash at the end."""
    return decode_wsgi(request.environ.get("SCRIPT_NAME") or "").rstrip("/")


def path(request: t.Any) -> str:
    """Return the path below that, with a slash at the beginning."""
    return "/" + decode_wsgi(request.environ.get("PATH_INFO") or "").lstrip("/")


def query_string(request: t.Any) -> bytes:
    """Return the query as bytes."""
    query: str = request.environ.get("QUERY_STRING", "")
    raw = query.encode("latin1")
    if query.isascii():
        return raw
    # Bytes that are no UTF-8 are quoted, as `args` does it, which would raise here.
    return raw.decode(errors="werkzeug.url_quote").encode()


def scheme(request: t.Any) -> str:
    """Return `http` or `https`."""
    return t.cast("str", request.environ.get("wsgi.url_scheme", "http"))


def remote_addr(request: t.Any) -> str | None:
    """Return the address of the client."""
    return t.cast("str | None", request.environ.get("REMOTE_ADDR"))


def headers(request: t.Any) -> EnvironHeaders:
    """Return the headers, as a view of the environ."""
    return EnvironHeaders(request.environ)
