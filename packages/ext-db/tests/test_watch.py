from __future__ import annotations

import asyncio
import gc
import logging
import re
import threading
import weakref
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy import orm

from erlen import Erlen
from erlen import stream_with_context
from erlen.extension import stream_started
from erlen_db import SQLAlchemy
from erlen_db import _watch


@pytest.fixture
def app(app):
    app.config.update(
        SQLALCHEMY_DATABASE_URI="sqlite:///watch.db", SQLALCHEMY_WATCH=True
    )
    return app


@pytest.fixture
def logged(app, caplog):
    """Return what gives the log, by level, and forgets it."""
    app.logger.propagate = True
    caplog.set_level(logging.DEBUG, app.logger.name)

    def logged(level=logging.WARNING):
        records = [it.getMessage() for it in caplog.records if it.levelno == level]
        caplog.clear()
        return records

    return logged


@pytest.fixture
def models(app, db):
    class User(db.Model):
        id = sa.Column(sa.Integer, primary_key=True)
        posts = orm.relationship("Post", back_populates="user")

    class Post(db.Model):
        id = sa.Column(sa.Integer, primary_key=True)
        user_id = sa.Column(sa.ForeignKey("user.id"))
        user = orm.relationship("User", back_populates="posts")

    with app.app_context():
        db.create_all()
        for number in range(12):
            db.session.add(User(id=number + 1, posts=[Post(), Post()]))
        db.session.commit()
    return User, Post


def fetch_async(app, *paths):
    """Ask a server that ends, so that it closes what belongs to its event loop."""

    async def fetch():
        async with app.async_test_client() as client:
            responses = await asyncio.gather(*map(client.get, paths))
        return [it.text for it in responses]

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(fetch())


def ask(db, *numbers):
    for number in numbers:
        db.session.execute(sa.text("SELECT :x"), {"x": number})


# N+1


def test_relationships_that_are_loaded_one_by_one(app, db, models, client, logged):
    User, Post = models

    @app.get("/users")
    def users():
        return str(sum(len(it.posts) for it in db.session.scalars(sa.select(User))))

    @app.get("/posts")
    def posts():
        return str(len([it.user.id for it in db.session.scalars(sa.select(Post))]))

    logged()
    assert client.get("/users").text == "24"
    [line] = logged()
    assert line.startswith(
        "N+1 queries: GET '/users' sent a query 12 times, with other parameters, from "
    )
    assert "test_watch.py:" in line
    assert " in <genexpr>. The relationship User.posts is loaded for each row" in line
    assert ".options(selectinload(User.posts))" in line
    assert " The query: SELECT post.id" in line

    assert client.get("/posts").text == "24"
    [line] = logged()
    assert ".options(selectinload(Post.user))" in line


def test_the_cure_helps(app, db, models, client, logged):
    User, _ = models

    @app.get("/")
    def index():
        query = sa.select(User).options(orm.selectinload(User.posts))
        return str(sum(len(it.posts) for it in db.session.scalars(query)))

    logged()
    assert client.get("/").text == "24"
    assert logged() == []


def test_rows_that_are_got_one_by_one(app, db, models, client, logged):
    User, _ = models

    @app.get("/")
    def index():
        return str(len([db.session.get(User, it + 1) for it in range(12)]))

    client.get("/")
    [line] = logged()
    assert " sent a query 12 times" in line
    assert ". Ask for all of it at once, by .where(Model.id.in_(ids));" in line


@pytest.mark.parametrize(
    ("do", "count"),
    [
        (lambda db: ask(db, *range(10)), 1),
        (lambda db: ask(db, *range(9)), 0),
        (lambda db: ask(db, *[5] * 20), 0),
        (lambda db: ask(db, *[5] * 9, *range(8)), 0),
        (lambda db: [ask(db, *range(9)), ask(db, *range(9, 18))], 1),
        (lambda db: [ask(db, *range(9)), ask_other(db)], 0),
        (lambda db: send(db, "WITH x AS (SELECT :x) SELECT * FROM x"), 1),
        (lambda db: send(db, "DELETE FROM user WHERE id = :x + 100"), 0),
        (lambda db: send(db, "SELECT 1"), 0),
        (lambda db: [send_many(db, 50, it) for it in range(12)], 1),
        (lambda db: [send_many(db, 51, it) for it in range(12)], 0),
    ],
)
def test_what_is_one_too_many(app, db, models, logged, do, count):
    logged()
    with app.app_context():
        do(db)
    lines = logged()
    assert len(lines) == count
    for line in lines:
        assert line.startswith("N+1 queries: a context without a request sent ")


def ask_other(db):
    for number in range(9):
        db.session.execute(sa.text("SELECT :x"), {"x": number})


def send(db, statement):
    for number in range(10):
        db.session.execute(sa.text(statement), {"x": number})


def send_many(db, count, first):
    numbers = range(first, first + count)
    db.session.execute(sa.select(sa.func.max(*map(sa.literal, numbers))))


@pytest.mark.parametrize(
    ("parameters", "values"),
    [((1, "a"), (1, "a")), ({"x": [1]}, ([1],)), (None, ()), ([], ())],
)
def test_parameters_in_the_forms_of_drivers(parameters, values):
    assert _watch._values(parameters) == values
    assert isinstance(_watch._hash(values), int)


def test_two_places_are_two_warnings(app, db, models, client, logged):
    @app.get("/")
    def index():
        ask(db, *range(10))
        for number in range(10):
            db.session.execute(sa.text("SELECT :x"), {"x": number})
        return "done"

    logged()
    client.get("/")
    assert len(logged()) == 2
    client.get("/")
    assert len(logged()) == 2


@pytest.mark.parametrize("door", ["wsgi", "asgi"])
def test_async_views(app, db, models, logged, door):
    User, _ = models

    @app.get("/")
    async def index():
        for number in range(12):
            await db.async_session.get(User, number + 1)
        return "done"

    logged()
    if door == "asgi":
        assert fetch_async(app, "/") == ["done"]
    else:
        assert app.test_client().get("/").text == "done"
    [line] = logged()
    assert " in index. " in line


# Queries of two requests


def test_threads_do_not_mix(app, db, models, logged):
    logged()
    meet = threading.Barrier(2)

    def work(first):
        with app.app_context():
            for number in range(first, first + 6):
                meet.wait(10)
                ask(db, number)

    threads = [threading.Thread(target=work, args=(it,)) for it in (0, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert logged() == []


def test_tasks_do_not_mix(app, db, models, logged):
    @app.get("/")
    async def index():
        for number in range(6):
            await db.async_session.execute(sa.text("SELECT :x"), {"x": number})
            await asyncio.sleep(0)
        return "done"

    logged()
    assert fetch_async(app, "/", "/") == ["done", "done"]
    assert logged() == []


def test_each_request_is_counted(app, db, client, logged):
    @app.get("/<int:count>")
    def index(count):
        ask(db, *range(count))
        return "done"

    for count in (2, 0, 3):
        client.get(f"/{count}")
    lines = [it for it in logged(logging.DEBUG) if "queries in" in it]
    assert [it.partition(" queries")[0] for it in lines] == [
        "GET '/2': 2",
        "GET '/3': 3",
    ]


def test_an_engine_outside_of_a_context(app, db, logged):
    with app.app_context():
        engine = db.engine
    with engine.connect() as connection:
        for number in range(12):
            connection.execute(sa.text("SELECT :x"), {"x": number})
    assert logged() == []


# Streams


def is_warned(app, path, lines):
    for line in lines:
        assert line.startswith(f"GET '{path}' begins a stream while it holds 1 conn")
        assert "db.release()" in line
    return bool(lines)


@pytest.mark.parametrize("releases", [False, True])
def test_a_stream_that_holds_a_connection(app, db, models, client, logged, releases):
    @app.get("/")
    def index():
        ask(db, 1)
        if releases:
            db.release()
        return stream_with_context(iter(["a", "b"]))

    logged()
    assert client.get("/").text == "ab"
    assert is_warned(app, "/", logged()) is not releases


@pytest.mark.parametrize("releases", [False, True])
def test_an_async_stream_that_holds_a_connection(app, db, models, logged, releases):
    async def items():
        yield "a"
        yield "b"

    @app.get("/async")
    async def index():
        await db.async_session.execute(sa.text("SELECT 1"))
        if releases:
            await db.async_session.close()
        return stream_with_context(items())

    logged()
    assert fetch_async(app, "/async") == ["ab"]
    assert is_warned(app, "/async", logged()) is not releases


def test_streams_that_have_not_touched_the_database(app, db, client, logged):
    app.add_url_rule("/", "index", lambda: stream_with_context(iter(["a"])))
    assert client.get("/").text == "a"
    stream_started.send(app)  # from outside of any context
    assert logged() == []


def test_a_connection_that_was_taken_outside(app, db, logged):
    with app.app_context():
        engine = db.engine
    with engine.connect(), app.app_context():
        stream_started.send(app)
    assert logged() == []


def test_a_connection_that_breaks(app, db, logged):
    with app.app_context():
        with db.engine.connect() as connection:
            connection.invalidate()
        stream_started.send(app)
    assert logged() == []


def test_the_connection_of_a_memory_database_is_held_from_nobody(app, client, logged):
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    db = SQLAlchemy(app)

    @app.get("/")
    def index():
        ask(db, 1)
        return stream_with_context(iter(["a"]))

    assert client.get("/").text == "a"
    assert logged() == []


# Slow queries


@pytest.fixture
def slow(app, logged):
    app.config.update(
        SQLALCHEMY_SLOW_QUERY=timedelta(0),
        SQLALCHEMY_WATCH=False,
        SQLALCHEMY_BINDS={"other": "sqlite://"},
    )
    return SQLAlchemy(app)


def test_slow_queries(app, slow, client, logged):
    @app.get("/")
    def index():
        secret = {"x": "s3cret"}
        slow.session.execute(sa.text(f"SELECT {'1, ' * 200}:x"), secret)
        with slow.engines["other"].connect() as connection:
            connection.execute(sa.text("SELECT 2"))
        return "done"

    client.get("/")
    first, second = logged()
    words = r"Slow query: \d+ ms, and SQLALCHEMY_SLOW_QUERY is 0 ms\. GET '/' at "
    assert re.match(words, first)
    assert "test_watch.py:" in first
    assert " in index: SELECT 1, 1, " in first
    assert "s3cret" not in first
    assert len(first.partition(": SELECT")[2]) < 300
    assert second.startswith("Slow query (bind 'other'): ")


def test_slow_queries_that_fail(app, slow, logged):
    """As those do that take longer than they may."""
    with app.app_context(), pytest.raises(sa.exc.OperationalError):
        slow.session.execute(sa.text("SELECT * FROM nowhere"))
    assert len(logged()) == 1


def test_quick_queries(app, logged):
    app.config["SQLALCHEMY_SLOW_QUERY"] = timedelta(minutes=5)
    db = SQLAlchemy(app)
    with app.app_context():
        ask(db, 1)
    assert logged() == []


def test_an_engine_that_is_left_of_an_application(app, slow, logged):
    other = Erlen("gone", instance_path=app.instance_path)
    other.config.update(app.config)
    engine = sa.create_engine("sqlite://")
    _watch.listen(other, None, engine)
    del other
    gc.collect()
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT 1"))
    engine.dispose()
    assert logged() == []


# What is off


@pytest.mark.parametrize(
    ("watch", "debug", "is_on"),
    [
        (True, False, True),
        (None, True, True),
        (None, False, False),
        (False, True, False),
    ],
)
def test_what_is_off_attaches_nothing(app, watch, debug, is_on):
    app.config["SQLALCHEMY_WATCH"] = watch
    app.debug = debug
    db = SQLAlchemy(app)
    with app.app_context():
        dispatch, pool = db.engine.dispatch, db.engine.pool
        assert bool(dispatch.before_cursor_execute) is is_on
        assert bool(dispatch.after_cursor_execute) is is_on
        assert bool(pool.dispatch.checkout) is is_on
    assert (app in _watch._watches) is is_on
    assert bool(list(stream_started.receivers_for(app))) is is_on


def test_listen_says_whether_there_is_an_end_to_come(app, db):
    engine = sa.create_engine("sqlite://")
    assert _watch.listen(app, None, engine) is True
    app.config["SQLALCHEMY_WATCH"] = False
    assert _watch.listen(app, None, engine) is False
    engine.dispose()


def test_an_application_is_not_kept(tmp_path):
    app = Erlen("gone", instance_path=str(tmp_path))
    app.config.update(SQLALCHEMY_DATABASE_URI="sqlite://", SQLALCHEMY_WATCH=True)
    db = SQLAlchemy(app)
    with app.app_context():
        ask(db, 1)
    gone = weakref.ref(app)
    del app, db
    gc.collect()
    assert gone() is None
