"""Finding the application, and groups of commands."""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType

import click
import pytest
from click.testing import CliRunner

import erlen
from erlen import Erlen
from erlen._commands import AppGroup
from erlen._commands import NoAppException
from erlen._commands import ScriptInfo
from erlen._commands import UserCodeError
from erlen._commands import find_app_by_string
from erlen._commands import find_best_app
from erlen._commands import locate_app
from erlen._commands import pass_script_info
from erlen._commands import prepare_import
from erlen._commands import with_appcontext

A = Erlen("a", root_path="/nowhere")
B = Erlen("b", root_path="/nowhere")


def make_module(**names):
    module = ModuleType("site")
    vars(module).update(names)
    return module


def fail(*args):
    return 1 // 0


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Work in an empty folder; forget its modules and the path to it after."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("ERLEN_DEBUG", "FLASK_DEBUG", "ERLEN_SKIP_DOTENV"):
        monkeypatch.delenv(name, raising=False)
    importlib.invalidate_caches()
    yield tmp_path
    for name, module in [*sys.modules.items()]:
        if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def write(place):
    """Write a file below the folder, making the folders on its way."""

    def write(path, text="from erlen import Erlen\napp = Erlen(__name__)\n"):
        file = place / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        importlib.invalidate_caches()
        return file

    return write


# In a module


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"app": A, "application": B}, A),
        ({"application": A, "other": B}, A),
        ({"app": "no app", "other": A}, A),
        ({"other": A}, A),
        ({"other": A, "create_app": lambda: B}, A),
        ({"create_app": lambda: A, "make_app": lambda: B}, A),
        ({"create_app": lambda: "no app", "make_app": lambda: B}, B),
        ({"make_app": lambda name="b": B}, B),
        ({"app": A, "current_app": erlen.current_app}, A),
    ],
)
def test_find_best_app(names, expected):
    assert find_best_app(make_module(**names)) is expected


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({}, "Failed to find Erlen application or factory in module 'site'"),
        ({"app": "no app"}, "Failed to find"),
        ({"create_app": "no factory"}, "Failed to find"),
        ({"current_app": erlen.current_app}, "Failed to find"),
        ({"a": A, "b": B}, "multiple .* Use 'site:name'"),
        (
            {"create_app": lambda name: A},
            r"'site:create_app\(args\)'.*argument: 'name'",
        ),
    ],
)
def test_find_best_app_refuses(names, message):
    with pytest.raises(NoAppException, match=message):
        find_best_app(make_module(**names))


def make(*args, **kwargs):
    A.extensions["made with"] = (args, kwargs)
    return A


@pytest.mark.parametrize(
    ("text", "made_with"),
    [
        ("app", None),
        (" app ", None),
        ("app()", None),
        ("make", ((), {})),
        ("make()", ((), {})),
        ("make('a', -1, b=[1, {'c': (2,)}])", (("a", -1), {"b": [1, {"c": (2,)}]})),
    ],
)
def test_find_app_by_string(text, made_with):
    A.extensions.clear()
    assert find_app_by_string(make_module(app=A, make=make), text) is A
    assert A.extensions.get("made with") == made_with


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Failed to parse '' as an attribute name or function call"),
        ("app.a", "Failed to parse"),
        ("make(", "Failed to parse"),
        ("make\0", "Failed to parse"),
        ("lambda: make()", "Failed to parse"),
        ("make()()", "must be a simple name"),
        ("site.make()", "must be a simple name"),
        ("make(app)", "literal values"),
        ("make(*app)", "literal values"),
        ("make(**app)", "literal values"),
        ("make(1 + 1)", "literal values"),
        ("make(__import__('os'))", "literal values"),
        ("nothing", "Failed to find attribute 'nothing' in 'site'"),
        ("none", "not obtained from 'site:none': .* 'NoneType'"),
        ("strict(1)", "could not be called .* argument"),
        ("strict(1, a=1, b=2)", "could not be called .* argument"),
    ],
)
def test_find_app_by_string_refuses(text, message):
    module = make_module(app=A, make=make, none=lambda: None, strict=lambda *, a: A)
    with pytest.raises(NoAppException, match=message):
        find_app_by_string(module, text)


def test_factory_that_raises_is_not_called_wrong():
    def create_app():
        fail("a", "b", c=1)

    for find in (
        find_best_app,
        lambda module: find_app_by_string(module, "create_app"),
    ):
        with pytest.raises(UserCodeError, match="factory 'site:create_app'") as info:
            find(make_module(create_app=create_app))
        assert isinstance(info.value.__cause__, TypeError)


# From a path


@pytest.mark.parametrize(
    ("path", "folder", "name"),
    [
        ("site.py", "", "site"),
        ("site", "", "site"),
        ("shop/web.py", "", "shop.web"),
        ("shop/admin/__init__.py", "", "shop.admin"),
        ("shop/admin", "", "shop.admin"),
        ("shop.web", "", "shop.web"),
        ("src/web.py", "src", "web"),
    ],
)
def test_prepare_import(place, write, path, folder, name):
    write("shop/__init__.py", "")
    write("shop/admin/__init__.py", "")
    before = sys.path[:]
    for _ in range(2):  # the second time changes nothing
        assert prepare_import(path) == name
        assert sys.path == [os.path.realpath(place / folder), *before]


def test_locate_app(write):
    write("located/__init__.py", "")
    write("located/web.py")
    prepare_import("located")
    app = locate_app("located.web", None)
    assert app.name == "located.web"
    assert locate_app("located.web", "app") is app


@pytest.mark.parametrize("name", ["nowhere", "nowhere.web", "located.nowhere"])
def test_locate_app_without_module(place, write, name):
    write("located/__init__.py", "")
    prepare_import("located")
    assert locate_app(name, None, raise_if_not_found=False) is None
    with pytest.raises(NoAppException, match=f"Could not import '{name}'") as info:
        locate_app(name, None)
    assert os.path.realpath(place) in info.value.message


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("import nowhere", "ModuleNotFoundError"),
        ("from erlen import nowhere", "ImportError"),
        ("x = (", "SyntaxError"),
        ("1 // 0", "ZeroDivisionError"),
    ],
)
def test_locate_app_names_the_module_that_raises(write, text, error, required):
    write("broken.py", text)
    prepare_import("broken.py")
    with pytest.raises(UserCodeError, match=f"import 'broken', .* {error}") as info:
        locate_app("broken", None, raise_if_not_found=required)
    assert type(info.value.__cause__).__name__ == error


def test_modules_may_end_the_process(write):
    write("broken.py", "import sys; sys.exit(7)")
    prepare_import("broken.py")
    with pytest.raises(SystemExit):
        locate_app("broken", None)


def test_modules_may_raise_errors_of_the_command_line(write):
    write("broken.py", "import click; raise click.UsageError('mine')")
    prepare_import("broken.py")
    with pytest.raises(click.UsageError, match="mine") as info:
        locate_app("broken", None)
    assert type(info.value) is click.UsageError


# Errors of the user's own code


def show(write, text, name="broken"):
    """Return what is printed when a module with this text is located."""
    write(f"{name}.py", text)
    info = ScriptInfo(name)

    @click.command()
    def command():
        info.load_app()

    result = CliRunner().invoke(command)
    return result.exit_code, result.output.splitlines()


def test_error_of_the_user_comes_first(place, write):
    code, lines = show(write, "import nowhere\n")
    assert code == 1
    assert lines[0] == "Traceback (most recent call last):"
    assert (
        lines[1] == f'  File "{os.path.realpath(place)}/broken.py", line 1, in <module>'
    )
    assert lines[-2] == "ModuleNotFoundError: No module named 'nowhere'"
    assert lines[-1] == (
        "Error: Erlen tried to import 'broken', which raised ModuleNotFoundError"
        " (see above)."
    )


@pytest.mark.parametrize(
    "text",
    [
        "import importlib\nimportlib.import_module('nowhere')\n",
        "from erlen import Erlen\nErlen(__name__, instance_path='relative')\n",
        "try:\n    import nowhere\nexcept ImportError as exc:\n    raise ValueError from exc",
        "try:\n    import nowhere\nexcept ImportError:\n    raise ValueError",
    ],
)
def test_tracebacks_show_the_frames_of_the_user_only(place, write, text):
    _, lines = show(write, text)
    files = [line.split('"')[1] for line in lines if line.startswith("  File ")]
    assert set(files) == {f"{os.path.realpath(place)}/broken.py"}
    assert len(files) == (2 if "raise" in text else 1)


def test_error_without_cause_is_one_line():
    assert UserCodeError("one line").exit_code == 1
    result = CliRunner().invoke(click.Command("c", callback=_raise_user_code_error))
    assert (result.exit_code, result.output) == (1, "Error: one line\n")


def _raise_user_code_error():
    raise UserCodeError("one line")


# The script info


def test_script_info_loads_once(write, monkeypatch):
    calls = []

    def create_app():
        calls.append(1)
        return Erlen("made", root_path="/nowhere")

    info = ScriptInfo(create_app=create_app)
    assert info.load_app() is info.load_app()
    assert calls == [1]
    assert info.data == {}


@pytest.mark.parametrize(("flag", "expected"), [(True, False), (False, True)])
def test_script_info_sets_the_debug_flag(flag, expected, monkeypatch):
    monkeypatch.setenv("ERLEN_DEBUG", "0")
    app = Erlen("made", root_path="/nowhere")
    app.debug = True
    info = ScriptInfo(create_app=lambda: app, set_debug_flag=flag)
    assert info.load_app().debug is expected


@pytest.mark.parametrize(("skip", "expected"), [("1", False), ("0", True)])
def test_script_info_skips_dotenv(skip, expected, monkeypatch):
    assert ScriptInfo().load_dotenv_defaults is True
    assert ScriptInfo(load_dotenv_defaults=False).load_dotenv_defaults is False
    monkeypatch.setenv("ERLEN_SKIP_DOTENV", skip)
    assert ScriptInfo().load_dotenv_defaults is expected


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("info.py", "info"),
        ("info", "info"),
        ("info:app", "info"),
        ("info:create_app('made')", "made"),
        ("info:create_app('c:/made')", "c:/made"),
        ("{place}/info.py:app", "info"),
    ],
)
def test_script_info_reads_import_paths(place, write, path, name):
    text = "from erlen import Erlen\napp = Erlen(__name__)\n"
    write("info.py", f"{text}create_app = lambda name: Erlen(name, root_path='/')\n")
    info = ScriptInfo(path.replace("{place}", str(place)))
    assert info.load_app().name == name


def test_script_info_leaves_drive_letters_alone(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "erlen._commands.prepare_import", lambda path: seen.append(path)
    )
    monkeypatch.setattr("erlen._commands.locate_app", lambda module, name: A)
    ScriptInfo("c:\\site\\info.py").load_app()
    ScriptInfo("c:\\site\\info.py:app").load_app()
    assert seen == ["c:\\site\\info.py"] * 2


@pytest.mark.parametrize("files", [["wsgi.py", "app.py"], ["app.py"]])
def test_script_info_looks_for_modules(write, files):
    for file in files:
        write(file)
    assert ScriptInfo().load_app().name == files[0].removesuffix(".py")


def test_script_info_says_where_it_looked(place):
    with pytest.raises(NoAppException, match="Could not locate an Erlen") as info:
        ScriptInfo().load_app()
    for searched in (
        "--app",
        "ERLEN_APP",
        "FLASK_APP",
        "wsgi.py",
        "app.py",
        str(place),
    ):
        assert searched in info.value.message


@pytest.mark.parametrize(
    ("create_app", "error", "message"),
    [
        (lambda: None, NoAppException, "returned None"),
        (fail, UserCodeError, "factory 'fail', which raised ZeroDivisionError"),
    ],
)
def test_script_info_refuses_factories(create_app, error, message):
    with pytest.raises(error, match=message):
        ScriptInfo(create_app=create_app).load_app()


# Commands


def test_pass_script_info():
    @click.command()
    @pass_script_info
    def command(info):
        click.echo(type(info).__name__)

    assert CliRunner().invoke(command).output == "ScriptInfo\n"


def test_with_appcontext_pushes_one_context(app):
    torn_down = []
    app.teardown_appcontext(torn_down.append)
    seen = []

    @click.command()
    @click.argument("word")
    @with_appcontext
    @with_appcontext
    @click.pass_context
    def command(ctx, word):
        seen.append((erlen.current_app.name, word))

    assert command.callback.__name__ == "command"
    info = ScriptInfo(create_app=lambda: app)
    assert CliRunner().invoke(command, ["a"], obj=info).exit_code == 0
    assert seen == [(app.name, "a")]
    assert torn_down == [None]
    assert not erlen.has_app_context()
    with app.app_context():
        assert CliRunner().invoke(command, ["b"], obj=None).exit_code == 0
    assert len(torn_down) == 2


def test_app_group_wraps_its_commands(app):
    def report():
        click.echo(erlen.has_app_context())

    app.cli.command("wrapped")(report)
    app.cli.command("bare", with_appcontext=False)(report)

    @app.cli.command
    def direct():
        report()

    @app.cli.group()
    def group():
        pass

    assert isinstance(group, AppGroup)
    group.command("inner")(report)
    assert isinstance(app.cli.group("other", cls=click.Group)(fail), click.Group)

    runner = app.test_cli_runner()
    outputs = {"wrapped": True, "bare": False, "direct": True, "group inner": True}
    for args, expected in outputs.items():
        assert runner.invoke(args=args.split()).output == f"{expected}\n"


def test_direct_decoration_takes_options_of_the_group(app):
    @app.cli.command
    def direct():
        """Help of it."""

    assert isinstance(direct, click.Command)
    assert app.cli.commands["direct"] is direct
    assert direct.help == "Help of it."
