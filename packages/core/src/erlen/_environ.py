"""Layer 1: the WSGI environ of an ASGI scope.

`Request` and Werkzeug read a request from its environ; under ASGI it is made of
the scope when somebody first asks for it. What WSGI servers leave out for safety
is left out here, so that both doors see one request.
"""

from __future__ import annotations

import sys
import typing as t
from urllib.parse import unquote_to_bytes

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from _typeshed.wsgi import WSGIEnvironment

Scope = dict[str, t.Any]
Message = dict[str, t.Any]
Receive = t.Callable[[], t.Awaitable[Message]]
Send = t.Callable[[Message], t.Awaitable[None]]

_SCHEMES = {"ws": "http", "wss": "https"}

#: What each scope has.
_STANDARD = {
    *("type", "asgi", "http_version", "method", "scheme", "path", "raw_path", "state"),
    *("query_string", "root_path", "headers", "client", "server", "extensions"),
}

#: The names of headers in an environ; a client's own names fill it at most so far.
_keys = {b"content-type": "CONTENT_TYPE", b"content-length": "CONTENT_LENGTH"}
_KEYS = 512


def make_environ(scope: Scope, body: t.Any) -> WSGIEnvironment:
    """Make the environ of a request.

    Args:
        scope: Of an HTTP request or a WebSocket. What extensions and servers keep
            in it below keys that begin with `erlen.` is in the environ, too.
        body: The file object for `wsgi.input`.
    """
    server = scope.get("server") or ("localhost", None)
    script, path = split_path(scope)
    scheme: str = scope.get("scheme", "http")
    raw_path: bytes = scope.get("raw_path") or path.encode("latin-1")
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": scope.get("method", "GET"),
        "SCRIPT_NAME": script,
        "PATH_INFO": path,
        "QUERY_STRING": scope.get("query_string", b"").decode("latin-1"),
        "RAW_URI": raw_path.decode("latin-1"),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1] or ""),
        "SERVER_PROTOCOL": f"HTTP/{scope.get('http_version', '1.1')}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": _SCHEMES.get(scheme, scheme),
        "wsgi.input": body,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    if client := scope.get("client"):
        environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = client[0], str(client[1])
    if query := environ["QUERY_STRING"]:
        environ["RAW_URI"] += f"?{query}"
    _add_headers(environ, scope["headers"])
    for key in scope.keys() - _STANDARD:
        if key.startswith(("erlen.", "werkzeug.")):
            environ[key] = scope[key]
    return environ


def split_path(scope: Scope) -> tuple[str, str]:
    """Return SCRIPT_NAME and PATH_INFO: bytes, held as Latin-1."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    if not path.isascii():
        # The server has put signs for bytes that are no UTF-8; WSGI has the bytes.
        raw: bytes = unquote_to_bytes(scope.get("raw_path") or b"")
        if raw.decode(errors="replace") != path:
            raw = path.encode(errors="replace")
        path = raw.decode("latin-1")
    if root:
        root = root.encode(errors="replace").decode("latin-1")
        if path == root or path.startswith(f"{root}/"):
            path = path[len(root) :]
    return root, path


def _add_headers(
    environ: WSGIEnvironment, headers: cabc.Iterable[tuple[bytes, bytes]]
) -> None:
    for raw_name, raw_value in headers:
        key = _keys.get(raw_name) or _name(raw_name)
        value = raw_value.decode("latin-1")
        if key in environ:
            joint = "; " if key == "HTTP_COOKIE" else ","
            value = f"{environ[key]}{joint}{value}"
        environ[key] = value
    # Names with an underscore cannot be told from those with a hyphen.
    environ.pop("", None)


def _name(raw_name: bytes) -> str:
    name = raw_name.lower()
    key = "" if b"_" in name else f"HTTP_{name.decode('latin-1').upper()}"
    key = _keys.get(name) or key.replace("-", "_")
    if len(_keys) < _KEYS:
        _keys[raw_name] = key
    return key
