"""The names of the environment: `ERLEN_*` first, `FLASK_*` as a fallback."""

from __future__ import annotations

import importlib.metadata
import os

import click
import pytest
from click.testing import CliRunner

import erlen
from erlen import Config
from erlen import Erlen
from erlen import current_app
from erlen.cli import ErlenGroup
from erlen.cli import cli as main_group
from erlen.helpers import get_debug_flag
from erlen.helpers import get_load_dotenv

VARIABLES = ("APP", "DEBUG", "SKIP_DOTENV", "RUN_PORT", "RUN_HOST", "RUN_FROM_CLI")

SITE = "from erlen import Erlen\napp = Erlen('{0}')\napp.get('/{0}')(id)\n"


@pytest.fixture(autouse=True)
def _environment(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for prefix in ("ERLEN", "FLASK"):
        for name in VARIABLES:
            monkeypatch.setenv(f"{prefix}_{name}", "")
            monkeypatch.delenv(f"{prefix}_{name}")


def set_both(monkeypatch, name, erlen_value, flask_value):
    for prefix, value in (("ERLEN", erlen_value), ("FLASK", flask_value)):
        if value is not None:
            monkeypatch.setenv(f"{prefix}_{name}", value)


@pytest.mark.parametrize(
    ("own", "old", "flag"),
    [
        (None, None, False),
        ("1", None, True),
        (None, "1", True),
        ("1", "0", True),
        ("0", "1", False),
    ],
)
def test_flags(monkeypatch, own, old, flag):
    set_both(monkeypatch, "DEBUG", own, old)
    set_both(monkeypatch, "SKIP_DOTENV", own, old)

    assert get_debug_flag() is flag
    assert get_load_dotenv() is not flag
    assert Erlen("site").debug is flag


@pytest.mark.parametrize(
    ("own", "old", "found"),
    [("own", None, "own"), (None, "old", "old"), ("own", "old", "own")],
)
def test_application(monkeypatch, tmp_path, own, old, found):
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("own", "old"):
        (tmp_path / f"env_site_{name}.py").write_text(SITE.format(name))
    set_both(
        monkeypatch,
        "APP",
        own and f"env_site_{own}",
        old and f"env_site_{old}",
    )

    result = CliRunner().invoke(main_group, ["routes"])

    assert f"/{found}" in result.output


@pytest.mark.parametrize(
    ("own", "old", "port"), [("81", None, 81), (None, "82", 82), ("81", "82", 81)]
)
def test_options_of_commands(monkeypatch, own, old, port):
    served = []
    monkeypatch.setattr(
        "erlen._devserver.run_simple",
        lambda host, port, app, **options: served.append(port),
    )
    set_both(monkeypatch, "RUN_PORT", own, old)

    result = CliRunner().invoke(ErlenGroup(create_app=lambda: Erlen("site")), ["run"])

    assert result.exit_code == 0, result.output
    assert served == [port]


@pytest.mark.parametrize(
    ("own", "old", "debug"), [("1", "0", True), ("0", "1", False), (None, "1", True)]
)
def test_debug_of_the_command_line(monkeypatch, own, old, debug):
    set_both(monkeypatch, "DEBUG", own, old)
    app = Erlen("site")
    app.cli.command("tell")(lambda: click.echo(current_app.debug))

    result = CliRunner().invoke(ErlenGroup(create_app=lambda: app), ["tell"])

    assert result.output == f"{debug}\n"


@pytest.mark.parametrize(
    ("own", "old", "value"), [("1", None, 1), (None, "2", 2), ("1", "2", 1)]
)
def test_prefixed_settings(monkeypatch, own, old, value):
    set_both(monkeypatch, "OWN_SETTING", own, old)
    config = Config("/")

    config.from_prefixed_env()

    assert config["OWN_SETTING"] == value


def test_prefixed_settings_nest_under_both_names(monkeypatch):
    monkeypatch.setenv("FLASK_NEST__a", "1")
    monkeypatch.setenv("FLASK_NEST__b", "1")
    monkeypatch.setenv("ERLEN_NEST__b", "2")
    config = Config("/")

    config.from_prefixed_env()

    assert config["NEST"] == {"a": 1, "b": 2}


def test_prefix_of_one_s_own_has_no_fallback(monkeypatch):
    monkeypatch.setenv("FLASK_ONLY_FLASK", "1")
    monkeypatch.setenv("ERLEN_ONLY_ERLEN", "1")
    config = Config("/")

    config.from_prefixed_env("SITE")

    assert config == {}


@pytest.mark.parametrize("group", ["erlen.commands", "flask.commands"])
def test_commands_of_plugins(monkeypatch, group):
    @click.command()
    def from_plugin():
        click.echo("from a plugin")

    class Point:
        name = "plugged"

        @staticmethod
        def load():
            return from_plugin

    monkeypatch.setattr(
        importlib.metadata,
        "entry_points",
        lambda **kwargs: [Point] if kwargs.get("group") == group else [],
    )

    result = CliRunner().invoke(ErlenGroup(), ["plugged"])

    assert result.output == "from a plugin\n"


def test_version_names_erlen():
    output = CliRunner().invoke(main_group, ["--version"]).output

    assert f"Erlen {erlen.__version__}" in output


def test_command_is_installed():
    scripts = importlib.metadata.entry_points(group="console_scripts", name="erlen")

    assert {script.value for script in scripts} == {"erlen.cli:main"}
    assert os.path.basename(erlen.cli.__file__) == "cli.py"
