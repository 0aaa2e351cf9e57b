"""Pages from a place in an order on, with cursors in place of numbers.

A page costs the same wherever it is, and rows that come or go meanwhile shift
nothing. Values are compared as the database has them, unconverted, so that what
a type rounds or rewrites in Python neither loses a row nor shows it twice.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import typing as t
import uuid
from datetime import date
from datetime import datetime
from datetime import time
from datetime import timedelta
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.engine.result import IteratorResult
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.sql import operators

from erlen import abort
from erlen import has_request_context
from erlen import request
from erlen.extension import BadSignature

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from typing_extensions import TypeVar

    from erlen.extension import Signer

    # Written without brackets, a page is one of anything.
    T = TypeVar("T", default=t.Any)
else:
    T = t.TypeVar("T")

__all__ = ["KeysetPagination", "paginate"]

Expression = sa.ColumnElement[t.Any]
OrderBy = t.Any  # an attribute, an expression, or several of them

#: Changes with the format of cursors, so that an old one is refused.
_FORMAT = "1"

# Where NULL is when nothing is said, and who can be told: the others get a CASE.
_NULL_IS_GREATEST = frozenset({"oracle", "postgresql"})
_KNOWS_NULLS_FIRST = frozenset({"oracle", "postgresql", "sqlite"})
_MYSQL = frozenset({"mariadb", "mysql"})

_MICROSECOND = timedelta(microseconds=1)

# What JSON has no word for: its type, a tag, to text, and back.
_KINDS: list[tuple[type, str, t.Callable[[t.Any], str], t.Callable[[str], t.Any]]] = [
    (float, "f", repr, float),
    (Decimal, "n", str, Decimal),
    (datetime, "t", datetime.isoformat, datetime.fromisoformat),
    (date, "d", date.isoformat, date.fromisoformat),
    (time, "h", time.isoformat, time.fromisoformat),
    (
        timedelta,
        "i",
        lambda it: str(it // _MICROSECOND),
        lambda it: int(it) * _MICROSECOND,
    ),
    (uuid.UUID, "u", lambda it: it.hex, uuid.UUID),
    *(
        (kind, "b", lambda it: base64.b64encode(it).decode(), base64.b64decode)
        for kind in (bytes, bytearray, memoryview)
    ),
]
_WRITERS = {kind: (tag, write) for kind, tag, write, _ in _KINDS}
_READERS = {tag: read for _, tag, _, read in _KINDS}


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeysetPagination(t.Generic[T]):
    """A page of a list that is read on by cursors; `db.paginate_keyset` makes it.

    Links need what the page has: `url_for(".index", cursor=page.next_cursor,
    sort=page.sort, per_page=page.per_page)`.
    """

    items: list[T]
    """The items on the page; iterating over the page gives them, too."""

    per_page: int
    """The greatest number of items on a page."""

    next_cursor: str | None
    """Where the next page begins; None on the last page."""

    prev_cursor: str | None
    """Where the page before ends; None on the first page."""

    sort: str | None = None
    """The name of the order, when there are several to choose from."""

    @property
    def has_next(self) -> bool:
        """Whether there is a next page."""
        return self.next_cursor is not None

    @property
    def has_prev(self) -> bool:
        """Whether there is a page before.

        Whoever came by a cursor came from there: that it was emptied meanwhile is
        seen on it.
        """
        return self.prev_cursor is not None

    def __iter__(self) -> cabc.Iterator[T]:
        yield from self.items


def paginate(
    session: orm.Session | orm.scoped_session[t.Any],
    select: sa.Select[T],
    *,
    signer: Signer,
    order_by: OrderBy = None,
    sort: cabc.Mapping[str, OrderBy] | None = None,
    sort_key: str | None = None,
    cursor: str | None = None,
    per_page: int | None = None,
    max_per_page: int | None = 100,
) -> KeysetPagination[T]:
    """Read the page of a list that a cursor points to, without a COUNT.

    The order ends with the primary key, which is added when nothing in the order
    is unique. NULL is where the database has it, unless `nulls_first()` or
    `nulls_last()` says where.

    Args:
        session: The session that executes the statement.
        select: The statement; it gives at most one row for each primary key of
            the model that it selects first.
        signer: Signs the cursors. The sort values of a row can be read in them.
        order_by: Columns and expressions, with `asc()` and `desc()` in any mixture.
            None is the order of the statement.
        sort: What a client may order by, by its names for it, such as
            `{"name": User.name, "-created": User.created.desc()}`. Without a
            wish it is `order_by`, or the first of these.
        sort_key: The name of one of `sort`. None is the query argument `sort` of
            the request.
        cursor: Where the page is. None is the query argument `cursor` of the
            request; an empty one is the first page.
        per_page: The greatest number of items. None is the query argument
            `per_page` of the request, or 20.
        max_per_page: At most so many items are on a page, whatever is asked for;
            None is no limit.

    Raises:
        BadRequest: The cursor is not one of this list, the name of an order is
            none of `sort`, or `per_page` is no number from 1 on.
        TypeError: A part of the order is a text, or has values that fit into no
            cursor.
        ValueError: There is no order, or two, or nothing in it is unique.
    """
    size = _read_size(per_page, max_per_page)
    name, clauses = _choose(select, order_by, sort, _ask("sort", sort_key))
    order = _Order(session, select, clauses)
    backwards, place = order.read(signer, _ask("cursor", cursor))
    statement = order.seek(select, backwards=backwards, place=place)
    rows: list[t.Any] = [*session.execute(statement.limit(size + 1)).unique()]
    more, rows = len(rows) > size, rows[:size]
    if backwards:
        rows.reverse()
    came = place is not None
    before, after = (more, came) if backwards else (came, more)

    def write(there: bool, row: int, *, backwards: bool) -> str | None:
        # From an empty page, the way goes to the end of the list that is left.
        place = rows[row][-len(order.keys) :] if rows else None
        return order.write(signer, place, backwards=backwards) if there else None

    return KeysetPagination(
        items=_strip(rows, order.names),
        per_page=size,
        next_cursor=write(after, -1, backwards=False),
        prev_cursor=write(before, 0, backwards=True),
        sort=name,
    )


class _Key:
    """One part of an order.

    Args:
        expression: What is ordered by.
        dialect: The dialect of the database.
        descending: Whether it goes downwards.
        nulls_last: Where NULL is; None is where the database has it.
        nullable: Whether there can be a NULL.
    """

    def __init__(
        self,
        expression: Expression,
        dialect: sa.Dialect,
        *,
        descending: bool,
        nulls_last: bool | None,
        nullable: bool,
    ) -> None:
        self.expression = expression
        self.descending = descending
        self.nullable = nullable
        self._dialect = dialect.name
        default = self._has_nulls_last(descending)
        self.nulls_last = default if nulls_last is None else nulls_last
        adapted = _adapt(expression, dialect)
        self.adapted = adapted is not expression
        #: What is read and compared, unconverted.
        self.value: Expression = sa.type_coerce(adapted, sa.types.NullType())

    def _has_nulls_last(self, descending: bool) -> bool:
        return (self._dialect in _NULL_IS_GREATEST) != descending

    def order(self, label: Expression, backwards: bool) -> list[Expression]:
        """Return what goes into ORDER BY."""
        descending = self.descending != backwards
        nulls_last = self.nulls_last != backwards
        # PERF: an index has the order of the column, not of what it is adapted to.
        column = self.expression if self.adapted else label
        clause = column.desc() if descending else column.asc()
        known = self._dialect in _KNOWS_NULLS_FIRST | _MYSQL
        usual = known and nulls_last == self._has_nulls_last(descending)
        if usual or not self.nullable:
            return [clause]
        if self._dialect in _KNOWS_NULLS_FIRST:
            return [clause.nulls_last() if nulls_last else clause.nulls_first()]
        null = sa.case((self.expression.is_(None), 1), else_=0)
        return [null.asc() if nulls_last else null.desc(), clause]

    def equals(self, value: t.Any) -> Expression:
        """Return the condition of the rows that have this value."""
        return self.value.is_(None) if value is None else self.value == _bind(value)

    def follows(self, value: t.Any, backwards: bool) -> Expression:
        """Return the condition of the rows that come after this value."""
        nulls_last = self.nulls_last != backwards
        if value is None:
            return sa.false() if nulls_last else self.value.is_not(None)
        downwards = self.descending != backwards
        bound = _bind(value)
        beyond = self.value < bound if downwards else self.value > bound
        if nulls_last and self.nullable:
            return sa.or_(beyond, self.value.is_(None))
        return beyond


class _Order:
    """The order of a list: finds a place in it, and has cursors for places.

    Args:
        session: The session that executes the statement.
        select: The statement.
        clauses: The parts of the order, as of ORDER BY.
    """

    def __init__(
        self, session: t.Any, select: sa.Select[t.Any], clauses: list[t.Any]
    ) -> None:
        source = _Source(select)
        self.names = source.names
        bind = session.get_bind(source.mapper, clause=select)
        self._dialect: sa.Dialect = bind.dialect
        self.keys = [self._make_key(it, source) for it in clauses]
        if not any(source.is_unique(it.expression) for it in self.keys):
            self.keys += self._make_tie_breaker(source)
        parts = [_FORMAT, source.name, *map(self._describe, self.keys)]
        digest = hashlib.sha256("\0".join(parts).encode()).digest()
        self._digest = base64.b64encode(digest[:9]).decode()

    def _make_key(self, clause: t.Any, source: _Source) -> _Key:
        expression, descending, nulls_last = _parse(clause)
        return _Key(
            expression,
            self._dialect,
            descending=descending,
            nulls_last=nulls_last,
            nullable=not source.is_filled(expression),
        )

    def _make_tie_breaker(self, source: _Source) -> list[_Key]:
        if not source.primary_key:
            raise ValueError(
                "There is no primary key to tell rows apart that are equal in the"
                " order. Select a model or a table first, or order by a column of"
                " it that has unique=True and nullable=False."
            )
        # PERF: one direction for all is what one index can serve.
        descending = self.keys[-1].descending
        return [
            _Key(
                column,
                self._dialect,
                descending=descending,
                nulls_last=None,
                nullable=False,
            )
            for column in source.primary_key
            if not any(column.compare(it.expression) for it in self.keys)
        ]

    def _describe(self, key: _Key) -> str:
        expression = key.expression
        if isinstance(getattr(expression, "table", None), sa.Table):
            text = str(expression)
        else:
            compiled = expression.compile(dialect=self._dialect)
            text = f"{compiled} {compiled.params}"
        kind = type(expression.type).__name__
        return f"{text} {kind} {key.descending} {key.nullable and key.nulls_last}"

    def read(
        self, signer: Signer, cursor: str | None
    ) -> tuple[bool, tuple[t.Any, ...] | None]:
        """Return what a cursor says: whether backwards, and from which values on.

        Raises:
            BadRequest: It is none of this order.
        """
        if not cursor:
            return False, None
        try:
            digest, backwards, values = signer.loads(cursor)
        except BadSignature:
            abort(400, "The cursor was changed, or cut off. Start without one.")
        if digest != self._digest:
            abort(400, "The cursor is of another list or order. Start without one.")
        return bool(backwards), tuple(map(_load, values))

    def write(self, signer: Signer, values: t.Any | None, *, backwards: bool) -> str:
        """Return the cursor of the row with these values; None is the end."""
        dumped = [] if values is None else list(map(_dump, values, self.keys))
        return signer.dumps([self._digest, int(backwards), dumped])

    def seek(
        self,
        select: sa.Select[t.Any],
        *,
        backwards: bool,
        place: tuple[t.Any, ...] | None,
    ) -> sa.Select[t.Any]:
        """Return the statement for the rows after a place, with their keys."""
        labels = [
            key.value.label(f"erlen_key_{number}")
            for number, key in enumerate(self.keys)
        ]
        order = [
            clause
            for key, label in zip(self.keys, labels, strict=True)
            for clause in key.order(label, backwards)
        ]
        select = select.add_columns(*labels).order_by(None).order_by(*order)
        return select.where(self._after(place, backwards)) if place else select

    def _after(self, place: tuple[t.Any, ...], backwards: bool) -> Expression:
        keys = self.keys
        # PERF: on PostgreSQL a comparison of rows is a range of an index, with many
        # equal values in the first column 12 times as fast; MariaDB reads all then.
        if self._dialect.name == "postgresql" and not any(
            it.nullable or it.descending != keys[0].descending for it in keys
        ):
            ours = sa.tuple_(*(it.value for it in keys))
            theirs = sa.tuple_(*map(_bind, place))
            downwards = keys[0].descending != backwards
            return ours < theirs if downwards else ours > theirs
        condition = keys[-1].follows(place[-1], backwards)
        for key, value in reversed(list(zip(keys[:-1], place[:-1], strict=True))):
            beyond, equal = key.follows(value, backwards), key.equals(value)
            # PERF: what is at the top, without an OR, limits the range of an index.
            condition = sa.and_(sa.or_(beyond, equal), sa.or_(beyond, condition))
        return condition


class _Source:
    """What a statement selects first: a model, an alias of one, or a table."""

    def __init__(self, select: sa.Select[t.Any]) -> None:
        descriptions: t.Any = select.column_descriptions
        description = descriptions[0]
        self.names: list[str] = [it["name"] for it in descriptions]
        entity = description.get("entity")
        self.mapper: t.Any = None
        self.primary_key: list[Expression] = []
        if entity is None:
            self._owner = getattr(description["expr"], "table", None)
            self.name = str(getattr(self._owner, "name", ""))
            if self._owner is not None:
                self.primary_key = list(self._owner.primary_key)
            return
        self._owner = sa.inspect(entity)
        self.mapper = self._owner.mapper
        self.name = self.mapper.class_.__qualname__
        for column in self.mapper.primary_key:
            key = self.mapper.get_property_by_column(column).key
            self.primary_key.append(_to_clause(getattr(entity, key)))

    def _owns(self, expression: t.Any) -> bool:
        parent = expression._annotations.get("parententity")
        if parent is None:
            parent = getattr(expression, "table", None)
        return parent is not None and parent is self._owner

    def is_filled(self, expression: t.Any) -> bool:
        """Tell whether there is surely no NULL; what is joined may have some."""
        return self._owns(expression) and not getattr(expression, "nullable", True)

    def is_unique(self, expression: t.Any) -> bool:
        """Tell whether a column alone tells all rows apart."""
        return self.is_filled(expression) and bool(expression.unique)


def _ask(name: str, given: str | None) -> str | None:
    """Return what is given, or what the request asks for."""
    if given is None and has_request_context():
        return request.args.get(name)
    return given


def _read_size(given: int | None, most: int | None) -> int:
    text: t.Any = _ask("per_page", t.cast("str | None", given))
    try:
        size = 20 if text is None else int(text)
    except (TypeError, ValueError):
        size = 0
    if size < 1:
        abort(400, "per_page must be a number from 1 on.")
    return min(size, 2**62 if most is None else most)


def _choose(
    select: sa.Select[t.Any],
    order_by: OrderBy,
    sort: cabc.Mapping[str, OrderBy] | None,
    wish: str | None,
) -> tuple[str | None, list[t.Any]]:
    """Return the name of the order and its parts."""
    own = list(select._order_by_clauses)
    if own and (sort or order_by is not None):
        raise ValueError(
            "The statement has an ORDER BY of its own, and the order is given as"
            " order_by or sort, too. Leave out one of them."
        )
    if sort and (wish or order_by is None):
        name = wish or next(iter(sort))
        if name not in sort:
            abort(400, f"There is no such order. Known are: {', '.join(sort)}.")
        return name, _list(sort[name])
    clauses = own if order_by is None else _list(order_by)
    if not clauses:
        raise ValueError(
            "Pages by cursor need an order: pass order_by or sort, or a statement"
            " with order_by()."
        )
    return None, clauses


def _list(order_by: OrderBy) -> list[t.Any]:
    if isinstance(order_by, (list, tuple)):
        return list(t.cast("cabc.Sequence[t.Any]", order_by))
    return [order_by]


def _parse(given: t.Any) -> tuple[Expression, bool, bool | None]:
    """Return a part of an order: the expression, if downwards, where NULL is."""
    descending, nulls_last = False, None
    clause: t.Any = None if isinstance(given, str) else _to_clause(given)
    while _is_column(clause):
        modifier = getattr(clause, "modifier", None)
        if modifier in {operators.asc_op, operators.desc_op}:
            descending = modifier is operators.desc_op
        elif modifier in {operators.nulls_first_op, operators.nulls_last_op}:
            nulls_last = modifier is operators.nulls_last_op
        elif clause.__visit_name__ not in {"label", "label_reference"}:
            return clause, descending, nulls_last
        clause = clause.element
    raise TypeError(
        f"{str(given)!r} is no column and no expression. Pages by cursor are ordered"
        " by such as User.name.desc(). Names that a client sends are looked up"
        " with sort={...}."
    )


def _is_column(clause: t.Any) -> bool:
    return (
        isinstance(clause, sa.ColumnElement)
        and clause.__visit_name__ != "textual_label_reference"
    )


def _to_clause(given: t.Any) -> t.Any:
    """Return what ORDER BY makes of its argument: of an attribute, a column."""
    clause: t.Any = t.cast("t.Any", sa.asc)(given)
    return getattr(clause, "element", None)


def _adapt(expression: Expression, dialect: sa.Dialect) -> Expression:
    """Return what compares as it is ordered, and comes back as it was."""
    kind: t.Any = expression.type
    while isinstance(kind, sa.TypeDecorator):
        kind = t.cast("t.Any", kind).load_dialect_impl(dialect)
    if (
        dialect.name in _MYSQL
        and kind.__visit_name__ in {"enum", "ENUM", "SET"}
        and getattr(kind, "native_enum", True)
    ):
        # Ordered by number, compared by name.
        return sa.type_coerce(expression, sa.Integer()) + sa.literal_column("0")
    if dialect.name != "sqlite" and _is_single(kind, dialect):
        # Drivers give fewer digits of four bytes than they have.
        return sa.type_coerce(expression, sa.Double[float]()) + sa.literal_column("0e0")
    return expression


def _is_single(kind: t.Any, dialect: sa.Dialect) -> bool:
    if isinstance(kind, sa.Double) or not isinstance(kind, sa.Float):
        return False
    usual = 24 if dialect.name in _MYSQL or isinstance(kind, sa.REAL) else 53
    return (kind.precision or usual) <= 24


def _bind(value: t.Any) -> Expression:
    return sa.bindparam(None, value, type_=sa.types.NullType(), unique=True)


def _dump(value: t.Any, key: _Key) -> t.Any:
    """Return a value as JSON has it, with a tag where it has no such type."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    try:
        tag, write = _WRITERS[type(value)]
    except KeyError:
        raise TypeError(
            f"{key.expression} has values of type {type(value).__name__!r}, which fit"
            " into no cursor. Order by something else."
        ) from None
    return [tag, write(value)]


def _load(value: t.Any) -> t.Any:
    if not isinstance(value, list):
        return value
    tag, text = t.cast("list[str]", value)
    return _READERS[tag](text)


def _strip(rows: list[t.Any], names: list[str]) -> list[t.Any]:
    """Return the items without the keys of the order: objects, or rows of several."""
    if len(names) == 1:
        return [row[0] for row in rows]
    cut = iter([row[: len(names)] for row in rows])
    return list(t.cast("t.Any", IteratorResult)(SimpleResultMetaData(names), cut))
