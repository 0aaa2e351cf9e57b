"""The one `app` and the one `client` of the core's tests, and what keeps them quick."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from blinker import Signal

from erlen import Erlen
from erlen import signals
from erlen._workers import Workers

_numbers = itertools.count()


_SIGNALS = [it for it in vars(signals).values() if isinstance(it, Signal)]


@pytest.fixture(autouse=True)
def silence():
    """Leave no listener behind: who listens changes the way of the next request.

    A receiver of an application that is in a cycle stays until it is collected.
    """
    yield
    for signal in _SIGNALS:
        if signal.receivers:
            signal._clear_state()


@pytest.fixture
def tmp_path(tmp_path_factory):
    """Return an empty folder, in a third of the time of pytest's own.

    That has the name of the test, and a link to it.
    """
    return tmp_path_factory.mktemp(str(next(_numbers)), numbered=False)


@pytest.fixture
def app():
    """Return a fresh application under test.

    TESTING lets errors of a view reach the test that caused them. A test about
    the answer of a failing view sets PROPAGATE_EXCEPTIONS to False.
    """
    app = Erlen(__name__)
    app.config.update(TESTING=True, SECRET_KEY="a key for tests only")
    return app


@pytest.fixture(params=["wsgi", "asgi"])
def client(app, request):
    """Return a client of `app`, of each door, that checks each call by its standard."""
    return app.test_client(validate=True, door=request.param)


@pytest.fixture
def wsgi_client(app):
    """Return a client for tests that are about WSGI itself."""
    return app.test_client(validate=True)


class Exchange:
    """A request to an ASGI application and its answer, message by message.

    Args:
        app: The application, whose door is asked.
        path: The path.
        body: The body with its length, or a list of pieces without one; what is
            still to come is put into `messages` by the test.
        headers: More headers, a dict of text.
        **scope: More of the scope.
    """

    def __init__(self, app, path="/", method="GET", *, body=None, headers=(), **scope):
        fields = {"host": "localhost", **dict(headers)}
        pieces = body if isinstance(body, list) else [body or b""]
        if isinstance(body, bytes):
            fields.setdefault("content-length", str(len(body)))
        elif body is not None:
            fields.setdefault("transfer-encoding", "chunked")
        self.app = app
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(key.encode(), it.encode()) for key, it in fields.items()],
            "client": ("127.0.0.1", 1234),
            "server": ("localhost", 80),
            **scope,
        }
        self.messages = asyncio.Queue()
        for number, piece in enumerate(pieces, 1):
            self.come(piece, more=number < len(pieces))
        self.sent = []
        #: Set when there is something sent, and by nobody else.
        self.news = asyncio.Event()
        #: Whether the server says that there is nobody to send to.
        self.broken = False

    def come(self, piece=b"", *, more=True):
        """Let a piece of the body come."""
        message = {"type": "http.request", "body": piece, "more_body": more}
        self.messages.put_nowait(message)

    def leave(self):
        """Let the client leave."""
        self.messages.put_nowait({"type": "http.disconnect"})

    async def send(self, message):
        if self.broken:
            raise OSError("broken")
        self.sent.append(message)
        self.news.set()

    async def run(self):
        """Call the application to its end; return this."""
        await self.app.asgi(self.scope, self.messages.get, self.send)
        return self

    async def sending(self, count):
        """Wait until so many messages were sent."""
        while len(self.sent) < count:
            self.news.clear()
            await self.news.wait()

    @property
    def status(self):
        return self.sent[0]["status"]

    @property
    def headers(self):
        pairs = self.sent[0]["headers"]
        return {name.decode(): value.decode("latin-1") for name, value in pairs}

    @property
    def pieces(self):
        return [message["body"] for message in self.sent[1:]]

    @property
    def data(self):
        return b"".join(self.pieces)

    @property
    def text(self):
        return self.data.decode()


@pytest.fixture
def exchange():
    """Return the class of exchanges with an ASGI application."""
    return Exchange


@pytest.fixture
def run():
    """Return what runs a coroutine on an event loop of its own."""

    def run(coroutine):
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            return runner.run(coroutine)

    return run


@pytest.fixture
def ask(run):
    """Return what makes a whole exchange, on an event loop of its own."""

    def ask(*args, **kwargs):
        return run(Exchange(*args, **kwargs).run())

    return ask


@pytest.fixture
def hops(monkeypatch):
    """Return a list that gets an item for each way to a worker."""
    hops = []
    hop = Workers.hop

    def counted(self, *args, **kwargs):
        hops.append(args)
        return hop(self, *args, **kwargs)

    monkeypatch.setattr(Workers, "hop", counted)
    return hops
