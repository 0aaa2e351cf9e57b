"""The pytest plugin. The inner runs of pytest are few: each takes as long as 50 tests."""

from __future__ import annotations

import importlib.metadata
import sys
from types import SimpleNamespace

import pytest

import erlen.testing
from erlen import pytest_plugin

assert erlen.testing  # so that the inner runs do not import it again each time

pytest_plugins = ["pytester"]

FACTORY = """\
from erlen import Erlen

def create_app(name="made"):
    app = Erlen(__name__)
    app.config["NAME"] = name
    return app
"""
SHARED = f"{FACTORY}\napp = create_app('shared')\n"


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in ("ERLEN_APP", "FLASK_APP", "ERLEN_DEBUG", "FLASK_DEBUG"):
        monkeypatch.delenv(name, raising=False)


def add(root, path, text):
    """Write a file of a project."""
    file = root / path
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)


# Finding the application


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Return what loads the application of the project in `tmp_path`."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    add(tmp_path, "lib/shop.py", FACTORY)

    def load(place=""):
        getini = {"erlen_app": place}.__getitem__
        return pytest_plugin._load(SimpleNamespace(rootpath=tmp_path, getini=getini))

    yield load
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("lib/shop", "made"),
        ("lib/shop.py:create_app", "made"),
        ("lib/shop:create_app('http://x:1')", "http://x:1"),
        ("{root}/lib/shop.py:create_app(name='x')", "x"),
    ],
)
def test_places_start_at_the_root(load, tmp_path, place, name):
    assert load(place.format(root=tmp_path)).config["NAME"] == name


@pytest.mark.parametrize("variable", ["ERLEN_APP", "FLASK_APP"])
def test_application_of_the_environment(load, monkeypatch, variable):
    monkeypatch.setenv(variable, "lib/shop")
    assert load().config["NAME"] == "made"


@pytest.mark.parametrize("path", ["wsgi.py", "app.py", "app/__init__.py"])
def test_application_of_the_root(load, tmp_path, path):
    add(tmp_path, path, SHARED)
    assert load().config["NAME"] == "shared"


def test_what_names_the_application_has_an_order(load, tmp_path, monkeypatch):
    for name in ("app", "wsgi", "flask_app", "erlen_app", "setting"):
        add(tmp_path, f"{name}.py", f"{FACTORY}\napp = create_app({name!r})\n")

    assert load().config["NAME"] == "wsgi"
    monkeypatch.setenv("FLASK_APP", "flask_app")
    assert load().config["NAME"] == "flask_app"
    monkeypatch.setenv("ERLEN_APP", "erlen_app")
    assert load().config["NAME"] == "erlen_app"
    assert load("setting").config["NAME"] == "setting"


def test_debug_is_left_as_it_is(load, tmp_path):
    add(tmp_path, "wsgi.py", f"{SHARED}\napp.debug = True\n")
    assert load().debug


def failure(load, place=""):
    with pytest.raises(pytest.fail.Exception) as info:
        load(place)
    assert not info.value.pytrace
    assert '\n- erlen_app = "module:name" or ' in info.value.msg
    assert '\n- ERLEN_APP="module:name" in the environment\n' in info.value.msg
    assert info.value.msg.endswith("\n- override the fixture 'app' in your conftest.py")
    return info.value.msg


def test_without_an_application(load, tmp_path):
    message = failure(load)
    assert "Searched: 'erlen_app' in the settings of pytest (not set)" in message
    assert "'ERLEN_APP' and 'FLASK_APP' in the environment (not set)" in message
    assert f"'wsgi.py' and 'app.py' in '{tmp_path}' (not there)." in message


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("nowhere", "Error: Could not import 'nowhere'"),
        ("lib/shop:nothing", "Error: Failed to find attribute 'nothing' in 'shop'."),
        ("lib/shop:create_app(1, 2)", "could not be called with the specified"),
    ],
)
def test_an_application_that_is_not_there(load, tmp_path, place, words):
    message = failure(load, place)
    assert words in message
    assert f"\nSearched: '{tmp_path}/{place}'\n" in message


def test_an_application_that_raises(load, tmp_path):
    add(tmp_path, "wsgi.py", "def fail():\n    1 / 0\n\nfail()\n")
    message = failure(load)
    assert 'wsgi.py", line 2, in fail' in message
    assert "ZeroDivisionError: division by zero" in message
    assert "Erlen tried to import 'wsgi', which raised ZeroDivisionError" in message
    assert "_commands.py" not in message


# In pytest


@pytest.fixture
def project(pytester, monkeypatch):
    """Return a project that names the plugin."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeini("[pytest]\naddopts = -Werror\nerlen_app = lib/shop\n")
    add(pytester.path, "tests/conftest.py", CONFTEST)
    return pytester


def run(project, tests, *args, **outcomes):
    """Run tests of the project, and return what pytest prints."""
    add(project.path, "tests/test_it.py", tests)
    result = project.runpytest_inprocess("-q", *args)
    result.assert_outcomes(**outcomes)
    return result.stdout.str()


CONFTEST = """\
pytest_plugins = ["erlen.pytest_plugin"]
"""
TWICE = """
import pytest

seen = []

@pytest.mark.parametrize("number", [1, 2])
def test_it(app, number):
    assert app.testing
    assert app.config["NAME"] == EXPECTED
    assert "NEW" not in app.config
    app.config.update(NAME="changed", NEW=number)
    del app.config["SECRET_KEY"]
    seen.append(app)

def test_applications():
    assert len(set(map(id, seen))) == COUNT
    assert [app.testing for app in seen] == [False, False]
    assert [app.config["SECRET_KEY"] for app in seen] == [None, None]
"""


@pytest.mark.parametrize(
    ("text", "name", "count"), [(FACTORY, "made", 2), (SHARED, "shared", 1)]
)
def test_a_test_does_not_see_the_configuration_of_another(
    project, monkeypatch, text, name, count
):
    """The root is that of pytest, wherever one is; the plugin may be named twice."""
    add(project.path, "lib/shop.py", text)
    monkeypatch.chdir(project.path / "tests")
    tests = TWICE.replace("EXPECTED", repr(name)).replace("COUNT", str(count))
    run(project, tests, "-p", "erlen.pytest_plugin", passed=3)


def test_a_failure_is_short(project):
    printed = run(project, "def test(app): pass\n", errors=1)
    assert "Error: Could not import 'shop'" in printed
    assert "pytest_plugin.py" not in printed


OWN = """
import pytest
from erlen import Erlen, Response, redirect, request, send_file
from erlen import has_app_context, has_request_context
from erlen.testing import ErlenCliRunner, ErlenClient

pytest_plugins = ["erlen.pytest_plugin"]

class Client(ErlenClient):
    pass

class Runner(ErlenCliRunner):
    pass

@pytest.fixture
def app():
    app = Erlen(__name__)
    app.test_client_class = Client
    app.test_cli_runner_class = Runner
    app.add_url_rule("/name", "name", lambda: request.cookies.get("name", "nobody"))
    app.add_url_rule("/file", "file", lambda: send_file(__file__))
    app.add_url_rule("/to", "to", lambda: redirect("/"))
    app.cli.command("brew")(lambda: print("ready"))
    opened, closed = [], []

    @app.get("/")
    def index():
        opened.append(1)
        response = Response(iter([b"text"]))
        response.call_on_close(lambda: closed.append(1))
        return response

    assert not has_app_context()
    yield app
    assert closed == opened
    assert not has_request_context()
"""
USES = """
import pytest
from erlen import has_app_context, has_request_context

def test_client(app, client):
    assert client.application is app
    assert type(client).__name__ == "Client"
    client.set_cookie("name", "Ada")
    assert client.get("/name").text == "Ada"
    assert not app.testing

def test_another_client(client):
    assert client.get("/name").text == "nobody"

def test_runner(app, runner):
    assert runner.app is app
    assert type(runner).__name__ == "Runner"
    assert runner.invoke(args=["brew"]).output == "ready\\n"

def test_nothing_is_pushed(app, client, runner):
    assert not has_app_context()
    client.get("/")
    assert not has_app_context()

def test_a_context_that_is_kept(client):
    client.__enter__()
    client.get("/")
    assert has_request_context()

@pytest.mark.parametrize("path", ["/", "/file"])
def test_responses_that_are_dropped(client, path):
    for _ in range(2):
        client.get(path)

@pytest.mark.parametrize("path", ["/", "/file"])
def test_responses_that_are_closed(client, path):
    client.get(path).close()
    with client.get(path) as response:
        assert response.data

def test_responses_that_are_read(client):
    assert client.get("/").data
    assert client.get("/", buffered=True).data
    assert len(client.get("/to", follow_redirects=True).history) == 1
"""


def test_fixtures_of_an_own_application(project):
    add(project.path, "tests/conftest.py", OWN)
    run(project, USES, passed=10)


def test_an_application_that_is_changed(project):
    conftest = """
import pytest

pytest_plugins = ["erlen.pytest_plugin"]

@pytest.fixture
def app(app):
    app.config["NAME"] = "changed"
    return app
"""
    add(project.path, "tests/conftest.py", conftest)
    add(project.path, "lib/shop.py", FACTORY)
    run(project, "def test(app): assert app.config['NAME'] == 'changed'\n", passed=1)


# Who gets the plugin


def test_no_other_project_gets_it():
    """That `import erlen` leaves pytest alone is a test of the architecture."""
    groups = importlib.metadata.distribution("erlen").entry_points.groups
    assert groups == {"console_scripts"}
