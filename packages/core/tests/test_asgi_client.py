"""The test clients' way through the ASGI door, and the client for async functions."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import io
import threading
from types import SimpleNamespace

import pytest

import erlen
from erlen import _asgi_client
from erlen import request
from erlen import session
from erlen import stream_with_context
from erlen.testing import AsyncErlenClient
from erlen.testing import EnvironBuilder
from erlen.testing import ErlenClient

make_scope = _asgi_client.make_scope


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 20))


@pytest.fixture
def client(app):
    return app.test_client(door="asgi")


class Middle:
    """An ASGI application in front of another one, or instead of it."""

    def __init__(self, function):
        self.function = function

    async def __call__(self, scope, receive, send):
        await self.function(scope, receive, send)


def answering(*messages):
    """Return an ASGI application that sends these messages."""

    async def application(scope, receive, send):
        for message in messages:
            await send(message)

    return Middle(application)


START = {"type": "http.response.start", "status": 200, "headers": []}
END = {"type": "http.response.body", "body": b"end"}


# The scope


def test_scope(app):
    scope = make_scope(
        EnvironBuilder(
            app,
            "/caf\N{LATIN SMALL LETTER E WITH ACUTE}/a%20b?x=%41&y",
            "https://a.test:90/root",
            method="POST",
            data=b"body",
            content_type="text/plain",
            headers={"X-A": "\xe9"},
            environ_base={"REMOTE_ADDR": "10.0.0.1", "REMOTE_PORT": "5"},
            environ_overrides={"erlen.a": 1, "werkzeug.b": 2, "other": 3},
        ).get_environ()
    )
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "https",
        "path": "/root/caf\N{LATIN SMALL LETTER E WITH ACUTE}/a b",
        "raw_path": b"/root/caf%C3%A9/a%20b",
        "root_path": "/root",
        "query_string": b"x=%41&y",
        "headers": [
            (b"host", b"a.test:90"),
            (b"x-a", b"\xe9"),
            (b"content-type", b"text/plain"),
            (b"content-length", b"4"),
        ],
        "client": ("10.0.0.1", 5),
        "server": ("a.test", 90),
        "erlen.a": 1,
        "werkzeug.b": 2,
    }


@pytest.mark.parametrize(
    ("raw", "root", "path", "expected"),
    [
        ("/a%2Fb?q", "", "/a/b", b"/a%2Fb"),
        ("/b%2Fc", "/r", "/b/c", b"/r/b%2Fc"),
        ("/r/b%2Fc", "/r", "/b/c", b"/r/b%2Fc"),
        ("/other", "", "/a b", b"/a%20b"),
        ("", "/\xff", "/\xe9", b"/%FF/%E9"),
    ],
)
def test_raw_path(app, raw, root, path, expected):
    environ = EnvironBuilder(app).get_environ()
    environ |= {"RAW_URI": raw, "SCRIPT_NAME": root, "PATH_INFO": path}
    assert make_scope(environ)["raw_path"] == expected


def test_a_client_without_an_address(app):
    assert make_scope(EnvironBuilder(app).get_environ())["client"] is None


class Cut(io.BytesIO):
    def read(self, size=-1):
        raise OSError


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, [(b"", False)]),
        ({"CONTENT_LENGTH": "0"}, [(b"", False)]),
        ({"CONTENT_LENGTH": "4"}, [(b"0123", False)]),
        ({"CONTENT_LENGTH": "x"}, [(b"", False)]),
        ({"CONTENT_LENGTH": "20"}, [(b"0123456789", True), None]),
        ({"wsgi.input_terminated": True}, [(b"0123456789", True), (b"", False)]),
        ({"wsgi.input": Cut(), "CONTENT_LENGTH": "4"}, [None]),
    ],
)
def test_body(given, expected):
    environ = {"wsgi.input": io.BytesIO(b"0123456789")} | given
    messages = [
        None
        if message["type"] == "http.disconnect"
        else (message["body"], message["more_body"])
        for message in _asgi_client.read_body(environ)
    ]
    assert messages == expected


def test_a_large_body_comes_in_pieces():
    environ = {"wsgi.input": io.BytesIO(b"a" * 100_000), "CONTENT_LENGTH": "100000"}
    sizes = [len(message["body"]) for message in _asgi_client.read_body(environ)]
    assert sizes == [65536, 34464]


def test_a_body_without_a_length_is_chunked(app):
    environ = EnvironBuilder(app).get_environ() | {"wsgi.input_terminated": True}
    assert (b"transfer-encoding", b"chunked") in make_scope(environ)["headers"]


# The client


def test_there_are_two_doors(app):
    with pytest.raises(ValueError, match="'door' is \"wsgi\" or \"asgi\", not 'ajp'"):
        app.test_client(door="ajp")


def test_the_class_of_the_application_is_used(app):
    class Mine(ErlenClient):
        def open(self, *args, **kwargs):
            kwargs.setdefault("headers", {})["X-Mine"] = "yes"
            return super().open(*args, **kwargs)

    app.test_client_class = Mine
    app.get("/")(lambda: request.headers["X-Mine"])
    assert isinstance(app.test_client(door="asgi"), Mine)
    assert app.test_client(door="asgi").get("/").text == "yes"

    async def main():
        return (await app.async_test_client().get("/")).text

    assert run(main()) == "yes"


def test_the_scope_arrives(app, client):
    @app.get("/")
    async def view():
        assert asyncio.get_running_loop()
        return request.environ["erlen.a"]

    assert client.get("/", environ_overrides={"erlen.a": "1"}).text == "1"


def test_context_variables_of_the_caller_are_seen(app, client):
    var = contextvars.ContextVar("var")
    app.get("/")(var.get)
    var.set("mine")
    assert client.get("/").text == "mine"


def count_pieces(made):
    async def pieces():
        try:
            for n in range(1000):
                made.append(n)
                yield f"{n} "
                await asyncio.sleep(0)
        finally:
            made.append("closed")

    return pieces


def test_pieces_are_made_when_they_are_read(app, client):
    made = []
    app.get("/")(count_pieces(made))
    response = client.get("/")
    assert made == [0]
    pieces = iter(response.response)
    assert [next(pieces) for _ in range(3)] == [b"0 ", b"1 ", b"2 "]
    assert made == [0, 1, 2]
    response.close()
    assert made == [0, 1, 2, "closed"]
    response.close()
    assert made.count("closed") == 1


def test_a_response_that_is_dropped_is_left(app, client):
    made = []
    app.get("/")(count_pieces(made))
    client.get("/")
    gc.collect()
    assert made[-1] == "closed"


def test_a_response_that_another_thread_drops_is_left_later(app, client):
    made = []
    app.get("/")(count_pieces(made))
    app.get("/other", endpoint="other")(lambda: "other")
    kept = [client.get("/")]
    thread = threading.Thread(target=kept.clear)
    thread.start()
    thread.join()
    gc.collect()
    while made[-1] != "closed":
        client.get("/other")


def test_a_response_may_be_read_in_another_thread(app, client):
    app.get("/")(count_pieces([]))
    response = client.get("/")
    texts = []
    thread = threading.Thread(target=lambda: texts.append(response.text))
    thread.start()
    thread.join()
    assert texts[0].startswith("0 1 2 ")


def test_what_fails_in_the_middle_is_raised_where_it_is_read(app, client):
    @app.get("/")
    def view():
        def pieces():
            yield "a"
            raise ZeroDivisionError

        return stream_with_context(pieces())

    response = client.get("/")
    with pytest.raises(ZeroDivisionError):
        response.data  # noqa: B018  # reads it


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("kind", ["plain", "native"])
def test_errors_are_raised_once(app, client, error, kind):
    @app.get("/plain")
    def plain():
        raise error

    @app.get("/native")
    async def native():
        raise error

    app.get("/")(lambda: "fine")
    with pytest.raises(error):
        client.get(f"/{kind}")
    assert client.get("/").text == "fine"


def test_the_loop_is_the_threads_own_and_is_closed_with_it(app):
    loops = []

    @app.get("/")
    async def view():
        loops.append(asyncio.get_running_loop())
        return ""

    def work():
        app.test_client(door="asgi").get("/")
        pending.append(app.test_client(door="asgi").get("/stream"))

    made, pending = [], []
    app.get("/stream")(count_pieces(made))
    app.test_client(door="asgi").get("/")
    app.test_client(door="asgi").get("/")
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    gc.collect()
    assert loops[0] is loops[1] is not loops[2]
    assert [loop.is_closed() for loop in loops] == [False, False, True]
    assert made == [0, "closed"]
    pending.clear()


def test_a_child_process_has_a_loop_of_its_own(app, client, monkeypatch):
    @app.get("/")
    async def view():
        loops.append(asyncio.get_running_loop())
        return ""

    def ask():
        client.get("/")
        monkeypatch.setattr(_asgi_client, "os", SimpleNamespace(getpid=lambda: -1))
        client.get("/")

    loops = []
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    gc.collect()
    assert [loop.is_closed() for loop in loops] == [False, True]  # one is the parent's
    loops[0].close()


def test_a_running_loop_is_refused(app, client):
    async def main():
        client.get("/")

    with pytest.raises(RuntimeError, match=r"use the other client.*async_test_client"):
        run(main())


def test_nothing_is_received_after_the_client_has_left(app, client):
    received = []

    async def application(scope, receive, send):
        await send(START)
        try:
            await send({"type": "http.response.body", "body": b"a", "more_body": True})
        except OSError:
            received.append(await receive())
            await send(END)

    app.asgi = Middle(application)
    client.post("/", data=b"unread").close()
    assert received == [{"type": "http.disconnect"}]


def test_an_application_hears_of_the_end(app, client):
    received = []

    async def application(scope, receive, send):
        received.append(await receive())
        await send(START)
        await send(END)
        received.append(await receive())

    app.asgi = Middle(application)
    assert client.get("/").text == "end"
    assert [message["type"] for message in received] == [
        "http.request",
        "http.disconnect",
    ]


def test_an_application_has_to_answer(app, client):
    app.asgi = answering()
    with pytest.raises(RuntimeError, match="returned without an answer"):
        client.get("/")


def test_status_without_a_name(app, client):
    app.asgi = answering(START | {"status": 299}, END)
    assert client.get("/").status == "299 UNKNOWN"


# Validation


def start(**values):
    return [START | values, END]


BAD = {
    "no type": [{}],
    "has no type": ["text"],
    "'http.response.body' was sent where 'http.response.start' belongs": [END],
    "'http.response.start' was sent where 'http.response.body' belongs": [START, START],
    "was sent after the end": [START, END, END],
    "no end was sent, but the start is next": [],
    "no end was sent, but the body is next": [
        START,
        {"type": "http.response.body", "more_body": True},
    ],
    "the status is no number": start(status="200"),
    "from 200: 101": start(status=101),
    "not two bytes objects": start(headers=[("a", "b")]),
    "two bytes objects: .b'a'": start(headers=[[b"a"]]),
    "small letters: b'X-A'": start(headers=[(b"X-A", b"b")]),
    "small letters: b':a'": start(headers=[(b":a", b"b")]),
    "control characters": start(headers=[(b"a", b"b\r\nc")]),
    "the body is not bytes": [START, END | {"body": "text"}],
    "more_body is neither": [START, END | {"more_body": 1}],
    "2 missing": start(headers=[(b"content-length", b"5")]),
    "-1 missing": start(headers=[(b"content-length", b"2")]),
    "this answer has no body": start(status=204),
}


@pytest.mark.parametrize("fault", BAD)
def test_validation(app, fault):
    app.asgi = answering(*BAD[fault])
    with pytest.raises(AssertionError, match=fault):
        app.test_client(door="asgi", validate=True).get("/").data  # noqa: B018  # reads it


def test_validation_finds_what_the_application_swallowed(app):
    async def application(scope, receive, send):
        for message in (START, START, END):
            try:
                await send(message)
            except AssertionError:
                """It thinks that it knows better."""

    app.asgi = Middle(application)
    with pytest.raises(AssertionError, match="was sent where"):
        app.test_client(door="asgi", validate=True).get("/").data  # noqa: B018  # reads it


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("headers", [[], [(b"content-length", b"3")]])
def test_validation_lets_right_answers_through(app, headers, method):
    body = END | ({"body": b""} if method == "HEAD" else {})
    app.asgi = answering(START | {"headers": headers}, body)
    response = app.test_client(door="asgi", validate=True).open("/", method=method)
    assert response.data == body["body"]


def test_validation_leaves_alone_who_was_left(app):
    app.get("/")(count_pieces([]))
    response = app.test_client(door="asgi", validate=True).get("/")
    response.close()


# Async functions


@pytest.mark.parametrize(
    "method", ["get", "post", "put", "patch", "delete", "head", "options"]
)
def test_methods(app, method):
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    app.route("/", methods=methods)(lambda: ("", {"X-Method": request.method}))

    async def main():
        return await getattr(app.async_test_client(), method)("/")

    assert run(main()).headers["X-Method"] == method.upper()


def test_requests_of_async_functions(app):
    @app.post("/")
    async def index():
        session["n"] = request.json["n"]
        return erlen.redirect("/seen")

    app.get("/seen", endpoint="seen")(lambda: {"n": session["n"]})

    async def main():
        client = app.async_test_client()
        assert isinstance(client, AsyncErlenClient)
        assert client.application is app
        response = await client.post("/", json={"n": 1}, follow_redirects=True)
        assert client.get_cookie("session") is not None
        with client.session_transaction() as opened:
            opened["n"] += 1
        again = await client.open("/seen")
        client.delete_cookie("session")
        client.set_cookie("other", "1")
        return response.json, [step.status_code for step in response.history], again

    first, history, again = run(main())
    assert (first, history, again.json) == ({"n": 1}, [302], {"n": 2})


def test_the_application_runs_on_the_loop_of_the_caller(app):
    @app.get("/")
    async def view():
        return str(id(asyncio.get_running_loop()))

    async def main():
        response = await app.async_test_client().get("/")
        return response.text, str(id(asyncio.get_running_loop()))

    first, second = run(main())
    assert first == second
    assert run(main())[0]


def test_one_client_on_two_loops(app):
    app.get("/")(lambda: "fine")
    client = app.async_test_client()
    assert [run(client.get("/")).text for _ in range(2)] == ["fine", "fine"]


def test_requests_wait_for_each_other(app):
    app.arrived = None

    @app.get("/")
    async def view():
        app.arrived = app.arrived or asyncio.Event()
        app.count = getattr(app, "count", 0) + 1
        if app.count == 50:
            app.arrived.set()
        await app.arrived.wait()
        return "together"

    async def main():
        client = app.async_test_client()
        return await asyncio.gather(*(client.get("/") for _ in range(50)))

    assert {response.text for response in run(main())} == {"together"}


def test_errors_of_views_reach_async_functions(app):
    app.get("/")(lambda: 1 // 0)

    async def main():
        with pytest.raises(ZeroDivisionError):
            await app.async_test_client().get("/")

    run(main())


def test_who_cancels_a_request_cancels_the_view(app):
    ends = []

    @app.get("/")
    async def view():
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            ends.append("view")

    app.teardown_request(lambda exc: ends.append("teardown"))

    async def main():
        task = asyncio.ensure_future(app.async_test_client().get("/"))
        await started.wait()
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()

    started = asyncio.Event()
    run(main())
    assert ends == ["view", "teardown"]


def test_cancelled_before_the_request_is_sent(app):
    async def main():
        task = asyncio.ensure_future(app.async_test_client().get("/"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()

    run(main())


def test_the_loop_ends_while_a_request_is_waiting(app):
    @app.get("/")
    async def view():
        started.set()
        await asyncio.sleep(60)

    async def main():
        tasks.append(asyncio.ensure_future(app.async_test_client().get("/")))
        await started.wait()

    tasks = []
    started = asyncio.Event()
    run(main())
    assert tasks[0].cancelled()


def test_stream(app):
    made = []
    app.get("/")(count_pieces(made))

    async def main():
        async with app.async_test_client().stream("/") as response:
            assert (response.status_code, response.mimetype) == (200, "text/html")
            assert response.headers["Content-Type"] == "text/html; charset=utf-8"
            assert await anext(response) == b"0 "
            assert await anext(response) == b"1 "
            assert made == [0, 1]
        assert made == [0, 1, "closed"]
        async with app.async_test_client().stream("/") as response:
            return b"".join([piece async for piece in response])

    assert run(main()).split()[-1] == b"999"


def test_a_stream_that_is_dropped_is_left(app):
    made = []
    app.get("/")(count_pieces(made))

    async def main():
        client = app.async_test_client()
        await client._calls.do(client._client.open, "/")
        gc.collect()
        while made[-1] != "closed":  # noqa: ASYNC110  # nothing tells that it was left
            await asyncio.sleep(0)

    run(main())


# The life of the application


@pytest.fixture
def calls(app):
    calls = []
    app.on_startup(lambda: calls.append("start"))
    app.on_shutdown(lambda: calls.append("stop"))
    app.get("/")(lambda: calls.append("view") or "")
    return calls


def test_an_async_block_is_the_life_of_the_application(app, calls):
    async def main():
        async with app.async_test_client() as client:
            assert calls == ["start"]
            await client.get("/")
        assert calls == ["start", "view", "stop"]
        async with client:
            """Once more."""

    run(main())
    assert calls == ["start", "view", "stop", "start", "stop"]


def test_without_a_block_the_first_request_starts_it(app, calls, monkeypatch):
    monkeypatch.setattr("atexit.register", lambda *args: None)
    client = app.test_client(door="asgi")
    with client:
        client.get("/")
    client.get("/")
    assert calls == ["start", "view", "view"]


def test_a_block_in_itself_is_refused(app):
    async def main():
        async with app.async_test_client() as client:
            with pytest.raises(RuntimeError, match="in an 'async with' block already"):
                await client.__aenter__()

    run(main())


@pytest.mark.parametrize("what", ["startup", "shutdown"])
def test_what_fails_is_told(app, what):
    getattr(app, f"on_{what}")(lambda: 1 // 0)

    async def main():
        with pytest.raises(
            RuntimeError, match=f"{what} .* failed:\n(?s:.*)ZeroDivision"
        ):
            async with app.async_test_client():
                """Nothing."""

    run(main())


def test_an_application_that_knows_no_lifespan(app):
    async def main():
        app.asgi = answering()
        with pytest.raises(
            RuntimeError, match=r"startup .*\nit returned without a word"
        ):
            await app.async_test_client().__aenter__()

        async def application(scope, receive, send):
            raise LookupError(scope["type"])

        app.asgi = Middle(application)
        with pytest.raises(LookupError, match="lifespan"):
            await app.async_test_client().__aenter__()

    run(main())


def test_leaving_what_was_never_entered(app):
    run(app.async_test_client().__aexit__())
