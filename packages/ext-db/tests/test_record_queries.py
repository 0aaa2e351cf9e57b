from __future__ import annotations

import asyncio
import gc

import pytest
import sqlalchemy as sa

from erlen_db import SQLAlchemy
from erlen_db.record_queries import _QueryInfo
from erlen_db.record_queries import get_recorded_queries


@pytest.fixture
def app(app):
    app.config["SQLALCHEMY_RECORD_QUERIES"] = True
    return app


def ask(db, *numbers):
    for number in numbers:
        db.session.execute(sa.text("SELECT :x"), {"x": number})


def test_what_a_query_says(app, db):
    with app.app_context():
        ask(db, 5)
        [info] = get_recorded_queries()

    assert info.statement == "SELECT ?"
    assert info.parameters == (5,)
    assert info.duration == info.end_time - info.start_time >= 0
    assert "test_record_queries.py:" in info.location
    assert info.location.endswith(" in ask")


def test_as_text():
    info = _QueryInfo("SELECT\n  ?", (5,), 1.0, 1.5, "shop.py:2 in index")
    assert str(info) == repr(info) == "SELECT ? (5,) (500.0 ms) at shop.py:2 in index"
    assert info.duration == 0.5
    assert info == _QueryInfo("SELECT\n  ?", (5,), 1.0, 1.5, "shop.py:2 in index")
    assert str(_QueryInfo(None, (), 1.0, 1.0, "x")).startswith(" () ")


def test_many_rows_are_one_query(app, db):
    with app.app_context():
        statement = sa.text("INSERT INTO t VALUES (:x)")
        db.session.execute(sa.text("CREATE TABLE t (x)"))
        db.session.execute(statement, [{"x": 1}, {"x": 2}])
        assert get_recorded_queries()[-1].parameters == [(1,), (2,)]


def test_transactions_are_no_queries(app, db):
    with app.app_context():
        with db.session.begin_nested():
            ask(db, 1)
        db.session.commit()
        assert len(get_recorded_queries()) == 1


def test_each_request_has_its_own(app, db, client):
    @app.get("/<int:count>")
    def index(count):
        ask(db, *range(count))
        return [it.parameters[0] for it in get_recorded_queries()]

    for count in (2, 0, 3):
        assert client.get(f"/{count}").json == list(range(count))


@pytest.mark.parametrize("door", ["wsgi", "asgi"])
def test_async_views(app, db, door):
    @app.get("/")
    async def index():
        await db.async_session.execute(sa.text("SELECT 1"))
        return [it.location.rpartition(" ")[2] for it in get_recorded_queries()]

    async def fetch():
        async with app.async_test_client() as client:
            return await client.get("/")

    if door == "wsgi":
        response = app.test_client().get("/")
    else:
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            response = runner.run(fetch())
    assert response.json == ["index"]


def test_all_binds_are_recorded(app, tmp_path):
    app.config["SQLALCHEMY_BINDS"] = {"other": "sqlite://"}
    db = SQLAlchemy(app)
    with app.app_context():
        for engine in db.engines.values():
            with engine.connect() as connection:
                connection.execute(sa.text("SELECT 1"))
        assert len(get_recorded_queries()) == 2


def test_off_attaches_nothing(app):
    app.config["SQLALCHEMY_RECORD_QUERIES"] = False
    db = SQLAlchemy(app)
    with app.app_context():
        ask(db, 1)
        assert get_recorded_queries() == []
        assert not db.engine.dispatch.before_cursor_execute


def test_a_context_takes_its_queries_along(app, db):
    class Parameter(int):
        gone = False

        def __del__(self):
            Parameter.gone = True

    with app.app_context():
        ask(db, Parameter(5))
        assert get_recorded_queries()
    gc.collect()
    assert Parameter.gone


def test_without_a_context(app, db):
    with app.app_context():
        engine = db.engine
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT 1"))
    with pytest.raises(RuntimeError, match=r"with app\.app_context\(\)"):
        get_recorded_queries()
