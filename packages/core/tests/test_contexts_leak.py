"""No context is left behind: by threads, greenlets, tasks, nor by those that are cancelled."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import subprocess
import sys
import threading
from collections import Counter

import pytest

from erlen import Erlen
from erlen import Response
from erlen import _state
from erlen import abort
from erlen import current_app
from erlen import g
from erlen import request
from erlen import session
from erlen import stream_with_context
from erlen.ctx import AppContext
from erlen.ctx import RequestContext

PATHS = ("plain", "native", "stream", "later", "error", "native_error", "abort")


def make_app(pause=lambda: None):  # noqa: C901  # views of each kind
    """Make an application whose views tell whose request they see.

    Args:
        pause: Lets others go on, in the middle of a view.
    """
    app = Erlen(__name__)
    app.config["SECRET_KEY"] = "for tests only"
    app.logger.disabled = True
    app.ends = Counter()

    def see():
        assert current_app == app
        return f"{request.args['n']} {g.n} {session['n']}"

    @app.before_request
    def note():
        g.n = session["n"] = request.args["n"]
        pause()

    @app.get("/plain")
    def plain():
        pause()
        return see()

    @app.get("/native")
    async def native():
        await asyncio.sleep(0)
        return see()

    @app.get("/stream")
    def stream():
        def pieces():
            pause()
            yield see()
            pause()
            yield f" {see()}"

        return Response(stream_with_context(pieces()))

    @app.get("/later")
    def later():
        async def pieces():
            await asyncio.sleep(0)
            yield see()
            await asyncio.sleep(0)
            yield f" {see()}"

        return Response(stream_with_context(pieces()))

    @app.get("/error")
    def error():
        pause()
        raise LookupError(see())

    @app.get("/native_error")
    async def native_error():
        await asyncio.sleep(0)
        raise LookupError(see())

    @app.get("/abort")
    def refuse():
        abort(Response(see(), 418))

    @app.errorhandler(LookupError)
    def answer(exc):
        return f"{exc} {g.n}", 409

    app.teardown_request(lambda exc: app.ends.update(["request"]))
    app.teardown_appcontext(lambda exc: app.ends.update(["context"]))
    return app


def living():
    """Return how many contexts there are."""
    gc.collect()
    kinds = (type(item) for item in gc.get_objects())  # which asks no proxy
    return sum(issubclass(kind, AppContext | RequestContext) for kind in kinds)


def is_own(text, n):
    return text != "" and set(text.split()) == {str(n)}


# Threads over WSGI


def run_threads(count, requests):
    """Send requests from threads, some of which leave a stream half read."""
    app = make_app()
    wrong = []
    start = threading.Barrier(count)

    def work(number):
        start.wait()
        client = app.test_client(use_cookies=False)
        for step in range(requests):
            n = number * requests + step
            path = PATHS[(number + step) % len(PATHS)]
            response = client.get(f"/{path}?n={n}")
            if n % 5:
                wrong.extend([] if is_own(response.text, n) else [response.text])
            response.close()
            wrong.extend(context for context in _state.current.get() if context)

    before = living()
    threads = [threading.Thread(target=work, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert app.ends == {"request": count * requests, "context": count * requests}
    assert living() == before


def test_threads():
    pytest.importorskip("asgiref")
    run_threads(16, 14)


@pytest.mark.fuzz
def test_many_requests_of_threads():
    run_threads(16, 1000)


# Greenlets

GREENLETS = """
import importlib.util, sys
import gevent

spec = importlib.util.spec_from_file_location("leaks", sys.argv[1])
leaks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(leaks)
app = leaks.make_app(lambda: gevent.sleep(0))
paths = [path for path in leaks.PATHS if path not in ("native", "native_error", "later")]
wrong = []

def work(n):
    response = app.test_client(use_cookies=False).get(f"/{paths[n % 4]}?n={n}")
    wrong.extend([] if leaks.is_own(response.text, n) else [response.text])
    response.close()
    wrong.extend(context for context in leaks._state.current.get() if context)

before = leaks.living()
count = int(sys.argv[2])
gevent.joinall([gevent.spawn(work, n) for n in range(count)], raise_error=True)
assert wrong == [], wrong[:5]
assert app.ends == {"request": count, "context": count}, app.ends
assert leaks.living() == before
print("no greenlet leaks")
"""


def run_greenlets(count):
    """Run requests in greenlets that take turns, in a process of their own."""
    pytest.importorskip("gevent")
    done = subprocess.run(
        [sys.executable, "-c", GREENLETS, __file__, str(count)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("no greenlet leaks\n", 0), done.stderr


def test_greenlets():
    run_greenlets(3000)


# Tasks over ASGI

SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.4"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "root_path": "",
    "headers": [(b"host", b"localhost")],
    "client": ("127.0.0.1", 1),
    "server": ("localhost", 80),
}


async def ask(app, n, wrong, path=None):
    """Send a request, and compare the answer."""
    path = path or f"/{PATHS[n % len(PATHS)]}"
    scope = SCOPE | {"path": path, "query_string": f"n={n}".encode()}
    pieces = []

    async def receive():
        await asyncio.get_running_loop().create_future()

    async def send(message):
        await asyncio.sleep(0)
        pieces.append(message.get("body", b""))

    await app.asgi(scope, receive, send)
    text = b"".join(pieces).decode()
    wrong.extend([] if is_own(text, n) else [text])
    wrong.extend(context for context in _state.current.get() if context)


async def run_tasks(app, count, cancelled, seed):
    """Run tasks, and cancel some of them after a random number of turns of the loop."""
    chance = random.Random(seed)  # the same each time
    wrong = []
    ends = Counter()
    for start in range(0, count, 200):
        tasks = [asyncio.ensure_future(ask(app, start + n, wrong)) for n in range(200)]
        doomed = chance.sample(tasks, int(200 * cancelled))
        moments = sorted((chance.randrange(30), n) for n in range(len(doomed)))
        turn = 0
        for moment, n in moments:
            while turn < moment:
                turn += 1
                await asyncio.sleep(0.0002 if turn % 4 == 0 else 0)
            doomed[n].cancel()
        await asyncio.wait(tasks)
        ends.update(
            "cancelled" if task.cancelled() else repr(task.exception())
            for task in tasks
        )
    for _ in range(1000):
        if len(asyncio.all_tasks()) == 1:
            break
        await asyncio.sleep(0.005)
    assert len(asyncio.all_tasks()) == 1
    assert app.asgi._workers._free == app.config["ASGI_THREADS"]
    assert wrong == []
    assert _state.current.get() == (None, None)
    return ends


async def cancel_in_line(app, path):
    """Cancel a request whose end waits for the only worker, which is taken."""
    taken, free = threading.Event(), threading.Event()
    await ask(app, 1, [], path)

    async def take():
        await app.asgi._workers.run(lambda: taken.set() or free.wait())

    holder = asyncio.ensure_future(take())
    await asyncio.to_thread(taken.wait)
    task = asyncio.ensure_future(ask(app, 1, [], path))
    while not app.asgi._workers._line:  # noqa: ASYNC110  # nothing tells of it
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    free.set()
    await asyncio.wait({task, holder})
    while len(asyncio.all_tasks()) > 1:  # noqa: ASYNC110  # as above
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("path", ["/view", "/stream"])
def test_what_ends_in_a_worker_ends_though_it_is_cancelled_in_the_line(path):
    app = Erlen(__name__)
    app.config["ASGI_THREADS"] = 1
    ends = []
    app.teardown_request(ends.append)

    async def pieces():
        yield "1"

    @app.get("/view")
    async def view():
        return "1"

    @app.get("/stream")
    async def stream():
        return stream_with_context(pieces())

    asyncio.run(cancel_in_line(app, path))
    assert len(ends) == 2


def check_tasks(count, seed):
    app = make_app()
    began = Counter()
    push = RequestContext.push

    def noted_push(ctx):
        push(ctx)
        began.update(["request", "context"])

    before = living()
    with pytest.MonkeyPatch.context() as patch, asyncio.Runner() as runner:
        patch.setattr(RequestContext, "push", noted_push)
        ends = runner.run(run_tasks(app, count, 0.2, seed))
    assert ends.keys() == {"None", "cancelled"}
    assert ends["cancelled"] > count / 20
    assert app.ends == began
    assert living() == before


def test_tasks():
    check_tasks(1000, 1)


@pytest.mark.fuzz
@pytest.mark.parametrize("seed", range(3))
def test_many_tasks(seed):
    check_tasks(10_000, seed)
