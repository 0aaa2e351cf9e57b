from __future__ import annotations

import logging
from collections import defaultdict

import pytest
from werkzeug.exceptions import BadRequest
from werkzeug.exceptions import BadRequestKeyError
from werkzeug.exceptions import Forbidden
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import NotFound
from werkzeug.routing import RequestRedirect

from erlen import Blueprint
from erlen import Erlen
from erlen import Response
from erlen import _serving
from erlen import _state
from erlen import after_this_request
from erlen import request
from erlen import session
from erlen import signals


@pytest.fixture
def plans(monkeypatch):
    """Note the endpoint of each plan that is made."""
    made = []
    make = _serving.Serving._make_plan

    def noted(self, endpoint):
        made.append(endpoint)
        return make(self, endpoint)

    monkeypatch.setattr(_serving.Serving, "_make_plan", noted)
    return made


@pytest.fixture
def site(app):
    app.add_url_rule("/", "index", lambda: "index")
    app.add_url_rule("/other", "other", lambda: "other")
    return app


# Plans


def test_each_endpoint_has_its_plan_made_once(site, client, plans):
    for _ in range(3):
        for path in ("/", "/other", "/absent", "/static/absent"):
            client.get(path)

    assert sorted(plans, key=str) == [None, "index", "other", "static"]


def test_a_plan_is_made_of_the_functions_as_they_are_called(app):
    def note(name):
        return lambda *args: name

    parent, child = Blueprint("parent", __name__), Blueprint("child", __name__)
    for scaffold, name in ((app, "app"), (parent, "parent"), (child, "child")):
        for number in (1, 2):
            scaffold.url_value_preprocessor(note(f"{name} pre {number}"))
            scaffold.before_request(note(f"{name} before {number}"))
            scaffold.after_request(note(f"{name} after {number}"))
            scaffold.teardown_request(note(f"{name} teardown {number}"))
    child.add_url_rule("/", "index", note("view"))
    parent.register_blueprint(child)
    app.register_blueprint(parent)

    plan = app._make_plan("parent.child.index")

    down = [f"{name} {{}} {n}" for name in ("app", "parent", "child") for n in (1, 2)]
    for step, order in (
        ("preprocessors", [line.format("pre") for line in down]),
        ("before", [line.format("before") for line in down]),
        ("after", [line.format("after") for line in down[::-1]]),
        ("teardown", [line.format("teardown") for line in down[::-1]]),
    ):
        assert [function() for function in getattr(plan, step)] == order
    assert plan.view() == "view"
    assert not plan.quiet
    assert app._make_plan(None).view is None


EDITS = {
    "append": lambda app, log: app.before_request_funcs[None].append(log),
    "item": lambda app, log: app.before_request_funcs.__setitem__(None, [log]),
    "setdefault": lambda app, log: app.before_request_funcs.setdefault(None, [log]),
    "|=": lambda app, log: app.before_request_funcs.__ior__({None: [log]}),
    "table": lambda app, log: setattr(app, "before_request_funcs", {None: [log]}),
    "default table": lambda app, log: setattr(
        app, "before_request_funcs", defaultdict(list, {None: [log]})
    ),
    "after": lambda app, log: app.after_request_funcs[None].append(log),
    "after table": lambda app, log: setattr(app, "after_request_funcs", {None: [log]}),
    "teardown": lambda app, log: app.teardown_request_funcs[None].append(log),
    "teardown table": lambda app, log: setattr(
        app, "teardown_request_funcs", {None: [log]}
    ),
    "app teardown": lambda app, log: app.teardown_appcontext_funcs.append(log),
    "app teardown list": lambda app, log: setattr(
        app, "teardown_appcontext_funcs", [log]
    ),
    "preprocessor": lambda app, log: app.url_value_preprocessors[None].append(log),
    "preprocessor table": lambda app, log: setattr(
        app, "url_value_preprocessors", {None: [log]}
    ),
    "view": lambda app, log: app.view_functions.__setitem__("index", log),
    "view table": lambda app, log: setattr(app, "view_functions", {"index": log}),
    "views": lambda app, log: app.view_functions.update(index=log),
    "step": lambda app, log: setattr(
        app, "do_teardown_appcontext", lambda exc=None: log(exc)
    ),
    "request step": lambda app, log: setattr(
        app, "do_teardown_request", lambda exc=None: log(exc)
    ),
    "ensure_sync": lambda app, log: setattr(app, "ensure_sync", lambda f: log),
}

UNDO = {
    "append": lambda app: app.before_request_funcs[None].clear(),
    "item": lambda app: app.before_request_funcs.pop(None),
    "setdefault": lambda app: app.before_request_funcs.clear(),
    "|=": lambda app: app.before_request_funcs.popitem(),
    "table": lambda app: app.before_request_funcs.__delitem__(None),
    "default table": lambda app: setattr(app, "before_request_funcs", {}),
    "after": lambda app: app.after_request_funcs[None].pop(),
    "after table": lambda app: app.after_request_funcs.clear(),
    "teardown": lambda app: app.teardown_request_funcs[None].__delitem__(0),
    "teardown table": lambda app: setattr(app, "teardown_request_funcs", {}),
    "app teardown": lambda app: app.teardown_appcontext_funcs.pop(),
    "app teardown list": lambda app: setattr(app, "teardown_appcontext_funcs", []),
    "preprocessor": lambda app: app.url_value_preprocessors.update({None: []}),
    "preprocessor table": lambda app: setattr(app, "url_value_preprocessors", {}),
    "view": lambda app: app.view_functions.update(index=lambda: "index"),
    "view table": lambda app: app.view_functions.update(index=lambda: "index"),
    "views": lambda app: app.view_functions.update(index=lambda: "index"),
    "step": lambda app: delattr(app, "do_teardown_appcontext"),
    "request step": lambda app: delattr(app, "do_teardown_request"),
    "ensure_sync": lambda app: delattr(app, "ensure_sync"),
}


@pytest.mark.parametrize("name", EDITS)
def test_every_edit_holds_for_the_next_request(site, client, name):
    def note(*args):
        called.append(name)
        answers = args and isinstance(args[0], Response)
        return args[0] if answers else "noted" if "view" in name else None

    called = []
    client.get("/")

    EDITS[name](site, note)
    if name == "ensure_sync":
        with pytest.raises(TypeError, match="returned None"):
            client.get("/")
    else:
        assert client.get("/").text == ("noted" if name.startswith("view") else "index")
    assert called == [name]

    UNDO[name](site)
    assert client.get("/").text == "index"
    assert called == [name]


def inside(app, log):
    """Edit all that a request has still to come to."""
    app.before_request_funcs[None].append(lambda: log.append("before"))
    app.view_functions["index"] = lambda: "replaced"
    app.after_request_funcs[None].append(lambda r: log.append("after") or r)
    app.teardown_request_funcs[None].append(lambda exc: log.append("teardown"))
    app.teardown_appcontext_funcs.append(lambda exc: log.append("app teardown"))


@pytest.mark.parametrize("where", ["preprocessor", "before", "view", "after", "signal"])
def test_an_edit_inside_a_request_holds_from_the_next_step_on(site, client, where):
    def edit(*args):
        if not log:
            log.append(where)
            inside(site, log)
        return args[0] if where == "after" else None

    log = []
    if where == "preprocessor":
        site.url_value_preprocessor(edit)
    elif where == "before":
        site.before_request(edit)
    elif where == "view":
        site.view_functions["index"] = lambda: edit() or "index"
    elif where == "after":
        site.after_request(edit)

    with signals.request_started.connected_to(
        lambda sender, **extra: where == "signal" and edit()
    ):
        first = client.get("/").text
        seen, log[:] = log[:], ["next"]
        second = client.get("/").text

    steps = ["before", "after", "teardown", "app teardown"]
    first_step = {"signal": 0}.get(where, 2 if where == "after" else 1)
    assert seen == [where, *steps[first_step:]]
    assert first == (
        "replaced" if where in {"signal", "preprocessor", "before"} else "index"
    )
    assert (second, log) == ("replaced", ["next", *steps])


def test_a_plan_that_another_thread_made_stale_meanwhile_is_not_kept(plans):
    class Busy(Erlen):
        def ensure_sync(self, func):
            if self.busy:  # as another thread would, between two looks at a table
                self.busy = False
                self.before_request_funcs[None].append(lambda: "changed")
            return func

    app = Busy("busy")
    app.busy = False
    app.add_url_rule("/", "index", lambda: "index")
    app.after_request(lambda response: response)
    client = app.test_client()
    app.busy = True

    texts = [client.get("/").text for _ in range(3)]

    assert texts == ["changed"] * 3
    assert plans == ["index"] * 2 + ["index"] * (len(plans) - 2)
    assert len(plans) <= 4


@pytest.mark.parametrize("step", ["do_teardown_request", "do_teardown_appcontext"])
@pytest.mark.parametrize("patched", ["subclass", "Erlen"])
def test_a_replaced_end_is_called_though_nobody_is_to_be_torn_down(
    monkeypatch, step, patched
):
    def end(self, exc=None):
        called.append(step)

    called = []
    if patched == "Erlen":
        monkeypatch.setattr(Erlen, step, end)
        app = Erlen("site")
    else:
        app = type("Site", (Erlen,), {step: end})("site")

    app.test_client().get("/")

    assert called == [step]


@pytest.mark.parametrize(
    ("change", "binds"),
    [
        (lambda app: None, False),
        (lambda app: setattr(app.url_map, "host_matching", True), True),
        (lambda app: setattr(app, "subdomain_matching", True), True),
        (lambda app: setattr(app, "create_url_adapter", lambda request: None), True),
        (lambda app: app.add_url_rule("/a", "a", redirect_to="/"), False),
        (lambda app: app.add_url_rule("/a", "a", redirect_to=lambda m: "/"), True),
    ],
)
def test_who_needs_an_adapter_for_each_request(site, change, binds):
    change(site)

    assert site._binds_each_request is binds


# Dispatch


def test_a_rule_without_a_view_names_the_cure(app, client):
    app.add_url_rule("/half", "half")

    with pytest.raises(KeyError) as caught:
        client.get("/half")

    for words in ("'half' has no view function", "'/half'", "@app.endpoint(...)"):
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("debug", "method", "explained"),
    [
        (True, "POST", True),
        (True, "PUT", True),
        (True, "GET", False),
        (True, "HEAD", False),
        (False, "POST", False),
    ],
)
@pytest.mark.parametrize("code", [301, 308])
def test_a_form_lost_by_a_redirect_is_explained(app, debug, method, explained, code):
    class Redirect(RequestRedirect):
        pass

    Redirect.code = code
    app.debug = debug

    with app.test_request_context("/x", method=method):
        request.routing_exception = Redirect("/x/")
        with pytest.raises((AssertionError, Redirect)) as caught:
            app.raise_routing_exception(request)

    expected = AssertionError if explained and code == 301 else Redirect
    assert isinstance(caught.value, expected)


@pytest.mark.parametrize("known", [False, True])
def test_options_are_answered(site, client, known):
    site.add_url_rule("/", "more", lambda: "", methods=["PUT"])
    site.add_url_rule("/own", "own", lambda: "own", methods=["OPTIONS"])
    if known:
        client.get("/")

    allowed = client.options("/").headers["Allow"].split(", ")

    assert sorted(allowed) == ["GET", "HEAD", "OPTIONS", "PUT"]
    assert client.options("/own").text == "own"


def test_what_a_before_function_returns_is_the_answer(site, client):
    site.before_request(lambda: None)
    site.before_request(lambda: "early")
    site.before_request(lambda: pytest.fail("is not called"))

    assert client.get("/").text == "early"


def test_steps_outside_of_a_request_say_so(app):
    app.config["PROPAGATE_EXCEPTIONS"] = False

    for name, args in (
        ("handle_user_exception", [LookupError()]),
        ("handle_http_exception", [NotFound()]),
        ("handle_exception", [LookupError()]),
        ("log_exception", [(None, None, None)]),
        ("do_teardown_request", []),
    ):
        with pytest.raises(RuntimeError, match="outside of request context"):
            getattr(app, name)(*args)


# Handlers of errors


class SpecialError(LookupError):
    pass


class Gone(Forbidden):
    """A 403 of its own."""


@pytest.mark.parametrize(
    ("registered", "error", "expected"),
    [
        ([], SpecialError, None),
        ([("app", LookupError)], SpecialError, "app LookupError"),
        (
            [("app", LookupError), ("app", SpecialError)],
            SpecialError,
            "app SpecialError",
        ),
        ([("app", Exception)], SpecialError, "app Exception"),
        ([("app", KeyError)], SpecialError, None),
        ([("app", SpecialError), ("bp", LookupError)], SpecialError, "bp LookupError"),
        (
            [("app", SpecialError), ("parent", Exception)],
            SpecialError,
            "parent Exception",
        ),
        ([("parent", SpecialError), ("bp", Exception)], SpecialError, "bp Exception"),
        ([("other", SpecialError)], SpecialError, None),
        ([("app", 403)], Gone, "app 403"),
        ([("app", 403), ("app", Gone)], Gone, "app Gone"),
        ([("app", 403), ("bp", HTTPException)], Gone, "app 403"),
        ([("app", HTTPException), ("bp", Exception)], Gone, "bp Exception"),
        ([("app", 403), ("bp", 403)], Gone, "bp 403"),
        ([("app", 404)], Gone, None),
        ([("app", HTTPException)], SpecialError, None),
    ],
)
def test_which_handler_is_found(app, registered, error, expected):
    scaffolds = {"app": app}
    for name in ("bp", "parent", "other"):
        scaffolds[name] = Blueprint(name, __name__)
    for name, wanted in registered:
        found = f"{name} {getattr(wanted, '__name__', wanted)}"
        scaffolds[name].register_error_handler(wanted, lambda e, found=found: found)
    scaffolds["parent"].register_blueprint(scaffolds["bp"])
    app.register_blueprint(scaffolds["parent"])
    app.register_blueprint(scaffolds["other"])

    handler = app._find_error_handler(error(), ["parent.bp", "parent"])

    assert (handler and handler(None)) == expected


@pytest.mark.parametrize(
    ("config", "debug", "error", "trapped"),
    [
        ({}, False, NotFound, False),
        ({}, False, BadRequestKeyError, False),
        ({}, True, BadRequestKeyError, True),
        ({}, True, BadRequest, False),
        ({"TRAP_HTTP_EXCEPTIONS": True}, False, NotFound, True),
        ({"TRAP_BAD_REQUEST_ERRORS": True}, False, BadRequest, True),
        ({"TRAP_BAD_REQUEST_ERRORS": True}, False, NotFound, False),
        ({"TRAP_BAD_REQUEST_ERRORS": False}, True, BadRequestKeyError, False),
    ],
)
def test_which_http_errors_go_on(app, config, debug, error, trapped):
    app.config.update(config)
    app.debug = debug

    assert app.trap_http_exception(error()) is trapped


@pytest.mark.parametrize(
    ("config", "debug", "shown"),
    [
        ({}, False, False),
        ({"TRAP_BAD_REQUEST_ERRORS": True}, False, True),
        ({"TRAP_BAD_REQUEST_ERRORS": False}, True, True),
    ],
)
def test_a_missing_key_is_named_while_debugging(app, config, debug, shown):
    app.config.update(config)
    app.debug = debug
    error = BadRequestKeyError("the key")
    app.register_error_handler(BadRequestKeyError, lambda error: "")

    with app.test_request_context():
        app.handle_user_exception(error)

    assert error.show_exception is shown


@pytest.mark.parametrize(
    "error",
    [HTTPException("without a code"), RequestRedirect("/x"), NotFound()],
    ids=repr,
)
def test_which_http_errors_have_handlers(app, error):
    app.register_error_handler(HTTPException, lambda error: "handled")

    with app.test_request_context():
        answer = app.handle_http_exception(error)

    assert answer == ("handled" if type(error) is NotFound else error)


def test_an_http_error_without_a_handler_is_its_own_page(app):
    error = NotFound()

    with app.test_request_context():
        assert app.handle_http_exception(error) is error


# Errors that nobody handles


@pytest.mark.parametrize(
    ("config", "debug", "raised"),
    [
        ({"TESTING": False}, False, False),
        ({"TESTING": True}, False, True),
        ({"TESTING": False}, True, True),
        ({"TESTING": True, "PROPAGATE_EXCEPTIONS": False}, True, False),
        ({"TESTING": False, "PROPAGATE_EXCEPTIONS": True}, False, True),
    ],
)
@pytest.mark.parametrize("handled", [False, True])
def test_where_unhandled_errors_go(app, caplog, config, debug, raised, handled):
    app.config.update(config)
    app.debug = debug
    error, sent = SpecialError("mine"), []
    if handled:
        app.register_error_handler(500, lambda e: f"handled {e.original_exception}")

    def answer():
        try:
            raise error
        except SpecialError as exc:
            return app.handle_exception(exc)

    with (
        signals.got_request_exception.connected_to(
            lambda sender, exception, **extra: sent.append(exception)
        ),
        app.test_request_context("/x"),
    ):
        if raised:
            with pytest.raises(SpecialError):
                answer()
        else:
            response = answer()
            assert response.status_code == (200 if handled else 500)
            assert (response.data == b"handled mine") is handled

    assert sent == [error]
    logged = [record.getMessage() for record in caplog.records]
    assert logged == ([] if raised else ["Exception on /x [GET]"])


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("/caf\xe9", "Exception on /caf\xe9 [GET]"),
        ("/a%0ab", r"Exception on '/a\nb' ['GET']"),
        ("/%1b[31m", r"Exception on '/\x1b[31m' ['GET']"),
    ],
)
def test_a_client_writes_no_line_of_its_own_into_the_log(app, caplog, path, logged):
    with app.test_request_context(path):
        app.log_exception((None, None, None))

    assert [record.getMessage() for record in caplog.records] == [logged]


def test_an_error_page_is_sent_though_an_after_function_fails(app, client, caplog):
    @app.after_request
    def fail(response):
        raise SpecialError

    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.add_url_rule("/", "index", lambda: "index")

    assert client.get("/").status_code == 500
    assert [record.getMessage() for record in caplog.records] == [
        "Exception on / [GET]",
        "Request finalizing failed with an error while handling an error",
    ]
    with app.test_request_context(), pytest.raises(SpecialError):
        app.finalize_request("", from_error_handler=False)


def test_no_error_is_kept_from_teardown_functions_by_default(app):
    assert app.should_ignore_error(LookupError()) is False


# The way out


@pytest.mark.parametrize("hook", ["request_started", "request_finished"])
def test_signals_of_a_request_are_sent_with_its_application(site, client, hook):
    sent = []
    with getattr(signals, hook).connected_to(
        lambda sender, **extra: sent.append((sender, sorted(extra)))
    ):
        client.get("/")

    assert sent == [(site, ["response"] if hook == "request_finished" else [])]


class Interface(type(Erlen.session_interface)):
    """Note what is done with sessions."""

    opens_lazily = True

    def __init__(self, refresh=False):
        self.refresh = refresh
        self.calls = []

    def needs_refresh(self, app, request):
        self.calls.append("needs refresh")
        return self.refresh

    def open_session(self, app, request):
        self.calls.append("open")
        return super().open_session(app, request)

    def save_session(self, app, session, response):
        self.calls.append("save")


@pytest.mark.parametrize(
    ("path", "cookie", "refresh", "key", "calls"),
    [
        ("/", False, True, True, []),
        ("/", True, False, True, ["needs refresh"]),
        ("/", True, True, True, ["needs refresh", "open", "save"]),
        ("/", True, True, False, ["needs refresh", "open"]),
        ("/read", False, False, True, ["open", "save"]),
        ("/read", True, True, True, ["open", "save"]),
        ("/read", False, False, False, ["open"]),
    ],
)
def test_a_session_is_saved_where_it_was_read_or_is_due(
    site, client, path, cookie, refresh, key, calls
):
    site.add_url_rule("/read", "read", lambda: f"{session.get('a')}")
    site.session_interface = interface = Interface(refresh)
    if not key:
        site.secret_key = None

    if cookie:
        client.set_cookie("a", "1")
    client.get(path)

    assert interface.calls == calls


@pytest.mark.parametrize("level", ["teardown_request", "teardown_appcontext"])
@pytest.mark.parametrize("failing", [(), (1,), (0, 2), (0, 1, 2, 3)])
def test_every_teardown_function_runs_whoever_fails(app, level, failing):
    def note(number):
        def function(exc):
            ran.append((number, exc))
            if number in failing:
                raise SpecialError(number)

        return function

    ran, error = [], LookupError()
    for number in (0, 1, 2):
        getattr(app, level)(note(number))
    signal = {
        "teardown_request": signals.request_tearing_down,
        "teardown_appcontext": signals.appcontext_tearing_down,
    }[level]
    ctx = app.test_request_context()
    ctx.push()

    with signal.connected_to(lambda sender, exc, **extra: note(3)(exc)):
        if not failing:
            ctx.pop(error)
        elif len(failing) == 1:
            with pytest.raises(SpecialError, match="1"):
                ctx.pop(error)
        else:
            with pytest.raises(ExceptionGroup, match="several teardown") as caught:
                ctx.pop(error)
            numbers = [exc.args[0] for exc in caught.value.exceptions]
            assert numbers == sorted(failing, key=[2, 1, 0, 3].index)

    assert ran == [(number, error) for number in (2, 1, 0, 3)]
    assert _state.current.get() == (None, None)


@pytest.mark.parametrize("errors", [(KeyboardInterrupt,), (SpecialError, SystemExit)])
def test_what_is_no_exception_comes_through_a_teardown_too(app, errors):
    for error in errors:

        @app.teardown_request
        def fail(exc, error=error):
            raise error

    expected = errors[0] if len(errors) == 1 else BaseExceptionGroup
    with pytest.raises(expected), app.test_request_context():
        pass
    assert _state.current.get() == (None, None)


@pytest.mark.parametrize("failing", ["request", "appcontext"])
def test_both_levels_are_torn_down_whichever_fails(app, failing):
    def note(level):
        def function(exc):
            ran.append(level)
            if level == failing:
                raise SpecialError

        return function

    ran = []
    for level in ("request", "appcontext"):
        getattr(app, f"teardown_{level}")(note(level))

    with pytest.raises(SpecialError), app.test_request_context():
        pass

    assert ran == ["request", "appcontext"]
    assert _state.current.get() == (None, None)


@pytest.mark.parametrize("step", ["do_teardown_request", "do_teardown_appcontext"])
def test_a_teardown_by_hand_gives_the_error_being_handled(app, step):
    seen, error = [], LookupError()
    app.teardown_request(seen.append)
    app.teardown_appcontext(seen.append)

    with app.test_request_context():
        getattr(app, step)()
        try:
            raise error
        except LookupError:
            getattr(app, step)()
        assert seen == [None, error]


def test_logs_go_to_the_applications_logger(app, caplog):
    with app.test_request_context("/x"):
        app.log_exception((None, None, None))

    [record] = caplog.records
    assert (record.name, record.levelno) == (app.name, logging.ERROR)


def test_functions_of_one_request_run_before_those_of_all(site, client):
    @site.after_request
    def after(response):
        response.headers.add("X-By", "all")
        return response

    @site.before_request
    def before():
        @after_this_request
        def once(response):
            response.headers.add("X-By", "one")
            return response

    assert client.get("/").headers.getlist("X-By") == ["one", "all"]


@pytest.mark.parametrize(
    ("path", "blueprints"),
    [
        ("/owned/absent", ["parent.owner", "parent"]),
        ("/absent", []),
        ("/owned/", ["parent.owner", "parent"]),
        ("/free/", ["free"]),
        ("/owned/free/", ["free"]),
    ],
)
def test_whose_handlers_see_an_error(app, path, blueprints):
    parent = Blueprint("parent", __name__)
    owner = Blueprint("owner", __name__, url_prefix="/owned", owns_prefix=True)
    free = Blueprint("free", __name__)
    owner.add_url_rule("/", "index", lambda: "")
    free.add_url_rule("/free/", "index", lambda: "")
    free.add_url_rule("/owned/free/", "more", lambda: "")
    parent.register_blueprint(owner)
    app.register_blueprint(parent)
    app.register_blueprint(free)

    with app.test_request_context(path):
        assert app._error_blueprints() == blueprints
