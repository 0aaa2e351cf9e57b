"""Whatever order the events of a connection have, the ASGI door keeps to the standard.

And it leaves nothing behind: no context, no task, no file, no thread at work.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from erlen import Erlen
from erlen import Response
from erlen import _asgi_body
from erlen import _state
from erlen import request
from erlen import stream_with_context
from erlen._asgi_client import Checks
from erlen.ctx import RequestContext
from erlen.views import never_blocks
from erlen.views import reads_stream

SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.4"},
    "http_version": "1.1",
    "method": "POST",
    "scheme": "http",
    "query_string": b"",
    "root_path": "",
    "headers": [(b"host", b"localhost")],
    "client": ("127.0.0.1", 1),
    "server": ("localhost", 80),
}

#: A body of three pieces; the second makes a temporary file of what is read ahead.
PIECES = [b"a" * 10, b"b" * 600_000, b"c" * 10]
LENGTH = str(sum(map(len, PIECES))).encode()


# The application


class Log:
    """What must be equal in the end: what began, and what ended."""

    def __init__(self):
        self.began = Counter()
        self.ended = Counter()

    def source(self):
        """Give pieces, and note that the generator was left."""
        self.began["source"] += 1
        try:
            yield from ("one", "two", "three")
        finally:
            self.ended["source"] += 1

    async def later(self):
        """Do the same as an asynchronous generator, which also waits."""
        self.began["source"] += 1
        try:
            for piece in ("one", "two", "three"):
                await asyncio.sleep(0)
                yield piece
        finally:
            self.ended["source"] += 1


def views(log):  # noqa: C901  # one for each kind
    """Give views of all kinds."""

    def plain():
        return "plain"

    async def native():
        return "native"

    @never_blocks
    def quick():
        return "quick"

    def reading():
        return str(len(request.get_data()))

    async def native_reading():
        return str(len(request.get_data()))

    def unread():
        return request.stream.read(1)

    @reads_stream
    async def chunks():
        return str(sum([len(chunk) async for chunk in request.chunks()]))

    @reads_stream
    async def first_chunk():
        async for chunk in request.chunks():
            return chunk
        return ""

    def stream():
        return log.source()

    def stream_later():
        return log.later()

    async def native_stream():
        return Response(log.later())

    def context():
        return stream_with_context(log.source())

    def context_later():
        return stream_with_context(log.later())

    async def native_context():
        return stream_with_context(log.source())

    def echoing():
        def pieces():
            yield from log.source()
            yield request.stream.read(20)

        return stream_with_context(pieces())

    def slow():
        async def pieces():
            async for piece in log.later():
                yield piece
                await asyncio.sleep(0.001)

        return pieces()

    async def waiting():
        await asyncio.sleep(0.001)
        return "waited"

    def failing():
        raise ValueError

    async def native_failing():
        await asyncio.sleep(0)
        raise ValueError

    def broken():
        def pieces():
            yield from log.source()
            raise ValueError

        return pieces()

    def broken_later():
        async def pieces():
            async for piece in log.later():
                yield piece
                raise ValueError

        return stream_with_context(pieces())

    def closing():
        response = Response(log.source())
        log.began["response"] += 1
        response.call_on_close(lambda: log.ended.update(["response"]))
        return response

    return [value for key, value in locals().items() if key != "log"]


def wsgi_application(log):
    def application(environ, start_response):
        start_response("200 OK", [])
        return log.source_of_bytes()

    log.source_of_bytes = lambda: (piece.encode() for piece in log.source())
    return application


class Overridden(Erlen):
    def dispatch_request(self):
        return super().dispatch_request()


def make_app(cls, log):
    """Make an application that notes its requests and their ends."""
    app = cls(__name__)
    app.logger.disabled = True
    for view in views(log):
        app.add_url_rule(f"/{view.__name__}", view_func=view, methods=["POST"])

    @app.before_request
    async def before():
        await asyncio.sleep(0)

    @app.after_request
    def after(response):
        return response

    app.teardown_request(lambda exc: log.ended.update(["request"]))
    app.teardown_appcontext(lambda exc: log.ended.update(["context"]))
    return app


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def apps(log, monkeypatch):
    """Return an application of each kind, and note contexts and files."""
    push = RequestContext.push

    def noted_push(ctx):
        push(ctx)
        log.began.update(["request", "context"])

    class File(tempfile.SpooledTemporaryFile):
        def __init__(self, *args):
            super().__init__(*args)
            log.began["file"] += 1
            self.counted = False

        def close(self):
            super().close()
            if not self.counted:
                log.ended["file"] += 1
                self.counted = True

    monkeypatch.setattr(RequestContext, "push", noted_push)
    monkeypatch.setattr(_asgi_body.tempfile, "SpooledTemporaryFile", File)
    native = make_app(Erlen, log)
    native.mount("/mounted", wsgi_application(log))
    return [native, make_app(Overridden, log)]


# The server


class Connection:
    """A server's side of a connection, whose events come in any order."""

    def __init__(self, app, path, announced):
        headers = [*SCOPE["headers"]]
        if announced == "length":
            headers.append((b"content-length", LENGTH))
        elif announced == "chunked":
            headers.append((b"transfer-encoding", b"chunked"))
        self.rest = [*PIECES] if announced else []
        self.scope = SCOPE | {"path": path, "headers": headers}
        self.checks = Checks(self.scope)
        self.app = app
        self.messages = asyncio.Queue()
        self.parked = asyncio.Event()
        self.writable = asyncio.Event()
        self.writable.set()
        self.broken = False
        if not announced:
            self.put(b"", False)

    def put(self, body, more):
        message = {"type": "http.request", "body": body, "more_body": more}
        self.messages.put_nowait(message)

    async def receive(self):
        if self.messages.empty():
            self.parked.set()
        return await self.messages.get()

    async def send(self, message):
        self.checks.look_at(message)
        if not self.writable.is_set():
            self.parked.set()
            await self.writable.wait()
        if self.broken:
            raise OSError

    async def happen(self, event):
        """Let one event happen, and the application go on until it waits."""
        if event == "piece" and self.rest:
            body = self.rest.pop(0)
            self.put(body, bool(self.rest))
        elif event == "disconnect":
            self.messages.put_nowait({"type": "http.disconnect"})
        elif event == "slow":
            self.writable.clear()
        elif event == "quick":
            self.writable.set()
        elif event == "break":
            self.broken = True
            self.writable.set()
        elif event == "cancel":
            self.task.cancel()
        elif event == "turn":
            await asyncio.sleep(0)
        elif event == "park":
            self.parked.clear()
            parked = asyncio.ensure_future(self.parked.wait())
            await asyncio.wait(
                {self.task, parked},
                timeout=0.005,
                return_when=asyncio.FIRST_COMPLETED,
            )
            parked.cancel()

    async def run(self, events):
        """Play the events, then the rest; return how it ended.

        The client stays to the end if nothing has disturbed it so far.
        """
        self.task = asyncio.ensure_future(
            self.app.asgi(self.scope, self.receive, self.send)
        )
        for event in events:
            await self.happen(event)
        self.writable.set()
        self.stays = not {"break", "cancel", "disconnect"} & {*events}
        for _ in range(3):  # to each that may wait for it
            await self.happen("piece" if self.stays else "disconnect")
        done, _ = await asyncio.wait({self.task}, timeout=5)
        assert done, "the application hangs"
        if self.task.cancelled():
            return "cancelled"
        return type(self.task.exception()).__name__


#: How a request ends: the views of here may fail, and find that the client has left.
ENDS = {"NoneType", "cancelled", "ValueError"}

EVENTS = ("piece", "disconnect", "slow", "quick", "break", "cancel", "turn", "park")


async def left_tasks():
    """Return the tasks that do not end by themselves."""
    own = asyncio.current_task()
    for _ in range(200):
        tasks = asyncio.all_tasks() - {own}
        if not tasks:
            break
        await asyncio.sleep(0.005)
    return tasks


async def play(app, path, announced, events, log):
    """Play one sequence; assert what holds for each."""
    log.began.clear()
    log.ended.clear()
    connection = Connection(app, path, announced)
    outcome = await connection.run(events)
    assert outcome in ENDS
    assert connection.checks.fault is None
    if connection.stays and outcome == "NoneType":
        connection.checks.finish()
    assert not await left_tasks()
    assert _state.current.get() == (None, None)
    assert log.began == log.ended
    workers = app.asgi._workers
    assert workers._free == app.config["ASGI_THREADS"]
    assert not workers._line
    return outcome


PATHS = [f"/{view.__name__}" for view in views(None)]


def explore(apps, log, examples):
    """Play sequences, all on one loop; return what they led to."""
    outcomes = Counter()
    with asyncio.Runner() as runner:

        @settings(max_examples=examples, deadline=None, database=None)
        @given(
            st.sampled_from([0, 0, 0, 1]),
            st.sampled_from([*PATHS, "/mounted", "/none"]),
            st.sampled_from(["length", "chunked"]),
            st.lists(st.sampled_from(EVENTS), max_size=12),
        )
        def one(number, path, announced, events):
            if announced is None and path == "/echoing":
                announced = "length"
            coroutine = play(apps[number], path, announced, events, log)
            outcomes[runner.run(coroutine)] += 1

        one()
    return outcomes


@pytest.mark.parametrize("path", [*PATHS, "/mounted", "/none"])
@pytest.mark.parametrize("number", [0, 1])
def test_no_body_is_announced_and_none_comes(apps, log, number, path):
    with asyncio.Runner() as runner:
        outcome = runner.run(play(apps[number], path, None, [], log))
    assert outcome == ("ValueError" if "broken" in path else "NoneType")


@pytest.mark.parametrize("path", ["/context", "/stream", "/closing", "/mounted"])
@pytest.mark.parametrize("number", [0, 1])
def test_cancelled_while_the_view_runs_in_a_worker(apps, log, number, path):
    with asyncio.Runner() as runner:
        runner.run(play(apps[number], path, "length", ["turn", "cancel"], log))


def test_any_order_of_events(apps, log):
    outcomes = explore(apps, log, 150)
    assert outcomes["NoneType"]
    assert outcomes["cancelled"]


@pytest.mark.fuzz
def test_any_order_of_many_events(apps, log):
    assert explore(apps, log, 10_000).keys() == ENDS
