"""Transactions as blocks and decorators, and trying again what met another one.

What these functions are given is a session; `SQLAlchemy` gives them its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import random
import sqlite3
import time
import typing as t

from sqlalchemy import exc as sa_exc
from sqlalchemy import orm

from ._sqlite import immediate

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from sqlalchemy.ext.asyncio import AsyncSession

    from .session import Session

__all__ = ["Transaction", "atomic", "is_conflict", "retry", "retry_async"]

F = t.TypeVar("F", bound=t.Callable[..., t.Any])
R = t.TypeVar("R")

# PostgreSQL: serialization failure, deadlock, lock not available.
_SQLSTATES = frozenset({"40001", "40P01", "55P03"})

# MariaDB and MySQL: deadlock, lock wait time-out, record changed since last read.
_NUMBERS = frozenset({1213, 1205, 1020})

# Seconds before the second try; it doubles, with as much by chance.
_PAUSE = 0.02


def is_conflict(exc: BaseException) -> bool:
    """Tell whether an error came of another transaction, so that trying again helps.

    That is a serialisation failure, a deadlock, a lock that was waited for in
    vain, a stale snapshot of SQLite, or a row that somebody else has changed.

    Args:
        exc: What was raised.
    """
    if isinstance(exc, orm.exc.StaleDataError):
        return True
    if not isinstance(exc, sa_exc.DBAPIError):
        return False
    orig: t.Any = exc.orig
    if isinstance(orig, sqlite3.OperationalError):
        code = getattr(orig, "sqlite_errorcode", 0) or 0
        return code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
    state = getattr(orig, "sqlstate", None) or getattr(orig, "pgcode", None)
    number: t.Any = next(iter(getattr(orig, "args", ())), None)
    return state in _SQLSTATES or number in _NUMBERS


class Transaction:
    """A transaction as a block: commits at its end, rolls back where it raises.

    A block inside of another one is a savepoint. The outermost one begins a new
    transaction, so what was read before it is read anew inside.
    """

    def __init__(
        self,
        session: t.Callable[[], Session],
        async_session: t.Callable[[], AsyncSession],
        isolation: str | None,
    ) -> None:
        self._session = session
        self._async_session = async_session
        self._isolation = isolation
        self._stack: list[t.Any] = []

    def __enter__(self) -> Session:
        session = self._session()
        block = _block(session, self._isolation)
        block.__enter__()
        self._stack.append(block)
        return session

    def __exit__(self, *exc_info: object) -> None:
        self._stack.pop().__exit__(*exc_info)

    async def __aenter__(self) -> AsyncSession:
        session = self._async_session()
        block = _async_block(session, self._isolation)
        await block.__aenter__()
        self._stack.append(block)
        return session

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.pop().__aexit__(*exc_info)


_DEPTH = "erlen_db.transactions"
_NESTED = (
    "An isolation level is that of a whole transaction, and this one is inside of"
    " another. Set it for the outermost db.transaction()."
)


@contextlib.contextmanager
def _entered(session: t.Any, isolation: str | None) -> cabc.Generator[bool]:
    """Count the blocks; yield whether this is the outermost one."""
    depth = session.info.get(_DEPTH, 0)
    if depth and isolation is not None:
        raise RuntimeError(_NESTED)
    session.info[_DEPTH] = depth + 1
    token = immediate.set(True)
    try:
        yield not depth
    finally:
        immediate.reset(token)
        session.info[_DEPTH] = depth


def _options(isolation: str | None) -> dict[str, t.Any]:
    return {} if isolation is None else {"isolation_level": isolation}


@contextlib.contextmanager
def _block(session: Session, isolation: str | None) -> cabc.Generator[None]:
    with _entered(session, isolation) as outermost:
        if not outermost:
            with session.begin_nested():
                yield
            return
        if session.in_transaction() and not session.has_changes():
            session.commit()  # ends what was only read
        try:
            session.connection(execution_options=_options(isolation))
            yield
            session.commit()
        except BaseException:
            session.rollback()
            raise


@contextlib.asynccontextmanager
async def _async_block(
    session: AsyncSession, isolation: str | None
) -> cabc.AsyncGenerator[None]:
    with _entered(session, isolation) as outermost:
        if not outermost:
            async with session.begin_nested():
                yield
            return
        changed = t.cast("Session", session.sync_session).has_changes()
        if session.in_transaction() and not changed:
            await session.commit()
        try:
            await session.connection(execution_options=_options(isolation))
            yield
            await session.commit()
        except BaseException:
            await session.rollback()
            raise


def _pause(attempt: int) -> float:
    return float(_PAUSE * 2**attempt * (1 + random.random()))  # noqa: S311  # no secret


def _check_tries(tries: int) -> None:
    if tries < 1:
        raise ValueError(f"tries is {tries}, and something is tried once at least.")


def retry(
    begin: t.Callable[[], Transaction], function: t.Callable[[], R], tries: int
) -> R:
    """Call a function in a transaction, and again where it met another one.

    Args:
        begin: Makes the transaction.
        function: What is called.
        tries: How often it is called at most.
    """
    _check_tries(tries)
    for attempt in range(tries - 1):
        try:
            with begin():
                return function()
        except Exception as exc:
            if not is_conflict(exc):
                raise
        time.sleep(_pause(attempt))
    with begin():
        return function()


async def retry_async(
    begin: t.Callable[[], Transaction],
    function: t.Callable[[], cabc.Awaitable[R]],
    tries: int,
) -> R:
    """Await a coroutine function in a transaction, and again; as `retry`.

    Args:
        begin: Makes the transaction.
        function: What is called.
        tries: How often it is called at most.
    """
    _check_tries(tries)
    for attempt in range(tries - 1):
        try:
            async with begin():
                return await function()
        except Exception as exc:
            if not is_conflict(exc):
                raise
        await asyncio.sleep(_pause(attempt))
    async with begin():
        return await function()


def atomic(begin: t.Callable[[], Transaction], function: F, tries: int) -> F:
    """Return a function that runs in a transaction.

    Args:
        begin: Makes the transaction.
        function: The function, plain or `async def`.
        tries: How often it is called at most where it meets another transaction.
    """
    _check_tries(tries)
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def wait(*args: t.Any, **kwargs: t.Any) -> t.Any:
            return await retry_async(begin, lambda: function(*args, **kwargs), tries)

        return t.cast("F", wait)

    @functools.wraps(function)
    def call(*args: t.Any, **kwargs: t.Any) -> t.Any:
        return retry(begin, lambda: function(*args, **kwargs), tries)

    return t.cast("F", call)
