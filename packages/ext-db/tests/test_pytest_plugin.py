"""The pytest plugin. The inner runs of pytest are few: each takes as long as 50 tests."""

from __future__ import annotations

import contextlib
import os

import pytest
import sqlalchemy as sa

from erlen_db import migrate
from erlen_db import pytest_plugin
from erlen_db import testing

assert migrate.upgrade  # so that the inner runs do not import it again each time

pytest_plugins = ["pytester"]

CONFTEST = """
import pytest
import sqlalchemy as sa
from sqlalchemy import event
from erlen import Erlen
from erlen_db import SQLAlchemy
from erlen_db.migrate import Migrate

pytest_plugins = ["erlen.pytest_plugin", "erlen_db.pytest_plugin"]

URIS = {uris!r}

db_ = SQLAlchemy()

class User(db_.Model):
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.String(20), unique=True)
    # Two tables that refer to each other, which cannot be dropped one by one.
    post_id = sa.Column(sa.ForeignKey("post.id", name="last_post"))

class Post(db_.Model):
    id = sa.Column(sa.Integer, primary_key=True)
    user_id = sa.Column(sa.ForeignKey("user.id"))

class Entry(db_.Model):
    __bind_key__ = "other"
    id = sa.Column(sa.Integer, primary_key=True)

class Twice(db_.Model):
    __tablename__ = "twice"
    id = sa.Column(sa.Integer, primary_key=True)

def make_app():
    app = Erlen(__name__, instance_path={instance!r})
    app.config["SQLALCHEMY_DATABASE_URI"] = URIS[0]
    app.config["SQLALCHEMY_BINDS"] = {{"other": URIS[1]}}
    db_.init_app(app)
    Migrate(app, db_, {instance!r} + "/migrations")

    @app.post("/<name>")
    def add(name):
        user = User(name=name)
        db_.session.add(user)
        db_.session.add(Entry())
        db_.session.commit()
        user.post_id = 1
        db_.session.add(Post(id=1, user_id=user.id))
        try:
            db_.session.commit()
        except sa.exc.IntegrityError:
            db_.session.rollback()
        db_.session.add(User(name="nobody"))
        db_.session.flush()
        return "done"

    return app

@pytest.fixture
def app():
    return make_app()

@pytest.fixture(params=["wsgi", "asgi"])
def client(app, request):
    return app.test_client(door=request.param)

def count(db, model):
    with db.get_engine(model.__bind_key__).connect() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(model))

for model in (User, Post, Entry):
    model.__bind_key__ = getattr(model, "__bind_key__", None)
"""


@pytest.fixture
def project(pytester, monkeypatch):
    """Return a project, whose databases are files."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    write(pytester, "sqlite:///shop.db", "sqlite:///other.db")
    return pytester


def write(project, *uris, ini=""):
    project.makeini(f"[pytest]\naddopts = -Werror\n{ini}")
    instance = str(project.path / "instance")
    project.makeconftest(CONFTEST.format(uris=uris, instance=instance))


def run(project, tests, how="inprocess", **outcomes):
    """Run tests of the project, and return what pytest prints."""
    project.makepyfile(test_it=f"from conftest import *\n{tests}")
    runpytest = getattr(project, f"runpytest_{how}")
    result = runpytest("-q", "--import-mode=prepend")
    result.assert_outcomes(**outcomes)
    return result.stdout.str()


TWICE = """
import pytest
from erlen import current_app
from erlen_db.testing import assert_queries

@pytest.mark.parametrize("number", [1, 2])
def test_db(app, db, client, number):
    assert current_app.extensions["sqlalchemy"] is db
    assert count(db, User) == count(db, Entry) == 0
    client.post("/ada")
    db.session.remove()
    assert count(db, User) == count(db, Entry) == 1

@pytest.mark.parametrize("number", [1, 2])
def test_session(app, db_session, client, number):
    assert db_session is db_.session
    db_session.add(User(name="own"))
    db_session.commit()
    with assert_queries(6, at_most=True):
        client.post("/ada")
    db_session.remove()
    assert [it.name for it in db_session.scalars(sa.select(User))] == ["own", "ada"]
    assert count(db_, Entry) == 1

def test_nothing_is_left(db):
    assert count(db, User) == count(db, Entry) == count(db, Post) == 0
"""


@pytest.mark.parametrize("memory", [False, True])
def test_a_test_does_not_see_the_rows_of_another(project, memory):
    if memory:
        write(project, "sqlite://", "sqlite://")
    run(project, TWICE, passed=9)


SERVERS = {
    "postgresql": os.environ.get(
        "POSTGRESQL_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/test"
    ),
    "mariadb": os.environ.get(
        "MARIADB_URL", "mysql+pymysql://root@127.0.0.1:3306/test"
    ),
}


@pytest.fixture(params=SERVERS)
def urls(request):
    """Return the URLs of two empty databases of a server."""
    pytest.importorskip({"postgresql": "psycopg", "mariadb": "pymysql"}[request.param])
    engine = sa.create_engine(SERVERS[request.param])
    try:
        engine.connect().close()
    except sa.exc.OperationalError as exc:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no server at {SERVERS[request.param]}: {exc}")
    with contextlib.ExitStack() as stack:
        stack.callback(engine.dispose)
        found = [
            stack.enter_context(testing._scratch_database(engine, "", number))
            for number in range(2)
        ]
        yield [it.render_as_string(hide_password=False) for it in found]


@pytest.mark.service
def test_on_servers(project, urls):
    write(project, *urls)
    # Drivers do not stand to be imported twice, as in an inner run of this process.
    run(project, TWICE, "subprocess", passed=9)


def test_tables_that_are_there_already_are_not_dropped(project):
    before = """
with make_app().app_context():
    db_.create_all()
    db_.session.add(User(name="dear"))
    db_.session.commit()
    for engine in db_.engines.values():
        engine.dispose()
"""
    after = """
def test_it(db):
    pass

def test_after(app):
    with app.app_context():
        assert count(db_, User) == 1
        for engine in db_.engines.values():
            engine.dispose()
"""
    printed = run(project, before + after, errors=1, passed=1)
    assert "shop.db (bind key None) has tables already, such as 'post'" in printed
    assert "set erlen_db_tables = none in the settings of pytest" in printed
    assert "pytest_plugin.py" not in printed


NONE = """
import pytest

@pytest.fixture(scope="session", autouse=True)
def tables():
    app = make_app()
    with app.app_context():
        db_.create_all()
        for engine in db_.engines.values():
            engine.dispose()

@pytest.mark.parametrize("number", [1, 2])
def test_it(db_session, number):
    assert count(db_, User) == 0
    db_session.add(User(name="ada"))
    db_session.commit()

def test_of_its_own(db):
    assert count(db_, User) == 0
    db.session.add(User(name="ada"))
    db.session.commit()

def test_after_it(db):
    assert count(db_, User) == 1
"""


def test_tables_that_the_project_makes(project):
    write(project, "sqlite:///a.db", "sqlite:///b.db", ini="erlen_db_tables = none")
    run(project, NONE, passed=4)


def test_tables_of_a_memory_database_that_the_project_makes(project):
    write(project, "sqlite://", "sqlite://")
    tests = """
import pytest

@pytest.fixture
def db_tables(app):
    with app.app_context():
        db_.create_all()
    return "none"

def test_it(db):
    assert count(db, User) == 0
"""
    run(project, tests, passed=1)


MIGRATIONS = {
    "env.py": "from erlen_db.migrate import run_migrations\n\nrun_migrations()\n",
    "versions/a1.py": """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "a1", None

def upgrade():
    op.create_table("of_a_migration", sa.Column("id", sa.Integer))

def downgrade():
    pass
""",
}


def test_tables_of_the_migrations(project):
    write(project, "sqlite:///a.db", "sqlite:///b.db", ini="erlen_db_tables = upgrade")
    for path, text in MIGRATIONS.items():
        file = project.path / "instance" / "migrations" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    tests = """
import pytest

@pytest.mark.parametrize("number", [1, 2])
def test_it(db, number):
    names = sa.inspect(db.engine).get_table_names()
    assert sorted(names) == ["alembic_version", "of_a_migration"]
"""
    run(project, tests, passed=2)


FAILURES = """
import pytest

@pytest.fixture
def app(request):
    return Erlen("bare") if "bare" in request.fixturenames else make_app()

@pytest.fixture
def bare():
    pass

@pytest.fixture
def db_tables():
    return "all"

def test_without_a_database(bare, db):
    pass

def test_with_a_setting_that_is_none(db):
    pass
"""


def test_failures_are_short(project):
    printed = run(project, FAILURES, errors=2)
    assert "The application 'bare' has no database: call db.init_app(app)" in printed
    words = "erlen_db_tables is 'all', and it is one of create_all, upgrade, none."
    assert words in printed
    assert "pytest_plugin.py" not in printed


def test_only_sqlite_is_asked_for_its_pragma(tmp_path, monkeypatch):
    engine = sa.create_engine(f"sqlite:///{tmp_path}/it.db")
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE it (x)"))
    monkeypatch.setattr(engine.dialect, "name", "other")
    pytest_plugin._drop_tables(engine)
    assert sa.inspect(engine).get_table_names() == []
    engine.dispose()
