"""The life of an application as ASGI servers tell it, or do not."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from erlen import Erlen
from erlen import current_app
from erlen import g
from erlen import has_app_context


class Server:
    """A server's side of the lifespan protocol."""

    def __init__(self, app):
        self.app = app
        self.messages = asyncio.Queue()
        self.sent = asyncio.Queue()

    async def tell(self, what):
        """Tell of start or end; return what the application says."""
        self.messages.put_nowait({"type": f"lifespan.{what}"})
        return await asyncio.wait_for(self.sent.get(), 10)

    async def __aenter__(self):
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        run = self.app.asgi(scope, self.messages.get, self.sent.put)
        self.task = asyncio.ensure_future(run)
        return self

    async def __aexit__(self, *args):
        await asyncio.wait_for(self.task, 10)


def here():
    if threading.current_thread() is threading.main_thread():
        return "loop"
    return "worker"


@pytest.fixture
def steps(app):
    """Return what startup, requests and shutdown note."""
    steps = []

    @app.on_startup
    def one():
        steps.append(("one", here(), current_app._get_current_object() is app))

    @app.on_startup
    async def two():
        await asyncio.sleep(0)
        steps.append(("two", here(), current_app._get_current_object() is app))

    @app.on_shutdown
    def three():
        steps.append(("three", here(), has_app_context()))

    @app.on_shutdown
    async def four():
        await asyncio.sleep(0)
        steps.append(("four", here(), has_app_context()))

    app.add_url_rule("/", "index", lambda: steps.append("request") or "x")
    return steps


BEGUN = [("one", "worker", True), ("two", "loop", True)]
ENDED = [("four", "loop", True), ("three", "worker", True)]


def test_a_server_that_tells(app, run, exchange, steps):
    async def main():
        async with Server(app) as server:
            said = [await server.tell("startup")]
            steps.append("served")
            await exchange(app).run()
            said.append(await server.tell("shutdown"))
        return said

    assert run(main()) == [
        {"type": "lifespan.startup.complete"},
        {"type": "lifespan.shutdown.complete"},
    ]
    assert steps == [*BEGUN, "served", "request", *ENDED]


def test_a_server_that_does_not_tell(app, run, exchange, steps):
    async def main():
        await asyncio.gather(*(exchange(app).run() for _ in range(10)))

    run(main())
    assert steps == [*BEGUN, *["request"] * 10]
    app._begun = False  # else the functions run once more, as this process ends


def test_it_begins_once_for_lifespan_and_requests_together(app, run, exchange, steps):
    async def main():
        async with Server(app) as server:
            first = asyncio.ensure_future(exchange(app).run())
            await server.tell("startup")
            await first
            await server.tell("shutdown")

    run(main())
    assert steps == [*BEGUN, "request", *ENDED]


def test_another_life_begins_anew(app, run, steps):
    async def main():
        async with Server(app) as server:
            await server.tell("startup")
            await server.tell("shutdown")

    run(main())
    run(main())
    assert steps == [*BEGUN, *ENDED] * 2


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_start_that_fails_is_told_with_its_traceback(app, run, kind):
    def fail_plainly():
        raise ValueError("no database")

    async def fail_later():
        raise ValueError("no database")

    async def main():
        async with Server(app) as server:
            return await server.tell("startup")

    app.on_startup(fail_plainly if kind == "sync" else fail_later)
    called = []
    app.on_startup(lambda: called.append(1))

    said = run(main())

    assert said["type"] == "lifespan.startup.failed"
    assert said["message"].startswith("Traceback")
    assert said["message"].endswith("ValueError: no database\n")
    assert "fail_" in said["message"]
    assert not called


def test_a_start_that_fails_is_tried_again_by_the_next_request(app, run, exchange):
    tries = []

    @app.on_startup
    def begin():
        tries.append(1)
        if len(tries) < 3:
            raise ValueError(f"try {len(tries)}")

    app.add_url_rule("/", "index", lambda: "x")

    async def main():
        for number in (1, 2):
            with pytest.raises(ValueError, match=f"try {number}"):
                await exchange(app).run()
        first, second = exchange(app).run(), exchange(app).run()
        return [answer.text for answer in await asyncio.gather(first, second)]

    assert run(main()) == ["x", "x"]
    assert len(tries) == 3


def test_requests_that_wait_for_the_same_start_fail_by_it(app, run, exchange):
    tries = []

    @app.on_startup
    async def begin():
        tries.append(1)
        await asyncio.sleep(0)
        raise ValueError("no")

    async def main():
        asked = [exchange(app).run() for _ in range(5)]
        return await asyncio.gather(*asked, return_exceptions=True)

    assert [type(error) for error in run(main())] == [ValueError] * 5
    assert len(tries) == 1


def test_a_request_that_is_cancelled_does_not_stop_the_start(app, run, exchange):
    steps = []
    app.add_url_rule("/", "index", lambda: "x")

    async def main():
        @app.on_startup
        async def begin():
            begins.set()
            steps.append("begin")
            await go.wait()
            steps.append("begun")

        first = asyncio.ensure_future(exchange(app).run())
        second = asyncio.ensure_future(exchange(app).run())
        await begins.wait()
        first.cancel()
        await asyncio.wait({first})
        assert first.cancelled()
        go.set()
        return (await second).text

    begins, go = asyncio.Event(), asyncio.Event()
    assert run(main()) == "x"
    assert steps == ["begin", "begun"]


def test_a_start_that_fails_while_nobody_waits_is_tried_again(app, run, exchange):
    tries = []
    app.add_url_rule("/", "index", lambda: "x")

    async def main():
        @app.on_startup
        async def begin():
            begins.set()
            tries.append(asyncio.current_task())
            await go.wait()
            if len(tries) == 1:
                raise ValueError("nobody hears it")

        first = asyncio.ensure_future(exchange(app).run())
        await begins.wait()
        first.cancel()
        await asyncio.wait({first})
        go.set()
        await asyncio.wait({tries[0]})
        with pytest.raises(ValueError, match="nobody hears it"):
            await tries[0]
        return (await exchange(app).run()).text

    begins, go = asyncio.Event(), asyncio.Event()
    assert run(main()) == "x"
    assert len(tries) == 2


def test_a_start_on_a_loop_that_has_ended_counts_for_nothing(app, run, exchange):
    begun = []
    app.add_url_rule("/", "index", lambda: "x")

    @app.on_startup
    async def begin():
        begun.append(1)
        if len(begun) == 1:
            begins.set()
            await asyncio.Event().wait()

    async def leave():
        task = asyncio.ensure_future(exchange(app).run())
        await begins.wait()
        return task

    begins = asyncio.Event()
    assert run(leave()).cancelled()  # with its loop
    assert run(exchange(app).run()).text == "x"
    assert len(begun) == 2


@pytest.mark.parametrize("fails", [0, 1, 2, 3])
def test_all_shutdown_functions_run(app, run, fails):
    calls = []

    def add(number):
        @app.on_shutdown
        def end():
            calls.append(number)
            if number < fails:
                raise ValueError(f"end {number}")

    for number in range(4):
        add(number)

    async def main():
        async with Server(app) as server:
            await server.tell("startup")
            return await server.tell("shutdown")

    said = run(main())

    assert calls == [3, 2, 1, 0]
    if not fails:
        assert said == {"type": "lifespan.shutdown.complete"}
    else:
        assert said["type"] == "lifespan.shutdown.failed"
        assert [f"end {n}" in said["message"] for n in range(4)] == [
            n < fails for n in range(4)
        ]


def test_each_function_has_a_context_of_its_own(app, run):
    seen, ended = [], []
    app.teardown_appcontext(lambda exc: ended.append((repr(exc), here())))

    @app.on_startup
    def one():
        g.value = 1

    @app.on_startup
    async def two():
        seen.append(g.get("value"))

    @app.on_startup
    async def three():
        raise ValueError("x")

    async def main():
        async with Server(app) as server:
            await server.tell("startup")
        return has_app_context()

    assert run(main()) is False
    assert seen == [None]
    assert ended == [("None", "worker")] * 2 + [("ValueError('x')", "worker")]


def test_a_start_that_is_no_exception_goes_to_the_server(app, run):
    class Stop(BaseException):
        pass

    @app.on_startup
    async def begin():
        raise Stop

    async def main():
        server = Server(app)
        server.messages.put_nowait({"type": "lifespan.startup"})
        await app.asgi({"type": "lifespan"}, server.messages.get, server.sent.put)

    with pytest.raises(Stop):
        run(main())


def test_what_goes_on_after_an_answer_is_over_before_the_shutdown(app, run, exchange):
    steps = []
    app.on_shutdown(lambda: steps.append("shutdown"))

    class Pieces:
        def __aiter__(self):
            return self

        async def __anext__(self):
            await asyncio.sleep(0)
            return b"x"

        async def aclose(self):
            if "closing" not in steps:
                steps.append("closing")
                closing.set()
                await release.wait()
                steps.append("closed")

    @app.get("/")
    async def view():
        return app.response_class(Pieces())

    async def main():
        async with Server(app) as server:
            await server.tell("startup")
            asked = exchange(app)
            task = asyncio.ensure_future(asked.run())
            await asked.sending(2)
            task.cancel()
            await closing.wait()
            task.cancel()
            await asyncio.wait({task})
            asyncio.get_running_loop().call_later(0.01, release.set)
            await server.tell("shutdown")

    closing, release = asyncio.Event(), asyncio.Event()
    run(main())
    assert steps == ["closing", "closed", "shutdown"]


# Middleware


def test_wrapped_wsgi_is_refused_at_the_start(app, run):
    inner = app.wsgi_app

    def middleware(environ, start_response):
        return inner(environ, start_response)

    app.wsgi_app = middleware

    async def main():
        async with Server(app) as server:
            return await server.tell("startup")

    said = run(main())
    assert said["type"] == "lifespan.startup.failed"
    for cure in ("middleware", "app.asgi", "ASGI_RUN_WSGI_MIDDLEWARE", "PROXY_HOPS"):
        assert cure in said["message"]


def test_threads_that_serve_nobody_are_refused_at_the_start(app, run):
    app.config["ASGI_THREADS"] = 0

    async def main():
        async with Server(app) as server:
            return await server.tell("startup")

    said = run(main())
    assert said["type"] == "lifespan.startup.failed"
    assert "ASGI_THREADS" in said["message"]


# In processes of their own


HEAD = """
import asyncio, sys
from erlen import Erlen
app = Erlen("x")
app.on_startup(lambda: print("begin", flush=True))
app.on_shutdown(lambda: print("end", flush=True))
app.get("/")(lambda: "x")

async def ask():
    scope = {"type": "http", "path": "/", "method": "GET", "headers": []}
    async def receive():
        await asyncio.Event().wait()
    async def send(message):
        if message["type"].endswith("body"):
            print(message["body"].decode(), flush=True)
    await app.asgi(scope, receive, send)
"""

TWO = """
async def main():
    await asyncio.gather(ask(), ask())
asyncio.run(main())
"""

WITH_LIFESPAN = """
async def main():
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    async def receive():
        if len(messages) == 1:
            await ask()
        return messages.pop(0)
    async def send(message):
        pass
    await app.asgi({"type": "lifespan"}, receive, send)
asyncio.run(main())
"""

NOT_BEGUN = ""


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        (TWO, ["begin", "x", "x", "end"]),
        (WITH_LIFESPAN, ["begin", "x", "end"]),
        (NOT_BEGUN, []),
    ],
)
def test_a_process_begins_and_ends_once(code, lines):
    command = [sys.executable, "-c", HEAD + code]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == lines
    assert done.stderr == ""


def test_without_functions_nothing_is_kept_for_the_end(run, exchange, monkeypatch):
    registered = []
    monkeypatch.setattr("atexit.register", lambda *args: registered.append(args))
    app = Erlen("plain")
    app.add_url_rule("/", "index", lambda: "x")

    assert run(exchange(app).run()).text == "x"
    assert registered == []
