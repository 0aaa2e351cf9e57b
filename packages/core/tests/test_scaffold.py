from __future__ import annotations

import os
import sys
from datetime import timedelta

import jinja2
import pytest
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import NotFound

from erlen import Blueprint
from erlen import Erlen
from erlen import _scaffold
from erlen._commands import AppGroup
from erlen._scaffold import Scaffold
from erlen._scaffold import adding
from erlen._scaffold import find_package
from erlen._scaffold import setupmethod


class Part(Scaffold):
    """The least that declares."""

    name = "part"

    def __init__(self, **options):
        super().__init__(__name__, **options)
        self.checked = []
        self.rules = []

    def _check_setup_finished(self, f_name):
        self.checked.append(f_name)

    def add_url_rule(self, rule, endpoint=None, view_func=None, **options):
        self.rules.append((rule, endpoint, view_func, options))


@pytest.fixture
def part():
    return Part()


def function(*args):
    """Do nothing."""


# What a method of the set-up is


def test_a_method_of_the_set_up_asks_before_it_runs(part):
    class Own(Part):
        @setupmethod
        def declare(self, a, *, b):
            """Say so."""
            return a, b

    own = Own()

    assert own.declare(1, b=2) == (1, 2)
    assert own.checked == ["declare"]
    assert (Own.declare.__name__, Own.declare.__doc__) == ("declare", "Say so.")


def test_the_check_and_the_rules_are_the_subclasses(part):
    with pytest.raises(NotImplementedError):
        Scaffold._check_setup_finished(part, "x")
    with pytest.raises(NotImplementedError):
        Scaffold.add_url_rule(part, "/")


def test_a_decorator_that_adds_hands_the_function_back():
    added = []

    assert adding(lambda f, name: added.append((f, name)), "name")(function) is function
    assert added == [(function, "name")]


def test_a_representation_names_it(part):
    assert repr(part) == "<Part 'part'>"


def test_its_commands_are_a_group_of_its_name(part):
    assert isinstance(part.cli, AppGroup)
    assert part.cli is part.cli
    assert part.cli.name == "part"


# Files


@pytest.mark.parametrize(
    ("folder", "path", "expected", "url_path"),
    [
        (None, None, None, None),
        ("static", None, "static", "/static"),
        ("a/static/", None, "a/static", "/static"),
        ("static", "/s/", "static", "/s"),
        ("static", "", "static", ""),
        (None, "/s", None, "/s"),
        (os.path.join(os.sep, "srv"), None, os.path.join(os.sep, "srv"), "/srv"),
    ],
)
def test_the_folder_and_the_url_path_of_static_files(
    tmp_path, folder, path, expected, url_path
):
    part = Part(static_folder=folder, static_url_path=path, root_path=str(tmp_path))

    if expected is not None:
        expected = os.path.join(tmp_path, expected)
    assert part.static_folder == expected
    assert part.has_static_folder is (folder is not None)
    assert part.static_url_path == url_path


def test_folders_may_be_paths(tmp_path):
    part = Part(static_folder=tmp_path / "s", template_folder=tmp_path / "t")

    assert part.static_folder == str(tmp_path / "s")
    assert part.jinja_loader.searchpath == [str(tmp_path / "t")]
    part.static_folder = None
    assert not part.has_static_folder


@pytest.mark.parametrize(
    ("value", "seconds"), [(None, None), (60, 60), (timedelta(minutes=2), 120)]
)
def test_how_long_a_browser_keeps_a_file(app, part, value, seconds):
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = value

    with app.app_context():
        assert part.get_send_file_max_age("x") == seconds


def test_how_long_a_browser_keeps_a_file_is_the_applications_setting(part):
    with pytest.raises(RuntimeError, match="'get_send_file_max_age'"):
        part.get_send_file_max_age("x")


def test_static_files_are_sent(app, tmp_path):
    (tmp_path / "x.txt").write_text("text")
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = 60
    part = Part(static_folder=tmp_path)

    with app.test_request_context():
        response = part.send_static_file("x.txt")
        response.direct_passthrough = False
        assert response.get_data() == b"text"
        assert response.cache_control.max_age == 60
        response.close()
        with pytest.raises(NotFound):
            part.send_static_file("../x.txt")


@pytest.mark.parametrize(
    ("args", "content"),
    [
        ((), b"h\xc3\xbc"),
        (("rb",), b"h\xc3\xbc"),
        (("r",), "hü"),
        (("rt",), "hü"),
        (("r", "latin1"), "hÃ¼"),
    ],
)
def test_files_of_the_package(tmp_path, args, content):
    (tmp_path / "x.txt").write_bytes(b"h\xc3\xbc")

    with Part(root_path=str(tmp_path)).open_resource("x.txt", *args) as file:
        assert file.read() == content


@pytest.mark.parametrize("folder", [None, "t"])
def test_templates_are_loaded_from_the_folder(tmp_path, folder):
    part = Part(template_folder=folder, root_path=str(tmp_path))

    loader = part.jinja_loader

    assert part.jinja_loader is loader
    if folder is None:
        assert loader is None
    else:
        assert isinstance(loader, jinja2.FileSystemLoader)
        assert loader.searchpath == [str(tmp_path / "t")]


# Mistakes


@pytest.mark.parametrize(
    ("mistake", "error", "words"),
    [
        (
            lambda part: part.send_static_file("x"),
            RuntimeError,
            ["<Part 'part'> has no static folder", "'static_folder='"],
        ),
        (
            lambda part: part.open_resource("x", "w"),
            ValueError,
            ["only be opened for reading", "'r', 'rt' or 'rb'", "not 'w'"],
        ),
        (
            lambda part: part.get("/", methods=["POST"]),
            TypeError,
            ["@get() is one method", "use @route()"],
        ),
        (
            lambda part: part.errorhandler(199)(function),
            ValueError,
            ["199 is not a recognized HTTP error code", "subclass of HTTPException"],
        ),
        (
            lambda part: part.errorhandler(NotFound())(function),
            TypeError,
            ["is an instance, not a class", "exception classes or HTTP error codes"],
        ),
        (
            lambda part: part.register_error_handler("404", function),
            TypeError,
            ["'404' is an instance", "exception classes or HTTP error codes"],
        ),
        (
            lambda part: part.register_error_handler(int, function),
            TypeError,
            ["'int' is not a subclass of Exception"],
        ),
        (
            lambda part: part.register_error_handler(KeyboardInterrupt, function),
            TypeError,
            ["'KeyboardInterrupt' is not a subclass of Exception"],
        ),
    ],
)
def test_mistakes_name_the_cure(part, mistake, error, words):
    with pytest.raises(error) as caught:
        mistake(part)

    assert [word for word in words if word not in str(caught.value)] == []


def test_an_endpoint_is_the_name_of_its_function():
    assert _scaffold._endpoint_from_view_func(function) == "function"
    with pytest.raises(TypeError, match=r"The view <object .* endpoint='\.\.\.'"):
        _scaffold._endpoint_from_view_func(object())


# Routes and hooks


@pytest.mark.parametrize("method", ["get", "post", "put", "delete", "patch"])
def test_a_decorator_for_each_method(part, method):
    decorate = getattr(part, method)("/x", endpoint="e", strict_slashes=False)

    assert decorate(function) is function
    options = {"methods": [method.upper()], "strict_slashes": False}
    assert part.rules == [("/x", "e", function, options)]
    assert part.checked[0] == method


def test_routes(part):
    assert part.route("/x", methods=["GET", "POST"])(function) is function
    assert part.endpoint("e")(function) is function

    assert part.rules == [("/x", None, function, {"methods": ["GET", "POST"]})]
    assert part.view_functions == {"e": function}


@pytest.mark.parametrize(
    ("register", "table"),
    [
        ("before_request", "before_request_funcs"),
        ("after_request", "after_request_funcs"),
        ("teardown_request", "teardown_request_funcs"),
        ("context_processor", "template_context_processors"),
        ("url_value_preprocessor", "url_value_preprocessors"),
        ("url_defaults", "url_default_functions"),
    ],
)
def test_hooks(part, register, table):
    assert getattr(part, table) == {}

    assert getattr(part, register)(function) is function
    getattr(part, register)(print)

    assert getattr(part, table) == {None: [function, print]}
    assert part.checked == [register] * 2


class SomeError(Exception):
    pass


class SomeHTTPError(NotFound):
    pass


@pytest.mark.parametrize(
    ("given", "code", "cls"),
    [
        (404, 404, NotFound),
        (NotFound, 404, NotFound),
        (SomeHTTPError, 404, SomeHTTPError),
        (HTTPException, None, HTTPException),
        (SomeError, None, SomeError),
        (Exception, None, Exception),
    ],
)
@pytest.mark.parametrize("by_decorator", [False, True])
def test_handlers_of_errors(part, given, code, cls, by_decorator):
    if by_decorator:
        assert part.errorhandler(given)(function) is function
    else:
        part.register_error_handler(given, function)

    assert part.error_handler_spec == {None: {code: {cls: function}}}


# Where a module is installed


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """A folder on the path, with a module, a package and a namespace package."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "a_module.py").touch()
    (tmp_path / "a_package" / "inner").mkdir(parents=True)
    (tmp_path / "a_package" / "__init__.py").touch()
    (tmp_path / "a_package" / "inner" / "__init__.py").touch()
    (tmp_path / "a_namespace" / "part").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        *("a_module", "a_package", "a_package.inner", "a_package.absent"),
        *("a_namespace", "a_namespace.part"),
    ],
)
def test_a_module_that_is_not_installed(modules, name):
    assert find_package(name) == (None, str(modules))


@pytest.mark.parametrize("name", ["nobody_has_this", "sys", "_frozen_importlib", ""])
def test_what_has_no_file_is_in_the_working_directory(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)

    assert find_package(name) == (None, str(tmp_path))


def test_the_main_module_without_a_spec_is_in_the_working_directory(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)

    assert find_package("__main__") == (None, str(tmp_path))


@pytest.mark.parametrize(
    ("folder", "prefix"),
    [
        ("/srv/app", None),
        ("/opt/lib/python3.13/site-packages", "/opt"),
        ("/opt/lib/python3.13/SITE-PACKAGES", "/opt"),
        ("/opt/Lib/site-packages", "/opt"),
        ("/opt/vendored/site-packages", "/opt/vendored"),
        ("{prefix}", "{prefix}"),
        ("{prefix}/lib/x", "{prefix}"),
    ],
)
def test_the_prefix_of_an_installation(monkeypatch, folder, prefix):
    here = os.path.abspath(sys.prefix)
    folder = folder.format(prefix=here)
    monkeypatch.setattr(_scaffold, "_import_folder", lambda name: folder)

    expected = prefix and prefix.format(prefix=here)
    assert find_package("x") == (expected, folder)


@pytest.mark.parametrize("make", [Erlen, lambda name: Blueprint("name", name)])
def test_both_who_declare_are_scaffolds(make):
    assert isinstance(make(__name__), Scaffold)
