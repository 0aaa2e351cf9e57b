from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import itertools
import subprocess
import sys
import threading
import weakref

import pytest
from werkzeug.exceptions import NotFound
from werkzeug.routing import Map
from werkzeug.test import create_environ
from werkzeug.test import run_wsgi_app

from erlen import Erlen
from erlen import _state
from erlen import after_this_request
from erlen import copy_current_app_context
from erlen import copy_current_request_context
from erlen import current_app
from erlen import g
from erlen import has_app_context
from erlen import has_request_context
from erlen import request
from erlen import session
from erlen import signals
from erlen import stream_with_context
from erlen import url_for
from erlen.ctx import RequestContext
from erlen.ctx import _AppCtxGlobals
from erlen.ctx import _Context
from erlen.sessions import SecureCookieSessionInterface
from erlen.sessions import SessionUnavailable


def run_in_loop(coro):
    """Run a coroutine. `asyncio.run` drops the loop that old asgiref keeps, unclosed."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(coro)


@pytest.fixture(autouse=True)
def _nothing_is_left():
    yield
    assert _state.current.get() == (None, None)


@pytest.fixture
def log(app):
    """Note which teardown functions of `app` run: of the request, the application."""
    log = []
    app.teardown_request(lambda exc: log.append("request"))
    app.teardown_appcontext(lambda exc: log.append("app"))
    return log


def in_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def in_greenlet(function):
    greenlet = pytest.importorskip("greenlet")
    greenlet.greenlet(function).switch()


def in_copy(function):
    contextvars.copy_context().run(function)


def in_new_context(function):
    contextvars.Context().run(function)


# The namespace


def test_the_namespace_shows_its_application_where_there_is_one(app):
    namespace = _AppCtxGlobals()

    assert repr(namespace).startswith("<erlen.ctx._AppCtxGlobals object at ")
    with app.app_context():
        assert repr(namespace) == f"<erlen.g of {app.name!r}>"


def test_the_namespace_is_usable_by_itself():
    namespace = _AppCtxGlobals()
    namespace.a = 1

    assert (namespace.get("a"), namespace.get("b"), namespace.get("b", 2)) == (
        1,
        None,
        2,
    )
    assert namespace.setdefault("c") is None
    assert list(namespace) == ["a", "c"]
    assert "a" in namespace
    assert namespace.pop("a") == 1
    assert namespace.pop("a", None) is None
    with pytest.raises(KeyError, match="a"):
        namespace.pop("a")


# What is made when it is read


@pytest.mark.parametrize("name", ["g", "url_adapter"])
def test_an_application_context_makes_things_when_they_are_read(app, name):
    with app.app_context() as ctx:
        assert name not in vars(ctx)
        assert getattr(ctx, name) is getattr(ctx, name)


@pytest.mark.parametrize("warm", [False, True])
def test_a_plain_request_makes_nothing_that_its_view_does_not_read(app, client, warm):
    made = []

    class Globals(_AppCtxGlobals):
        def __init__(self):
            made.append("g")

    @app.get("/")
    def view():
        ctx = _state.current.get()[1]
        made.extend(vars(ctx).keys() & {"url_adapter"})
        return f"{ctx._session}"

    app.app_ctx_globals_class = Globals
    for _ in range(1 + warm):
        made.clear()
        assert client.get("/").text == "None"

    assert made == ([] if warm else ["url_adapter"])


def test_a_representation_shows_the_request(app):
    ctx = app.test_request_context("/x", method="POST")

    assert repr(ctx) == f"<RequestContext 'http://localhost/x' [POST] of {app.name}>"


# Entering and leaving


def test_the_common_part_leaves_entering_to_the_two_contexts():
    for move in (_Context().push, _Context().pop):
        with pytest.raises(NotImplementedError):
            move()


@pytest.mark.parametrize("torn_down", [False, True])
@pytest.mark.parametrize(
    ("make", "frame", "expected"),
    [
        (lambda app: app.app_context(), (True, False), ["app"]),
        (lambda app: app.test_request_context(), (True, True), ["request", "app"]),
    ],
)
def test_each_is_torn_down_by_its_last_pop(app, make, frame, expected, torn_down):
    log = []
    if torn_down:
        app.teardown_request(lambda exc: log.append("request"))
        app.teardown_appcontext(lambda exc: log.append("app"))
    ctx = make(app)

    for _ in range(3):
        ctx.push()
    for left in (2, 1):
        ctx.pop()
        assert (has_app_context(), has_request_context()) == frame, left
        assert log == []
    ctx.pop()

    assert log == (expected if torn_down else [])
    with ctx:  # and it can be used again
        assert (has_app_context(), has_request_context()) == frame
    assert log == (expected * 2 if torn_down else [])


@pytest.mark.parametrize("torn_down", [False, True])
def test_contexts_nest_in_all_ways(app, torn_down):
    other = Erlen("other")
    if torn_down:
        for one in (app, other):
            one.teardown_request(lambda exc: None)
            one.teardown_appcontext(lambda exc: None)

    for makers in itertools.product(
        [
            app.app_context,
            app.test_request_context,
            other.app_context,
            other.test_request_context,
        ],
        repeat=3,
    ):
        stack = []
        for make in makers:
            stack.append((_state.current.get(), make()))
            stack[-1][1].push()
        while stack:
            before, ctx = stack.pop()
            assert ctx in _state.current.get()
            ctx.pop()
            assert _state.current.get() == before


def test_a_request_brings_an_application_context_unless_there_is_one(app):
    with app.app_context() as outer, app.test_request_context() as ctx:
        assert _state.current.get() == (outer, ctx)
    with Erlen("other").app_context() as outer, app.test_request_context():
        assert _state.current.get()[0] is not outer


@pytest.mark.parametrize("error", [LookupError, KeyboardInterrupt])
@pytest.mark.parametrize("read", [False, True])
def test_what_fails_on_the_way_in_is_undone(app, log, error, read):
    class Fails(RequestContext):
        def push(self):
            super().push()
            raise error

    with pytest.raises(error), Fails(app, create_environ()):
        pytest.fail("was not entered")

    assert log == ["request", "app"]


@pytest.mark.parametrize("make", [Erlen.app_context, Erlen.test_request_context])
@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda ctx, other: ctx.pop(), id="never pushed"),
        pytest.param(
            lambda ctx, other: (ctx.push(), ctx.pop(), ctx.pop()), id="popped twice"
        ),
        pytest.param(
            lambda ctx, other: (ctx.push(), in_new_context(ctx.pop)),
            id="in another context",
        ),
        pytest.param(
            lambda ctx, other: (ctx.push(), other.push(), ctx.pop()), id="wrong order"
        ),
    ],
)
def test_a_wrong_pop_is_refused_and_changes_nothing(app, make, wrong):
    def run():
        with pytest.raises(AssertionError, match=r"Popped wrong (app|request) context"):
            wrong(make(app), other)
        frame = _state.current.get()
        with pytest.raises(AssertionError, match="wrong"):
            wrong_again.pop()
        assert _state.current.get() == frame

    other, wrong_again = make(app), make(app)
    in_new_context(run)


@pytest.mark.parametrize("torn_down", [False, True])
def test_a_context_that_was_forgotten_inside_is_noticed(app, torn_down):
    def run():
        ctx = app.test_request_context()
        ctx.push()
        app.app_context().push()
        with pytest.raises(AssertionError, match="Popped wrong app context"):
            ctx.pop()

    if torn_down:
        app.teardown_request(lambda exc: None)
    in_new_context(run)


# Signals


@pytest.mark.parametrize("nested", [False, True])
def test_signals_of_a_request(app, nested):
    sent = []
    with (
        signals.appcontext_pushed.connected_to(lambda s, **k: sent.append("pushed")),
        signals.request_tearing_down.connected_to(
            lambda s, **k: sent.append("tearing down")
        ),
        signals.appcontext_tearing_down.connected_to(
            lambda s, **k: sent.append("app tearing down")
        ),
        signals.appcontext_popped.connected_to(lambda s, **k: sent.append("popped")),
    ):
        if nested:
            with app.app_context(), app.test_request_context():
                pass
        else:
            with app.test_request_context():
                pass

    assert sent == ["pushed", "tearing down", "app tearing down", "popped"]


def test_the_application_context_is_there_before_the_request(app):
    seen = []
    with (
        signals.appcontext_pushed.connected_to(
            lambda sender, **extra: seen.append((g.get("a"), has_request_context()))
        ),
        app.test_request_context(),
    ):
        assert has_request_context()

    assert seen == [(None, False)]


@pytest.mark.parametrize(
    "name", ["request_tearing_down", "appcontext_tearing_down", "appcontext_popped"]
)
def test_one_receiver_is_enough_to_leave_the_quiet_way(app, name):
    sent = []
    with (
        getattr(signals, name).connected_to(lambda s, **k: sent.append(s)),
        app.test_request_context(),
    ):
        pass

    assert sent == [app]


# Streams: the hold and its end


def moves(ctx, steps, log):
    """Do the steps, and note after each what was torn down."""
    inside = None
    for step in steps.split():
        if step == "release":
            inside.run(ctx.release)
        elif step == "directly":
            ctx.release()
        else:
            getattr(ctx, step)()
        if step == "push":
            inside = contextvars.copy_context()
        log.append(step)


@pytest.mark.parametrize("torn_down", [False, True])
@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ("push pop", "push R A pop"),
        ("push hold pop release", "push hold pop R A release"),
        ("push hold pop directly", "push hold pop R A directly"),
        ("push hold release pop", "push hold release R A pop"),
        (
            "push hold hold pop release release",
            "push hold hold pop release R A release",
        ),
        (
            "push hold hold release pop release",
            "push hold hold release pop R A release",
        ),
        (
            "push hold hold release release pop",
            "push hold hold release release R A pop",
        ),
        ("push push hold pop release pop", "push push hold pop release R A pop"),
        ("push push hold pop pop release", "push push hold pop pop R A release"),
        ("push hold pop push release pop", "push hold pop push release R A pop"),
        ("push hold pop push pop release", "push hold pop push pop R A release"),
        (
            "push hold pop push hold pop release release",
            "push hold pop push hold pop release R A release",
        ),
        ("push hold pop release push pop", "push hold pop R A release push R A pop"),
        (
            "push hold pop release push hold pop directly",
            "push hold pop R A release push hold pop R A directly",
        ),
    ],
)
def test_it_is_torn_down_once_when_nothing_keeps_it(app, steps, expected, torn_down):
    log = []
    if torn_down:
        app.teardown_request(lambda exc: log.append("R"))
        app.teardown_appcontext(lambda exc: log.append("A"))
    else:
        expected = expected.replace("R A ", "")

    moves(app.test_request_context(), steps, log)

    assert " ".join(log) == expected


@pytest.mark.parametrize("end", ["release", "directly"])
def test_an_application_context_around_it_is_torn_down_by_its_own_pop(app, log, end):
    with app.app_context():
        moves(app.test_request_context(), f"push hold pop {end}", log)
        log.append("outer")

    assert log == ["push", "hold", "pop", "request", end, "outer", "app"]


def test_it_may_end_after_the_application_context_around_it(app, log):
    ctx = app.test_request_context()
    with app.app_context():
        ctx.push()
        inside = contextvars.copy_context()
        ctx.hold()
        ctx.pop()
    assert log == ["app"]

    inside.run(ctx.release)

    assert log == ["app", "request"]


@pytest.mark.parametrize("elsewhere", [in_thread, in_greenlet, in_new_context])
def test_it_may_end_elsewhere(app, elsewhere):
    seen = []
    app.teardown_request(lambda exc: seen.append(request.path))
    app.teardown_appcontext(lambda exc: seen.append((g.mark, has_request_context())))
    with app.test_request_context("/x") as ctx:
        g.mark = "mine"
        ctx.hold()
    assert seen == []

    elsewhere(ctx.release)

    assert seen == ["/x", ("mine", False)]


def test_the_end_of_a_stream_tells_its_error(app):
    seen = []
    app.teardown_request(seen.append)
    app.teardown_appcontext(seen.append)
    error = LookupError()
    with app.test_request_context() as ctx:
        ctx.hold()

    ctx.release(error)

    assert seen == [error, error]


@pytest.mark.parametrize("failing", ["request", "app"])
def test_a_teardown_that_raises_leaves_nothing(app, log, failing):
    def fail(exc):
        raise LookupError(failing)

    getattr(app, f"teardown_{failing}".replace("_app", "_appcontext"))(fail)
    with app.test_request_context() as ctx:
        ctx.hold()

    with pytest.raises(LookupError, match=failing):
        ctx.release()

    assert log == ["request", "app"]


STREAM_ENDS = {
    "read in the block": (lambda r: r.data, lambda r: None),
    "closed in the block": (lambda r: r.close(), lambda r: None),
    "read after the block": (lambda r: None, lambda r: r.data),
    "closed after the block": (lambda r: None, lambda r: r.close()),
    "begun in the block": (
        lambda r: next(r.iter_encoded()),
        lambda r: r.close(),
    ),
}


@pytest.mark.parametrize("torn_down", [False, True])
@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize(
    ("inside", "outside"), STREAM_ENDS.values(), ids=STREAM_ENDS.keys()
)
def test_a_stream_in_a_block_of_the_client(app, inside, outside, again, torn_down):
    torn = []
    if torn_down:
        app.teardown_request(lambda exc: torn.append(request.path))
        app.teardown_appcontext(lambda exc: torn.append("app"))

    @app.get("/stream")
    def stream():
        g.mark = "mine"
        return stream_with_context(f"{g.mark}{n}" for n in range(2))

    app.get("/plain", endpoint="plain")(lambda: "")
    with app.test_client() as client:
        response = client.get("/stream")
        assert request.path == "/stream"
        assert g.mark == "mine"
        inside(response)
        assert torn == []
        if again:
            client.get("/plain")
            assert request.path == "/plain"
            assert "mark" not in g
    outside(response)
    response.close()

    assert torn.count("/stream") == torn_down
    assert torn.count("app") == torn_down * (3 if again else 1)


# Hosts


HOST = {"HTTP_HOST": "shop.test"}


@pytest.fixture
def binds(monkeypatch):
    """Note each host that Werkzeug is asked to bind."""
    binds = []
    bind = Map.bind_to_environ

    def noted(self, environ, *args, **kwargs):
        binds.append(environ["HTTP_HOST"])
        return bind(self, environ, *args, **kwargs)

    monkeypatch.setattr(Map, "bind_to_environ", noted)
    return binds


def answer(app, path="/", **environ):
    body, status, headers = run_wsgi_app(app, create_environ(path) | HOST | environ)
    return status[:3], b"".join(body).decode(), headers


@pytest.fixture
def plain(app):
    app.get("/")(lambda: "index")
    app.get("/folder/", endpoint="folder")(lambda: "folder")
    app.get("/café/<int:n>", endpoint="n")(lambda n: f"{n}")
    return app


@pytest.mark.parametrize(
    ("path", "status"),
    [("/", "200"), ("/caf\xe9/7", "200"), ("/absent", "404"), ("/folder", "308")],
)
def test_a_host_is_bound_once(plain, binds, path, status):
    for _ in range(3):
        assert answer(plain, path)[0] == status

    assert binds == ["shop.test"]


@pytest.mark.parametrize("path", ["/folder", "/absent", "/"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"wsgi.url_scheme": "https"},
        {"SCRIPT_NAME": "/root"},
        {"QUERY_STRING": "a=1&b=%C3%BC"},
        {"QUERY_STRING": "a=\xc3\xbc"},
        {"REQUEST_METHOD": "POST"},
        {"HTTP_HOST": "other.test:81"},
    ],
)
def test_a_known_host_is_answered_as_a_new_one(plain, path, changes):
    first = answer(plain, path, **changes)
    plain._hosts.clear()
    answer(plain, "/")
    later = answer(plain, path, **changes)

    assert later[:2] == first[:2]
    assert list(later[2]) == list(first[2])


@pytest.mark.parametrize("known", [False, True])
def test_trusted_hosts_that_are_set_later_hold_at_once(plain, binds, known):
    if known:
        assert answer(plain)[0] == "200"

    plain.config["TRUSTED_HOSTS"] = ["other.test"]
    assert answer(plain)[0] == "400"
    assert answer(plain, HTTP_HOST="other.test")[0] == "200"
    plain.config["TRUSTED_HOSTS"] = [".test"]
    assert answer(plain)[0] == "200"
    plain.config["TRUSTED_HOSTS"] = None
    assert answer(plain, HTTP_HOST="any.example")[0] == "200"


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".test"])
def test_a_host_that_is_none_is_refused_each_time(plain, host):
    answer(plain)

    for _ in range(2):
        assert answer(plain, HTTP_HOST=host)[0] == "400"
    assert list(plain._hosts) == ["shop.test"]


@pytest.mark.parametrize("first", ["plain", "upgrade"])
def test_an_upgrade_is_matched_by_werkzeug(plain, binds, first):
    plain.add_url_rule("/ws", "ws", lambda: "ws", websocket=True)
    upgrade = {"HTTP_UPGRADE": "websocket", "HTTP_CONNECTION": "Upgrade"}
    if first == "plain":
        answer(plain)

    for _ in range(2):
        assert answer(plain, "/ws", **upgrade)[0] == "200"
        assert answer(plain, "/", **upgrade)[0] == "400"
        assert answer(plain, "/ws")[0] == "400"
        assert answer(plain, "/")[0] == "200"
    assert len(binds) > 4


def test_rules_that_compute_their_redirect_get_the_adapter_of_the_request(app):
    app.add_url_rule(
        "/old", "old", redirect_to=lambda adapter: f"new?{adapter.query_args}"
    )

    for query in ("a=1", "b=2"):
        location = answer(app, "/old", QUERY_STRING=query)[2]["Location"]
        assert location.endswith(f"/new?{query}")


def test_an_application_that_binds_by_itself_is_asked_each_time(binds):
    class Own(Erlen):
        def create_url_adapter(self, request):
            asked.append(request and request.host)
            return super().create_url_adapter(request)

    asked = []
    app = Own("own")
    app.add_url_rule("/", "index", lambda: "")
    for _ in range(3):
        answer(app)

    assert asked == ["shop.test"] * 3
    assert not app._hosts


def test_an_application_without_an_adapter_finds_nothing():
    class Own(Erlen):
        def create_url_adapter(self, request):
            return None

    app = Own("own")
    app.add_url_rule("/", "index", lambda: "")

    assert answer(app)[0] == "404"


# The error page of a refused host


@pytest.mark.parametrize("server_name", [None, "shop.test:8080"])
@pytest.mark.parametrize("known", [False, True])
def test_the_page_of_a_refused_host_builds_urls_without_it(app, server_name, known):
    urls = []

    @app.errorhandler(400)
    def refused(error):
        ctx = _state.current.get()[1]
        urls[:] = [
            url_for("index"),
            url_for("index", _external=True),
            url_for("index", _external=True, _scheme="ftp"),
            ctx.url_adapter.build("index", force_external=True),
            ctx.url_adapter.get_host(None),
        ]
        return "\n".join(urls), 400

    app.add_url_rule("/", "index", lambda: "")
    app.config.update(SERVER_NAME=server_name, TRUSTED_HOSTS=["shop.test"])
    if known:
        answer(app)

    status, text, headers = answer(app, HTTP_HOST="evil.test", SCRIPT_NAME="/root")

    assert status == "400"
    assert "evil" not in text + str(headers)
    assert urls[:2] == ["/root/", f"http://{server_name or 'localhost'}/root/"]


@pytest.mark.parametrize("known", [False, True])
def test_no_url_of_a_refused_request_carries_its_host(plain, known):
    plain.config["TRUSTED_HOSTS"] = ["shop.test"]
    if known:
        answer(plain)

    for path in ("/", "/folder", "/absent"):
        status, text, headers = answer(plain, path, HTTP_HOST="evil.test")
        assert status == "400"
        assert "//evil" not in text
        assert {*headers.keys()} == {"Content-Type", "Content-Length"}


# Nothing is left for the collector


class Error(Exception):
    """An error that can be watched."""


class HTTPError(NotFound):
    """An HTTP error that can be watched."""


@pytest.fixture
def watch():
    """Watch objects die while the collector is off."""
    watched = {}

    def see(**objects):
        watched.update({name: weakref.ref(one) for name, one in objects.items()})

    see.alive = lambda: [name for name, ref in watched.items() if ref() is not None]
    gc.disable()
    yield see
    gc.enable()


def make_site(watch):
    app = Erlen("site")
    app.secret_key = "k"
    app.config.update(PROPAGATE_EXCEPTIONS=False, TRUSTED_HOSTS=[".test"])
    app.log_exception = lambda exc_info: None
    watch(app=app)

    @app.before_request
    def before():
        ctx = _state.current.get()[1]
        watch(ctx=ctx, request=ctx.request, app_ctx=ctx._app_ctx)
        if ctx.request.routing_exception is not None:
            watch(routing_exception=ctx.request.routing_exception)

    @app.get("/fail/<how>")
    def fail(how):
        error = {"http": HTTPError, "error": Error, "handled": KeyError}[how]()
        if how != "handled":
            watch(error=error)
        try:
            raise error
        finally:
            del error

    @app.get("/stream")
    @stream_with_context
    def stream():
        yield request.path

    @app.get("/session")
    def keep():
        session["a"] = 1
        watch(session=session._get_current_object(), g=g._get_current_object())
        return url_for("keep", _external=True)

    @app.post("/form")
    def form():
        return f"{request.form} {request.files}"

    @app.get("/wrong")
    def wrong():
        """Forget to return something."""

    app.get("/folder/", endpoint="folder")(lambda: "")
    app.register_error_handler(KeyError, lambda error: ("handled", 400))
    return app


@pytest.mark.parametrize(
    ("path", "changes", "status"),
    [
        ("/session", {}, "200"),
        ("/session", {"HTTP_COOKIE": "session=x"}, "200"),
        ("/stream", {}, "200"),
        ("/form", {"REQUEST_METHOD": "POST"}, "200"),
        ("/absent", {}, "404"),
        ("/folder", {}, "308"),
        ("/session", {"REQUEST_METHOD": "POST"}, "405"),
        ("/session", {"REQUEST_METHOD": "OPTIONS"}, "200"),
        ("/session", {"HTTP_HOST": "refused"}, "400"),
        ("/fail/http", {}, "404"),
        ("/fail/error", {}, "500"),
        ("/fail/handled", {}, "400"),
        ("/wrong", {}, "500"),
    ],
)
def test_everything_of_a_request_is_freed_at_once(watch, path, changes, status):
    for trusted, torn_down in itertools.product([None, [".test"]], [False, True]):
        if "HTTP_HOST" in changes:
            changes = {"HTTP_HOST": "evil.example" if trusted else "a..b"}
        app = make_site(watch)
        app.config["TRUSTED_HOSTS"] = trusted
        if torn_down:
            app.teardown_request(lambda exc: None)

        for _ in range(2):  # of a new host and a known one
            assert answer(app, path, **changes)[0] == status
            assert watch.alive() == ["app"]
        del app
        assert watch.alive() == []


# Others do not see it


@pytest.mark.parametrize("elsewhere", [in_thread, in_greenlet, in_new_context])
def test_others_do_not_see_a_context(app, elsewhere):
    seen = []
    other = Erlen("other")

    def work():
        seen.append(_state.current.get())
        with other.test_request_context():
            seen.append(request.path)
        seen.append(_state.current.get())

    with app.test_request_context("/mine"):
        elsewhere(work)
        assert request.path == "/mine"

    assert seen == [(None, None), "/", (None, None)]


GEVENT = """
from gevent import monkey
monkey.patch_all()
import gevent
from werkzeug.test import create_environ
from erlen import Erlen, copy_current_request_context, current_app, g, request
from erlen import session, stream_with_context
from erlen._state import current

app = Erlen("app")
app.secret_key = "k"
torn_down = []
app.teardown_request(lambda exc: torn_down.append(request.path))

@app.get("/view/<n>")
def view(n):
    g.n = session["n"] = n
    gevent.sleep(0)
    child = gevent.spawn(lambda: current.get())
    copied = gevent.spawn(copy_current_request_context(lambda: request.path))
    gevent.joinall([child, copied])
    return f"{request.path} {g.n} {session['n']} {copied.value} {child.value}"

@app.get("/stream/<n>")
@stream_with_context
def stream(n):
    for _ in range(3):
        gevent.sleep(0)
        yield f"{request.view_args['n']} "

def get(path):
    body = app(create_environ(path), lambda status, headers: None)
    text = b"".join(body).decode()
    getattr(body, "close", int)()
    assert current.get() == (None, None)
    return text

paths = [f"/{kind}/{n}" for n in range(5) for kind in ("view", "stream")]
jobs = [gevent.spawn(get, path) for path in paths]
gevent.joinall(jobs)
for path, job in zip(paths, jobs):
    n = path[-1]
    expected = f"{path} {n} {n} {path} (None, None)"
    assert job.value == (f"{n} " * 3 if "stream" in path else expected), job.value
assert sorted(torn_down) == sorted(paths + paths[::2]), torn_down
assert current.get() == (None, None)
"""


def test_greenlets_of_gevent_do_not_see_each_other():
    pytest.importorskip("gevent")

    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", GEVENT],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr


# Copies


def test_a_copy_shares_the_request_and_the_session(app):
    with app.test_request_context("/x") as ctx:
        assert ctx._session is None
        copies = [ctx.copy(), ctx.copy()]
        session["a"] = 1

    for copy in copies:
        assert copy.request is ctx.request
        assert copy.session is ctx.session
    assert ctx.session["a"] == 1


def test_a_copied_function_may_run_in_several_threads_at_once(app):
    barrier = threading.Barrier(2, timeout=30)
    found = []

    with app.test_request_context("/x"):

        @copy_current_request_context
        def work():
            g.n = barrier.wait()
            barrier.wait()
            found.append((request.path, g.n))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(found) == [("/x", 0), ("/x", 1)]


def test_a_copy_ends_by_itself(app, log):
    with app.test_request_context():
        work = copy_current_request_context(lambda: log.append("work"))
        in_thread(work)
        assert log == ["work", "request", "app"]
        log.clear()
        work()
        assert log == ["work", "request"]
        log.clear()
    assert log == ["request", "app"]


def call(function):
    """Call a function, and an `async def` one in a loop of its own."""
    if inspect.iscoroutinefunction(function):
        run_in_loop(function())
    else:
        function()


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    "elsewhere", [in_thread, in_greenlet, in_copy, in_new_context, lambda f: f()]
)
def test_a_function_may_take_the_application_along(app, elsewhere, asynchronous):
    seen = []
    app.teardown_appcontext(lambda exc: seen.append((g.n, exc)))
    numbers = itertools.count()

    def work():
        assert "n" not in g
        g.n = next(numbers)
        seen.append(current_app._get_current_object())

    async def async_work():
        work()
        await asyncio.sleep(0)
        seen.append(g.n)

    with app.app_context():
        g.n = "outer"
        copied = copy_current_app_context(async_work if asynchronous else work)
        for _ in range(2):
            elsewhere(lambda: call(copied))
        assert g.n == "outer"
    elsewhere(lambda: call(copied))

    each = [[app, *([n] if asynchronous else []), (n, None)] for n in range(3)]
    each.insert(2, [("outer", None)])
    assert seen == [one for seen in each for one in seen]


def test_tasks_do_not_share_an_application_context(app):
    ended = []
    app.teardown_appcontext(lambda exc: ended.append(g.get("n")))

    async def main():
        with app.app_context():

            @copy_current_app_context
            async def work(n):
                g.n = n
                await asyncio.sleep(0)
                return g.n, current_app.name

            tasks = [asyncio.create_task(work(n)) for n in range(3)]
        assert not has_app_context()
        return await asyncio.gather(*tasks)

    assert run_in_loop(main()) == [(n, app.name) for n in range(3)]
    assert ended == [None, 0, 1, 2]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_it_hands_on_arguments_values_and_errors(app, asynchronous):
    errors = []
    app.teardown_appcontext(errors.append)

    def work(*args, **kwargs):
        """Divide."""
        return args[0] / kwargs["by"]

    async def async_work(*args, **kwargs):
        """Divide."""
        return work(*args, **kwargs)

    with app.app_context():
        copied = copy_current_app_context(async_work if asynchronous else work)
    run = (lambda *a, **k: run_in_loop(copied(*a, **k))) if asynchronous else copied

    assert inspect.iscoroutinefunction(copied) == asynchronous
    assert copied.__doc__ == "Divide."
    assert run(6, by=3) == 2
    with pytest.raises(ZeroDivisionError) as caught:
        run(6, by=0)
    assert errors == [None, None, caught.value]


def test_a_cancelled_task_tears_its_context_down(app):
    errors = []
    app.teardown_appcontext(errors.append)

    async def main():
        task = asyncio.create_task(copied())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    with app.app_context():
        copied = copy_current_app_context(asyncio.Event().wait)

    assert run_in_loop(main())
    assert [type(error) for error in errors] == [type(None), asyncio.CancelledError]


def test_the_request_is_not_taken_along(app):
    seen = []

    def work():
        seen.append((current_app.name, has_request_context()))

    with app.test_request_context("/x"):
        copied = copy_current_app_context(work)
        in_thread(copied)
        copied()
        assert request.path == "/x"
    copied()

    assert seen == [(app.name, False), (app.name, True), (app.name, False)]


def test_the_application_decides_what_its_context_is(app):
    class Own(Erlen):
        def app_context(self):
            made.append(super().app_context())
            return made[-1]

    made = []
    with Own("own").app_context():
        copy_current_app_context(lambda: None)()

    assert len(made) == 2


def test_without_an_application_there_is_none_to_take_along():
    with pytest.raises(RuntimeError, match="'copy_current_app_context'"):
        copy_current_app_context(lambda: None)


# The session


@pytest.mark.parametrize("lazily", [False, True])
def test_a_session_is_opened_once(app, client, lazily):
    opened = []

    class Interface(type(app.session_interface)):
        opens_lazily = lazily

        def open_session(self, app, request):
            opened.append(request.path)
            return super().open_session(app, request)

    app.session_interface = Interface()
    app.get("/unread", endpoint="unread")(lambda: "")
    app.get("/read")(lambda: f"{session.get('a')} {session.accessed}")

    client.get("/unread")
    assert opened == ([] if lazily else ["/unread"])
    assert client.get("/read").text == "None True"
    assert opened[-1:] == ["/read"]
    assert len(opened) == (1 if lazily else 2)


def test_reading_the_session_marks_it_accessed(app):
    with app.test_request_context() as ctx:
        ctx._open_session()
        assert not ctx._session.accessed
        assert ctx.session.accessed


def test_without_a_key_there_is_a_null_session(app):
    app.secret_key = None

    with app.test_request_context() as ctx:
        assert ctx.app.session_interface.is_null_session(ctx.session)
        assert ctx.session is ctx.session


# Callbacks of one request


def test_after_this_request_needs_one():
    with pytest.raises(RuntimeError, match="'after_this_request'"):
        after_this_request(lambda response: response)


def test_after_this_request_hands_the_function_back(app):
    def function(response):
        """Is not called."""

    with app.test_request_context() as ctx:
        assert after_this_request(function) is function
        assert ctx._after_request_functions == [function]


# After the response


def test_work_after_the_response(app, client):
    steps = []

    def note(what, *, more=""):
        steps.append((what + more, has_request_context(), current_app.name == app.name))

    @app.get("/")
    def view():
        app.after_response(note, "one")
        g.value = 1
        return "x"

    @app.after_request
    def after(response):
        app.after_response(note, "two", more="!")
        app.after_response(lambda: steps.append(g.get("value")))
        return response

    app.teardown_request(lambda exc: steps.append("teardown"))

    assert client.get("/").text == "x"
    assert steps == ["teardown", ("one", False, True), ("two!", False, True), None]


def test_async_work_after_the_response(app, client):
    pytest.importorskip("asgiref")
    steps = []

    async def work():
        await asyncio.sleep(0)
        steps.append(current_app.name == app.name)

    app.add_url_rule("/", "index", lambda: app.after_response(work) or "x")

    assert client.get("/").text == "x"
    assert steps == [True]


def test_work_that_fails_is_logged_and_the_rest_is_done(app, client, caplog):
    steps = []

    def fails():
        raise ValueError("later")

    @app.get("/")
    def view():
        app.after_response(fails)
        app.after_response(steps.append, "after it")
        return "x"

    assert client.get("/").text == "x"
    assert steps == ["after it"]
    assert [record.exc_info[0] for record in caplog.records] == [ValueError]
    assert "fails" in caplog.text


def test_work_after_a_response_needs_a_request(app):
    with app.app_context(), pytest.raises(RuntimeError, match="after_response"):
        app.after_response(print)


# Sessions that are opened ahead


@pytest.mark.parametrize("reads", [0, 2])
def test_a_session_that_cannot_be_opened_ahead(app, reads):
    class Closed(SecureCookieSessionInterface):
        opened = 0

        def open_session(self, app, request):
            self.opened += 1
            raise SessionUnavailable

    app.session_interface = interface = Closed()
    ctx = app.test_request_context()
    with pytest.raises(SessionUnavailable), ctx:
        pass  # it is opened with the request
    interface.opens_lazily = True
    interface.opened = 0

    with app.test_request_context() as ctx:
        ctx._open_session_ahead()
        if reads:
            with pytest.raises(SessionUnavailable):
                ctx.session.get("key")
            assert ctx.session.get("key") is None  # as an error page would read it
    assert interface.opened == 1


def test_a_session_that_is_opened_ahead_was_not_read(app):
    with app.test_request_context() as ctx:
        ctx._open_session_ahead()
        assert not ctx._session.accessed
        assert ctx.session is ctx._session
        assert ctx._session.accessed
