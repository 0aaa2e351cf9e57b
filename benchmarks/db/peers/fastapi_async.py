"""FastAPI with SQLAlchemy's asyncio: the same with `async` and an async driver."""

# Annotations are read at run time, also those of functions in functions.
# ruff: noqa: TC003

import collections.abc as cabc
import contextlib
import typing as t
from pathlib import Path

from fastapi import Depends
from fastapi import FastAPI
from fastapi import Request
from fastapi import Response
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks.db.databases import ADDED
from benchmarks.db.databases import Database
from benchmarks.db.peers import pragmas
from benchmarks.db.peers.models import Counter
from benchmarks.db.peers.models import Entry
from benchmarks.db.peers.models import Fortune
from benchmarks.db.peers.models import World
from benchmarks.db.scenarios import TWENTY

TEMPLATES = Path(__file__).parent / "templates"


def build(database: Database, closing: contextlib.ExitStack) -> FastAPI:
    """Build the application."""
    url = database.url.replace("sqlite:", "sqlite+aiosqlite:", 1)
    engine = create_async_engine(url)
    pragmas.on(engine.sync_engine)
    make_session = async_sessionmaker(engine, expire_on_commit=False)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> cabc.AsyncIterator[None]:
        yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)

    async def get_session() -> cabc.AsyncIterator[AsyncSession]:
        async with make_session() as session:
            yield session

    add_views(app, get_session)
    return app


def add_views(
    app: FastAPI, get_session: cabc.Callable[[], cabc.AsyncIterator[AsyncSession]]
) -> None:
    """Add the views."""
    templates = Jinja2Templates(directory=TEMPLATES)
    SessionDep = t.Annotated[AsyncSession, Depends(get_session)]  # noqa: N806 - a type

    @app.get("/worlds/{id}")
    async def world(id: int, session: SessionDep) -> dict[str, t.Any]:
        world = await session.get_one(World, id)
        return {"id": world.id, "number": world.number}

    @app.get("/each/{start}")
    async def each(start: int, session: SessionDep) -> list[dict[str, t.Any]]:
        worlds = [await session.get_one(World, start + step) for step in range(TWENTY)]
        return [{"id": world.id, "number": world.number} for world in worlds]

    @app.get("/together/{start}")
    async def together(start: int, session: SessionDep) -> list[dict[str, t.Any]]:
        query = (
            select(World)
            .where(World.id >= start, World.id < start + TWENTY)
            .order_by(World.id)
        )
        worlds = await session.scalars(query)
        return [{"id": world.id, "number": world.number} for world in worlds]

    @app.get("/fortunes", response_class=HTMLResponse)
    async def fortunes(request: Request, session: SessionDep) -> Response:
        fortunes = list(await session.scalars(select(Fortune)))
        fortunes.append(Fortune(id=0, message=ADDED))
        fortunes.sort(key=lambda fortune: fortune.message)
        context = {"fortunes": fortunes}
        return templates.TemplateResponse(request, "fortunes.html", context)

    @app.post("/entries/{number}", status_code=201)
    async def entries(number: int, session: SessionDep) -> dict[str, t.Any]:
        session.add(Entry(number=number))
        await session.commit()
        return {"number": number}

    @app.put("/counters/{id}/{number}")
    async def counters(id: int, number: int, session: SessionDep) -> dict[str, t.Any]:
        counter = await session.get_one(Counter, id)
        counter.number = number
        await session.commit()
        return {"id": id, "number": number}
