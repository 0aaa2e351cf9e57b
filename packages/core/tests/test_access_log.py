"""The access log and request ids, around either door."""

from __future__ import annotations

import asyncio
import re
import sys

import pytest
from werkzeug.test import create_environ
from werkzeug.test import run_wsgi_app

from erlen import Response
from erlen import request
from erlen._access_log import KEY
from erlen._access_log import AsgiAccessLog
from erlen._access_log import WsgiAccessLog

LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00 (?P<id>\S+) (?P<rest>.+) [\d.]+ms\n"
)


@pytest.fixture
def line(capsys):
    """Return the one line that was written."""

    def line():
        match = LINE.fullmatch(capsys.readouterr().out)
        assert match
        return match

    return line


@pytest.fixture
def app(app):
    app.testing = False
    app.add_url_rule("/id", "id", lambda: request.environ[KEY])
    app.add_url_rule("/parts", "parts", lambda: Response(iter(["ab", "c"])))
    return app


# WSGI


def ask(app, path="/", hops=None, trust_id=False, **options):
    log = WsgiAccessLog(app, trust_id, hops)
    environ = create_environ(path, **options)
    environ.setdefault("REMOTE_ADDR", "10.0.0.7")
    return run_wsgi_app(log, environ)


@pytest.mark.parametrize(
    ("path", "options", "rest"),
    [
        ("/parts?word=secret", {}, "10.0.0.7 GET /parts 200 3"),
        ("/parts", {"method": "HEAD"}, "10.0.0.7 HEAD /parts 200 0"),
        ("/a%20b%0Ac%1B[31m", {}, "10.0.0.7 GET /a%20b%0Ac%1B%5B31m 404 207"),
        ("/\N{SNOWMAN}", {"method": "PUT"}, "10.0.0.7 PUT /%E2%98%83 404 207"),
        ("/parts", {"base_url": "http://localhost/shop"}, "GET /shop/parts 200 3"),
    ],
)
def test_a_line_says_what_was_asked_and_answered(app, line, path, options, rest):
    body, _, _ = ask(app, path, **options)
    b"".join(body)
    body.close()
    body.close()
    assert line()["rest"].endswith(rest)


def test_a_long_path_is_cut(app, line):
    ask(app, "/" + "a" * 5000)[0].close()
    assert len(line()[0]) < 2300


def test_the_application_and_the_client_see_the_id(app, line):
    body, _, headers = ask(app, "/id", headers={"X-Request-ID": "mine"})
    seen = b"".join(body).decode()
    body.close()
    assert headers["X-Request-ID"] == line()["id"] == seen
    assert re.fullmatch("[0-9a-f]{32}", seen)


@pytest.mark.parametrize(
    ("given", "taken"),
    [("abc-1:2/3", True), ("", False), ("a b", False), ("a\nb", False), ("é", False)],
)
def test_an_id_that_is_trusted_is_taken_if_it_is_one(app, line, given, taken):
    environ = create_environ("/id")
    environ["HTTP_X_REQUEST_ID"] = given
    body, _, _ = run_wsgi_app(WsgiAccessLog(app, trust_id=True), environ)
    body.close()
    assert (line()["id"] == given) is taken


def test_an_id_of_the_application_is_replaced(app, line):
    app.add_url_rule("/own", "own", lambda: ("", {"X-Request-Id": "own"}))
    body, _, headers = ask(app, "/own")
    body.close()
    assert headers.getlist("X-Request-ID") == [line()["id"]]


def test_proxies_are_believed_as_the_application_does(app, line):
    app.config["PROXY_HOPS"] = 1
    app.add_url_rule("/who", "who", lambda: request.remote_addr)
    forwarded = {"X-Forwarded-For": "6.6.6.6, 203.0.113.9"}
    body, _, _ = ask(app, "/who", hops=1, headers=forwarded)
    assert b"".join(body) == b"203.0.113.9"
    body.close()
    assert line()["rest"].startswith("203.0.113.9 GET /who")


def test_a_client_that_leaves_is_written_at_once(app, line):
    body, _, _ = ask(app, "/parts")
    assert next(iter(body)) == b"ab"
    body.close()
    assert line()["rest"].endswith("/parts 200 2")


def test_what_the_application_raises_goes_on(line):
    def broken(environ, start_response):
        raise LookupError

    with pytest.raises(LookupError):
        ask(broken)
    assert line()["rest"] == "10.0.0.7 GET / 500 0"


def test_bodies_of_plain_lists(line):
    def plain(environ, start_response):
        start_response("200 OK", [])
        return [b"abc"]

    log = WsgiAccessLog(plain)
    started = []
    body = log({"REQUEST_METHOD": "GET"}, lambda *given: started.append(given))
    assert list(body) == [b"abc"]
    body.close()
    assert line()["rest"] == "- GET - 200 3"
    assert started[0][0] == "200 OK"


def test_nobody_reads_the_log(app, monkeypatch, tmp_path):
    with (tmp_path / "log").open("w") as closed:
        pass
    monkeypatch.setattr(sys, "stdout", closed)
    body, status, _ = ask(app, "/parts")
    body.close()
    assert status == "200 OK"


# ASGI


def connect(door, scope=(), incoming=(), trust_id=False, hops=None):
    """Serve one connection, and return what was sent."""
    sent = []
    messages = iter(incoming)

    async def receive():
        return next(messages)

    async def send(message):
        sent.append(message)

    full = {"type": "http", "method": "GET", "path": "/a b", "headers": []}
    full |= {"client": ("10.0.0.7", 1), "query_string": b"word=secret", **dict(scope)}
    asyncio.run(AsgiAccessLog(door, trust_id, hops)(full, receive, send))
    return sent


def answer(*bodies, status=200, after=None):
    async def door(scope, receive, send):
        headers = [(b"x-request-id", b"own"), (b"a", scope[KEY].encode())]
        head = {"type": "http.response.start", "status": status, "headers": headers}
        await send(head)
        for body in bodies:
            await send(body)
        if after is not None:
            await after(scope, receive, send)

    return door


def part(body, more=False):
    return {"type": "http.response.body", "body": body, "more_body": more}


def test_asgi_line(line):
    sent = connect(answer(part(b"ab", more=True), part(b"c")))
    match = line()
    assert match["rest"] == "10.0.0.7 GET /a%20b 200 3"
    identity = match["id"].encode()
    assert sent[0]["headers"] == [(b"a", identity), (b"x-request-id", identity)]


def test_asgi_line_is_written_when_the_answer_has_ended(capsys):
    async def after(scope, receive, send):
        assert "200 1" in capsys.readouterr().out
        raise LookupError

    with pytest.raises(LookupError):
        connect(answer({"type": "http.response.body", "body": b"c"}, after=after))
    assert not capsys.readouterr().out


def test_asgi_messages_of_extensions_pass(line):
    push = {"type": "http.response.push", "path": "/", "headers": []}
    assert connect(answer(push, part(b"c")))[1] == push
    assert line()["rest"].endswith("200 1")


async def leave(scope, receive, send):
    raise asyncio.CancelledError


async def fail(scope, receive, send):
    raise LookupError


async def accept_and_fail(scope, receive, send):
    await send({"type": "websocket.accept"})
    raise LookupError


@pytest.mark.parametrize(
    ("door", "scope", "error", "rest"),
    [
        (fail, {}, LookupError, "GET /a%20b 500 0"),
        (leave, {}, asyncio.CancelledError, "GET /a%20b - 0"),
        (answer(part(b"ab", more=True), after=fail), {}, LookupError, "200 2"),
        (fail, {"type": "websocket"}, LookupError, "500 0"),
        (accept_and_fail, {"type": "websocket"}, LookupError, "1011 0"),
        (leave, {"client": None}, asyncio.CancelledError, "- GET /a%20b - 0"),
    ],
)
def test_asgi_without_an_end(line, door, scope, error, rest):
    with pytest.raises(error):
        connect(door, scope)
    assert line()["rest"].endswith(rest)


def test_asgi_ids_and_proxies(line):
    headers = [(b"x-request-id", b"abc"), (b"x-request-id", b"def")]
    headers += [(b"x-forwarded-for", b"203.0.113.9")]
    connect(answer(part(b"")), {"headers": headers}, trust_id=True, hops=1)
    match = line()
    assert (match["id"], match["rest"][:11]) == ("abc", "203.0.113.9")


@pytest.mark.parametrize("trusts", [False, True])
def test_asgi_ids_that_are_none(line, trusts):
    headers = [(b"x-request-id", b"a b" if trusts else b"abc")]
    connect(answer(part(b"")), {"headers": headers}, trust_id=trusts)
    assert re.fullmatch("[0-9a-f]{32}", line()["id"])


def send_all(*messages, receives=0):
    async def door(scope, receive, send):
        for message in messages:
            await send({**message})
        for _ in range(receives):
            await receive()

    return door


ACCEPT = {"type": "websocket.accept"}
CLOSE = {"type": "websocket.close"}
TEXT = {"type": "websocket.send", "text": "\N{SNOWMAN}"}
DATA = {"type": "websocket.send", "bytes": b"ab", "text": None}
GONE = {"type": "websocket.disconnect", "code": 1001}
REFUSED = {"type": "websocket.http.response.start", "status": 401, "headers": []}
REASON = {"type": "websocket.http.response.body", "body": b"no"}


@pytest.mark.parametrize(
    ("door", "incoming", "rest"),
    [
        (send_all(ACCEPT, TEXT, DATA, CLOSE), (), "1000 5"),
        (send_all(ACCEPT, CLOSE | {"code": 4000}), (), "4000 0"),
        (send_all(CLOSE), (), "403 0"),
        (send_all(REFUSED, REASON), (), "401 2"),
        (send_all(ACCEPT, receives=2), ({"type": "websocket.connect"}, GONE), "1001 0"),
        (send_all(ACCEPT, receives=1), (GONE | {"code": None},), "1005 0"),
        (send_all(ACCEPT), (), "1006 0"),
    ],
)
def test_websockets(line, door, incoming, rest):
    scope = {"type": "websocket", "method": "WEBSOCKET"}
    sent = connect(door, scope, incoming)
    match = line()
    assert match["rest"] == f"10.0.0.7 WEBSOCKET /a%20b {rest}"
    if sent[0]["type"] == "websocket.accept":
        assert sent[0]["headers"] == [(b"x-request-id", match["id"].encode())]


def test_the_life_of_the_server_is_no_request(capsys):
    messages = [{"type": "lifespan.startup.complete"}]
    assert connect(send_all(*messages), {"type": "lifespan"}) == messages
    assert not capsys.readouterr().out


def test_the_real_door(app, line):
    sent = connect(app.asgi, {"path": "/id"}, [{"type": "http.request"}])
    assert sent[-1]["body"].decode() == line()["id"]
