from __future__ import annotations

import sys

import pytest

from erlen import _environ
from erlen._environ import make_environ
from erlen._environ import split_path

SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0"},
    "http_version": "1.1",
    "method": "POST",
    "scheme": "https",
    "path": "/a b",
    "raw_path": b"/a%20b",
    "query_string": b"x=%C3%A9",
    "root_path": "",
    "headers": [(b"host", b"shop.test")],
    "client": ("192.0.2.1", 5000),
    "server": ("10.0.0.1", 8443),
}


def test_an_environ():
    body = object()
    assert make_environ(SCOPE, body) == {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a b",
        "QUERY_STRING": "x=%C3%A9",
        "RAW_URI": "/a%20b?x=%C3%A9",
        "SERVER_NAME": "10.0.0.1",
        "SERVER_PORT": "8443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.1",
        "REMOTE_PORT": "5000",
        "HTTP_HOST": "shop.test",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.input": body,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }


def test_what_a_scope_may_leave_out():
    environ = make_environ({"type": "websocket", "path": "/", "headers": []}, None)

    assert environ["REQUEST_METHOD"] == "GET"
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["RAW_URI"] == "/"
    assert environ["QUERY_STRING"] == ""
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("localhost", "")
    assert not {"REMOTE_ADDR", "REMOTE_PORT"} & environ.keys()


@pytest.mark.parametrize(
    ("given", "key", "expected"),
    [
        ({"scheme": "ws"}, "wsgi.url_scheme", "http"),
        ({"scheme": "wss"}, "wsgi.url_scheme", "https"),
        ({"server": None}, "SERVER_NAME", "localhost"),
        ({"server": ("/run/app.sock", None)}, "SERVER_NAME", "/run/app.sock"),
        ({"server": ("/run/app.sock", None)}, "SERVER_PORT", ""),
        ({"client": None}, "REMOTE_ADDR", None),
        ({"http_version": "2"}, "SERVER_PROTOCOL", "HTTP/2"),
        ({"query_string": b"\xff"}, "QUERY_STRING", "\xff"),
        ({"query_string": b""}, "RAW_URI", "/a%20b"),
        ({"erlen.thing": 1}, "erlen.thing", 1),
        ({"werkzeug.debug": 2}, "werkzeug.debug", 2),
        ({"extensions": {}}, "extensions", None),
        ({"state": {}}, "state", None),
        ({"other.thing": 3}, "other.thing", None),
    ],
)
def test_parts(given, key, expected):
    assert make_environ(SCOPE | given, None).get(key) == expected


# Headers


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([(b"content-type", b"text/x")], {"CONTENT_TYPE": "text/x"}),
        ([(b"Content-Length", b"3")], {"CONTENT_LENGTH": "3"}),
        ([(b"x-name", b"\xe9")], {"HTTP_X_NAME": "\xe9"}),
        ([(b"X-Name", b"a")], {"HTTP_X_NAME": "a"}),
        ([(b"x-a", b"1"), (b"x-a", b"2")], {"HTTP_X_A": "1,2"}),
        ([(b"cookie", b"a=1"), (b"cookie", b"b=2")], {"HTTP_COOKIE": "a=1; b=2"}),
        ([(b"x_a", b"1")], {}),
        ([(b"x_a", b"1"), (b"x-a", b"2"), (b"x_a", b"3")], {"HTTP_X_A": "2"}),
        ([(b"content_length", b"9")], {}),
    ],
)
@pytest.mark.parametrize("kept", [0, 512])
def test_headers(monkeypatch, headers, expected, kept):
    known = {b"content-type": "CONTENT_TYPE", b"content-length": "CONTENT_LENGTH"}
    monkeypatch.setattr(_environ, "_keys", known)
    monkeypatch.setattr(_environ, "_KEYS", kept)

    for _ in range(2):
        environ = make_environ(SCOPE | {"headers": headers}, None)
        found = {
            key: value
            for key, value in environ.items()
            if key.startswith(("HTTP_", "CONTENT_")) or not key
        }
        assert found == expected


def test_names_of_clients_do_not_fill_the_memory(monkeypatch):
    known = {b"content-type": "CONTENT_TYPE"}
    monkeypatch.setattr(_environ, "_keys", known)
    headers = [(b"x-%d" % number, b"y") for number in range(2000)]

    environ = make_environ(SCOPE | {"headers": headers}, None)

    assert len(known) == _environ._KEYS
    assert environ["HTTP_X_1999"] == "y"


# Paths


@pytest.mark.parametrize(
    ("path", "root", "raw", "expected"),
    [
        ("/a", "", b"/a", ("", "/a")),
        ("/api/a", "/api", b"/api/a", ("/api", "/a")),
        ("/a", "/api", b"/a", ("/api", "/a")),
        ("/api", "/api", b"/api", ("/api", "")),
        ("/api2/a", "/api", b"/api2/a", ("/api", "/api2/a")),
        ("/api/a", "/api/", b"/api/a", ("/api", "/a")),
        ("/\N{SNOWMAN}", "", b"/%E2%98%83", ("", "/\xe2\x98\x83")),
        ("/\N{SNOWMAN}", "", None, ("", "/\xe2\x98\x83")),
        ("/\N{SNOWMAN}/a", "/\N{SNOWMAN}", b"", ("/\xe2\x98\x83", "/a")),
        ("/\N{REPLACEMENT CHARACTER}", "", b"/%FF", ("", "/\xff")),
        ("/other\xe9", "", b"/%FF", ("", "/other\xc3\xa9")),
        ("/\ud800", "", b"", ("", "/?")),
    ],
)
def test_paths(path, root, raw, expected):
    scope = SCOPE | {"path": path, "root_path": root, "raw_path": raw}

    assert split_path(scope) == expected


def test_a_scope_without_a_raw_path():
    scope = {"type": "http", "path": "/\xe9", "headers": []}

    assert split_path(scope) == ("", "/\xc3\xa9")
    assert make_environ(scope, None)["RAW_URI"] == "/\xc3\xa9"
