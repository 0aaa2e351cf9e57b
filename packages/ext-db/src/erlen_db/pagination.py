"""Pages by number, which LIMIT and OFFSET cut out.

What a client asks for is checked before there is a statement, so that no number
that it sends is an error of the database.
"""

from __future__ import annotations

import typing as t

import sqlalchemy as sa
from sqlalchemy import orm

from erlen import abort
from erlen import has_request_context
from erlen import request

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from sqlalchemy.ext.asyncio import AsyncSession
    from typing_extensions import TypeVar

    # Written without brackets, a page is one of anything.
    T = TypeVar("T", default=t.Any)
else:
    T = t.TypeVar("T")

__all__ = ["Pagination", "QueryPagination", "SelectPagination", "paginate_async"]

#: The greatest number that the databases take for LIMIT and OFFSET.
_MAX = 2**63 - 1


class Pagination(t.Generic[T]):
    """A page of the rows of a query. `db.paginate` and `Query.paginate` make them.

    It is a base class: a subclass has `_query_items` and `_query_count`.

    Args:
        page: The number of the page, from 1. None is the query argument `page`
            of the request, or 1.
        per_page: The number of items on a page. None is the query argument
            `per_page` of the request, or 20.
        max_per_page: At most so many items are on a page, whatever is asked for;
            None is no limit.
        error_out: Whether it is a 404 when there are no items on a page other
            than the first, and when `page` or `per_page` is no number from 1 on.
            Otherwise the page is empty, or the default is taken.
        count: Whether a COUNT gives the total number of items. Without it `total`
            is None and `pages` 0 until you set `total`; `has_next` is right still,
            because one more row is read.
        **kwargs: What the subclass needs for its queries.
    """

    page: int
    """The number of the page."""

    per_page: int
    """The number of items on a page."""

    max_per_page: int | None
    """At most so many items are on a page."""

    items: list[T]
    """The items on the page; iterating over the page gives them, too."""

    total: int | None
    """The number of items on all pages, or None if they were not counted."""

    def __init__(
        self,
        page: int | None = None,
        per_page: int | None = None,
        max_per_page: int | None = 100,
        error_out: bool = True,
        count: bool = True,
        **kwargs: t.Any,
    ) -> None:
        self._query_args = kwargs
        self._counts = count
        self.page = _read("page", page, 1, error_out)
        per_page = _read("per_page", per_page, 20, error_out)
        self.per_page = (
            per_page if max_per_page is None else min(per_page, max_per_page)
        )
        self.max_per_page = max_per_page
        # There is nothing so far away, and a driver would raise at the number.
        found = self._query_items() if self._query_offset <= _MAX else []
        self._more = not count and len(found) > self.per_page
        self.items = found[: self.per_page] if self._more else found
        if not self.items and self.page != 1 and error_out:
            abort(404)
        self.total = self._query_count() if count else None

    @property
    def _query_offset(self) -> int:
        """How many rows are on the pages before."""
        return (self.page - 1) * self.per_page

    @property
    def _query_limit(self) -> int:
        """How many rows to read; without COUNT, one more tells of a next page."""
        return min(self.per_page + (not self._counts), _MAX)

    def _query_items(self) -> list[T]:
        """Read the items of this page.

        What the query needs is in `_query_args`. A list of more than `per_page`
        items has a next page, when they are not counted.
        """
        raise NotImplementedError

    def _query_count(self) -> int:
        """Count the items of all pages."""
        raise NotImplementedError

    @property
    def first(self) -> int:
        """The number of the first item on the page, from 1; 0 without items."""
        return self._query_offset + 1 if self.items else 0

    @property
    def last(self) -> int:
        """The number of the last item on the page, from 1; 0 without items."""
        return self._query_offset + len(self.items) if self.items else 0

    @property
    def pages(self) -> int:
        """The number of pages; 0 if the items were not counted."""
        return -(-self.total // self.per_page) if self.total else 0

    @property
    def has_prev(self) -> bool:
        """Whether there is a page before."""
        return self.page > 1

    @property
    def prev_num(self) -> int | None:
        """The number of the page before, or None."""
        return self.page - 1 if self.has_prev else None

    def prev(self, *, error_out: bool = False) -> t.Self:
        """Read the page before.

        Args:
            error_out: As of the class.
        """
        return self._turn(self.page - 1, error_out)

    @property
    def has_next(self) -> bool:
        """Whether there is a next page; known without COUNT as well."""
        return self._more if self.total is None else self.page < self.pages

    @property
    def next_num(self) -> int | None:
        """The number of the next page, or None."""
        return self.page + 1 if self.has_next else None

    def next(self, *, error_out: bool = False) -> t.Self:
        """Read the next page.

        Args:
            error_out: As of the class.
        """
        return self._turn(self.page + 1, error_out)

    def _turn(self, page: int, error_out: bool) -> t.Self:
        turned = self.__class__(
            page=page,
            per_page=self.per_page,
            max_per_page=self.max_per_page,
            error_out=error_out,
            count=False,
            **self._query_args,
        )
        turned.total = self.total
        return turned

    def iter_pages(
        self,
        *,
        left_edge: int = 2,
        left_current: int = 2,
        right_current: int = 4,
        right_edge: int = 2,
    ) -> cabc.Iterator[int | None]:
        """Give the numbers of the pages for a list of links, None for a gap.

        Of 20 pages, on the seventh: 1, 2, None, 5, 6, 7, 8, 9, 10, 11, None, 19,
        20. There are none if the items were not counted.

        Args:
            left_edge: How many to show of the first pages.
            left_current: How many before the current page.
            right_current: How many after the current page.
            right_edge: How many of the last pages.
        """
        end = self.pages + 1
        done = 1  # all pages before this one were given, or are in a gap
        for start, stop in (
            (1, left_edge + 1),
            (self.page - left_current, self.page + right_current + 1),
            (end - right_edge, end),
        ):
            shown = range(max(start, done), min(stop, end))
            if shown:
                if shown.start > done:
                    yield None
                yield from shown
                done = shown.stop
        if done < end:
            yield None

    def __iter__(self) -> cabc.Iterator[T]:
        yield from self.items


class SelectPagination(Pagination[T]):
    """A page of `db.select(Model)`; what `db.paginate` makes.

    Args:
        select: The statement, which selects one model or one column.
        session: The session that executes it.
        **kwargs: What `Pagination` takes.
    """

    def _query_items(self) -> list[T]:
        select: sa.Select[t.Any] = self._query_args["select"]
        session: orm.Session = self._query_args["session"]
        select = select.limit(self._query_limit).offset(self._query_offset)
        # A row that is joined to several is one item.
        return list(session.execute(select).unique().scalars())

    def _query_count(self) -> int:
        select: sa.Select[t.Any] = self._query_args["select"]
        session: orm.Session = self._query_args["session"]
        inner = select.order_by(None).subquery()
        return session.execute(
            sa.select(sa.func.count()).select_from(inner)
        ).scalar_one()


class QueryPagination(Pagination[T]):
    """A page of a legacy query; what `Model.query.paginate` makes.

    Args:
        query: The query.
        **kwargs: What `Pagination` takes.
    """

    def _query_items(self) -> list[T]:
        query: orm.Query[T] = self._query_args["query"]
        return query.limit(self._query_limit).offset(self._query_offset).all()

    def _query_count(self) -> int:
        query: orm.Query[T] = self._query_args["query"]
        return query.order_by(None).count()


async def paginate_async(
    session: AsyncSession,
    select: sa.Select[T],
    **kwargs: t.Any,
) -> SelectPagination[T]:
    """Read a page in an async view.

    Its `prev` and `next` are for other views: ask for the page by its number.

    Args:
        session: The async session that executes it.
        select: The statement.
        **kwargs: What `Pagination` takes.
    """

    def read(session: orm.Session) -> SelectPagination[T]:
        return SelectPagination(select=select, session=session, **kwargs)

    return await session.run_sync(read)


def _read(name: str, given: t.Any, default: int, error_out: bool) -> int:
    """Return a number from 1 on: the given one, the request's, or the default."""
    if given is None:
        given = default
        if has_request_context():
            given = request.args.get(name, default)
    try:
        number = int(given)
    except (TypeError, ValueError, OverflowError):  # more than 4,300 digits, as well
        number = 0
    if number > 0:
        return number
    if error_out:
        abort(404)
    return default
