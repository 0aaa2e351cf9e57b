"""Layer 1: what runs after responses over WSGI, and is waited for at the end.

A server that stops may think that a response has ended when all of it was sent,
as granian does, and end the process while functions are called after it.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
import typing as t
from weakref import WeakSet

#: For how many seconds the end of the process waits for what runs.
PATIENCE = 30.0

#: As much, for what has not begun: its response may never be closed.
_GRACE = 1.0

Work = t.Callable[[], None]

_expected: WeakSet[Work] = WeakSet()
_running: set[Work] = set()
_process: int | None = None


def expect(work: Work) -> None:
    """Let the end of this process wait for what the end of a response calls."""
    global _process  # noqa: PLW0603  # one of each process
    if _process != os.getpid():
        _process = os.getpid()
        _expected.clear()
        _running.clear()
        at_exit(wait)
    _expected.add(work)


def run(work: Work) -> None:
    """Call what was expected."""
    _running.add(work)
    _expected.discard(work)
    try:
        work()
    finally:
        _running.discard(work)


def wait() -> None:
    """Wait for what goes on after responses."""
    passed = 0.0
    while (_running and passed < PATIENCE) or (_expected and passed < _GRACE):
        time.sleep(0.01)
        passed += 0.01


def at_exit(function: t.Callable[..., None], *args: t.Any) -> None:
    """Call a function when this process ends; the last that was given is the first."""
    atexit.register(function, *args)
    processes: t.Any = sys.modules.get("multiprocessing.process")
    if processes is not None and processes.parent_process() is not None:
        from multiprocessing.util import Finalize

        # Its children end without what is registered by `atexit`.
        Finalize(None, function, args, exitpriority=10)
