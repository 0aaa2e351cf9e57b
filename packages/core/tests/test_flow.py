"""The asynchronous driver: where each function runs, in which order, and how it ends."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import Counter

import pytest
from werkzeug.exceptions import Conflict

from erlen import Blueprint
from erlen import Erlen
from erlen import Response
from erlen import _state
from erlen import abort
from erlen import after_this_request
from erlen import g
from erlen import request
from erlen import session
from erlen import signals
from erlen import stream_with_context
from erlen.sessions import SecureCookieSessionInterface
from erlen.sessions import SessionConflict
from erlen.sessions import SessionUnavailable
from erlen.views import MethodView
from erlen.views import View
from erlen.views import never_blocks
from erlen.views import reads_stream
from erlen.wrappers import Request

var = contextvars.ContextVar("var", default="unset")


def here():
    """Say where this runs."""
    if threading.current_thread() is threading.main_thread():
        return "loop"
    return "worker"


def sync(function):
    """Make a function that may block."""

    def plain(*args, **values):
        return function(*args, **values)

    return plain


def later(function):
    """Make a coroutine function, which waits."""

    async def awaited(*args, **values):
        await asyncio.sleep(0)
        return function(*args, **values)

    return awaited


KINDS = {"sync": sync, "async": later, "quick": lambda f: never_blocks(sync(f))}


# Where a function runs, and in how many ways to a worker


def add(app, kinds, places):
    """Add hooks and a view of these kinds, which note where they run."""
    before, view, after, teardown = (
        [KINDS[kind] for kind in part.split()] for part in kinds.split("|")
    )
    for make in before:
        app.before_request(make(lambda: places.append(here())))
    for make in view:
        app.add_url_rule("/", "index", make(lambda: places.append(here()) or "x"))
    for make in after:
        app.after_request(make(lambda response: places.append(here()) or response))
    for make in teardown:
        app.teardown_request(make(lambda exc: places.append(here())))


@pytest.mark.parametrize(
    ("kinds", "count"),
    [
        ("|sync||", 1),
        ("|async||", 0),
        ("|quick||", 0),
        ("sync sync|sync|sync sync|sync", 1),
        ("async async|async|async async|", 0),
        ("quick async|quick|async quick|", 0),
        ("sync|async||", 1),
        ("sync sync|async||", 1),
        ("sync|async|sync|", 2),
        ("sync sync|async|sync sync|sync", 2),
        ("async|sync|async|", 1),
        ("async sync|sync|async sync|", 1),
        ("async sync|sync|sync async|", 2),
        ("sync async sync|async|sync async sync|", 4),
        ("|async||sync", 1),
        ("|async||async", 1),
        ("async|async|async|sync", 1),
        ("quick|sync|quick|", 1),
        ("sync|quick|sync|sync", 1),
        ("|async|sync|sync", 1),
    ],
)
def test_one_way_for_each_run_of_sync_functions(app, ask, hops, kinds, count):
    places = []
    add(app, kinds, places)

    answer = ask(app)

    assert answer.text == "x"
    assert len(hops) == count
    assert len(places) == len(kinds.replace("|", " ").split())


@pytest.mark.parametrize("endpoint", ["/", "/missing"])
def test_each_function_runs_where_it_belongs(app, ask, endpoint):
    places = []
    add(app, "sync async quick|sync|async sync|sync", places)

    ask(app, endpoint)

    view = ["worker"] if endpoint == "/" else []
    # What never blocks runs where the request is.
    assert places == ["worker", "loop", "loop", *view, *["worker", "loop"], "worker"]


def test_what_never_blocks_runs_on_the_loop(app, ask, hops):
    app.add_url_rule("/", "index", never_blocks(here))

    assert ask(app).text == "loop"
    assert hops == []


def test_a_method_view_is_called_in_a_worker(app, ask, hops):
    class Show(MethodView):
        def get(self):
            return here()

        async def post(self):
            return here() + request.get_data(as_text=True)

    app.add_url_rule("/", view_func=Show.as_view("show"))

    assert ask(app).text == "worker"
    assert ask(app, method="POST", body=b"!").text == "loop!"
    assert len(hops) == 2


@pytest.mark.parametrize("kind", ["generator", "async generator"])
def test_a_view_that_is_a_generator_is_called_on_the_loop(app, ask, hops, kind):
    def pieces():
        yield here()

    async def pieces_later():
        yield here()

    app.add_url_rule("/", "index", pieces if kind == "generator" else pieces_later)

    if kind == "generator":
        assert ask(app).text == "worker"
        assert len(hops) == 3  # a piece, the end, closing
    else:
        assert ask(app).text == "loop"
        assert hops == []


def test_value_preprocessors_run_in_a_worker(app, ask, hops):
    seen = []

    @app.url_value_preprocessor
    def pull(endpoint, values):
        seen.append((endpoint, values, here()))

    @app.get("/<name>")
    async def show(name):
        return f"{name} {here()}"

    assert ask(app, "/a").text == "a loop"
    assert seen == [("show", {"name": "a"}, "worker")]
    assert len(hops) == 1


def test_after_this_request_of_each_kind(app, ask, hops):
    places = []

    @app.get("/")
    async def view():
        for kind in ("async", "sync", "quick", "async"):
            after_this_request(KINDS[kind](lambda it: places.append(here()) or it))
        return "x"

    assert ask(app).text == "x"
    assert places == ["loop", "worker", "worker", "loop"]
    assert len(hops) == 1


@pytest.mark.parametrize("view", [sync, later])
@pytest.mark.parametrize("handler", [sync, later])
def test_error_handlers(app, ask, hops, view, handler):
    @view
    def fails():
        raise Conflict

    app.add_url_rule("/", "index", fails)
    app.register_error_handler(409, handler(lambda exc: (here(), 409)))

    answer = ask(app)

    assert (answer.status, answer.text) == (
        409,
        "worker" if handler is sync else "loop",
    )
    assert len(hops) == 1


def test_an_http_error_without_a_handler_goes_nowhere(app, ask, hops):
    @app.get("/")
    async def view():
        abort(409)

    assert ask(app).status == 409
    assert ask(app, "/missing").status == 404
    assert hops == []


def test_ensure_sync_in_a_worker_runs_on_the_loop_of_the_server(app, ask):
    loops = []

    async def which():
        loops.append(asyncio.get_running_loop())
        await asyncio.sleep(0)
        return here()

    @app.before_request
    async def before():
        loops.append(asyncio.get_running_loop())

    app.add_url_rule("/", "index", sync(lambda: app.ensure_sync(which)()))

    assert ask(app).text == "loop"
    assert len(loops) == 2
    assert len({*loops}) == 1


# Automatic answers


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("automatic", [None, False])
def test_options_are_answered_without_the_view(app, ask, kind, automatic):
    called = []
    app.add_url_rule(
        "/",
        "index",
        kind(lambda: called.append(1) or "own"),
        methods=["GET"] if automatic is None else ["GET", "OPTIONS"],
        provide_automatic_options=automatic,
    )
    for _ in range(2):  # before and after the short way of matching is known
        answer = ask(app, method="OPTIONS")
        if automatic is None:
            assert answer.text == ""
            assert {*answer.headers["allow"].split(", ")} == {"GET", "HEAD", "OPTIONS"}
        else:
            assert answer.text == "own"
    assert len(called) == (0 if automatic is None else 2)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("path", ["/\N{SNOWMAN}", "/x"])
def test_the_rules_are_found_by_each_path(app, ask, kind, path):
    app.add_url_rule("/<name>", "index", kind(lambda name: name))

    for root in ("", "/root"):
        for _ in range(2):
            raw = path.encode()
            answer = ask(app, root + path, raw_path=root.encode() + raw, root_path=root)
            assert answer.text == path[1:]


def test_hosts_that_are_not_trusted(app, ask):
    app.config["TRUSTED_HOSTS"] = ["good.test"]
    app.add_url_rule("/", "index", later(lambda: "x"))

    for host, status in [("good.test", 200), ("evil.test", 400)] * 2:
        assert ask(app, headers={"host": host}).status == status


# Context variables


@pytest.mark.parametrize("hook", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("view", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("after", KINDS.values(), ids=KINDS)
def test_context_variables_are_seen_by_all_that_follows(app, ask, hook, view, after):
    def set_next(expected, value):
        assert var.get() == expected
        var.set(value)

    app.before_request(hook(lambda: set_next("unset", "hook")))
    app.add_url_rule("/", "index", view(lambda: set_next("hook", "view") or "x"))
    app.after_request(after(lambda response: set_next("view", "after") or response))
    ended = []
    app.teardown_request(lambda exc: ended.append(var.get()))

    assert ask(app).status == 200
    assert ended == ["after"]


def test_requests_do_not_see_the_variables_of_each_other(app, run, exchange):
    @app.before_request
    def before():
        g.before = var.get()
        var.set(request.path)

    @app.get("/<name>")
    async def view(name):
        await asyncio.sleep(0)
        return f"{g.before} {var.get()}"

    async def main():
        asked = [exchange(app, f"/{number}").run() for number in range(10)]
        return [answer.text for answer in await asyncio.gather(*asked)]

    assert run(main()) == [f"unset /{number}" for number in range(10)]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_request_and_g_are_the_same_everywhere(app, ask, kind):
    seen = []

    def note(*args):
        seen.append((id(g._get_current_object()), id(request._get_current_object())))
        return args[0] if args else None

    for make in KINDS.values():
        app.before_request(make(note))
        app.after_request(make(note))
        app.teardown_request(make(note))
    app.add_url_rule("/", "index", kind(lambda: note() or "x"))

    assert ask(app).text == "x"
    assert len(seen) == 10
    assert len({*seen}) == 1


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_nothing_is_left_in_force(app, run, exchange, monkeypatch, kind):
    app.add_url_rule("/", "index", kind(lambda: "x"))
    app.add_url_rule("/fail", "fail", kind(lambda: 1 / 0))
    app.config["PROPAGATE_EXCEPTIONS"] = False
    monkeypatch.setattr(app.logger, "disabled", True)

    async def main():
        frames = []
        for path in ("/", "/fail", "/missing"):
            await exchange(app, path).run()
            frames.append(_state.current.get())
        return frames, asyncio.all_tasks() - {asyncio.current_task()}

    assert run(main()) == ([(None, None)] * 3, set())


# The order of the steps is that of the WSGI door


class Tracing(SecureCookieSessionInterface):
    """Sessions that note when they are opened and saved, and may fail."""

    def __init__(self, trace, fails=None, error=SessionUnavailable):
        self.trace = trace
        self.fails = fails
        self.error = error

    def open_session(self, app, request):
        self.trace("open session")
        if self.fails == "open":
            raise self.error
        return super().open_session(app, request)

    def save_session(self, app, session, response):
        self.trace("save session")
        if self.fails == "save":
            raise self.error
        super().save_session(app, session, response)


class LazyTracing(Tracing):
    opens_lazily = True


class QuickTracing(Tracing):
    opens_lazily = True
    waits = False


SIGNALS = (
    *(
        "appcontext_pushed",
        "request_started",
        "request_finished",
        "got_request_exception",
    ),
    *("request_tearing_down", "appcontext_tearing_down", "appcontext_popped"),
)

#: In which kinds the functions of an application come.
MIXES = {
    "sync": [sync],
    "async": [later],
    "alternating": [sync, later],
    "other way round": [later, sync],
    "mixed": [later, KINDS["quick"], sync, sync, later],
}

#: What the functions do, by the path that is asked for.
CASES = {
    "/ok": {},
    "/missing": {},
    "/outer/inner/missing": {},
    "/outer/inner/ok": {},
    "/abort": {"view": Conflict()},
    "/handled": {"view": LookupError("x")},
    "/unhandled": {"view": ArithmeticError("x")},
    "/outer/inner/abort": {"view": Conflict()},
    "/outer/inner/handled": {"view": LookupError("x")},
    "/outer/inner/unhandled": {"view": ArithmeticError("x")},
    "/outer/inner/answered": {"before outer": "answer"},
    "/answered": {"before": "answer"},
    "/before-aborts": {"before": Conflict()},
    "/before-fails": {"before": ArithmeticError("x")},
    "/outer/inner/before-handled": {"before inner": LookupError("x")},
    "/after-fails": {"after": ArithmeticError("x")},
    "/after-aborts": {"after": Conflict()},
    "/outer/inner/after-fails": {"after outer": LookupError("x")},
    "/handler-fails": {"view": LookupError("x"), "handler": ArithmeticError("y")},
    "/teardown-fails": {"teardown": ArithmeticError("x")},
    "/outer/inner/teardown-fails": {"teardown inner": LookupError("x")},
    "/own-teardown-fails": {"view": ArithmeticError("x"), "teardown": KeyError("y")},
    "/500": {"view": ArithmeticError("x"), "500": ArithmeticError("y")},
    "/bad-value": {"view": object()},
    "/session": {"view": "session"},
    "/outer/inner/session": {"view": "session"},
}


def trace_app(mix, interface=None, fails=None, error=None):
    """Make an application whose steps are noted in `app.steps`."""
    app = Erlen("traced")
    app.secret_key = "for tests only"
    app.logger.disabled = True
    app.steps = []
    given = {}
    makers = [MIXES[mix][number % len(MIXES[mix])] for number in range(40)]

    def make(name, result=None):
        def step(*args, **values):
            shown = [it for it in args if isinstance(it, (str, BaseException))]
            app.steps.append((name, *map(repr, shown), sorted(values.items())))
            what = given.get(name)
            if isinstance(what, BaseException):
                # A new one each time: errors keep what they went through.
                raise type(what)(*what.args)
            if what == "session":
                session["key"] = session.get("key", 0) + 1
                return "with a session"
            if what is not None:
                return what
            return args[0] if result is Response else result

        return makers.pop()(step)

    def fill(place, name):
        suffix = f" {name}" if name else ""
        place.before_request(make(f"before{suffix}"))
        place.before_request(make(f"second before{suffix}"))
        place.after_request(make(f"after{suffix}", Response))
        place.after_request(make(f"second after{suffix}", Response))
        place.teardown_request(make(f"teardown{suffix}"))
        place.url_value_preprocessor(
            lambda endpoint, values: app.steps.append(f"values{suffix} {endpoint}")
        )
        place.add_url_rule("/<what>", "view", make("view", "answer"))
        place.register_error_handler(LookupError, make(f"handler{suffix}", "handled"))

    inner, outer = Blueprint("inner", "inner"), Blueprint("outer", "outer")
    fill(app, "")
    fill(outer, "outer")
    fill(inner, "inner")
    outer.register_blueprint(inner, url_prefix="/inner")
    app.register_blueprint(outer, url_prefix="/outer")
    app.register_error_handler(409, make("conflict", ("conflict", 409)))
    app.register_error_handler(500, make("500", ("500", 500)))
    app.teardown_appcontext(make("application teardown"))
    if interface is not None:
        app.session_interface = interface(app.steps.append, fails, error)
    app.given = given
    return app


def ask_traced(app, door, path, *, listens=False, cookie=False):
    """Return what comes of a request: its steps, and the answer or error."""
    app.steps.clear()
    app.given.clear()
    app.given |= CASES[path]
    client = app.test_client(door=door)
    if cookie:
        client.set_cookie("session", "forged")

    def listen(name):
        def receive(sender, exception=None, exc=None, response=None):
            app.steps.append((f"signal {name}", repr(exception), repr(exc)))

        return receive

    receivers = {name: listen(name) for name in SIGNALS if listens}
    for name, receive in receivers.items():
        getattr(signals, name).connect(receive, app)
    try:
        with client.get(path) as response:
            outcome = response.status_code, response.data
    except Exception as exc:  # noqa: BLE001  # it is compared
        outcome = repr(exc)
    finally:
        for name, receive in receivers.items():
            getattr(signals, name).disconnect(receive, app)
    return [*app.steps], outcome


def compare(app, paths=CASES, **how):
    """Return the paths whose steps differ by the door."""
    pytest.importorskip("asgiref")
    different = []
    for path in paths:
        traces = []
        for door in ("wsgi", "asgi"):
            traces.append(ask_traced(app(), door, path, **how))
            assert len(traces[-1][0]) > 3
        if traces[0] != traces[1]:
            different.append((path, *traces))
    return different


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize(("interface", "listens"), [(None, True), (Tracing, False)])
def test_the_steps_are_those_of_the_wsgi_door(mix, listens, interface):
    assert compare(lambda: trace_app(mix, interface), listens=listens) == []


@pytest.mark.parametrize("mix", MIXES)
def test_the_steps_where_errors_go_to_the_server(mix):
    def make():
        app = trace_app(mix)
        app.config["PROPAGATE_EXCEPTIONS"] = True
        return app

    assert compare(make, listens=True) == []


#: Cases with each kind of end.
ENDS = ["/missing", "/unhandled", "/outer/inner/session", "/answered", "/after-fails"]


@pytest.mark.parametrize("mix", ["sync", "mixed"])
@pytest.mark.parametrize("error", [SessionUnavailable, SessionConflict, OSError])
@pytest.mark.parametrize("fails", ["open", "save"])
@pytest.mark.parametrize("cookie", [False, True])
def test_the_steps_where_sessions_fail(mix, error, fails, cookie):
    def make():
        return trace_app(mix, Tracing, fails, error)

    assert compare(make, ENDS, cookie=cookie) == []


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("interface", [Tracing, QuickTracing])
def test_the_steps_with_a_cookie(mix, interface):
    assert compare(lambda: trace_app(mix, interface), ENDS, cookie=True) == []


# Sessions


@pytest.fixture
def opened(app):
    """Let opening and saving sessions be noted, with the place."""
    opened = []
    app.session_interface = LazyTracing(lambda what: opened.append((what, here())))
    return opened


@pytest.mark.parametrize("cookie", [False, True])
@pytest.mark.parametrize("reads", [False, True])
def test_a_session_that_waits_is_opened_before_an_async_view(
    app, ask, opened, cookie, reads
):
    @app.get("/")
    async def view():
        return str(session.get("key") if reads else None)

    assert ask(app, headers={"cookie": "session=x"} if cookie else {}).text == "None"
    expected = []
    if cookie:
        expected = [("open session", "worker")]
    elif reads:
        expected = [("open session", "loop")]  # without a cookie it has nothing to ask
    if expected:
        expected.append(("save session", "worker"))
    assert opened == expected


def test_a_session_that_waits_is_opened_by_a_sync_view_when_it_is_read(
    app, ask, opened
):
    @app.get("/")
    def view():
        opened.append("view")
        return str(session.get("key"))

    assert ask(app, headers={"cookie": "session=x"}).text == "None"
    assert opened == ["view", ("open session", "worker"), ("save session", "worker")]


@pytest.mark.parametrize("reads", [False, True])
def test_an_error_of_a_session_is_raised_when_it_is_read(app, ask, reads):
    interface = LazyTracing(str, "open")
    app.session_interface = interface

    @app.get("/")
    async def view():
        return str(session.get("key")) if reads else "not read"

    @app.errorhandler(503)
    async def unavailable(exc):
        return "unavailable", 503

    answer = ask(app, headers={"cookie": "session=x"})

    assert (answer.status, answer.text) == (503, "unavailable")  # or it cannot be saved


# Signals


def test_signals_are_sent_from_a_worker(app, ask):
    places = {}

    def listen(name):
        def receive(sender, **extra):
            places[name] = here()

        return receive

    @app.get("/")
    async def view():
        return here()

    receivers = {name: listen(name) for name in SIGNALS}
    for name, receive in receivers.items():
        getattr(signals, name).connect(receive, app)
    try:
        assert ask(app).text == "loop"
    finally:
        for name, receive in receivers.items():
            getattr(signals, name).disconnect(receive, app)
    assert places.keys() == {*SIGNALS} - {"got_request_exception"}
    assert {*places.values()} == {"worker"}


@pytest.mark.parametrize("name", SIGNALS[:3] + SIGNALS[4:])
def test_each_signal_alone(app, ask, name):
    sent = []

    async def receive(sender, **extra):
        await asyncio.sleep(0)
        sent.append(here())

    app.add_url_rule("/", "index", later(lambda: "x"))
    with getattr(signals, name).connected_to(receive, app):
        assert ask(app).text == "x"
    assert sent == ["loop"]


# Tables that change meanwhile


def test_a_hook_that_adds_hooks(app, ask):
    app.add_url_rule("/", "index", later(lambda: "x"))
    ended = []

    @app.before_request
    async def before():
        app.after_request_funcs[None].append(after)
        app.teardown_request_funcs[None].append(lambda exc: ended.append(here()))

    async def after(response):
        response.headers["X-Added"] = here()
        return response

    assert ask(app).headers["x-added"] == "loop"
    assert ended == ["worker"]


def test_a_view_that_adds_an_after_request_function(app, ask):
    @app.get("/")
    async def view():
        app.after_request_funcs[None].append(
            lambda response: response.headers.__setitem__("X-Added", here()) or response
        )
        return "x"

    assert ask(app).headers["x-added"] == "worker"


def test_a_signal_that_adds_a_hook(app, ask):
    def receive(sender, **extra):
        app.before_request_funcs[None].append(later(lambda: "from the hook"))

    app.add_url_rule("/", "index", later(lambda: "x"))
    with signals.request_started.connected_to(receive, app):
        assert ask(app).text == "from the hook"


@pytest.mark.parametrize("other", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("begun", [0, 1])
def test_a_hook_that_sends_the_request_elsewhere(app, ask, other, begun):
    app.add_url_rule("/", "index", later(lambda: "index"))
    app.add_url_rule("/other", "other", other(lambda: "other"))

    @app.before_request
    async def before():
        request.url_rule = next(app.url_map.iter_rules("other"))

    for _ in range(begun):
        assert ask(app, "/other").text == "other"
    assert ask(app).text == "other"


# Bodies


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("body", [b'{"a": 1}', [b'{"a"', b": 1}"]])
def test_the_body_is_there_for_each_view(app, ask, kind, body):
    app.add_url_rule("/", "index", kind(lambda: request.json), methods=["POST"])

    answer = ask(
        app, method="POST", body=body, headers={"content-type": "application/json"}
    )

    assert answer.text == '{"a":1}\n'


def test_the_body_is_read_on_the_loop_in_no_way_to_a_worker(app, ask, hops):
    app.add_url_rule("/", "index", later(lambda: request.data), methods=["POST"])

    assert ask(app, method="POST", body=b"abc").text == "abc"
    assert hops == []


@pytest.mark.parametrize(("limit", "said"), [(2, "2 bytes"), (None, "16777216 bytes")])
def test_a_body_that_is_too_large(app, ask, limit, said):
    app.config["MAX_CONTENT_LENGTH"] = limit
    read = []

    @app.post("/")
    async def view():
        read.append(True)
        return request.data

    answer = ask(app, method="POST", body=[b"a" * 2**20] * 17)

    assert answer.status == 413
    assert said in answer.text
    assert "MAX_CONTENT_LENGTH" in answer.text
    assert read == [True]  # it is refused when it is used


def test_a_body_that_nobody_wants_is_not_refused(app, ask):
    app.config["MAX_CONTENT_LENGTH"] = 2
    app.add_url_rule("/", "index", later(lambda: "x"), methods=["POST"])

    assert ask(app, method="POST", body=[b"abc"]).text == "x"
    assert ask(app, method="POST", body=b"abc").text == "x"


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_body_that_is_shorter_than_its_length(app, exchange, run, kind):
    app.add_url_rule("/", "index", kind(lambda: request.data), methods=["POST"])
    asked = exchange(app, method="POST", headers={"content-length": "4"})
    asked.messages.get_nowait()
    asked.come(b"abc")
    asked.leave()

    assert run(asked.run()).status == 400


def test_an_async_hook_that_needs_the_body(app, ask):
    @app.before_request
    async def before():
        try:
            request.get_data()
        except RuntimeError as exc:
            g.said = str(exc)
        await request.load_body()
        g.data = request.get_data()

    app.add_url_rule(
        "/", "index", sync(lambda: [g.said, g.data.decode()]), methods=["POST"]
    )

    answer = ask(app, method="POST", body=b"abc")
    assert "await request.load_body()" in answer.text
    assert '"abc"' in answer.text


@pytest.mark.parametrize("hook", KINDS.values(), ids=KINDS)
def test_a_hook_that_reads_the_beginning(app, ask, hook):
    @app.before_request
    async def load():
        if hook is not sync:
            await request.load_body()

    @app.before_request
    @hook
    def begin():
        g.first = request.stream.read(2)

    @app.post("/")
    async def view():
        return g.first + b"|" + request.stream.read()

    assert ask(app, method="POST", body=b"a" * 70_000).text == "aa|" + "a" * 69_998


def test_nothing_is_read_ahead_for_a_view_that_reads_the_stream(app, exchange, run):
    @app.post("/")
    @reads_stream
    async def view():
        return str(asked.messages.qsize())

    asked = exchange(app, method="POST", body=[b"a", b"b"])
    assert run(asked.run()).text == "2"


# After the response


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("work", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("streams", [False, True])
def test_work_after_the_response(app, run, exchange, kind, work, streams):
    def note(what):
        steps.append((what, [message.get("more_body") for message in asked.sent]))

    @kind
    def view():
        app.after_response(work(note), "work")
        return iter(["x"]) if streams else "x"

    steps = []
    app.add_url_rule("/", "index", view)
    app.teardown_request(lambda exc: note("teardown"))
    asked = exchange(app)
    run(asked.run())

    assert asked.text == "x"
    assert steps[0] == ("teardown", [])
    assert [what for what, _ in steps] == ["teardown", "work"]
    assert steps[1][1] == ([None, True, False] if streams else [None, False])


# Errors


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_an_error_that_nobody_handles(app, ask, kind):
    app.add_url_rule("/", "index", kind(lambda: 1 / 0))
    ended = []
    app.teardown_request(lambda exc: ended.append((repr(exc), here())))

    with pytest.raises(ZeroDivisionError):
        ask(app)
    assert ended == [("ZeroDivisionError('division by zero')", "worker")]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_an_error_that_is_no_exception(app, ask, kind):
    class Stop(BaseException):
        pass

    def stop():
        raise Stop

    app.add_url_rule("/", "index", kind(stop))
    ended = []
    app.teardown_request(lambda exc: ended.append(type(exc)))

    with pytest.raises(Stop):
        ask(app)
    assert ended == [Stop]


def test_errors_that_are_ignored(app, ask):
    class Lenient(Erlen):
        def should_ignore_error(self, error):
            return True

    app = Lenient("lenient")
    app.testing = True
    app.add_url_rule("/", "index", later(lambda: 1 / 0))
    ended = []
    app.teardown_request(ended.append)

    with pytest.raises(ZeroDivisionError):
        ask(app)
    assert ended == [None]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_contexts_are_kept_for_a_debugger(app, ask, kind):
    kept = []
    app.add_url_rule("/", "index", kind(lambda: 1 / 0))

    with pytest.raises(ZeroDivisionError):
        ask(app, **{"werkzeug.debug.preserve_context": kept.append})
    assert [type(ctx).__name__ for ctx in kept] == ["AppContext", "ScopeContext"]


def test_a_request_class_that_closes_more_does_so_in_a_worker(app, ask):
    closed = []

    class Own(Request):
        def close(self):
            super().close()
            closed.append(here())

    app.request_class = Own
    app.add_url_rule("/", "index", later(lambda: "x"))

    assert ask(app).text == "x"
    assert closed == ["worker"]


# Cancellation


class Gate:
    """Where a view waits, on the loop or in a worker, until the test lets it go."""

    def __init__(self, app):
        self.app = app
        self.arrived = asyncio.Event()
        self.end = threading.Event()
        self.counts = Counter()
        app.config["ASGI_THREADS"] = 1
        app.teardown_request(lambda exc: self.counts.update([f"teardown {exc!r}"]))
        app.teardown_appcontext(lambda exc: self.counts.update(["application"]))
        app.add_url_rule("/worker", "worker", self.in_worker)
        app.add_url_rule("/loop", "loop", self.on_loop)
        app.add_url_rule("/line", "line", sync(lambda: "from the line"))
        app.add_url_rule("/left", "left", later(lambda: "left"))

    def in_worker(self):
        workers = request._workers
        workers.loop.call_soon_threadsafe(self.arrived.set)
        assert self.end.wait(10)
        self.counts["worker"] += 1
        return "from the worker"

    async def on_loop(self):
        self.arrived.set()
        await asyncio.Event().wait()

    async def start(self, asked):
        """Begin an exchange, and wait until its view waits."""
        self.arrived.clear()
        task = asyncio.ensure_future(asked.run())
        await self.arrived.wait()
        return task

    async def cancel(self, task, times=1):
        for _ in range(times):
            task.cancel()
            for _ in range(3):
                await asyncio.sleep(0)


async def is_free(app, exchange):
    """Say whether nothing is left, and a worker is free."""
    answer = await exchange(app, "/line").run()
    frame = _state.current.get()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    return answer.text, frame, others


FREE = ("from the line", (None, None), set())

CANCELLED = {"teardown CancelledError()": 1, "application": 1}


@pytest.fixture
def gate(app):
    gate = Gate(app)
    yield gate
    gate.end.set()


@pytest.mark.parametrize("times", [1, 3])
def test_cancelled_on_the_loop(app, run, exchange, gate, times):
    async def main():
        task = await gate.start(exchange(app, "/loop"))
        await gate.cancel(task, times)
        with pytest.raises(asyncio.CancelledError):
            await task
        counts = +gate.counts
        return counts, await is_free(app, exchange)

    assert run(main()) == (CANCELLED, FREE)


@pytest.mark.parametrize("times", [1, 3])
def test_cancelled_while_a_worker_runs(app, run, exchange, gate, times):
    async def main():
        asked = exchange(app, "/worker")
        task = await gate.start(asked)
        await gate.cancel(task, times)
        assert not task.done()
        gate.end.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        counts = +gate.counts
        return counts, asked.sent, await is_free(app, exchange)

    counts = {"worker": 1, "teardown None": 1, "application": 1}
    assert run(main()) == (counts, [], FREE)


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("path", ["/line", "/left"])
def test_cancelled_in_line(app, run, exchange, gate, times, path):
    async def main():
        first = await gate.start(exchange(app, "/worker"))
        asked = exchange(app, path)
        task = asyncio.ensure_future(asked.run())
        for _ in range(5):
            await asyncio.sleep(0)
        await gate.cancel(task, times)
        assert not task.done()  # its teardown waits for a worker
        gate.end.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        await first
        counts = +gate.counts
        return counts, asked.sent, await is_free(app, exchange)

    counts, sent, free = run(main())
    assert sent == []
    assert free == FREE
    # Whoever waits for its view never ran; whoever waits for its teardown has ended.
    ended = "CancelledError()" if path == "/line" else "None"
    assert counts == Counter(
        {"worker": 1, "application": 2}
        | Counter(["teardown None", f"teardown {ended}"])
    )


@pytest.mark.parametrize("times", [1, 3])
def test_cancelled_before_it_has_begun(app, run, exchange, gate, times):
    # A session that is opened first of all waits in line, outside of all contexts.
    app.session_interface = Tracing(gate.counts.__getitem__)

    async def main():
        first = await gate.start(exchange(app, "/worker"))
        before = +gate.counts
        task = asyncio.ensure_future(exchange(app, "/left").run())
        for _ in range(5):
            await asyncio.sleep(0)
        await gate.cancel(task, times)
        gate.end.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        await first
        counts = gate.counts - before
        return counts, await is_free(app, exchange)

    assert run(main()) == ({"worker": 1, "teardown None": 1, "application": 1}, FREE)


def test_a_response_that_a_cancelled_request_made_is_closed(app, run, exchange, gate):
    closed = []

    def pieces():
        yield "never sent"

    def make(stream):
        response = Response(stream)
        response.call_on_close(lambda: closed.append(here()))
        return response

    async def pieces_later():
        yield "never sent"

    streams = {
        "sync": pieces,
        "async": pieces_later,
        "whole": lambda: ["never sent"],
        "context": lambda: stream_with_context(pieces()),
    }

    @app.get("/stream/<kind>")
    def stream(kind):
        gate.in_worker()
        return make(streams[kind]())

    async def main():
        for kind in streams:
            gate.end.clear()
            task = await gate.start(exchange(app, f"/stream/{kind}"))
            task.cancel()
            gate.end.set()
            with pytest.raises(asyncio.CancelledError):
                await task
        counts = +gate.counts
        return counts["application"], await is_free(app, exchange)

    assert run(main()) == (4, FREE)
    assert closed == ["worker"] * 4


def test_a_view_that_holds_on_to_its_cancellation(app, run, exchange, gate):
    @app.get("/saves")
    async def view():
        gate.arrived.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "saved"

    async def main():
        asked = exchange(app, "/saves")
        task = await gate.start(asked)
        task.cancel()
        await task
        return asked.text

    assert run(main()) == "saved"
    assert gate.counts == {"teardown None": 1, "application": 1}


def test_a_timeout_of_the_view(app, ask):
    @app.get("/")
    async def view():
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            return "too late"

    assert ask(app).text == "too late"


# Class-based views, and tokens


class Async(MethodView):
    async def get(self):
        await asyncio.sleep(0)
        return here()

    async def post(self):
        return f"posted in a {here()}"


class AsyncDispatch(MethodView):
    async def dispatch_request(self, **values):
        return here()


class Plain(View):
    async def dispatch_request(self):
        return here()


class Shared(Plain):
    init_every_request = False


class Mixed(Async):
    def post(self):
        return f"posted in a {here()}"


class Decorated(Async):
    decorators = [lambda view: lambda **values: view(**values)]


@pytest.mark.parametrize(
    ("cls", "method", "text", "ways"),
    [
        (Async, "GET", "loop", 0),
        (Async, "HEAD", "", 0),
        (Async, "POST", "posted in a loop", 0),
        (AsyncDispatch, "GET", "loop", 0),
        (Plain, "GET", "loop", 0),
        (Shared, "GET", "loop", 0),
        (Mixed, "GET", "loop", 1),
        (Mixed, "POST", "posted in a worker", 1),
        (Decorated, "GET", "loop", 1),
    ],
)
def test_an_async_view_of_a_class_waits_in_no_worker(
    app, ask, hops, cls, method, text, ways
):
    app.add_url_rule("/", view_func=cls.as_view("view"), methods=["GET", "POST"])
    assert ask(app, method=method).text == text
    assert len(hops) == ways


def test_a_method_that_a_class_does_not_have(app, ask):
    app.add_url_rule("/", view_func=Async.as_view("view"), methods=["PUT"])
    with pytest.raises(AssertionError, match="Unimplemented method 'PUT'"):
        ask(app, method="PUT")


def test_what_one_plain_function_sets_another_resets_by_its_token(app, ask):
    number = contextvars.ContextVar("number", default=0)
    tokens = []
    seen = []
    app.before_request(lambda: tokens.append(number.set(1)))

    @app.after_request
    def after(response):
        seen.append(number.get())
        return response

    @app.teardown_request
    def teardown(exc):
        number.reset(tokens.pop())
        seen.append(number.get())

    @app.get("/")
    async def view():
        assert number.get() == 1
        number.set(2)
        return "x"

    ask(app)
    assert seen == [2, 0]


# What a response class makes of a text


class Teapot(Response):
    def __init__(self, *args, **values):
        super().__init__(*args, **values)
        self.status_code = 418


class Closing(Response):
    def __init__(self, *args, **values):
        super().__init__(*args, **values)
        self.call_on_close(lambda: None)


class Created(Response):
    default_status = 201


class Shouting(Response):
    def get_wsgi_headers(self, environ):
        headers = super().get_wsgi_headers(environ)
        headers["X-Loud"] = "yes"
        return headers


@pytest.mark.parametrize("cls", [Teapot, Closing, Created, Shouting, Response])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_text_is_sent_as_the_response_class_has_it(app, cls, method):
    @app.get("/")
    async def view():
        return "text"

    pytest.importorskip("asgiref")
    app.response_class = cls
    answers = []
    for door in ("wsgi", "asgi"):
        answer = app.test_client(door=door).open("/", method=method)
        names = sorted((name.lower(), value) for name, value in answer.headers)
        answers.append((answer.status, names, answer.data))
    assert answers[0] == answers[1]
