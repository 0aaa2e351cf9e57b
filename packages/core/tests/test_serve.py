"""`erlen serve`: its options, what it refuses and warns of, what it hands over."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import socket
import sys
from importlib import metadata
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from erlen import Erlen
from erlen import _serve
from erlen import _serve_engines
from erlen._commands import ScriptInfo
from erlen.cli import ErlenGroup
from erlen.cli import cli

SITE = "from erlen import Erlen\napp = Erlen(__name__)\n"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Work in an empty folder, with an environment and modules of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    names = [name for name in os.environ if name.startswith(("ERLEN_", "FLASK_"))]
    kept = {name: os.environ[name] for name in os.environ if name not in names}
    monkeypatch.setattr(os, "environ", kept)
    (tmp_path / "app.py").write_text(SITE)
    importlib.invalidate_caches()
    yield tmp_path
    for name, module in [*sys.modules.items()]:
        if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def executed(monkeypatch):
    """Collect what the process would become; all engines are there."""
    commands = []

    def execv(path, arguments):
        assert path == sys.executable
        commands.append(arguments)

    monkeypatch.setattr(os, "execv", execv)
    monkeypatch.setattr(_serve, "metadata", SimpleNamespace(**vars(metadata)))
    monkeypatch.setattr(_serve.metadata, "version", "1 of {}".format)
    return commands


def serve(*args, group=cli):
    # Before click 8.2 it mixes the streams unless it is told.
    options = {"mix_stderr"} & inspect.signature(CliRunner).parameters.keys()
    runner = CliRunner(**dict.fromkeys(options, False))
    return runner.invoke(group, ["serve", "--port", "0", *args])


def options(executed):
    (arguments,) = executed
    assert arguments[1:3] == [
        "-c",
        "from erlen._serve_engines import main; main()",
    ]
    return json.loads(arguments[3])


def test_defaults(executed):
    result = serve()
    assert result.exit_code == 0
    found = options(executed)
    assert 0 < found.pop("port") < 65536
    assert found == {
        "access_log": True,
        "app": None,
        "engine": "granian",
        "factory": None,
        "health": False,
        "host": "127.0.0.1",
        "interface": "wsgi",
        "set_debug_flag": True,
        "threads": None,
        "timeout": 30,
        "trust_request_id": False,
        "workers": 1,
    }
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ("--engine granian", "wsgi"),
        ("--engine gunicorn", "wsgi"),
        ("--engine uvicorn", "asgi"),
        ("--engine granian --asgi", "asgi"),
        ("--engine gunicorn --asgi", "asgi"),
        ("--engine gunicorn --wsgi", "wsgi"),
    ],
)
def test_the_interface_depends_on_the_command_line(executed, args, expected):
    assert serve(*args.split()).exit_code == 0
    assert options(executed)["interface"] == expected


@pytest.mark.parametrize(
    ("args", "environment", "expected"),
    [
        ("--workers 3 --threads 2", {}, {"workers": 3, "threads": 2}),
        ("--no-access-log --health", {}, {"access_log": False, "health": True}),
        ("--trust-request-id", {}, {"trust_request_id": True}),
        ("--timeout 5", {}, {"timeout": 5}),
        ("", {"ERLEN_SERVE_WORKERS": "4"}, {"workers": 4}),
        ("", {"ERLEN_SERVE_ENGINE": "gunicorn"}, {"engine": "gunicorn"}),
        ("", {"ERLEN_SERVE_HEALTH": "1"}, {"health": True}),
        ("", {"ERLEN_APP": "app:app"}, {"app": "app:app"}),
    ],
)
def test_options(executed, args, environment, expected):
    os.environ.update(environment)
    assert serve(*args.split()).exit_code == 0
    found = options(executed)
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("args", "lines"),
    [
        (
            "--health",
            ["granian 1 of granian, WSGI, 1 worker x 4 threads", "/healthz, /readyz"],
        ),
        (
            "--workers 2 --threads 1 --no-access-log",
            ["WSGI, 2 workers x 1 thread\n", "Health: off", "Access log: off"],
        ),
        ("--engine uvicorn", ["uvicorn 1 of uvicorn, ASGI, 1 worker\n"]),
        ("--asgi --threads 9", ["ASGI, 1 worker x 9 threads"]),
        ("", ["Serving Erlen app 'app'", "Access log: standard output"]),
        ("", [f"process {os.getpid()}", "Address: http://127.0.0.1:"]),
    ],
)
def test_banner(executed, args, lines):
    said = serve(*args.split()).stderr
    assert [line for line in lines if line not in said] == []
    assert "Warning" not in said


def test_ipv6(executed):
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    assert "http://[::1]:" in serve("--host", "::1").stderr


@pytest.mark.parametrize(
    ("text", "args", "warning"),
    [
        ("", ("--no-access-log",), None),
        ("\napp.debug = True\n", (), None),  # the environment decides
        (
            "app.url_map.add(Rule('/w', endpoint='w', websocket=True))",
            (),
            "give --asgi",
        ),
        (
            "app.url_map.add(Rule('/w', endpoint='w', websocket=True))",
            ("--asgi",),
            None,
        ),
        ("app.url_map = None", (), None),
    ],
)
def test_warnings(executed, place, text, args, warning):
    (place / "app.py").write_text(f"from werkzeug.routing import Rule\n{SITE}{text}\n")
    said = serve(*args).stderr
    assert "Serving" in said
    assert (warning or "Warning") in said if warning else "Warning" not in said


def test_debug_is_warned_of(executed):
    os.environ["ERLEN_DEBUG"] = "1"
    assert "Warning: Debug mode is on" in serve().stderr
    assert executed


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("--engine uvicorn --wsgi", "--engine granian --wsgi"),
        ("--engine waitress", "is not one of 'granian', 'gunicorn', 'uvicorn'"),
        ("--workers 0", "not in the range"),
        ("--host 203.0.113.99", "Cannot listen on '203.0.113.99'"),
    ],
)
def test_refusals(executed, args, message):
    result = serve(*args.split())
    assert result.exit_code != 0
    assert message in result.stderr
    assert not executed


def test_a_missing_engine_names_the_extra(executed, monkeypatch):
    def version(name):
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(_serve.metadata, "version", version)
    result = serve("--engine", "gunicorn")
    assert result.exit_code == 2
    assert 'pip install "erlen[gunicorn]"' in result.stderr


def test_a_taken_port(executed):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        result = serve("--port", port)
    assert result.exit_code == 1
    assert f"port {port}: Address already in use" in result.stderr


def test_what_the_application_raises_is_shown_once(executed, place):
    (place / "app.py").write_text("import nowhere\n")
    result = serve()
    assert result.exit_code == 1
    assert result.stderr.count("No module named 'nowhere'") == 1
    assert not executed


def test_an_applications_own_command_wins(executed, place):
    own = "@app.cli.command('serve')\ndef own(): print('tea')\n"
    (place / "app.py").write_text(SITE + own)
    assert CliRunner().invoke(cli, ["serve"]).output == "tea\n"


# A command line with a factory of its own


def create_app():
    return Erlen("own", root_path="/nowhere")


def test_a_factory_is_handed_over_by_its_name(executed):
    assert serve(group=ErlenGroup(create_app=create_app)).exit_code == 0
    found = options(executed)
    assert found["factory"] == f"{__name__}:create_app"
    assert _serve_engines._find(found["factory"]) is create_app


@pytest.mark.parametrize("factory", [lambda: create_app(), CliRunner])
def test_a_factory_that_workers_cannot_import(executed, monkeypatch, factory):
    monkeypatch.setattr(factory, "__module__", "__main__")
    monkeypatch.setattr(_serve.ScriptInfo, "load_app", lambda self: create_app())
    result = serve(group=ErlenGroup(create_app=factory))
    assert result.exit_code == 2
    assert "erlen --app module:factory serve" in result.stderr
    assert ScriptInfo(create_app=factory).create_app is factory
