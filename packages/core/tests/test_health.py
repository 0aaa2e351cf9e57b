"""`/healthz` and `/readyz`, in front of either door."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest
from werkzeug.test import create_environ
from werkzeug.test import run_wsgi_app

from erlen import _health
from erlen._health import AsgiHealth
from erlen._health import Readiness
from erlen._health import WsgiHealth


def fail():
    raise ConnectionError("postgresql://ada:1234@10.0.0.9/shop is away")


@pytest.fixture
def app(app):
    app.add_url_rule("/", "index", lambda: "the page")
    app.add_url_rule("/healthz", "own", lambda: "posted", methods=["POST"])
    return app


@pytest.fixture(params=["wsgi", "asgi"])
def ask(app, request):
    readiness = Readiness(app)

    def ask_wsgi(path, method="GET"):
        door = WsgiHealth(app, readiness)
        environ = create_environ(path, method=method)
        body, status, headers = run_wsgi_app(door, environ)
        text = b"".join(body).decode()
        return int(status[:3]), headers["Content-Type"], text

    def ask_asgi(path, method="GET"):
        sent = []
        scope = {"type": "http", "method": method, "path": path, "headers": []}

        async def receive():
            return {"type": "http.request"}

        async def send(message):
            sent.append(message)

        asyncio.run(AsgiHealth(app.asgi, readiness)(scope, receive, send))
        head, *bodies = sent
        kind = dict(head["headers"])[b"content-type"].decode()
        return head["status"], kind, b"".join(it["body"] for it in bodies).decode()

    return ask_wsgi if request.param == "wsgi" else ask_asgi


def test_alive(ask):
    assert ask("/healthz") == (200, "text/plain; charset=utf-8", "ok")
    assert ask("/healthz", "HEAD")[::2] == (200, "")


@pytest.mark.parametrize(
    ("path", "method", "text"),
    [("/", "GET", "the page"), ("/healthz", "POST", "posted")],
)
def test_all_else_is_the_applications(ask, path, method, text):
    assert ask(path, method)[::2] == (200, text)


def test_ready_names_what_is_there_and_no_reasons(app, ask, caplog):
    app.add_health("database", lambda: None)
    app.add_health("mail", fail)
    status, kind, text = ask("/readyz")
    assert (status, kind) == (503, "application/json")
    checks = [{"name": "database", "ok": True}, {"name": "mail", "ok": False}]
    assert json.loads(text) == {"ok": False, "checks": checks}
    (record,) = caplog.records
    assert "{'mail': 'ConnectionError: postgresql://(hidden)@" in record.getMessage()


def test_ready_without_functions(ask):
    assert json.loads(ask("/readyz")[2]) == {"ok": True, "checks": []}


def test_a_result_is_kept(app, ask, monkeypatch):
    calls = []
    app.add_health("database", lambda: calls.append(1))
    for _ in range(3):
        assert ask("/readyz")[0] == 200
    assert len(calls) == 1
    monkeypatch.setattr(_health, "KEPT", 0.0)
    assert ask("/readyz")[0] == 200
    assert len(calls) == 2


def test_one_run_at_a_time_and_none_for_ever(app, ask, monkeypatch, caplog):
    calls = []
    free = threading.Event()

    def hang():
        calls.append(1)
        free.wait(60)

    app.add_health("fast", lambda: None)
    app.add_health("slow", hang)
    monkeypatch.setattr(_health, "LIMIT", 0.05)
    monkeypatch.setattr(_health, "KEPT", 0.0)
    try:
        for _ in range(2):
            status, _, text = ask("/readyz")
            assert status == 503
            assert [it["ok"] for it in json.loads(text)["checks"]] == [True, False]
        assert len(calls) == 1
    finally:
        free.set()
    assert "Not ready: {'slow': 'no answer in time'}" in caplog.text
    assert len(caplog.records) == 1
    monkeypatch.setattr(_health, "LIMIT", 60)
    ask("/readyz")
    assert ask("/readyz")[0] == 200


def test_other_kinds_of_connections_pass():
    seen = []

    async def door(scope, receive, send):
        seen.append(scope["type"])

    health = AsgiHealth(door, None)
    asyncio.run(health({"type": "lifespan"}, None, None))
    assert seen == ["lifespan"]
