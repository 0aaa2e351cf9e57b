"""Connections come back on every way out of a request, and nothing half done stays."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from erlen import Response
from erlen import abort
from erlen import stream_with_context


@pytest.fixture
def app(app):
    """Return an application with a file, whose pool counts."""
    app.config.update(
        SQLALCHEMY_DATABASE_URI="sqlite:///a.db",
        TESTING=False,
        PROPAGATE_EXCEPTIONS=False,
    )
    return app


@pytest.fixture
def Todo(app, db):
    """Return a model with an empty table."""

    class Todo(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)

    with app.app_context():
        db.create_all()
    return Todo


def left(app, db):
    """Return how many rows are there and how many connections are out."""
    with app.app_context():
        out = db.engine.pool.checkedout()
        return db.session.query(db.Model.registry._class_registry["Todo"]).count(), out


def raising():
    raise KeyError


def aborting():
    abort(418)


def streaming():
    def rows():
        yield "a"
        yield "b"

    return Response(stream_with_context(rows()))


def failing_stream():
    def rows():
        yield "a"
        raise KeyError

    return Response(stream_with_context(rows()))


@pytest.mark.parametrize("way", [raising, aborting, streaming, str, failing_stream])
@pytest.mark.parametrize("teardown", ["quiet", "raising"])
def test_every_way_out_returns_the_connection(app, db, Todo, client, way, teardown):
    if teardown == "raising":
        app.teardown_request(lambda exc: 1 // 0)
        app.teardown_appcontext(lambda exc: 1 // 0)

    @app.post("/")
    def view():
        db.session.add(Todo())
        db.session.flush()
        assert db.engine.pool.checkedout() == 1
        return way()

    for _ in range(2):
        with contextlib.suppress(KeyError, ZeroDivisionError):
            client.post("/").close()
    del app.teardown_appcontext_funcs[1:]
    assert left(app, db) == (0, 0)


def test_a_dropped_stream_returns_the_connection(app, db, Todo, client):
    @app.post("/")
    def view():
        def rows():
            db.session.add(Todo())
            db.session.flush()
            yield "a"
            yield "b"

        return Response(stream_with_context(rows()))

    response = client.post("/")
    response.close()
    assert left(app, db) == (0, 0)


def test_a_cancelled_task_returns_the_connection(app, db, Todo):
    reached = []
    there = asyncio.Event()

    @app.post("/")
    async def view():
        db.async_session.add(Todo())
        await db.async_session.flush()
        there.set()
        reached.append(db.async_engines[None].sync_engine.pool)
        assert reached[-1].checkedout() == 1
        await asyncio.sleep(60)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "headers": [(b"host", b"localhost")],
    }

    async def main():
        async def receive():
            await asyncio.sleep(60)

        async def send(message):
            raise AssertionError(message)

        task = asyncio.ensure_future(app.asgi(scope, receive, send))
        await there.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert reached[0].checkedout() == 0
        with app.app_context():
            await db._dispose()

    asyncio.run(asyncio.wait_for(main(), 20))
    assert left(app, db) == (0, 0)


@pytest.mark.parametrize("door", ["wsgi", "asgi"])
@pytest.mark.parametrize("fail", [False, True])
def test_async_sessions_come_back(app, db, Todo, door, fail):
    pools = []

    @app.post("/")
    async def view():
        db.async_session.add(Todo())
        await db.async_session.flush()
        pools.append(db.async_engines[None].sync_engine.pool)
        if fail:
            raise KeyError
        return ""

    client = app.test_client(door=door)
    for _ in range(2):
        assert client.post("/").status_code == (500 if fail else 200)
    assert [getattr(it, "checkedout", int)() for it in pools] == [0, 0]
    assert left(app, db) == (0, 0)


def test_a_command_returns_the_connection(app, db, Todo):
    @app.cli.command("add")
    def add():
        db.session.add(Todo())
        db.session.flush()

    assert app.test_cli_runner().invoke(args=["add"]).exit_code == 0
    assert left(app, db) == (0, 0)
