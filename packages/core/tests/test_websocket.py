from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import threading
import weakref
from collections import Counter

import pytest
from hypothesis import HealthCheck
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from erlen import Blueprint
from erlen import Erlen
from erlen import Response
from erlen import abort
from erlen import after_this_request
from erlen import copy_current_request_context
from erlen import current_app
from erlen import g
from erlen import got_request_exception
from erlen import request
from erlen import request_started
from erlen import session
from erlen import url_for
from erlen import websocket
from erlen._sending import finish
from erlen._websocket_client import _NEXT
from erlen.cli import routes_command
from erlen.session_stores import MemorySessionStore
from erlen.sessions import SessionInterface
from erlen.sessions import SessionMixin
from erlen.sessions import SessionUnavailable
from erlen.testing import WebSocketRejected
from erlen.websockets import InvalidMessage
from erlen.websockets import WebSocketClosed

EXTENSION = {"websocket.http.response": {}}


class Server:
    """A server that keeps what is sent, and refuses what is out of order."""

    def __init__(self, *events, gone_after=None, **scope):
        self.scope = {
            "type": "websocket",
            "path": "/ws",
            "query_string": b"",
            "headers": [(b"host", b"localhost")],
            "subprotocols": [],
            "extensions": EXTENSION,
            **scope,
        }
        self.events = [{"type": "websocket.connect"}, *events]
        self.gone_after = gone_after
        self.sent = []
        self.state = "connect"
        self.news = asyncio.Event()

    async def receive(self):
        if not self.events:
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        event = self.events.pop(0)
        if event["type"] == "websocket.disconnect":
            self.gone_after = 0
        return event

    async def send(self, message):
        await asyncio.sleep(0)
        if self.gone_after is not None and len(self.sent) >= self.gone_after:
            raise OSError("gone")
        kind = message["type"].removeprefix("websocket.")
        assert kind in _NEXT.get(self.state, ()), (self.state, message)
        self.state = kind
        self.sent.append(message)
        self.news.set()

    def start(self, app):
        return asyncio.ensure_future(app.asgi(self.scope, self.receive, self.send))

    @property
    def kinds(self):
        return [message["type"].removeprefix("websocket.") for message in self.sent]


def serve(app, *events, **options):
    async def run():
        server = Server(*events, **options)
        await server.start(app)
        return server

    return asyncio.run(run())


def text(data):
    return {"type": "websocket.receive", "text": data}


LEFT = {"type": "websocket.disconnect", "code": 1001}


@pytest.fixture
def torn(app):
    """Note what the teardown functions get."""
    torn = []
    app.teardown_request(lambda exc: torn.append(("request", exc)))
    app.teardown_appcontext(lambda exc: torn.append(("app", exc)))
    return torn


def rejection(client, *args, **kwargs):
    with (
        pytest.raises(WebSocketRejected) as caught,
        client.websocket(*args, **kwargs),
    ):
        pass
    return caught.value.response


# --- rules -------------------------------------------------------------------------


def test_a_handler_has_all_that_a_view_has(app, client, torn):
    @app.before_request
    def before():
        g.name = f"{request.path} {websocket.path}"

    @app.websocket("/rooms/<int:number>")
    async def room(number):
        assert websocket.headers is request.headers
        await websocket.send_json(
            [
                number,
                g.name,
                current_app.name,
                request.args["a"],
                url_for("room", number=2),
            ]
        )

    with client.websocket("/rooms/1?a=b") as ws:
        assert ws.receive_json() == [
            *(1, "/rooms/1 /rooms/1", app.name, "b", "ws://localhost/rooms/2")
        ]

    assert ws.close_code == 1000
    assert torn == [("request", None), ("app", None)]


def test_a_blueprint_has_handlers_and_their_hooks(app, client):
    pages = Blueprint("pages", __name__, url_prefix="/pages")
    seen = []

    @pages.url_value_preprocessor
    def see(endpoint, values):
        seen.append((endpoint, dict(values)))
        values["name"] = values["name"].upper()

    @pages.websocket("/ws/<name>", endpoint="live")
    async def handler(name):
        await websocket.send(name)

    app.register_blueprint(pages)
    with client.websocket("/pages/ws/ada") as ws:
        assert ws.receive() == "ADA"
    assert seen == [("pages.live", {"name": "ada"})]


def test_several_rules_go_to_one_handler(app, client):
    @app.websocket("/a")
    @app.websocket("/b", defaults={"x": 1})
    async def handler(x=0):
        await websocket.send(f"{x}")

    for path, answer in {"/a": "0", "/b": "1"}.items():
        with client.websocket(path) as ws:
            assert ws.receive() == answer


def test_two_handlers_have_two_names(app):
    async def handler(): ...

    async def other(): ...

    app.websocket("/a", endpoint="it")(handler)
    with pytest.raises(AssertionError, match="overwriting"):
        app.websocket("/b", endpoint="it")(other)
    assert hash(app.view_functions["it"]) == hash(handler)


def test_a_handler_is_async(app):
    with pytest.raises(TypeError, match="no 'async def' function"):

        @app.websocket("/ws")
        def handler(): ...


@pytest.mark.parametrize("view", [lambda: "", None])
def test_a_rule_without_a_handler_says_what_is_missing(app, client, view):
    app.add_url_rule("/ws", "ws", view, websocket=True)
    with pytest.raises(RuntimeError, match="no 'async def' handler"):
        rejection(client, "/ws")


def test_a_rule_may_be_added_without_the_decorator(app, client):
    async def handler():
        await websocket.send("hi")

    app.add_url_rule("/ws", "ws", handler, websocket=True)
    with client.websocket("/ws") as ws:
        assert ws.receive() == "hi"


@pytest.mark.parametrize("door", ["wsgi", "asgi"])
@pytest.mark.parametrize("upgrade", [False, True])
@pytest.mark.parametrize("debug", [False, True])
def test_a_plain_request_is_no_websocket(app, door, upgrade, debug):
    @app.websocket("/ws")
    async def handler(): ...

    app.debug = debug
    headers = {"Connection": "Upgrade", "Upgrade": "websocket"} if upgrade else {}
    answer = app.test_client(door=door).get("/ws", headers=headers)
    assert answer.status_code == 400
    assert ("uvicorn module:app.asgi" in answer.text) is (debug and upgrade)


@pytest.mark.parametrize(("path", "status"), [("/page", 400), ("/nothing", 404)])
def test_a_websocket_finds_no_page(app, client, torn, path, status):
    app.add_url_rule("/page", "page", lambda: "a page")
    assert rejection(client, path).status_code == status
    assert len(torn) == 2


def test_hosts_are_looked_at():
    app = Erlen("hosts", host_matching=True, static_folder=None)

    @app.websocket("/ws", host="a.test")
    async def handler():
        await websocket.send(request.host)

    client = app.test_client()
    with client.websocket("/ws", base_url="http://a.test") as ws:
        assert ws.receive() == "a.test"
    assert rejection(client, "/ws", base_url="http://b.test").status_code == 404


def test_routes_show_websockets(app):
    @app.websocket("/ws")
    async def handler(): ...

    output = app.test_cli_runner().invoke(routes_command).output
    assert "handler   WEBSOCKET  /ws" in output


# --- the handshake -----------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [[], [(b"connection", b"keep-alive, Upgrade"), (b"upgrade", b"WebSocket")]],
)
def test_the_handshake_is_the_same_from_each_server(app, headers):
    @app.websocket("/ws")
    async def handler():
        found = request.headers
        await websocket.send(
            f"{found['Upgrade']} {found['Connection']} {request.method}"
        )
        await websocket.send(f"{request.scheme} {request.get_data()!r}")

    host = [(b"host", b"a.test")]
    server = serve(app, headers=host + headers, scheme="wss", http_version="2")
    assert [message["text"] for message in server.sent[1:-1]] == [
        "websocket Upgrade GET",
        "https b''",
    ]


def test_a_request_class_of_ones_own_is_used(app, client):
    class Own(app.request_class):
        def __init__(self, environ, populate_request=True, shallow=False):
            super().__init__(environ, populate_request, shallow)
            self.name = "own"

    app.request_class = Own

    @app.websocket("/ws")
    async def handler():
        await websocket.send(request.name + request.get_data(as_text=True))

    with client.websocket("/ws") as ws:
        assert ws.receive() == "own"


async def refuse():
    return Response("not you", 401, {"X-Own": "1"})


@pytest.mark.parametrize(
    "before",
    [
        refuse,
        lambda: Response("not you", 401, {"X-Own": "1"}),
        lambda: Response(iter(["not ", b"you"]), 401, {"X-Own": "1"}),
    ],
)
def test_a_hook_turns_a_handshake_away(app, client, torn, before):
    app.before_request(before)
    after = []

    @app.after_request
    def note(response):
        after.append(response.status_code)
        return response

    @app.websocket("/ws")
    async def handler():
        raise AssertionError

    response = rejection(client, "/ws")
    assert (response.status_code, response.text) == (401, "not you")
    assert response.headers["X-Own"] == "1"
    assert after == [401]
    assert torn == [("request", None), ("app", None)]


def test_plain_hooks_run_together_in_a_worker(app, client):
    threads = []
    app.before_request(lambda: threads.append(threading.current_thread()))
    app.before_request(lambda: threads.append(threading.current_thread()))

    @app.websocket("/ws")
    async def handler():
        threads.append(threading.current_thread())
        await websocket.accept()

    with client.websocket("/ws"):
        pass
    assert threads[0] is threads[1]
    assert threads[0].name == "erlen-worker"
    assert threads[2] is threading.main_thread()


def test_async_hooks_run_on_the_loop(app, client):
    @app.before_request
    async def before():
        g.loop = asyncio.get_running_loop()
        after_this_request(lambda response: response)

    @app.websocket("/ws")
    async def handler():
        await websocket.send(f"{g.loop is asyncio.get_running_loop()}")

    with client.websocket("/ws") as ws:
        assert ws.receive() == "True"


def test_steps_that_are_replaced_are_the_ones_that_run(client):
    class Guarded(Erlen):
        def preprocess_request(self):
            return super().preprocess_request() or ("guarded", 401)

        def process_response(self, response):
            response.headers["X-Own"] = "1"
            return super().process_response(response)

    app = Guarded("guarded")

    @app.websocket("/ws")
    async def handler(): ...

    response = rejection(app.test_client(), "/ws")
    assert (response.text, response.status_code) == ("guarded", 401)
    assert response.headers["X-Own"] == "1"


def abort_401():
    abort(401)


@pytest.mark.parametrize("where", ["before", "handler"])
def test_an_abort_is_answered_by_its_error_handler(app, client, where):
    @app.errorhandler(401)
    async def explain(exc):
        return f"{where}: {exc.code}", 418

    if where == "before":
        app.before_request(abort_401)

    @app.websocket("/ws")
    async def handler():
        abort(401)

    response = rejection(client, "/ws")
    assert (response.status_code, response.text) == (418, f"{where}: 401")


@pytest.mark.parametrize(
    ("value", "status"),
    [(None, 403), (("no", 409), 409), ({"error": "no"}, 200)],
)
def test_a_handler_that_does_not_accept(app, client, value, status):
    @app.websocket("/ws")
    async def handler():
        return value

    assert rejection(client, "/ws").status_code == status


@pytest.mark.parametrize("extensions", [{}, None])
def test_a_server_that_cannot_send_the_answer_closes(app, torn, extensions):
    server = serve(app, path="/nothing", extensions=extensions)
    assert server.sent == [{"type": "websocket.close", "code": 1008}]
    assert len(torn) == 2


def test_the_client_may_be_gone_when_it_is_answered(app, torn):
    assert serve(app, path="/nothing", gone_after=0).sent == []
    assert torn == [("request", None), ("app", None)]


def test_a_client_that_left_before_the_beginning_is_nobody(app, torn):
    async def run():
        server = Server()
        server.events = [LEFT]
        await server.start(app)
        return server

    assert asyncio.run(run()).sent == []
    assert torn == []


def test_a_handler_may_close_instead(app, torn):
    @app.websocket("/ws")
    async def handler():
        await websocket.close()

    assert serve(app).kinds == ["close"]
    assert torn == [("request", None), ("app", None)]


def test_a_redirect_answers_with_its_place(app, client):
    @app.websocket("/ws/")
    async def handler(): ...

    response = rejection(client, "/ws")
    assert response.status_code == 308
    assert response.location.startswith("ws://localhost/ws/")


# --- errors ------------------------------------------------------------------------


@pytest.mark.parametrize("propagates", [True, False])
@pytest.mark.parametrize("accepts", [True, False])
def test_an_error_is_a_500_or_closes_with_1011(app, torn, caplog, propagates, accepts):
    app.config["PROPAGATE_EXCEPTIONS"] = propagates
    error = ZeroDivisionError()
    sent = []

    def note(sender, exception):
        sent.append(exception)

    got_request_exception.connect(note, app)

    @app.websocket("/ws")
    async def handler():
        if accepts:
            await websocket.accept()
        raise error

    caught = (
        pytest.raises(ZeroDivisionError) if propagates else contextlib.nullcontext()
    )

    async def run():
        server = Server()
        with caught:
            await server.start(app)
        return server.sent

    messages = asyncio.run(run())
    assert sent == [error]
    assert torn == [("request", error), ("app", error)]
    assert [record.exc_info[1] for record in caplog.records] == [error] * (
        not propagates
    )
    if accepts:
        assert messages[-1]["code"] == 1011
    elif propagates:
        assert messages == []
    else:
        assert messages[0]["status"] == 500


def test_the_page_of_a_500_is_the_applications(app, client):
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.register_error_handler(500, lambda exc: (repr(exc.original_exception), 500))

    @app.websocket("/ws")
    async def handler():
        raise KeyError("a")

    assert rejection(client, "/ws").text == "KeyError('a')"


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (InvalidMessage("odd"), 1007),
        (ExceptionGroup("", [InvalidMessage("odd"), InvalidMessage("more")]), 1007),
        (ExceptionGroup("", [InvalidMessage("odd"), KeyError("a")]), 1011),
        (WebSocketClosed(1000), 1011),  # another one's
    ],
)
def test_what_is_raised_after_accepting(app, caplog, raised, code):
    app.config["PROPAGATE_EXCEPTIONS"] = False

    @app.websocket("/ws")
    async def handler():
        await websocket.accept()
        raise raised

    assert serve(app).sent[-1]["code"] == code
    assert len(caplog.records) == (code == 1011)


@pytest.mark.parametrize(("status", "code"), [(401, 1008), (404, 1008), (503, 1011)])
def test_an_abort_after_accepting_closes(app, caplog, status, code):
    app.config["PROPAGATE_EXCEPTIONS"] = False

    @app.websocket("/ws")
    async def handler():
        await websocket.accept()
        abort(status)

    assert serve(app).sent[-1]["code"] == code
    assert len(caplog.records) == (code == 1011)


@pytest.mark.parametrize("grouped", [False, True])
def test_a_client_that_leaves_is_no_error(app, torn, caplog, grouped):
    @app.websocket("/ws")
    async def handler():
        await websocket.accept()
        if not grouped:
            await websocket.receive()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(websocket.receive())

    assert serve(app, LEFT).kinds == ["accept"]
    assert torn == [("request", None), ("app", None)]
    assert caplog.records == []


def test_errors_that_are_ignored_are_not_torn_down_with():
    class Ignoring(Erlen):
        def should_ignore_error(self, error):
            return isinstance(error, KeyError)

    app = Ignoring("ignoring")
    torn = []
    app.teardown_request(torn.append)

    @app.websocket("/ws")
    async def handler():
        await websocket.accept()
        raise KeyError

    serve(app)
    assert torn == [None]


def test_teardown_functions_that_fail_are_heard_of(app):
    @app.teardown_request
    def teardown(exc):
        raise KeyError("teardown")

    @app.websocket("/ws")
    async def handler():
        kept.append(websocket._get_current_object())
        await websocket.accept()

    kept = []
    with pytest.raises(KeyError, match="teardown"):
        serve(app)
    assert kept[0].closed


def test_mounted_applications_have_websockets(app, client):
    inner = Erlen("inner")

    @inner.websocket("/ws")
    async def handler():
        await websocket.send(f"{request.root_path} {request.path} {current_app.name}")

    app.mount("/inner", inner)
    app.mount("/other", lambda environ, start_response: [b""])
    with client.websocket("/inner/ws") as ws:
        assert ws.receive() == "/inner /ws inner"
    assert rejection(client, "/other/ws").status_code == 403


def test_the_signal_of_the_start_is_sent(app, client):
    paths = []

    def note(sender):
        paths.append(request.path)

    request_started.connect(note, app)

    @app.websocket("/ws")
    async def handler():
        await websocket.accept()

    with client.websocket("/ws"):
        pass
    assert paths == ["/ws"]


# --- cancellation ------------------------------------------------------------------


@pytest.mark.parametrize("steps", range(12))
def test_whenever_it_is_cancelled_it_is_torn_down_once(app, steps):
    entered, torn = [], []
    app.before_request(lambda: entered.append(1))

    @app.before_request
    async def wait():
        await asyncio.sleep(0)

    app.teardown_request(torn.append)
    app.teardown_appcontext(torn.append)

    @app.websocket("/ws")
    async def handler():
        async for _ in websocket:
            pass

    async def run():
        server = Server(text("a"), text("b"))
        task = server.start(app)
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        for _ in range(steps % 3):
            await asyncio.sleep(0)
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await finish()
        return server.kinds

    kinds = asyncio.run(run())
    assert len(torn) == 2 * bool(entered)
    assert kinds in ([], ["accept"], ["accept", "close"])


def test_a_cancelled_one_says_that_it_goes_away(app, torn):
    @app.websocket("/ws")
    async def handler():
        await websocket.accept()
        await asyncio.Event().wait()

    async def run():
        server = Server()
        task = server.start(app)
        await server.news.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return server.sent

    assert asyncio.run(run())[-1] == {
        "type": "websocket.close",
        "code": 1001,
        "reason": "",
    }
    assert [type(exc) for _, exc in torn] == [asyncio.CancelledError] * 2


def test_cancelled_while_it_waits_for_a_worker_it_was_never_entered(app, torn):
    app.config["ASGI_THREADS"] = 1
    begun, go_on = threading.Event(), threading.Event()

    @app.get("/")
    def index():
        begun.set()
        go_on.wait()
        return ""

    async def run():
        async with app.async_test_client() as client:
            page = asyncio.ensure_future(client.get("/"))
            await asyncio.to_thread(begun.wait)
            task = Server().start(app)
            for _ in range(5):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            go_on.set()
            await page

    asyncio.run(run())
    assert len(torn) == 2  # of the page


def test_the_end_of_the_server_cancels_what_lasts(app, torn):
    ended = []
    app.on_shutdown(lambda: ended.append(len(torn)))

    @app.websocket("/ws")
    async def handler():
        await websocket.accept()
        await asyncio.Event().wait()

    async def run():
        async with app.async_test_client():
            server = Server()
            task = server.start(app)
            await server.news.wait()
        assert task.cancelled()
        return server.kinds

    assert asyncio.run(run()) == ["accept", "close"]
    assert ended == [2]


def test_a_server_that_takes_nothing_more_is_not_waited_for(app, torn, monkeypatch):
    monkeypatch.setattr("erlen.websockets._PATIENCE", 0.01)

    @app.websocket("/ws")
    async def handler():
        await websocket.accept()
        await asyncio.Event().wait()

    class Stuck(Server):
        async def send(self, message):
            await super().send(message)
            if message["type"] == "websocket.close":
                await asyncio.Event().wait()

    async def run():
        server = Stuck()
        task = server.start(app)
        await server.news.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert len(torn) == 2


def test_nothing_is_left_to_the_collector(app):
    kept = []

    @app.websocket("/ws/<how>")
    async def handler(how):
        kept.append(weakref.ref(request._get_current_object()))
        if how == "abort":
            abort(401)
        await websocket.accept()
        if how == "leave":
            await websocket.receive()

    gc.collect()
    gc.disable()
    try:
        for how in ("return", "leave", "abort"):
            serve(app, LEFT, path=f"/ws/{how}")
        assert [ref() for ref in kept] == [None, None, None]
    finally:
        gc.enable()


def test_tasks_that_go_on_find_it_closed(app):
    seen = []
    ended = asyncio.Event()

    async def later(own):
        await ended.wait()
        try:
            await own.send("too late")
        except WebSocketClosed as exc:
            seen.append(exc.code)
        with pytest.raises(RuntimeError, match="Working outside of a WebSocket"):
            await websocket.send("")

    @app.websocket("/ws")
    async def handler():
        await websocket.accept()
        seen.append(asyncio.ensure_future(later(websocket._get_current_object())))

    async def run():
        await Server().start(app)
        ended.set()
        await seen.pop(0)

    asyncio.run(run())
    assert seen == [1000]


def test_the_proxy_says_where_it_works(app):
    for ctx in (contextlib.nullcontext(), app.test_request_context()):
        with ctx, pytest.raises(RuntimeError, match=r"@app\.websocket"):
            websocket.path  # noqa: B018


def test_a_copied_context_has_it(app, client):
    @app.websocket("/ws")
    async def handler():
        @copy_current_request_context
        def path():
            return websocket.path

        await websocket.send(await asyncio.to_thread(path))

    with client.websocket("/ws") as ws:
        assert ws.receive() == "/ws"


# --- the session -------------------------------------------------------------------


def test_what_the_session_has_before_accepting_is_saved(app, client):
    @app.websocket("/ws")
    async def handler():
        session["n"] = session.get("n", 0) + 1
        await websocket.send(f"{session['n']}")

    for n in ("1", "2"):
        with client.websocket("/ws") as ws:
            assert ws.receive() == n
            assert "session=" in ws.headers["Set-Cookie"]


def test_a_session_that_is_left_alone_sends_no_cookie(app, client):
    @app.websocket("/ws")
    async def handler():
        await websocket.accept()

    with client.session_transaction() as before:
        before["a"] = 1
    with client.websocket("/ws") as ws:
        assert "Set-Cookie" not in ws.headers


@pytest.mark.parametrize("debug", [True, False])
def test_a_cookie_cannot_hold_what_comes_later(app, client, caplog, debug):
    app.debug = debug

    @app.websocket("/ws")
    async def handler():
        session["a"] = 1
        await websocket.accept()
        session["b"] = 1

    with client.websocket("/ws"):
        pass
    with client.session_transaction() as after:
        assert dict(after) == {"a": 1}
    assert [it.message for it in caplog.records] == [
        "The session was changed after accept(): lost."
    ] * debug


@pytest.fixture
def stored(app):
    store = MemorySessionStore()
    app.config["SESSION_STORE"] = store
    app.add_url_rule("/", "index", lambda: dict(session))
    app.add_url_rule("/login", "login", lambda: session.update(name="Ada") or "")
    return store


def test_a_stored_session_is_saved_at_the_end(app, client, stored):
    loops = []
    real = stored.get
    stored.get = lambda key: (loops.append(asyncio._get_running_loop()), real(key))[1]

    @app.websocket("/ws")
    async def handler():
        session["a"] = session["name"]
        session.rotate()
        await websocket.accept()
        session["b"] = 1

    client.get("/login")
    with client.websocket("/ws") as ws:
        assert "session=" in ws.headers["Set-Cookie"]
    assert client.get("/").json == {"name": "Ada", "a": "Ada", "b": 1}
    assert set(loops) == {None}


def test_a_session_that_cannot_be_saved_at_the_end_is_logged(
    app, client, stored, caplog
):
    @app.websocket("/ws")
    async def handler():
        session["a"] = 1
        await websocket.accept()
        session["b"] = 1

        def fail(*args):
            raise OSError("away")

        stored.replace = fail

    with client.websocket("/ws"):
        pass
    assert "was not saved" in caplog.records[-1].message


def test_a_session_that_cannot_be_saved_answers_the_handshake(app, client, stored):
    @app.websocket("/ws")
    async def handler():
        session["a"] = 1

        def fail(*args):
            raise OSError("away")

        stored.replace = fail
        await websocket.accept()

    assert rejection(client, "/ws").status_code == 503


def test_a_session_that_cannot_tell_is_saved_twice(app, client):
    saved = []

    class Plain(dict, SessionMixin):
        modified = True

    class Interface(SessionInterface):
        def open_session(self, app, request):
            return Plain()

        def save_session(self, app, session, response):
            saved.append(dict(session))

    app.session_interface = Interface()

    @app.websocket("/ws")
    async def handler():
        await websocket.accept()
        session["b"] = 1

    with client.websocket("/ws"):
        pass
    assert saved == [{}, {"b": 1}]


def test_a_session_that_is_away_is_so_where_it_is_read(app, client, stored):
    def fail(key):
        raise OSError("away")

    stored.get = fail
    client.set_cookie("session", "a" * 43)

    @app.websocket("/ws")
    async def handler():
        with pytest.raises(SessionUnavailable):
            session.get("a")
        await websocket.accept()

    with client.websocket("/ws"):
        pass


# --- any order of events -----------------------------------------------------------

CLIENT = st.lists(
    st.sampled_from(
        [
            text("a"),
            text("{"),
            text('"\\ud800"'),
            {"type": "websocket.receive", "bytes": b"\xff"},
            {"type": "websocket.receive", "bytes": b"[1]", "text": None},
            LEFT,
            {"type": "websocket.disconnect"},
        ]
    ),
    max_size=5,
).map(lambda events: [*events, LEFT])


async def fail():
    raise ZeroDivisionError


async def refuse_again():
    abort(409)


async def twice(call, *args):
    await asyncio.gather(call(*args), call(*args), return_exceptions=True)


async def give_up(own):
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0):
            await own.receive()


async def watch(own):
    async for _ in own:
        pass


STEPS = {
    "accept": lambda own: own.accept(),
    "receive": lambda own: own.receive(),
    "receive_json": lambda own: own.receive_json(),
    "send": lambda own: own.send(b"x"),
    "send_json": lambda own: own.send_json({"a": 1}),
    "close": lambda own: own.close(),
    "both_send": lambda own: twice(own.send, "x"),
    "both_receive": lambda own: twice(own.receive),
    "give_up": give_up,
    "watch": watch,
    "wait": lambda own: asyncio.sleep(0),
    "abort": lambda own: refuse_again(),
    "fail": lambda own: fail(),
    "answer": None,
}
HANDLER = st.lists(st.sampled_from([*STEPS]), max_size=7)


def fuzz_app(plan, entered):
    """Make an application whose handler does what is planned."""
    app = Erlen("fuzz")
    app.secret_key = "a key for tests only"
    app.logger.setLevel(logging.CRITICAL)

    @app.before_request
    def before():
        entered.append(1)

    @app.teardown_request
    def teardown(exc):
        entered.append(-1)

    @app.websocket("/ws")
    async def handler():
        own = websocket._get_current_object()
        for name in plan:
            if name == "answer":
                return "answer", 409
            with contextlib.suppress(RuntimeError):
                await STEPS[name](own)
        return None

    return app


def fuzz_many(examples):
    counts = Counter()
    plan, entered = [], []
    app = fuzz_app(plan, entered)

    async def run(events, gone_after, cancelled_after, extensions):
        server = Server(*events, gone_after=gone_after, extensions=extensions)
        task = server.start(app)
        if cancelled_after is not None:
            for _ in range(cancelled_after):
                await asyncio.sleep(0)
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await finish()
        return server

    with asyncio.Runner() as runner:

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(
            CLIENT,
            HANDLER,
            st.none() | st.integers(0, 4),
            st.none() | st.none() | st.integers(0, 30),
            st.sampled_from([EXTENSION, {}]),
        )
        def fuzz_one(events, steps, gone_after, cancelled_after, extensions):
            plan[:] = steps
            entered.clear()
            server = runner.run(run(events, gone_after, cancelled_after, extensions))
            assert entered == [1, -1] or (not entered and cancelled_after is not None)
            if cancelled_after is None and server.gone_after is None:
                assert server.state in {"close", "http.response.body"}
            counts["runs"] += 1
            counts[server.state] += 1

        fuzz_one()
    return counts


def test_the_order_of_messages_is_legal_whatever_happens():
    counts = fuzz_many(150)
    assert counts["runs"] >= 100
    assert counts["close"]
    assert counts["http.response.body"]
    assert counts["connect"]


@pytest.mark.fuzz
def test_the_order_of_messages_is_legal_ten_thousand_times():
    assert fuzz_many(10_000)["runs"] >= 9_000
