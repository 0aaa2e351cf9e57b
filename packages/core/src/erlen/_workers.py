"""Layer 1: the threads in which synchronous code runs under ASGI.

Threads are kept for the whole process; `Workers` bounds how many of them one
application takes on one event loop. Whoever finds all of them taken waits in
line on the loop, so that nothing piles up behind them.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import threading
import typing as t
from collections import deque
from queue import Empty
from queue import SimpleQueue

from . import _state

if t.TYPE_CHECKING:
    import collections.abc as cabc

T = t.TypeVar("T")

#: Seconds after which a thread that has nothing to do ends.
_REST = 60.0

#: The threads that have nothing to do, the one that worked last at the end.
_resting: deque[_Thread] = deque()

#: Stands for a variable that is not set.
_UNSET: t.Any = object()


class _Job:
    """One call, and what came of it."""

    def __init__(
        self,
        workers: Workers,
        function: t.Callable[..., t.Any],
        args: tuple[t.Any, ...],
        context: contextvars.Context,
    ) -> None:
        self.workers = workers
        self.function: t.Any = function
        self.args = args
        self.waiter: asyncio.Future[None] = workers.loop.create_future()
        self.context = context
        self.done = False
        self.result: t.Any = None
        self.error: BaseException | None = None

    def start(self) -> None:
        """Give this to a thread; runs on the loop."""
        try:
            thread = _resting.pop()
        except IndexError:
            thread = _Thread()
            try:
                thread.start()
            except RuntimeError as exc:  # the system has no more of them
                self.error = exc
                self.finish()
                return
        thread.jobs.put(self)

    def run(self) -> None:
        """Call the function; runs in a worker."""
        try:
            self.result = self.context.run(self.function, *self.args)
        except BaseException as exc:  # noqa: BLE001  # raised where it is awaited
            self.error = exc
        # What they hold must not wait for this thread to go on.
        self.function, self.args = None, ()

    def wake(self) -> None:
        """Wake who waits; runs on the loop."""
        self.done = True
        if not self.waiter.done():
            self.waiter.set_result(None)

    def finish(self) -> None:
        """Wake who waits, and give the thread to the next; runs on the loop."""
        self.wake()
        self.workers.let_next()


class _Thread(threading.Thread):
    """A thread that runs one job after another, of any application."""

    def __init__(self) -> None:
        super().__init__(name="erlen-worker", daemon=True)
        self.jobs: SimpleQueue[_Job] = SimpleQueue()

    def run(self) -> None:
        while True:
            try:
                job = self.jobs.get(timeout=_REST)
            except Empty:
                try:
                    _resting.remove(self)
                except ValueError:  # somebody took this thread just now
                    continue
                return
            _state.thread.workers = job.workers
            job.run()
            _state.thread.workers = None
            _resting.append(self)
            with contextlib.suppress(RuntimeError):  # a closed loop: nobody waits
                job.workers.loop.call_soon_threadsafe(job.finish)
            del job


if hasattr(os, "register_at_fork"):  # pragma: no branch - not on Windows
    os.register_at_fork(after_in_child=_resting.clear)


class Workers:
    """The threads that one application may have on one event loop.

    Args:
        size: How many at the same time.
        loop: The loop on which `run` is awaited.
    """

    def __init__(self, size: int, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._free = size
        self._line: deque[_Job] = deque()

    async def run(self, function: t.Callable[..., T], *args: t.Any) -> T:
        """Call a function in a thread, and take over what it did to the context.

        A call that has begun is waited for, also when the task is cancelled: the
        cancellation is raised after it.
        """
        return await self.hop(False, function, *args)

    async def hop(
        self,
        at_any_rate: bool,
        function: t.Callable[..., T],
        *args: t.Any,
        context: contextvars.Context | None = None,
    ) -> T:
        """As `run`; with `at_any_rate` a cancelled task does not leave the line."""
        lent: _Lent | None = _state.lent.get()
        job = _Job(self, function, args, context or contextvars.copy_context())
        if lent is not None and lent.open:
            lent.jobs.put(job)
        elif self._free:
            self._free -= 1
            job.start()
        else:
            self._line.append(job)
        cancelled: asyncio.CancelledError | None = None
        while not job.done:
            try:
                await job.waiter
            except asyncio.CancelledError as exc:
                if job in self._line and not at_any_rate:
                    self._line.remove(job)
                    raise
                cancelled = exc
                job.waiter = self.loop.create_future()
        _take_over(job.context)
        try:
            if cancelled is not None:
                raise cancelled
            if job.error is not None:
                raise job.error
            return t.cast("T", job.result)
        finally:
            job.error = cancelled = None  # its traceback has this frame: no cycle

    def let_next(self) -> None:
        """Give the thread that has become free to the next in line."""
        if self._line:
            self._line.popleft().start()
        else:
            self._free += 1

    def is_here(self) -> bool:
        """Say whether this is the loop's own thread."""
        return asyncio._get_running_loop() is self.loop

    def wait_for(self, coroutine: cabc.Coroutine[t.Any, t.Any, T]) -> T:
        """Run a coroutine on the loop and wait for it here, in a worker.

        Context variables go there and come back. What the coroutine wants to run in
        a worker is run by this one meanwhile: if each waited for another one, all
        would wait for ever.
        """
        contexts: list[contextvars.Context] = []
        lent = _Lent(self)

        async def carry() -> T:
            token = _state.lent.set(lent)
            try:
                return await coroutine
            finally:
                lent.open = False
                _state.lent.reset(token)
                contexts.append(contextvars.copy_context())

        future = asyncio.run_coroutine_threadsafe(carry(), self.loop)
        future.add_done_callback(lambda _: lent.jobs.put(None))
        while (job := lent.jobs.get()) is not None:
            job.run()
            self.loop.call_soon_threadsafe(job.wake)
        try:
            return future.result()
        finally:
            del future  # the traceback of its error has this frame: no cycle
            for context in contexts:
                _take_over(context)


class _Lent:
    """A worker that waits for a coroutine, and works for it meanwhile."""

    def __init__(self, workers: Workers) -> None:
        self.workers = workers
        self.jobs: SimpleQueue[_Job | None] = SimpleQueue()
        #: Whether the coroutine goes on; tasks that it has started may go on longer.
        self.open = True


def renew(context: contextvars.Context | None) -> contextvars.Context:
    """Return a context with the variables of now, the given one if there is one."""
    if context is None:
        return contextvars.copy_context()
    for var, value in contextvars.copy_context().items():
        if context.get(var, _UNSET) is not value:
            context.run(var.set, value)
    return context


def _take_over(context: contextvars.Context) -> None:
    """Set the variables here that have another value there."""
    for var, value in context.items():
        if var.get(_UNSET) is not value:
            var.set(value)


def finish_at_once(coroutine: cabc.Coroutine[t.Any, t.Any, T]) -> T:
    """Run a coroutine to its end on the thread of the loop, where nothing can wait.

    Raises:
        RuntimeError: It waits for something.
    """
    name = getattr(coroutine, "__qualname__", repr(coroutine))
    try:
        coroutine.send(None)
    except StopIteration as end:
        return t.cast("T", end.value)
    finally:
        coroutine.close()
    raise RuntimeError(
        f"The async function {name!r} waits for something, but the function that needs"
        " it was called on the event loop, which cannot stop for it. Call that function"
        " in a thread: await asyncio.to_thread(render_template, ...), or make the view"
        " a plain `def`."
    )
