from __future__ import annotations

import pytest
from werkzeug.datastructures import Headers
from werkzeug.wrappers import Response as WerkzeugResponse

import erlen
from erlen import Response
from erlen._responses import make_response


class Text(str):
    __slots__ = ()


class Data(bytes):
    __slots__ = ()


class Mapping(dict):
    pass


class Sequence(list):
    pass


class Own(Response):
    pass


def hello(environ, start_response):
    start_response("201 CREATED", [("Content-Type", "text/plain"), ("X-A", "wsgi")])
    return [b"hello"]


@pytest.mark.parametrize(
    ("usual", "other"),
    [
        ("text", Text("text")),
        (b"data", Data(b"data")),
        (b"data", bytearray(b"data")),
        ({"a": 1}, Mapping(a=1)),
        ([1], Sequence([1])),
        ("ab", iter(["a", "b"])),
        ("ab", (letter for letter in "ab")),
    ],
)
def test_usual_kinds_and_their_likes_become_the_same(app, usual, other):
    with app.test_request_context():
        expected, found = make_response(app, usual), make_response(app, other)

    assert type(found) is type(expected) is Response
    assert found.get_data() == expected.get_data()
    assert (found.status, found.mimetype) == (expected.status, expected.mimetype)


@pytest.mark.parametrize("empty", ["", b"", {}, []])
def test_an_empty_body_is_a_body(app, empty):
    with app.app_context():
        response = make_response(app, empty)

    assert response.status == "200 OK"


BODIES = [
    lambda: "hello",
    lambda: b"hello",
    lambda: bytearray(b"hello"),
    lambda: iter(["hello"]),
    lambda: Text("hello"),
    lambda: Response("hello"),
    lambda: WerkzeugResponse("hello"),
    lambda: hello,
]


@pytest.mark.parametrize(
    ("rest", "status", "header"),
    [
        ((202,), "202 ACCEPTED", None),
        (("499 Own",), "499 OWN", None),
        (({"X-B": "1"},), None, "1"),
        (([("X-B", "1")],), None, "1"),
        ((Headers([("X-B", "1")]),), None, "1"),
        (((("X-B", "1"),),), None, "1"),
        ((202, {"X-B": "1"}), "202 ACCEPTED", "1"),
        ((None, [("X-B", "1")]), None, "1"),
        ((202, None), "202 ACCEPTED", None),
        ((None, None), None, None),
        ((None, {}), None, None),
    ],
)
def test_tuples_with_any_body(app, rest, status, header):
    with app.test_request_context():
        for value in (make() for make in BODIES):
            response = make_response(app, (value, *rest))
            usual = "201 CREATED" if value is hello else "200 OK"
            assert response.get_data() == b"hello"
            assert response.status.upper() == (status or usual)
            assert response.headers.get("X-B") == header
            assert (response.headers.get("X-A") == "wsgi") is (value is hello)


@pytest.mark.parametrize("body", [{"a": 1}, [1]])
def test_tuples_with_json(app, body):
    with app.app_context():
        response = make_response(app, (body, 202, {"X-B": "1"}))

    assert (response.json, response.status_code) == (body, 202)
    assert response.headers["X-B"] == "1"


def test_a_response_is_handed_on(app):
    response, own = Response("x"), Own("x")

    assert make_response(app, response) is response
    assert make_response(app, own) is own
    assert make_response(app, (own, 202)) is own


@pytest.mark.parametrize("value", [Response("x"), WerkzeugResponse("x"), hello])
def test_another_response_becomes_one_of_the_applications_class(app, value):
    app.response_class = Own

    with app.test_request_context():
        assert type(make_response(app, value)) is Own


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "returned None or ended without a return"),
        ((None, 200), "returned None or ended without a return"),
        ((), "response tuple.*this one has 0 items"),
        (("a",), "response tuple.*this one has 1 items"),
        (("a", 200, {}, None), "response tuple.*this one has 4 items"),
        (7, "WSGI callable, but it was a int"),
        ({1, 2}, "WSGI callable, but it was a set"),
        ((7, 200), "WSGI callable, but it was a int"),
        (lambda: None, "2 were given\n.*but it was a function"),
    ],
)
def test_what_is_no_response_is_refused_by_the_name_of_the_endpoint(app, value, words):
    app.add_url_rule("/", "the.view", lambda: None)

    with (
        app.test_request_context("/"),
        pytest.raises(TypeError, match=f"(?s){words}") as caught,
    ):
        make_response(app, value)
    assert "The view function for 'the.view' did not return" in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("value", [None, 7, ()])
def test_outside_of_a_request_there_is_no_endpoint_to_name(app, value):
    with pytest.raises(TypeError, match="for None did not return"):
        make_response(app, value)


@pytest.mark.parametrize("value", [hello, WerkzeugResponse("x")])
def test_outside_of_a_request_nothing_can_be_called(app, value):
    with pytest.raises(RuntimeError, match="request context: 'make_response'"):
        make_response(app, value)


# Asynchronous bodies


async def pieces():
    yield "a"
    yield "b"


@pytest.mark.parametrize(
    ("value", "status", "header"),
    [
        (pieces, 200, None),
        (lambda: (pieces(), 201), 201, None),
        (lambda: (pieces(), {"X-Own": "yes"}), 200, "yes"),
        (lambda: (pieces(), 202, {"X-Own": "yes"}), 202, "yes"),
        (lambda: Response(pieces(), 203), 203, None),
        (lambda: erlen.make_response(pieces(), 203), 203, None),
    ],
)
def test_an_asynchronous_iterator_is_streamed(app, client, value, status, header):
    app.add_url_rule("/", "index", value)

    answer = client.get("/")

    assert answer.status_code == status
    assert answer.headers.get("X-Own") == header
    assert answer.text == "ab"


def test_an_asynchronous_iterable_is_no_response(app, client):
    class Pieces:
        def __aiter__(self):
            return pieces()

    app.add_url_rule("/", "index", Pieces)
    with pytest.raises(TypeError, match="did not return a valid response"):
        client.get("/")
