"""The command line: discovery, groups, `run`, `shell`, `routes`, dotenv."""

from __future__ import annotations

import importlib.machinery
import importlib.metadata
import os
import ssl
import subprocess
import sys
import types

import click
import pytest
import werkzeug.serving
from click.shell_completion import get_completion_class
from click.testing import CliRunner
from werkzeug.debug import DebuggedApplication

import erlen
from erlen import Blueprint
from erlen import Erlen
from erlen import current_app
from erlen import has_app_context
from erlen.cli import AppGroup
from erlen.cli import ErlenGroup
from erlen.cli import NoAppException
from erlen.cli import ScriptInfo
from erlen.cli import cli as main_group
from erlen.cli import find_app_by_string
from erlen.cli import find_best_app
from erlen.cli import load_dotenv
from erlen.cli import locate_app
from erlen.cli import pass_script_info
from erlen.cli import prepare_import
from erlen.cli import routes_command
from erlen.cli import run_command
from erlen.cli import shell_command
from erlen.cli import show_server_banner
from erlen.cli import version_option
from erlen.cli import with_appcontext
from erlen.helpers import get_debug_flag
from erlen.helpers import get_load_dotenv

VARIABLES = ("APP", "DEBUG", "SKIP_DOTENV", "RUN_PORT", "RUN_HOST", "RUN_FROM_CLI")


@pytest.fixture(autouse=True)
def _environment(monkeypatch, tmp_path):
    """Start in an empty folder with no variable of the command line set."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for prefix in ("ERLEN", "FLASK"):
        for name in VARIABLES:
            # Set first, so that what the command line sets is undone as well.
            monkeypatch.setenv(f"{prefix}_{name}", "")
            monkeypatch.delenv(f"{prefix}_{name}")


@pytest.fixture
def runner():
    return CliRunner()


@pytest.fixture
def module(tmp_path):
    """Return a function that writes modules, which are forgotten afterwards."""
    before = set(sys.modules)

    def write(files=(), **more):
        for name, text in {**dict(files), **more}.items():
            path = tmp_path / f"{name}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)

    yield write
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


MAKE = "from erlen import Erlen\n"


# --- finding the application


class Found:
    """Things that modules may hold, by the name they are looked for."""

    one = Erlen("one")
    two = Erlen("two")

    @staticmethod
    def factory():
        return Found.one

    @staticmethod
    def factory_with_defaults(a="x"):
        return Found.one

    @staticmethod
    def factory_with_arguments(a, b):
        return Erlen(f"{a}-{b}")

    @staticmethod
    def factory_that_is_wrong():
        return "no application"

    @staticmethod
    def factory_that_fails():
        raise TypeError("bad")


def holding(**names):
    module = types.ModuleType("the_module")
    vars(module).update(names)
    return module


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ({"app": Found.one}, "one"),
        ({"application": Found.one}, "one"),
        ({"app": Found.one, "application": Found.two}, "one"),
        ({"my_site": Found.one}, "one"),
        ({"create_app": Found.factory}, "one"),
        ({"make_app": Found.factory}, "one"),
        ({"create_app": Found.factory_with_defaults}, "one"),
        ({"app": Found.two, "create_app": Found.factory}, "two"),
        ({"my_site": Found.two, "create_app": Found.factory}, "two"),
        ({"app": "no application", "other": Found.two}, "two"),
    ],
)
def test_best_application_of_a_module(names, found):
    assert find_best_app(holding(**names)).name == found


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({}, "the_module"),
        ({"a": Found.one, "b": Found.two}, "(?i)multiple"),
        ({"create_app": Found.factory_with_arguments}, "create_app"),
        ({"create_app": Found.factory_that_is_wrong}, "the_module"),
    ],
)
def test_module_without_a_clear_application(names, words):
    with pytest.raises(NoAppException, match=words):
        find_best_app(holding(**names))


def causes(exc):
    """Return the text of an error and of those it came from."""
    return f"{exc!r}\n{causes(exc.__cause__)}" if exc else ""


def test_error_within_a_factory_is_the_user_s_own():
    with pytest.raises((TypeError, NoAppException)) as caught:
        find_best_app(holding(create_app=Found.factory_that_fails))

    assert "TypeError('bad')" in causes(caught.value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("app", "one"),
        ("factory", "one"),
        ("factory()", "one"),
        ("factory ( )", "one"),
        ("args('a', 'b')", "a-b"),
        ('args("a", b="b")', "a-b"),
        ("args(1, [2])", "1-[2]"),
    ],
)
def test_application_by_text(text, found):
    module = holding(
        app=Found.one,
        factory=Found.factory,
        args=Found.factory_with_arguments,
    )

    assert find_app_by_string(module, text).name == found


@pytest.mark.parametrize(
    "text",
    [
        "absent",
        "app.name",
        "factory(",
        "not valid!",
        "1",
        "args('a')",
        "args(name)",
        "wrong",
        "wrong()",
        "text",
    ],
)
def test_text_that_leads_to_no_application(text):
    module = holding(
        app=Found.one,
        factory=Found.factory,
        args=Found.factory_with_arguments,
        wrong=Found.factory_that_is_wrong,
        text="no application",
    )

    with pytest.raises(NoAppException):
        find_app_by_string(module, text)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("app.py", "app"),
        ("app", "app"),
        ("package/sub", "package.sub"),
        ("package/sub.py", "package.sub"),
        ("package", "package"),
        ("package/__init__.py", "package"),
    ],
)
def test_prepare_import(module, tmp_path, given, name):
    module({"package/__init__": "", "package/sub": ""}, app="")

    assert prepare_import(given) == name
    assert sys.path[0] == str(tmp_path)


def test_locate_app(module):
    module(
        site_a=MAKE + "app = Erlen('a')",
        site_b=MAKE + "def make(n): return Erlen(n)",
        empty_site="",
        broken_site="import a_module_that_is_not_there",
        failing_site="1 / 0",
    )
    sys.path.insert(0, os.getcwd())

    assert locate_app("site_a", None).name == "a"
    assert locate_app("site_a", "app").name == "a"
    assert locate_app("site_b", "make('x')").name == "x"
    with pytest.raises(NoAppException, match="empty_site"):
        locate_app("empty_site", None)
    with pytest.raises(NoAppException, match="not_there_at_all"):
        locate_app("not_there_at_all", None)
    assert locate_app("not_there_at_all", None, raise_if_not_found=False) is None
    with pytest.raises(NoAppException) as caught:
        locate_app("broken_site", None)
    assert "a_module_that_is_not_there" in causes(caught.value)
    with pytest.raises((ZeroDivisionError, NoAppException)) as caught:
        locate_app("failing_site", None)
    assert "ZeroDivisionError" in causes(caught.value)


@pytest.mark.parametrize("name", ["wsgi", "app"])
def test_application_without_being_told(module, name):
    module(**{name: MAKE + f"app = Erlen('in {name}')"})

    assert ScriptInfo().load_app().name == f"in {name}"


def test_wsgi_is_looked_at_before_app(module):
    module(wsgi=MAKE + "app = Erlen('wsgi')", app=MAKE + "app = Erlen('app')")

    assert ScriptInfo().load_app().name == "wsgi"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("site_c", "c"),
        ("site_c.py", "c"),
        ("site_c:app", "c"),
        ("site_c.py:app", "c"),
        ("site_c:make_app('given')", "given"),
        ("pkg/site_d.py:app", "d"),
        ("pkg.site_d", "d"),
    ],
)
def test_application_by_path(module, path, name):
    text = MAKE + "app = Erlen({!r})\ndef make_app(n): return Erlen(n)"
    module(
        {"pkg/__init__": "", "pkg/site_d": text.format("d")}, site_c=text.format("c")
    )

    assert ScriptInfo(path).load_app().name == name


def test_application_is_loaded_once():
    made = []

    def create_app():
        made.append(1)
        return Erlen("made")

    info = ScriptInfo(create_app=create_app)

    assert info.load_app() is info.load_app()
    assert made == [1]


def test_no_application_is_explained():
    with pytest.raises(NoAppException, match="--app"):
        ScriptInfo().load_app()


@pytest.mark.parametrize(("flag", "debug"), [(None, False), ("1", True), ("0", False)])
def test_script_info_sets_the_debug_flag(monkeypatch, flag, debug):
    if flag:
        monkeypatch.setenv("FLASK_DEBUG", flag)

    def create_app():
        app = Erlen("made")
        app.debug = not debug
        return app

    assert ScriptInfo(create_app=create_app).load_app().debug is debug
    own = ScriptInfo(create_app=create_app, set_debug_flag=False)
    assert own.load_app().debug is not debug


def test_script_info_carries_data():
    info = ScriptInfo("site:app", load_dotenv_defaults=False)

    assert info.app_import_path == "site:app"
    assert info.data == {}
    assert info.load_dotenv_defaults is False


# --- commands and contexts


def test_command_of_the_application_runs_inside_its_context(app):
    pushed = []

    def count(sender, **extra):
        pushed.append(sender)

    @app.cli.command()
    @with_appcontext
    def work():
        click.echo(f"{current_app.name} {has_app_context()}")

    with erlen.appcontext_pushed.connected_to(count, app):
        result = app.test_cli_runner().invoke(args=["work"])

    assert result.output == f"{app.name} True\n"
    assert pushed == [app]


def test_context_is_torn_down_once_with_the_command(app):
    trace = []
    app.teardown_appcontext(lambda exc: trace.append("teardown"))

    @app.cli.group()
    def tools():
        """Tools."""

    @tools.command()
    def work():
        trace.append("work")

    app.test_cli_runner().invoke(args=["tools", "work"])

    assert trace == ["work", "teardown"]


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda f, group: group.command("own")(f), "True"),
        (lambda f, group: group.command("own", with_appcontext=False)(f), "False"),
    ],
)
def test_commands_of_an_app_group(runner, make, expected):
    group = AppGroup("tools")
    make(lambda: click.echo(has_app_context()), group)

    result = runner.invoke(
        group, ["own"], obj=ScriptInfo(create_app=lambda: Erlen("site"))
    )

    assert result.output == f"{expected}\n"


def test_groups_of_an_app_group_are_app_groups():
    group = AppGroup("tools")

    @group.group()
    def inner():
        """Inner."""

    assert isinstance(inner, AppGroup)


@pytest.mark.parametrize("wrapped", [True, False])
def test_with_appcontext(runner, wrapped):
    def work():
        click.echo(has_app_context())

    command = click.command()(with_appcontext(work) if wrapped else work)

    result = runner.invoke(command, obj=ScriptInfo(create_app=lambda: Erlen("site")))

    assert result.output == f"{wrapped}\n"


def test_pass_script_info(runner):
    info = ScriptInfo(create_app=lambda: Erlen("site"))

    @click.command()
    @pass_script_info
    def work(info):
        click.echo(info.load_app().name)

    assert runner.invoke(work, obj=info).output == "site\n"


def test_cli_of_an_application_is_an_app_group(app):
    assert isinstance(app.cli, AppGroup)
    assert app.cli.name == app.name


@pytest.mark.parametrize(
    ("given", "at_registration", "arguments"),
    [
        ({}, {}, ["shop", "work"]),
        ({"cli_group": "own"}, {}, ["own", "work"]),
        ({"cli_group": None}, {}, ["work"]),
        ({}, {"cli_group": "late"}, ["late", "work"]),
        ({"cli_group": "own"}, {"cli_group": None}, ["work"]),
    ],
)
def test_commands_of_a_blueprint(app, given, at_registration, arguments):
    blueprint = Blueprint("shop", __name__, **given)

    @blueprint.cli.command()
    def work():
        click.echo(f"works in {current_app.name}")

    app.register_blueprint(blueprint, **at_registration)

    result = app.test_cli_runner().invoke(args=arguments)

    assert result.output == f"works in {app.name}\n"


def test_commands_of_nested_blueprints(app):
    parent, child = Blueprint("parent", __name__), Blueprint("child", __name__)

    @child.cli.command()
    def work():
        click.echo("works")

    parent.register_blueprint(child)
    app.register_blueprint(parent)

    result = app.test_cli_runner().invoke(args=["parent.child", "work"])

    assert result.output == "works\n"


# --- the group


def group_of(app, **options):
    return ErlenGroup(create_app=lambda: app, **options)


def test_group_has_the_default_commands(runner, app):
    result = runner.invoke(group_of(app), ["--help"])

    assert result.exit_code == 0
    for word in ("run", "shell", "routes", "--version", "--env-file", "--debug"):
        assert word in result.output


def test_group_without_default_commands(app):
    group = ErlenGroup(add_default_commands=False, add_version_option=False)

    assert group.list_commands(click.Context(group)) == []
    assert [p for p in group.params if p.name == "version"] == []


def test_group_lists_and_runs_the_commands_of_the_application(runner, app):
    app.cli.command("hello")(lambda: click.echo("hello"))
    group = group_of(app)

    assert "hello" in runner.invoke(group, ["--help"]).output
    assert runner.invoke(group, ["hello"]).output == "hello\n"


def test_built_in_commands_are_not_replaced_by_the_application(runner, app):
    app.cli.command("routes")(lambda: click.echo("mine"))

    assert "mine" not in runner.invoke(group_of(app), ["routes"]).output


def test_own_command_on_a_group(runner, app):
    @click.group(cls=ErlenGroup, create_app=lambda: app)
    def manage():
        """Manage."""

    manage.command("own")(with_appcontext(lambda: click.echo(current_app.name)))

    assert runner.invoke(manage, ["own"]).output == f"{app.name}\n"


def test_unknown_command(runner, app):
    result = runner.invoke(group_of(app), ["absent"])

    assert result.exit_code == 2
    assert "No such command" in result.output


def test_help_works_without_an_application(runner):
    result = runner.invoke(main_group, ["--help"])

    assert result.exit_code == 0
    assert "routes" in result.output


def test_command_without_an_application(runner):
    result = runner.invoke(main_group, ["routes"])

    assert result.exit_code != 0
    assert "--app" in result.output


@pytest.mark.parametrize("where", ["option", "short", "environment"])
def test_application_is_named(runner, module, monkeypatch, where):
    module(site_e=MAKE + "app = Erlen('e', static_folder=None)\napp.get('/e')(id)")
    arguments = {
        "option": ["--app", "site_e"],
        "short": ["-A", "site_e:app"],
        "environment": [],
    }[where]
    if where == "environment":
        monkeypatch.setenv("FLASK_APP", "site_e.py")

    result = runner.invoke(main_group, [*arguments, "routes"])

    assert result.exit_code == 0, result.output
    assert "/e" in result.output


@pytest.mark.parametrize(
    ("arguments", "flag", "debug"),
    [
        (["--debug"], None, True),
        (["--no-debug"], None, False),
        ([], None, False),
        ([], "1", True),
        (["--no-debug"], "1", False),
    ],
)
def test_debug_option(runner, monkeypatch, arguments, flag, debug):
    if flag:
        monkeypatch.setenv("FLASK_DEBUG", flag)

    def create_app():
        app = Erlen("site")
        app.cli.command("tell")(lambda: click.echo(current_app.debug))
        return app

    result = runner.invoke(ErlenGroup(create_app=create_app), [*arguments, "tell"])

    assert result.output == f"{debug}\n"


def test_version(runner):
    result = runner.invoke(main_group, ["--version"])

    assert result.exit_code == 0
    for package in ("werkzeug",):
        assert importlib.metadata.version(package) in result.output
    assert f"Python {sys.version_info[0]}.{sys.version_info[1]}" in result.output
    assert version_option.name == "version"


@pytest.mark.parametrize("group", ["flask.commands"])
def test_commands_of_plugins(runner, monkeypatch, group):
    @click.command()
    def from_plugin():
        click.echo("from a plugin")

    class Point:
        name = "plugged"

        @staticmethod
        def load():
            return from_plugin

    def entry_points(**kwargs):
        return [Point] if kwargs.get("group") == group else []

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)

    assert runner.invoke(ErlenGroup(), ["plugged"]).output == "from a plugin\n"


def test_command_line_is_a_module():
    """The one test that starts a process: `python -m` and its exit code."""
    result = subprocess.run(
        [sys.executable, "-m", "erlen", "absent-command"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 2
    assert "No such command" in result.stderr


# --- routes


@pytest.fixture
def routed(app):
    for path, endpoint, methods in (
        ("/b", "alpha", ["GET"]),
        ("/a", "gamma", ["POST", "DELETE"]),
        ("/c", "beta", ["PATCH"]),
    ):
        app.add_url_rule(path, endpoint, lambda: "", methods=methods)
    return app


def column(output, index):
    """Return one column of the table, without its head and the static rule."""
    lines = [line for line in output.splitlines()[2:] if line and "static" not in line]
    return [line.split("  ")[index].strip() for line in lines]


def routes(app, *arguments):
    result = CliRunner().invoke(group_of(app), ["routes", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize(
    ("arguments", "order"),
    [
        ([], ["alpha", "beta", "gamma"]),
        (["-s", "endpoint"], ["alpha", "beta", "gamma"]),
        (["--sort", "rule"], ["gamma", "alpha", "beta"]),
        (["-s", "methods"], ["gamma", "alpha", "beta"]),
        (["-s", "match"], ["alpha", "gamma", "beta"]),
    ],
)
def test_order_of_routes(routed, arguments, order):
    assert column(routes(routed, *arguments), 0) == order


def test_table_of_routes(routed):
    lines = routes(routed).splitlines()

    assert lines[0].split() == ["Endpoint", "Methods", "Rule"]
    assert set(lines[1]) == {"-", " "}
    assert "gamma     DELETE, POST  /a" in [line.rstrip() for line in lines]


def test_all_methods(routed):
    assert "HEAD" not in routes(routed)
    output = routes(routed, "--all-methods")
    assert "GET, HEAD, OPTIONS" in output


def test_routes_with_subdomains():
    app = Erlen("site", subdomain_matching=True)
    app.config["SERVER_NAME"] = "shop.test"
    app.add_url_rule("/a", "z", subdomain="alpha")
    app.add_url_rule("/b", "y", subdomain="beta")

    output = routes(app, "-s", "domain")

    assert "Subdomain" in output.splitlines()[0]
    assert [name for name in column(output, 0) if name] == ["z", "y"]
    assert "alpha" in output


def test_routes_with_hosts():
    app = Erlen("site", host_matching=True, static_folder=None)
    app.add_url_rule("/a", "z", host="a.test")

    output = routes(app)

    assert "Host" in output.splitlines()[0]
    assert "a.test" in output


def test_no_routes():
    assert routes(Erlen("site", static_folder=None)).strip() == (
        "No routes were registered."
    )


def test_unknown_order_of_routes(routed):
    result = CliRunner().invoke(group_of(routed), ["routes", "-s", "nonsense"])

    assert result.exit_code == 2


# --- run


def options_of(command):
    return {
        option
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }


def test_options_of_run():
    assert options_of(run_command) >= {
        "-h",
        "--host",
        "-p",
        "--port",
        "--debug",
        "--no-debug",
        "--cert",
        "--key",
        "--reload",
        "--no-reload",
        "--debugger",
        "--no-debugger",
        "--with-threads",
        "--without-threads",
        "--extra-files",
        "--exclude-patterns",
    }


def test_options_of_the_others():
    assert options_of(routes_command) >= {"-s", "--sort", "--all-methods"}
    assert options_of(main_group) >= {
        "-e",
        "--env-file",
        "-A",
        "--app",
        "--debug",
        "--no-debug",
        "--version",
    }
    assert (run_command.name, shell_command.name) == ("run", "shell")


@pytest.fixture
def served(monkeypatch):
    """Catch what would be given to Werkzeug's server, wherever it was imported to."""
    calls = []
    real = werkzeug.serving.run_simple

    def run_simple(host, port, app, **options):
        if isinstance(app, DebuggedApplication):
            options["use_debugger"] = True
        calls.append({"host": host, "port": port, "app": app, **options})

    for module in list(sys.modules.values()):
        if vars(module).get("run_simple") is real:
            monkeypatch.setattr(module, "run_simple", run_simple)
    return calls


def run(app, *arguments, **options):
    result = CliRunner().invoke(group_of(app), ["run", *arguments], **options)
    assert result.exit_code == 0, result.output
    return result


def pretend_to_have_cryptography(monkeypatch):
    module = types.ModuleType("cryptography")
    module.__spec__ = importlib.machinery.ModuleSpec("cryptography", None)
    monkeypatch.setitem(sys.modules, "cryptography", module)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            [],
            {
                "host": "127.0.0.1",
                "port": 5000,
                "threaded": True,
                "use_reloader": False,
                "use_debugger": False,
                "ssl_context": None,
            },
        ),
        (["-h", "0.0.0.0", "-p", "81"], {"host": "0.0.0.0", "port": 81}),
        (["--port", "82"], {"port": 82}),
        (["--without-threads"], {"threaded": False}),
        (["--reload"], {"use_reloader": True, "use_debugger": False}),
        (["--debugger"], {"use_reloader": False, "use_debugger": True}),
        (["--debug"], {"use_reloader": True, "use_debugger": True}),
        (["--debug", "--no-reload"], {"use_reloader": False, "use_debugger": True}),
        (["--debug", "--no-debugger"], {"use_reloader": True, "use_debugger": False}),
        (["--extra-files", "a:b"], {"extra_files": ["a", "b"]}),
        (["--exclude-patterns", "c:d"], {"exclude_patterns": ["c", "d"]}),
        (["--cert", "adhoc"], {"ssl_context": "adhoc"}),
    ],
)
def test_run(served, app, monkeypatch, arguments, expected):
    pretend_to_have_cryptography(monkeypatch)

    run(app, *arguments)

    (call,) = served
    assert {key: call[key] for key in expected} == expected


def test_run_takes_defaults_from_the_environment(served, app):
    run(app, env={"FLASK_RUN_PORT": "83", "FLASK_RUN_HOST": "::1"})

    assert (served[0]["host"], served[0]["port"]) == ("::1", 83)


@pytest.mark.usefixtures("served")
def test_run_tells_what_it_serves(runner, module):
    module(site_g=MAKE + "app = Erlen('g')")

    result = runner.invoke(main_group, ["-A", "site_g", "run", "--debug"])

    assert "Serving" in result.output
    assert "'site_g'" in result.output
    assert "Debug mode: on" in result.output


def test_certificate_and_key(served, app, tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.touch()
    key.touch()

    run(app, "--cert", str(cert), "--key", str(key))

    assert served[0]["ssl_context"] == (str(cert), str(key))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--cert", "cert.pem"],
        ["--key", "key.pem"],
        ["--cert", "adhoc", "--key", "key.pem"],
        ["--cert", "absent.pem", "--key", "key.pem"],
    ],
)
def test_certificate_and_key_belong_together(served, app, monkeypatch, arguments):
    for name in ("cert.pem", "key.pem"):
        open(name, "w").close()
    pretend_to_have_cryptography(monkeypatch)

    result = CliRunner().invoke(group_of(app), ["run", *arguments])

    assert result.exit_code == 2
    assert served == []


def test_certificate_may_be_an_imported_context(served, app, module):
    module(my_certs="import ssl\ncontext = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)")
    sys.path.insert(0, os.getcwd())

    run(app, "--cert", "my_certs.context")

    assert isinstance(served[0]["ssl_context"], ssl.SSLContext)


def test_import_error_is_shown_and_ends_run(runner, module, served):
    module(broken_app="import a_module_that_is_not_there")

    result = runner.invoke(main_group, ["--app", "broken_app", "run", "--no-debug"])

    assert result.exit_code != 0
    assert served == []
    assert "a_module_that_is_not_there" in result.output + repr(result.exception)


def test_import_error_is_served_to_the_browser_once_the_reloader_runs(
    runner, module, served, monkeypatch
):
    module(broken_later="import a_module_that_is_not_there")
    monkeypatch.setenv("WERKZEUG_RUN_MAIN", "true")

    arguments = ["--app", "broken_later", "run", "--reload", "--no-debugger"]
    result = runner.invoke(main_group, arguments)

    assert result.exit_code == 0, result.output
    with pytest.raises((NoAppException, ImportError)) as caught:
        list(served[0]["app"]({}, lambda *args: None))
    assert "a_module_that_is_not_there" in causes(caught.value)


# --- app.run


@pytest.mark.parametrize(
    ("config", "arguments", "expected"),
    [
        ({}, {}, {"host": "127.0.0.1", "port": 5000, "threaded": True}),
        (
            {"SERVER_NAME": "shop.test:8000"},
            {},
            {"host": "shop.test", "port": 8000},
        ),
        ({"SERVER_NAME": "shop.test"}, {}, {"host": "shop.test", "port": 5000}),
        (
            {"SERVER_NAME": "shop.test:8000"},
            {"host": "0.0.0.0", "port": 1},
            {"host": "0.0.0.0", "port": 1},
        ),
        ({}, {"debug": True}, {"use_reloader": True, "use_debugger": True}),
        ({}, {"debug": True, "use_reloader": False}, {"use_reloader": False}),
        ({}, {"threaded": False}, {"threaded": False}),
        ({}, {"ssl_context": "adhoc"}, {"ssl_context": "adhoc"}),
    ],
)
def test_app_run(served, app, config, arguments, expected):
    app.config.update(config)

    app.run(load_dotenv=False, **arguments)

    (call,) = served
    assert call["app"] is app or app.debug  # the debugger may stand before it
    assert {key: call[key] for key in expected} == expected
    assert app.debug is ("debug" in arguments)


def test_app_run_does_nothing_under_the_command_line(served, app, monkeypatch):
    monkeypatch.setenv("FLASK_RUN_FROM_CLI", "true")
    monkeypatch.setenv("ERLEN_RUN_FROM_CLI", "true")

    app.run()

    assert served == []


def test_app_run_reads_debug_and_dotenv(served, app, tmp_path):
    pytest.importorskip("dotenv")
    (tmp_path / ".env").write_text("FLASK_DEBUG=1\n")

    app.run()

    assert app.debug is True
    assert served[0]["use_debugger"] is True


def test_banner(capsys, monkeypatch):
    show_server_banner(debug=True, app_import_path="shop:app")
    output = capsys.readouterr().out
    assert "'shop:app'" in output
    assert "Debug mode: on" in output

    monkeypatch.setenv("WERKZEUG_RUN_MAIN", "true")
    show_server_banner(debug=True, app_import_path="shop:app")
    assert capsys.readouterr().out == ""


# --- shell


def test_shell_context(app):
    app.shell_context_processor(lambda: {"a": 1, "b": 1})
    app.shell_context_processor(lambda: {"b": 2})

    with app.app_context():
        found = app.make_shell_context()

    assert found["app"] is app
    assert "g" in found
    assert (found["a"], found["b"]) == (1, 2)


def test_shell(app, monkeypatch):
    seen = {}
    app.shell_context_processor(lambda: {"answer": 42})

    def interact(banner=None, local=None, **kwargs):
        seen.update(banner=banner, local=local, context=has_app_context())

    monkeypatch.setattr("code.interact", interact)
    monkeypatch.delenv("PYTHONSTARTUP", raising=False)

    result = CliRunner().invoke(group_of(app), ["shell"])

    assert result.exit_code == 0, result.output
    assert app.import_name in seen["banner"]
    assert seen["local"]["answer"] == 42
    assert seen["local"]["app"] is app
    assert seen["context"] is True


def test_shell_runs_the_start_up_file(app, monkeypatch, tmp_path):
    seen = {}
    (tmp_path / "startup.py").write_text("from_startup = 1\n")
    monkeypatch.setenv("PYTHONSTARTUP", str(tmp_path / "startup.py"))
    monkeypatch.setattr(
        "code.interact", lambda banner=None, local=None, **kw: seen.update(local)
    )

    CliRunner().invoke(group_of(app), ["shell"])

    assert seen["from_startup"] == 1


# --- environment


@pytest.mark.parametrize(
    ("text", "flag"),
    [
        ("", False),
        ("0", False),
        ("false", False),
        ("False", False),
        ("no", False),
        ("NO", False),
        ("1", True),
        ("true", True),
        ("yes", True),
        ("anything", True),
    ],
)
def test_flags(monkeypatch, text, flag):
    monkeypatch.setenv("FLASK_DEBUG", text)
    monkeypatch.setenv("FLASK_SKIP_DOTENV", text)

    assert get_debug_flag() is flag
    assert get_load_dotenv() is not flag


@pytest.mark.parametrize("default", [True, False])
def test_dotenv_is_loaded_unless_told_otherwise(default):
    assert get_debug_flag() is False
    assert get_load_dotenv(default) is default


@pytest.fixture
def dotenv(tmp_path, monkeypatch):
    pytest.importorskip("dotenv")
    for name in ("A_SET", "A_FILE", "A_ENV", "A_FLASKENV"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("A_SET", "environment")
    lines = {
        "given.env": ["A_SET", "A_FILE"],
        ".env": ["A_SET", "A_FILE", "A_ENV"],
        ".flaskenv": ["A_SET", "A_FILE", "A_ENV", "A_FLASKENV"],
    }
    for file, names in lines.items():
        text = "\n".join(f"{name}={file}" for name in names)
        (tmp_path / file).write_text(text)
    return tmp_path


def found_in_environment():
    return [os.environ.get(n) for n in ("A_SET", "A_FILE", "A_ENV", "A_FLASKENV")]


def test_environment_beats_file_beats_env_beats_flaskenv(dotenv):
    assert load_dotenv("given.env") is True

    assert found_in_environment() == ["environment", "given.env", ".env", ".flaskenv"]


@pytest.mark.usefixtures("dotenv")
def test_dotenv_without_a_file():
    assert load_dotenv() is True

    assert found_in_environment() == ["environment", ".env", ".env", ".flaskenv"]


@pytest.mark.usefixtures("dotenv")
def test_dotenv_without_defaults():
    assert load_dotenv("given.env", load_defaults=False) is True

    assert found_in_environment() == ["environment", "given.env", None, None]


def test_dotenv_finds_files_in_folders_above(dotenv, monkeypatch):
    (dotenv / "sub" / "deep").mkdir(parents=True)
    monkeypatch.chdir(dotenv / "sub" / "deep")

    load_dotenv()

    assert found_in_environment()[2] == ".env"


def test_dotenv_without_files():
    pytest.importorskip("dotenv")

    assert load_dotenv("absent.env") is False


def test_dotenv_without_the_package(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "dotenv", None)
    assert load_dotenv() is False
    assert capsys.readouterr().err == ""

    (tmp_path / ".env").write_text("X=1")
    assert load_dotenv() is False
    assert "python-dotenv" in capsys.readouterr().err


def echo_group(app):
    app.cli.command("env")(
        lambda: click.echo("|".join(map(str, found_in_environment())))
    )
    return group_of(app)


@pytest.mark.usefixtures("dotenv")
@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        ([], "environment|.env|.env|.flaskenv"),
        (["-e", "given.env"], "environment|given.env|.env|.flaskenv"),
        (["--env-file", "given.env"], "environment|given.env|.env|.flaskenv"),
    ],
)
def test_command_line_loads_dotenv(runner, app, arguments, output):
    result = runner.invoke(echo_group(app), [*arguments, "env"])

    assert result.output == f"{output}\n"


@pytest.mark.usefixtures("dotenv")
def test_dotenv_can_be_skipped(runner, app, monkeypatch):
    monkeypatch.setenv("FLASK_SKIP_DOTENV", "1")

    assert runner.invoke(echo_group(app), ["env"]).output == (
        "environment|None|None|None\n"
    )


def test_env_file_must_exist(runner, app):
    pytest.importorskip("dotenv")

    assert runner.invoke(group_of(app), ["-e", "absent.env", "routes"]).exit_code == 2


def test_application_may_be_named_in_dotenv(runner, module, tmp_path):
    pytest.importorskip("dotenv")
    module(site_f=MAKE + "app = Erlen('f')\napp.get('/from-f')(id)")
    (tmp_path / ".flaskenv").write_text("FLASK_APP=site_f\n")

    assert "/from-f" in runner.invoke(main_group, ["routes"]).output


# --- completion


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(app, shell):
    completion = get_completion_class(shell)(
        group_of(app), {}, "prog", "_PROG_COMPLETE"
    )

    found = {item.value for item in completion.get_completions([], "r")}

    assert found == {"run", "routes"}
