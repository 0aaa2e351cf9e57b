from __future__ import annotations

import gc
import weakref

import pytest
from werkzeug.test import create_environ
from werkzeug.test import run_wsgi_app

from erlen import Erlen
from erlen import _state
from erlen._wsgi import wsgi_app


class Door:
    """Note what the door calls, and how it leaves."""

    _begun = True
    _mounts = ()

    def __init__(self, failing=(), error=ZeroDivisionError, ignored=False):
        self.failing = failing
        self.error = error
        self.ignored = ignored
        self.calls = []

    def _step(self, name, *args):
        self.calls.append((name, *args))
        if name in self.failing:
            raise self.error(name)

    def request_context(self, environ):
        self._step("request_context")
        return self

    def push(self):
        self._step("push")

    def full_dispatch_request(self):
        self._step("dispatch")
        return self.answer

    def answer(self, environ, start_response):
        self._step("send")
        return ["answer"]

    def handle_exception(self, exc):
        self._step("handle", str(exc))
        return self.error_page

    def error_page(self, environ, start_response):
        self._step("send error")
        return ["error page"]

    def should_ignore_error(self, error):
        self._step("ignore?")
        return self.ignored

    def pop(self, error):
        self._step("pop", error and str(error))

    def run(self, **environ):
        return wsgi_app(self, environ, None)


def test_the_way_of_a_request():
    door = Door()

    assert door.run() == ["answer"]
    assert door.calls == [
        ("request_context",),
        ("push",),
        ("dispatch",),
        ("send",),
        ("pop", None),
    ]


@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize("step", ["push", "dispatch", "send"])
def test_an_error_is_answered_wherever_it_happens(step, ignored):
    door = Door(failing=[step], ignored=ignored)

    assert door.run() == ["error page"]
    assert door.calls[-4:] == [
        ("handle", step),
        ("send error",),
        ("ignore?",),
        ("pop", None if ignored else step),
    ]


@pytest.mark.parametrize("step", ["handle", "send error"])
def test_an_error_of_the_error_page_goes_to_the_server(step):
    door = Door(failing=["dispatch", step])

    with pytest.raises(ZeroDivisionError, match=step):
        door.run()
    assert door.calls[-1] == ("pop", "dispatch")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("step", ["push", "dispatch", "send"])
def test_what_is_no_error_of_the_application_is_never_answered(step, error):
    door = Door(failing=[step], error=error)

    with pytest.raises(error):
        door.run()
    assert "handle" not in [call[0] for call in door.calls]
    assert door.calls[-1] == ("pop", step)


def test_nothing_is_left_where_no_context_can_be_made():
    door = Door(failing=["request_context"])

    with pytest.raises(ZeroDivisionError):
        door.run()
    assert door.calls == [("request_context",)]


def test_whoever_keeps_the_contexts_gets_both_before_they_are_left():
    door = Door()
    token = _state.current.set(("app ctx", "request ctx"))
    try:
        door.run(
            **{"werkzeug.debug.preserve_context": lambda kept: door._step("keep", kept)}
        )
    finally:
        _state.current.reset(token)

    assert door.calls[-3:] == [
        ("keep", "app ctx"),
        ("keep", "request ctx"),
        ("pop", None),
    ]


def test_the_door_itself_keeps_no_error_alive():
    class Error(Exception):
        pass

    class Fails(Erlen):
        def full_dispatch_request(self):
            raise Error

        def handle_exception(self, e):
            seen.append(weakref.ref(e))
            return self.response_class("failed", 500)

    seen = []
    app = Fails("fails")
    gc.disable()
    try:
        body, status, _ = run_wsgi_app(app, create_environ())
        assert (status, list(body)) == ("500 INTERNAL SERVER ERROR", [b"failed"])
        assert seen[0]() is None
    finally:
        gc.enable()


def test_contexts_are_left_when_the_body_is_handed_out(app):
    app.add_url_rule("/", "index", lambda: "body")

    app(create_environ(), lambda status, headers: None)

    assert _state.current.get() == (None, None)
