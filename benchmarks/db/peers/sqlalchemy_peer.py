"""SQLAlchemy without a framework: the floor of all who use it."""

from __future__ import annotations

import typing as t
from pathlib import Path

from jinja2 import Environment
from jinja2 import FileSystemLoader
from sqlalchemy import Engine
from sqlalchemy import create_engine
from sqlalchemy import select
from sqlalchemy.orm import Session

from benchmarks.db.databases import ADDED
from benchmarks.db.peers import handwritten
from benchmarks.db.peers import pragmas
from benchmarks.db.peers.models import Counter
from benchmarks.db.peers.models import Entry
from benchmarks.db.peers.models import Fortune
from benchmarks.db.peers.models import World
from benchmarks.db.scenarios import TWENTY

if t.TYPE_CHECKING:
    import contextlib
    from wsgiref.types import WSGIApplication

    from benchmarks.db.databases import Database

TEMPLATES = Path(__file__).parent / "templates"


def build(database: Database, closing: contextlib.ExitStack) -> WSGIApplication:
    """Build the application."""
    engine = create_engine(database.url)
    pragmas.on(engine)
    closing.callback(engine.dispose)
    return handwritten.application(_Answers(engine))


class _Answers:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        environment = Environment(
            loader=FileSystemLoader(TEMPLATES), autoescape=True, auto_reload=False
        )
        self._template = environment.get_template("fortunes.html")

    def worlds(self, key: int) -> dict[str, int]:
        with Session(self._engine) as session:
            world = session.get_one(World, key)
            return {"id": world.id, "number": world.number}

    def each(self, start: int) -> handwritten.Rows:
        with Session(self._engine) as session:
            worlds = [session.get_one(World, start + step) for step in range(TWENTY)]
            return [{"id": world.id, "number": world.number} for world in worlds]

    def together(self, start: int) -> handwritten.Rows:
        with Session(self._engine) as session:
            query = (
                select(World)
                .where(World.id >= start, World.id < start + TWENTY)
                .order_by(World.id)
            )
            worlds = session.scalars(query)
            return [{"id": world.id, "number": world.number} for world in worlds]

    def fortunes(self) -> str:
        with Session(self._engine) as session:
            fortunes = list(session.scalars(select(Fortune)))
            fortunes.append(Fortune(id=0, message=ADDED))
            fortunes.sort(key=lambda fortune: fortune.message)
            return self._template.render(fortunes=fortunes)

    def entries(self, number: int) -> dict[str, int]:
        with Session(self._engine) as session:
            session.add(Entry(number=number))
            session.commit()
            return {"number": number}

    def counters(self, key: int, number: int) -> dict[str, int]:
        with Session(self._engine) as session:
            counter = session.get_one(Counter, key)
            counter.number = number
            session.commit()
            return {"id": key, "number": number}
