from __future__ import annotations

import importlib
import logging
import sys
import types

import pytest
import sqlalchemy as sa
from sqlalchemy import orm

import erlen
from erlen_db.migrate import _legacy
from erlen_db.migrate import upgrade


def test_a_folder_of_flask_migrate_runs_as_it_is(project):
    folder = project.legacy()
    project.add_user()

    printed = project("migrate", "-m", "first")
    assert "+ table user" in printed
    assert (folder / "HEAD").is_file()
    project("upgrade")
    assert project.tables() == ["alembic_version", "user"]
    assert "Nothing to write" in project("migrate")
    assert "No problems" in project("check")
    assert "(head)" in project("current")
    assert "CREATE TABLE user" in project("upgrade", "--sql")
    project("downgrade")
    assert project.tables() == ["alembic_version"]


@pytest.fixture
def _binds(config):
    config["SQLALCHEMY_BINDS"] = {"users": "sqlite:///users.db"}


@pytest.mark.usefixtures("_binds")
def test_a_folder_for_several_databases_runs_as_it_is(project):
    project.legacy("multi")
    project.add_user(__bind_key__="users")
    type(
        "Post",
        (project.db.Model,),
        {"id": orm.mapped_column(sa.Integer, primary_key=True)},
    )

    project("migrate", "-m", "first")
    project("upgrade")
    assert project.tables() == ["alembic_version", "post"]
    assert project.tables("users") == ["alembic_version", "user"]
    assert "Nothing to write" in project("migrate")
    assert "No problems" in project("check")
    project("upgrade", "--sql")
    assert "CREATE TABLE user" in (project.path / "users.sql").read_text()
    project("downgrade")
    assert project.tables("users") == ["alembic_version"]


def test_flask_is_erlen_while_commands_run_and_no_longer(monkeypatch):
    real = types.ModuleType("flask")
    part = types.ModuleType("flask.globals")
    monkeypatch.setitem(sys.modules, "flask", real)
    monkeypatch.setitem(sys.modules, "flask.globals", part)

    with _legacy.stand_in():
        flask = importlib.import_module("flask")
        assert flask.current_app is erlen.current_app
        assert flask.Flask is erlen.Erlen
        assert importlib.import_module("flask.globals") is erlen.globals
        with pytest.raises(AttributeError, match="Erlen stands in"):
            flask.nothing  # noqa: B018
        assert not hasattr(flask, "__wrapped__")
    assert sys.modules["flask"] is real
    assert sys.modules["flask.globals"] is part
    assert "flask.cli" not in sys.modules


def test_flask_is_unknown_again_where_it_is_not_installed(monkeypatch):
    monkeypatch.delitem(sys.modules, "flask", raising=False)

    with pytest.raises(ZeroDivisionError), _legacy.stand_in():
        raise ZeroDivisionError
    assert "flask" not in sys.modules


def test_logging_is_as_it_was_after_an_application_migrates_itself(project):
    project.legacy()
    project.write("a1", None)
    root, logger = logging.getLogger(), logging.getLogger("acme.shop")
    before = [*root.handlers], root.level

    with project.app.app_context():
        upgrade()
    assert ([*root.handlers], root.level) == before
    assert not logger.disabled
