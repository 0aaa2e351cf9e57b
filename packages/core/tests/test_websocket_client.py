from __future__ import annotations

import asyncio

import pytest

from erlen import Erlen
from erlen import abort
from erlen import request
from erlen import session
from erlen import websocket
from erlen.testing import WebSocketRejected
from erlen.websockets import WebSocketClosed


@pytest.fixture
def app(app):
    @app.websocket("/echo")
    async def echo():
        offered = websocket.subprotocols
        await websocket.accept(offered[-1] if offered else None, {"X-Own": "1"})
        async for message in websocket:
            await websocket.send(message)

    @app.websocket("/close")
    async def close():
        await websocket.accept()
        await websocket.close(4001, "enough")

    @app.websocket("/fail")
    async def fail():
        await websocket.accept()
        await websocket.receive()
        raise ZeroDivisionError

    return app


def test_messages_go_there_and_come_back(client):
    with client.websocket("/echo", subprotocols=["a", "b"]) as ws:
        assert (ws.subprotocol, ws.headers["X-Own"]) == ("b", "1")
        ws.send("text")
        ws.send(b"bytes")
        ws.send_json({"a": [1]})
        assert (ws.receive(), ws.receive()) == ("text", b"bytes")
        assert ws.receive_json() == {"a": [1]}
        assert ws.close_code is None
    assert (ws.close_code, ws.close_reason) == (1000, "")
    with pytest.raises(WebSocketClosed, match="1000"):
        ws.send("more")


def test_subprotocols_are_in_the_headers(app, client):
    @app.websocket("/ws")
    async def handler():
        await websocket.send(request.headers["Sec-WebSocket-Protocol"])

    with client.websocket("/ws", subprotocols=iter(["a", "b"])) as ws:
        assert ws.receive() == "a, b"


def test_the_application_closes(client):
    with client.websocket("/close") as ws:
        for _ in range(2):
            with pytest.raises(WebSocketClosed) as caught:
                ws.receive()
            assert (caught.value.code, caught.value.reason) == (4001, "enough")
        with pytest.raises(WebSocketClosed):
            ws.send("x")
    assert (ws.close_code, ws.close_reason) == (4001, "enough")


def test_the_code_is_known_after_the_block(client):
    with client.websocket("/close") as ws:
        with pytest.raises(WebSocketClosed):
            ws.receive()
        ws.close()
    assert ws.close_code == 4001


def test_what_was_said_before_the_end_is_kept(app, client):
    @app.websocket("/ws")
    async def handler():
        await websocket.send("last words")

    with client.websocket("/ws") as ws:
        ws.send("")  # lets the application go on
    assert ws.close_code == 1000


def test_this_side_closes(app, client):
    seen = []

    @app.websocket("/ws")
    async def handler():
        try:
            await websocket.receive()
        except WebSocketClosed as exc:
            seen.append((exc.code, exc.reason))

    with client.websocket("/ws") as ws:
        ws.close(4000, "mine")
        with pytest.raises(WebSocketClosed, match="4000 mine"):
            ws.receive()
    assert seen == [(4000, "mine")]


def test_a_rejection_has_its_answer(app, client):
    @app.websocket("/ws")
    async def handler():
        session["a"] = 1
        return {"error": "no"}, 409

    with pytest.raises(WebSocketRejected, match="409 CONFLICT") as caught:
        client.websocket("/ws").__enter__()
    assert caught.value.response.json == {"error": "no"}
    with client.session_transaction() as after:
        assert after["a"] == 1


def test_closing_before_accepting_is_a_403(app, client):
    @app.websocket("/ws")
    async def handler():
        await websocket.close()

    with pytest.raises(WebSocketRejected) as caught, client.websocket("/ws"):
        pass
    assert (caught.value.response.status_code, caught.value.response.text) == (403, "")


@pytest.mark.parametrize("use_cookies", [True, False])
def test_cookies_are_the_clients(app, use_cookies):
    @app.websocket("/ws")
    async def handler():
        session["n"] = session.get("n", 0) + 1
        await websocket.send(str(session["n"]))

    app.add_url_rule("/", "index", lambda: str(session.get("n", 0)))
    client = app.test_client(use_cookies=use_cookies)
    for n in (1, 2) if use_cookies else (1, 1):
        with client.websocket("/ws") as ws:
            assert ws.receive() == str(n)
    assert client.get("/").text == ("2" if use_cookies else "0")


def test_an_error_is_raised_in_the_test(app, client):
    def talk():
        with client.websocket("/fail") as ws:
            ws.send("x")
            with pytest.raises(WebSocketClosed, match="1011"):
                ws.receive()

    with pytest.raises(ZeroDivisionError):
        talk()


def test_an_error_before_accepting_is_raised_by_with(app, client):
    app.before_request(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError), client.websocket("/echo"):
        pass


def test_an_error_without_a_word_is_raised_where_it_is_waited_for(client):
    async def bare(scope, receive, send):
        await send({"type": "websocket.accept"})
        await receive()
        await receive()
        raise ZeroDivisionError

    client.application.asgi = bare
    with client.websocket("/") as ws:
        ws.send("x")
        with pytest.raises(ZeroDivisionError):
            ws.receive()
        with pytest.raises(WebSocketClosed, match="1006"):
            ws.receive()


def test_an_end_without_a_word_closes(client):
    async def bare(scope, receive, send):
        await send({"type": "websocket.accept"})

    client.application.asgi = bare
    with client.websocket("/") as ws, pytest.raises(WebSocketClosed, match="1006"):
        ws.receive()


def test_an_application_without_an_answer_is_named(client):
    async def bare(scope, receive, send): ...

    client.application.asgi = bare
    with pytest.raises(RuntimeError, match="without an answer"), client.websocket("/"):
        pass


@pytest.mark.parametrize(
    "messages",
    [
        [{"type": "websocket.send", "text": ""}],
        [{"type": "websocket.http.response.body"}],
        [{"type": "websocket.accept"}, {"type": "websocket.accept"}],
        [{"type": "websocket.accept"}, {"type": "websocket.http.response.start"}],
    ],
)
def test_messages_out_of_order_are_refused(client, messages):
    async def bare(scope, receive, send):
        for message in messages:
            await send(message)

    client.application.asgi = bare
    with (
        pytest.raises(AssertionError, match="ASGI standard"),
        client.websocket("/") as ws,
    ):
        ws.receive()


def test_an_answer_may_come_in_pieces_and_break_off(client):
    async def bare(scope, receive, send):
        await send({"type": "websocket.http.response.start", "status": 401})
        for piece in (b"a", b"b"):
            body = {"type": "websocket.http.response.body", "body": piece}
            await send(body | {"more_body": True})

    client.application.asgi = bare
    with pytest.raises(WebSocketRejected) as caught, client.websocket("/"):
        pass
    assert caught.value.response.text == "ab"


def test_sending_after_the_end_is_an_oserror(client):
    raised = []

    async def bare(scope, receive, send):
        await send({"type": "websocket.accept"})
        await receive()
        assert (await receive())["code"] == 1000
        try:
            await send({"type": "websocket.send", "text": ""})
        except OSError as exc:
            raised.append(exc)

    client.application.asgi = bare
    with client.websocket("/"):
        pass
    assert len(raised) == 1


def test_waiting_has_its_end(client):
    with client.websocket("/echo") as ws, pytest.raises(TimeoutError):
        ws.receive(timeout=0.01)


def test_a_handler_that_goes_on_is_stopped(app, client, monkeypatch):
    monkeypatch.setattr("erlen._websocket_client._LIMIT", 0.01)

    @app.websocket("/ws")
    async def handler():
        await websocket.accept()
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError, match="goes on"), client.websocket("/ws"):
        pass


def test_async_clients_have_them_too(app):
    async def main():
        async with app.async_test_client() as client:
            async with client.websocket("/echo", subprotocols=["a"]) as ws:
                await ws.send_json([1])
                assert await ws.receive_json() == [1]
            with pytest.raises(WebSocketRejected, match="404"):
                async with client.websocket("/nothing"):
                    pass
            return ws.subprotocol, ws.close_code

    assert asyncio.run(main()) == ("a", 1000)


def test_two_clients_talk_to_each_other(app):
    others = set()

    @app.websocket("/chat")
    async def chat():
        own = websocket._get_current_object()
        await own.accept()
        others.add(own)
        async for message in own:
            for other in others - {own}:
                await other.send(message)
        others.remove(own)

    async def main():
        client = app.async_test_client()
        async with client.websocket("/chat") as a, client.websocket("/chat") as b:
            await a.send("hi")
            await b.send("ho")
            return await a.receive(), await b.receive()

    assert asyncio.run(main()) == ("ho", "hi")
    assert not others


@pytest.mark.parametrize("where", ["open", "close"])
def test_who_gives_up_waiting_cancels_the_application(where):
    app = Erlen("slow")
    torn = []
    app.teardown_request(torn.append)

    @app.websocket("/ws")
    async def handler():
        if where == "close":
            await websocket.accept()
        await asyncio.Event().wait()

    async def main():
        client = app.async_test_client()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05), client.websocket("/ws"):
                pass
        await asyncio.sleep(0.01)

    asyncio.run(main())
    assert [type(exc) for exc in torn] == [asyncio.CancelledError]


def test_a_loop_that_runs_needs_the_other_client(app):
    async def main():
        with pytest.raises(RuntimeError, match="async_test_client"):
            app.test_client().websocket("/echo").__enter__()

    asyncio.run(main())


def test_a_rejection_of_an_abort_is_its_page(app, client):
    @app.websocket("/ws")
    async def handler():
        abort(401, "who are you?")

    with pytest.raises(WebSocketRejected) as caught, client.websocket("/ws"):
        pass
    assert "who are you?" in caught.value.response.text
