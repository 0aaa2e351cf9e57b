"""Erlen with erlen-db: the Erlen peer with its imports changed, which a test checks."""

from __future__ import annotations

import typing as t
from pathlib import Path

from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from benchmarks.db.databases import ADDED
from benchmarks.db.scenarios import TWENTY
from erlen import Erlen
from erlen import render_template
from erlen_db import SQLAlchemy

if t.TYPE_CHECKING:
    import contextlib

    from benchmarks.db.databases import Database

TEMPLATES = Path(__file__).parent / "templates"


class Base(DeclarativeBase):
    """The base of the models."""


db = SQLAlchemy(model_class=Base)


class World(db.Model):
    """A row that is read."""

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int]


class Counter(db.Model):
    """A row that is changed."""

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int]


class Fortune(db.Model):
    """A line of the page."""

    id: Mapped[int] = mapped_column(primary_key=True)
    message: Mapped[str]


class Entry(db.Model):
    """A row that is inserted."""

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int]


def build(database: Database, closing: contextlib.ExitStack) -> Erlen:
    """Build the application."""
    app = Erlen(__name__, template_folder=str(TEMPLATES))
    app.secret_key = "as in any application with a session or a flashed message"
    app.config["SQLALCHEMY_DATABASE_URI"] = database.url
    db.init_app(app)
    with app.app_context():
        engine = db.engine
    closing.callback(engine.dispose)
    add_views(app)
    return app


def add_views(app: Erlen) -> None:
    """Add the views."""

    @app.get("/worlds/<int:id>")
    def world(id: int) -> dict[str, t.Any]:
        world = db.session.get_one(World, id)
        return {"id": world.id, "number": world.number}

    @app.get("/each/<int:start>")
    def each(start: int) -> list[dict[str, t.Any]]:
        worlds = [db.session.get_one(World, start + step) for step in range(TWENTY)]
        return [{"id": world.id, "number": world.number} for world in worlds]

    @app.get("/together/<int:start>")
    def together(start: int) -> list[dict[str, t.Any]]:
        query = (
            db.select(World)
            .where(World.id >= start, World.id < start + TWENTY)
            .order_by(World.id)
        )
        worlds = db.session.scalars(query)
        return [{"id": world.id, "number": world.number} for world in worlds]

    @app.get("/fortunes")
    def fortunes() -> str:
        fortunes = list(db.session.scalars(db.select(Fortune)))
        fortunes.append(Fortune(id=0, message=ADDED))
        fortunes.sort(key=lambda fortune: fortune.message)
        return render_template("fortunes.html", fortunes=fortunes)

    @app.post("/entries/<int:number>")
    def entries(number: int) -> tuple[dict[str, t.Any], int]:
        db.session.add(Entry(number=number))
        db.session.commit()
        return {"number": number}, 201

    @app.put("/counters/<int:id>/<int:number>")
    def counters(id: int, number: int) -> dict[str, t.Any]:
        counter = db.session.get_one(Counter, id)
        counter.number = number
        db.session.commit()
        return {"id": id, "number": number}
