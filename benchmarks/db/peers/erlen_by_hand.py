"""SQLAlchemy in views of Erlen, its session made and closed by hand.

What erlen-db costs is what it costs more than this.
"""

from __future__ import annotations

import typing as t
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy import select
from sqlalchemy.orm import Session

from benchmarks.db.databases import ADDED
from benchmarks.db.peers import pragmas
from benchmarks.db.peers.models import Counter
from benchmarks.db.peers.models import Entry
from benchmarks.db.peers.models import Fortune
from benchmarks.db.peers.models import World
from benchmarks.db.scenarios import TWENTY
from erlen import Erlen
from erlen import render_template

if t.TYPE_CHECKING:
    import contextlib

    from sqlalchemy import Engine

    from benchmarks.db.databases import Database

TEMPLATES = Path(__file__).parent / "templates"


def build(database: Database, closing: contextlib.ExitStack) -> Erlen:
    """Build the application."""
    app = Erlen(__name__, template_folder=str(TEMPLATES))
    app.secret_key = "as in any application with a session or a flashed message"
    engine = create_engine(database.url)
    pragmas.on(engine)
    closing.callback(engine.dispose)
    add_views(app, engine)
    return app


def add_views(app: Erlen, engine: Engine) -> None:
    """Add the views."""

    @app.get("/worlds/<int:id>")
    def world(id: int) -> dict[str, t.Any]:
        with Session(engine) as session:
            world = session.get_one(World, id)
            return {"id": world.id, "number": world.number}

    @app.get("/each/<int:start>")
    def each(start: int) -> list[dict[str, t.Any]]:
        with Session(engine) as session:
            worlds = [session.get_one(World, start + step) for step in range(TWENTY)]
            return [{"id": world.id, "number": world.number} for world in worlds]

    @app.get("/together/<int:start>")
    def together(start: int) -> list[dict[str, t.Any]]:
        query = (
            select(World)
            .where(World.id >= start, World.id < start + TWENTY)
            .order_by(World.id)
        )
        with Session(engine) as session:
            worlds = session.scalars(query)
            return [{"id": world.id, "number": world.number} for world in worlds]

    @app.get("/fortunes")
    def fortunes() -> str:
        with Session(engine) as session:
            fortunes = list(session.scalars(select(Fortune)))
            fortunes.append(Fortune(id=0, message=ADDED))
            fortunes.sort(key=lambda fortune: fortune.message)
            return render_template("fortunes.html", fortunes=fortunes)

    @app.post("/entries/<int:number>")
    def entries(number: int) -> tuple[dict[str, t.Any], int]:
        with Session(engine) as session:
            session.add(Entry(number=number))
            session.commit()
            return {"number": number}, 201

    @app.put("/counters/<int:id>/<int:number>")
    def counters(id: int, number: int) -> dict[str, t.Any]:
        with Session(engine) as session:
            counter = session.get_one(Counter, id)
            counter.number = number
            session.commit()
            return {"id": id, "number": number}
