from __future__ import annotations

import pytest

from erlen.views import MethodView
from erlen.views import View
from erlen.views import http_method_funcs
from erlen.views import never_blocks
from erlen.views import reads_stream


def test_the_http_methods():
    assert http_method_funcs == {
        *("get", "post", "head", "options", "delete", "put", "trace", "patch")
    }


class Show(View):
    """Show what it was made of."""

    made = 0

    def __init__(self, *args, **kwargs):
        type(self).made += 1
        self.made_of = (args, kwargs)

    def dispatch_request(self, **values):
        return repr((self.made_of, values))


@pytest.fixture
def show():
    """Return a view class that nobody has used yet."""

    class Fresh(Show):
        __doc__ = Show.__doc__

    return Fresh


# View


def test_a_view_function_tells_where_it_comes_from(show):
    show.methods = ["GET", "PUT"]
    show.provide_automatic_options = False
    view = show.as_view("shown")
    assert view.__name__ == "shown"
    assert view.__doc__ == "Show what it was made of."
    assert view.__module__ == __name__
    assert view.view_class is show
    assert view.methods == ["GET", "PUT"]
    assert view.provide_automatic_options is False


def test_the_class_gets_the_arguments_of_as_view(app, client, show):
    app.add_url_rule("/<name>", view_func=show.as_view("show", 1, two=2))
    assert client.get("/a").text == "(((1,), {'two': 2}), {'name': 'a'})"


@pytest.mark.parametrize(("every", "made"), [(True, 3), (False, 1)])
def test_init_every_request(app, client, show, every, made):
    show.init_every_request = every
    app.add_url_rule("/", view_func=show.as_view("show"))
    assert show.made == (0 if every else 1)
    for _ in range(3):
        client.get("/")
    assert show.made == made


def test_decorators_are_called_from_the_first_to_the_last(app, client, show):
    seen = []

    def decorator(mark):
        def decorate(view):
            seen.append((mark, view.__name__, view.__module__))

            def decorated(**values):
                return f"{mark}({view(**values)})"

            return decorated

        return decorate

    show.decorators = [decorator("in"), decorator("out")]
    show.methods = ["POST"]
    view = show.as_view("shown")
    assert seen[0] == ("in", "shown", __name__)
    assert (view.__name__, view.view_class, view.methods) == ("shown", show, ["POST"])
    assert view.__doc__ == show.__doc__
    app.add_url_rule("/", view_func=view)
    assert client.post("/").text == "out(in((((), {}), {})))"


@pytest.mark.parametrize("decorated", [False, True])
def test_the_class_can_be_replaced_on_the_view_function(app, show, decorated):
    class Other(View):
        def dispatch_request(self):
            return "other"

    if decorated:
        show.decorators = [lambda view: lambda **values: view(**values)]
    view = show.as_view("show")
    view.view_class = Other
    with app.app_context():
        assert view() == "other"


def test_a_view_without_dispatch_request_says_so(app):
    message = r"^View has no dispatch_request"
    with app.app_context(), pytest.raises(NotImplementedError, match=message):
        View.as_view("view")()


def test_a_view_needs_an_application(show):
    with pytest.raises(RuntimeError, match="outside of application context"):
        show.as_view("show")()


def test_an_async_view(app, client):
    pytest.importorskip("asgiref")

    class Async(View):
        async def dispatch_request(self, name):
            return f"async {name}"

    app.add_url_rule("/<name>", view_func=Async.as_view("async"))
    assert client.get("/a").text == "async a"


def test_ensure_sync_is_asked_for_each_view_and_method(app, monkeypatch):
    asked = []
    monkeypatch.setattr(app, "ensure_sync", lambda f: asked.append(f.__name__) or f)
    with app.test_request_context():
        Crud.as_view("view")()
        Shared.as_view("view")()
    assert asked == ["dispatch_request", "get"] * 2


# MethodView


class Crud(MethodView):
    def get(self):
        return "get"

    def post(self):
        return "post"


class Shared(Crud):
    init_every_request = False


class More(Crud):
    def put(self):
        return "put"


class Plain:
    methods = ("PURGE",)

    def patch(self):
        return "patch"


class Mixed(Plain, Crud):
    pass


class Listed(Crud):
    methods = ["GET"]


class BelowListed(Listed):
    def delete(self):
        return "delete"


class Extra(MethodView):
    methods = {"GET", "LOCK"}

    def get(self):
        return "get"

    def lock(self):
        return "lock"


class BelowExtra(Extra):
    pass


class NoVerbs(MethodView):
    def connect(self):
        raise AssertionError

    def dispatch(self):
        raise AssertionError


@pytest.mark.parametrize(
    ("cls", "methods"),
    [
        (View, None),
        (MethodView, None),
        (NoVerbs, None),
        (Crud, {"GET", "POST"}),
        (More, {"GET", "POST", "PUT"}),
        (Mixed, {"GET", "POST", "PATCH", "PURGE"}),
        (Listed, ["GET"]),
        (BelowListed, {"GET", "POST", "DELETE"}),
        (Extra, {"GET", "LOCK"}),
        (BelowExtra, {"GET", "LOCK"}),
    ],
)
def test_methods_are_collected(cls, methods):
    assert cls.methods == methods


@pytest.mark.parametrize(
    ("cls", "method", "status", "text"),
    [
        (Crud, "GET", 200, "get"),
        (Crud, "POST", 200, "post"),
        (Crud, "HEAD", 200, ""),
        (Crud, "OPTIONS", 200, ""),
        (Crud, "PUT", 405, None),
        (Crud, "PURGE", 405, None),
        (Crud, "__INIT__", 405, None),
        (Crud, "AS_VIEW", 405, None),
        (Extra, "LOCK", 200, "lock"),
        (Listed, "POST", 405, None),
    ],
)
def test_methods_are_dispatched(app, cls, method, status, text):
    app.add_url_rule("/", view_func=cls.as_view("view"))
    response = app.test_client().open("/", method=method)
    assert response.status_code == status
    if text is not None:
        assert response.text == text


def test_head_prefers_its_own_method(app, client):
    class Heads(Crud):
        def head(self):
            return "", {"X-Head": "own"}

    app.add_url_rule("/", view_func=Heads.as_view("view"))
    assert client.head("/").headers["X-Head"] == "own"


@pytest.mark.parametrize(
    ("methods", "method"), [(["GET", "PUT"], "PUT"), (["HEAD"], "HEAD")]
)
def test_a_method_that_is_not_there_is_named(app, methods, method):
    class Some(MethodView):
        def post(self):
            raise AssertionError

    Some.methods = methods
    with app.test_request_context(method=method):
        message = rf"^Unimplemented method '{method}'.*has no {method.lower()}\(\)"
        with pytest.raises(AssertionError, match=message):
            Some.as_view("view")()


def test_methods_may_be_async(app, client):
    pytest.importorskip("asgiref")

    class Async(MethodView):
        async def get(self, name):
            return f"async {name}"

    app.add_url_rule("/<name>", view_func=Async.as_view("async"))
    assert client.get("/a").text == "async a"


# What a view says of itself


@pytest.mark.parametrize("mark", [never_blocks, reads_stream])
def test_a_marked_view_stays_what_it_is(app, wsgi_client, mark):
    def view():
        return "x"

    assert mark(view) is view
    app.add_url_rule("/", "index", view)
    assert wsgi_client.get("/").text == "x"
