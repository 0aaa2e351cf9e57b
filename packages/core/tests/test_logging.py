from __future__ import annotations

import io
import logging
import sys

import pytest
from werkzeug.test import create_environ

from erlen import Erlen
from erlen.logging import create_logger
from erlen.logging import default_handler
from erlen.logging import has_level_handler
from erlen.logging import wsgi_errors_stream


@pytest.fixture
def logger(monkeypatch):
    """Return a logger of the test's own, out of reach of pytest's handlers."""
    logger = logging.getLogger("erlen_test_logging")
    monkeypatch.setattr(logger, "parent", None)
    yield logger
    logger.handlers.clear()
    logger.setLevel(logging.NOTSET)


@pytest.fixture
def app(logger):
    """Return an application that logs to `logger`."""
    return Erlen(logger.name)


# The stream


def test_outside_of_a_request_errors_go_to_stderr():
    assert wsgi_errors_stream._get_current_object() is sys.stderr


def test_within_a_request_errors_go_where_the_server_says(app):
    stream = io.StringIO()

    with app.request_context(create_environ(errors_stream=stream)):
        wsgi_errors_stream.write("x")

    assert stream.getvalue() == "x"


def test_a_server_may_say_nothing(app):
    environ = create_environ()
    with app.request_context(environ):
        del environ["wsgi.errors"]
        assert wsgi_errors_stream._get_current_object() is sys.stderr


# Who handles


@pytest.mark.parametrize(
    ("level", "handler_level", "handles"),
    [
        (logging.ERROR, logging.ERROR, True),
        (logging.ERROR, logging.DEBUG, True),
        (logging.ERROR, logging.CRITICAL, False),
    ],
)
@pytest.mark.parametrize("child", [False, True])
def test_a_handler_of_the_level(logger, level, handler_level, handles, child):
    handler = logging.NullHandler()
    handler.setLevel(handler_level)
    logger.addHandler(handler)
    logger.setLevel(level)

    asked = logger.getChild("child") if child else logger

    assert has_level_handler(asked) is handles


def test_a_handler_above_counts_only_if_it_is_reached(logger):
    logger.addHandler(logging.NullHandler())
    child = logger.getChild("alone")
    assert has_level_handler(child)

    child.propagate = False

    assert not has_level_handler(child)


# The logger of an application


@pytest.mark.parametrize(
    ("debug", "level", "expected"),
    [
        (False, logging.NOTSET, logging.NOTSET),
        (True, logging.NOTSET, logging.DEBUG),
        (True, logging.ERROR, logging.ERROR),
    ],
)
def test_debug_mode_lets_everything_through(app, logger, debug, level, expected):
    logger.setLevel(level)
    app.debug = debug

    assert create_logger(app) is logger
    assert logger.level == expected


def test_the_default_handler_is_added_once(app, logger):
    create_logger(app)
    create_logger(app)

    assert logger.handlers == [default_handler]


def test_logging_that_is_configured_stays_as_it_is(app, logger):
    handler = logging.NullHandler()
    logger.addHandler(handler)

    assert create_logger(app).handlers == [handler]


def test_what_is_written(app):
    stream = io.StringIO()

    with app.request_context(create_environ(errors_stream=stream)):
        create_logger(app).error("went %s", "wrong")

    assert stream.getvalue().endswith("] ERROR in test_logging: went wrong\n")
