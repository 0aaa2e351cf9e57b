from __future__ import annotations

import asyncio
import contextlib

import pytest
from werkzeug.datastructures import Headers

from erlen import Erlen
from erlen.websockets import InvalidMessage
from erlen.websockets import WebSocket
from erlen.websockets import WebSocketClosed
from erlen.wrappers import Request


class Wire:
    """Both directions of a connection, and its WebSocket."""

    def __init__(self, *events, subprotocols=(), cookies=()):
        environ = {"PATH_INFO": "/ws", "HTTP_X_NAME": "value"}
        self.request = Request(environ)
        self.request._scope = {"subprotocols": subprotocols}
        self.cookies = list(cookies)
        self.events = asyncio.Queue()
        for event in events:
            self.events.put_nowait(event)
        self.sent = []
        self.gone = False
        self.may_send = asyncio.Event()
        self.may_send.set()
        self.socket = WebSocket(
            self.request, self.events.get, self.send, self.make_cookies
        )

    async def make_cookies(self):
        await asyncio.sleep(0)
        return self.cookies

    async def send(self, message):
        self.sent.append(message)
        await self.may_send.wait()
        if self.gone:
            raise OSError("gone")


def text(data):
    return {"type": "websocket.receive", "text": data, "bytes": None}


def data(data):
    return {"type": "websocket.receive", "bytes": data}


LEFT = {"type": "websocket.disconnect", "code": 4000, "reason": "bye"}


def run(coroutine):
    app = Erlen("sockets")
    with app.app_context():
        return asyncio.run(coroutine)


# --- accepting ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers", [{"X-Own": "ä"}, [("X-Own", "ä")], Headers({"X-Own": "ä"})]
)
def test_accepting_says_all_at_once(headers):
    async def work():
        wire = Wire(subprotocols=["a", "b"], cookies=["c=1", "d=2"])
        assert wire.socket.subprotocols == ["a", "b"]
        await wire.socket.accept("b", headers)
        return wire

    wire = run(work())
    assert wire.socket.subprotocol == "b"
    assert wire.sent == [
        {
            "type": "websocket.accept",
            "subprotocol": "b",
            "headers": [
                (b"x-own", b"\xe4"),
                (b"set-cookie", b"c=1"),
                (b"set-cookie", b"d=2"),
            ],
        }
    ]


def test_what_the_client_does_not_offer_is_refused():
    async def work():
        wire = Wire(subprotocols=["a"])
        with pytest.raises(ValueError, match=r"Offered are \['a'\], not 'b'"):
            await wire.socket.accept("b")
        return wire.sent, wire.socket.accepted

    assert run(work()) == ([], False)


@pytest.mark.parametrize("first", ["accept", "receive", "send"])
def test_accepting_comes_once_and_first(first):
    async def work():
        wire = Wire(text("a"))
        await getattr(wire.socket, first)(*["x"] * (first == "send"))
        with pytest.raises(RuntimeError, match=r"Call accept\(\) once"):
            await wire.socket.accept()

    run(work())


def test_what_is_no_header_is_refused():
    async def work():
        wire = Wire()
        with pytest.raises(ValueError, match="newline"):
            await wire.socket.accept(headers={"X-Own": "a\r\nb: c"})
        return wire.sent

    assert run(work()) == []


@pytest.mark.parametrize("call", ["receive", "send"])
def test_receiving_and_sending_accept(call):
    async def work():
        wire = Wire(text("a"))
        assert not wire.socket.answered
        await getattr(wire.socket, call)(*["x"] * (call == "send"))
        return wire

    wire = run(work())
    assert wire.socket.answered
    assert wire.sent[0] == {
        "type": "websocket.accept",
        "subprotocol": None,
        "headers": [],
    }


def test_several_tasks_accept_once():
    async def work():
        wire = Wire()
        await asyncio.gather(*(wire.socket.send(str(n)) for n in range(5)))
        return wire.sent

    sent = run(work())
    assert [message["type"] for message in sent] == [
        "websocket.accept",
        *["websocket.send"] * 5,
    ]
    assert [message["text"] for message in sent[1:]] == list("01234")


# --- messages ----------------------------------------------------------------------


def test_messages_are_text_or_bytes():
    async def work():
        wire = Wire(text("a"), data(b"b"), text(""))
        return [await wire.socket.receive() for _ in range(3)]

    assert run(work()) == ["a", b"b", ""]


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ("ä", {"text": "ä"}),
        ("", {"text": ""}),
        (b"a", {"bytes": b"a"}),
        (bytearray(b"a"), {"bytes": b"a"}),
        (memoryview(b"a"), {"bytes": b"a"}),
    ],
)
def test_text_and_bytes_are_sent(given, part):
    async def work():
        wire = Wire()
        await wire.socket.send(given)
        return wire.sent[1]

    assert run(work()) == {"type": "websocket.send", **part}


@pytest.mark.parametrize("given", [3, None, {"a": 1}])
def test_nothing_else_is_sent(given):
    async def work():
        wire = Wire()
        with pytest.raises(TypeError, match="send_json"):
            await wire.socket.send(given)
        return wire.sent

    assert run(work()) == []


def test_json_is_the_applications():
    async def work():
        wire = Wire(text('{"a": [1]}'), data(b'"\xc3\xa4"'))
        received = [await wire.socket.receive_json() for _ in range(2)]
        await wire.socket.send_json({"b": 1, "a": 2})
        return received, wire.sent[1]["text"]

    assert run(work()) == ([{"a": [1]}, "ä"], '{"a": 2, "b": 1}')


@pytest.mark.parametrize(
    "message",
    [
        *(text("{"), text(""), text('"\\ud800"'), text("[" * 100_000)),
        *(data(b"\xff"), data(b"{"), data(b"")),
    ],
)
def test_what_is_no_json_is_the_clients_mistake(message):
    async def work():
        wire = Wire(message)
        with pytest.raises(InvalidMessage, match="no JSON"):
            await wire.socket.receive_json()

    run(work())


def test_iterating_ends_with_the_connection():
    async def work():
        wire = Wire(text("a"), data(b"b"), LEFT)
        found = [message async for message in wire.socket]
        found += [message async for message in wire.socket]
        return found, wire.socket.closed

    assert run(work()) == (["a", b"b"], True)


def test_one_task_receives_at_a_time():
    async def work():
        wire = Wire()
        first = asyncio.ensure_future(wire.socket.receive())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="Two tasks receive"):
            await wire.socket.receive()
        first.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await first
        wire.events.put_nowait(text("a"))
        return await wire.socket.receive()

    assert run(work()) == "a"


# --- the end -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "code", "reason"),
    [
        (LEFT, 4000, "bye"),
        ({"type": "websocket.disconnect"}, 1005, ""),
        ({"type": "websocket.disconnect", "code": None, "reason": None}, 1005, ""),
    ],
)
def test_a_client_that_has_left_is_told_to_each_call(event, code, reason):
    async def work():
        wire = Wire(event)
        socket = wire.socket
        for _ in range(2):
            for call in (socket.receive, socket.receive_json):
                with pytest.raises(WebSocketClosed) as caught:
                    await call()
                assert (caught.value.code, caught.value.reason) == (code, reason)
        with pytest.raises(WebSocketClosed):
            await socket.send("x")
        await socket.close()
        return wire.sent

    assert len(run(work())) == 1
    assert str(WebSocketClosed(4000, "bye")) == "The WebSocket is closed: 4000 bye"


def test_a_server_that_says_so_by_an_error_closes():
    async def work():
        wire = Wire()
        await wire.socket.accept()
        wire.gone = True
        with pytest.raises(WebSocketClosed, match="1006"):
            await wire.socket.send("x")
        with pytest.raises(WebSocketClosed, match="1006"):
            await wire.socket.receive()
        return wire.sent

    assert len(run(work())) == 2


def test_closing_is_said_once():
    async def work():
        wire = Wire()
        await wire.socket.accept()
        await wire.socket.close(3001, "enough")
        await wire.socket.close()
        with pytest.raises(WebSocketClosed) as caught:
            await wire.socket.receive()
        return wire.sent[1:], caught.value.code, caught.value.reason

    message = {"type": "websocket.close", "code": 3001, "reason": "enough"}
    assert run(work()) == ([message], 3001, "enough")


def test_closing_when_nobody_is_there_is_no_error():
    async def work():
        wire = Wire()
        await wire.socket.accept()
        wire.gone = True
        await wire.socket.close()
        return wire.socket.closed

    assert run(work()) is True


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1014, 3000, 4999])
def test_codes_that_can_be_sent(code):
    async def work():
        wire = Wire()
        await wire.socket.close(code)
        return wire.sent

    assert run(work())[0]["code"] == code


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, -1])
def test_codes_that_cannot_be_sent(code):
    async def work():
        wire = Wire()
        with pytest.raises(ValueError, match="3000 to 4999"):
            await wire.socket.close(code)
        return wire.sent

    assert run(work()) == []


@pytest.mark.parametrize(
    ("reason", "fits"), [("a" * 123, True), ("a" * 124, False), ("ä" * 62, False)]
)
def test_a_reason_has_its_size(reason, fits):
    async def work():
        wire = Wire()
        with (
            contextlib.nullcontext() if fits else pytest.raises(ValueError, match="123")
        ):
            await wire.socket.close(reason=reason)
        return len(wire.sent)

    assert run(work()) == fits


def test_a_message_that_waits_for_its_turn_finds_it_closed():
    async def work():
        wire = Wire()
        await wire.socket.accept()
        wire.may_send.clear()
        calls = [wire.socket.send("1"), wire.socket.close(), wire.socket.send("2")]
        tasks = [asyncio.ensure_future(call) for call in calls]
        for _ in range(5):
            await asyncio.sleep(0)
        wire.may_send.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        return [type(result) for result in results], len(wire.sent)

    assert run(work()) == ([type(None), type(None), WebSocketClosed], 3)


def test_closed_while_it_is_accepted_nothing_more_is_sent():
    async def work():
        wire = Wire()
        sending = asyncio.ensure_future(wire.socket.send("x"))
        await asyncio.sleep(0)
        await wire.socket.close()
        with pytest.raises(WebSocketClosed):
            await sending
        return [message["type"] for message in wire.sent]

    assert run(work()) == ["websocket.close"]


# --- who only sends ----------------------------------------------------------------


def test_who_only_sends_finds_out_that_the_client_has_left():
    async def work():
        wire = Wire(LEFT)
        try:
            while True:
                await wire.socket.send("x")
                await asyncio.sleep(0)
        except WebSocketClosed as exc:
            return exc.code

    assert run(work()) == 4000


def test_what_came_ahead_is_received_later():
    async def work():
        wire = Wire(text("a"), text("b"), LEFT)
        for _ in range(3):
            await wire.socket.send("x")
            await asyncio.sleep(0)
        return [message async for message in wire.socket]

    assert run(work()) == ["a", "b"]


def test_a_time_out_loses_no_message_that_is_looked_for():
    async def work():
        wire = Wire()
        for _ in range(2):
            await wire.socket.send("x")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await wire.socket.receive()
        wire.events.put_nowait(text("a"))
        first = await wire.socket.receive()
        wire.events.put_nowait(text("b"))
        return [first, await wire.socket.receive()]

    assert run(work()) == ["a", "b"]


def test_who_answers_is_not_looked_ahead_for():
    async def work():
        wire = Wire(text("a"), text("b"))
        for _ in range(2):
            await wire.socket.send(await wire.socket.receive())
        return wire.socket._ahead

    assert run(work()) is None


def test_the_end_cancels_the_look_ahead():
    async def work():
        wire = Wire()
        for _ in range(2):
            await wire.socket.send("x")
        ahead = wire.socket._ahead
        await wire.socket.close()
        await wire.socket._leave()
        await asyncio.wait({ahead})
        return ahead.cancelled()

    assert run(work()) is True


def test_a_handshake_that_nobody_answers_is_closed_at_the_end():
    async def work():
        wire = Wire()
        await wire.socket._leave()
        return wire.sent, wire.socket.closed

    assert run(work()) == ([], True)


def test_it_shows_the_handshake():
    async def work():
        socket = Wire().socket
        return socket.path, socket.headers["X-Name"], socket.request.path

    assert run(work()) == ("/ws", "value", "/ws")
