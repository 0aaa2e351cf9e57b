from __future__ import annotations

import asyncio
import threading

import pytest

from erlen import _state
from erlen import g
from erlen import request
from erlen import stream_with_context
from erlen._async_streams import AsyncBody
from erlen.signals import stream_started


class Letters:
    """An asynchronous iterable, which counts how often it is closed."""

    def __init__(self, letters="abc", error=None):
        self.letters = list(letters)
        self.error = error
        self.closed = 0
        self.threads = set()
        self.loops = set()

    def __aiter__(self):
        return self

    async def __anext__(self):
        await asyncio.sleep(0)
        self.threads.add(threading.current_thread())
        self.loops.add(asyncio.get_running_loop())
        if self.letters:
            return self.letters.pop(0)
        if self.error is not None:
            raise self.error
        raise StopAsyncIteration

    async def aclose(self):
        await asyncio.sleep(0)
        self.closed += 1


class Source:
    """An asynchronous iterable with an iterator of its own; both can be closed."""

    def __init__(self):
        self.letters = Letters()
        self.closed = 0

    def __aiter__(self):
        return self.letters

    async def aclose(self):
        self.closed += 1


# A body without a server


def test_it_is_read_without_await():
    letters = Letters()
    body = AsyncBody(letters)

    assert iter(body) is body
    assert list(body) == ["a", "b", "c"]
    assert letters.closed == 1
    assert letters.threads == {threading.current_thread()}
    assert len(letters.loops) == 1


def test_its_loop_lives_as_long_as_the_body():
    letters = Letters()
    body = AsyncBody(letters)
    assert next(body) == "a"
    (loop,) = letters.loops
    assert not loop.is_closed()

    body.close()
    body.close()

    assert loop.is_closed()
    assert letters.closed == 1


def test_a_body_that_nobody_has_read_is_closed_too():
    letters = Letters()
    AsyncBody(letters).close()
    assert letters.closed == 1


def test_source_and_iterator_are_closed():
    source = Source()
    assert list(AsyncBody(source)) == ["a", "b", "c"]
    assert (source.letters.closed, source.closed) == (1, 1)


def test_what_cannot_be_closed_is_not():
    class Plain:
        def __aiter__(self):
            return self

        async def __anext__(self):
            raise StopAsyncIteration

    assert list(AsyncBody(Plain())) == []


def test_an_error_of_the_source():
    letters = Letters("a", ValueError("x"))
    body = AsyncBody(letters)
    assert next(body) == "a"
    with pytest.raises(ValueError, match="x"):
        next(body)
    body.close()
    assert letters.closed == 1


def test_an_error_while_closing_closes_the_loop():
    loops = []

    async def pieces():
        try:
            yield "a"
        finally:
            loops.append(asyncio.get_running_loop())
            raise ValueError("x")

    body = AsyncBody(pieces())
    next(body)
    with pytest.raises(ValueError, match="x"):
        body.close()
    assert loops[0].is_closed()


def test_it_can_be_awaited(run):
    async def main():
        letters = Letters()
        body = AsyncBody(letters)
        found = [piece async for piece in body]
        await body.aclose()
        await body.aclose()
        return found, letters.closed

    assert run(main()) == (["a", "b", "c"], 1)


# A body on a server


def test_in_a_worker_it_is_read_on_the_loop_of_the_server(app, ask):
    letters = Letters()

    @app.get("/")
    def view():
        response = app.response_class(letters)
        return response.get_data()

    answer = ask(app)

    assert answer.text == "abc"
    assert letters.threads == {threading.current_thread()}
    assert letters.closed == 1


@pytest.mark.parametrize("letters", ["", "abc"])
def test_the_loop_does_not_wait_for_it(app, ask, letters):
    source = Letters(letters)

    @app.get("/")
    async def view():
        response = app.response_class(source)
        try:
            response.get_data()
        except RuntimeError as exc:
            return str(exc)
        finally:
            await response.response.aclose()

    assert "await asyncio.to_thread(response.get_data)" in ask(app).text
    assert source.closed == 1


def test_the_cure(app, ask):
    @app.get("/")
    async def view():
        return app.response_class(Letters())

    @app.after_request
    async def after(response):
        data = await asyncio.to_thread(response.get_data)
        response.headers["X-Length"] = str(len(data))
        return response

    answer = ask(app)
    assert (answer.text, answer.headers["x-length"]) == ("abc", "3")


def test_a_body_that_was_not_begun_is_closed_on_the_loop(app, ask):
    ended = []

    async def pieces():
        try:
            yield "a"
        finally:
            ended.append("never begun, never ended")

    @app.get("/")
    async def view():
        with app.response_class(pieces()):
            return "other"

    assert ask(app).text == "other"
    assert ended == []


# A stream that keeps the context


@pytest.fixture
def ended(app):
    """Return a list of what the teardown functions got."""
    ended = []
    app.teardown_request(ended.append)
    app.teardown_appcontext(lambda exc: ended.append("application"))
    return ended


@pytest.fixture(params=["wsgi", "asgi"])
def get(app, request):
    """Return what gets the body of "/" through a door."""
    client = app.test_client(door=request.param, validate=request.param == "asgi")
    return lambda path="/": client.get(path).text


@pytest.mark.parametrize("kind", ["generator", "function", "iterable"])
def test_the_context_is_there_for_each_piece(app, get, ended, kind):
    async def pieces():
        for number in range(3):
            await asyncio.sleep(0)
            g.number = g.get("number", 0) + number
            yield f"{request.path}{g.number}"

    class Pieces:
        def __aiter__(self):
            return pieces()

    @app.get("/x")
    def view():
        if kind == "generator":
            return stream_with_context(pieces())
        if kind == "function":
            return stream_with_context(pieces)()
        return stream_with_context(Pieces())

    assert get("/x") == "/x0/x1/x3"
    assert ended == [None, "application"]


def test_there_is_no_context_between_the_pieces(app, ended):
    frames = []

    async def pieces():
        for _ in range(2):
            frames.append(_state.current.get())
            yield ""

    async def read(stream):
        before = _state.current.get()
        return [before, *[_state.current.get() async for _ in stream]]

    with app.test_request_context() as ctx:
        stream = stream_with_context(pieces())
        assert aiter(stream) is stream
    assert ended == []
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        assert runner.run(read(stream)) == [(None, None)] * 3
    assert [frame[1] for frame in frames] == [ctx, ctx]
    assert ended == [None, "application"]


@pytest.mark.parametrize(
    ("error", "given"),
    [(ValueError("x"), True), (asyncio.CancelledError("x"), False)],
)
def test_an_error_of_the_stream_goes_to_the_teardown(app, run, ended, error, given):
    source = Letters("a", error)

    async def read():
        found = [await anext(stream)]
        with pytest.raises(type(error)):
            await anext(stream)
        await stream.aclose()
        return found

    with app.test_request_context():
        stream = stream_with_context(source)

    assert run(read()) == ["a"]
    assert ended == [error if given else None, "application"]
    assert source.closed == 1


@pytest.mark.parametrize("begun", [0, 1])
def test_a_stream_that_is_closed(app, run, ended, begun):
    source = Source()

    async def read():
        for _ in range(begun):
            await anext(stream)
        await stream.aclose()
        await stream.aclose()

    with app.test_request_context():
        stream = stream_with_context(source)

    run(read())
    assert ended == [None, "application"]
    assert (source.letters.closed, source.closed) == (1, 1)


def test_an_error_while_it_is_closed(app, run, ended):
    async def pieces():
        try:
            yield "a"
        finally:
            raise ValueError("at the end")

    async def read():
        await anext(stream)
        with pytest.raises(ValueError, match="at the end"):
            await stream.aclose()

    with app.test_request_context():
        stream = stream_with_context(pieces())

    run(read())
    assert [repr(exc) for exc in ended] == ["ValueError('at the end')", "'application'"]


def test_an_iterator_that_cannot_be_closed(app, run, ended):
    class Empty:
        def __aiter__(self):
            return self

        async def __anext__(self):
            raise StopAsyncIteration

    async def read():
        return [piece async for piece in stream]

    with app.test_request_context():
        stream = stream_with_context(Empty())

    assert run(read()) == []
    assert ended == [None, "application"]


def test_a_stream_that_is_read_on_after_its_end(app, run, ended):
    async def read():
        return [await anext(stream, "end") for _ in range(4)]

    with app.test_request_context():
        stream = stream_with_context(Letters("ab"))

    assert run(read()) == ["a", "b", "end", "end"]
    assert ended == [None, "application"]


def test_the_signal_is_sent_before_the_first_piece(app, get, ended):
    seen = []

    def receive(sender, **extra):
        seen.append((sender, request.path, threading.current_thread()))

    async def pieces():
        seen.append("first")
        yield "a"
        yield "b"

    @app.get("/")
    def view():
        return stream_with_context(pieces())

    with stream_started.connected_to(receive, app):
        assert get() == "ab"
    assert seen[0][:2] == (app, "/")
    assert seen[1:] == ["first"]
    assert ended == [None, "application"]


def test_what_may_block_is_called_in_a_worker(app, ask):
    threads = []

    def note(*args, **extra):
        threads.append(threading.current_thread())

    async def pieces():
        yield "a"

    @app.get("/")
    async def view():
        return stream_with_context(pieces())

    app.teardown_request(note)
    app.teardown_appcontext(note)
    with stream_started.connected_to(note, app):
        assert ask(app).text == "a"
    assert len(threads) == 3
    assert threading.current_thread() not in threads
