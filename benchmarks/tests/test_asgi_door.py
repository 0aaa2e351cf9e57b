"""What stands where the ASGI server would: nothing wrong gets timed."""

from __future__ import annotations

import asyncio
import contextvars

import pytest
from benchmarks.asgi import door
from benchmarks.asgi.scenarios import PIECE
from benchmarks.asgi.scenarios import SCENARIOS
from benchmarks.asgi.scenarios import Answer
from benchmarks.asgi.scenarios import Exchange
from benchmarks.asgi.scenarios import Response
from benchmarks.asgi.scenarios import Scenario
from benchmarks.scenarios import WrongAnswerError

EXCHANGE = Exchange("/", Answer(200, "application/json", b'{"a": 1, "b": 2}'))


@pytest.fixture
def opened():
    with door.Door() as the_door:
        yield the_door


def application(
    status=200,
    content_type=b"application/json",
    body=b'{"b":2,"a":1}\n',
    length=None,
    cookie=b"seen=no; Path=/",
):
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            raise NotImplementedError
        headers = [
            (b"Content-Type", content_type),
            (b"content-length", length or b"%d" % len(body)),
            (b"set-cookie", cookie),
        ]
        await send(
            {"type": "http.response.start", "status": status, "headers": headers}
        )
        piece = {"type": "http.response.body", "body": body[:3], "more_body": True}
        await send(piece)
        await send({"type": "http.response.body", "body": body[3:]})

    return app


def recording(log, answers=True):
    async def app(scope, receive, send):
        log.append(scope["type"])
        if scope["type"] == "lifespan":
            while len(log) < 99:
                log.append((await receive())["type"])
                await send({"type": f"{log[-1]}.complete"})
                if log[-1] == "lifespan.shutdown":
                    return
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b""})

    return app


def test_json_is_compared_parsed(opened):
    opened.check(application(), [EXCHANGE])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"status": 201}, r"^GET /: status: expected 200, got 201"),
        ({"content_type": b"text/html"}, "content type: expected 'application/json'"),
        ({"length": b"1"}, "content length: expected '14', got '1'"),
        ({"body": b'{"a":1}'}, "body: expected"),
        ({"body": b"{"}, "body: expected"),
        ({"body": b"{" * 999}, r"\(1002 characters\)"),
    ],
)
def test_what_differs_is_named(wrong, message, opened):
    with pytest.raises(WrongAnswerError, match=message):
        opened.check(application(**wrong), [EXCHANGE])


def response(*headers, status=200, body=b"x"):
    return Response(status, headers, body)


TYPE = ("content-type", "Text/CSS; charset=utf-8")
LENGTH = ("content-length", "1")


@pytest.mark.parametrize(
    ("answer", "given"),
    [
        (Answer(200, "text/css", b"x"), response(TYPE, LENGTH)),
        (Answer(200, "text/css;charset=UTF-8", b"x"), response(TYPE, LENGTH)),
        (Answer(404, None, None), response(LENGTH, status=404)),
        (Answer(200, None, b"x", streamed=True), response()),
        (Answer(200, None, b"x", headers=(("a", "b"),)), response(LENGTH, ("a", "b"))),
        (
            Answer(200, None, b"x", cookies=("a=b", "")),
            response(LENGTH, ("set-cookie", "a=b; Path=/")),
        ),
    ],
)
def test_what_is_accepted(answer, given):
    Exchange("/", answer).check(given)


@pytest.mark.parametrize(
    ("answer", "given", "message"),
    [
        (Answer(200, "text/css; charset=x", b"x"), response(TYPE, LENGTH), "type"),
        (Answer(200, "text/plain", b"x"), response(LENGTH), "content type"),
        (Answer(200, None, b"x"), response(), "content length"),
        (
            Answer(200, None, b"x", streamed=True),
            response(("content-length", "2")),
            "l",
        ),
        (Answer(200, None, b"y"), response(LENGTH), "body"),
        (Answer(200, None, b"x", headers=(("a", "b"),)), response(LENGTH), "a: "),
        (Answer(200, None, b"x", cookies=("a=b",)), response(LENGTH), "cookie 'a=b'"),
        (Answer(200, None, b"x", cookies=("",)), response(LENGTH), "cookie"),
    ],
)
def test_what_is_not_accepted(answer, given, message):
    with pytest.raises(WrongAnswerError, match=message):
        Exchange("/", answer).check(given)


def test_each_call_gets_a_scope_of_its_own(opened):
    seen = []

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            return
        touched = (b"touched", b"1")
        new = (touched not in scope["headers"], not scope["state"], len(scope["asgi"]))
        seen.append((scope["path"], new))
        scope["headers"].append(touched)
        scope["state"]["touched"] = True
        scope["asgi"]["touched"] = True
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    paths = ("/a", "/b", "/c")
    exchanges = tuple(Exchange(path, EXCHANGE.answer) for path in paths)
    ticks = iter([1.0, 3.5])
    spent = opened.seconds(app, Scenario("x", "", exchanges), 7, lambda: next(ticks))
    assert spent == 2.5
    # The first is not timed.
    assert [path for path, _ in seen] == ["/a", *paths, *paths, "/a"]
    assert {new for _, new in seen} == {(True, True, 2)}


def test_scope_is_what_a_server_hands_over():
    scope = SCENARIOS["s5"].exchanges[0].scope()
    assert {b"host", b"user-agent", b"accept", b"content-type", b"content-length"} == {
        name for name, _ in scope["headers"]
    }
    assert scope["raw_path"] == b"/"
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.3"}


def test_a_body_comes_in_pieces():
    (exchange,) = SCENARIOS["s11"].exchanges
    messages = exchange.messages()
    assert b"".join(message["body"] for message in messages) == exchange.body
    assert {len(message["body"]) for message in messages[:-1]} == {PIECE}
    assert [message["more_body"] for message in messages[-2:]] == [True, False]
    assert EXCHANGE.messages() == (
        {"type": "http.request", "body": b"", "more_body": False},
    )


def test_the_client_leaves_when_the_answer_is_complete():
    async def run():
        receive, send = door.channel(EXCHANGE.messages())
        first = await receive()
        waiting = asyncio.create_task(receive())
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await asyncio.sleep(0)
        early = waiting.done()
        await send({"type": "http.response.body", "body": b""})
        return first, early, await waiting, await receive()

    first, early, *late = asyncio.run(run())
    assert first["type"] == "http.request"
    assert not early
    assert late == [{"type": "http.disconnect"}] * 2


def test_lifespan_is_begun_once_and_ended_at_the_end():
    log = []
    with door.Door() as opened:
        app = recording(log)
        opened.ask(app, EXCHANGE)
        opened.ask(app, EXCHANGE)
        assert log == ["lifespan", "lifespan.startup", "http", "http"]
    assert log[-1] == "lifespan.shutdown"


def test_state_of_the_lifespan_is_in_each_scope(opened):
    seen = []

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            scope["state"]["key"] = "value"
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            return
        seen.append(scope["state"])
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    opened.ask(app, EXCHANGE)
    opened.ask(app, EXCHANGE)
    assert seen == [{"key": "value"}] * 2
    assert seen[0] is not seen[1]


@pytest.mark.parametrize("message", [{}, {"message": "It gave no reason."}])
def test_a_failed_start_is_told(message, opened):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", **message})

    with pytest.raises(door.StartUpError, match=r"It gave no reason\."):
        opened.ask(app, EXCHANGE)


def test_a_session_is_begun_once(opened):
    seen = []

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            return
        seen.append(dict(scope["headers"]).get(b"cookie"))
        headers = [(b"set-cookie", b"a=1; Path=/"), (b"set-cookie", b"b=2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body"})

    exchange = Exchange("/", EXCHANGE.answer, session=True)
    opened.ask(app, exchange)
    opened.ask(app, exchange)
    assert seen == [None, b"a=1; b=2", b"a=1; b=2"]


def test_a_context_is_not_carried_on(opened):
    variable = contextvars.ContextVar("variable", default=0)
    seen = []

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            return
        seen.append(variable.get())
        variable.set(1)
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    opened.ask(app, EXCHANGE)
    opened.ask(app, EXCHANGE)
    assert seen == [0, 0]


def test_uvloop_is_used_when_it_is_asked_for():
    uvloop = pytest.importorskip("uvloop")
    loops = []

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            return
        loops.append(asyncio.get_running_loop())
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    with door.Door("uvloop") as opened:
        opened.ask(app, EXCHANGE)
    assert isinstance(loops[0], uvloop.Loop)
