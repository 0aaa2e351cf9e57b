"""The ASGI door: what goes through it, and what belongs to another door."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import pytest

from erlen import Erlen
from erlen import abort
from erlen import current_app
from erlen import g
from erlen import render_template_string
from erlen import request
from erlen import session
from erlen import stream_with_context
from erlen.wrappers import Request


class Overridden(Erlen):
    """An application that replaces a step, and so takes the way of WSGI."""

    def dispatch_request(self):
        g.steps = [*g.get("steps", ()), "dispatch"]
        return super().dispatch_request()


@pytest.fixture(params=[Erlen, Overridden])
def either(request):
    """Return an application that goes each of the two ways."""
    app = request.param("either")
    app.testing = True
    app.secret_key = "for tests only"
    return app


def in_order(app, count=20):
    """Add a view that notes how many of it run at a time."""
    lock = threading.Lock()
    numbers = {"now": 0, "most": 0}
    pairs = threading.Barrier(2)

    @app.get("/busy")
    def busy():
        with lock:
            numbers["now"] += 1
            numbers["most"] = max(numbers.values())
        pairs.wait(10)
        with lock:
            numbers["now"] -= 1
        return "x"

    return numbers


# Threads


def test_no_more_requests_at_a_time_than_threads(either, run, exchange):
    either.config["ASGI_THREADS"] = 2
    numbers = in_order(either)

    async def main():
        asked = [exchange(either, "/busy").run() for _ in range(20)]
        return [answer.text for answer in await asyncio.gather(*asked)]

    assert run(main()) == ["x"] * 20
    assert numbers == {"now": 0, "most": 2}


def test_a_request_that_waits_holds_up_no_other(app, run, exchange):
    app.config["ASGI_THREADS"] = 1
    end = threading.Event()
    app.add_url_rule("/held", "held", lambda: str(end.wait(10)))

    @app.get("/quick")
    async def quick():
        return "quick"

    async def main():
        held = asyncio.ensure_future(exchange(app, "/held").run())
        answer = (await exchange(app, "/quick").run()).text
        assert not held.done()
        end.set()
        return answer, (await held).text

    assert run(main()) == ("quick", "True")


@pytest.mark.parametrize("size", [0, -1, "4", None])
def test_a_number_of_threads_that_serves_nobody(either, ask, size):
    either.config["ASGI_THREADS"] = size
    with pytest.raises(ValueError, match=f"ASGI_THREADS.*not {size!r}"):
        ask(either)


def test_an_application_serves_on_one_loop_after_another(either, ask):
    either.add_url_rule("/", "index", lambda: "x")
    assert [ask(either).text for _ in range(3)] == ["x"] * 3


def test_two_applications_on_one_loop(run, exchange):
    def make(name):
        app = Erlen(name)
        app.add_url_rule("/", "index", lambda: current_app.name)
        return app

    async def main():
        asked = [exchange(make(name)).run() for name in "abc" * 5]
        return "".join([answer.text for answer in await asyncio.gather(*asked)])

    assert run(main()) == "abc" * 5


# The other ways


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("body", [b'{"a": "b"}', [b'{"a"', b': "b"}']])
def test_the_body_in_an_application_with_a_step_of_its_own(either, ask, kind, body):
    def view():
        return [request.json, g.get("steps")]

    async def view_later():
        await asyncio.sleep(0)
        return view()

    either.add_url_rule(
        "/", "index", view if kind == "sync" else view_later, methods=["POST"]
    )
    answer = ask(
        either, method="POST", body=body, headers={"content-type": "application/json"}
    )
    steps = '["dispatch"]' if isinstance(either, Overridden) else "null"
    assert answer.text.replace("\n", "") == f'[{{"a":"b"}},{steps}]'


def test_a_request_of_a_step_of_its_own_takes_one_way_to_a_worker(ask, hops):
    app = Overridden("own")
    app.add_url_rule("/", "index", lambda: "x")
    app.add_url_rule("/stream", "stream", lambda: iter(["a", "b"]))

    assert ask(app).text == "x"
    assert len(hops) <= 3  # the application, and its body
    assert ask(app, "/stream").text == "ab"


@pytest.mark.parametrize("how", ["class", "instance"])
def test_a_step_may_be_replaced_at_any_time(app, ask, how):
    app.add_url_rule("/", "index", lambda: "x")
    assert ask(app).text == "x"

    def finalize_request(rv, from_error_handler=False):
        response = Erlen.finalize_request(app, rv, from_error_handler)
        response.headers["X-Own"] = "yes"
        return response

    app.finalize_request = finalize_request
    assert ask(app).headers["x-own"] == "yes"
    del app.finalize_request
    assert "x-own" not in ask(app).headers


def wrap(app):
    inner = app.wsgi_app

    def middleware(environ, start_response):
        def start(status, headers, exc_info=None):
            return start_response(status, [*headers, ("X-Wrapped", "yes")], exc_info)

        return inner(environ, start)

    app.wsgi_app = middleware


@pytest.mark.parametrize("begun", [False, True])
def test_wrapped_wsgi_is_refused_with_the_cure(app, ask, begun):
    app.add_url_rule("/", "index", lambda: "x")
    if begun:
        ask(app)
    wrap(app)

    with pytest.raises(RuntimeError, match="ASGI_RUN_WSGI_MIDDLEWARE=True") as caught:
        ask(app)
    for part in ("wrap.<locals>.middleware", "app.asgi", "PROXY_HOPS", repr(app)):
        assert part in str(caught.value)


def test_a_middleware_object_is_named_by_its_class(app, ask):
    class Middleware:
        def __call__(self, environ, start_response):
            """Never called."""

    app.wsgi_app = Middleware()
    with pytest.raises(RuntimeError, match=r"locals>\.Middleware"):
        ask(app)


def test_wrapped_wsgi_is_served_where_that_is_wanted(app, ask):
    app.config["ASGI_RUN_WSGI_MIDDLEWARE"] = True
    app.add_url_rule("/", "index", lambda: "x")
    wrap(app)

    answer = ask(app)
    assert (answer.text, answer.headers["x-wrapped"]) == ("x", "yes")


# The wrong door


def test_an_asgi_server_at_the_wsgi_door(app):
    async def main():
        await app({"type": "http"}, None, None)

    with pytest.raises(TypeError, match=r"`module:app\.asgi`, not `module:app`"):
        asyncio.run(main())


def test_an_asgi_server_of_the_old_kind_at_the_wsgi_door(app):
    with pytest.raises(TypeError, match=r"`module:app\.asgi`, not `module:app`"):
        app({"type": "http"})


def test_a_wsgi_server_at_the_asgi_door(app):
    with pytest.raises(TypeError, match=r"`module:app`, not `module:app\.asgi`"):
        app.asgi({"REQUEST_METHOD": "GET"}, print)


def test_the_door_is_one(app):
    assert app.asgi is app.asgi
    assert Erlen("other").asgi is not app.asgi


# Mounts


def say(environ, start_response):
    start_response("299 Said", [("Content-Type", "text/plain")])
    data = environ["wsgi.input"].read()
    place = f"{environ['SCRIPT_NAME']}|{environ['PATH_INFO']}|"
    return [place.encode("latin-1"), data]


def make_inner():
    inner = Erlen("inner")

    @inner.route("/<path:rest>", methods=["GET", "POST"])
    @inner.route("/", defaults={"rest": ""}, methods=["GET", "POST"])
    async def show(rest):
        return f"{request.script_root}|{request.path}|{request.get_data(as_text=True)}"

    return inner


@pytest.mark.parametrize("make", [lambda: say, make_inner])
@pytest.mark.parametrize(
    ("prefix", "root", "path", "expected"),
    [
        ("/inner", "", "/inner/a", "/inner|/a|"),
        ("/inner", "", "/inner/", "/inner|/|"),
        ("/inner", "/root", "/root/inner/a", "/root/inner|/a|"),
        ("/inner", "/root", "/inner/a", "/root/inner|/a|"),
        ("/root2", "/root", "/root2/a", "/root/root2|/a|"),
        ("/inner", "/root/", "/root/inner/a", "/root/inner|/a|"),
        ("/\N{SNOWMAN}", "", "/\N{SNOWMAN}/\xe9", "/\N{SNOWMAN}|/\xe9|"),
    ],
)
@pytest.mark.parametrize("body", [None, b"data"])
def test_mounts(either, ask, make, prefix, root, path, expected, body):
    either.mount(prefix, make())

    answer = ask(either, path, method="POST", body=body, root_path=root)

    assert answer.data.decode() == expected + (body or b"").decode()
    assert answer.status == (200 if make is make_inner else 299)


def test_what_is_below_no_mount_is_served_here(either, ask):
    either.mount("/inner", say)
    either.add_url_rule("/inside", "inside", lambda: "here")

    assert ask(either, "/inside").text == "here"


def test_an_erlen_in_an_erlen_takes_its_own_way(app, ask, hops):
    app.mount("/inner", make_inner())

    assert ask(app, "/inner/a").text == "/inner|/a|"
    assert hops == []


def test_a_websocket_has_no_way_into_wsgi(app, run, exchange):
    app.mount("/inner", say)
    asked = exchange(app, "/inner/a", type="websocket")

    run(asked.run())

    assert asked.sent == [{"type": "websocket.close", "code": 1000}]


def test_a_websocket_that_nobody_serves(app, run, exchange):
    asked = exchange(app, "/missing", type="websocket")
    asked.messages.get_nowait()
    asked.messages.put_nowait({"type": "websocket.connect"})

    run(asked.run())

    assert asked.sent[-1]["type"] == "websocket.close"


class Body:
    """The body of a WSGI application, which notes that it is closed."""

    def __init__(self, pieces, error=None):
        self.pieces = list(pieces)
        self.error = error
        self.closed = 0

    def __iter__(self):
        return self

    def __next__(self):
        if self.pieces:
            return self.pieces.pop(0)
        if self.error is not None:
            raise self.error
        raise StopIteration

    def close(self):
        self.closed += 1


def starts_late(environ, start_response):
    start_response("201 Created", [("X-Late", "yes")])
    yield b"a"
    yield b"b"


def starts_empty(environ, start_response):
    start_response("201 Created", [("X-Late", "yes")])
    return
    yield


def writes(environ, start_response):
    write = start_response("201 Created", [("X-Late", "yes")])
    write(b"a")
    return Body([b"b"])


def starts_again(environ, start_response):
    start_response("200 OK", [])
    start_response("201 Created", [("X-Late", "yes")], (None, None, None))
    return Body([b"ab"])


@pytest.mark.parametrize(
    ("application", "text"),
    [(starts_late, "ab"), (starts_empty, ""), (writes, "ab"), (starts_again, "ab")],
)
def test_each_way_in_which_wsgi_begins_an_answer(app, ask, application, text):
    app.mount("/inner", application)

    answer = ask(app, "/inner")

    assert answer.status == 201
    assert answer.headers == {"x-late": "yes"}
    assert answer.text == text


@pytest.mark.parametrize("pieces", [[], [b"a"]])
def test_a_body_of_wsgi_that_fails_is_closed(app, run, exchange, pieces):
    body = Body(pieces, ValueError("x"))

    def application(environ, start_response):
        start_response("200 OK", [])
        return body

    app.mount("/inner", application)
    asked = exchange(app, "/inner")
    with pytest.raises(ValueError, match="x"):
        run(asked.run())
    assert asked.data == b"".join(pieces)
    assert body.closed == 1


@pytest.mark.parametrize("body", [Body([b"a"]), Body([], KeyError("x")), [b"a"]])
def test_wsgi_that_never_starts(app, ask, body):
    app.mount("/inner", lambda environ, start_response: body)

    with pytest.raises((RuntimeError, KeyError)) as caught:
        ask(app, "/inner")
    assert isinstance(caught.value, KeyError) or "start_response" in str(caught.value)
    assert getattr(body, "closed", 1) == 1


def test_wsgi_that_fails_at_once(app, run, exchange):
    def application(environ, start_response):
        raise ValueError("at once")

    app.mount("/inner", application)
    asked = exchange(app, "/inner")
    with pytest.raises(ValueError, match="at once"):
        run(asked.run())
    assert asked.sent == []


def test_a_header_of_wsgi_that_cannot_be_sent(app, ask):
    body = Body([b"a"])

    def application(environ, start_response):
        start_response("200 OK", [("X-Name", "\N{SNOWMAN}")])
        return body

    app.mount("/inner", application)
    with pytest.raises(UnicodeEncodeError):
        ask(app, "/inner")
    assert body.closed == 1


@pytest.mark.parametrize("said", [False, True])
def test_wsgi_that_is_cancelled_meanwhile(app, run, exchange, said):
    body = Body([b"a"])

    async def main():
        loop, runs, end = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

        def application(environ, start_response):
            loop.call_soon_threadsafe(runs.set)
            end.wait(10)
            if not said:
                raise ValueError
            start_response("200 OK", [])
            return body

        app.mount("/inner", application)
        asked = exchange(app, "/inner")
        task = asyncio.ensure_future(asked.run())
        await runs.wait()
        task.cancel()
        end.set()
        await asyncio.wait({task})
        assert task.cancelled()
        return asked.sent

    assert run(main()) == []
    assert body.closed == said


def test_a_stream_of_wsgi_is_closed_when_the_client_leaves(app, run, exchange):
    def endless():
        try:
            while True:
                yield b"x"
        finally:
            closed.append(threading.current_thread())

    def application(environ, start_response):
        start_response("200 OK", [])
        return endless()

    async def main():
        asked = exchange(app, "/inner")
        task = asyncio.ensure_future(asked.run())
        await asked.sending(4)
        asked.leave()
        await task

    closed = []
    app.mount("/inner", application)
    run(main())
    assert len(closed) == 1


# Proxies


FORWARDED = {
    "X-Forwarded-For": "203.0.113.66, 198.51.100.7",
    "X-Forwarded-Proto": "http, https",
    "X-Forwarded-Host": "evil.test, shop.test",
    "X-Forwarded-Prefix": "/evil, /shop",
    "X-Forwarded-Port": "1, 8443",
}


@pytest.mark.parametrize(
    "hops", [1, 2, 3, {"for": 1}, {"host": 1, "port": 1}, {"prefix": 1}, {"proto": 2}]
)
@pytest.mark.parametrize("path", ["/", "/a/\N{SNOWMAN}", "/shop/x"])
def test_proxies_are_trusted_as_by_the_wsgi_door(either, hops, path):
    either.config["PROXY_HOPS"] = hops

    @either.route("/<path:rest>")
    @either.route("/", defaults={"rest": ""})
    def show(rest):
        return {
            "url": request.url,
            "root": request.root_path,
            "path": request.path,
            "remote": request.remote_addr,
            "secure": request.is_secure,
            "host": request.headers.getlist("Host"),
            "forwarded": request.headers["X-Forwarded-Host"],
        }

    said = [
        either.test_client(door=door).get(path, headers=FORWARDED).json
        for door in ("wsgi", "asgi")
    ]
    assert said[0] == said[1]


def test_proxies_of_a_mounted_application_are_counted_once(app):
    inner = make_inner()
    inner.config["PROXY_HOPS"] = app.config["PROXY_HOPS"] = 1
    inner.add_url_rule("/who", "who", lambda: request.remote_addr + request.host)
    app.mount("/inner", inner)

    said = [
        app.test_client(door=door).get("/inner/who", headers=FORWARDED).text
        for door in ("wsgi", "asgi")
    ]
    assert said == ["198.51.100.7shop.test"] * 2


# Requests of one's own


class Own(Request):
    """A request with something of its own, taken from the environ."""

    def __init__(self, environ, *args, **kwargs):
        super().__init__(environ, *args, **kwargs)
        self.own = environ["HTTP_X_OWN"] + environ["REQUEST_METHOD"]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_request_class_with_its_own_init(app, ask, kind):
    app.request_class = Own

    def view():
        return f"{request.own} {request.get_data(as_text=True)}"

    async def view_later():
        return view()

    app.add_url_rule(
        "/", "index", view if kind == "sync" else view_later, methods=["POST"]
    )
    answer = ask(app, method="POST", body=b"data", headers={"x-own": "mine "})
    assert answer.text == "mine POST data"


def test_a_request_class_that_is_not_initialized(app, ask):
    class Empty(Request):
        def __init__(self, environ):
            """Forget the base."""

    app.request_class = Empty
    with pytest.raises(AttributeError, match=r"super\(\).__init__\(environ\)"):
        ask(app)


# Templates


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("kind", ["sync", "async", "thread"])
def test_async_context_processors(app, ask, waits, kind):
    @app.context_processor
    async def add_word():
        if waits:
            await asyncio.sleep(0)
        return {"word": "hello"}

    def render():
        return render_template_string("{{ word }} {{ request.path }}")

    async def render_later():
        return render()

    async def render_in_thread():
        return await asyncio.to_thread(render)

    view = {"sync": render, "async": render_later, "thread": render_in_thread}[kind]
    app.add_url_rule("/", "index", view)

    if waits and kind == "async":
        with pytest.raises(RuntimeError, match=r"add_word.*await asyncio\.to_thread"):
            ask(app)
    else:
        assert ask(app).text == "hello /"


# Sessions


def test_sessions_go_through_the_door(either, ask):
    @either.get("/")
    async def count():
        session["n"] = session.get("n", 0) + 1
        return str(session["n"])

    first = ask(either)
    cookie = first.headers["set-cookie"].partition(";")[0]
    second = ask(either, headers={"cookie": cookie})
    assert (first.text, second.text) == ("1", "2")


# What is left behind


def add_views(app):
    async def later(pieces):
        for piece in pieces:
            yield piece

    async def fails():
        raise ValueError

    async def view_later():
        return "x"

    app.add_url_rule("/sync", "sync", lambda: "x")
    app.add_url_rule("/async", "async", view_later)
    app.add_url_rule("/stream", "stream", lambda: iter("ab"))
    app.add_url_rule("/kept", "kept", lambda: stream_with_context(iter("ab")))
    app.add_url_rule("/later", "later", lambda: later("ab"))
    app.add_url_rule(
        "/kept-later", "kept later", lambda: stream_with_context(later("ab"))
    )
    app.add_url_rule("/abort", "abort", lambda: abort(409))
    app.add_url_rule("/fails", "fails", fails)


@pytest.mark.parametrize(
    "path",
    [
        *("/sync", "/async", "/stream", "/kept", "/later", "/kept-later"),
        *("/abort", "/fails", "/missing"),
    ],
)
def test_requests_end_without_the_collector(either, run, exchange, path):
    either.config["PROPAGATE_EXCEPTIONS"] = False
    either.logger.disabled = True
    add_views(either)
    seen = []
    either.before_request(
        lambda: seen.append(weakref.ref(request._get_current_object()))
    )

    async def main():
        for _ in range(3):
            await exchange(either, path).run()
        # A worker lets go of what it did when it has told; by its next call at last.
        await exchange(either, "/sync").run()

    gc.disable()
    try:
        run(main())
        assert [ref() for ref in seen[:3]] == [None] * 3
    finally:
        gc.enable()
