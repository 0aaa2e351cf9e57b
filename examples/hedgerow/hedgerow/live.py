"""News for pages that are open: who may have something to read is called to look.

A call carries nothing. What counts is in the notebook's file, from which each reader
takes what came after what he has: so nothing is lost or told twice, in whatever order
calls arrive, and also when Redis is away and none do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from itertools import repeat
from typing import ParamSpec
from typing import TypeVar

from erlen import Erlen
from erlen import current_app
from erlen.broadcast import Broadcast
from erlen.broadcast import BroadcastUnavailable

P = ParamSpec("P")
T = TypeVar("T")

SIGHTINGS = "sightings"
PATIENCE = 15.0  # seconds after which everybody looks without being called


def init_app(app: Erlen) -> None:
    """Open the broadcast: of one process, or through Redis of all of them."""
    broadcast = Broadcast(app.config["BROADCAST"], prefix="hedgerow:")
    app.extensions["hedgerow.broadcast"] = broadcast


def broadcast() -> Broadcast:
    """Return the broadcast of this application."""
    found: Broadcast = current_app.extensions["hedgerow.broadcast"]
    return found


def call(channel: str) -> None:
    """Let all who wait for this channel look now."""
    with suppress(BroadcastUnavailable):  # is logged, and they look by themselves
        broadcast().publish(channel, None)


async def acall(channel: str) -> None:
    """Call from an event loop."""
    with suppress(BroadcastUnavailable):
        await broadcast().apublish(channel, None)


def rests() -> Iterator[float]:
    """Return for how long to wait for a call, each time."""
    return chain([1.0], repeat(PATIENCE))  # Redis may not know of a listener at once


def look(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function with a connection of its own, closed before the next rest."""
    with current_app.app_context():
        return function(*args, **kwargs)


async def alook(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do the same from an event loop, which goes on meanwhile."""
    return await asyncio.to_thread(lambda: look(function, *args, **kwargs))
