"""Streamed answers: which context they see and who closes what."""

from __future__ import annotations

import pytest

import erlen
from erlen import Erlen
from erlen import Response
from erlen import has_request_context
from erlen import request
from erlen import session
from erlen import stream_with_context


def test_generator_is_streamed(app, client):
    produced = []

    def generate():
        for letter in "abc":
            produced.append(letter)
            yield letter

    app.get("/", endpoint="index")(lambda: generate())

    response = client.get("/")

    assert response.is_streamed
    assert produced == ["a"]
    assert response.text == "abc"


def test_plain_generator_has_lost_the_context(app, client):
    def generate():
        yield str(has_request_context())
        yield str(has_request_context())

    app.get("/", endpoint="index")(lambda: Response(generate()))

    environ = app.test_request_context("/").request.environ
    body = app(environ, lambda status, headers: None)
    assert b"".join(body) == b"FalseFalse"
    body.close()


@pytest.mark.parametrize("how", ["call", "decorator"])
def test_stream_with_context_keeps_it(app, client, how):
    if how == "call":

        @app.get("/")
        def view():
            def generate():
                yield f"Hello {request.args['name']}"
                yield session.get("a", "!")

            return Response(stream_with_context(generate()))

    else:

        @app.get("/")
        def view():
            @stream_with_context
            def generate(greeting):
                yield f"{greeting} {request.args['name']}"
                yield session.get("a", "!")

            return Response(generate("Hello"))

    assert client.get("/?name=Ada").text == "Hello Ada!"
    assert not has_request_context()


def test_first_item_is_made_when_it_is_asked_for(app, client):
    made = []

    @app.get("/")
    def view():
        def generate():
            made.append("first")
            yield "x"

        stream = stream_with_context(generate())
        assert made == []
        return stream

    assert client.get("/").text == "x"
    assert made == ["first"]


class Wrapped:
    """An iterator that notes how it is closed."""

    def __init__(self, items, fail=None):
        self.items = iter(items)
        self.fail = fail
        self.closed = 0

    def __iter__(self):
        return self

    def __next__(self):
        try:
            return next(self.items)
        except StopIteration:
            if self.fail:
                raise self.fail from None
            raise

    def close(self):
        self.closed += 1


def test_wrapped_iterator_is_closed_at_its_end(app, client):
    wrapped = Wrapped(["a", "b"])
    app.get("/", endpoint="index")(lambda: stream_with_context(wrapped))

    with client.get("/") as response:
        assert response.text == "ab"

    assert wrapped.closed


def test_wrapped_iterator_is_closed_when_the_client_leaves(app):
    wrapped = Wrapped(["a", "b"])
    app.get("/", endpoint="index")(lambda: stream_with_context(wrapped))
    environ = app.test_request_context("/").request.environ

    body = app(environ, lambda status, headers: None)
    assert next(iter(body)) == b"a"
    body.close()

    assert wrapped.closed
    assert not has_request_context()


def test_wrapped_iterator_is_closed_when_it_fails(app, client):
    wrapped = Wrapped(["a"], fail=LookupError("late"))
    app.get("/", endpoint="index")(lambda: stream_with_context(wrapped))

    response = client.get("/")
    with pytest.raises(LookupError, match="late"):
        response.get_data()
    response.close()

    assert wrapped.closed
    assert not has_request_context()


def test_stream_with_context_outside_of_a_request():
    with pytest.raises(RuntimeError, match="request"):
        next(iter(stream_with_context(iter("abc"))))


def test_teardown_runs_after_the_stream_when_the_context_is_kept(app):
    trace = []
    app.teardown_request(lambda exc: trace.append("teardown"))

    @app.get("/")
    def view():
        def generate():
            yield "a"
            trace.append("last item")
            yield "b"

        return stream_with_context(generate())

    environ = app.test_request_context("/").request.environ
    body = app(environ, lambda status, headers: None)
    assert b"".join(body) == b"ab"
    body.close()

    assert trace[-2:] == ["last item", "teardown"]


def test_after_functions_have_run_before_the_stream(app, client):
    trace = []

    @app.after_request
    def after(response):
        trace.append("after")
        return response

    def generate():
        trace.append("item")
        yield "x"

    app.get("/", endpoint="index")(lambda: generate())

    assert client.get("/").text == "x"
    assert trace == ["after", "item"]


def test_head_does_not_run_the_stream(app):
    wrapped = Wrapped(["a"])
    app.get("/", endpoint="index")(lambda: Response(wrapped))

    with app.test_client().head("/") as response:
        assert response.data == b""
    assert list(wrapped) == ["a"]


def test_call_on_close_runs_with_the_close(app, client):
    trace = []

    @app.get("/")
    def view():
        response = erlen.make_response("x")
        response.call_on_close(lambda: trace.append("closed"))
        return response

    response = client.get("/")
    assert response.text == "x"
    response.close()

    assert trace == ["closed"]


def test_streams_of_two_requests_do_not_mix(app):
    @app.get("/<name>")
    def view(name):
        def generate():
            for _ in range(2):
                yield request.view_args["name"]

        return stream_with_context(generate())

    bodies = [
        app(
            app.test_request_context(f"/{name}").request.environ,
            lambda status, headers: None,
        )
        for name in "ab"
    ]
    texts = [b"".join(body) for body in reversed(bodies)]
    for body in reversed(bodies):
        body.close()

    assert texts == [b"bb", b"aa"]


def test_session_can_be_read_in_a_stream(app, client):
    app.get("/put", endpoint="put")(lambda: session.update(a="kept") or "")

    @app.get("/")
    def view():
        def generate():
            yield session["a"]

        return stream_with_context(generate())

    client.get("/put")

    assert client.get("/").text == "kept"


def test_request_body_can_be_read_in_a_stream(app, client):
    @app.post("/")
    def view():
        def generate():
            while chunk := request.stream.read(2):
                yield chunk + b"|"

        return stream_with_context(generate())

    assert client.post("/", data=b"abcde").data == b"ab|cd|e|"


def test_application_of_the_stream_is_the_right_one():
    outer, inner = Erlen("outer"), Erlen("inner")

    @inner.get("/")
    def view():
        def generate():
            yield erlen.current_app.name

        return stream_with_context(generate())

    with outer.app_context():
        assert inner.test_client().get("/").text == "inner"
        assert erlen.current_app.name == "outer"
