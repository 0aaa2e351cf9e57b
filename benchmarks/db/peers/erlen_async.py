"""Erlen with erlen-db over ASGI: `async` views with `db.async_session`."""

from __future__ import annotations

import typing as t
from pathlib import Path

from benchmarks.db.databases import ADDED
from benchmarks.db.peers.erlen_peer import Counter
from benchmarks.db.peers.erlen_peer import Entry
from benchmarks.db.peers.erlen_peer import Fortune
from benchmarks.db.peers.erlen_peer import World
from benchmarks.db.peers.erlen_peer import db
from benchmarks.db.scenarios import TWENTY
from erlen import Erlen
from erlen import render_template

if t.TYPE_CHECKING:
    import contextlib

    from benchmarks.asgi.door import ASGIApp
    from benchmarks.db.databases import Database

TEMPLATES = Path(__file__).parent / "templates"


def build(database: Database, closing: contextlib.ExitStack) -> ASGIApp:
    """Build the application."""
    app = Erlen(__name__, template_folder=str(TEMPLATES))
    app.secret_key = "as in any application with a session or a flashed message"
    app.config["SQLALCHEMY_DATABASE_URI"] = database.url
    db.init_app(app)
    add_views(app)
    return app.asgi


def add_views(app: Erlen) -> None:
    """Add the views."""

    @app.get("/worlds/<int:id>")
    async def world(id: int) -> dict[str, t.Any]:
        world = await db.async_session.get_one(World, id)
        return {"id": world.id, "number": world.number}

    @app.get("/each/<int:start>")
    async def each(start: int) -> list[dict[str, t.Any]]:
        worlds = [
            await db.async_session.get_one(World, start + step)
            for step in range(TWENTY)
        ]
        return [{"id": world.id, "number": world.number} for world in worlds]

    @app.get("/together/<int:start>")
    async def together(start: int) -> list[dict[str, t.Any]]:
        query = (
            db.select(World)
            .where(World.id >= start, World.id < start + TWENTY)
            .order_by(World.id)
        )
        worlds = await db.async_session.scalars(query)
        return [{"id": world.id, "number": world.number} for world in worlds]

    @app.get("/fortunes")
    async def fortunes() -> str:
        fortunes = list(await db.async_session.scalars(db.select(Fortune)))
        fortunes.append(Fortune(id=0, message=ADDED))
        fortunes.sort(key=lambda fortune: fortune.message)
        return render_template("fortunes.html", fortunes=fortunes)

    @app.post("/entries/<int:number>")
    async def entries(number: int) -> tuple[dict[str, t.Any], int]:
        db.async_session.add(Entry(number=number))
        await db.async_session.commit()
        return {"number": number}, 201

    @app.put("/counters/<int:id>/<int:number>")
    async def counters(id: int, number: int) -> dict[str, t.Any]:
        counter = await db.async_session.get_one(Counter, id)
        counter.number = number
        await db.async_session.commit()
        return {"id": id, "number": number}
