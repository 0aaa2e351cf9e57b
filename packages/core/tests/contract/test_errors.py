"""Error handlers: which one is chosen, what it gets, what is never handled."""

from __future__ import annotations

import pytest
from werkzeug.exceptions import Aborter
from werkzeug.exceptions import BadRequest
from werkzeug.exceptions import BadRequestKeyError
from werkzeug.exceptions import Forbidden
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import InternalServerError
from werkzeug.exceptions import NotFound
from werkzeug.routing import RequestRedirect

import erlen
from erlen import Blueprint
from erlen import Erlen
from erlen import Response
from erlen import abort
from erlen import request


class ShopError(Exception):
    pass


class SoldOutError(ShopError):
    pass


class Teapot(HTTPException):
    code = 418
    description = "short and stout"


@pytest.fixture
def app(app):
    """An application that answers errors instead of passing them on."""
    app.config["PROPAGATE_EXCEPTIONS"] = False
    return app


def failing(error):
    def view():
        raise error

    return view


def handler(name):
    return lambda exc: name


# --- without handlers


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (NotFound(), 404, "Not Found"),
        (Forbidden("keep out"), 403, "keep out"),
        (Teapot(), 418, "short and stout"),
        (ShopError("secret"), 500, "Internal Server Error"),
        (InternalServerError(), 500, "Internal Server Error"),
    ],
)
def test_answer_without_a_handler(app, client, error, code, words):
    app.get("/")(failing(error))

    response = client.get("/")

    assert response.status_code == code
    assert response.mimetype == "text/html"
    assert words in response.text
    assert "secret" not in response.text


# --- which handler


def test_handler_by_code_and_by_class(app, client):
    @app.errorhandler(404)
    def absent(exc):
        return f"{type(exc).__name__} {request.path}", 404

    @app.errorhandler(ShopError)
    def shop(exc):
        return f"shop: {exc}", 409

    app.get("/")(failing(SoldOutError("shoes")))

    assert client.get("/absent").text == "NotFound /absent"
    response = client.get("/")
    assert (response.text, response.status_code) == ("shop: shoes", 409)


def test_decorator_hands_the_function_back(app):
    function = handler("x")

    assert app.errorhandler(404)(function) is function


def test_answer_of_a_handler_is_200_unless_it_says_otherwise(app, client):
    app.register_error_handler(404, handler("fine"))

    assert client.get("/absent").status_code == 200


@pytest.mark.parametrize(
    ("registered", "chosen"),
    [
        ([Exception, ShopError, SoldOutError], "SoldOutError"),
        ([SoldOutError, ShopError, Exception], "SoldOutError"),
        ([Exception, ShopError], "ShopError"),
        ([ShopError, Exception], "ShopError"),
        ([Exception], "Exception"),
    ],
)
def test_own_class_order_of_the_error_decides(app, client, registered, chosen):
    for cls in registered:
        app.register_error_handler(cls, handler(cls.__name__))
    app.get("/")(failing(SoldOutError()))

    assert client.get("/").text == chosen


@pytest.mark.parametrize(
    ("registered", "chosen"),
    [
        ([404, HTTPException, Exception], "404"),
        ([Exception, HTTPException, 404], "404"),
        ([Exception, HTTPException], "HTTPException"),
        ([Exception], "Exception"),
        ([500, Exception], "Exception"),
    ],
)
def test_code_beats_class_for_http_errors(app, client, registered, chosen):
    for key in registered:
        name = key.__name__ if isinstance(key, type) else str(key)
        app.register_error_handler(key, handler(name))

    assert client.get("/absent").text == chosen


LEVELS = ["blueprint code", "application code", "blueprint class", "application class"]


@pytest.mark.parametrize("first", range(len(LEVELS)))
def test_blueprint_code_then_application_code_then_classes(app, client, first):
    blueprint = Blueprint("b", __name__)
    blueprint.get("/")(failing(NotFound()))
    for level in reversed(LEVELS[first:]):
        where, what = level.split()
        target = blueprint if where == "blueprint" else app
        key = 404 if what == "code" else HTTPException
        target.register_error_handler(key, handler(level))
    app.register_blueprint(blueprint)

    assert client.get("/").text == LEVELS[first]


@pytest.mark.parametrize(
    ("blueprint_key", "app_key", "chosen"),
    [
        (Exception, ShopError, "blueprint"),
        (ShopError, SoldOutError, "blueprint"),
        (NotFound, ShopError, "application"),
    ],
)
def test_blueprint_beats_application_even_with_a_wider_class(
    app, client, blueprint_key, app_key, chosen
):
    blueprint = Blueprint("b", __name__)
    blueprint.get("/")(failing(SoldOutError()))
    blueprint.register_error_handler(blueprint_key, handler("blueprint"))
    app.register_error_handler(app_key, handler("application"))
    app.register_blueprint(blueprint)

    assert client.get("/").text == chosen


def test_nested_blueprints_are_asked_from_the_inside(app, client):
    parent, child = Blueprint("parent", __name__), Blueprint("child", __name__)
    for path, error in (("/both", ShopError()), ("/outer", SoldOutError())):
        child.add_url_rule(path, path[1:], failing(error))
    parent.register_error_handler(ShopError, handler("parent"))
    parent.register_error_handler(404, handler("never: routing is global"))
    child.register_error_handler(LookupError, handler("child"))
    child.add_url_rule("/inner", "inner", failing(LookupError()))
    app.register_error_handler(Exception, handler("app"))
    parent.register_blueprint(child)
    app.register_blueprint(parent)

    assert client.get("/both").text == "parent"
    assert client.get("/outer").text == "parent"
    assert client.get("/inner").text == "child"


def test_handlers_of_a_blueprint_do_not_see_what_others_raise(app, client):
    blueprint = Blueprint("b", __name__, url_prefix="/b")
    blueprint.register_error_handler(404, handler("blueprint"))
    blueprint.get("/")(failing(NotFound()))
    app.register_blueprint(blueprint)
    app.get("/")(failing(NotFound()))

    assert client.get("/b/").text == "blueprint"
    assert client.get("/").status_code == 404
    assert client.get("/b/absent").status_code == 404


def test_app_errorhandler_of_a_blueprint_sees_everything(app, client):
    blueprint = Blueprint("b", __name__)
    blueprint.app_errorhandler(404)(handler("everywhere"))
    app.register_blueprint(blueprint)

    assert client.get("/absent").text == "everywhere"


def test_500_handler_of_a_blueprint_sees_the_errors_of_its_views(app, client):
    blueprint = Blueprint("b", __name__, url_prefix="/b")
    blueprint.get("/")(failing(ShopError("x")))
    blueprint.register_error_handler(
        500, lambda exc: f"blueprint {exc.original_exception}"
    )
    app.register_error_handler(500, handler("application"))
    app.get("/")(failing(ShopError()))
    app.register_blueprint(blueprint)

    assert client.get("/b/").text == "blueprint x"
    assert client.get("/").text == "application"


@pytest.mark.parametrize("key", [Teapot, HTTPException, Exception])
def test_handler_of_an_http_error_of_one_s_own(app, client, key):
    app.register_error_handler(key, lambda exc: f"{exc.code} {exc.description}")
    app.get("/")(failing(Teapot()))

    assert client.get("/").text == "418 short and stout"


def test_error_of_a_before_function_reaches_the_handlers_of_the_blueprint(app, client):
    blueprint = Blueprint("b", __name__)
    blueprint.get("/")(lambda: "view")
    blueprint.register_error_handler(ShopError, handler("blueprint"))
    app.before_request(failing(ShopError()))
    app.register_blueprint(blueprint)

    assert client.get("/").text == "blueprint"


def test_last_handler_registered_wins(app, client):
    app.register_error_handler(404, handler("first"))
    app.register_error_handler(NotFound, handler("second"))

    assert client.get("/absent").text == "second"


@pytest.mark.parametrize(
    ("key", "error"),
    [
        (999, ValueError),
        ("404", (TypeError, ValueError)),
        (NotFound(), TypeError),
        (ShopError(), TypeError),
        (int, (TypeError, ValueError)),
        (object(), (TypeError, ValueError)),
    ],
)
def test_what_cannot_be_a_key(app, key, error):
    with pytest.raises(error):
        app.register_error_handler(key, handler("x"))


def test_error_handler_spec_holds_them_by_blueprint_and_code(app):
    blueprint = Blueprint("b", __name__)
    function = handler("x")
    blueprint.register_error_handler(404, function)
    app.register_error_handler(ShopError, function)
    app.register_blueprint(blueprint)

    assert app.error_handler_spec["b"][404][NotFound] is function
    assert app.error_handler_spec[None][None][ShopError] is function


# --- what a handler gets


def test_500_handler_gets_the_original_error(app, client):
    original = ShopError("x")
    seen = []

    @app.errorhandler(500)
    def handle(exc):
        seen.append(exc)
        return "sorry", 500

    app.get("/")(failing(original))

    assert client.get("/").text == "sorry"
    assert type(seen[0]) is InternalServerError
    assert seen[0].original_exception is original


def test_500_handler_gets_a_raised_internal_server_error_as_it_is(app, client):
    raised = InternalServerError("by hand")
    seen = []

    @app.errorhandler(InternalServerError)
    def handle(exc):
        seen.append(exc)
        return "sorry", 500

    app.get("/")(failing(raised))
    client.get("/")

    assert seen == [raised]
    assert seen[0].original_exception is None


def test_abort_500_reaches_the_500_handler_without_original(app, client):
    app.register_error_handler(500, lambda exc: repr(exc.original_exception))
    app.get("/")(lambda: abort(500))

    assert client.get("/").text == "None"


def test_handler_of_exception_gets_http_errors_unwrapped(app, client):
    seen = []

    @app.errorhandler(Exception)
    def handle(exc):
        seen.append(type(exc))
        return "any", 500

    app.get("/")(failing(ShopError()))
    client.get("/")
    client.get("/absent")
    client.post("/")

    assert [cls.__name__ for cls in seen] == [
        "ShopError",
        "NotFound",
        "MethodNotAllowed",
    ]


def test_handler_of_http_exception_does_not_see_other_errors(app, client):
    app.register_error_handler(HTTPException, handler("http"))
    app.get("/")(failing(ShopError()))

    assert client.get("/absent").text == "http"
    # An unhandled error becomes an InternalServerError, which is one.
    assert client.get("/").text == "http"


@pytest.mark.parametrize("error", [ShopError, NotFound])
def test_handled_error_leaves_no_trace_for_teardown(app, client, error):
    seen = []
    app.teardown_request(seen.append)
    app.teardown_appcontext(seen.append)
    app.register_error_handler(error, handler("handled"))
    app.get("/")(failing(error()))

    client.get("/")

    assert seen == [None, None]


def test_unhandled_http_error_leaves_no_trace_for_teardown(app, client):
    seen = []
    app.teardown_request(seen.append)

    client.get("/absent")

    assert seen == [None]


@pytest.mark.parametrize("propagate", [True, False])
def test_every_teardown_gets_the_original_error(app, client, propagate):
    app.config["PROPAGATE_EXCEPTIONS"] = propagate
    original = ShopError()
    seen = []
    blueprint = Blueprint("b", __name__)
    blueprint.get("/")(failing(original))
    blueprint.teardown_request(seen.append)
    app.teardown_request(seen.append)
    app.teardown_request(seen.append)
    app.teardown_appcontext(seen.append)
    app.register_error_handler(500, handler("sorry"))
    app.register_blueprint(blueprint)

    if propagate:
        with pytest.raises(ShopError):
            client.get("/")
    else:
        assert client.get("/").text == "sorry"

    assert seen == [original] * 4


def test_error_in_a_handler_reaches_the_500_handler(app, client):
    app.register_error_handler(404, failing_handler := lambda exc: 1 / 0)
    app.register_error_handler(500, lambda exc: repr(exc.original_exception))

    assert callable(failing_handler)
    assert client.get("/absent").text == "ZeroDivisionError('division by zero')"


def test_error_in_the_500_handler_is_raised(app, client):
    app.register_error_handler(500, lambda exc: 1 / 0)
    app.get("/")(failing(ShopError()))

    with pytest.raises(ZeroDivisionError):
        client.get("/")


def test_handler_of_the_error_of_an_after_function(app, client):
    app.get("/")(lambda: "view")
    app.register_error_handler(500, lambda exc: f"sorry {exc.original_exception!r}")
    answers = iter([ShopError("once")])

    @app.after_request
    def fail_once(response):
        for error in answers:
            raise error
        return response

    assert client.get("/").text == "sorry ShopError('once')"


# --- propagation


@pytest.mark.parametrize(
    ("config", "raised"),
    [
        ({}, False),
        ({"TESTING": True}, True),
        ({"DEBUG": True}, True),
        ({"PROPAGATE_EXCEPTIONS": True}, True),
        ({"TESTING": True, "PROPAGATE_EXCEPTIONS": False}, False),
        ({"DEBUG": True, "PROPAGATE_EXCEPTIONS": False}, False),
    ],
)
def test_unhandled_errors_propagate(config, raised):
    app = Erlen("quiet")
    app.config.update(DEBUG=False)
    app.config.update(config)
    app.get("/")(failing(ShopError()))

    if raised:
        with pytest.raises(ShopError):
            app.test_client().get("/")
    else:
        assert app.test_client().get("/").status_code == 500


def test_500_handler_is_not_asked_when_errors_propagate(app, client):
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.register_error_handler(500, handler("never"))
    app.get("/")(failing(ShopError()))

    with pytest.raises(ShopError):
        client.get("/")


def test_error_with_a_handler_never_propagates(app, client):
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.register_error_handler(ShopError, handler("handled"))
    app.get("/")(failing(ShopError()))

    assert client.get("/").text == "handled"


# --- trapping


@pytest.mark.parametrize("error", [NotFound, Forbidden, BadRequest])
def test_trapped_http_errors_are_raised(app, client, error):
    app.config.update(TRAP_HTTP_EXCEPTIONS=True, PROPAGATE_EXCEPTIONS=True)
    app.get("/")(failing(error()))

    with pytest.raises(error):
        client.get("/")


def test_trapped_http_errors_still_have_handlers_of_their_class(app, client):
    app.config.update(TRAP_HTTP_EXCEPTIONS=True, PROPAGATE_EXCEPTIONS=True)
    app.register_error_handler(Exception, handler("handled"))

    assert client.get("/absent").text == "handled"


@pytest.fixture
def form_key(app):
    app.post("/")(lambda: request.form["colour"])
    return app


def test_missing_form_key_is_a_400_that_says_nothing(form_key, client):
    response = client.post("/")

    assert response.status_code == 400
    assert "colour" not in response.text


def test_missing_form_key_is_raised_in_debug(form_key, client):
    form_key.config.update(DEBUG=True, PROPAGATE_EXCEPTIONS=True)

    with pytest.raises(BadRequestKeyError, match="colour"):
        client.post("/")


def test_missing_form_key_is_raised_as_a_key_error(form_key, client):
    form_key.config.update(TRAP_BAD_REQUEST_ERRORS=True, PROPAGATE_EXCEPTIONS=True)

    with pytest.raises(KeyError, match="colour"):
        client.post("/")


def test_missing_form_key_is_named_in_debug_when_not_trapped(form_key, client):
    form_key.config.update(DEBUG=True, TRAP_BAD_REQUEST_ERRORS=False)

    response = client.post("/")

    assert response.status_code == 400
    assert "colour" in response.text


def test_any_bad_request_is_raised_when_trapped(app, client):
    app.config.update(TRAP_BAD_REQUEST_ERRORS=True, PROPAGATE_EXCEPTIONS=True)
    app.get("/")(failing(BadRequest("x")))

    with pytest.raises(BadRequest):
        client.get("/")


def test_debug_alone_does_not_trap_other_bad_requests(app, client):
    app.config.update(DEBUG=True, PROPAGATE_EXCEPTIONS=True)
    app.get("/")(failing(BadRequest("x")))

    assert client.get("/").status_code == 400


def test_bad_request_handler_gets_a_missing_key(form_key, client):
    form_key.register_error_handler(400, lambda exc: f"{exc.args[0]}?")
    form_key.config["PROPAGATE_EXCEPTIONS"] = True

    assert client.post("/").text == "colour?"


# --- redirects and responses that are raised


def test_routing_redirect_reaches_no_handler(app, client):
    app.get("/folder/")(lambda: "")
    app.register_error_handler(HTTPException, handler("never"))
    app.register_error_handler(Exception, handler("never"))

    assert client.get("/folder").status_code == 308


def test_raised_redirect_is_the_answer(app, client):
    app.get("/")(failing(RequestRedirect("/elsewhere")))

    assert client.get("/").location == "/elsewhere"


def test_abort_with_a_response(app, client):
    app.register_error_handler(HTTPException, handler("never"))
    app.get("/")(lambda: abort(Response("as it is", 299)))

    response = client.get("/")

    assert (response.text, response.status_code) == ("as it is", 299)


# --- abort


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        ((404,), 404, "not found"),
        ((403, "keep out"), 403, "keep out"),
        ((503,), 503, ""),
    ],
)
def test_abort(app, client, args, code, words):
    app.get("/")(lambda: abort(*args))

    response = client.get("/")

    assert response.status_code == code
    assert words in response.text


def test_abort_with_an_unknown_code():
    with pytest.raises(LookupError, match="999"):
        abort(999)


def test_abort_works_without_an_application():
    with pytest.raises(NotFound):
        abort(404)


def test_abort_asks_the_aborter_of_the_application():
    class Own(Aborter):
        def __call__(self, code, *args, **kwargs):
            raise ShopError(code)

    class Site(Erlen):
        aborter_class = Own

    app = Site("site")

    assert type(app.aborter) is Own
    with app.app_context(), pytest.raises(ShopError):
        abort(404)
    with pytest.raises(NotFound):
        abort(404)


def test_aborter_knows_codes_that_were_added(app):
    app.aborter.mapping[418] = Teapot

    with app.app_context(), pytest.raises(Teapot):
        erlen.abort(418)


# --- the wrong answer of a view, see also test_responses.py


def test_wrong_answer_of_a_view_is_a_500(app, client):
    app.get("/")(lambda: None)
    app.register_error_handler(500, lambda exc: type(exc.original_exception).__name__)

    assert client.get("/").text == "TypeError"


# --- sessions that cannot be opened


def test_error_in_open_session_is_a_500_and_leaves_nothing_pushed(app, client):
    seen = []

    class Broken(type(app.session_interface)):
        def open_session(self, app, request):
            raise ShopError("broken store")

    app.session_interface = Broken()
    app.get("/")(lambda: "never")
    app.teardown_appcontext(seen.append)

    @app.errorhandler(500)
    def handle(exc):
        return f"sorry: {exc.original_exception}", 500

    response = client.get("/")

    assert (response.text, response.status_code) == ("sorry: broken store", 500)
    assert not erlen.has_request_context()
    assert not erlen.has_app_context()
    assert [str(exc) for exc in seen] == ["broken store"]


def test_error_in_open_session_propagates_and_leaves_nothing_pushed(app, client):
    class Broken(type(app.session_interface)):
        def open_session(self, app, request):
            raise ShopError("broken store")

    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.session_interface = Broken()

    with pytest.raises(ShopError):
        client.get("/")

    assert not erlen.has_request_context()
    assert not erlen.has_app_context()


# --- logging


def test_unhandled_error_is_logged_with_the_request(app, client, caplog):
    app.get("/broken")(failing(ShopError("x")))

    client.get("/broken")

    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.getMessage() == "Exception on /broken [GET]"
    assert record.exc_info[0] is ShopError


@pytest.mark.parametrize("error", [NotFound, ShopError])
def test_handled_error_is_not_logged(app, client, caplog, error):
    app.register_error_handler(error, handler("handled"))
    app.get("/")(failing(error()))

    client.get("/")

    assert caplog.records == []


def test_error_that_propagates_is_not_logged_by_the_application(app, client, caplog):
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.get("/")(failing(ShopError()))

    with pytest.raises(ShopError):
        client.get("/")

    assert caplog.records == []


# --- teardown that hides errors, and the context after them


def test_nothing_is_pushed_after_an_error(app, client):
    app.get("/")(failing(ShopError()))

    client.get("/")

    assert not erlen.has_request_context()
    assert not erlen.has_app_context()
