"""Migrations on real servers."""

from __future__ import annotations

import os
import uuid

import pytest
import sqlalchemy as sa
from sqlalchemy import orm

from erlen_db.migrate import _guard
from erlen_db.migrate import _lock

pytestmark = pytest.mark.service

SERVERS = {
    "postgresql": os.environ.get(
        "POSTGRESQL_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/test"
    ),
    "mariadb": os.environ.get(
        "MARIADB_URL", "mysql+pymysql://root@127.0.0.1:3306/test"
    ),
}
SLEEP = {"postgresql": "SELECT pg_sleep({})", "mysql": "DO SLEEP({})"}
#: What MariaDB's sleep answers to a time limit is no error, but an expensive count is.


@pytest.fixture(params=["postgresql", "mariadb"])
def urls(request):
    """Return the URLs of two new databases."""
    server = sa.create_engine(SERVERS[request.param], isolation_level="AUTOCOMMIT")
    names = [f"erlen_{uuid.uuid4().hex[:12]}" for _ in range(2)]
    try:
        with server.connect() as connection:
            for name in names:
                connection.exec_driver_sql(f"CREATE DATABASE {name}")
    except sa.exc.OperationalError as exc:
        server.dispose()
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no {request.param}: {exc.orig}")
    yield [server.url.set(database=name) for name in names]
    with server.connect() as connection:
        for name in names:
            connection.exec_driver_sql(f"DROP DATABASE {name}")
    server.dispose()


@pytest.fixture
def config(urls):
    return {
        "SQLALCHEMY_DATABASE_URI": urls[0],
        "SQLALCHEMY_BINDS": {"users": urls[1]},
        "SQLALCHEMY_STATEMENT_TIMEOUT": 1,
    }


@pytest.fixture
def project(project):
    yield project
    with project.app.app_context():
        for engine in project.db.engines.values():
            engine.dispose()


def _grow(project, **columns):
    """Define the model anew, with more columns."""
    project.db.metadata.clear()
    return project.add_user(**columns)


@pytest.mark.filterwarnings(
    "ignore:This declarative base already:sqlalchemy.exc.SAWarning"
)
@pytest.mark.parametrize("kind", ["erlen", "single"])
def test_a_project_grows(project, kind):
    project("init") if kind == "erlen" else project.legacy()
    _grow(project, mood=orm.mapped_column(sa.Enum("good", "bad", name="mood")))
    project("migrate", "-m", "first")
    project("upgrade")
    _grow(
        project,
        mood=orm.mapped_column(sa.Enum("good", "bad", "so", name="mood")),
        age=orm.mapped_column(sa.Integer, index=True),
    )
    assert "mood" in project("check", code=1)

    assert "+ column user.age" in project("migrate", "-m", "second")
    assert "erlen_reviewed" not in project("upgrade")
    assert "Nothing to write" in project("migrate")
    for word in ("current", "history", "heads"):
        assert "(head)" in project(word)
    assert "ADD COLUMN age" in project("upgrade", "--sql")
    project("downgrade")
    project("downgrade", "base")
    assert project.tables() == ["alembic_version"]
    project("stamp", "head")
    project("stamp", "--purge", "base")
    project("upgrade")
    assert "user" in project.tables()


@pytest.mark.parametrize("kind", ["erlen", "multi"])
def test_several_databases(project, kind):
    project("init", "--multidb") if kind == "erlen" else project.legacy("multi")
    project.add_user(__bind_key__="users")
    project("migrate", "-m", "first")
    project("upgrade")

    assert project.tables() == ["alembic_version"]
    assert project.tables("users") == ["alembic_version", "user"]
    assert "Nothing to write" in project("migrate")
    project("downgrade")
    assert project.tables("users") == ["alembic_version"]


def _sleep(project):
    with project.app.app_context():
        return SLEEP[project.db.engine.dialect.name]


@pytest.mark.parametrize("kind", ["erlen", "single"])
def test_migrations_take_longer_than_requests(project, kind):
    project("init") if kind == "erlen" else project.legacy()
    statement = _sleep(project).format(1.5)
    project.write("a1", None, f"op.execute({statement!r})")

    project("upgrade")
    with (
        project.app.app_context(),
        project.db.engine.connect() as connection,
        pytest.raises(sa.exc.DBAPIError),
    ):
        # Of the pool again, and MariaDB stops what uses its tables.
        connection.exec_driver_sql(_sleep(project).format(5))
        connection.exec_driver_sql(
            "SELECT sum(a.ordinal_position + sleep(0.1)) FROM"
            " information_schema.columns a, information_schema.columns b"
        )


def test_migrators_wait_for_each_other(project):
    project("init")
    project.write("a1", None, "op.create_table('made', sa.Column('id', sa.Integer))")
    with (
        project.app.app_context(),
        project.db.engine.connect() as connection,
        _lock.hold(connection),
    ):
        printed = project("upgrade", "--lock-timeout", "0.2", code=1)
    assert "Waiting" in printed
    assert "Another migration" in printed
    project("upgrade")
    assert "made" in project.tables()


def test_a_pool_of_one_is_enough(project, urls):
    engine = sa.create_engine(urls[0], pool_size=1, max_overflow=0)
    with _guard.guarded([engine], 1, print):
        with engine.connect() as connection:
            backend = connection.connection.driver_connection
        with engine.connect() as connection:
            assert connection.connection.driver_connection is not backend
    engine.dispose()


def test_a_failed_migration_leaves_nothing_where_the_server_can(project):
    project("init")
    path = project.write(
        "a1",
        None,
        "op.create_table('made', sa.Column('id', sa.Integer)); op.execute('NONSENSE')",
    )

    printed = project("upgrade", code=1)
    assert "It was asked: NONSENSE" in printed
    with project.app.app_context():
        if project.db.engine.dialect.name == "postgresql":
            assert project.tables() == []
            path.write_text(path.read_text().replace("; op.execute('NONSENSE')", ""))
            project("upgrade")


@pytest.mark.parametrize(
    "config",
    [
        {"SQLALCHEMY_DATABASE_URI": "postgresql+psycopg://postgres@127.0.0.1:1/test"},
        {"SQLALCHEMY_DATABASE_URI": "mysql+pymysql://root@127.0.0.1:1/test"},
    ],
)
def test_a_server_that_is_away_is_no_traceback(project):
    project("init")
    project.write("a1", None)

    for command in ("upgrade", "migrate", "current", "check"):
        printed = project(command, code=1)
        assert "Error: The database failed:" in printed
        assert "Traceback" not in printed
