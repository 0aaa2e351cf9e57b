from __future__ import annotations

import pytest

from erlen import Erlen
from erlen import extension
from erlen_db import SQLAlchemy


def problems(*, deploy=True, **settings):
    app = Erlen("acme")
    app.config.from_mapping(SECRET_KEY="a key for tests only, long enough to be one")
    app.config.from_mapping(settings)
    SQLAlchemy(app)
    return [
        it
        for it in extension.run_checks(app, deploy=deploy)
        if it.id.startswith("sqlalchemy.")
    ]


@pytest.fixture
def instance(tmp_path, monkeypatch):
    """Let instance folders be made in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_defaults_are_well(tmp_path):
    assert problems(SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/a.db") == []


@pytest.mark.parametrize(
    ("key", "value", "effect"),
    [
        ("SQLALCHEMY_SQLITE_FOREIGN_KEYS", False, "does not check foreign keys"),
        ("SQLALCHEMY_SQLITE_WAL", False, "readers wait"),
        ("SQLALCHEMY_SQLITE_IMMEDIATE", False, "in each other's way"),
        ("SQLALCHEMY_ECHO", True, "each statement is logged"),
        ("SQLALCHEMY_RECORD_QUERIES", True, "keeps its queries"),
        ("SQLALCHEMY_WATCH", True, "counts its queries"),
        ("SQLALCHEMY_CONNECT_TIMEOUT", None, "for ever"),
        ("SQLALCHEMY_STATEMENT_TIMEOUT", None, "for ever"),
        ("SQLALCHEMY_POOL_TIMEOUT", None, "for ever"),
    ],
)
def test_a_setting_that_takes_safety_away(tmp_path, key, value, effect):
    settings = {"SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path}/a.db", key: value}
    (problem,) = problems(**settings)
    assert problem.level == "warning"
    assert problem.what.startswith(key)
    assert effect in problem.what
    assert problem.cure.startswith(key)


def test_a_database_in_memory_is_no_place_for_data():
    (problem,) = problems(SQLALCHEMY_BINDS={"a": "sqlite://"})
    assert problem.level == "error"
    assert problem.what.startswith("SQLALCHEMY_BINDS['a'] is a database in memory")
    assert problems(deploy=False, SQLALCHEMY_DATABASE_URI="sqlite://") == []


@pytest.mark.parametrize(
    ("url", "levels"),
    [
        ("postgresql+psycopg://app:secret@db.example/app", []),
        ("postgresql+psycopg://postgres:secret@db.example/app", ["warning"]),
        ("postgresql+psycopg://app@db.example/app", ["info"]),
        ("postgresql+psycopg:///app", []),
        ("mysql+pymysql://root@localhost/app", ["warning"]),
        ("mysql+pymysql://app:secret@db.example/app", []),
    ],
)
def test_who_asks_a_server(url, levels):
    pytest.importorskip("psycopg" if "psycopg" in url else "pymysql")
    found = problems(SQLALCHEMY_DATABASE_URI=url)
    assert [it.level for it in found] == levels
    assert "secret" not in repr(found)


def test_health_is_an_answer(app, db):
    assert extension.check_health(app)["database"].ok
