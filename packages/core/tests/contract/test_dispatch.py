"""The life of a request: what runs in which order, and what may be replaced."""

from __future__ import annotations

import pytest

from erlen import Blueprint
from erlen import Erlen
from erlen import Response
from erlen import after_this_request
from erlen import appcontext_popped
from erlen import appcontext_pushed
from erlen import appcontext_tearing_down
from erlen import g
from erlen import got_request_exception
from erlen import request
from erlen import request_finished
from erlen import request_started
from erlen import request_tearing_down
from erlen import session
from erlen.globals import request_ctx
from erlen.sessions import SecureCookieSessionInterface
from erlen.sessions import SessionMixin

SIGNALS = {
    "appcontext_pushed": appcontext_pushed,
    "request_started": request_started,
    "got_request_exception": got_request_exception,
    "request_finished": request_finished,
    "request_tearing_down": request_tearing_down,
    "appcontext_tearing_down": appcontext_tearing_down,
    "appcontext_popped": appcontext_popped,
}


class Trace(list):
    """A list of names, and functions that put theirs into it."""

    def note(self, name, returns=None):
        def call(*args, **kwargs):
            self.append(name)
            return returns

        return call

    def passing(self, name):
        def call(response):
            self.append(name)
            return response

        return call


@pytest.fixture
def trace():
    return Trace()


class TracedSessions(SecureCookieSessionInterface):
    def __init__(self, trace):
        self.trace = trace

    def open_session(self, app, request):
        self.trace.append("open session")
        return super().open_session(app, request)

    def save_session(self, app, session, response):
        self.trace.append("save session")
        super().save_session(app, session, response)


@pytest.fixture(params=["everything", "no signals", "hooks only"])
def watched(request):
    """Give what is watched: frameworks have shorter ways for what is not used."""
    return request.param


@pytest.fixture
def traced(app, trace, watched):
    """An application whose every hook writes into `trace`; the session is used."""
    receivers = []
    if watched != "hooks only":
        app.session_interface = TracedSessions(trace)
    app.url_value_preprocessor(trace.note("value preprocessor"))
    app.before_request(trace.note("before 1"))
    app.before_request(trace.note("before 2"))
    app.after_request(trace.passing("after 1"))
    app.after_request(trace.passing("after 2"))
    app.teardown_request(trace.note("teardown 1"))
    app.teardown_request(trace.note("teardown 2"))
    app.teardown_appcontext(trace.note("app teardown 1"))
    app.teardown_appcontext(trace.note("app teardown 2"))
    for name, signal in SIGNALS.items() if watched == "everything" else ():
        receiver = trace.note(f"signal {name}")
        receivers.append(receiver)  # receivers are held weakly
        signal.connect(receiver, app)

    @app.get("/")
    def index():
        after_this_request(trace.passing("after this 1"))
        after_this_request(trace.passing("after this 2"))
        trace.append("view")
        session["n"] = 1
        return "index"

    @app.get("/error")
    def error():
        after_this_request(trace.passing("after this"))
        trace.append("view")
        session["n"] = 1
        raise LookupError

    app.errorhandler(LookupError)(trace.note("error handler", "handled"))
    yield app
    for signal in SIGNALS.values():
        for receiver in receivers:
            signal.disconnect(receiver, app)


TEARDOWN = [
    "teardown 2",
    "teardown 1",
    "signal request_tearing_down",
    "app teardown 2",
    "app teardown 1",
    "signal appcontext_tearing_down",
    "signal appcontext_popped",
]

START = [
    "signal appcontext_pushed",
    "open session",
    "signal request_started",
    "value preprocessor",
    "before 1",
    "before 2",
]


def seen(watched, names):
    """Leave out of `names` what is not watched."""
    return [
        name
        for name in names
        if (watched == "everything" or not name.startswith("signal "))
        and (watched != "hooks only" or not name.endswith(" session"))
    ]


def test_order_of_everything(traced, trace, watched):
    assert traced.test_client().get("/").text == "index"

    assert trace == seen(
        watched,
        [
            *START,
            "view",
            "after this 1",
            "after this 2",
            "after 2",
            "after 1",
            "save session",
            "signal request_finished",
            *TEARDOWN,
        ],
    )


def test_order_when_an_error_is_handled(traced, trace, watched):
    assert traced.test_client().get("/error").text == "handled"

    assert trace == seen(
        watched,
        [
            *START,
            "view",
            "error handler",
            "after this",
            "after 2",
            "after 1",
            "save session",
            "signal request_finished",
            *TEARDOWN,
        ],
    )


def test_order_when_no_rule_fits(traced, trace, watched):
    traced.register_error_handler(404, trace.note("404", "absent"))

    assert traced.test_client().get("/absent").text == "absent"

    assert [name for name in trace if name != "save session"] == seen(
        watched,
        [
            *START,
            "404",
            "after 2",
            "after 1",
            "signal request_finished",
            *TEARDOWN,
        ],
    )


def test_order_when_an_error_is_not_handled(traced, trace, watched):
    traced.config["PROPAGATE_EXCEPTIONS"] = False
    traced.error_handler_spec[None][None].clear()
    traced.register_error_handler(500, trace.note("500", "sorry"))

    assert traced.test_client().get("/error").text == "sorry"

    assert trace == seen(
        watched,
        [
            *START,
            "view",
            "signal got_request_exception",
            "500",
            "after this",
            "after 2",
            "after 1",
            "save session",
            "signal request_finished",
            *TEARDOWN,
        ],
    )


def test_session_is_opened_before_matching_and_hooks_can_use_it(app, client):
    seen = []

    class Interface(SecureCookieSessionInterface):
        def open_session(self, app, request):
            seen.append(("open", request.url_rule, request.endpoint))
            return super().open_session(app, request)

    app.session_interface = Interface()
    app.before_request(lambda: seen.append(("before", request.endpoint)))
    app.get("/", endpoint="index")(lambda: str(session.get("n")))

    client.get("/")

    assert seen == [("open", None, None), ("before", "index")]


def test_session_is_saved_after_the_after_request_functions(app, client):
    app.get("/")(lambda: str(session.get("n")))

    @app.after_request
    def write(response):
        session["n"] = 7
        return response

    client.get("/")

    assert client.get("/").text == "7"


# --- before


def test_first_answer_of_a_before_function_ends_the_round(app, client, trace):
    app.before_request(trace.note("1"))
    app.before_request(trace.note("2", ("stopped", 203)))
    app.before_request(trace.note("3"))
    app.after_request(trace.passing("after"))
    app.get("/")(trace.note("view", "view"))

    response = client.get("/")

    assert (response.text, response.status_code) == ("stopped", 203)
    assert trace == ["1", "2", "after"]


@pytest.mark.parametrize("value", ["", [], {}, b""])
def test_falsy_answer_of_a_before_function_is_an_answer(app, client, value):
    app.before_request(lambda: value)
    app.get("/")(lambda: "view")

    assert "view" not in client.get("/").text


@pytest.mark.parametrize(
    "hook",
    [
        "before_request",
        "after_request",
        "teardown_request",
        "teardown_appcontext",
        "context_processor",
        "url_value_preprocessor",
        "url_defaults",
    ],
)
def test_decorators_hand_the_function_back(app, hook):
    def function(*args):
        """Stand for any hook."""

    assert getattr(app, hook)(function) is function


# --- after


def test_after_function_may_replace_the_response(app, client):
    app.get("/")(lambda: "view")

    @app.after_request
    def replace(response):
        return Response(response.get_data(as_text=True) + " replaced", 202)

    response = client.get("/")

    assert (response.text, response.status_code) == ("view replaced", 202)


def test_after_this_request_belongs_to_one_request(app, client):
    def mark(response):
        response.headers["X-Mark"] = request.path
        return response

    @app.get("/marked")
    def marked():
        assert after_this_request(mark) is mark
        return ""

    app.get("/plain")(lambda: "")

    assert client.get("/marked").headers["X-Mark"] == "/marked"
    assert "X-Mark" not in client.get("/plain").headers


def test_after_this_request_in_a_before_function(app, client):
    @app.before_request
    def before():
        @after_this_request
        def mark(response):
            response.headers["X-Mark"] = "yes"
            return response

    assert client.get("/absent").headers["X-Mark"] == "yes"


def test_after_this_request_outside_a_request():
    with pytest.raises(RuntimeError, match="after_this_request"):
        after_this_request(lambda response: response)


def test_g_is_one_for_the_request_and_new_for_the_next(app, client):
    seen = []

    @app.before_request
    def before():
        seen.append("user" in g)
        g.user = "ada"

    @app.teardown_request
    def teardown(exc):
        seen.append(g.user)

    @app.teardown_appcontext
    def app_teardown(exc):
        seen.append(g.user)

    app.get("/")(lambda: g.user)

    assert client.get("/").text == "ada"
    assert client.get("/").text == "ada"
    assert seen == [False, "ada", "ada"] * 2


# --- errors on the way


@pytest.mark.parametrize("path", ["/error", "/absent", "/fine"])
def test_after_functions_run_on_whatever_answers(app, client, path):
    app.config["PROPAGATE_EXCEPTIONS"] = False

    @app.get("/error")
    def error():
        raise LookupError

    app.get("/fine")(lambda: "")

    @app.after_request
    def mark(response):
        response.headers["X-Status"] = str(response.status_code)
        return response

    response = client.get(path)

    assert response.headers["X-Status"] == str(response.status_code)
    assert response.status_code == {"/error": 500, "/absent": 404}.get(path, 200)


@pytest.mark.parametrize("place", ["before", "view", "after", "preprocessor"])
def test_error_anywhere_reaches_the_500_handler_once(app, client, place):
    app.config["PROPAGATE_EXCEPTIONS"] = False
    calls = []

    def fail(*args):
        calls.append("raised")
        raise LookupError(place)

    @app.errorhandler(500)
    def handle(exc):
        calls.append("handled")
        return f"sorry: {exc.original_exception}", 500

    app.get("/")(fail if place == "view" else lambda: "view")
    if place == "before":
        app.before_request(fail)
    if place == "after":
        app.after_request(fail)
    if place == "preprocessor":
        app.url_value_preprocessor(fail)

    response = client.get("/")

    assert (response.text, response.status_code) == (f"sorry: {place}", 500)
    # The after function is tried again on the answer of the handler, no more.
    assert calls == ["raised", "handled"] + ["raised"] * (place == "after")


@pytest.mark.parametrize("place", ["before", "view", "preprocessor"])
def test_error_before_the_answer_reaches_a_handler_of_its_class(app, client, place):
    def fail(*args):
        raise LookupError(place)

    app.register_error_handler(LookupError, lambda exc: f"handled {exc.args[0]}")
    app.get("/")(fail if place == "view" else lambda: "view")
    if place == "before":
        app.before_request(fail)
    if place == "preprocessor":
        app.url_value_preprocessor(fail)

    assert client.get("/").text == f"handled {place}"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_exit_is_never_an_answer_and_teardown_still_runs(app, client, trace, error):
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.register_error_handler(500, trace.note("500", "never"))
    app.register_error_handler(Exception, trace.note("Exception", "never"))
    app.teardown_request(lambda exc: trace.append(type(exc)))
    app.teardown_appcontext(lambda exc: trace.append(type(exc)))

    @app.get("/")
    def view():
        raise error

    with pytest.raises(error):
        client.get("/")

    assert trace == [error, error]


@pytest.mark.parametrize("ignored", [True, False])
def test_error_that_should_be_ignored_is_not_told_to_teardown(trace, ignored):
    class Site(Erlen):
        def should_ignore_error(self, error):
            return ignored and isinstance(error, LookupError)

    app = Site("site")
    app.config["TESTING"] = True
    app.teardown_request(lambda exc: trace.append(type(exc)))

    @app.get("/")
    def view():
        raise LookupError

    with pytest.raises(LookupError):
        app.test_client().get("/")

    assert trace == [type(None) if ignored else LookupError]


def test_generator_exit_of_a_view_tears_down(app, client, trace):
    app.teardown_request(lambda exc: trace.append(type(exc)))

    @app.get("/")
    def view():
        raise GeneratorExit

    with pytest.raises(GeneratorExit):
        client.get("/")

    assert trace == [GeneratorExit]


# --- blueprints


@pytest.fixture
def nested(app, trace):
    child = Blueprint("child", __name__, url_prefix="/child")
    parent = Blueprint("parent", __name__, url_prefix="/parent")
    other = Blueprint("other", __name__, url_prefix="/other")
    for scaffold, name in (
        # Registered in an order that differs from the one they run in.
        (other, "other"),
        (child, "child"),
        (parent, "parent"),
        (app, "app"),
    ):
        scaffold.url_value_preprocessor(trace.note(f"{name} preprocessor"))
        scaffold.before_request(trace.note(f"{name} before 1"))
        scaffold.before_request(trace.note(f"{name} before 2"))
        scaffold.after_request(trace.passing(f"{name} after 1"))
        scaffold.after_request(trace.passing(f"{name} after 2"))
        scaffold.teardown_request(trace.note(f"{name} teardown 1"))
        scaffold.teardown_request(trace.note(f"{name} teardown 2"))
        scaffold.get("/", endpoint="index")(trace.note(f"{name} view", ""))
    parent.register_blueprint(child)
    app.register_blueprint(parent)
    app.register_blueprint(other)
    return app


def expected_trace(names):
    down = list(names)
    up = down[::-1]
    return [
        *(f"{name} preprocessor" for name in down),
        *(f"{name} before {n}" for name in down for n in (1, 2)),
        f"{down[-1]} view",
        *(f"{name} after {n}" for name in up for n in (2, 1)),
        *(f"{name} teardown {n}" for name in up for n in (2, 1)),
    ]


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/", ["app"]),
        ("/other/", ["app", "other"]),
        ("/parent/", ["app", "parent"]),
        ("/parent/child/", ["app", "parent", "child"]),
    ],
)
def test_order_of_callbacks_in_nested_blueprints(nested, trace, path, names):
    assert nested.test_client().get(path).status_code == 200

    assert trace == expected_trace(names)


def test_callbacks_of_a_blueprint_do_not_run_where_no_rule_fits(nested, trace):
    nested.test_client().get("/parent/absent")

    assert {name.split()[0] for name in trace} == {"app"}


def test_app_wide_hooks_of_a_blueprint_run_everywhere(app, client, trace):
    blueprint = Blueprint("b", __name__)
    blueprint.before_app_request(trace.note("before"))
    blueprint.after_app_request(trace.passing("after"))
    blueprint.teardown_app_request(trace.note("teardown"))
    blueprint.app_url_value_preprocessor(trace.note("preprocessor"))
    app.register_blueprint(blueprint)

    client.get("/absent")

    assert trace == ["preprocessor", "before", "after", "teardown"]


# --- lists that are edited directly


def test_lists_of_callbacks_are_keyed_by_blueprint(app):
    blueprint = Blueprint("b", __name__)
    for scaffold in (app, blueprint):
        scaffold.before_request(str)
        scaffold.after_request(str)
        scaffold.teardown_request(str)
    app.register_blueprint(blueprint)

    assert app.before_request_funcs == {None: [str], "b": [str]}
    assert app.after_request_funcs == {None: [str], "b": [str]}
    assert app.teardown_request_funcs == {None: [str], "b": [str]}


@pytest.mark.parametrize(
    ("attribute", "name"),
    [
        ("before_request_funcs", "before"),
        ("after_request_funcs", "after"),
        ("teardown_request_funcs", "teardown"),
    ],
)
def test_lists_may_be_edited_even_after_the_first_request(
    app, client, trace, attribute, name
):
    app.get("/")(lambda: "")
    client.get("/")
    function = trace.passing(name) if name == "after" else trace.note(name)

    getattr(app, attribute).setdefault(None, []).append(function)
    client.get("/")
    assert trace == [name]

    getattr(app, attribute)[None].remove(function)
    client.get("/")
    assert trace == [name]


def test_after_function_may_be_added_within_a_request(app, client, trace):
    @app.get("/")
    def view():
        app.after_request_funcs.setdefault(None, []).append(trace.passing("added"))
        return ""

    client.get("/")

    assert trace == ["added"]


def test_view_functions_may_be_edited_after_the_first_request(app, client):
    app.get("/", endpoint="index")(lambda: "first")
    assert client.get("/").text == "first"

    app.view_functions["index"] = lambda: "second"

    assert client.get("/").text == "second"


# --- what users and extensions replace


def test_wsgi_app_can_be_wrapped(app, wsgi_client, trace):
    app.get("/")(lambda: "view")
    inner = app.wsgi_app

    def middleware(environ, start_response):
        trace.append(environ["PATH_INFO"])
        return inner(environ, start_response)

    app.wsgi_app = middleware

    assert wsgi_client.get("/").text == "view"
    assert trace == ["/"]


def test_call_of_the_class_can_be_wrapped(app, wsgi_client, trace, monkeypatch):
    app.get("/")(lambda: "view")
    inner = Erlen.__call__

    def call(self, environ, start_response):
        trace.append(self)
        return inner(self, environ, start_response)

    monkeypatch.setattr(Erlen, "__call__", call)

    assert wsgi_client.get("/").text == "view"
    assert trace == [app]


STEPS = [
    "wsgi_app",
    "request_context",
    "full_dispatch_request",
    "preprocess_request",
    "dispatch_request",
    "finalize_request",
    "make_response",
    "process_response",
    "create_url_adapter",
    "do_teardown_request",
    "do_teardown_appcontext",
]


@pytest.mark.parametrize("where", ["subclass", "instance"])
@pytest.mark.parametrize("step", STEPS)
def test_step_can_be_replaced(trace, step, where):
    def replace(inner):
        def call(*args, **kwargs):
            trace.append(step)
            return inner(*args, **kwargs)

        return call

    if where == "subclass":
        Site = type("Site", (Erlen,), {step: replace(getattr(Erlen, step))})
        app = Site("site")
    else:
        app = Erlen("site")
    app.get("/")(lambda: "view")
    client = app.test_client()
    if where == "instance":
        client.get("/")  # also when a request went before
        setattr(app, step, replace(getattr(app, step)))

    assert client.get("/").text == "view"
    assert set(trace) == {step}


ERROR_STEPS = [
    ("handle_user_exception", "/error", 500),
    ("handle_user_exception", "/absent", 404),
    ("handle_http_exception", "/absent", 404),
    ("handle_exception", "/error", 500),
    ("log_exception", "/error", 500),
    ("raise_routing_exception", "/absent", 404),
    ("trap_http_exception", "/absent", 404),
    ("make_default_options_response", "/options", 200),
]


@pytest.mark.parametrize("where", ["subclass", "instance"])
@pytest.mark.parametrize(("step", "path", "status"), ERROR_STEPS)
def test_step_of_an_error_can_be_replaced(trace, step, path, status, where):
    def replace(inner):
        def call(*args, **kwargs):
            trace.append(step)
            return inner(*args, **kwargs)

        return call

    if where == "subclass":
        Site = type("Site", (Erlen,), {step: replace(getattr(Erlen, step))})
        app = Site("site")
    else:
        app = Erlen("site")

    @app.get("/error")
    def error():
        raise LookupError

    app.get("/options")(lambda: "")
    client = app.test_client()
    if where == "instance":
        client.get(path)
        setattr(app, step, replace(getattr(app, step)))

    method = "OPTIONS" if path == "/options" else "GET"
    response = client.open(path, method=method)

    assert response.status_code == status
    assert trace == [step]


def test_dispatch_request_may_answer_by_itself(trace):
    class Site(Erlen):
        def dispatch_request(self):
            return f"dispatched {request.path}"

    assert Site("site").test_client().get("/x").text == "dispatched /x"


def test_process_response_may_add_a_header():
    class Site(Erlen):
        def process_response(self, response):
            response.headers["X-Site"] = "yes"
            return super().process_response(response)

    assert Site("site").test_client().get("/").headers["X-Site"] == "yes"


def test_ensure_sync_sees_each_function(trace):
    class Site(Erlen):
        def ensure_sync(self, func):
            trace.append(func)
            return super().ensure_sync(func)

    app = Site("site")
    before, teardown = trace.note("before"), trace.note("teardown")
    after = trace.passing("after")
    view, handler = trace.note("view", ""), trace.note("handler", "")
    app.before_request(before)
    app.after_request(after)
    app.teardown_request(teardown)
    app.teardown_appcontext(teardown)
    app.register_error_handler(404, handler)
    app.get("/")(view)
    client = app.test_client()

    client.get("/")
    client.get("/absent")

    functions = [entry for entry in trace if callable(entry)]
    assert {before, after, teardown, view, handler} <= set(functions)


def test_session_interface_can_be_replaced_at_run_time(app, client, trace):
    app.get("/")(lambda: str(session.get("n")))
    client.get("/")

    app.session_interface = TracedSessions(trace)
    client.get("/")

    assert trace[0] == "open session"


def test_session_of_the_context_may_be_assigned(app, client):
    class Managed(dict, SessionMixin):
        pass

    @app.before_request
    def replace():
        request_ctx._session = Managed(n="assigned")
        app.session_interface = Ignoring()

    class Ignoring(SecureCookieSessionInterface):
        def save_session(self, app, session, response):
            response.headers["X-Session"] = session["n"]

    app.get("/")(lambda: session["n"])

    response = client.get("/")

    assert response.text == "assigned"
    assert response.headers["X-Session"] == "assigned"


def test_steps_can_be_called_one_by_one(app, trace):
    app.before_request(trace.note("before"))
    app.after_request(trace.passing("after"))
    app.get("/")(lambda: "view")

    with app.test_request_context("/"):
        assert app.preprocess_request() is None
        value = app.dispatch_request()
        response = app.make_response(value)
        response = app.process_response(response)

    assert value == "view"
    assert response.get_data(as_text=True) == "view"
    assert trace == ["before", "after"]


def test_full_dispatch_request_can_be_called(app, trace):
    app.before_request(trace.note("before"))
    app.get("/")(lambda: "view")

    with app.test_request_context("/"):
        response = app.full_dispatch_request()

    assert isinstance(response, Response)
    assert response.get_data(as_text=True) == "view"
    assert trace == ["before"]


def test_preprocess_request_gives_what_a_before_function_gave(app):
    app.before_request(lambda: "stopped")

    with app.test_request_context("/"):
        assert app.preprocess_request() == "stopped"


def test_application_is_a_wsgi_callable(app):
    started = []
    app.get("/")(lambda: "view")
    environ = app.test_request_context("/").request.environ

    body = app(environ, lambda status, headers: started.append((status, headers)))

    assert b"".join(body) == b"view"
    assert started[0][0] == "200 OK"
    assert ("Content-Length", "4") in started[0][1]


@pytest.mark.parametrize("path", ["/other", "/shop/none", "/nothing"])
def test_a_hook_may_put_another_rule(app, client, trace, path):
    shop = Blueprint("shop", __name__, url_prefix="/shop")
    shop.after_request(trace.passing("after in shop"))
    shop.add_url_rule("/<x>", "item", lambda x: f"item {x}")
    app.add_url_rule("/other", "other", lambda: "other")
    app.register_blueprint(shop)
    rules = {rule.endpoint: rule for rule in app.url_map.iter_rules()}

    @app.before_request
    def put():
        request.url_rule = rules["shop.item"]
        request.view_args = {"x": "seven"}
        request.routing_exception = None

    for _ in range(2):
        assert client.get(path).text == "item seven"
    assert trace == ["after in shop"] * 2
