"""Bodies that are sent over ASGI: how they go, and how they end."""

from __future__ import annotations

import asyncio
import contextvars
import io
import threading

import pytest

from erlen import Response
from erlen import _sending
from erlen import request
from erlen import send_file
from erlen import stream_with_context
from erlen._sending import finish
from erlen._sending import lasting


def here():
    if threading.current_thread() is threading.main_thread():
        return "loop"
    return "worker"


class Closing:
    """An iterator over pieces, which notes its end."""

    def __init__(self, pieces, closed):
        self.pieces = iter(pieces)
        self.closed = closed

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.pieces)

    def close(self):
        self.closed.append(here())


class ClosingLater:
    """The same, asynchronously, and without an end."""

    def __init__(self, closed):
        self.closed = closed

    def __aiter__(self):
        return self

    async def __anext__(self):
        await asyncio.sleep(0)
        return b"x"

    async def aclose(self):
        await asyncio.sleep(0)
        self.closed.append(here())


@pytest.fixture
def ended(app):
    """Return a list to which each end of a request and of a stream is added."""
    ended = []
    app.teardown_request(lambda exc: ended.append(f"teardown {exc!r}"))
    return ended


# One piece


@pytest.mark.parametrize(
    ("body", "status", "headers", "text"),
    [
        ("text", 200, {}, "text"),
        ("text", 201, {"X-Name": "\xe9"}, "text"),
        (["a", b"b"], 200, {}, "ab"),
        ("", 204, {}, ""),
    ],
)
def test_what_is_whole_is_one_message(app, ask, hops, body, status, headers, text):
    @app.get("/")
    async def view():
        return Response(body, status, headers)

    for method, expected in (("GET", text), ("HEAD", "")):
        answer = ask(app, method=method)
        assert answer.status == status
        assert [message["type"] for message in answer.sent] == [
            "http.response.start",
            "http.response.body",
        ]
        assert not answer.sent[1].get("more_body")
        assert answer.text == expected
        assert {key: answer.headers[key.lower()] for key in headers} == headers
    assert hops == []


@pytest.mark.parametrize("after", [1, 2])
@pytest.mark.parametrize("error", [OSError, ConnectionResetError])
def test_a_server_that_says_that_nobody_is_there(app, run, exchange, after, error):
    @app.get("/")
    async def view():
        return "x"

    async def send(message):
        sent.append(message)
        if len(sent) == after:
            raise error

    sent = []
    asked = exchange(app)
    asked.send = send
    run(asked.run())
    assert len(sent) == after


def test_what_is_called_at_the_end_of_one_piece(app, ask, hops):
    closed = []

    @app.get("/")
    async def view():
        response = Response("whole")
        response.call_on_close(lambda: closed.append(here()))
        return response

    answer = ask(app)
    assert answer.pieces == [b"whole"]
    assert closed == ["worker"]
    assert len(hops) == 1


def test_headers_are_encoded_anew_when_there_are_many(app, ask, monkeypatch):
    monkeypatch.setattr(_sending, "_encoded", {})
    monkeypatch.setattr(_sending, "_ENCODED", 2)

    @app.get("/<int:size>")
    async def view(size):
        return "x" * size

    for _ in range(2):
        for size in range(5):
            assert ask(app, f"/{size}").headers["content-length"] == str(size)
    assert len(_sending._encoded) <= 2


@pytest.mark.parametrize("kind", ["whole", "sync", "async"])
def test_a_header_that_cannot_be_sent(app, ask, ended, kind):
    def pieces():
        yield "a"

    async def pieces_later():
        yield "a"

    bodies = {
        "whole": lambda: "text",
        "sync": lambda: stream_with_context(pieces()),
        "async": lambda: stream_with_context(pieces_later()),
    }

    @app.get("/")
    async def view():
        response = Response(bodies[kind](), headers={"X-Name": "\N{SNOWMAN}"})
        response.call_on_close(lambda: ended.append("response"))
        return response

    with pytest.raises(UnicodeEncodeError):
        ask(app)
    assert sorted(ended) == ["response", "teardown None"]


# Streams


def sync_pieces():
    yield "a"
    yield b"b"
    yield ""
    yield "\N{SNOWMAN}"


async def async_pieces():
    for piece in sync_pieces():
        await asyncio.sleep(0)
        yield piece


@pytest.mark.parametrize("make", [sync_pieces, async_pieces])
def test_a_stream_goes_piece_by_piece(app, ask, make):
    app.add_url_rule("/", "index", lambda: Response(make()))

    answer = ask(app)

    assert answer.text == "ab\N{SNOWMAN}"
    assert len(answer.pieces) > 3
    more = [message["more_body"] for message in answer.sent[1:]]
    assert more == [True] * (len(more) - 1) + [False]


@pytest.mark.parametrize("make", [sync_pieces, async_pieces])
@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 304)])
def test_a_stream_that_is_not_sent_is_closed(app, ask, make, method, status):
    closed = []

    @app.get("/")
    def view():
        response = Response(make(), status)
        response.call_on_close(lambda: closed.append(here()))
        return response

    assert ask(app, method=method).data == b""
    assert closed == ["worker"]


def test_each_piece_of_a_sync_stream_is_one_way_to_a_worker(app, ask, hops):
    closed = []

    @app.get("/")
    async def view():
        return Response(Closing([b"a", b"b", b"c"], closed))

    assert ask(app).pieces == [b"a", b"b", b"c", b""]
    assert len(hops) == 5
    assert closed == ["worker"]


def test_an_async_stream_goes_to_no_worker(app, ask, hops):
    @app.get("/")
    async def view():
        return async_pieces()

    assert ask(app).text == "ab\N{SNOWMAN}"
    assert hops == []


def test_an_async_stream_keeps_its_context_variables(app, ask):
    var = contextvars.ContextVar("var")

    async def pieces():
        token = var.set("mine")
        try:
            yield "a"
            yield var.get()
        finally:
            var.reset(token)

    @app.get("/")
    async def view():
        return pieces()

    assert ask(app).text == "amine"


@pytest.mark.parametrize("iterable", [False, True])
def test_what_is_called_at_the_end_of_a_stream(app, ask, ended, iterable):
    class Pieces:
        def __aiter__(self):
            return async_pieces()

    @app.get("/")
    async def view():
        response = Response(
            Pieces() if iterable else stream_with_context(async_pieces())
        )
        response.call_on_close(lambda: ended.append(f"response {here()}"))
        return response

    assert ask(app).text == "ab\N{SNOWMAN}"
    assert sorted(ended) == ["response worker", "teardown None"]


class OopsError(Exception):
    pass


def failing_pieces():
    yield "a"
    raise OopsError


async def async_failing_pieces():
    yield "a"
    raise OopsError


@pytest.mark.parametrize("make", [failing_pieces, async_failing_pieces])
def test_a_stream_that_fails(app, run, exchange, ended, make):
    @app.get("/")
    async def view():
        response = Response(stream_with_context(make()))
        response.call_on_close(lambda: ended.append("response"))
        return response

    asked = exchange(app)
    with pytest.raises(OopsError):
        run(asked.run())
    assert asked.text == "a"
    assert asked.sent[-1]["more_body"]  # the server closes the connection
    assert ended == ["teardown OopsError()", "response"]


# The client leaves


def endless(ended):
    try:
        while True:
            yield "x"
    finally:
        ended.append(f"generator {here()}")


async def async_endless(ended):
    try:
        while True:
            await asyncio.sleep(0)
            yield "x"
    finally:
        ended.append(f"generator {here()}")


STREAMS = {
    "sync": (endless, "worker"),
    "async": (async_endless, "loop"),
}


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize("holds", [False, True])
@pytest.mark.parametrize("how", ["disconnect", "OSError", "cancelled"])
def test_a_stream_ends_when_the_client_leaves(
    app, run, exchange, ended, kind, holds, how
):
    make, place = STREAMS[kind]

    @app.get("/")
    async def view():
        stream = make(ended)
        return Response(stream_with_context(stream) if holds else stream)

    async def main():
        asked = exchange(app)
        task = asyncio.ensure_future(asked.run())
        await asked.sending(4)
        if how == "disconnect":
            asked.leave()
        elif how == "OSError":
            asked.broken = True
        else:
            task.cancel()
        await asyncio.wait({task})
        assert task.cancelled() is (how == "cancelled")
        assert task.cancelled() or task.exception() is None
        await finish()
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert run(main()) == set()
    assert sorted(ended) == [f"generator {place}", "teardown None"]


def test_an_async_stream_that_waits_ends_when_the_client_leaves(
    app, run, exchange, ended
):
    async def pieces():
        try:
            yield "first"
            await asyncio.Event().wait()
        finally:
            ended.append("generator")

    @app.get("/")
    def view():
        return stream_with_context(pieces())

    async def main():
        asked = exchange(app)
        task = asyncio.ensure_future(asked.run())
        await asked.sending(2)
        asked.leave()
        await task

    run(main())
    assert ended == ["generator", "teardown None"]


@pytest.mark.parametrize("kind", STREAMS)
def test_a_client_that_leaves_before_the_head(app, run, exchange, ended, kind):
    make, _ = STREAMS[kind]

    @app.get("/")
    async def view():
        response = Response(make(ended))
        response.call_on_close(lambda: ended.append("response"))
        return response

    asked = exchange(app)
    asked.broken = True
    run(asked.run())
    assert asked.sent == []
    assert sorted(ended) == ["response", "teardown None"]  # it was never begun


def test_a_body_is_closed_to_its_end_whatever_is_cancelled(app, run, exchange):
    closed = []

    class Slow(ClosingLater):
        async def aclose(self):
            if begun.is_set():
                return
            begun.set()
            await asyncio.wait_for(release.wait(), 10)
            closed.append(True)

    @app.get("/")
    async def view():
        return Response(Slow(closed))

    async def main():
        asked = exchange(app)
        task = asyncio.ensure_future(asked.run())
        await asked.sending(3)
        asked.leave()
        await begun.wait()
        task.cancel()
        for _ in range(3):
            await asyncio.sleep(0)
        assert closed == []
        release.set()
        await asyncio.wait({task})
        await finish()

    begun, release = asyncio.Event(), asyncio.Event()
    run(main())
    assert closed == [True]


def test_the_rest_of_a_body_is_for_who_reads_it(app, run, exchange):
    @app.post("/")
    def view():
        def pieces():
            yield "begun "
            yield request.stream.read()

        return stream_with_context(pieces())

    async def main():
        asked = exchange(app, method="POST", headers={"content-length": "6"})
        asked.messages.get_nowait()
        asked.come(b"abc")
        task = asyncio.ensure_future(asked.run())
        await asked.sending(2)
        asked.come(b"def", more=False)
        await task
        return asked.text

    assert run(main()) == "begun abcdef"


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize(
    "given",
    [
        {"headers": {"content-length": "9"}},
        {"headers": {"transfer-encoding": "chunked"}},
        {"http_version": "2"},
    ],
)
@pytest.mark.parametrize("came", [0, 1])
def test_the_client_is_watched_though_nobody_reads_the_body(
    app, run, exchange, ended, kind, given, came
):
    make, place = STREAMS[kind]

    @app.post("/")
    def view():
        return Response(make(ended))

    async def main():
        asked = exchange(app, method="POST", **given)
        asked.messages.get_nowait()
        for _ in range(came):
            asked.come(b"abc")
        task = asyncio.ensure_future(asked.run())
        await asked.sending(4)
        asked.leave()
        await asyncio.wait_for(task, 10)

    run(main())
    assert sorted(ended) == [f"generator {place}", "teardown None"]


def test_a_stream_that_waits_for_nothing_lets_others_have_their_turn(
    app, run, exchange, ended
):
    async def pieces():
        try:
            while True:
                yield "x"
        finally:
            ended.append("generator")

    @app.get("/")
    async def view():
        return pieces()

    async def main():
        asked = exchange(app)
        task = asyncio.ensure_future(asked.run())
        await asked.sending(2)
        asked.leave()
        await asyncio.wait_for(task, 10)

    run(main())
    assert sorted(ended) == ["generator", "teardown None"]


@pytest.mark.parametrize("left", [False, True])
def test_a_body_that_is_cut_while_it_is_echoed(app, run, exchange, ended, left):
    @app.post("/")
    def view():
        def pieces():
            yield "begun "
            yield request.stream.read()

        return stream_with_context(pieces())

    async def main():
        asked = exchange(app, method="POST", headers={"content-length": "6"})
        asked.messages.get_nowait()
        task = asyncio.ensure_future(asked.run())
        await asked.sending(2)
        if left:
            asked.leave()
        else:  # it is still there, and has sent less than it said
            asked.come(b"abc", more=False)
        await asyncio.wait({task})
        return type(task.exception()).__name__

    assert run(main()) == ("NoneType" if left else "ClientDisconnected")
    assert [text[:30] for text in ended] == ["teardown <ClientDisconnected '"]


def test_what_is_no_body_is_an_error(app, run, exchange):
    def application(environ, start_response):
        start_response("200 OK", [])

    app.mount("/inner", application)

    async def main():
        with pytest.raises(TypeError, match="not iterable"):
            await exchange(app, "/inner").run()
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert run(main()) == set()


def test_after_the_body_was_read_the_client_is_watched(app, run, exchange, ended):
    @app.post("/")
    async def view():
        return Response(async_endless(ended))

    async def main():
        asked = exchange(app, method="POST", body=b"abc")
        task = asyncio.ensure_future(asked.run())
        await asked.sending(3)
        asked.come(b"odd")  # nobody sends this, and nobody minds
        asked.leave()
        await task

    run(main())
    assert sorted(ended) == ["generator loop", "teardown None"]


# Files


@pytest.mark.parametrize("size", [0, 1, 256 * 1024, 1024 * 1024 + 1])
def test_a_file_goes_in_few_ways_to_a_worker(app, ask, hops, tmp_path, size):
    path = tmp_path / "file.bin"
    path.write_bytes(b"x" * size)

    @app.get("/")
    def view():
        return send_file(path)

    answer = ask(app)

    assert answer.data == b"x" * size
    assert answer.headers["content-length"] == str(size)
    assert len(hops) <= 4 + size // (256 * 1024)  # the view, the rest, closing


def test_what_cannot_be_closed_is_not(app, ask):
    class Pieces:
        def __init__(self):
            self.pieces = ["a", "b"]

        def __aiter__(self):
            return self

        async def __anext__(self):
            if self.pieces:
                return self.pieces.pop(0)
            raise StopAsyncIteration

    class Raw(Response):
        """A response that sends what it was given, as some do."""

        def __init__(self, response):
            super().__init__()
            self.response = response

    app.add_url_rule("/", "index", lambda: Raw(Pieces()))

    assert ask(app).text == "ab"


def test_a_body_of_wsgi_that_cannot_be_closed(app, ask):
    def application(environ, start_response):
        start_response("200 OK", [])
        return b"a", b"b"

    app.mount("/inner", application)

    assert ask(app, "/inner").pieces == [b"a", b"b", b""]


def test_a_file_in_memory_is_closed(app, ask):
    file = io.BytesIO(b"x" * 100_000)

    @app.get("/")
    async def view():
        return send_file(file, download_name="x.bin")

    assert ask(app).data == b"x" * 100_000
    assert file.closed


# What goes on after the answer


def test_finish_waits_for_what_goes_on(run):
    done = []

    async def work():
        for _ in range(9):
            await asyncio.sleep(0)
        done.append(True)

    async def close():
        task = asyncio.ensure_future(_sending._to_the_end(work()))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        assert done == []
        await finish()

    run(close())
    assert done == [True]


def test_finish_cancels_what_lasts(run):
    async def stay(gone):
        with lasting():
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                gone.append(True)

    async def main():
        gone = []
        task = asyncio.ensure_future(stay(gone))
        await asyncio.sleep(0)
        await finish()
        assert task.cancelled()
        await finish()
        return gone

    assert run(main()) == [True]


def test_finish_leaves_other_loops_alone(run):
    async def stay():
        with lasting():
            await asyncio.Event().wait()

    other = asyncio.new_event_loop()
    task = other.create_task(stay())
    other.call_soon(other.stop)
    other.run_forever()

    run(finish())

    assert not task.cancelling()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        other.run_until_complete(task)
    other.close()
