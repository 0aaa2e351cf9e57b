from __future__ import annotations

import asyncio
import os
import threading

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from erlen_db import SQLAlchemy
from erlen_db.migrate import Migrate
from erlen_db.testing import assert_queries
from erlen_db.testing import check_migrations
from erlen_db.testing import rolled_back

SERVERS = {
    "postgresql": os.environ.get(
        "POSTGRESQL_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/test"
    ),
    "mariadb": os.environ.get(
        "MARIADB_URL", "mysql+pymysql://root@127.0.0.1:3306/test"
    ),
}
ALL = [
    "sqlite",
    "memory",
    *(pytest.param(it, marks=pytest.mark.service) for it in SERVERS),
]


def url_of(kind):
    """Return the URL of a database; a server that is not there skips the test."""
    if kind in {"sqlite", "memory"}:
        return "sqlite:///testing.db" if kind == "sqlite" else "sqlite://"
    pytest.importorskip({"postgresql": "psycopg", "mariadb": "pymysql"}[kind])
    engine = sa.create_engine(SERVERS[kind])
    try:
        engine.connect().close()
    except sa.exc.OperationalError as exc:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no server at {SERVERS[kind]}: {exc}")
    finally:
        engine.dispose()
    return SERVERS[kind]


@pytest.fixture
def app(app, request):
    kind = getattr(request, "param", None)
    app.config["SQLALCHEMY_DATABASE_URI"] = url_of(kind or "memory")
    return app


def ask(db, *numbers):
    for number in numbers:
        db.session.execute(sa.text("SELECT :x"), {"x": number})


# assert_queries


def test_as_many_as_expected(app, db):
    with app.app_context():
        with assert_queries(0):
            pass
        with assert_queries(2) as queries:
            ask(db, 1)
            assert len(queries) == 1
            ask(db, 2)
        ask(db, 3)
    assert [it.parameters for it in queries] == [(1,), (2,)]
    assert queries[0].location.endswith(" in ask")


@pytest.mark.parametrize(
    ("count", "at_most", "passes"),
    [(2, True, True), (3, True, True), (1, True, False), (3, False, False)],
)
def test_more_and_fewer(app, db, count, at_most, passes):
    with app.app_context():
        try:
            with assert_queries(count, at_most=at_most):
                ask(db, 1, 2)
        except AssertionError as exc:
            assert not passes
            first, *lines = str(exc).splitlines()
        else:
            assert passes
            return
    wanted = f"at most {count}" if at_most else count
    assert first == f"2 queries were sent, not {wanted}:"
    for number, line in enumerate(lines, 1):
        assert line.startswith(f"{number}. SELECT ? ({number},) (")
        assert " at " in line
        assert line.endswith(" in ask")


def test_an_error_of_the_block_comes_through(app, db):
    with app.app_context(), pytest.raises(ZeroDivisionError), assert_queries(5):
        ask(db, 1 // 0)


def test_what_fails_counts_and_transactions_do_not(app, db):
    with app.app_context(), assert_queries(2):
        with db.session.begin_nested():
            ask(db, 1)
        with pytest.raises(sa.exc.OperationalError):
            db.session.execute(sa.text("SELECT * FROM nowhere"))
        db.session.rollback()


def test_views_behind_both_doors(app, db, client):
    app.add_url_rule("/", "index", lambda: [ask(db, 1, 2)])
    with assert_queries(2) as queries:
        client.get("/")
    assert {it.location.rpartition(" ")[2] for it in queries} == {"ask"}


def test_async_views(app, db):
    @app.get("/")
    async def index():
        await db.async_session.execute(sa.text("SELECT 1"))
        return "done"

    with assert_queries(1):
        assert app.test_client().get("/").text == "done"


def test_one_engine_of_several(app):
    app.config["SQLALCHEMY_BINDS"] = {"other": "sqlite://"}
    db = SQLAlchemy(app)

    def ask_both():
        for engine in db.engines.values():
            with engine.connect() as connection:
                connection.execute(sa.text("SELECT 1"))

    with app.app_context():
        with assert_queries(2):
            ask_both()
        with assert_queries(1, engine=db.engines["other"]):
            ask_both()


# rolled_back


@pytest.fixture
def User(app, db):
    class User(db.Model):
        __tablename__ = f"testing_user_{os.getpid()}"
        id = sa.Column(sa.Integer, primary_key=True)
        name = sa.Column(sa.String(20), unique=True)

    with app.app_context():
        db.drop_all()
        db.create_all()
        yield User
        db.session.remove()
        db.drop_all()


def names(db, User):
    """Read as somebody else would: with a connection and a session of its own."""
    with db.engine.connect() as connection:
        return sorted(connection.scalars(sa.select(User.name)))


@pytest.mark.parametrize("app", ALL, indirect=True)
def test_nothing_is_left(app, db, User, client):
    @app.post("/<name>")
    def add(name):
        db.session.add(User(name=name))
        db.session.commit()
        with db.engine.begin() as connection:
            connection.execute(sa.insert(User).values(name=f"{name} 2"))
        db.session.add(User(name="not committed"))
        db.session.flush()
        return names(db, User)

    with rolled_back(db.engines.values()):
        db.session.add(User(name="own"))
        db.session.commit()
        assert client.post("/a").json == ["a", "a 2", "not committed", "own"]
        db.session.remove()
        assert names(db, User) == ["a", "a 2", "own"]
    assert names(db, User) == []


@pytest.mark.parametrize("app", ALL, indirect=True)
def test_transactions_are_as_without_it(app, db, User):
    with rolled_back(db.engines.values()):
        db.session.add(User(name="kept"))
        db.session.commit()
        db.session.add(User(name="rolled back"))
        db.session.flush()
        db.session.rollback()
        with pytest.raises(sa.exc.DBAPIError):
            db.session.execute(sa.text("SELECT * FROM nowhere"))
        db.session.rollback()
        with db.transaction(isolation="SERIALIZABLE"):
            db.session.add(User(name="outer"))
            with pytest.raises(sa.exc.IntegrityError), db.transaction():
                db.session.add(User(name="kept"))
            with db.transaction():
                db.session.add(User(name="inner"))
        autocommit = {"isolation_level": "AUTOCOMMIT"}
        with db.engine.connect().execution_options(**autocommit) as connection:
            connection.execute(sa.insert(User).values(name="not committed"))
        db.ping()
        assert names(db, User) == ["inner", "kept", "outer"]
    assert names(db, User) == []


@pytest.mark.parametrize("app", ALL, indirect=True)
def test_what_was_there_before_stays(app, db, User):
    db.session.add(User(name="before"))
    db.session.commit()
    with rolled_back(db.engines.values()):
        db.session.execute(sa.delete(User))
        db.session.commit()
        assert names(db, User) == []
    assert names(db, User) == ["before"]


def test_a_reader_that_rolls_back_takes_nobody_along(app, db, User):
    """A test that has read, and closes its session after a request has written."""
    with rolled_back(db.engines.values()):
        assert db.session.scalars(sa.select(User)).all() == []
        with db.engine.begin() as connection:
            connection.execute(sa.insert(User).values(name="of another"))
        db.session.rollback()
        assert names(db, User) == ["of another"]


def test_a_writer_that_rolls_back_takes_along_what_came_after_it(app, db, User):
    with rolled_back(db.engines.values()):
        db.session.add(User(name="own"))
        db.session.flush()
        other, late = db.engine.connect(), db.engine.connect()
        with other, late:
            other.execute(sa.insert(User).values(name="of another"))
            late.execute(sa.insert(User).values(name="late"))
            other.commit()
            db.session.rollback()
            late.rollback()
        assert names(db, User) == []
    assert names(db, User) == []


def test_transactions_that_end_in_another_order(app, db, User):
    with rolled_back(db.engines.values()):
        first, second = db.engine.connect(), db.engine.connect()
        first.execute(sa.insert(User).values(name="first"))
        second.execute(sa.insert(User).values(name="second"))
        first.commit()
        second.commit()
        first.close()
        second.close()
        assert names(db, User) == ["first", "second"]
    assert names(db, User) == []


def test_threads(app, db, User):
    def work(number):
        with app.app_context():
            db.session.add(User(name=str(number)))
            db.session.commit()

    with rolled_back(db.engines.values()):
        for number in range(3):
            thread = threading.Thread(target=work, args=(number,))
            thread.start()
            thread.join()
        assert names(db, User) == ["0", "1", "2"]
    assert names(db, User) == []


def test_all_is_given_back(app, db):
    with app.app_context():
        engine = db.engine
        engine.connect().close()
        before = (engine.pool, set(vars(engine.dialect)), engine.dialect.do_begin)
        with pytest.raises(ZeroDivisionError), rolled_back([engine]):
            engine.dispose()
            ask(db, 1 // 0)
        after = (engine.pool, set(vars(engine.dialect)), engine.dialect.do_begin)
    assert after == before
    assert not engine.dispatch.before_cursor_execute


def test_an_engine_of_sqlalchemy_alone(tmp_path):
    """Its driver begins no transaction before the first change."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/plain.db")
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE t (x)"))
    with rolled_back([engine]), engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO t VALUES (1)"))
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM t")) == 0
    engine.dispose()


@pytest.mark.parametrize("app", ["sqlite"], indirect=True)
def test_async_sessions_are_refused(app, db, tmp_path):
    """They would wait for the lock of the test's transaction, and see nothing of it."""
    foreign = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/foreign.db")

    async def ask():
        with pytest.raises(RuntimeError, match="async_session has a connection"):
            await db.async_session.execute(sa.text("SELECT 1"))
        await db.async_session.close()
        for engine in db.async_engines.values():
            await engine.dispose()
        async with foreign.connect() as connection:
            await connection.execute(sa.text("SELECT 1"))
        await foreign.dispose()

    with app.app_context(), rolled_back(db.engines.values()):
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            runner.run(ask())
        with pytest.raises(sa.exc.StatementError):
            db.session.execute(sa.text("SELECT :x"))


# check_migrations

MIGRATION = '''\
"""{doc}"""
import sqlalchemy as sa
from alembic import op

revision = {revision!r}
down_revision = {down!r}

def upgrade():
    {up}

def downgrade():
    {back}
'''
CREATE = "op.create_table('it', sa.Column('id', sa.Integer, primary_key=True))"
ADD = "op.add_column('it', sa.Column({0!r}, sa.String(9)))"
DROP = "op.drop_column('it', {0!r})"


@pytest.fixture
def migrations(app, db, tmp_path):
    """Return what writes the migrations of an application with a table."""
    Migrate(app, db, str(tmp_path / "migrations"))
    (tmp_path / "migrations" / "versions").mkdir(parents=True)
    (tmp_path / "migrations" / "env.py").write_text(
        "from erlen_db.migrate import run_migrations\n\nrun_migrations()\n"
    )

    def write(revision, down, up="pass", back="pass"):
        path = tmp_path / "migrations" / "versions" / f"{revision}.py"
        text = MIGRATION.format(
            doc=f"step {revision}", revision=revision, down=down, up=up, back=back
        )
        path.write_text(text)

    write("a1", None, CREATE, "op.drop_table('it')")
    return write


def model(db, *columns):
    class It(db.Model):
        id = sa.Column(sa.Integer, primary_key=True)

    for name in columns:
        setattr(It, name, sa.Column(sa.String(9)))


@pytest.mark.parametrize("app", ALL, indirect=True)
def test_migrations_that_fit(app, db, migrations):
    model(db, "name")
    migrations("b2", "a1", ADD.format("name"), DROP.format("name"))
    check_migrations(app)
    with app.app_context():
        assert "it" not in sa.inspect(db.engine).get_table_names()
        assert db.engine.url.database != "it"


def test_branches(app, db, migrations):
    model(db, "left", "right", "last")
    migrations("b2", "a1", ADD.format("left"), DROP.format("left"))
    migrations("c3", "a1", ADD.format("right"), DROP.format("right"))
    migrations("d4", ("b2", "c3"))
    migrations("e5", "d4", ADD.format("last"), DROP.format("last"))
    check_migrations(app)


@pytest.mark.parametrize(
    ("up", "back", "words"),
    [
        ("1 / 0", "pass", "cannot be run: division by zero"),
        (ADD.format("name"), "1 / 0", "cannot be taken back: division by zero"),
        (ADD.format("name"), "pass", "cannot be run again after it was taken back: "),
    ],
)
def test_migrations_that_fail(app, db, migrations, up, back, words):
    model(db, "name")
    migrations("b2", "a1", up, back)
    with pytest.raises(AssertionError) as info:
        check_migrations(app)
    assert str(info.value).startswith(f"The migration b2 (step b2) {words}")


def test_models_that_have_more(app, db, migrations):
    model(db, "name")
    with pytest.raises(AssertionError, match="The models are not what the") as info:
        check_migrations(app)
    assert "name" in str(info.value)


def test_two_heads(app, db, migrations):
    model(db)
    migrations("b2", "a1")
    migrations("c3", "a1")
    with pytest.raises(AssertionError, match=r"their line: \w\w, \w\w\. Join them"):
        check_migrations(app)


def test_a_database_of_another_kind(app, db, monkeypatch):
    with app.app_context():
        monkeypatch.setattr(db.engine.dialect, "name", "oracle")
        own = db.engine
        with pytest.raises(RuntimeError, match="and not on 'oracle'"):
            check_migrations(app)
        assert db.engine is own


def test_an_application_without_migrations(app, db):
    with pytest.raises(RuntimeError, match=r"Migrate\(app, db\)"):
        check_migrations(app)
