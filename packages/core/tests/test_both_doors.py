"""Both doors give equal answers: one corpus of requests, sent through each of them."""

from __future__ import annotations

import io
import itertools
from types import SimpleNamespace

import pytest
from werkzeug.exceptions import Conflict
from werkzeug.http import http_date
from werkzeug.routing import BaseConverter

from erlen import Blueprint
from erlen import Erlen
from erlen import Response
from erlen import abort
from erlen import after_this_request
from erlen import flash
from erlen import g
from erlen import get_flashed_messages
from erlen import jsonify
from erlen import make_response
from erlen import redirect
from erlen import render_template_string
from erlen import request
from erlen import send_file
from erlen import session
from erlen import stream_template_string
from erlen import stream_with_context
from erlen import url_for
from erlen.views import MethodView
from erlen.views import View
from erlen.views import never_blocks
from erlen.views import reads_stream

# Over WSGI the async half of the corpus needs it.
pytest.importorskip("asgiref")

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW")
ALL = ("GET", "POST", "PUT", "PATCH", "DELETE")
OLD = http_date(0)
NEW = http_date(2_000_000_000)


class KnownError(LookupError):
    """An error that the application answers."""


class KnownHereError(LookupError):
    """An error that the blueprint answers."""


# The application


def echo_headers():
    return sorted(f"{name}={value}" for name, value in request.headers)


def describe():
    """Say all that a view can know of its request, but the body."""
    return {
        "method": request.method,
        "url": request.url,
        "path": request.path,
        "full": request.full_path,
        "root": request.root_path + request.script_root,
        "query": request.query_string.decode("latin-1"),
        "args": request.args.to_dict(flat=False),
        "host": request.host,
        "scheme": request.scheme,
        "secure": request.is_secure,
        "remote": request.remote_addr,
        "route": list(request.access_route),
        "headers": echo_headers(),
        "cookies": request.cookies.to_dict(flat=False),
        "endpoint": request.endpoint,
        "values": request.view_args,
        "blueprint": request.blueprint,
        "length": request.content_length,
        "accept": request.accept_mimetypes.best,
        "range": str(request.range),
        "auth": str(request.authorization),
        "json?": request.is_json,
    }


def body():
    """Say all that a view can know of the body."""
    files = {
        key: [file.filename, file.mimetype, file.read().decode("latin-1")]
        for key, file in request.files.items()
    }
    form = request.form.to_dict(flat=False)
    data = request.get_data().decode("latin-1")
    return {"form": form, "files": files, "data": data}


def both(app, rule, function, **options):
    """Add a view below /s, and the same with `async def` below /a."""
    name = rule.strip("/").split("/")[0].split("<")[0] or "index"

    async def later(**values):
        return function(**values)

    app.add_url_rule(f"/s{rule}", f"s_{name}", function, **options)
    app.add_url_rule(f"/a{rule}", f"a_{name}", later, **options)


def add_values(app):
    both(app, "/text", lambda: "text \N{SNOWMAN}")
    both(app, "/bytes", lambda: b"\0\xff")
    both(app, "/json", lambda: {"b": [1, None], "a": "\N{SNOWMAN}"})
    both(app, "/list", lambda: [1, {"a": 2}])
    both(app, "/jsonify", lambda: jsonify(a=1))
    both(app, "/made", lambda: ("made", 201, {"X-Made": "yes", "ETag": '"1"'}))
    both(app, "/pairs", lambda: ("", [("X-A", "1"), ("X-A", "2"), ("X-B", "\xe9")]))
    both(app, "/empty", lambda: ("", 204))
    both(app, "/status", lambda: ("x", "299 Odd"))
    both(app, "/none", lambda: None)
    both(app, "/forty-two", lambda: 42)
    both(app, "/length", lambda: Response("abc", headers={"Content-Length": "3"}))
    both(app, "/unmodified", lambda: Response("x", 304, {"ETag": '"x"'}))
    both(app, "/direct", lambda: Response([b"a", b"b"], direct_passthrough=True))
    both(app, "/conditional", conditional)
    both(app, "/redirect", lambda: redirect("/s/text"))
    both(app, "/away", lambda: redirect("https://b.test/\N{SNOWMAN}?a=b c", 308))
    both(app, "/built", lambda: redirect(url_for("s_user", name="a/b", x="\xe9")))


def conditional():
    response = make_response("0123456789")
    response.add_etag()
    response.last_modified = 1_000_000_000
    return response.make_conditional(request, accept_ranges=True, complete_length=10)


def add_readers(app):
    both(app, "/echo", describe, methods=ALL)
    both(app, "/user/<name>", describe)
    both(app, "/number/<int:n>/", describe)
    both(app, "/rest/<path:rest>", describe)
    both(app, "/odd/<odd:value>", describe)
    both(app, "/body", body, methods=ALL)
    both(app, "/data", lambda: request.data, methods=ALL)
    both(app, "/stream-in", lambda: request.stream.read(3), methods=ALL)
    both(app, "/read-json", lambda: {"json": request.json}, methods=ALL)
    both(app, "/silent", lambda: {"json": request.get_json(silent=True)}, methods=ALL)
    both(app, "/key", lambda: request.form["key"], methods=ALL)
    both(app, "/unread", lambda: "unread", methods=ALL)

    @app.route("/a/chunks", methods=ALL)
    @reads_stream
    async def chunks():
        return b"".join([chunk async for chunk in request.chunks()])

    @app.route("/a/loaded", methods=ALL)
    @reads_stream
    async def loaded():
        await request.load_body()
        return body()

    @app.route("/s/quick", methods=ALL)
    @never_blocks
    def quick():
        return describe() | body()


def add_streams(app):
    def pieces():
        yield "a"
        yield b"b"
        yield ""
        yield "\N{SNOWMAN}"

    async def later():
        for piece in pieces():
            yield piece

    def with_context():
        yield request.path
        g.piece = "g"
        yield g.piece

    async def later_with_context():
        for piece in with_context():
            yield piece

    def fails():
        yield "a"
        raise KnownError("in the stream")

    async def fails_later():
        yield "a"
        raise KnownError("in the stream")

    def template_stream():
        return stream_template_string("{{ steps }} {{ request.path }}")

    both(app, "/pieces", pieces)
    both(app, "/wrapped", lambda: Response(pieces(), mimetype="text/x"))
    both(app, "/context", lambda: stream_with_context(with_context()))
    both(app, "/failing", fails)
    both(app, "/later", later)
    both(app, "/later-wrapped", lambda: Response(later(), 201))
    both(app, "/later-context", lambda: stream_with_context(later_with_context()))
    both(app, "/later-failing", fails_later)
    app.add_url_rule("/s/template-stream", "template_stream", template_stream)
    app.add_url_rule("/generator", "generator", later)
    app.add_url_rule("/plain-generator", "plain_generator", pieces)


def add_errors(app):
    def raise_(error):
        raise error

    both(app, "/abort/<int:code>", lambda code: abort(code))
    both(app, "/abort-with", lambda: abort(Response("own", 418)))
    both(app, "/teapot", lambda: abort(418, "short and stout"))
    both(app, "/conflict", lambda: raise_(Conflict("no")))
    both(app, "/known", lambda: raise_(KnownError("x")))
    both(app, "/unknown", lambda: raise_(RuntimeError("x")))
    both(app, "/group", lambda: raise_(ExceptionGroup("x", [KnownError("y")])))
    both(app, "/missing", lambda: {}["x"])
    both(app, "/forged", lambda: ("", {"X-A": "a\r\nb"}))
    app.register_error_handler(KnownError, lambda exc: (f"known {exc}", 409))
    app.register_error_handler(404, lambda exc: (f"404 {exc.code}", 404))

    @app.errorhandler(503)
    async def away(exc):
        return {"error": exc.code}, exc.code

    @app.errorhandler(502)
    def no_answer(exc):
        raise KnownError("in the handler")


class Class(View):
    methods = ("GET", "POST")
    init_every_request = False

    def dispatch_request(self, **values):
        return f"class {request.method} {values}"


class Verbs(MethodView):
    def get(self, **values):
        return f"get {values}"

    async def post(self, **values):
        return f"post {values} {request.get_data(as_text=True)}"

    async def delete(self, **values):
        abort(503)


class AsyncClass(View):
    async def dispatch_request(self):
        return {"class": request.endpoint}


def add_classes(app):
    app.add_url_rule("/class/", view_func=Class.as_view("class"))
    app.add_url_rule("/verbs/<int:n>", view_func=Verbs.as_view("verbs"))
    app.add_url_rule("/async-class", view_func=AsyncClass.as_view("async_class"))
    app.add_url_rule("/slash/", "slash", lambda: "slash")
    app.add_url_rule("/strict", "strict", lambda: "strict", strict_slashes=False)
    app.add_url_rule("/old", "old", redirect_to="/s/text")
    app.add_url_rule("/page", "page", lambda n: f"page {n}", defaults={"n": 1})
    app.add_url_rule("/page/<int:n>", "page")
    app.add_url_rule("/own-options", "own", describe, methods=["OPTIONS"])
    app.add_url_rule("/", "index", lambda: "index")


def add_sessions(app):
    def count():
        session["count"] = session.get("count", 0) + 1
        return {"count": session["count"]}

    def set_cookies():
        response = make_response("cookies")
        response.set_cookie("a", "1", path="/s")
        response.set_cookie("b", "\N{SNOWMAN}", httponly=True, samesite="Lax")
        response.delete_cookie("c")
        return response

    def remember():
        flash("one")
        flash("two", "error")
        return {"messages": get_flashed_messages(with_categories=True)}

    both(app, "/count", count)
    both(app, "/forget", lambda: session.clear() or "forgotten")
    both(app, "/session", lambda: dict(session))
    both(app, "/cookies", set_cookies)
    both(app, "/flash", remember)
    both(app, "/messages", lambda: get_flashed_messages(with_categories=True))


def add_files(app, folder):
    (folder / "file.txt").write_text("0123456789" * 10)
    (folder / "empty.bin").write_bytes(b"")
    app.static_folder = str(folder)
    path = folder / "file.txt"
    both(app, "/file", lambda: send_file(path, conditional=True, etag="x"))
    both(
        app,
        "/memory",
        lambda: send_file(io.BytesIO(b"memory"), download_name="\N{SNOWMAN}.txt"),
    )


def add_hooks(app):  # noqa: C901  # one for each kind
    @app.before_request
    def answer():
        g.steps = ["before"]
        return "from the hook" if "hook" in request.args else None

    @app.before_request
    async def answer_later():
        g.steps.append("later")
        if "later" in request.args:
            return {"hook": request.path}
        if "failing" in request.args:
            raise KnownError("in a hook")
        return None

    @app.after_request
    async def mark(response):
        response.headers["X-Steps"] = ",".join(getattr(g, "steps", ["none"]))
        return response

    @app.after_request
    def mark_again(response):
        if "fail-after" in request.args:
            raise KnownError("after")
        response.headers.add("X-Endpoint", str(request.endpoint))
        return response

    @app.context_processor
    async def values():
        return {"steps": g.steps}

    @app.get("/s/template")  # WSGI knows no way out of an async view, into a processor
    def template():
        @after_this_request
        def once(response):
            response.headers["X-Once"] = "1"
            return response

        return render_template_string("{{ steps|join('-') }} {{ request.path }}")


def add_blueprint(app):
    blueprint = Blueprint("shop", __name__, url_prefix="/shop", owns_prefix=True)

    @blueprint.get("/<int:n>")
    async def item(n):
        if n == 0:
            raise KnownHereError("none")
        if n == 1:
            raise KnownError("one")
        return describe()

    @blueprint.errorhandler(KnownHereError)
    async def known(exc):
        return f"here {exc}", 410

    @blueprint.errorhandler(404)
    def missing(exc):
        return {"missing": request.path}, 404

    @blueprint.before_request
    async def note():
        g.steps.append("shop")

    @blueprint.url_value_preprocessor
    def pull(endpoint, values):
        g.values = dict(values or {})

    @blueprint.after_request
    def show(response):
        response.headers["X-Values"] = str(g.get("values"))
        return response

    app.register_blueprint(blueprint)


class OddConverter(BaseConverter):
    regex = "[^/]{2}"

    def to_python(self, value):
        return value[::-1]


def fill(app, folder):
    """Give an application the views."""
    app.config.setdefault("SECRET_KEY", "for tests only")
    app.config["SECRET_KEY"] = "for tests only"
    app.logger.disabled = True
    app.url_map.converters["odd"] = OddConverter
    add_files(app, folder)
    add_hooks(app)
    for add in (add_values, add_readers, add_streams, add_errors, add_classes):
        add(app)
    add_sessions(app)
    add_blueprint(app)
    return app


# Its variants


def with_config(**config):
    def make(folder):
        app = Erlen(__name__)
        app.config.update(config)
        return fill(app, folder)

    return make


class Overridden(Erlen):
    """It replaces steps of a request."""

    def dispatch_request(self):
        g.steps.append("dispatch")
        return super().dispatch_request()

    def make_response(self, rv):
        return super().make_response(rv if rv != 42 else "forty-two")


class OwnRequest(Erlen):
    class request_class(Erlen.request_class):  # noqa: N801  # the attribute's name
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.charm = "own"

        @property
        def full_path(self):
            return self.charm


def mounted(folder):
    outer = with_config()(folder)
    outer.mount("/inner", with_config()(folder))
    outer.mount("/wsgi", wsgi_only)
    outer.mount("/inner/deep", fill(Overridden(__name__), folder))
    return outer


def wsgi_only(environ, start_response):
    length = int(environ.get("CONTENT_LENGTH") or 0)
    start_response("202 Accepted", [("Content-Type", "text/plain"), ("X-A", "1")])
    if environ["REQUEST_METHOD"] != "HEAD":
        yield f"{environ['SCRIPT_NAME']} {environ['PATH_INFO']} ".encode("latin-1")
        if length:
            yield environ["wsgi.input"].read(length)


def hosts(folder):
    app = Erlen(__name__, host_matching=True, static_host="static.test")
    app.add_url_rule("/", "a", lambda: "a", host="a.test")
    app.add_url_rule("/", "b", lambda name: f"b {name}", host="<name>.b.test:8000")
    app.add_url_rule("/echo", "echo", describe, host="<host>")
    return app


def subdomains(folder):
    app = Erlen(__name__, subdomain_matching=True)
    app.config["SERVER_NAME"] = "shop.test"
    app.add_url_rule("/", "a", lambda: "a")
    app.add_url_rule("/", "b", lambda name: f"b {name}", subdomain="<name>")
    app.add_url_rule("/echo", "echo", describe)
    return app


def of(cls):
    return lambda folder: fill(cls(__name__), folder)


VARIANTS = {
    "plain": with_config(),
    "proxy": with_config(PROXY_HOPS=1),
    "proxies": with_config(PROXY_HOPS=2),
    "limited": with_config(MAX_CONTENT_LENGTH=10),
    "parts": with_config(MAX_FORM_PARTS=1, MAX_FORM_MEMORY_SIZE=10),
    "trusted": with_config(TRUSTED_HOSTS=["localhost", ".good.test"]),
    "root": with_config(APPLICATION_ROOT="/root"),
    "testing": with_config(TESTING=True),
    "trapping": with_config(TRAP_HTTP_EXCEPTIONS=True),
    "no options": with_config(PROVIDE_AUTOMATIC_OPTIONS=False),
    "overridden": of(Overridden),
    "own request": of(OwnRequest),
    "mounted": mounted,
    "hosts": hosts,
    "subdomains": subdomains,
}


# The requests

PAIRED = [
    "text",
    "bytes",
    "json",
    "list",
    "jsonify",
    "made",
    "pairs",
    "empty",
    "status",
    "none",
    "forty-two",
    "length",
    "unmodified",
    "direct",
    "conditional",
    "redirect",
    "away",
    "built",
    "echo",
    "user/ada",
    "user/a%2Fb",
    "number/3",
    "number/3/",
    "number/x",
    "rest/a/b",
    "odd/ab",
    "odd/abc",
    "pieces",
    "wrapped",
    "context",
    "failing",
    "later",
    "later-wrapped",
    "later-context",
    "later-failing",
    "abort/400",
    "abort/404",
    "abort/502",
    "abort/503",
    "abort-with",
    "teapot",
    "conflict",
    "known",
    "unknown",
    "group",
    "missing",
    "forged",
    "count",
    "forget",
    "session",
    "cookies",
    "flash",
    "messages",
    "file",
    "memory",
]

SINGLE = [
    "/",
    "/class/",
    "/class",
    "/verbs/1",
    "/verbs/x",
    "/async-class",
    "/slash",
    "/slash/",
    "/strict",
    "/strict/",
    "/old",
    "/page",
    "/page/1",
    "/page/2",
    "/own-options",
    "/static/file.txt",
    "/static/nothing",
    "/static/../x",
    "/static/empty.bin",
    "/shop/0",
    "/shop/1",
    "/shop/2",
    "/shop/x",
    "/shop",
    "/s/quick",
    "/generator",
    "/plain-generator",
    "/s/template",
    "/s/template-stream",
    "/nothing",
    "/%E2%98%83",
]

MULTIPART = (
    b'--b\r\nContent-Disposition: form-data; name="key"\r\n\r\nvalue\r\n'
    b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\n'
    b"Content-Type: text/plain\r\n\r\ncontent\r\n--b--\r\n"
)

#: Bodies, as arguments of the client.
BODIES = {
    "nothing": {},
    "form": {"data": {"key": ["value", "other"], "x": "\N{SNOWMAN}"}},
    "multipart": {"data": MULTIPART, "content_type": "multipart/form-data; boundary=b"},
    "cut multipart": {
        "data": MULTIPART[:-20],
        "content_type": "multipart/form-data; boundary=b",
    },
    "no boundary": {"data": MULTIPART, "content_type": "multipart/form-data"},
    "json": {"json": {"a": [1, "\N{SNOWMAN}"]}},
    "bad json": {"data": b'{"a": ', "content_type": "application/json"},
    "surrogate": {"data": b'"\\ud800"', "content_type": "application/json"},
    "bytes": {"data": b"\0\xff" * 40_000, "content_type": "application/octet-stream"},
    "ten": {"data": b"0123456789", "content_type": "text/plain"},
    "eleven": {"data": b"0123456789a", "content_type": "text/plain"},
    "short": {"data": b"short", "environ_overrides": {"CONTENT_LENGTH": "20"}},
    "short form": {
        "data": {"key": "value"},
        "environ_overrides": {"CONTENT_LENGTH": "200"},
    },
    "long": {"data": b"too long", "environ_overrides": {"CONTENT_LENGTH": "3"}},
    "bad length": {"data": b"x", "environ_overrides": {"CONTENT_LENGTH": "x"}},
    "chunked": {
        "data": b"0123456789a",
        "environ_overrides": {
            "CONTENT_LENGTH": "",
            "HTTP_TRANSFER_ENCODING": "chunked",
            "wsgi.input_terminated": True,
        },
    },
}

READERS = [
    "/s/body",
    "/a/body",
    "/s/data",
    "/a/data",
    "/s/stream-in",
    "/a/stream-in",
    "/s/read-json",
    "/a/read-json",
    "/s/silent",
    "/a/silent",
    "/s/key",
    "/a/key",
    "/s/unread",
    "/a/unread",
    "/a/chunks",
    "/a/loaded",
    "/s/quick",
]

#: Headers, for views that look at them.
HEADERS = [
    {"Range": "bytes=0-4"},
    {"Range": "bytes=-4"},
    {"Range": "bytes=5-"},
    {"Range": "bytes=200-300"},
    {"Range": "bytes=4-2"},
    {"Range": "lines=1-2"},
    {"Range": "bytes=0-1,3-4"},
    {"Range": "bytes=0-4", "If-Range": '"other"'},
    {"If-None-Match": '"x"'},
    {"If-None-Match": "*"},
    {"If-None-Match": "broken"},
    {"If-Match": '"other"'},
    {"If-Modified-Since": NEW},
    {"If-Modified-Since": OLD},
    {"If-Modified-Since": "yesterday"},
    {"If-Unmodified-Since": OLD},
    {"Accept": "application/json;q=0.5, text/html"},
    {"Authorization": "Basic YWRhOnNlY3JldA=="},
    {"Authorization": "Basic %%%"},
    {"Cookie": "a=1; b=2; a=3"},
    {"Cookie": 'a="x;y"; =; \xe9=\xe9'},
    {"Cookie": "session=forged"},
    {"X-Repeated": "one, two"},
    {"X-Latin": "\xe9"},
    {"X_Under": "score"},
    {"Content-Type": "text/plain; charset=latin-1"},
]

FORWARDED = [
    {"X-Forwarded-For": "10.1.1.1"},
    {"X-Forwarded-For": "10.1.1.1, 10.2.2.2"},
    {"X-Forwarded-For": "10.1.1.1, 10.2.2.2, 10.3.3.3"},
    {"X-Forwarded-Proto": "https"},
    {"X-Forwarded-Proto": "https,http"},
    {"X-Forwarded-Host": "other.test"},
    {"X-Forwarded-Host": "bad host"},
    {"X-Forwarded-Port": "8443", "X-Forwarded-Host": "other.test"},
    {"X-Forwarded-Prefix": "/prefix"},
    {"X-Forwarded-For": "", "X-Forwarded-Proto": ""},
    {"Forwarded": "for=10.1.1.1;proto=https"},
]

HOSTS = [
    *(
        "localhost",
        "localhost:80",
        "localhost:443",
        "a.test",
        "A.test",
        "x.b.test:8000",
    ),
    *("x.b.test", "shop.test", "ada.shop.test", "a.b.shop.test", "shop.test:80"),
    *("good.test", "x.good.test", "evil.test", "127.0.0.1", "[::1]", "[::1]:8000"),
    *("", "a b", "a@b", "a/b", "a:b", "a..b", "\xe9.test", "xn--9ca.test", "a,b"),
]

#: Paths as they are in the environ: bytes, held as Latin-1.
PATHS = [
    *("", "/", "//", "//s//text", "/s//text", "/s/text/", "/s/../s/text", "/./s/text"),
    *("/s/user/\xe2\x98\x83", "/s/user/\xff", "/s/user/\xe2\x98", "/s/user/a b"),
    *("/s/user/%41", "/s/user/a+b", "/s/user/a;b", "/s/user/a:b@c", "/s/user/\0"),
    *("/s/rest//a", "/s/rest/a//b", "/s/rest/a/", "/static/%2e%2e/x", "/static//x"),
    *("/S/TEXT", "no/slash", "/s/user/..", "/s/user/" + "x" * 3000),
]

ROOTS = ["", "/root", "/root/deeper", "/r\xc3\xa9", "/s"]

QUERIES = ["", "a=1&a=2&b=", "a=%E2%98%83&b=\xe2\x98\x83", "a=%FF", "&&=&", "a+b=c%20d"]


def corpus():  # noqa: C901, PLR0912  # a table of tables
    """Give all the requests: the variant, the method, the path, the arguments."""
    paired = [f"/{door}/{path}" for path in PAIRED for door in "sa"]
    for path, method in itertools.product(paired + SINGLE, METHODS):
        yield "plain", method, path, {}
    for path in paired + SINGLE:
        for variant in ("overridden", "own request", "testing", "trapping"):
            yield variant, "GET", path, {}
        for root in ("/inner", "/inner/deep"):
            yield "mounted", "GET", root + path, {}
        for name in ("hook", "later", "failing"):
            yield "plain", "GET", path, {"query_string": f"{name}=1"}
        if "file" not in path and "static" not in path:
            yield "plain", "GET", path, {"query_string": "fail-after=1"}
        yield "root", "GET", path, {}
    for path, given, variant in itertools.product(
        READERS,
        BODIES.values(),
        ("plain", "limited", "parts", "overridden", "own request", "testing"),
    ):
        yield variant, "POST", path, given
    for given in BODIES.values():
        for prefix in ("/inner", "/inner/deep", "/wsgi"):
            # A WSGI application of others has no 400 for a client that has left.
            cut = prefix == "/wsgi" and "CONTENT_LENGTH" in str(given)
            yield "mounted", "POST", f"{prefix}/a/body", {} if cut else given
        yield "plain", "GET", "/a/body", given
        yield "plain", "POST", "/a/nothing", given
    for path, headers in itertools.product(
        ("/s/echo", "/a/file", "/s/file", "/static/file.txt", "/s/conditional"), HEADERS
    ):
        yield "plain", "GET", path, {"headers": headers}
    for headers, variant in itertools.product(FORWARDED, ("plain", "proxy", "proxies")):
        yield variant, "GET", "/a/echo", {"headers": headers}
        yield variant, "GET", "/s/built", {"headers": headers}
    for host, path, variant in itertools.product(
        HOSTS,
        ("/", "/echo", "/s/echo", "/slash"),
        ("plain", "hosts", "subdomains", "trusted", "proxy"),
    ):
        yield variant, "GET", path, {"environ_overrides": {"HTTP_HOST": host}}
    for path, root, variant in itertools.product(
        PATHS, ROOTS, ("plain", "overridden", "mounted")
    ):
        place = {"PATH_INFO": path, "SCRIPT_NAME": root}
        yield variant, "GET", "/", {"environ_overrides": place}
    for query, path in itertools.product(QUERIES, ("/s/echo", "/a/echo", "/slash")):
        given = {"environ_overrides": {"QUERY_STRING": query}}
        yield "plain", "GET", path, given
    for method in METHODS:
        yield "no options", method, "/s/text", {}
        yield "no options", method, "/a/text", {}
        yield "mounted", method, "/wsgi/x", {}
        yield "mounted", method, "/inner/slash", {}


CORPUS = list(corpus())

#: What the quick suite sends: seven is no divisor of how many methods and bodies there are.
QUICK = CORPUS[::7]

#: Cookies of a session that a client may have.
COOKIES = [None, {"count": 3}, {"_flashes": [["message", "before"]]}]


@pytest.fixture(scope="module")
def applications(tmp_path_factory):
    """Return one application for each variant; both doors use the same one."""
    folder = tmp_path_factory.mktemp("static")
    return {name: make(folder) for name, make in VARIANTS.items()}


@pytest.fixture(autouse=True)
def _one_moment(monkeypatch):
    """Sign all sessions in the same second."""
    monkeypatch.setattr("erlen._signing.time", SimpleNamespace(time=lambda: 1.7e9))


def ask(app, door, method, path, given, stored=None):
    """Return the answer to a request, or what was raised."""
    client = app.test_client(door=door, validate=door == "asgi")
    given = given | {"headers": dict(given.get("headers", ()))}
    try:
        if stored is not None:
            with client.session_transaction() as opened:
                opened.update(stored)
        with client.open(path, method=method, **given) as response:
            headers = sorted((name.lower(), value) for name, value in response.headers)
            fields = [field for field in headers if field[0] != "date"]
            return response.status_code, fields, response.data
    except Exception as exc:  # noqa: BLE001  # it is compared
        return type(exc), str(exc)


def compare(app, *args):
    """Return the answers of both doors where they differ."""
    answers = [ask(app, door, *args) for door in ("wsgi", "asgi")]
    return [] if answers[0] == answers[1] else [(*args, *answers)]


def find_differences(app, requests):
    return [found for args in requests for found in compare(app, *args)]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.filterwarnings("ignore:Current server name")
def test_equal_answers(applications, variant):
    requests = [args for name, *args in QUICK if name == variant]
    assert requests
    assert find_differences(applications[variant], requests) == []


@pytest.mark.fuzz
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.filterwarnings("ignore:Current server name")
def test_equal_answers_of_all(applications, variant):
    requests = [args for name, *args in CORPUS if name == variant]
    assert find_differences(applications[variant], requests) == []


def test_there_are_enough_requests():
    assert len(QUICK) >= 500


@pytest.mark.parametrize("stored", COOKIES)
@pytest.mark.parametrize("path", ["count", "forget", "session", "flash", "messages"])
def test_equal_sessions(applications, path, stored):
    requests = [("GET", f"/{kind}/{path}", {}, stored) for kind in "sa"]
    for variant in ("plain", "overridden", "own request"):
        assert find_differences(applications[variant], requests) == []
