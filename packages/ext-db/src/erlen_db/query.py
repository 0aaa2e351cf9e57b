"""Rows that must be there: what is not found, or cannot exist, is a 404.

What a client sends as a key is checked before a driver sees it. A number of 65
bits, a text with a NUL or "abc" for a number is the key of no row on any database,
and does not cost the transaction, as an error of PostgreSQL would.
"""

from __future__ import annotations

import contextlib
import enum
import inspect
import logging
import math
import re
import typing as t
import uuid
from datetime import date
from datetime import datetime
from datetime import time
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc
from sqlalchemy import orm

from erlen import abort

from .pagination import QueryPagination

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from typing_extensions import TypeVar

    # Written without brackets, a query is one of anything.
    T = TypeVar("T", default=t.Any)
else:
    T = t.TypeVar("T")

__all__ = ["Query", "first_or_404", "get_or_404", "one_or_404"]

AnySession = orm.Session | orm.scoped_session[t.Any]

_log = logging.getLogger("erlen_db")

_NUMBER = re.compile(r"-?[0-9]+")

# PostgreSQL, division by zero: of the data errors the one that no value sent can cause.
_DIVISION = "22012"

# MariaDB, illegal mix of collations: a character that the column's character set lacks.
_COLLATIONS = 1267

# What comes of URLs and JSON.
_SENT = (bool, dict, float, int, list, str, type(None))


class Query(orm.Query[T]):
    """SQLAlchemy's legacy query, which answers 404 for what is not found.

    In new code, use `db.select` with `db.get_or_404` and `db.paginate`.
    """

    def get_or_404(self, ident: t.Any, description: str | None = None) -> T:
        """Return the row of a primary key; none is a 404.

        Args:
            ident: The key; a tuple or a dict where it has several columns.
            description: What the client is told.
        """
        entity = self.column_descriptions[0]["entity"]

        def get(ident: t.Any) -> T | None:
            # Around the warning that `get` is legacy: the whole class says so.
            unwrapped: t.Any = inspect.unwrap(t.cast("t.Any", orm.Query).get)
            return t.cast("T | None", unwrapped(self, ident))

        return _get(self.session, entity, ident, description, get)

    def first_or_404(self, description: str | None = None) -> T:
        """Return the first result; none is a 404.

        Args:
            description: What the client is told.
        """
        with _found_or_404(self.session, description) as found:
            found.append(self.first())
        return t.cast("T", found[0])

    def one_or_404(self, description: str | None = None) -> T:
        """Return the only result; none or several are a 404.

        Args:
            description: What the client is told.
        """
        with _found_or_404(self.session, description) as found:
            found.append(self.one())
        return t.cast("T", found[0])

    def paginate(
        self,
        *,
        page: int | None = None,
        per_page: int | None = None,
        max_per_page: int | None = 100,
        error_out: bool = True,
        count: bool = True,
    ) -> QueryPagination[T]:
        """Read a page.

        Args:
            page: The number of the page, from 1. None is the query argument
                `page` of the request, or 1.
            per_page: The number of items on a page. None is the query argument
                `per_page` of the request, or 20.
            max_per_page: At most so many items are on a page; None is no limit.
            error_out: Whether an empty page and wrong numbers are a 404.
            count: Whether a COUNT gives the total number of items.
        """
        return QueryPagination(
            query=self,
            page=page,
            per_page=per_page,
            max_per_page=max_per_page,
            error_out=error_out,
            count=count,
        )


def get_or_404(
    session: AnySession,
    entity: type[T],
    ident: t.Any,
    *,
    description: str | None = None,
    **kwargs: t.Any,
) -> T:
    """Return the row of a primary key; none is a 404.

    Args:
        session: The session.
        entity: The model.
        ident: The key; a tuple or a dict where it has several columns. A text is
            read as what the column holds: a number, a UUID, a date.
        description: What the client is told.
        **kwargs: What `Session.get` takes.
    """

    def get(ident: t.Any) -> T | None:
        return session.get(entity, ident, **kwargs)

    return _get(session, entity, ident, description, get)


def first_or_404(
    session: AnySession,
    statement: sa.Executable,
    *,
    description: str | None = None,
) -> t.Any:
    """Return the first column of the first row, as `Result.scalar`; none is a 404.

    Args:
        session: The session.
        statement: A select.
        description: What the client is told.
    """
    with _found_or_404(session, description) as found:
        found.append(session.execute(statement).scalar())
    return found[0]


def one_or_404(
    session: AnySession,
    statement: sa.Executable,
    *,
    description: str | None = None,
) -> t.Any:
    """Return the value of the only row, as `Result.scalar_one`, or a 404.

    Args:
        session: The session.
        statement: A select.
        description: What the client is told where there are no rows, or several.
    """
    with _found_or_404(session, description) as found:
        found.append(session.execute(statement).scalar_one())
    return found[0]


def _get(
    session: AnySession,
    entity: t.Any,
    ident: t.Any,
    description: str | None,
    get: t.Callable[[t.Any], T | None],
) -> T:
    try:
        ident = _fit_identity(session, sa.inspect(entity).mapper, ident)
    except (ArithmeticError, TypeError, ValueError):
        abort(404, description)
    with _found_or_404(session, description) as found:
        found.append(get(ident))
    return t.cast("T", found[0])


@contextlib.contextmanager
def _found_or_404(
    session: AnySession, description: str | None
) -> cabc.Generator[list[t.Any]]:
    """Give a list for what is found; None in it, or a value that cannot be, is a 404."""
    found: list[t.Any] = []
    try:
        yield found
    except (sa_exc.NoResultFound, sa_exc.MultipleResultsFound):
        found = [None]
    except (
        OverflowError,
        UnicodeEncodeError,
        sa_exc.DataError,
        sa_exc.OperationalError,
    ) as exc:
        # After an error in a flush, which wrote something else, it is not active.
        if not session.is_active or not _is_unfit(exc):
            raise
        _log.info("Not found, because a value fits into no row: %r", exc)
        found = [None]
    if found[0] is None:
        abort(404, description)


def _is_unfit(exc: Exception) -> bool:
    """Tell whether an error says that the database cannot have such a value."""
    if not isinstance(exc, sa_exc.DBAPIError):
        return True
    orig: t.Any = exc.orig
    if isinstance(exc, sa_exc.DataError):
        state = getattr(orig, "sqlstate", None) or getattr(orig, "pgcode", None)
        return state != _DIVISION
    return bool(orig.args) and orig.args[0] == _COLLATIONS


def _fit_identity(session: AnySession, mapper: t.Any, ident: t.Any) -> t.Any:
    """Return a key as the columns have it.

    Raises:
        ArithmeticError: It is the key of no row, as in the next two.
        TypeError: As above.
        ValueError: As above.
    """
    columns = mapper.primary_key
    kind = t.cast("t.Any", type(ident))
    if kind is dict:
        names = [mapper.get_property_by_column(it).key for it in columns]
        if set(ident) != set(names):
            raise ValueError(names)
        values = [ident[it] for it in names]
    elif kind is tuple or kind is list:
        values = list(ident)
        if kind is list and len(values) != len(columns):
            raise ValueError(values)
    else:
        values = [ident]
    if len(values) != len(columns):
        return ident  # SQLAlchemy tells the programmer
    return tuple(
        _fit(session, mapper, column, value)
        for column, value in zip(columns, values, strict=True)
    )


def _fit(session: AnySession, mapper: t.Any, column: t.Any, value: t.Any) -> t.Any:
    """Return one value of a key as its column has it."""
    if not _is_sent(value):
        return value
    kind = column.type
    if isinstance(kind, sa.Enum):
        if value not in kind.enums:
            raise ValueError(value)
        return value
    value = _convert(kind, value)
    if isinstance(value, str):
        value.encode()  # a lone surrogate is no text
        if "\0" in value and _dialect(session, mapper) == "postgresql":
            raise ValueError(value)
    elif isinstance(value, int) and not -(2**15) <= value < 2**15:
        bits = _bits(kind, _dialect(session, mapper))
        if bits and not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
            raise ValueError(value)
    return value


def _is_sent(value: t.Any) -> bool:
    """Tell whether a value is of a type that comes of URLs and JSON.

    What is of another one comes of the program, which wants to see the error.
    """
    return isinstance(value, _SENT) and not isinstance(value, enum.Enum)


def _convert(kind: t.Any, value: t.Any) -> t.Any:
    if isinstance(kind, sa.TypeDecorator):
        return value  # it has its own idea
    try:
        convert = _CONVERTERS.get(kind.python_type)
    except NotImplementedError:  # a type of the application's own
        return value
    return value if convert is None else convert(value)


def _dialect(session: AnySession, mapper: t.Any) -> str:
    return session.get_bind(mapper).dialect.name


def _bits(kind: t.Any, dialect: str) -> int:
    """Return how many bits an integer may have for the driver; 0 is any number."""
    if dialect == "sqlite":
        return 64
    if dialect != "postgresql":
        return 0
    if isinstance(kind, sa.BigInteger):
        return 64
    return 16 if isinstance(kind, sa.SmallInteger) else 32


def _to_int(value: t.Any) -> int:
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        raise ValueError(value)  # MariaDB would take "12abc" for 12
    number = int(value)
    if not isinstance(value, str) and value != number:
        raise ValueError(value)  # PostgreSQL would round it
    return number


def _to_float(value: t.Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(value)
    return number


def _to_decimal(value: t.Any) -> Decimal:
    number = Decimal(value)
    if not number.is_finite():
        raise ValueError(value)
    return number


def _to_text(value: t.Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # MariaDB would take any text for 0
    raise TypeError(value)


def _to_uuid(value: t.Any) -> uuid.UUID:
    return uuid.UUID(_to_text(value))


def _to_bytes(value: t.Any) -> bytes:
    raise TypeError(value)


_CONVERTERS: dict[type, t.Callable[[t.Any], t.Any]] = {
    Decimal: _to_decimal,
    bytes: _to_bytes,
    date: date.fromisoformat,
    datetime: datetime.fromisoformat,
    float: _to_float,
    int: _to_int,
    str: _to_text,
    time: time.fromisoformat,
    uuid.UUID: _to_uuid,
}
