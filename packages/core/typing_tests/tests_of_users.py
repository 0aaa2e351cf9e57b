"""Tests as users of Erlen write them, under strict type checkers."""

from __future__ import annotations

import typing as t

from erlen import Erlen
from erlen import template_rendered

if t.TYPE_CHECKING:
    from erlen.testing import ErlenClient
    from erlen.testing import ErlenCliRunner


def create_app() -> Erlen:
    app = Erlen(__name__)
    app.testing = True
    return app


def test_requests(client: ErlenClient) -> None:
    response = client.get("/", query_string={"a": "1"}, follow_redirects=True)
    assert response.status_code == 200
    t.assert_type(response.text, str)
    assert response.get_json()["a"] == 1
    with client.session_transaction() as session:
        session["user"] = 1
        session.permanent = True


def test_context_manager(app: Erlen) -> None:
    with app.test_client() as client:
        client.post("/", json={"a": 1}, headers={"X-Name": "value"})


def test_websockets(client: ErlenClient) -> None:
    with client.websocket("/ws", subprotocols=["chat"], headers={"A": "b"}) as ws:
        ws.send("text")
        t.assert_type(ws.receive(timeout=1), str | bytes)
    t.assert_type(ws.close_code, int | None)


async def test_async_websockets(app: Erlen) -> None:
    async with app.async_test_client() as client, client.websocket("/ws") as ws:
        await ws.send(b"bytes")
        t.assert_type(await ws.receive(), str | bytes)


def test_commands(runner: ErlenCliRunner) -> None:
    result = runner.invoke(args=["hello"])
    t.assert_type(result.exit_code, int)


def test_signals(app: Erlen) -> None:
    seen: list[str | None] = []

    def note(sender: Erlen, **extra: t.Any) -> None:
        seen.append(sender.name)

    with template_rendered.connected_to(note, app):
        app.test_client().get("/")
