"""Layer 1: asynchronous streams, for doors that await and for those that cannot.

An asynchronous body can be read in both ways, so that a view may return one
whatever the server speaks.
"""

from __future__ import annotations

import typing as t

from . import _state

if t.TYPE_CHECKING:
    import asyncio
    import collections.abc as cabc

    from ._protocols import RequestContextLike

T = t.TypeVar("T")

_END: t.Any = object()

_ON_LOOP = """\
This body is asynchronous, and was read on the event loop, which cannot wait for it. Read
it in a thread, such as by "await asyncio.to_thread(response.get_data)"."""


class AsyncBody:
    """The asynchronous body of a response, which can be read without `await`, too.

    Then it is read on the event loop of the ASGI server, if there is one, and
    else on a loop of its own, which lives as long as the body.
    """

    _runner: asyncio.Runner | None = None

    def __init__(self, source: cabc.AsyncIterable[str | bytes]) -> None:
        self._items: t.Any = aiter(source)
        self._sources: list[t.Any] = [self._items]
        if source is not self._items:
            self._sources.append(source)

    def __aiter__(self) -> cabc.AsyncIterator[str | bytes]:
        return t.cast("cabc.AsyncIterator[str | bytes]", self._items)

    async def aclose(self) -> None:
        """Close the source, once."""
        while self._sources:
            close = getattr(self._sources.pop(0), "aclose", None)
            if close is not None:
                await close()

    def __iter__(self) -> cabc.Iterator[str | bytes]:
        return self

    def __next__(self) -> str | bytes:
        workers = _state.serving_workers()
        if workers is not None and workers.is_here():
            raise RuntimeError(_ON_LOOP)
        piece = self._run(_next(self._items))
        if piece is _END:
            self.close()
            raise StopIteration
        return t.cast("str | bytes", piece)

    def close(self) -> None:
        """Close the source and the loop it had."""
        try:
            if self._sources:
                self._run(self.aclose())
        finally:
            runner, self._runner = self._runner, None
            if runner is not None:
                runner.close()

    def _run(self, coroutine: cabc.Coroutine[t.Any, t.Any, T]) -> T:
        workers = _state.serving_workers()
        if workers is not None:
            if workers.is_here():
                from ._workers import finish_at_once

                return finish_at_once(coroutine)
            return t.cast("T", workers.wait_for(coroutine))
        if self._runner is None:
            from asyncio import Runner

            self._runner = Runner()
        return self._runner.run(coroutine)


async def _next(items: cabc.AsyncIterator[t.Any]) -> t.Any:
    return await anext(items, _END)


class AsyncContextStream(t.Generic[T]):
    """An asynchronous iterator that runs in the context in which it was made.

    The context is in force while an item is made, and not between the items.
    """

    _open = False

    def __init__(
        self, ctx: RequestContextLike, source: t.Any, items: cabc.AsyncIterator[T]
    ) -> None:
        self._ctx = ctx
        self._frame = _state.current.get()
        self._items = items
        self._sources = [items] if source is items else [items, source]
        #: What is called before the first item, with the context in force.
        self.before: t.Callable[[], t.Any] | None = None
        ctx.hold()
        self._open = True

    def __aiter__(self) -> cabc.AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        outside = _state.current.get()
        _state.current.set(self._frame)
        error: BaseException | None = None
        try:
            if self.before is not None:
                before, self.before = self.before, None
                await self._call(before)
            return await anext(self._items)
        except BaseException as exc:
            error = exc
            raise
        finally:
            _state.current.set(outside)
            if error is not None:
                await self._finish(error)
                error = None

    async def aclose(self) -> None:
        """Close what is streamed, then let go of the context; once."""
        if self._open:
            await self._finish(None)

    async def _finish(self, exc: BaseException | None) -> None:
        if not self._open:
            return
        self._open = False
        if isinstance(exc, StopAsyncIteration) or not isinstance(exc, Exception):
            exc = None  # the end, or the client has left
        outside = _state.current.get()
        _state.current.set(self._frame)
        try:
            for source in self._sources:
                close = getattr(source, "aclose", None)
                if close is not None:
                    await close()
        except BaseException as error:
            exc = error
            raise
        finally:
            _state.current.set(outside)
            await self._call(self._ctx.release, exc)
            exc = None

    async def _call(self, function: t.Callable[..., t.Any], *args: t.Any) -> None:
        """Call what may block: in a worker, if this runs on a server's loop."""
        lent = _state.lent.get()
        workers = self._ctx.request._workers if lent is None else lent.workers
        if workers is not None and workers.is_here():
            await workers.hop(True, function, *args)
        else:
            function(*args)
