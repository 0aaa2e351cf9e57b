"""The command `erlen`: its group, its commands, and a real server."""

from __future__ import annotations

import asyncio
import contextvars
import http.client
import importlib
import importlib.metadata
import json
import os
import platform
import re
import runpy
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request

import click
import pytest
from click.testing import CliRunner
from werkzeug.test import create_environ
from werkzeug.test import run_wsgi_app

import erlen
from erlen import Erlen
from erlen import cli as cli_module
from erlen.cli import AppGroup
from erlen.cli import CertParamType
from erlen.cli import ErlenGroup
from erlen.cli import FlaskGroup
from erlen.cli import ScriptInfo
from erlen.cli import SeparatedPathType
from erlen.cli import cli
from erlen.cli import main
from erlen.cli import run_command

SITE = """\
import click
from erlen import Blueprint, Erlen, current_app, request

app = Erlen(__name__)
app.get("/page")(lambda: "a page")

@app.cli.command("greet")
@click.option("--name", default="nobody")
@click.option("--word", multiple=True)
@click.argument("others", nargs=-1)
def greet(name, word, others):
    "Greet somebody."
    click.echo(f"{current_app.name} greets {name} {' '.join(word)}".rstrip())

@app.cli.group()
def tree():
    pass

@tree.command("grow-up")
@click.option("--high", default="low", envvar="TREE_HEIGHT")
def grow_up(high):
    click.echo(high)
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Work in an empty folder, with an environment of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ERLEN_", "FLASK_", "WERKZEUG_", "_ERLEN"))
    }
    monkeypatch.setattr(os, "environ", kept)
    importlib.invalidate_caches()
    yield tmp_path
    for name, module in [*sys.modules.items()]:
        if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def site(place):
    """Put an application into the folder."""
    (place / "app.py").write_text(SITE)
    importlib.invalidate_caches()


@pytest.fixture
def broken(place):
    """Put an application that cannot be imported into the folder."""
    (place / "app.py").write_text("import nowhere\n")
    importlib.invalidate_caches()


def invoke(*args, group=cli, **kwargs):
    result = CliRunner().invoke(group, args, prog_name="erlen", **kwargs)
    unexpected = result.exception
    if unexpected is not None and not isinstance(unexpected, SystemExit):
        raise unexpected
    return result


def output(*args, code=0, **kwargs):
    result = invoke(*args, **kwargs)
    assert result.exit_code == code, result.output
    return result.output


def test_aliases():
    assert FlaskGroup is ErlenGroup
    assert cli_module.AppGroup is AppGroup


# The group


@pytest.mark.usefixtures("site")
def test_help_lists_all_commands():
    text = output("--help")
    for name in (
        *("check", "config", "routes", "run", "secret", "shell"),
        *("greet +Greet somebody.", "tree"),
    ):
        assert re.search(rf"^  {name}", text, re.MULTILINE)
    assert "Error" not in text


def test_help_without_an_application():
    text = output("--help")
    assert text.index("Could not locate an Erlen") < text.index("Run a development")


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize(
    "command", ["run", "routes", "shell", "greet", "check", "config"]
)
def test_error_of_the_user_comes_first(command):
    lines = output(command, code=1).splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1].endswith('app.py", line 1, in <module>')
    assert lines[-2] == "ModuleNotFoundError: No module named 'nowhere'"
    assert lines[-1].startswith("Error: Erlen tried to import 'app'")


@pytest.mark.usefixtures("broken")
def test_help_works_with_a_broken_application():
    text = output("--help")
    assert text.startswith("Traceback")
    assert text.index("nowhere") < text.index("Run a development server.")


@pytest.mark.usefixtures("broken")
def test_help_of_a_command_needs_no_application():
    assert output("run", "--help").startswith("Usage: erlen run ")


def test_unknown_command(place):
    text = output("nothing", code=2)
    assert text.index("Could not locate") < text.index("No such command 'nothing'")
    (place / "app.py").write_text(SITE)
    importlib.invalidate_caches()
    text = output("nothing", code=2)
    assert "Could not locate" not in text
    assert "No such command 'nothing'" in text


@pytest.mark.parametrize("command", ["run", "routes", "shell", "check", "config"])
def test_commands_without_an_application(command):
    text = output(command, code=2)
    assert f"Usage: erlen {command}" in text
    assert "Could not locate an Erlen application. Searched:" in text


def test_version():
    assert output("--version") == (
        f"Python {platform.python_version()}\n"
        f"Erlen {importlib.metadata.version('erlen')}\n"
        f"Werkzeug {importlib.metadata.version('werkzeug')}\n"
    )


def test_version_is_quiet_while_completing(capsys):
    with cli.make_context("erlen", ["--version", "run"], resilient_parsing=True):
        pass
    assert not capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "environment", "name"),
    [
        (["-A", "other:create('x')"], {}, "x"),
        (["--app", "other:create('x')"], {"ERLEN_APP": "nowhere"}, "x"),
        ([], {"ERLEN_APP": "other:create('e')", "FLASK_APP": "other:create('f')"}, "e"),
        ([], {"FLASK_APP": "other:create('f')"}, "f"),
        ([], {}, "app"),
    ],
)
@pytest.mark.usefixtures("site")
def test_which_application(place, args, environment, name):
    text = SITE.replace("__name__", "name, root_path='.'").replace("\n", "\n    ")
    (place / "other.py").write_text(f"def create(name):\n    {text}\n    return app\n")
    importlib.invalidate_caches()
    os.environ.update(environment)
    assert output(*args, "greet") == f"{name} greets nobody\n"
    assert "Greet somebody." in output(*args, "--help")


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    ("args", "environment", "expected"),
    [
        ([], {}, False),
        (["--debug"], {}, True),
        (["--no-debug"], {"ERLEN_DEBUG": "1"}, False),
        ([], {"ERLEN_DEBUG": "1"}, True),
        ([], {"ERLEN_DEBUG": "anything"}, True),
        ([], {"FLASK_DEBUG": "1"}, True),
        ([], {"ERLEN_DEBUG": "0", "FLASK_DEBUG": "1"}, False),
        (["--debug"], {"ERLEN_DEBUG": "0", "FLASK_DEBUG": "0"}, True),
    ],
)
def test_debug(args, environment, expected):
    @click.command()
    @cli_module.with_appcontext
    def show():
        click.echo(erlen.current_app.debug)

    os.environ.update(environment)
    group = ErlenGroup(name="erlen")
    group.add_command(show)
    assert output(*args, "show", group=group) == f"{expected}\n"


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({}, "app greets nobody"),
        ({"ERLEN_GREET_NAME": "e", "FLASK_GREET_NAME": "f"}, "app greets e"),
        ({"FLASK_GREET_NAME": "f"}, "app greets f"),
        ({"FLASK_GREET_WORD": "a b"}, "app greets nobody a b"),
    ],
)
def test_variables_of_options(environment, line):
    os.environ.update(environment)
    for _ in range(2):  # names are not added twice
        assert output("greet") == f"{line}\n"


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({}, "low"),
        ({"FLASK_TREE_GROW_UP_HIGH": "f"}, "f"),
        ({"FLASK_TREE_GROW_UP_HIGH": "f", "ERLEN_TREE_GROW_UP_HIGH": "e"}, "e"),
        ({"ERLEN_TREE_GROW_UP_HIGH": "e", "TREE_HEIGHT": "own"}, "own"),
    ],
)
def test_variables_of_options_in_groups(environment, line):
    os.environ.update(environment)
    assert output("tree", "grow-up") == f"{line}\n"


@pytest.mark.usefixtures("site")
def test_variables_with_a_prefix_of_its_own():
    os.environ.update(SHOP_GREET_NAME="shop", FLASK_GREET_NAME="f")
    settings = {"auto_envvar_prefix": "SHOP"}
    group = ErlenGroup(name="shop", context_settings=settings)
    assert output("greet", group=group) == "app greets shop\n"


@pytest.mark.usefixtures("site")
def test_dotenv_files(place):
    pytest.importorskip("dotenv")
    (place / ".flaskenv").write_text("FLASK_GREET_NAME=flaskenv\nERLEN_GREET_WORD=a\n")
    (place / ".env").write_text("FLASK_GREET_NAME=env\n")
    (place / "given").write_text("FLASK_GREET_NAME=given\n")
    before = os.environ.copy()
    for args, name in (
        ([], "env"),
        (["-e", "given"], "given"),
        (["--env-file", "given"], "given"),
    ):
        os.environ.clear()
        os.environ.update(before)
        assert output(*args, "greet") == f"app greets {name} a\n"


def test_dotenv_files_are_read_for_help(place):
    pytest.importorskip("dotenv")
    (place / "other.py").write_text(SITE)
    (place / ".env").write_text("ERLEN_APP=other\n")
    importlib.invalidate_caches()
    assert "Greet somebody." in output("--help")
    assert os.environ["ERLEN_APP"] == "other"


@pytest.mark.usefixtures("site")
def test_dotenv_files_are_left_alone(place):
    pytest.importorskip("dotenv")
    (place / ".env").write_text("ERLEN_GREET_NAME=env\n")
    (place / "given").write_text("ERLEN_GREET_WORD=given\n")
    group = ErlenGroup(name="erlen", load_dotenv=False)
    assert output("greet", group=group) == "app greets nobody\n"
    assert output("-e", "given", "greet", group=group) == "app greets nobody given\n"


def test_env_file_must_exist():
    assert "'nothing' does not exist" in output("-e", "nothing", "routes", code=2)


@pytest.mark.usefixtures("site")
def test_env_file_needs_its_library(place, monkeypatch):
    monkeypatch.setitem(sys.modules, "dotenv", None)
    (place / ".env").write_text("")
    assert 'pip install "erlen[dotenv]"' in output("-e", ".env", "greet", code=2)
    text = output("greet")
    assert 'pip install "erlen[dotenv]"' in text
    assert text.endswith("app greets nobody\n")


# Groups of the user's own


def test_own_group():
    @click.group(cls=ErlenGroup, create_app=lambda: Erlen("mine", root_path="."))
    @click.option("--loud", is_flag=True)
    def group(loud):
        """Manage it."""
        click.echo(f"loud {loud}")

    @group.command()
    def name():
        click.echo(erlen.current_app.name)

    assert output("--loud", "name", group=group) == "loud True\nmine\n"
    text = output("--help", group=group)
    for words in ("Manage it.", "--loud", "--app", "--version", "routes", "name"):
        assert words in text


def test_bare_group():
    group = ErlenGroup(
        add_default_commands=False,
        add_version_option=False,
        set_debug_flag=False,
        create_app=lambda: Erlen("mine", root_path="."),
        params=[click.Option(["--loud"])],
    )
    text = output("--help", group=group)
    assert "--loud" in text
    assert "--version" not in text
    assert "routes" not in text


def test_given_object_is_used(app):
    app.cli.command("name")(lambda: click.echo(erlen.current_app.name))
    info = ScriptInfo(create_app=lambda: app)
    assert output("name", obj=info) == f"{app.name}\n"
    group = ErlenGroup(context_settings={"obj": info})
    assert output("name", group=group) == f"{app.name}\n"


def test_context_is_pushed_once_and_for_callbacks(app):
    torn_down = []
    app.teardown_appcontext(torn_down.append)
    seen = []

    def callback(ctx, param, value):
        seen.append(erlen.current_app.name)

    @app.cli.command("look", params=[click.Option(["--at"], callback=callback)])
    def look(at):
        pass

    info = ScriptInfo(create_app=lambda: app)
    output("look", obj=info)
    assert seen == [app.name]
    assert torn_down == [None]
    with app.app_context():
        output("look", obj=info)
        assert len(torn_down) == 1
    with Erlen("other", root_path=".").app_context():
        output("look", obj=info)
    assert seen == [app.name] * 3
    assert len(torn_down) == 3


def test_commands_of_a_subclass_need_no_application():
    class Group(ErlenGroup):
        def get_command(self, ctx, cmd_name):
            return click.Command(cmd_name, callback=lambda: click.echo(cmd_name))

    assert output("anything", group=Group()) == "anything\n"


# Commands that an application may have of its own


YIELDING = ["check", "config", "secret"]


@pytest.mark.parametrize("name", YIELDING)
def test_a_command_of_the_application_wins(app, name):
    def own():
        """Do it my way."""
        click.echo(f"{name} of {erlen.current_app.name}")

    app.cli.command(name)(own)
    group = ErlenGroup(name="erlen", create_app=lambda: app)
    assert output(name, group=group) == f"{name} of {app.name}\n"
    assert "Do it my way." in output(name, "--help", group=group)
    assert re.search(rf"{name} +Do it my way\.", output("--help", group=group))


@pytest.mark.parametrize("name", YIELDING)
def test_a_command_of_a_plugin_and_of_the_group_win(name, app, monkeypatch):
    app.cli.command(name)(lambda: click.echo("application"))
    group = ErlenGroup(create_app=lambda: app)
    group.add_command(click.Command(name, callback=lambda: click.echo("group")))
    assert output(name, group=group) == "group\n"
    plugin = click.Command(name, callback=lambda: click.echo("plugin"))
    monkeypatch.setitem(
        group._plugins, name, importlib.metadata.EntryPoint(name, "", "")
    )
    monkeypatch.setattr(importlib.metadata.EntryPoint, "load", lambda self: plugin)
    assert output(name, group=group) == "plugin\n"


@pytest.mark.parametrize("name", ["routes", "run", "shell"])
def test_a_command_of_the_application_does_not_win(app, name):
    app.cli.command(name, help="Do it my way.")(bool)
    group = ErlenGroup(create_app=lambda: app)
    assert "my way" not in output(name, "--help", group=group)


@pytest.mark.parametrize(
    "source", ["", "import nowhere", "raise SystemExit('not today')"]
)
def test_a_secret_needs_no_application(place, source):
    if source:
        (place / "app.py").write_text(source)
        importlib.invalidate_caches()
    assert re.fullmatch(r"[0-9a-f]{64}\n", output("secret"))


def test_a_broken_application_is_tried_once_for_help(place):
    (place / "app.py").write_text("print('attempt')\nimport nowhere\n")
    importlib.invalidate_caches()
    text = output("--help")
    assert text.count("attempt") == 1
    for name in YIELDING:
        assert re.search(rf"^  {name} ", text, re.MULTILINE)
    assert output("secret").count("attempt") == 1


@pytest.mark.parametrize("args", [["check"], ["config"]])
def test_json_and_nothing_else(place, args, capsys):
    (place / "app.py").write_text(f"print('I am here')\n{SITE}")
    importlib.invalidate_caches()
    with pytest.raises(SystemExit):  # the runner may have one stream only
        cli.main([*args, "--format", "json"], prog_name="erlen")
    result = capsys.readouterr()
    assert json.loads(result.out)
    assert result.err == "I am here\n"


# Plugins


@pytest.fixture
def plugin(place, monkeypatch):
    """Install a distribution with commands."""
    folder = place / "installed"
    (folder / "plug-1.dist-info").mkdir(parents=True)
    (folder / "plug-1.dist-info/METADATA").write_text("Name: plug\nVersion: 1\n")
    (folder / "plug-1.dist-info/entry_points.txt").write_text(
        "[flask.commands]\nold = plug:old\nboth = plug:old\nlost = nowhere:lost\n"
        "[erlen.commands]\nnew = plug:new\nboth = plug:new\nroutes = plug:new\n"
    )
    (folder / "plug.py").write_text(
        "import click\n"
        "print('plug is imported')\n"
        "old = click.Command('old', callback=lambda: click.echo('old'))\n"
        "new = click.Command('new', callback=lambda: click.echo('new'))\n"
    )
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    importlib.invalidate_caches()
    return ErlenGroup(name="erlen")


@pytest.mark.usefixtures("site")
def test_plugins(plugin):
    assert output("greet", group=plugin) == "app greets nobody\n"
    assert output("old", group=plugin) == "plug is imported\nold\n"
    assert output("new", group=plugin) == "new\n"
    assert output("both", group=plugin) == "new\n"
    assert output("routes", group=plugin) == "new\n"


@pytest.mark.usefixtures("site")
def test_plugin_that_cannot_be_loaded(plugin):
    text = output("--help", group=plugin)
    assert re.search(r"lost +\(could not be loaded\)", text)
    for name in ("old", "new", "both", "greet", "run"):
        assert re.search(rf"^  {name}\b", text, re.MULTILINE)
    for args in (["lost"], ["lost", "--with", "arguments"]):
        text = output(*args, group=plugin, code=1)
        assert text == (
            "Error: The command 'lost' could not be loaded from 'nowhere:lost':"
            " ModuleNotFoundError: No module named 'nowhere'\n"
        )


# Completion


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(shell, monkeypatch):
    monkeypatch.setattr("click.shell_completion.BashComplete._check_version", bool)
    os.environ["_ERLEN_COMPLETE"] = f"{shell}_source"
    assert f"_ERLEN_COMPLETE={shell}_complete" in output()


def complete(line):
    words = line.split(" ")
    os.environ.update(
        _ERLEN_COMPLETE="zsh_complete",
        COMP_WORDS=line,
        COMP_CWORD=str(len(words) - 1),
    )
    # click never closes the contexts of a completion: the process ends.
    lines = contextvars.copy_context().run(output).splitlines()
    return lines[1::3]


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("erlen r", ["routes", "run"]),
        (
            "erlen check --",
            ["--deploy", "--fail-level", "--silence", "--format", "--help"],
        ),
        ("erlen gr", ["greet"]),
        ("erlen --app app gr", ["greet"]),
        ("erlen --app nowhere gr", []),
        ("erlen greet --w", ["--word"]),
        ("erlen tree g", ["grow-up"]),
        ("erlen run --reloa", ["--reload"]),
        ("erlen routes --sort m", ["methods", "match"]),
    ],
)
def test_completion(line, names):
    assert complete(line) == names


@pytest.mark.usefixtures("broken")
def test_completion_is_quiet(place, monkeypatch):
    monkeypatch.setitem(sys.modules, "dotenv", None)
    (place / ".env").write_text("")
    assert complete("erlen r") == ["routes", "run"]
    assert complete("erlen greet --w") == []


# The shell


@pytest.fixture
def shell(app, monkeypatch):
    """Run the shell; return its banner and its names."""
    calls = []

    def interact(banner, local):
        calls.append((banner, local))

    monkeypatch.setattr("code.interact", interact)
    monkeypatch.delattr(sys, "__interactivehook__", raising=False)

    def shell():
        output("shell", obj=ScriptInfo(create_app=lambda: app))
        return calls.pop()

    return shell


def test_shell(app, shell):
    app.shell_context_processor(lambda: {"added": 1})
    banner, names = shell()
    assert banner.startswith(f"Python {sys.version}")
    assert banner.endswith(f"App: {app.import_name}\nInstance: {app.instance_path}")
    assert names["app"] is app
    assert names["added"] == 1
    assert set(names) == {"app", "g", "added"}


def test_shell_runs_the_startup_file(place, shell):
    (place / "startup.py").write_text(
        "started = __import__('os').sep\napp = 'hidden'\n"
    )
    os.environ["PYTHONSTARTUP"] = "nothing.py"
    assert "started" not in shell()[1]
    os.environ["PYTHONSTARTUP"] = "startup.py"
    names = shell()[1]
    assert names["started"] == os.sep
    assert names["app"] != "hidden"


def test_shell_completes_names(shell, monkeypatch):
    readline = pytest.importorskip("readline")
    calls = []
    monkeypatch.setattr(
        sys, "__interactivehook__", lambda: calls.append(1), raising=False
    )
    completers = []
    monkeypatch.setattr(readline, "set_completer", completers.append)
    _, names = shell()
    names["distinctive"] = 1
    assert calls == [1]
    assert completers[-1]("distinct", 0) == "distinctive"


def test_shell_without_readline(shell, monkeypatch):
    calls = []
    monkeypatch.setattr(
        sys, "__interactivehook__", lambda: calls.append(1), raising=False
    )
    monkeypatch.setitem(sys.modules, "readline", None)
    shell()
    assert calls == [1]


# Run


@pytest.fixture
def served(monkeypatch):
    """Collect what `serve` is called with."""
    calls = []

    def serve(app, host, port, **options):
        calls.append((app, host, port, options))

    monkeypatch.setattr(cli_module, "serve", serve)
    return calls


@pytest.mark.usefixtures("site")
def test_run_defaults(served):
    output("run")
    app, host, port, options = served[0]
    assert (app.name, host, port) == ("app", "127.0.0.1", 5000)
    assert options == {
        "debug": False,
        "name": None,
        "use_reloader": False,
        "use_debugger": False,
        "threaded": True,
        "ssl_context": None,
        "extra_files": None,
        "exclude_patterns": None,
    }


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ("run --debug", {"debug": True, "use_reloader": True, "use_debugger": True}),
        ("--debug run --no-debug", {"debug": False, "use_reloader": False}),
        ("run --debug --no-reload", {"use_reloader": False, "use_debugger": True}),
        ("run --debug --no-debugger", {"use_reloader": True, "use_debugger": False}),
        ("run --reload --debugger", {"use_reloader": True, "use_debugger": True}),
        ("run --without-threads", {"threaded": False}),
        ("run --with-threads", {"threaded": True}),
        ("-A app run", {"name": "app"}),
        ("run --extra-files a:b", {"extra_files": ["a", "b"]}),
        ("run --exclude-patterns *.a:b", {"exclude_patterns": ["*.a", "b"]}),
    ],
)
def test_run_options(served, monkeypatch, args, expected):
    monkeypatch.setattr(os.path, "pathsep", ":")
    output(*args.split())
    options = served[0][3]
    assert {name: options[name] for name in expected} == expected


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"ERLEN_RUN_PORT": "1", "FLASK_RUN_PORT": "2"}, ("127.0.0.1", 1, False)),
        ({"FLASK_RUN_PORT": "2", "ERLEN_RUN_HOST": "::"}, ("::", 2, False)),
        ({"FLASK_RUN_DEBUG": "1"}, ("127.0.0.1", 5000, True)),
    ],
)
def test_run_variables(served, environment, expected):
    os.environ.update(environment)
    output("run")
    _, host, port, options = served[0]
    assert (host, port, options["debug"]) == expected
    assert output("run", "-h", "a", "-p", "3") == ""
    assert served[1][1:3] == ("a", 3)


@pytest.fixture
def served_asgi(monkeypatch):
    """Collect what `serve_asgi` is called with."""
    calls = []

    def serve_asgi(app, host, port, **options):
        calls.append((app, host, port, options))

    monkeypatch.setattr(cli_module, "serve_asgi", serve_asgi)
    return calls


@pytest.mark.usefixtures("site")
def test_run_over_asgi(served_asgi):
    output("run", "--asgi", "--debug", "-p", "3", "--extra-files", "a")
    door, host, port, options = served_asgi[0]
    assert door is sys.modules["app"].app.asgi
    assert (host, port) == ("127.0.0.1", 3)
    assert options == {
        "debug": True,
        "name": None,
        "use_reloader": True,
        "ssl_context": None,
        "extra_files": ["a"],
        "exclude_patterns": None,
    }


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("option", ["--debugger", "--without-threads"])
def test_run_over_asgi_refuses_what_is_for_wsgi(served_asgi, option):
    result = CliRunner().invoke(cli, ["run", "--asgi", option])
    assert result.exit_code == 1
    assert f"{option} is for WSGI only" in result.output
    assert not served_asgi


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("http", ["http.response.start", "http.response.body"]),
        ("websocket", ["websocket.close"]),
        ("lifespan", []),
    ],
)
def test_run_over_asgi_answers_without_an_application(
    served_asgi, place, monkeypatch, kind, said
):
    monkeypatch.setenv("WERKZEUG_RUN_MAIN", "true")
    (place / "app.py").write_text("import nowhere\n")
    assert "No module named 'nowhere'" in output("run", "--asgi")
    sent = []

    async def send(message):
        sent.append(message["type"])

    asyncio.run(served_asgi[0][0]({"type": kind}, None, send))
    assert sent == said


def test_run_marks_the_environment(served, place):
    (place / "app.py").write_text(f"{SITE}\napp.run()\n")
    importlib.invalidate_caches()
    assert "Ignoring a call to 'app.run()'" in output("run")
    assert len(served) == 1


@pytest.fixture
def pem(place):
    for name in ("cert.pem", "key.pem"):
        (place / name).write_text("")
    (place / "tls.py").write_text(
        "import ssl\nhere = ssl.create_default_context()\nother = 'no context'\n"
    )
    sys.path.insert(0, str(place))
    importlib.invalidate_caches()


@pytest.mark.usefixtures("pem", "site")
def test_certificates(served, place, monkeypatch):
    output("run", "--cert", "cert.pem", "--key", "key.pem")
    files = (os.path.realpath(place / "cert.pem"), os.path.realpath(place / "key.pem"))
    assert served[0][3]["ssl_context"] == files
    monkeypatch.setitem(sys.modules, "cryptography", _module_with_spec())
    output("run", "--cert", "ADHOC")
    assert served[1][3]["ssl_context"] == "adhoc"
    output("run", "--cert", "tls:here")
    assert isinstance(served[2][3]["ssl_context"], ssl.SSLContext)


def _module_with_spec():
    module = type(sys)("cryptography")
    module.__spec__ = importlib.machinery.ModuleSpec("cryptography", None)
    return module


@pytest.mark.usefixtures("pem")
@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("--cert cert.pem", "'--key': Required when using \"--cert\"."),
        ("--key key.pem", "'--key': \"--cert\" must also be specified."),
        ("--key key.pem --cert nothing", "'--cert': File 'nothing' does not exist."),
        ("--cert tls:other", "'--cert': File 'tls:other' does not exist."),
        ("--cert tls:here --key key.pem", 'SSLContext object, "--key" is not used.'),
        ("--cert adhoc", "'--cert': Using ad-hoc certificates requires the crypto"),
        ("--cert cert.pem --key nothing", "'--key': File 'nothing' does not exist."),
    ],
)
def test_certificates_that_are_refused(args, message, monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    assert message in " ".join(output("run", *args.split(), code=2).split())


@pytest.mark.usefixtures("pem")
def test_adhoc_certificate_needs_no_key(monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography", _module_with_spec())
    text = output("run", "--key", "key.pem", "--cert", "adhoc", code=2)
    assert 'When "--cert" is "adhoc", "--key" is not used.' in " ".join(text.split())


def test_certificates_need_ssl(monkeypatch):
    monkeypatch.setitem(sys.modules, "ssl", None)
    with pytest.raises(click.BadParameter, match="compiled with SSL"):
        CertParamType().convert("adhoc", None, None)


def test_separated_paths_are_checked(place):
    (place / "a").write_text("")
    paths = SeparatedPathType(exists=True)
    assert paths.convert(f"a{os.path.pathsep}.", None, None) == ["a", "."]
    with pytest.raises(click.BadParameter, match="'b' does not exist"):
        paths.convert(f"a{os.path.pathsep}b", None, None)


@pytest.mark.parametrize(
    ("text", "error"),
    [("import nowhere\n", ModuleNotFoundError), ("", cli_module.NoAppException)],
)
def test_reloader_tries_again_at_the_next_change(served, place, text, error):
    (place / "app.py").write_text(text)
    importlib.invalidate_caches()
    os.environ["WERKZEUG_RUN_MAIN"] = "true"
    assert "Error: " in output("run", "--debug")
    lengths = []
    for _ in range(2):
        with pytest.raises(error) as info:
            run_wsgi_app(served[0][0], create_environ())
        lengths.append(len(info.traceback))
    assert lengths[0] == lengths[1]


def test_run_refuses_clients_without_a_traceback(place):
    (place / "app.py").write_text(
        f"{SITE}\napp.config['DEBUG_ALLOWED_CLIENTS'] = ['a']"
    )
    importlib.invalidate_caches()
    text = output("run", "--debug", "--no-reload", code=1)
    assert text.splitlines()[-1].startswith("Error: DEBUG_ALLOWED_CLIENTS: 'a'")


# The process


def test_main(capsys, monkeypatch):
    for argv, start in (
        (lambda: main(), ["erlen", "--version"]),
        (
            lambda: runpy.run_module("erlen", run_name="__main__"),
            ["erlen", "--version"],
        ),
    ):
        monkeypatch.setattr(sys, "argv", start)
        with pytest.raises(SystemExit) as info:
            argv()
        assert info.value.code == 0
        assert capsys.readouterr().out.startswith("Python")
    assert "main" in runpy.run_module("erlen.__main__", run_name="imported")


def test_run_is_a_command_of_its_own(app, served):
    info = ScriptInfo(create_app=lambda: app)
    assert output("-p", "1", group=run_command, obj=info) == ""
    assert served[0][:3] == (app, "127.0.0.1", 1)


@pytest.fixture
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.usefixtures("site")
def test_port_in_use():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        result = subprocess.run(
            [sys.executable, "-m", "erlen", "run", "-p", port],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert result.returncode == 1
    assert f"Port {port} is in use by another program." in result.stderr


@pytest.mark.service
@pytest.mark.usefixtures("site")
def test_server_reloads_a_changed_application(place, free_port):
    # Without watchdog files are compared, which no limit of the machine disturbs.
    (place / "watchdog.py").write_text("raise ImportError")
    command = ["-m", "erlen", "-A", "app", "run", "--debug", "-p", str(free_port)]
    with (
        (place / "log").open("w+") as log,
        subprocess.Popen(
            [sys.executable, *command],
            stdout=log,
            stderr=log,
            start_new_session=True,
        ) as server,
    ):
        try:
            states = []
            for text in (SITE, SITE + "import nowhere", SITE.replace("a page", "new")):
                change = place / "app.py"
                if text is not SITE:
                    change.write_text(text)
                    stamp = time.time() + 10 * len(states)
                    os.utime(change, (stamp, stamp))
                states.append(_wait_for(free_port, states))
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(timeout=60)
    said = (place / "log").read_text()
    assert states == ["a page", "No module named 'nowhere'", "new"]
    assert said.count(" * Serving Erlen app") == 1
    assert "WARNING: This is a development server." in said
    assert "Error: Erlen tried to import 'app'" in said


def _wait_for(port, known):
    """Ask for the page until it is none that is known."""
    for _ in range(1200):
        page = _get(f"http://127.0.0.1:{port}/page")
        for state in ("a page", "No module named 'nowhere'", "new"):
            if state in page and state not in known:
                return state
        time.sleep(0.1)
    raise AssertionError(f"only {known} were served, then {page!r}")


def _get(url):
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.read().decode()
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.read().decode().replace("&#39;", "'")
    except (OSError, http.client.HTTPException):
        return ""
