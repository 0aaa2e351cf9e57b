"""What stands where the server would: nothing wrong gets timed."""

from __future__ import annotations

import pytest
from benchmarks import door
from benchmarks.scenarios import Answer
from benchmarks.scenarios import Exchange
from benchmarks.scenarios import Scenario
from benchmarks.scenarios import WrongAnswerError

EXCHANGE = Exchange("/", Answer(200, "application/json", b'{"a": 1, "b": 2}'))


def application(
    status="200 OK",
    content_type="application/json",
    body=b'{"b":2,"a":1}\n',
    length=None,
):
    def app(environ, start_response):
        size = str(len(body)) if length is None else length
        start_response(
            status, [("Content-Type", content_type), ("content-length", size)]
        )
        return [body[:3], body[3:]]

    return app


def test_json_is_compared_parsed():
    door.check(application(), [EXCHANGE])


def test_other_bodies_are_compared_bytewise():
    exchange = Exchange("/", Answer(200, "text/plain", b'{"a": 1, "b": 2}'))
    with pytest.raises(WrongAnswerError, match=r"^GET /: body: expected"):
        door.check(application(content_type="text/plain"), [exchange])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"status": "201 Created"}, "status: expected 200, got 201"),
        ({"content_type": "text/html"}, "content type: expected 'application/json'"),
        ({"length": "1"}, "content length: expected '14', got '1'"),
        ({"body": b'{"a":1}'}, "body: expected"),
        ({"body": b"{"}, "body: expected"),
    ],
)
def test_what_differs_is_named(wrong, message):
    with pytest.raises(WrongAnswerError, match=message):
        door.check(application(**wrong), [EXCHANGE])


def test_each_call_gets_an_environ_of_its_own_and_its_answer_is_closed():
    seen = []
    closed = []

    class Chunks(list):
        def close(self):
            closed.append(self)

    def app(environ, start_response):
        seen.append(environ)
        environ["touched"] = "touched" in environ
        start_response("200 OK", [])
        return Chunks()

    paths = ("/a", "/b", "/c")
    exchanges = tuple(Exchange(path, EXCHANGE.answer) for path in paths)
    ticks = iter([1.0, 3.5])
    spent = door.seconds(app, Scenario("x", "", exchanges), 7, lambda: next(ticks))
    assert spent == 2.5
    assert [environ["PATH_INFO"] for environ in seen] == [*paths, *paths, "/a"]
    assert not any(environ["touched"] for environ in seen)
    assert len(closed) == 7


def test_environ_is_what_a_server_hands_over():
    environ = Exchange("/", EXCHANGE.answer).environ()
    assert {"HTTP_HOST", "HTTP_USER_AGENT", "HTTP_ACCEPT"} <= environ.keys()
    assert environ["wsgi.input"].read() == b""


def test_write_is_refused():
    with pytest.raises(NotImplementedError):
        door.start_and_forget("200 OK", [])(b"")
