"""The two contexts: what they carry, how they nest, when they are torn down."""

from __future__ import annotations

import contextvars
import functools
import gc
import threading
import weakref

import pytest

import erlen
from erlen import Erlen
from erlen import after_this_request
from erlen import copy_current_request_context
from erlen import current_app
from erlen import g
from erlen import has_app_context
from erlen import has_request_context
from erlen import request
from erlen import session
from erlen.ctx import RequestContext
from erlen.ctx import _AppCtxGlobals
from erlen.globals import _cv_app
from erlen.globals import _cv_request
from erlen.globals import app_ctx
from erlen.globals import request_ctx

# --- outside of them


@pytest.mark.parametrize(
    ("use", "kind"),
    [
        pytest.param(lambda: current_app.name, "application", id="current_app"),
        pytest.param(lambda: g.x, "application", id="g"),
        pytest.param(lambda: setattr(g, "x", 1), "application", id="g set"),
        pytest.param(lambda: app_ctx.app, "application", id="app_ctx"),
        pytest.param(lambda: request.path, "request", id="request"),
        pytest.param(lambda: request.user_agent, "request", id="request rare"),
        pytest.param(lambda: session["x"], "request", id="session"),
        pytest.param(lambda: request_ctx.app, "request", id="request_ctx"),
        pytest.param(
            lambda: erlen.render_template_string(""), "application", id="render"
        ),
        pytest.param(lambda: erlen.jsonify(1), "application", id="jsonify"),
        pytest.param(lambda: erlen.make_response(""), "application", id="response"),
        pytest.param(lambda: erlen.flash("x"), "request", id="flash"),
        pytest.param(lambda: erlen.get_flashed_messages(), "request", id="get_flashed"),
        pytest.param(
            lambda: current_app._get_current_object(), "application", id="object"
        ),
        pytest.param(
            lambda: request._get_current_object(), "request", id="request object"
        ),
    ],
)
def test_working_outside_of_context(use, kind):
    with pytest.raises(RuntimeError, match=f"^Working outside of {kind} context"):
        use()


@pytest.mark.parametrize(
    ("use", "name"),
    [
        (lambda: after_this_request(str), "after_this_request"),
        (lambda: copy_current_request_context(str), "copy_current_request_context"),
    ],
)
def test_helpers_of_a_request_outside_of_one(app, use, name):
    with app.app_context(), pytest.raises(RuntimeError, match=name):
        use()


@pytest.mark.parametrize("name", ["current_app", "g", "request", "session"])
def test_proxy_that_is_not_bound_is_false_and_can_be_shown(name):
    proxy = getattr(erlen, name)

    assert not proxy
    assert "unbound" in repr(proxy)


def test_request_outside_of_a_request_but_inside_an_application(app):
    with app.app_context():
        assert current_app
        assert not request
        with pytest.raises(RuntimeError, match="outside of request context"):
            request.path  # noqa: B018


# --- inside


def test_has_context(app):
    found = [(has_app_context(), has_request_context())]
    with app.app_context():
        found.append((has_app_context(), has_request_context()))
        with app.test_request_context():
            found.append((has_app_context(), has_request_context()))
        found.append((has_app_context(), has_request_context()))
    found.append((has_app_context(), has_request_context()))

    assert found == [
        (False, False),
        (True, False),
        (True, True),
        (True, False),
        (False, False),
    ]


def test_proxies_of_a_request(app):
    with app.test_request_context("/x") as ctx:
        assert current_app._get_current_object() is app
        assert request._get_current_object() is ctx.request
        assert session._get_current_object() is ctx.session
        assert request_ctx._get_current_object() is ctx
        assert g._get_current_object() is app_ctx.g
        assert app_ctx.app is app
        assert ctx.app is app
        assert current_app == app
        assert request.path == "/x"


def test_context_variables(app):
    assert _cv_app.get(None) is None
    assert _cv_request.get(None) is None
    with pytest.raises(LookupError):
        _cv_app.get()

    with app.test_request_context() as ctx:
        assert _cv_request.get() is ctx
        assert _cv_app.get().app is app

    assert _cv_request.get(None) is None


def test_enter_gives_the_context_and_push_and_pop_do_the_same(app):
    ctx = app.app_context()
    ctx.push()
    assert app_ctx._get_current_object() is ctx
    ctx.pop()
    assert not has_app_context()

    with app.app_context() as entered:
        assert app_ctx._get_current_object() is entered


def test_application_context_carries_adapter_and_globals(app):
    app.config["SERVER_NAME"] = "shop.test"

    with app.app_context() as ctx:
        assert ctx.app is app
        assert isinstance(ctx.g, _AppCtxGlobals)
        url = ctx.url_adapter.build("static", {"filename": "x"}, force_external=True)
        assert url == "http://shop.test/static/x"


def test_request_context_of_an_environ(app):
    environ = app.test_request_context("/given?a=1").request.environ

    with app.request_context(environ) as ctx:
        assert request.full_path == "/given?a=1"
        assert request.environ is environ
        assert type(ctx.request) is app.request_class


@pytest.mark.parametrize(
    ("args", "kwargs", "url", "method"),
    [
        ((), {}, "http://localhost/", "GET"),
        (("/a/b?c=d",), {}, "http://localhost/a/b?c=d", "GET"),
        (("/",), {"method": "POST"}, "http://localhost/", "POST"),
        (("/",), {"query_string": {"x": "1"}}, "http://localhost/?x=1", "GET"),
        (
            ("https://shop.test/x",),
            {},
            "https://shop.test/x",
            "GET",
        ),
        (
            ("/x",),
            {"base_url": "http://shop.test/root"},
            "http://shop.test/root/x",
            "GET",
        ),
    ],
)
def test_arguments_of_test_request_context(app, args, kwargs, url, method):
    with app.test_request_context(*args, **kwargs):
        assert (request.url, request.method) == (url, method)


@pytest.mark.parametrize(
    ("config", "kwargs", "url"),
    [
        ({"SERVER_NAME": "shop.test"}, {}, "http://shop.test/x"),
        ({"SERVER_NAME": "shop.test:81"}, {}, "http://shop.test:81/x"),
        ({"APPLICATION_ROOT": "/root"}, {}, "http://localhost/root/x"),
        ({"PREFERRED_URL_SCHEME": "https"}, {}, "https://localhost/x"),
        ({"SERVER_NAME": "shop.test"}, {"subdomain": "ada"}, "http://ada.shop.test/x"),
        ({}, {"url_scheme": "https"}, "https://localhost/x"),
    ],
)
def test_base_url_of_tests_comes_from_the_configuration(app, config, kwargs, url):
    app.config.update(config)

    with app.test_request_context("/x", **kwargs):
        assert request.url == url


def test_base_url_with_subdomain_or_scheme_is_refused(app):
    with pytest.raises(AssertionError, match="base_url"):
        app.test_request_context("/", base_url="http://x.test", subdomain="a")
    with pytest.raises(AssertionError, match="base_url"):
        app.test_request_context("/", base_url="http://x.test", url_scheme="https")


def test_json_of_test_request_context_goes_through_the_provider(app):
    class Loud(type(app.json)):
        def dumps(self, obj, **kwargs):
            return super().dumps({"loud": obj}, **kwargs)

    app.json = Loud(app)

    with app.test_request_context(method="POST", json=[1]):
        assert request.get_json() == {"loud": [1]}
        assert request.mimetype == "application/json"


def test_request_is_matched_when_it_is_pushed(app):
    app.get("/item/<int:n>", endpoint="item")(lambda n: "")

    ctx = app.test_request_context("/item/3")
    assert ctx.request.endpoint is None

    with ctx:
        assert request.endpoint == "item"
        assert request.view_args == {"n": 3}

    with app.test_request_context("/absent"):
        assert request.endpoint is None
        assert request.routing_exception.code == 404


@pytest.mark.parametrize(("path", "endpoint"), [("/a", "a"), ("/b", None)])
def test_match_request_may_be_called_before(app, path, endpoint):
    app.get("/a", endpoint="a")(lambda: "")

    ctx = app.test_request_context(path)
    ctx.match_request()

    assert ctx.request.endpoint == endpoint
    assert (ctx.request.routing_exception is None) is (endpoint is not None)


def test_a_context_of_ones_own_matches_each_request(app, client):
    matched = []

    class Counting(RequestContext):
        def match_request(self):
            matched.append(self.request.path)
            super().match_request()

    class Counted(Counting):
        pass

    app.get("/a")(lambda: request.endpoint)
    for context_class, number in ((Counting, 2), (Counted, 4)):
        app.request_context = functools.partial(context_class, app)
        assert [client.get("/a").status_code for _ in range(2)] == [200, 200]
        assert len(matched) == number


# --- g


def test_g_works_like_a_namespace_and_a_dictionary(app):
    with app.app_context():
        g.a = 1
        assert g.get("a") == 1
        assert g.get("b") is None
        assert g.get("b", 2) == 2
        assert g.setdefault("a", 5) == 1
        assert g.setdefault("c", 3) == 3
        assert "c" in g
        assert sorted(g) == ["a", "c"]
        assert g.pop("c") == 3
        assert g.pop("c", None) is None
        with pytest.raises(KeyError):
            g.pop("c")
        del g.a
        assert "a" not in g
        with pytest.raises(AttributeError):
            g.a  # noqa: B018
        with pytest.raises(AttributeError):
            del g.a


def test_representation_of_g_names_the_application(app):
    with app.app_context():
        assert repr(g) == f"<erlen.g of {app.name!r}>".replace(
            "erlen", type(app).__name__.lower()
        )


def test_class_of_g(app):
    class Own(_AppCtxGlobals):
        def __init__(self):
            self.ready = True

    app.app_ctx_globals_class = Own

    with app.app_context():
        assert g.ready


def test_g_is_shared_by_a_request_and_the_application_context_around_it(app, client):
    app.get("/")(lambda: g.get("user", "nobody"))

    with app.app_context():
        g.user = "ada"
        assert client.get("/").text == "ada"
    assert client.get("/").text == "nobody"


def test_each_application_context_has_its_own_g(app):
    with app.app_context():
        g.x = 1
        with app.app_context():
            assert "x" not in g
        assert g.x == 1


# --- nesting


def test_request_inside_the_context_of_another_application(app):
    other = Erlen("other")
    down = []
    app.teardown_appcontext(lambda exc: down.append("app"))
    other.teardown_appcontext(lambda exc: down.append("other"))

    with app.app_context():
        with other.test_request_context():
            assert current_app._get_current_object() is other
        assert down == ["other"]
        assert current_app._get_current_object() is app
    assert down == ["other", "app"]


def test_request_inside_a_request(app, client):
    app.get("/inner")(lambda: f"inner {request.path}")

    @app.get("/outer")
    def outer():
        text = app.test_client().get("/inner").text
        return f"{text} outer {request.path}"

    assert client.get("/outer").text == "inner /inner outer /outer"


def test_application_context_is_torn_down_by_whoever_pushed_it(app, client):
    down = []
    app.teardown_request(lambda exc: down.append("request"))
    app.teardown_appcontext(lambda exc: down.append("application"))

    with app.app_context():
        client.get("/absent")
        assert down == ["request"]
    assert down == ["request", "application"]


def test_same_context_may_be_pushed_twice(app):
    down = []
    app.teardown_appcontext(lambda exc: down.append("down"))
    ctx = app.app_context()

    with ctx:
        with ctx:
            assert has_app_context()
        assert down == []
        assert app_ctx._get_current_object() is ctx
    assert down == ["down"]


@pytest.mark.parametrize("kind", ["app_context", "test_request_context"])
def test_popping_the_wrong_context(app, kind):
    def run():
        outer, inner = getattr(app, kind)(), getattr(app, kind)()
        outer.push()
        inner.push()
        with pytest.raises(AssertionError, match="wrong"):
            outer.pop()

    # What is in force after such a pop is not promised, so it is let go of.
    contextvars.copy_context().run(run)


# --- teardown


def test_teardown_request_does_not_run_for_a_bare_application_context(app):
    down = []
    app.teardown_request(lambda exc: down.append("request"))
    app.teardown_appcontext(lambda exc: down.append("application"))

    with app.app_context():
        pass

    assert down == ["application"]


def test_teardown_gets_the_error_that_left_the_block(app):
    seen = []
    app.teardown_request(seen.append)
    app.teardown_appcontext(seen.append)
    error = LookupError()

    with pytest.raises(LookupError), app.test_request_context():
        raise error

    assert seen == [error, error]


def test_pop_takes_the_error(app):
    seen = []
    app.teardown_appcontext(seen.append)
    error = LookupError()
    for args in ((), (None,), (error,)):
        ctx = app.app_context()
        ctx.push()
        ctx.pop(*args)

    assert seen == [None, None, error]


def test_pop_without_an_argument_takes_the_error_being_handled(app):
    seen = []
    app.teardown_request(seen.append)
    error = LookupError()
    ctx = app.test_request_context()
    ctx.push()
    try:
        raise error
    except LookupError:
        ctx.pop()

    assert seen == [error]


def test_context_is_still_there_in_teardown(app):
    seen = []
    app.teardown_request(lambda exc: seen.append(request.path))
    app.teardown_appcontext(lambda exc: seen.append(current_app.name))

    with app.test_request_context("/x"):
        pass

    assert seen == ["/x", app.name]


def test_teardown_can_be_run_by_hand(app):
    seen = []
    app.teardown_request(seen.append)
    app.teardown_appcontext(seen.append)
    error = LookupError()

    with app.test_request_context():
        app.do_teardown_request(error)
        app.do_teardown_appcontext(error)
        assert seen == [error, error]


def test_value_of_a_teardown_function_is_ignored(app, client):
    app.get("/")(lambda: "view")
    app.teardown_request(lambda exc: "ignored")

    assert client.get("/").text == "view"


def test_teardown_has_run_when_the_context_is_left_by_the_test_client(app):
    down = []
    app.teardown_request(lambda exc: down.append(request.path))

    with app.test_client() as client:
        client.get("/1")
        client.get("/2")
        assert "/1" in down
        assert request.path == "/2"
    assert down[-1] == "/2"


# --- copies


def test_copied_context_works_in_another_thread(app, client):
    @app.get("/")
    def view():
        result = []

        @copy_current_request_context
        def work(name):
            result.append((name, request.path, current_app.name, session["n"]))

        session["n"] = 1
        thread = threading.Thread(target=work, args=("worker",))
        thread.start()
        thread.join()
        return repr(result)

    assert client.get("/").text == repr([("worker", "/", app.name, 1)])


def test_copied_function_returns_what_it_returns(app):
    with app.test_request_context("/x"):

        @copy_current_request_context
        def work(*args, **kwargs):
            return args, kwargs, request.path

    assert work(1, a=2) == ((1,), {"a": 2}, "/x")
    assert work.__name__ == "work"


def test_copy_of_a_request_context(app):
    with app.test_request_context("/x") as ctx:
        session["n"] = 1
        copy = ctx.copy()

    assert copy is not ctx
    with copy:
        assert request._get_current_object() is ctx.request
        assert session["n"] == 1


def test_other_threads_see_no_context(app):
    seen = []
    with app.test_request_context():
        thread = threading.Thread(
            target=lambda: seen.append((has_app_context(), has_request_context()))
        )
        thread.start()
        thread.join()

    assert seen == [(False, False)]


def test_requests_in_threads_do_not_mix(app):
    barrier = threading.Barrier(8, timeout=5)
    found = []

    @app.get("/<int:n>")
    def view(n):
        g.n = n
        session["n"] = n
        barrier.wait()
        return f"{request.view_args['n']} {g.n} {session['n']}"

    def work(n):
        found.append((n, app.test_client().get(f"/{n}").text))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(found) == [(n, f"{n} {n} {n}") for n in range(8)]


def test_requests_in_greenlets_do_not_mix(app):
    greenlet = pytest.importorskip("greenlet")
    trace = []

    @app.get("/<int:n>")
    def view(n):
        g.n = n
        greenlet.getcurrent().parent.switch()
        return f"{request.view_args['n']} {g.n} {current_app.name}"

    def work(n):
        trace.append(app.test_client().get(f"/{n}").text)

    greenlets = [greenlet.greenlet(work) for _ in range(3)]
    for n, one in enumerate(greenlets):
        one.switch(n)
        assert not has_request_context()
    for one in reversed(greenlets):
        one.switch()

    assert trace == [f"{n} {n} {app.name}" for n in (2, 1, 0)]


def test_copied_function_works_in_a_greenlet(app):
    greenlet = pytest.importorskip("greenlet")

    with app.test_request_context("/x"):
        one = greenlet.greenlet(copy_current_request_context(lambda: request.path))

    assert one.switch() == "/x"


def test_copied_python_context_sees_the_request(app):
    with app.test_request_context("/x"):
        copied = contextvars.copy_context()

    assert copied.run(lambda: request.path) == "/x"
    assert not has_request_context()


# --- nothing is left behind


@pytest.fixture
def _no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_collector")
def test_dropped_application_is_freed_without_the_collector():
    app = Erlen("dropped")
    dead = weakref.ref(app)
    del app

    assert dead() is None


@pytest.mark.usefixtures("_no_collector")
def test_application_that_served_is_freed_without_the_collector():
    app = Erlen("dropped")
    app.secret_key = "k"
    app.before_request(lambda: None)
    app.get("/<int:n>")(lambda n: f"view {n}")
    dead = weakref.ref(app)

    app.test_client().get("/1")
    with app.app_context():
        pass
    del app

    assert dead() is None


@pytest.mark.usefixtures("_no_collector")
def test_request_is_freed_without_the_collector(app):
    seen = []

    @app.get("/")
    def view():
        seen.append(weakref.ref(request._get_current_object()))
        return ""

    environ = app.test_request_context("/").request.environ
    b"".join(app(environ, lambda status, headers: None))

    environ.clear()
    assert seen[0]() is None


def test_nothing_is_pushed_after_a_request(app, client):
    app.get("/")(lambda: "")

    client.get("/")

    assert not has_request_context()
    assert not has_app_context()
