"""Stands where an ASGI server would: hands over a request and takes the answer.

One event loop serves all peers, each request is awaited before the next. An
application is started by its lifespan when it is first seen.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import typing as t
from dataclasses import dataclass
from itertools import cycle
from itertools import islice

from benchmarks import trace
from benchmarks.asgi.scenarios import Response

if t.TYPE_CHECKING:
    import collections.abc as cabc
    from pathlib import Path
    from types import TracebackType

    from benchmarks.asgi.scenarios import Exchange
    from benchmarks.asgi.scenarios import Message
    from benchmarks.asgi.scenarios import Scenario
    from benchmarks.asgi.scenarios import Scope
    from benchmarks.door import Clock

Receive = t.Callable[[], t.Awaitable[t.Any]]
Send = t.Callable[[t.Any], t.Awaitable[None]]
ASGIApp = t.Callable[[t.Any, t.Any, t.Any], t.Awaitable[None]]
# A request that is to be copied: its scope, and the messages of its body.
Original = tuple["Scope", tuple["Message", ...]]
T = t.TypeVar("T")

LOOPS: t.Final = ("asyncio", "uvloop")


class StartUpError(Exception):
    """An application said that it could not start."""


class Lifespan:
    """Starts and stops an application as uvicorn does by default.

    An application that fails on the lifespan scope is taken for one that does not
    know it, and served all the same.

    Attributes:
        state: What the application wants to find in the scope of each request.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.state: dict[str, t.Any] = {}
        self._app = app
        self._asked = False
        self._failure: str | None = None
        self._started = asyncio.Event()
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(self._live())

    async def start(self) -> None:
        """Wait until the application is ready.

        Raises:
            StartUpError: It said that it is not.
        """
        await self._started.wait()
        if self._failure is not None:
            raise StartUpError(self._failure)

    async def stop(self) -> None:
        """Let the application shut down."""
        self._stop.set()
        await self._task

    async def _live(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self._app(scope, self._receive, self._send)
        except Exception:  # noqa: BLE001 - whatever it is: it does not know lifespans
            self.state.clear()
        finally:
            self._started.set()

    async def _receive(self) -> Message:
        if self._asked:
            await self._stop.wait()
            return {"type": "lifespan.shutdown"}
        self._asked = True
        return {"type": "lifespan.startup"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "lifespan.startup.failed":
            self._failure = message.get("message") or "It gave no reason."
        if message["type"].startswith("lifespan.startup."):
            self._started.set()


@dataclass
class _Known:
    """An application that has been started, and its session if it was asked for."""

    app: ASGIApp
    lifespan: Lifespan
    session: bytes | None = None


class Door:
    """Hands over requests, one after the other.

    Args:
        loop: One of `LOOPS`.
    """

    def __init__(self, loop: str = "asyncio") -> None:
        factory: cabc.Callable[[], asyncio.AbstractEventLoop] | None = None
        if loop == "uvloop":
            import uvloop

            factory = uvloop.new_event_loop
        self._runner = asyncio.Runner(loop_factory=factory)
        self._known: dict[int, _Known] = {}

    def __enter__(self) -> t.Self:
        self._runner.__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._run(self._stop())
        finally:
            self._runner.__exit__(exc_type, exc, traceback)

    def ask(self, app: ASGIApp, exchange: Exchange) -> Response:
        """Ask one exchange and return the answer."""
        return self._run(self._ask(app, exchange))

    def check(self, app: ASGIApp, exchanges: cabc.Iterable[Exchange]) -> None:
        """Ask each exchange once.

        Raises:
            WrongAnswerError: An answer differs from the one that is accepted.
        """
        for exchange in exchanges:
            exchange.check(self.ask(app, exchange))

    def traced(self, app: ASGIApp, exchange: Exchange, own: list[Path]) -> trace.Trace:
        """Trace one request, after a few that fill what is built at first use.

        Args:
            app: The application.
            exchange: What is asked; its answer is checked.
            own: Files and folders whose functions are "own".

        Raises:
            WrongAnswerError: The answer is not the exchange's.
        """
        for _ in range(trace.WARM_UP_CALLS):
            self.check(app, [exchange])
        return self._run(self._traced(app, exchange, own))

    def seconds(
        self, app: ASGIApp, scenario: Scenario, calls: int, clock: Clock
    ) -> float:
        """Time `calls` requests, the scenario's exchanges in turn.

        Each gets a fresh copy of its scope. The first one is not timed: it starts the
        thread of a peer that has one. The garbage collector runs as it would in
        service, from a clean slate.

        Returns:
            Seconds that they took altogether, by `clock`.
        """
        return self._run(self._seconds(app, scenario, calls, clock))

    def _run(self, coroutine: cabc.Coroutine[t.Any, t.Any, T]) -> T:
        # A context of its own: what a peer leaves in it is not carried to the next.
        return self._runner.run(coroutine, context=contextvars.copy_context())

    async def _seconds(
        self, app: ASGIApp, scenario: Scenario, calls: int, clock: Clock
    ) -> float:
        originals = [await self._original(app, each) for each in scenario.exchanges]
        await _drive(app, originals[:1])
        turns = islice(cycle(originals), calls)
        gc.collect()
        start = clock()
        await _drive(app, turns)
        return clock() - start

    async def _traced(
        self, app: ASGIApp, exchange: Exchange, own: list[Path]
    ) -> trace.Trace:
        scope, messages = await self._original(app, exchange)
        scope = fresh(scope)
        receive, send = channel(messages)
        found = trace.Trace()
        sys.setprofile(trace.watcher(found, own, __file__))
        try:
            await app(scope, receive, send)
        finally:
            sys.setprofile(None)
        return found

    async def _ask(self, app: ASGIApp, exchange: Exchange) -> Response:
        return await _answer(app, await self._original(app, exchange))

    async def _original(self, app: ASGIApp, exchange: Exchange) -> Original:
        known = self._known.get(id(app))
        if known is None:
            known = self._known[id(app)] = _Known(app, Lifespan(app))
            await known.lifespan.start()
        scope = exchange.scope()
        scope["state"] = known.lifespan.state
        messages = exchange.messages()
        if exchange.session:
            if known.session is None:
                known.session = _cookies(await _answer(app, (scope, messages)))
            scope["headers"].append((b"cookie", known.session))
        return scope, messages

    async def _stop(self) -> None:
        for known in self._known.values():
            await known.lifespan.stop()


def fresh(scope: Scope) -> Scope:
    """Copy what an application may change, as a server builds it for each request."""
    return {
        **scope,
        "asgi": scope["asgi"].copy(),
        "headers": scope["headers"].copy(),
        "state": scope["state"].copy(),
    }


def channel(
    messages: cabc.Iterable[Message], sent: list[Message] | None = None
) -> tuple[Receive, Send]:
    """Make `receive` and `send` for one request.

    After the body, `receive` waits until the answer is complete, and then says that
    the client is gone, as a server does.

    Args:
        messages: The body.
        sent: Takes what the application sends; None drops it.
    """
    waiting = iter(messages)
    complete = False
    completed: asyncio.Event | None = None

    async def receive() -> Message:
        nonlocal completed
        for message in waiting:
            return message.copy()
        if not complete:
            completed = completed or asyncio.Event()
            await completed.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal complete
        if sent is not None:
            sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            complete = True
            if completed is not None:
                completed.set()

    return receive, send


async def _drive(app: ASGIApp, originals: cabc.Iterable[Original]) -> None:
    for scope, messages in originals:
        receive, send = channel(messages)
        await app(fresh(scope), receive, send)


async def _answer(app: ASGIApp, original: Original) -> Response:
    scope, messages = original
    sent: list[Message] = []
    receive, send = channel(messages, sent)
    await app(fresh(scope), receive, send)
    start, *rest = sent
    headers = tuple(
        (bytes(name).decode("latin-1").lower(), bytes(value).decode("latin-1"))
        for name, value in start.get("headers", ())
    )
    body = b"".join(message.get("body", b"") for message in rest)
    return Response(start["status"], headers, body)


def _cookies(response: Response) -> bytes:
    pairs = (cookie.partition(";")[0] for cookie in response.cookies)
    return "; ".join(pairs).encode("latin-1")
