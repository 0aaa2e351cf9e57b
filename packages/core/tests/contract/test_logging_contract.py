"""The logger of an application and its handler."""

from __future__ import annotations

import io
import logging
import sys

import pytest

from erlen import Erlen
from erlen import request
from erlen.logging import create_logger
from erlen.logging import default_handler
from erlen.logging import has_level_handler
from erlen.logging import wsgi_errors_stream


@pytest.fixture(autouse=True)
def logger(monkeypatch):
    """Return the logger of the application, out of reach of pytest's handlers."""
    logger = logging.getLogger("logging_site")
    monkeypatch.setattr(logger, "parent", None)
    yield logger
    logger.handlers.clear()
    logger.setLevel(logging.NOTSET)


@pytest.fixture
def app():
    return Erlen("logging_site")


def test_name_and_handler(app):
    assert app.logger.name == app.name
    assert app.logger is app.logger
    assert app.logger.level == logging.NOTSET
    assert app.logger.handlers == [default_handler]
    assert app.logger is logging.getLogger("logging_site")


def test_debug_sets_the_level(app):
    app.debug = True

    assert app.logger.level == logging.DEBUG


def test_level_that_was_set_before_is_kept(app, logger):
    logger.setLevel(logging.ERROR)
    app.debug = True

    assert app.logger.level == logging.ERROR


def test_no_handler_is_added_to_a_logger_that_has_one(app, logger):
    handler = logging.NullHandler()
    logger.addHandler(handler)

    assert app.logger.handlers == [handler]


def test_no_handler_is_added_below_one_that_handles(logger):
    logger.addHandler(logging.NullHandler())

    assert Erlen("logging_site.below").logger.handlers == []


def test_create_logger(app):
    assert create_logger(app) is app.logger


def test_errors_of_a_request_go_to_the_server_s_stream(app):
    stream = io.StringIO()

    @app.get("/")
    def view():
        app.logger.error("from the view")
        return "ok"

    app.test_client().get("/", errors_stream=stream)

    assert "ERROR in test_logging_contract: from the view" in stream.getvalue()


def test_errors_outside_of_a_request_go_to_stderr(app, capsys):
    app.logger.error("from nowhere")

    assert "from nowhere" in capsys.readouterr().err


def test_stream(app):
    stream = io.StringIO()

    assert wsgi_errors_stream._get_current_object() is sys.stderr
    with app.test_request_context(errors_stream=stream):
        assert wsgi_errors_stream._get_current_object() is stream


def test_has_level_handler(logger):
    child = logging.getLogger("logging_site.child")
    assert not has_level_handler(child)

    handler = logging.NullHandler()
    logger.addHandler(handler)
    assert has_level_handler(child)

    logger.setLevel(logging.INFO)
    handler.setLevel(logging.ERROR)
    assert not has_level_handler(child)


def test_unhandled_error_is_written_with_its_traceback(app):
    stream = io.StringIO()

    @app.get("/broken")
    def view():
        raise LookupError("the reason")

    response = app.test_client().get("/broken", errors_stream=stream)

    assert response.status_code == 500
    text = stream.getvalue()
    assert "Exception on /broken [GET]" in text
    assert "LookupError: the reason" in text
    assert "Traceback" in text


def test_log_exception_may_be_replaced():
    seen = []

    class Site(Erlen):
        def log_exception(self, exc_info):
            seen.append((request.path, exc_info[0]))

    app = Site("logging_site")

    @app.get("/broken")
    def view():
        raise LookupError

    app.test_client().get("/broken")

    assert seen == [("/broken", LookupError)]
