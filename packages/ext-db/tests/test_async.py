from __future__ import annotations

import asyncio
import sys

import pytest
from sqlalchemy import pool as sa_pool
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from erlen import Erlen
from erlen import extension
from erlen_db import SQLAlchemy
from erlen_db.track_modifications import models_committed

pytest.importorskip("aiosqlite")


@pytest.fixture
def app(app):
    """Return an application with two files."""
    app.config.update(
        TESTING=False,
        SQLALCHEMY_DATABASE_URI="sqlite:///a.db",
        SQLALCHEMY_BINDS={"other": "sqlite:///b.db"},
        SQLALCHEMY_ENGINE_OPTIONS={"pool_size": 3, "max_overflow": 4},
    )
    return app


@pytest.fixture
def models(app, db):
    """Return two models of two databases."""

    class Here(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str] = mapped_column(default="")

    class There(db.Model):
        __bind_key__ = "other"
        id: Mapped[int] = mapped_column(primary_key=True)

    with app.app_context():
        db.create_all()
    return Here, There


def in_context(app, function):
    """Run a coroutine function in an application context."""

    async def main():
        with app.app_context():
            result = await function()
            await app.extensions["sqlalchemy"]._dispose()
            return result

    return asyncio.run(asyncio.wait_for(main(), 20))


def test_a_view_has_a_session(app, db, models, client):
    Here, There = models
    sessions = []

    @app.get("/")
    async def view():
        session = db.async_session
        assert db.async_session is session
        sessions.append(session)
        session.add_all([Here(name="a"), There()])
        await session.commit()
        here = await session.scalar(db.select(Here))
        assert here.name == "a"  # it is not expired
        return str(len((await session.scalars(db.select(There))).all()))

    assert [client.get("/").text for _ in range(2)] == ["1", "2"]
    assert sessions[0] is not sessions[1]


def serve(app):
    """Ask for the page at the root on an event loop that ends after it."""

    async def main():
        client = app.async_test_client()
        return (await client.get("/")).text

    return asyncio.run(asyncio.wait_for(main(), 20))


def test_engines_belong_to_their_loop(app, db, models):
    found = []

    @app.get("/")
    async def view():
        engines = db.async_engines
        assert db.async_engines is engines
        pool = engines[None].sync_engine.pool
        found.append((engines, pool.size(), pool._max_overflow))
        return ""

    serve(app)
    serve(app)
    assert found[0][0] is not found[1][0]
    assert [it[1:] for it in found] == [(3, 4), (3, 4)]
    assert list(found[0][0]) == [None, "other"]


def test_a_loop_that_ends_without_a_word_is_forgotten(app, db, models):
    pools = []

    @app.get("/")
    async def view():
        await db.async_session.execute(db.select(1))
        pools.append(db.async_engines[None].sync_engine.pool)
        assert len(db._state.get_async_sessions()._engines) == 1
        return str(pools[0].checkedin())

    assert serve(app) == "0"
    assert serve(app) == "1"
    assert [it.checkedin() for it in pools] == [0, 1]


@pytest.mark.parametrize("closed", [False, True])
def test_a_script_may_leave_without_closing(app, db, models, closed):
    Here, _ = models

    async def add():
        with app.app_context():
            session = db.async_session
            session.add(Here())
            await session.flush()
            assert issubclass(type(db.async_engines[None].pool), sa_pool.NullPool)
            if closed:
                await session.close()

    async def main():
        await asyncio.gather(add(), add())
        with app.app_context():
            await db._dispose()
        with app.app_context():
            count = db.select(db.func.count()).select_from(Here)
            assert await db.async_session.scalar(count) == 0
        with app.app_context():
            await db._dispose()

    asyncio.run(asyncio.wait_for(main(), 20))


def test_a_loop_that_ends_with_the_view_keeps_nothing(app, db, models):
    pytest.importorskip("asgiref")
    pools = []

    @app.get("/")
    async def view():
        pools.append(type(db.async_engines[None].sync_engine.pool))
        return ""

    app.test_client(door="wsgi").get("/")
    assert issubclass(pools[0], sa_pool.NullPool)


def test_a_test_keeps_nothing(app, db, models):
    app.testing = True

    async def ask():
        return type(db.async_engines[None].sync_engine.pool)

    assert issubclass(in_context(app, ask), sa_pool.NullPool)


def test_changes_are_signalled_if_asked_for(app):
    app.config["SQLALCHEMY_TRACK_MODIFICATIONS"] = True
    db = SQLAlchemy(app)

    class Here(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)

    seen = []

    def note(sender, changes):
        seen.extend((type(it), what) for it, what in changes)

    async def add():
        db.async_session.add(Here())
        await db.async_session.commit()
        await db.async_session.close()

    models_committed.connect(note)
    with app.app_context():
        db.create_all()
    in_context(app, add)
    assert seen == [(Here, "insert")]


def test_options_of_sessions(app):
    db = SQLAlchemy(app, session_options={"expire_on_commit": True, "autoflush": False})

    async def ask():
        session = db.async_session.sync_session
        return session.expire_on_commit, session.autoflush

    assert in_context(app, ask) == (True, False)


def test_it_needs_an_event_loop(app, db):
    with app.app_context(), pytest.raises(RuntimeError, match="no running event loop"):
        db.async_session  # noqa: B018  # it raises


def test_it_needs_a_driver(tmp_path, monkeypatch):
    app = Erlen("acme", instance_path=str(tmp_path))
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///a.db"
    db = SQLAlchemy(app)
    monkeypatch.setitem(sys.modules, "aiosqlite", None)

    async def ask():
        return db.async_session

    with pytest.raises(extension.ConfigError, match=r"erlen-db\[async\]"):
        in_context(app, ask)
