from __future__ import annotations

import asyncio
import os

import pytest
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.ext.asyncio import create_async_engine
from werkzeug.exceptions import NotFound

from erlen_db.pagination import Pagination
from erlen_db.pagination import QueryPagination
from erlen_db.pagination import SelectPagination
from erlen_db.pagination import paginate_async
from erlen_db.query import Query

PREFIX = f"pages_{os.getpid()}_"
HUGE = [2**31, 2**63, 2**64, 10**30]


class Base(orm.DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = f"{PREFIX}item"

    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str] = orm.mapped_column(sa.String(20))
    parts: orm.Mapped[list[Part]] = orm.relationship(lazy="joined")


class Part(Base):
    __tablename__ = f"{PREFIX}part"

    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    item_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey(Item.id))


def fill(session, count=45):
    session.add_all(Item(id=it, name=f"item {it}") for it in range(1, count + 1))
    session.flush()
    session.add_all(Part(item_id=it % 3 + 1) for it in range(9))
    session.flush()


@pytest.fixture(
    scope="module",
    params=[
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.service),
        pytest.param("mariadb", marks=pytest.mark.service),
    ],
)
def engine(request, connect):
    engine = connect(request.param)
    Base.metadata.create_all(engine)
    yield engine
    Base.metadata.drop_all(engine)
    engine.dispose()


@pytest.fixture(scope="module")
def filled(connect):
    """Return an engine whose database has 45 items."""
    engine = connect("sqlite")
    Base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        fill(session)
        session.commit()
    yield engine
    engine.dispose()


@pytest.fixture
def session(filled):
    with orm.Session(filled, query_cls=Query) as session:
        yield session


SELECT = sa.select(Item).order_by(Item.id)


def select(session, statement=SELECT, **kwargs):
    return SelectPagination(select=statement, session=session, **kwargs)


def legacy(session, **kwargs):
    return QueryPagination(query=session.query(Item).order_by(Item.id), **kwargs)


def ids(page):
    return [it.id for it in page]


class Counted(Pagination):
    """Pages over a range of numbers, as an application makes its own."""

    def _query_items(self):
        start = self._query_offset
        return list(range(self._query_args["total"]))[start : start + self.per_page]

    def _query_count(self):
        return self._query_args["total"]


# Pages


@pytest.mark.parametrize("paginate", [select, legacy])
def test_a_page_in_the_middle(session, paginate):
    page = paginate(session, page=2)

    assert ids(page) == ids(page.items) == list(range(21, 41))
    assert (page.page, page.per_page, page.max_per_page) == (2, 20, 100)
    assert (page.total, page.pages) == (45, 3)
    assert (page.first, page.last) == (21, 40)
    assert (page.has_prev, page.prev_num) == (True, 1)
    assert (page.has_next, page.next_num) == (True, 3)
    assert ids(page.prev()) == list(range(1, 21))
    following = page.next()
    assert ids(following) == list(range(41, 46))
    assert (following.total, following.pages, following.per_page) == (45, 3, 20)
    assert (following.has_next, following.next_num) == (False, None)
    assert (following.first, following.last) == (41, 45)
    first = page.prev()
    assert (first.has_prev, first.prev_num) == (False, None)
    assert isinstance(first, type(page))


@pytest.mark.parametrize("paginate", [select, legacy])
def test_without_a_count_the_next_page_is_known(session, paginate):
    page = paginate(session, page=1, per_page=15, count=False)
    seen = ids(page)
    while page.has_next:
        assert page.total is None
        assert page.pages == 0
        assert page.next_num == page.page + 1
        assert len(page.items) == 15
        assert list(page.iter_pages()) == []
        page = page.next()
        seen += ids(page)

    assert seen == list(range(1, 46))
    assert (page.page, page.next_num) == (3, None)
    page.total = 46
    assert (page.pages, page.has_next) == (4, True)


def test_a_count_is_sent_when_it_is_wanted(session):
    sent = []
    sa.event.listen(
        session.connection(), "before_cursor_execute", lambda *args: sent.append(args)
    )
    select(session, page=1).next()
    assert len(sent) == 3
    sent.clear()
    select(session, page=1, count=False).next()
    assert len(sent) == 2


def test_an_item_that_is_joined_to_several_is_one(session):
    page = select(session, page=1, per_page=2)

    assert ids(page) == [1, 2]
    assert [len(it.parts) for it in page] == [3, 3]
    assert page.total == 45


def test_one_column(session):
    page = select(session, sa.select(Item.name).order_by(Item.id), page=9, per_page=5)

    assert page.items == [f"item {it}" for it in range(41, 46)]


def test_columns_of_the_same_name_are_counted(session):
    statement = sa.select(Item, Part.id).join(Item.parts).order_by(Part.id)

    assert select(session, statement).total == 9


def test_nothing(session):
    page = select(session, SELECT.where(Item.id < 0))

    assert page.items == []
    assert (page.page, page.total, page.pages, page.first, page.last) == (1, 0, 0, 0, 0)
    assert not page.has_prev
    assert not page.has_next
    assert list(page.iter_pages()) == []


def test_pages_of_an_own_class():
    page = Counted(page=2, per_page=3, total=7)

    assert list(page) == [3, 4, 5]
    assert (page.pages, page.has_next) == (3, True)
    assert list(page.next()) == [6]
    assert page.next().total == 7
    # Which reads no more than it shows: there is nothing that tells of more.
    assert not Counted(page=2, per_page=3, total=7, count=False).has_next


def test_the_base_has_no_query():
    with pytest.raises(NotImplementedError):
        Pagination()
    with pytest.raises(NotImplementedError):
        Pagination._query_count(Counted(total=1))


@pytest.mark.parametrize(
    ("total", "page", "kwargs", "expected"),
    [
        (20, 7, {}, [1, 2, None, 5, 6, 7, 8, 9, 10, 11, None, 19, 20]),
        (1, 1, {}, [1]),
        (7, 1, {}, [1, 2, 3, 4, 5, 6, 7]),
        (9, 1, {}, [1, 2, 3, 4, 5, None, 8, 9]),
        (9, 9, {}, [1, 2, None, 7, 8, 9]),
        (20, 4, {}, [1, 2, 3, 4, 5, 6, 7, 8, None, 19, 20]),
        (20, 20, {}, [1, 2, None, 18, 19, 20]),
        (20, 7, {"left_edge": 0, "right_edge": 0}, [None, *range(5, 12), None]),
        (
            20,
            7,
            {"left_current": 0, "right_current": 0},
            [1, 2, None, 7, None, 19, 20],
        ),
        (3, 1, {"left_edge": 9, "right_edge": 9}, [1, 2, 3]),
        (20, 99, {}, [1, 2, None, 19, 20]),
    ],
)
def test_numbers_for_links(total, page, kwargs, expected):
    paged = Counted(page=page, per_page=1, total=total, error_out=False)

    assert list(paged.iter_pages(**kwargs)) == expected


def test_links_cost_what_is_shown():
    page = Counted(page=1, per_page=1, total=1)
    page.total = 10**18

    assert len(list(page.iter_pages())) == 8


# What a client asks for


@pytest.fixture
def app(app, filled):
    @app.get("/")
    @app.get("/<int:out>")
    def index(out=1):
        with orm.Session(filled) as session:
            page = select(session, error_out=bool(out), max_per_page=10)
            return {"ids": ids(page), "at": [page.page, page.per_page]}

    return app


@pytest.mark.parametrize(
    ("query", "first", "at"),
    [
        ("", 1, [1, 10]),
        ("page=2", 11, [2, 10]),
        ("page=2&per_page=7", 8, [2, 7]),
        ("page=1&per_page=5000", 1, [1, 10]),
        ("per_page=" + "9" * 30, 1, [1, 10]),
    ],
)
def test_the_request_says_which_page(client, query, first, at):
    answer = client.get(f"/?{query}").json

    assert answer["at"] == at
    assert answer["ids"] == list(range(first, first + at[1]))


@pytest.mark.parametrize(
    ("query", "at"),
    [
        *((f"page={it}", [1, 10]) for it in ("0", "-1", "x", "", "1.5", "%00", "1e3")),
        *((f"per_page={it}", [1, 10]) for it in ("0", "-1", "x", "", "nan")),
        ("page=" + "9" * 5000, [1, 10]),
        ("page=6", [6, 10]),
        *((f"page={it}", [it, 10]) for it in HUGE),
    ],
)
def test_what_is_no_page_is_a_404_or_the_default(client, query, at):
    assert client.get(f"/?{query}").status_code == 404
    response = client.get(f"/0?{query}")
    assert response.status_code == 200
    assert response.json["at"] == at
    assert response.json["ids"] == (list(range(1, 11)) if at[0] == 1 else [])


@pytest.mark.parametrize(
    "kwargs",
    [
        {"page": 0},
        {"page": "x"},
        {"page": []},
        {"per_page": 0},
        {"page": float("inf")},
        {"page": 4},
    ],
)
def test_what_is_given_wrong_is_a_404_as_well(session, kwargs):
    with pytest.raises(NotFound):
        select(session, **kwargs)
    assert select(session, **kwargs, error_out=False).page in {1, 4}


def test_what_is_given_wins_over_the_request(app, session):
    with app.test_request_context("/?page=7&per_page=x"):
        page = select(session, page=2, per_page=3)
    assert ids(page) == [4, 5, 6]


@pytest.mark.parametrize("count", [True, False])
@pytest.mark.parametrize("number", HUGE)
def test_no_number_is_too_large_for_a_database(engine, number, count):
    with engine.connect() as connection, orm.Session(connection) as session:
        fill(session)
        kwargs = {"max_per_page": None, "count": count}
        with pytest.raises(NotFound):
            select(session, page=number, **kwargs)
        with pytest.raises(NotFound):
            select(session, page=2**31, per_page=number, **kwargs)
        page = select(session, page=1, per_page=number, **kwargs)
        assert ids(page) == list(range(1, 46))
        assert not page.has_next
        page = select(session, page=number, per_page=number, error_out=False, **kwargs)
        assert page.items == []
        assert page.total == (45 if count else None)


def test_async_views(tmp_path, app):
    async def run():
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/test.db")
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with AsyncSession(engine) as session:
            await session.run_sync(fill)
            with app.test_request_context("/?page=2"):
                page = await paginate_async(session, SELECT, per_page=10)
            assert ids(page) == list(range(11, 21))
            assert page.total == 45
            page = await paginate_async(session, SELECT, per_page=10, count=False)
            assert page.has_next
        await engine.dispose()

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(run())
