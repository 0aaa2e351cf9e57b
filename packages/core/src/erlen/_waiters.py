"""Layer 1: waiting in threads and in event loops for the same thing.

It has no lock: whoever wakes may be a finalizer, in the middle of anything.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
import typing as t

if t.TYPE_CHECKING:
    import asyncio

T = t.TypeVar("T")


class Waiters:
    """Those who wait until a check finds something."""

    def __init__(self) -> None:
        # How to wake each. What is done to this dict is one step each.
        self._wakers: dict[object, t.Callable[[], object]] = {}

    def wake(self) -> None:
        """Let all of them look again."""
        while self._wakers:
            with contextlib.suppress(KeyError):  # another thread was quicker
                waker = self._wakers.popitem()[1]
                with contextlib.suppress(RuntimeError):  # its loop is closed
                    waker()

    def wait(self, check: t.Callable[[], T | None], timeout: float | None) -> T | None:
        """Wait in a thread until `check` returns something.

        Args:
            check: Called before, and each time that it may have changed.
            timeout: For how many seconds at most; None is for ever.

        Returns:
            What it returned, or None: there was nothing in time.

        Raises:
            RuntimeError: An event loop runs in this thread.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while (found := check()) is None:
            rest = None if end is None else end - time.monotonic()
            if rest is not None and rest <= 0:
                break
            if in_event_loop():
                raise RuntimeError(
                    "Waiting here would stop the event loop. Use what lets it go on:"
                    " async with, async for and aget()."
                )
            lock = threading.Lock()
            lock.acquire()
            self._wakers[lock] = lock.release
            try:
                again = check()  # it may have come before we could be woken
                if again is not None:
                    return again
                lock.acquire(timeout=-1 if rest is None else rest)
            finally:
                self._wakers.pop(lock, None)
        return found

    async def wait_async(
        self,
        check: t.Callable[[], T | None],
        timeout: float | None,  # noqa: ASYNC109  # it raises nothing
    ) -> T | None:
        """Wait in an event loop until `check` returns something.

        Args:
            check: As of `wait`.
            timeout: As of `wait`.
        """
        import asyncio

        loop = asyncio.get_running_loop()
        end = None if timeout is None else loop.time() + timeout
        while (found := check()) is None:
            rest = None if end is None else end - loop.time()
            if rest is not None and rest <= 0:
                break
            future: asyncio.Future[None] = loop.create_future()
            self._wakers[future] = _waker(loop, future)
            try:
                again = check()  # as above
                if again is not None:
                    return again
                await asyncio.wait((future,), timeout=rest)
            finally:
                self._wakers.pop(future, None)
        return found


def in_event_loop() -> bool:
    """Say whether waiting here would stop an event loop."""
    asyncio = sys.modules.get("asyncio")  # no loop runs where nobody imported it
    if asyncio is None or asyncio._get_running_loop() is None:
        return False
    # With gevent it may be the loop of another greenlet, which goes on meanwhile.
    monkey = sys.modules.get("gevent.monkey")
    return monkey is None or not monkey.is_module_patched("threading")


def _waker(
    loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]
) -> t.Callable[[], object]:
    return lambda: loop.call_soon_threadsafe(future.set_result, None)
