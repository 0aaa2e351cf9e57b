from __future__ import annotations

import logging

import pytest
import sqlalchemy as sa
from sqlalchemy import orm

from erlen_db.migrate import engine_names


def _rewrite_env(project, call):
    (project.path / "migrations" / "env.py").write_text(
        f"from erlen_db.migrate import run_migrations\n{call}\n"
    )


def test_statements_can_be_printed(project):
    project.add_user()
    project("init")
    project("migrate", "-m", "first")

    printed = project("upgrade", "--sql")
    assert "CREATE TABLE user" in printed
    assert project.tables() == []
    printed = project("downgrade", "--sql")
    assert "DROP TABLE user" in printed


def test_what_env_py_says_wins(project, options):
    project.add_user()
    project("init")
    _rewrite_env(project, "run_migrations(version_table='moves')")
    project("migrate")
    project("upgrade")

    assert project.tables() == ["moves", "user"]


@pytest.mark.parametrize("options", [{"version_table": "moves"}])
def test_what_migrate_was_given_gets_there(project):
    project("init")
    project.write("a1", None)
    project("upgrade")

    assert project.tables() == ["moves"]


def test_ones_own_function_sees_what_is_written(project):
    project.add_user()
    project("init")
    _rewrite_env(
        project,
        "def shout(context, revision, directives):\n"
        "    directives[0].message = 'SHOUTED'\n"
        "run_migrations(process_revision_directives=shout)",
    )
    project("migrate")

    assert "SHOUTED" in project.versions()[0].read_text()


def test_logging_is_set_up_if_the_file_has_it(project):
    project("init")
    project.write("a1", None)
    ini = project.path / "migrations" / "alembic.ini"
    ini.write_text(
        "[alembic]\n[loggers]\nkeys = root\n[handlers]\nkeys = console\n"
        "[formatters]\nkeys = short\n[logger_root]\nlevel = INFO\nhandlers = console\n"
        "[handler_console]\nclass = StreamHandler\nargs = ()\nformatter = short\n"
        "[formatter_short]\nformat = logged %(message)s\n"
    )
    logger = logging.getLogger("acme.other")

    assert "logged Running upgrade" in project("upgrade")
    assert not logger.disabled


# --- several databases


@pytest.fixture
def several(config, request):
    config["SQLALCHEMY_BINDS"] = {
        "users": "sqlite:///users.db",
        "read-only": "sqlite:///read-only.db",
    }
    project = request.getfixturevalue("project")
    project.add_user(__bind_key__="users")
    columns = {"id": orm.mapped_column(sa.Integer, primary_key=True)}
    type("Post", (project.db.Model,), columns)
    return project


def test_each_database_has_functions_of_its_own(several):
    several("init", "--multidb")
    several("migrate", "-m", "first")

    source = several.versions()[0].read_text()
    for name in ("upgrade_", "downgrade_users", "upgrade_read_only"):
        assert f"def {name}()" in source
    several("upgrade")
    assert several.tables() == ["alembic_version", "post"]
    assert several.tables("users") == ["alembic_version", "user"]
    assert several.tables("read-only") == ["alembic_version"]
    assert "Nothing to write" in several("migrate")
    several("downgrade")
    assert several.tables("users") == ["alembic_version"]


def test_statements_of_several_databases_go_to_several_files(several):
    several("init", "--multidb")
    several("migrate")

    printed = several("upgrade", "--sql")
    assert "Wrote users.sql, for the database 'users'." in printed
    assert "CREATE TABLE post" in (several.path / "default.sql").read_text()
    assert "CREATE TABLE user" in (several.path / "users.sql").read_text()


def test_a_database_that_is_newer_than_a_migration_is_left_alone(several):
    several("init", "--multidb")
    several("migrate")
    path = several.versions()[0]
    path.write_text(path.read_text().replace("read_only", "gone"))

    several("upgrade")
    several("downgrade")
    assert several.tables("read-only") == ["alembic_version"]


@pytest.mark.parametrize(
    "config",
    [{"SQLALCHEMY_BINDS": {"a-b": "sqlite:///1.db", "a_b": "sqlite:///2.db"}}],
)
def test_two_keys_with_one_name_are_refused(project):
    printed = project("init", "--multidb")
    printed = project("revision", code=1)
    assert "'a-b'" in printed
    assert "Change one of the keys" in printed


@pytest.mark.parametrize("config", [{"SQLALCHEMY_BINDS": {"users": "sqlite://"}}])
def test_names_of_functions_are_for_people_too(project):
    with project.app.app_context():
        assert engine_names() == {
            "": "the default database",
            "users": "the database 'users'",
        }
