from __future__ import annotations

import enum
import logging
import os
import typing as t
import uuid
from datetime import date
from datetime import datetime
from datetime import time
from decimal import Decimal

import pytest
import sqlalchemy as sa
from sqlalchemy import orm
from werkzeug.exceptions import NotFound

from erlen_db.query import Query
from erlen_db.query import first_or_404
from erlen_db.query import get_or_404
from erlen_db.query import one_or_404

PREFIX = f"query_{os.getpid()}_"
NAN, INF = float("nan"), float("inf")

#: What a client may send in place of any key.
HOSTILE = [
    *(
        "",
        "x",
        "abc",
        "0x1",
        "1abc",
        "1;drop",
        "1 ",
        "1_0",
        "\u0661",
        "1.5",
        "1e0",
        "--1",
    ),
    *("\0", "1\0", "\ud800", "😀", "é" * 300, "9" * 30, "9" * 5000, "null", "None"),
    *(0, -1, 2**15, 2**31, -(2**31) - 1, 2**63, 2**64, -(2**63) - 1, 10**40),
    *(1.5, NAN, INF, -INF, 1e300, None, False, [], {}, [1, 2], {"x": 1}, {"id": []}),
    *([None], [[1]], {"$gt": 1}, {"id": {"$gt": 1}}),
]


class Shape(enum.Enum):
    ROUND = 1
    SQUARE = 2


class Base(orm.DeclarativeBase):
    pass


class Custom(sa.types.UserDefinedType):
    """A type that does not tell what it is in the program."""

    cache_ok = True

    def get_col_spec(self):
        return "INTEGER"

    @property
    def python_type(self):
        raise NotImplementedError


class Doubled(sa.TypeDecorator):
    impl = sa.Integer
    cache_ok = True

    def process_bind_param(self, value, dialect):
        return int(value) * 2

    def process_result_value(self, value, dialect):
        return value // 2


DAY = date(2024, 2, 29)
#: Types of keys, the key of the one row, and other ways to say it.
KEYS = {
    "int": (sa.Integer, 1, ["1", 1.0, "01", True]),
    "small": (sa.SmallInteger, 1, ["1"]),
    "big": (sa.BigInteger, 2**62 + 1, [str(2**62 + 1)]),
    "str": (sa.String(20), "ada", []),
    "digits": (sa.String(20), "7", [7]),
    "uuid": (sa.Uuid, uuid.UUID(int=7), [str(uuid.UUID(int=7)), uuid.UUID(int=7).hex]),
    "enum": (sa.Enum(Shape, name=f"{PREFIX}shape"), Shape.ROUND, ["ROUND"]),
    "words": (sa.Enum("a", "b", native_enum=False), "a", []),
    "date": (sa.Date, DAY, ["2024-02-29"]),
    "datetime": (
        sa.DateTime,
        datetime(2024, 2, 29, 1, 2, 3),
        ["2024-02-29T01:02:03", "2024-02-29 01:02:03"],
    ),
    "time": (sa.Time, time(1, 2, 3), ["01:02:03"]),
    "decimal": (sa.Numeric(10, 2), Decimal("7.50"), ["7.5", 7.5]),
    "float": (sa.Double, 7.5, ["7.5", "0.75e1"]),
    "bytes": (None, b"ada", []),
    "latin": (None, "ada", []),
}
TABLES = {
    name: type(
        name,
        (Base,),
        {
            "__tablename__": PREFIX + name,
            "id": orm.mapped_column(kind, primary_key=True, autoincrement=False),
        },
    )
    for name, (kind, _, _) in KEYS.items()
    if kind is not None
}


class Latin(Base):
    __tablename__ = f"{PREFIX}latin"
    __table_args__ = ({"mysql_charset": "latin1", "mariadb_charset": "latin1"},)

    id: orm.Mapped[str] = orm.mapped_column(sa.String(20), primary_key=True)


class Bytes(Base):
    __tablename__ = f"{PREFIX}bytes"

    id: orm.Mapped[bytes] = orm.mapped_column(
        sa.LargeBinary(20).with_variant(sa.VARBINARY(20), "mysql", "mariadb"),
        primary_key=True,
    )


class Pair(Base):
    __tablename__ = f"{PREFIX}pair"

    left: orm.Mapped[int] = orm.mapped_column(primary_key=True, autoincrement=False)
    right: orm.Mapped[str] = orm.mapped_column(sa.String(20), primary_key=True)
    note: orm.Mapped[str | None] = orm.mapped_column(sa.String(5))


class Own(Base):
    __tablename__ = f"{PREFIX}own"

    id: orm.Mapped[t.Any] = orm.mapped_column(Custom, primary_key=True)


class Twice(Base):
    __tablename__ = f"{PREFIX}twice"

    id: orm.Mapped[int] = orm.mapped_column(
        Doubled, primary_key=True, autoincrement=False
    )


TABLES |= {"latin": Latin, "bytes": Bytes}
Int = TABLES["int"]


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


@pytest.fixture
def session(engine):
    with (
        engine.connect() as connection,
        orm.Session(connection, query_cls=Query) as session,
    ):
        session.add_all(TABLES[name](id=key) for name, (_, key, _) in KEYS.items())
        session.add_all([Pair(left=1, right="a"), Pair(left=2, right="a")])
        session.add_all([Own(id=1), Twice(id=4)])
        session.flush()
        session.expunge_all()
        yield session


def by_query(session, entity, ident, **kwargs):
    return session.query(entity).get_or_404(ident, **kwargs)


# Keys


@pytest.mark.parametrize("get", [get_or_404, by_query])
@pytest.mark.parametrize("name", KEYS)
def test_the_row_of_a_key(session, name, get):
    _, key, others = KEYS[name]
    for ident in (key, *others, [key], (key,), {"id": key}):
        assert get(session, TABLES[name], ident).id == key


@pytest.mark.parametrize("get", [get_or_404, by_query])
@pytest.mark.parametrize("name", KEYS)
def test_what_is_no_key_is_not_found(session, name, get):
    for ident in HOSTILE:
        for given in (ident, [ident], {"id": ident}):
            with pytest.raises(NotFound):
                pytest.fail(f"{get(session, TABLES[name], given).id} is at {given!r}")
    # No transaction was lost.
    assert get(session, TABLES[name], KEYS[name][1])


def test_keys_of_several_columns(session):
    for ident in ((1, "a"), [1, "a"], ["1", "a"], {"left": 1, "right": "a"}):
        assert get_or_404(session, Pair, ident).left == 1
    for ident in (
        *((1, "b"), (3, "a"), (2**70, "a"), (1, "\0"), (1, None), ("x", "a")),
        *([1], [1, "a", 2], {}, {"left": 1}, {"left": 1, "right": "a", "more": 1}),
    ):
        with pytest.raises(NotFound):
            pytest.fail(f"{get_or_404(session, Pair, ident)} is at {ident!r}")


def test_too_few_columns_are_a_mistake_of_the_program(session):
    for ident in (1, (1,), "a"):
        with pytest.raises(sa.exc.InvalidRequestError, match="Incorrect number"):
            get_or_404(session, Pair, ident)


def test_types_of_the_application_have_their_own_idea(session):
    assert get_or_404(session, Own, 1).id == 1
    assert get_or_404(session, Twice, 4).id == 4
    assert get_or_404(session, Twice, "4").id == 4
    with pytest.raises(NotFound):
        get_or_404(session, Own, 3)
    with pytest.raises(NotFound):
        get_or_404(session, Twice, 2**70)
    with pytest.raises(sa.exc.StatementError):
        get_or_404(session, Twice, "x")


def test_what_no_client_sends_is_the_mistake_of_the_program(session):
    # MariaDB's driver makes a text of anything.
    with pytest.raises((sa.exc.StatementError, NotFound)):
        get_or_404(session, Int, object())


def test_what_is_loaded_is_not_asked_for_again(session):
    row = get_or_404(session, Int, "1")
    sent = []
    sa.event.listen(
        session.connection(), "before_cursor_execute", lambda *args: sent.append(args)
    )

    assert get_or_404(session, Int, 1) is row
    assert get_or_404(session, Int, "1") is row
    assert sent == []
    assert get_or_404(session, Int, "1", populate_existing=True) is row
    assert len(sent) == 1


def test_a_scoped_session(engine):
    with engine.connect() as connection:
        session = orm.scoped_session(orm.sessionmaker(connection))
        session.add(Int(id=5))
        session.flush()
        assert get_or_404(session, Int, "5").id == 5
        assert first_or_404(session, sa.select(Int)).id == 5
        session.remove()


def test_the_client_is_told_what_you_say(session):
    select = sa.select(Int).where(Int.id == 99)
    query = session.query(Int).where(Int.id == 99)
    for ask in (
        lambda: get_or_404(session, Int, 99, description="No such thing."),
        lambda: get_or_404(session, Int, "x", description="No such thing."),
        lambda: first_or_404(session, select, description="No such thing."),
        lambda: one_or_404(session, select, description="No such thing."),
        lambda: session.query(Int).get_or_404(99, "No such thing."),
        lambda: query.first_or_404("No such thing."),
        lambda: query.one_or_404(description="No such thing."),
    ):
        with pytest.raises(NotFound, match="No such thing"):
            ask()


# Statements


def test_the_first_and_the_only_one(session):
    pairs = sa.select(Pair).order_by(Pair.left.desc())
    one = pairs.where(Pair.left == 1)

    assert first_or_404(session, pairs).left == 2
    assert one_or_404(session, one).left == 1
    assert (
        first_or_404(session, sa.select(Pair.left, Pair.right).order_by(Pair.left)) == 1
    )
    with pytest.raises(NotFound):
        one_or_404(session, pairs)
    # As `scalar` has it, a NULL is nothing.
    with pytest.raises(NotFound):
        first_or_404(session, sa.select(Pair.note))
    assert session.query(Pair).order_by(Pair.left).first_or_404().left == 1
    assert session.query(Pair).where(Pair.left == 2).one_or_404().left == 2
    with pytest.raises(NotFound):
        session.query(Pair).one_or_404()


@pytest.mark.parametrize(
    "value", ["\0", "\ud800", "😀", 2**31, 2**63, 2**64, -(2**70), 10**40]
)
def test_values_that_fit_into_no_column(engine, value, caplog):
    column = Latin.id if isinstance(value, str) else Int.id
    caplog.set_level(logging.INFO, "erlen_db")
    for ask in (
        lambda session: first_or_404(session, sa.select(column).where(column == value)),
        lambda session: one_or_404(session, sa.select(column).where(column == value)),
        lambda session: session.query(column).where(column == value).first_or_404(),
        lambda session: session.query(column).where(column == value).one_or_404(),
    ):
        with (
            engine.connect() as connection,
            orm.Session(connection, query_cls=Query) as session,
            pytest.raises(NotFound),
        ):
            ask(session)
    assert all("fits into no row" in it.getMessage() for it in caplog.records)


def test_a_mistake_in_a_statement_stays_one(session):
    with pytest.raises((sa.exc.OperationalError, sa.exc.ProgrammingError)):
        first_or_404(session, sa.text("SELECT * FROM nowhere"))


@pytest.mark.service
@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_a_division_by_zero_is_a_mistake(session):
    with pytest.raises(sa.exc.DataError):
        first_or_404(session, sa.select(sa.literal_column("1 / 0")))


def test_what_a_flush_cannot_write_is_no_404(engine):
    with engine.connect() as connection, orm.Session(connection) as session:
        session.add(Int(id=2**70))
        with pytest.raises((sa.exc.DataError, OverflowError)):
            first_or_404(session, sa.select(Int))


# The legacy query


def test_a_query_turns_pages(session):
    page = session.query(Pair).order_by(Pair.left).paginate(page=1, per_page=1)

    assert [it.left for it in page] == [1]
    assert (page.total, page.max_per_page) == (2, 100)
    assert [it.left for it in page.next()] == [2]
    query = session.query(Pair)
    with pytest.raises(NotFound):
        query.paginate(page=3, count=False)
    page = query.paginate(page=3, count=False, error_out=False, max_per_page=None)
    assert page.items == []
    assert page.total is None


def test_a_query_with_a_condition_has_no_key(session):
    with pytest.raises(sa.exc.InvalidRequestError, match="existing criterion"):
        session.query(Int).where(Int.id == 1).get_or_404(1)
