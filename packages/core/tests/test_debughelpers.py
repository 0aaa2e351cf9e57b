from __future__ import annotations

import io
import logging

import jinja2
import pytest
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.routing import RequestRedirect

import erlen
from erlen import debughelpers


def test_unexpected_unicode_error_is_both():
    assert issubclass(debughelpers.UnexpectedUnicodeError, AssertionError)
    assert issubclass(debughelpers.UnexpectedUnicodeError, UnicodeError)


# Files


@pytest.fixture
def upload(app):
    """Return the request of a form that sent the name of a file only."""
    with app.test_request_context(
        "/", method="POST", data={"file": ["a.txt", "b.txt"], "other": "c"}
    ):
        request = erlen.request._get_current_object()
        debughelpers.attach_enctype_error_multidict(request)
        yield request


def test_a_file_that_came_as_text_names_the_enctype(upload):
    with pytest.raises(debughelpers.DebugFilesKeyError) as caught:
        upload.files["file"]
    assert isinstance(caught.value, KeyError)
    assert isinstance(caught.value, AssertionError)
    message = str(caught.value)
    assert message.startswith(
        "You tried to access the file 'file' in the request.files"
    )
    assert "'application/x-www-form-urlencoded'" in message
    assert 'enctype="multipart/form-data"' in message
    assert message.endswith("names of files: 'a.txt', 'b.txt'.")


def test_a_file_that_did_not_come_at_all_is_a_missing_key(upload):
    with pytest.raises(KeyError) as caught:
        upload.files["nothing"]
    assert not isinstance(caught.value, debughelpers.DebugFilesKeyError)


def test_the_files_stay_what_they_were(upload):
    assert isinstance(upload.files, ImmutableMultiDict)
    assert type(upload.files).__name__ == "ImmutableMultiDict"
    assert upload.files.get("file") is None
    assert "file" not in upload.files
    assert list(upload.files) == []


def test_files_that_are_there_are_given(app):
    with app.test_request_context():
        request = erlen.request._get_current_object()
        file = io.BytesIO()
        request.files = ImmutableMultiDict({"file": file})
        debughelpers.attach_enctype_error_multidict(request)
        assert request.files["file"] is file


def test_no_media_type_and_no_names(app):
    with app.test_request_context():
        request = erlen.request._get_current_object()
        message = str(debughelpers.DebugFilesKeyError(request, "file"))
    assert "was sent as 'no media type'" in message
    assert "sent only" not in message


# Redirects


@pytest.mark.parametrize(
    ("path", "target", "slash"),
    [
        ("/form", "http://localhost/form/", True),
        ("/form?page=1", "http://localhost/form/?page=1", True),
        ("/old", "http://localhost/form/", False),
    ],
)
def test_form_data_routing_redirect(app, path, target, slash):
    with app.test_request_context(path, method="POST", data={"a": "b"}):
        request = erlen.request._get_current_object()
        request.routing_exception = RequestRedirect(target)
        exc = debughelpers.FormDataRoutingRedirect(request)
    message = str(exc)
    assert isinstance(exc, AssertionError)
    assert message.startswith(f"A request was sent to 'http://localhost{path}'")
    assert f"the canonical URL {target!r}" in message
    assert ("ends with a slash" in message) is slash
    assert "url_for()" in message


# Templates


class Slotted(jinja2.BaseLoader):
    """A loader that has attributes of many kinds."""

    def __init__(self):
        self.number = 7
        self.words = ("a", "b")
        self.mixed = ["a", 1]
        self.table = {}
        self._private = "private"


@pytest.fixture
def explain(app, caplog):
    """Return a function that explains attempts, and gives what was logged."""
    caplog.set_level(logging.INFO)

    def run(*attempts):
        caplog.clear()
        debughelpers.explain_template_loading_attempts(app, "a.html", list(attempts))
        (record,) = caplog.records
        assert (record.name, record.levelno) == (app.logger.name, logging.INFO)
        return record.getMessage().splitlines()

    return run


def test_each_attempt_is_told(app, explain):
    folder = jinja2.FileSystemLoader("/a/templates")
    blueprint = erlen.Blueprint("shop", "shops")
    lines = explain(
        (folder, app, None),
        (Slotted(), blueprint, ("source", "/b/a.html", None)),
        (jinja2.BaseLoader(), 7, ("source", None, None)),
    )
    assert lines == [
        "Locating template 'a.html':",
        f"    1: trying loader of application {app.import_name!r}",
        "       class: jinja2.loaders.FileSystemLoader",
        "       encoding: 'utf-8'",
        "       followlinks: False",
        "       searchpath:",
        "         - /a/templates",
        "       -> no match",
        "    2: trying loader of blueprint 'shop' (shops)",
        f"       class: {__name__}.Slotted",
        "       number: 7",
        "       words:",
        "         - a",
        "         - b",
        "       -> found ('/b/a.html')",
        "    3: trying loader of 7",
        "       class: jinja2.loaders.BaseLoader",
        "       -> found ('<string>')",
        "Warning: multiple loaders returned a match for the template. First wins.",
    ]


def test_one_match_needs_no_comment(app, explain):
    lines = explain((jinja2.BaseLoader(), app, ("source", "/a.html", None)))
    assert lines[-1] == "       -> found ('/a.html')"


@pytest.mark.parametrize("path", ["/", "/nothing"])
def test_no_match_outside_of_blueprints(app, explain, path):
    app.add_url_rule("/", "index")
    with app.test_request_context(path):
        lines = explain((jinja2.BaseLoader(), app, None))
    assert lines == explain((jinja2.BaseLoader(), app, None))
    assert lines[-1] == "Error: the template could not be found."


def test_no_match_in_a_blueprint_names_its_folder(app, explain):
    blueprint = erlen.Blueprint("shop", __name__)
    blueprint.add_url_rule("/", "index")
    app.register_blueprint(blueprint)
    with app.test_request_context("/"):
        *_, error, hint = explain((jinja2.BaseLoader(), app, None))
    assert error == "Error: the template could not be found."
    assert "'shop'" in hint
    assert "Blueprint(template_folder=)" in hint


def test_loading_is_explained_where_the_setting_asks(app, caplog):
    caplog.set_level(logging.INFO)
    app.config["EXPLAIN_TEMPLATE_LOADING"] = True
    with app.app_context(), pytest.raises(jinja2.TemplateNotFound):
        erlen.render_template("none.html")
    assert "Locating template 'none.html':" in caplog.text
