from __future__ import annotations

import asyncio
import functools
from wsgiref.validate import validator

import pytest
from werkzeug.test import create_environ
from werkzeug.test import run_wsgi_app

from erlen import Erlen
from erlen import _state
from erlen import current_app
from erlen import g
from erlen import redirect
from erlen import request
from erlen import session
from erlen import stream_with_context
from erlen import url_for


@pytest.fixture(autouse=True)
def _nothing_is_left():
    yield
    assert _state.current.get() == (None, None)


def echo(name):
    """Make a WSGI application that answers with its name and where it thinks it is."""

    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        place = f"{name} {environ['SCRIPT_NAME']} {environ['PATH_INFO']}"
        return [place.encode("latin-1")]

    return application


def make_inner(name="inner", **config):
    inner = Erlen(name)
    inner.config.update(TESTING=True, SECRET_KEY="another key", **config)

    @inner.get("/")
    def index():
        return f"{current_app.name} {request.root_path} {request.path}"

    @inner.get("/urls")
    def urls():
        return [url_for("urls"), url_for("urls", _external=True), request.url]

    @inner.get("/count")
    def count():
        session["n"] = session.get("n", 0) + 1
        return f"{session['n']}"

    return inner


@pytest.fixture
def inner(app):
    """Return an Erlen that is mounted on `app` at /inner."""
    inner = make_inner()
    app.mount("/inner", inner)
    return inner


# Which application


@pytest.mark.parametrize(
    ("path", "script_name", "expected"),
    [
        ("/a", "", "a /a "),
        ("/a/", "", "a /a /"),
        ("/a/x", "", "a /a /x"),
        ("/a/x/", "/root", "a /root/a /x/"),
        ("/a", "/", "a /a "),
        ("/a/x", "/root/", "a /root/a /x"),
        ("/a//x", "", "a /a //x"),
        ("/a/../x", "", "a /a /../x"),
        ("/a/b", "", "b /a/b "),
        ("/a/b/c", "", "b /a/b /c"),
        ("/a/bc", "", "a /a /bc"),
        ("/caf\xc3\xa9", "", "café /caf\xc3\xa9 "),
        ("/caf\xc3\xa9/\xc3\xbc", "", "café /caf\xc3\xa9 /\xc3\xbc"),
        ("/a/\xff", "", "a /a /\xff"),
        ("/with space/x", "", "space /with space /x"),
        *((path, "", None) for path in ("", "/", "/ab", "/ab/a", "//a", "//a/x", "/A")),
        *((path, "", None) for path in ("/./a", "/x/../a", "/a\\x", "/x/a", "/b")),
        *((path, "", None) for path in ("/caf\xe9", "/cafe\xcc\x81", "/a%2Fx")),
        ("/a", "/a", "a /a/a "),
        ("/x", "/a", None),
    ],
)
def test_the_longest_prefix_of_whole_segments_wins(app, path, script_name, expected):
    # "é" is sent as two bytes, which WSGI has as two characters.
    names = {"/a": "a", "/a/b/": "b", "/café": "caf\xc3\xa9", "/with space": "space"}
    for prefix, name in names.items():
        app.mount(prefix, echo(name.encode("latin-1").decode()))
    environ = create_environ() | {"PATH_INFO": path, "SCRIPT_NAME": script_name}

    body, status, _ = run_wsgi_app(app, environ)

    if expected is None:
        assert status == "404 NOT FOUND"
    else:
        place = b"".join(body).decode("latin-1")
        assert place == expected.replace("café", "caf\xe9")


def test_the_order_of_mounting_is_none_of_choosing(app, client):
    for prefix in ("/a", "/a/b/c", "/a/b"):
        app.mount(prefix, echo(prefix))

    assert client.get("/a/b/c/d").text == "/a/b/c /a/b/c /d"
    assert client.get("/a/b/d").text == "/a/b /a/b /d"
    assert client.get("/a/d").text == "/a /a /d"


def test_a_percent_encoded_url_is_found(app, client):
    app.mount("/café", echo("x"))

    assert client.get("/caf%C3%A9/%C3%BC").text == "x /café /ü"


def test_a_mount_wins_over_rules(app, client):
    app.add_url_rule("/a/<path:rest>", "rest", lambda rest: "rule")
    assert app.test_client().get("/a/x").text == "rule"

    app._got_first_request = False
    app.mount("/a", echo("mounted"))

    assert client.get("/a/x").text == "mounted /a /x"


def test_a_path_may_be_missing(app):
    app.mount("/a", echo("a"))
    environ = create_environ()
    del environ["PATH_INFO"], environ["SCRIPT_NAME"]

    assert run_wsgi_app(app, environ)[1] == "404 NOT FOUND"
    environ["PATH_INFO"] = "/a/x"
    assert b"".join(run_wsgi_app(app, environ)[0]) == b"a /a /x"


# Nothing is touched on the way


def test_what_goes_in_and_out_is_handed_on_as_it_is(app):
    class Body:
        closed = 0

        def close(self):
            self.closed += 1

    def application(environ, start_response):
        seen.append((environ, start_response))
        return body

    seen, body = [], Body()
    app.mount("/a", application)
    environ = create_environ("/a/x?q=1", method="HEAD")
    before = environ.copy()
    started = object()

    assert app(environ, started) is body
    assert body.closed == 0
    assert environ == before
    assert seen == [({**environ, "SCRIPT_NAME": "/a", "PATH_INFO": "/x"}, started)]
    assert type(seen[0][0]) is dict


@pytest.mark.parametrize("error", [LookupError, KeyboardInterrupt])
def test_errors_go_to_the_server(app, error):
    def application(environ, start_response):
        raise error

    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.register_error_handler(LookupError, lambda exc: "handled")
    app.mount("/a", application)

    with pytest.raises(error):
        app(create_environ("/a"), None)


def test_hooks_of_the_outer_one_do_not_run(app, inner, client):
    ran = []
    app.before_request(lambda: ran.append("before"))
    app.after_request(lambda response: ran.append("after"))
    app.teardown_request(lambda exc: ran.append("teardown"))
    app.teardown_appcontext(lambda exc: ran.append("app"))
    app.register_error_handler(404, lambda exc: ("of the outer one", 404))

    assert client.get("/inner/").text == "inner /inner /"
    assert "of the outer one" not in client.get("/inner/absent").text
    assert ran == []


def test_middleware_of_the_outer_one_runs(app, inner, wsgi_client):
    door = app.wsgi_app

    def middleware(environ, start_response):
        if "HTTP_X_KEY" in environ:
            return door(environ, start_response)
        return echo("refused")(environ, start_response)

    app.wsgi_app = middleware

    assert wsgi_client.get("/inner/").text == "refused  /inner/"
    assert wsgi_client.get("/inner/", headers={"X-Key": "k"}).text == "inner /inner /"


def test_a_stream_ends_by_itself(app, inner, client):
    log = []
    inner.teardown_request(lambda exc: log.append(request.path))

    @inner.get("/stream")
    @stream_with_context
    def stream():
        yield from (current_app.name, request.root_path)

    response = client.get("/inner/stream")

    assert _state.current.get() == (None, None)
    assert response.text == "inner/inner"
    assert log == ["/stream"]


def test_a_head_request_stays_one(app, inner, client):
    response = client.head("/inner/")

    assert (response.status_code, response.text) == (200, "")
    assert response.content_length == len("inner /inner /")


# A mounted Erlen


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize(
    ("prefix", "quoted"), [("/inner", "/inner"), ("/caf\xe9", "/caf%C3%A9")]
)
def test_the_bare_prefix_is_redirected_to_the_root(
    app, client, prefix, quoted, method, again
):
    inner = make_inner()
    inner.add_url_rule("/", "post", lambda: "posted", methods=["POST"])
    app.mount(prefix, validator(inner))
    if again:  # the host is known
        client.get(f"{prefix}/")

    response = client.open(
        f"{quoted}?a=1", method=method, base_url="http://localhost/root"
    )

    assert response.status_code == 308
    assert response.location == f"http://localhost/root{quoted}/?a=1"
    assert client.get(quoted, follow_redirects=True).text == f"inner {prefix} /"


def test_without_a_root_the_bare_prefix_is_not_found(app, client):
    app.mount("/inner", Erlen("inner"))

    assert client.get("/inner").status_code == 404
    assert client.get("/inner/").status_code == 404


def test_urls_have_the_prefix_in_front(app, inner, client):
    for root in ("", "/root"):
        assert client.get("/inner/urls", base_url=f"https://shop.test{root}").json == [
            f"{root}/inner/urls",
            f"https://shop.test{root}/inner/urls",
            f"https://shop.test{root}/inner/urls",
        ]


def test_one_application_may_be_mounted_in_two_places(app, inner, client):
    app.mount("/caf\xe9", inner)

    for _ in range(2):
        assert client.get("/inner/urls").json[0] == "/inner/urls"
        assert client.get("/café/urls").json[0] == "/café/urls"
        assert client.get("/café/").text == "inner /café /"


def test_mounts_nest(app, inner, client):
    deepest = make_inner("deepest")
    inner.mount("/deep", deepest)
    deepest.mount("/plain", echo("plain"))

    assert client.get("/inner/deep/").text == "deepest /inner/deep /"
    assert client.get("/inner/deep/urls").json[0] == "/inner/deep/urls"
    assert client.get("/inner/deep/plain/x").text == "plain /inner/deep/plain /x"
    assert inner.test_client().get("/deep/").text == "deepest /deep /"
    assert client.get("/inner/").text == "inner /inner /"


def test_contexts_of_one_stay_out_of_the_other(app, inner, client):
    seen = []

    @inner.get("/g")
    def inner_g():
        g.inner = True
        seen.append((current_app.name, dict(vars(g._get_current_object()))))
        return redirect(url_for("index"))

    @app.get("/nested")
    def nested():
        g.outer = True
        location = app.test_client().get("/inner/g").location
        seen.append((current_app.name, dict(vars(g._get_current_object()))))
        return f"{location} {request.path} {url_for('nested')}"

    assert client.get("/nested").text == "/inner/ /nested /nested"
    assert seen == [("inner", {"inner": True}), (app.name, {"outer": True})]


def test_a_block_of_the_client_keeps_the_contexts_of_the_mounted_one(app, inner):
    app.get("/")(lambda: "")
    with app.test_client() as client:
        client.get("/inner/count")
        assert (current_app.name, request.path) == ("inner", "/count")
        assert session["n"] == 1
        client.get("/")
        assert (current_app.name, request.path) == (app.name, "/")


def test_a_redirect_is_followed_across(app, inner, client):
    app.add_url_rule("/", "index", lambda: "outer")
    inner.add_url_rule("/leave", "leave", lambda: redirect("/"))
    app.add_url_rule("/enter", "enter", lambda: redirect("/inner/leave"))

    response = client.get("/enter", follow_redirects=True)

    assert response.text == "outer"
    assert [one.request.path for one in response.history] == ["/enter", "/inner/leave"]


# Sessions


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, ["1", "1", "1", "1"]),  # one cookie for both: each forgets the other
        ({"SECRET_KEY": "shared"}, ["1", "2", "3", "4"]),
        ({"SESSION_COOKIE_NAME": "inner"}, ["1", "1", "2", "2"]),
        (
            {"SESSION_COOKIE_NAME": "inner", "APPLICATION_ROOT": "/inner"},
            ["1", "1", "2", "2"],
        ),
    ],
)
def test_sessions_are_apart_if_their_cookies_are(app, client, config, expected):
    app.secret_key = "shared"
    app.add_url_rule("/count", "count", make_inner().view_functions["count"])
    inner = make_inner()
    inner.config.update(config)
    app.mount("/inner", inner)

    found = [client.get(path).text for path in ["/count", "/inner/count"] * 2]

    assert found == expected


# Proxies


FORWARDED = {
    "X-Forwarded-For": "203.0.113.9, 198.51.100.7",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "shop.test",
    "X-Forwarded-Prefix": "/shop",
}


@pytest.mark.parametrize(
    ("outer_hops", "inner_hops", "expected"),
    [
        (0, 0, "127.0.0.1 http://localhost/inner/"),
        (1, 0, "198.51.100.7 https://shop.test/inner/"),
        (1, 1, "198.51.100.7 https://shop.test/inner/"),
        (1, 2, "198.51.100.7 https://shop.test/inner/"),
        (0, 1, "198.51.100.7 https://shop.test/inner/"),
        ({"prefix": 1}, 0, "127.0.0.1 http://localhost/shop/inner/"),
        ({"prefix": 1}, {"prefix": 1}, "127.0.0.1 http://localhost/shop/inner/"),
        ({"for": 2}, {"prefix": 1}, "203.0.113.9 http://localhost/inner/"),
    ],
)
def test_proxies_are_counted_once(app, inner, client, outer_hops, inner_hops, expected):
    app.config["PROXY_HOPS"] = outer_hops
    inner.config["PROXY_HOPS"] = inner_hops

    @inner.get("/where")
    def where():
        return f"{request.remote_addr} {url_for('index', _external=True)}"

    assert client.get("/inner/where", headers=FORWARDED).text == expected


# What can be mounted, and where


@pytest.mark.parametrize(
    "prefix",
    [
        *("", "/", "//", "///", "admin", "admin/", " /admin", "//admin", "/a//b"),
        *("/admin//", "/.", "/..", "/a/../b", "/a/.", "./a", "/<name>", "/a/<int:id>"),
        *("/a?b", "/a#b", "/caf%C3%A9"),
    ],
)
def test_what_is_no_prefix_is_refused(app, prefix):
    with pytest.raises(ValueError) as caught:
        app.mount(prefix, echo("a"))

    text = str(caught.value)
    assert text.startswith(f"{prefix!r} is no prefix")
    assert "'/admin'" in text
    assert not app._mounts


@pytest.mark.parametrize("prefix", ["/a", "/a/"])
def test_a_prefix_is_taken_once(app, prefix):
    first, second = echo("first"), echo("second")
    app.mount("/a", first)
    app.mount("/a/b", second)

    with pytest.raises(ValueError, match="is mounted at '/a' already"):
        app.mount(prefix, second)
    assert app._mounts == (("/a/b", second), ("/a", first))


def test_an_application_is_not_mounted_on_itself(app):
    with pytest.raises(ValueError, match="cannot be mounted on itself"):
        app.mount("/a", app)


async def asgi(scope, receive, send):
    """Be an ASGI application."""


class Asgi:
    method = staticmethod(asgi)

    async def __call__(self, scope, receive, send):
        """Be one, too."""


@pytest.mark.parametrize(
    "application",
    [asgi, Asgi(), Asgi().__call__, functools.partial(asgi, {}), Asgi().method],
)
def test_an_asgi_application_needs_another_door(app, application):
    with pytest.raises(TypeError, match="is an ASGI application"):
        app.mount("/a", application)
    assert not app._mounts


@pytest.mark.parametrize("application", [None, "shop:app", asyncio])
def test_an_application_is_callable(app, application):
    with pytest.raises(TypeError, match="is no WSGI application: it is not callable"):
        app.mount("/a", application)


class Wsgi:
    """A class whose instances are the answers is a WSGI application as well."""

    def __init__(self, environ, start_response):
        self.answer = echo("class")(environ, start_response)

    def __iter__(self):
        return iter(self.answer)


@pytest.mark.parametrize(
    "application",
    [Wsgi, functools.partial(Wsgi), make_inner().wsgi_app],
)
def test_whatever_wsgi_knows_can_be_mounted(app, application):
    app.mount("/a", application)

    assert run_wsgi_app(app, create_environ("/a/"))[1].startswith("200 ")


def test_it_is_refused_once_requests_are_served(app, client):
    client.get("/")

    with pytest.raises(AssertionError, match="'mount' can no longer be called"):
        app.mount("/a", echo("a"))
