"""Sessions for `async def` views: one for each application context.

An async connection belongs to the event loop that opened it. So there are
engines for each loop; where the loop ends with the view (WSGI) or without a word
(of scripts and tests), nothing is kept in a pool.
"""

from __future__ import annotations

import asyncio
import typing as t
import weakref

from sqlalchemy import pool as sa_pool
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.ext.asyncio import AsyncSession

from erlen import has_request_context
from erlen import request

from . import track_modifications
from ._engines import make_async_engine
from .session import Session

if t.TYPE_CHECKING:
    import collections.abc as cabc

    import sqlalchemy as sa

    from ._protocols import Database

__all__ = ["AsyncSessions"]

Engines = dict[str | None, AsyncEngine]
Loop = asyncio.AbstractEventLoop


class _InnerSession(Session):
    """The session inside of an `AsyncSession`."""

    def __init__(self, db: Database, engines: Engines, **kwargs: t.Any) -> None:
        super().__init__(db, **kwargs)
        self._sync_engines = {key: it.sync_engine for key, it in engines.items()}

    def _find_engines(self) -> cabc.Mapping[str | None, sa.Engine]:
        return self._sync_engines


class AsyncSessions:
    """The async engines of one application, and the sessions of its contexts.

    Args:
        db: The extension.
        app: The application.
        options: The engine options by bind key.
        session_options: What sessions are made with.
        listen: Called with bind key and sync engine of each new engine.
    """

    def __init__(
        self,
        db: Database,
        app: t.Any,
        options: cabc.Mapping[str | None, dict[str, t.Any]],
        session_options: cabc.Mapping[str, t.Any],
        listen: t.Callable[[str | None, t.Any], object],
    ) -> None:
        self._db = db
        self._app = weakref.ref(app)
        self._options = options
        self._session_options = {"expire_on_commit": False, **session_options}
        self._listen = listen
        if app.config["SQLALCHEMY_TRACK_MODIFICATIONS"]:
            track_modifications.listen(_InnerSession)
        self._engines: weakref.WeakKeyDictionary[Loop, dict[bool, Engines]]
        self._engines = weakref.WeakKeyDictionary()
        self._ended: list[AsyncEngine] = []
        self._closing: set[asyncio.Task[None]] = set()
        self._sessions: dict[t.Any, AsyncSession] = {}

    def engines(self) -> Engines:
        """Return the engines of the running event loop.

        Raises:
            RuntimeError: No event loop is running.
        """
        loop = asyncio.get_running_loop()
        pooled = (
            has_request_context()
            and request.scope is not None
            and not t.cast("t.Any", self._app()).testing
        )
        found = self._engines.setdefault(loop, {})
        if pooled not in found:
            self._find_ended()
            found[pooled] = self._make(pooled)
        return found[pooled]

    def _make(self, pooled: bool) -> Engines:
        engines: Engines = {}
        for key, options in self._options.items():
            its = dict(options) if pooled else _without_pool(options)
            engines[key] = make_async_engine(self._app(), key, its)
            self._listen(key, engines[key].sync_engine)
        return engines

    def _find_ended(self) -> None:
        """Note the engines of loops that have ended; `close` is where one can wait."""
        for loop in [it for it in self._engines if it.is_closed()]:
            for engines in self._engines.pop(loop).values():
                self._ended += engines.values()

    def session(self, ctx: t.Any) -> AsyncSession:
        """Return the session of an application context; made when first asked for."""
        session = self._sessions.get(ctx)
        if session is None:
            options: t.Any = {
                **self._session_options,
                "sync_session_class": _InnerSession,
                "db": self._db,
                "engines": self.engines(),
            }
            session = self._sessions[ctx] = AsyncSession(**options)
        return session

    def leave(self, ctx: t.Any) -> None:
        """Close the session of a context that ends, if it has asked for one."""
        session = self._sessions.pop(ctx, None)
        if session is None:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            ctx.app.ensure_sync(self._close)(session)
        else:  # which cannot stop for it here
            task = loop.create_task(self._close(session))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def _close(self, session: AsyncSession) -> None:
        ended, self._ended = self._ended, []
        await session.close()
        for engine in ended:
            await engine.dispose()

    async def dispose(self) -> None:
        """Close the connections that the pools of the running loop keep."""
        loop = asyncio.get_running_loop()
        for task in [it for it in self._closing if it.get_loop() is loop]:
            await task
        for engines in self._engines.pop(loop, {}).values():
            for engine in engines.values():
                await engine.dispose()


def _without_pool(options: cabc.Mapping[str, t.Any]) -> dict[str, t.Any]:
    kept = {
        key: value
        for key, value in options.items()
        if not key.startswith(("pool_", "max_overflow"))
    }
    return {**kept, "poolclass": sa_pool.NullPool}
