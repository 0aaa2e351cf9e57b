from __future__ import annotations

import shutil

import pytest

from erlen.extension import Unavailable
from erlen_db.migrate import cli

COMMANDS = {
    "branches": "--directory --verbose",
    "check": "--directory --since",
    "current": "--directory --verbose",
    "downgrade": "--directory --sql --tag --x-arg --lock-timeout",
    "clear-sessions": "",
    "edit": "--directory",
    "heads": "--directory --verbose --resolve-dependencies",
    "history": "--directory --rev-range --verbose --indicate-current",
    "init": "--directory --multidb --template --package",
    "list-templates": "",
    "merge": "--directory --message --branch-label --rev-id",
    "migrate": "--directory --message --sql --head --splice --branch-label"
    " --version-path --rev-id --allow-drop --x-arg",
    "revision": "--directory --message --autogenerate --sql --head --splice"
    " --branch-label --version-path --rev-id --allow-drop --x-arg",
    "show": "--directory",
    "stamp": "--directory --sql --tag --purge --lock-timeout",
    "upgrade": "--directory --sql --tag --x-arg --lock-timeout",
}
SHORT = {"-d", "-m", "-t", "-x", "-v", "-r", "-i"}


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_have_the_options_of_the_peers(name, project):
    params = cli.db.commands[name].params
    options = [opt for it in params for opt in it.opts if opt.startswith("--")]

    assert sorted(options) == sorted(COMMANDS[name].split())
    short = [opt for it in params for opt in it.opts if len(opt) == 2]
    assert {*short} <= SHORT
    assert "--help" in project(name, "--help")


def test_there_are_no_other_commands():
    assert sorted(cli.db.commands) == sorted(COMMANDS)


def test_all_names_are_there():
    commands = {it.replace("-", "_") for it in COMMANDS}
    assert {*cli.__all__} == {*commands, "db", "make_group"}


def test_the_group_has_the_options_of_all_and_examples(project):
    printed = project("--help")
    for words in ("--directory", "--x-arg", "Examples:", "erlen db upgrade"):
        assert words in printed


def test_a_group_of_another_name_is_the_same():
    group = cli.make_group("schema")

    assert cli.make_group("db") is cli.db
    assert group.name == "schema"
    assert group.commands == cli.db.commands
    assert group.params == cli.db.params


@pytest.mark.parametrize(
    "arguments", [("upgrade", "--frob"), ("downgrade", "-x1", "-y"), ("merge",)]
)
def test_wrong_use_has_exit_code_2(project, arguments):
    assert "Usage:" in project(*arguments, code=2)


# --- errors


@pytest.mark.parametrize(
    "config",
    [{"SQLALCHEMY_DATABASE_URI": "sqlite:////nowhere-at-all/app.db?mode=ro&uri=true"}],
)
def test_a_database_that_is_away_has_no_traceback(project, monkeypatch):
    project("init")

    def refuse():
        raise Unavailable("It is away.")

    with project.app.app_context():
        monkeypatch.setattr(project.db.engine, "connect", refuse)
    printed = project("upgrade", code=1)
    assert "Error: The database failed: " in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize(
    "config",
    [
        {
            "SQLALCHEMY_DATABASE_URI": None,
            "SQLALCHEMY_BINDS": {"users": "sqlite:///users.db"},
        }
    ],
)
def test_a_project_without_a_default_database_is_told(project):
    project("init")
    project.write("a1", None)

    for command in ("upgrade", "check"):
        printed = project(command, code=1)
        assert "SQLALCHEMY_DATABASE_URI is not set" in printed
        assert "--multidb" in printed
    shutil.rmtree("migrations")
    project("init", "--multidb")
    project("revision")
    project("upgrade")
    assert "No problems" in project("check")


def test_a_statement_that_fails_is_shown_with_its_place(project):
    project("init")
    path = project.write("a1", None, 'op.execute("CREATE  NONSENSE")')

    printed = project("upgrade", code=1)
    line = path.read_text().splitlines().index('    op.execute("CREATE  NONSENSE")') + 1
    assert 'The database failed: near "NONSENSE": syntax error' in printed
    assert "It was asked: CREATE NONSENSE" in printed
    assert f"By the migration migrations/versions/a1_.py, line {line}." in printed


def test_an_error_of_a_migration_is_shown_without_ours(project):
    project("init")
    project.write("a1", None, "undefined()")

    printed = project("upgrade", code=1)
    assert printed.count("  File ") == 1
    assert "NameError: name 'undefined' is not defined" in printed
    assert "Error: The migration migrations/versions/a1_.py raised NameError" in printed


def test_an_error_of_env_py_is_shown_in_full(project):
    project("init")
    (project.path / "migrations" / "env.py").write_text("undefined()")

    with pytest.raises(NameError):
        project("upgrade")
