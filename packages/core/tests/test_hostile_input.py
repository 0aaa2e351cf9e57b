"""Nothing that a client sends becomes a 500."""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import json
import os
import random

import pytest
from werkzeug.exceptions import BadRequest
from werkzeug.exceptions import HTTPException

import erlen
from erlen import Blueprint
from erlen import Erlen
from erlen import Request
from erlen import request
from erlen import session
from erlen.json.provider import DefaultJSONProvider
from erlen.json.provider import JSONProvider

# What hooks read of a request: all that it derives from the environ.
READ = [
    name
    for name in dir(Request)
    if not name.startswith("_") and not callable(getattr(Request, name))
]

FAR = "Thu, 01 Jan 99999999999999999999 00:00:00 GMT"
LONG = "9" * 5000
FORM = "application/x-www-form-urlencoded"

PATHS = [
    *("", "/", "//", "///a", "*", "x", "/%", "/%zz", "/%ff", "/\xff", "/\xed\xa0\x80"),
    *("/text", "/text//", "/text/\x00", "/text/\r\nX: y", "/text/\xc3", "/text/%2e%2f"),
    *(f"/int/{LONG}", "/int/\xd9\xa1", "/int/\xc2\xb2", "/int/-1", "/int/", "/int/1_0"),
    *(f"/signed/-{LONG}", "/signed/--1", f"/float/{LONG}.0", "/float/1e5", "/float/.5"),
    *("/uuid/x", f"/uuid/{'0' * 36}", "/any/x", "/any/", "/path/", "/path//", "/slash"),
    *("/path/" + "../" * 500, "/path/a\nb", "/" + "a/" * 500, "/" + "/" * 500),
    *("//evil.example/slash", "/\\evil.example/slash", "/slash//a", "/page/1", "/old"),
    *("/static/", "/static/../x", "/static/\x00", "/static/\xff", "/static/a.txt/b"),
    *(f"/static/{'a' * 300}", "/static//etc/passwd", "/static/..\\x", "/static/CON"),
    *("/shop/\xff/", "/shop//", "/shop/a\nb/", "http://evil.example/", "evil:443"),
]
QUERIES = [
    *("=", "&&&", "q", "q=%", "q=%zz", "q=%ff", "q=\xff", "\x80\x81=\xfe", "q=\xc3"),
    *("q=%ed%a0%80", "q=%00", "q=\x00", "q=%0d%0aX:%20y", "%ff=%ff", "q;r=s", "?q=1#x"),
    "q=" + "a" * 50_000,
]
HOSTS = [
    *(
        "",
        " ",
        "a b",
        "a,b",
        "a:b",
        "a:99999",
        "a:",
        "a:80:80",
        ":80",
        "a\x00",
        "a\r\n",
    ),
    *(
        "[",
        "[::1",
        "[x]",
        "[::1]:80",
        "::1",
        "user@a",
        "a/b",
        "a\\b",
        "a?b",
        "%00",
        "-",
    ),
    *("xn--", "xn--a", "XN--A", "xn--a.example:80", "xn--9ca.com", ".", "..", "a..b"),
    *("\xff", "\xc3\xa9.com", "\xc3\xa9" * 70, "a_b", "<b>", "a" * 5000, "a." * 500),
]
METHODS = ["", "get", "FOO", "G T", "G\xc9T", "TRACE", "CONNECT", "\xdf", "A" * 5000]
HEADERS = {
    "HTTP_ACCEPT": ["*/*;q=x", "a;q=nan", "a;q=1e9", ";", '"', "\xff", "a/b;" * 500],
    "HTTP_ACCEPT_CHARSET": ["\xff", "a;q=-1", "utf-8;;;q==,"],
    "HTTP_ACCEPT_LANGUAGE": ["x-" * 500, "\xff;q=0.\xb2", "en_US;q"],
    "HTTP_AUTHORIZATION": [
        *("Basic", "Basic \xff", "Basic YQ", "Basic /w==", "Bearer", "\xff \xff"),
        *("Digest a*=\xff", "Digest a=", "Digest " + 'a="b,' * 500),
    ],
    "HTTP_CACHE_CONTROL": [f"max-age={LONG}", 'no-cache="', "=,=", "\xff"],
    "HTTP_CONNECTION": ["upgrade", "\xff"],
    "HTTP_CONTENT_ENCODING": ["\xff"],
    "HTTP_COOKIE": [
        *("=", "a", ";;;", "a=b; " * 170, "\xff=\xff", "session=", "session=\xff"),
        *('session="\\777"', 'session="\\', "session=.eJw.x.y", "session=e30.a.\xff"),
        *("session=eyJfcGVybWFuZW50Ijp0cnVlfQ.a.b", "session=\x00", f"session={LONG}"),
    ],
    "HTTP_DATE": [FAR, "x", "\xff"],
    "HTTP_FORWARDED": ["for=\xff;host=evil.example", '"'],
    "HTTP_IF_MATCH": ['"', "W/", "*,*", '"a"b"', "\xff"],
    "HTTP_IF_MODIFIED_SINCE": [FAR, "Fri, 31 Dec 9999 23:59:59 -2359", "1 1 1", "\xff"],
    "HTTP_IF_NONE_MATCH": ['"', "W/", "*,*", '"a"b"', "\xff"],
    "HTTP_IF_RANGE": [FAR, "Thu, 01 Jan 0001 00:00:00 +2359", '"', "W/", "\xff"],
    "HTTP_IF_UNMODIFIED_SINCE": [FAR, "x", "\xff"],
    "HTTP_MAX_FORWARDS": [LONG, "-1", "\xb2"],
    "HTTP_RANGE": [
        *("bytes", "bytes=", "bytes=-", "bytes=-0", "bytes=1-0", "bytes=9-", "x=0-1"),
        *(f"bytes={LONG}-", f"bytes=-{LONG}", "bytes=0-0," * 500, "bytes=\xb2-\xb3"),
    ],
    "HTTP_TRANSFER_ENCODING": ["chunked", "x", "\xff"],
    "HTTP_UPGRADE": ["websocket", "\xff"],
    "HTTP_USER_AGENT": ["\xff", "", "Mozilla/" * 500],
    "REMOTE_ADDR": ["", "\xff", "unix:"],
    "SCRIPT_NAME": ["a", "/\xff", "//evil.example", "/a/"],
    "SERVER_PORT": ["", "x", "-1"],
}
FORWARDED = {
    "FOR": [",", "\xff", "[::1", "a:b:c"],
    "HOST": ["xn--a", "\xff", "[::1", "a,b,", "a b"],
    "PORT": ["x", "-1", "\xb2", "99999"],
    "PREFIX": ["a", "//evil.example", "\xff", "xn--a", ":1"],
    "PROTO": ["ws", "javascript", "//evil.example", "\xff", ","],
}
FIELD = 'Content-Disposition: form-data; name="a"'
FILE = f'{FIELD}; filename="b"'
LATIN = [
    *(
        "",
        "\r\nv",
        FIELD,
        f"{FIELD}\r\n\r\n\xff",
        f"{FIELD}\r\n x\r\n\r\nv",
        ": b\r\n\r\nv",
    ),
    *(
        f'{FIELD[:-1]}\xff"\r\n\r\nv',
        f"{FIELD[:-4]}*=utf-8''%ff\r\n\r\nv",
        "A\r\n\r\nv",
    ),
    *(f"{FILE}\r\nContent-Length: {size}\r\n\r\nv" for size in ("-1", "x", LONG)),
    *(f"{FILE}\r\nContent-Type: {kind}\r\n\r\nv" for kind in ("\xff", ";", "")),
    f"{FIELD}\r\nContent-Type: text/plain; charset=idna\r\n\r\nxn--a",
    f"{FIELD}\r\n" + "A: b\r\n" * 500 + "\r\nv",
    f"{FIELD}\r\n\r\n" + "v" * 500_001,
]
PARTS = [b"", b"--B", b"--B--", b"\r\n" * 5000, b"--B\r\n" * 500]
PARTS += [f"--B\r\n{part}\r\n--B--\r\n".encode("latin1") for part in LATIN]
JSON = [
    *(b"", b"{", b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5000, b"1e999", b"NaN"),
    *(b'"\xff"', b'"\\ud800"', b"\xff\xfe{", b"\x00", b"\xef\xbb\xbf{}"),
]
FIELDS = [b"\xff", b"%ff=%", b"&" * 5000, b"=" * 5000, b"a=\x00"]
BODIES = [
    *((FORM, body) for body in FIELDS),
    *(("multipart/form-data; boundary=B", body) for body in PARTS),
    *(("application/json", body) for body in JSON),
    *((f"{FORM}; charset={name}", b"a=\xff") for name in ("utf-7", "x", "\xff", '"')),
    *(
        (f"multipart/form-data{end}", b"--B\r\n\r\n\r\n--B--")
        for end in ("", "; boundary=", "; boundary=\xff", "; boundary=" + "b" * 500)
    ),
    *(
        (kind, b"a=b")
        for kind in ("", "\xff", ";", "a/b;" * 500, "text/plain; charset=")
    ),
]
LENGTHS = ["-1", "x", "", "+3", "0x3", "3_0", "\xb2", LONG, "100", "1"]
VIEWS = ["/", "/body", "/json", "/form", "/page", "/stream", "/urls"]
CONDITIONAL = ["/static/a.txt", "/conditional"]
DATED = ["HTTP_IF_MODIFIED_SINCE", "HTTP_IF_UNMODIFIED_SINCE", "HTTP_IF_RANGE"]
REDIRECTED = ["/slash", "/page/1", "/old", "//text//x", "/nothing"]


def read_everything():
    if "test.reads" not in request.environ:
        return
    for name in READ:
        with contextlib.suppress(HTTPException):
            getattr(request, name)
    with contextlib.suppress(HTTPException):
        request.get_json(silent=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Return an application whose errors reach the test that caused them."""
    root = tmp_path_factory.mktemp("site")
    (root / "static").mkdir()
    (root / "static" / "a.txt").write_text("0123456789")
    app = Erlen(__name__, root_path=str(root))
    app.config.update(TESTING=True, SECRET_KEY="a key for tests only")
    app.before_request(read_everything)
    add_rules(app)
    add_views(app)
    return app


def add_rules(app):
    for rule in ("text/<", "int/<int:", "signed/<int(signed=True):", "float/<float:"):
        app.add_url_rule(f"/{rule}x>", rule, lambda x: repr(x)[:100])
    for rule in ("uuid/<uuid:", "any/<any(a,b):", "path/<path:"):
        app.add_url_rule(f"/{rule}x>", rule, lambda x: x)
    app.add_url_rule("/slash/", "slash", lambda: "")
    app.add_url_rule("/page/", "pages", lambda page: str(page), defaults={"page": 1})
    app.add_url_rule("/page/<int:page>", "pages")
    app.add_url_rule("/old", "old", redirect_to="/text/new")
    shop = Blueprint("shop", __name__, url_prefix="/shop/<city>")
    shop.add_url_rule("/", "home", lambda city: erlen.url_for(".home", city=city))
    app.register_blueprint(shop)


def add_views(app):
    view = functools.partial(app.route, methods=["GET", "POST"])

    @view("/")
    def index():
        return erlen.redirect(erlen.url_for("index", q=request.args.get("q")))

    @view("/body")
    def body():
        return request.get_data()

    @view("/json")
    def json():
        return {"got": request.get_json(force=True)}

    @view("/form")
    def form():
        uploads = {name: file.filename for name, file in request.files.items()}
        return {"form": request.form, "files": uploads, "key": request.form["a"]}

    @view("/page")
    def page():
        session["seen"] = session.get("seen", 0)
        erlen.flash(request.args.get("q", ""))
        return erlen.render_template_string(
            "{{ request.args }}{{ request.form }}{{ request.cookies }}{{ request.url }}"
            "{{ get_flashed_messages() }}{{ url_for('index', _external=True) }}"
        )

    @view("/stream")
    def stream():
        return erlen.stream_template_string("{{ request.args }}{{ request.host }}")

    @view("/urls")
    def urls():
        external = erlen.url_for("slash", _external=True)
        return f"{request.url} {request.full_path} {external}"

    @view("/conditional")
    def conditional():
        response = erlen.make_response("0123456789")
        response.add_etag()
        response.last_modified = 1_000_000_000
        return response.make_conditional(request, True, 10)


def send(app, path="/", body=None, **changes):
    """Send a request as a server would, in its own way of writing.

    Args:
        app: The application.
        path: As in the environ.
        body: Makes it a POST.
        changes: Of the environ; None takes a key out.

    Returns:
        Status code, headers and body, of which the first is no server error.
    """
    environ = {
        "REQUEST_METHOD": "GET" if body is None else "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "CONTENT_LENGTH": None if body is None else str(len(body)),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body or b""),
        "wsgi.errors": io.StringIO(),
        **changes,
    }
    environ = {key: value for key, value in environ.items() if value is not None}
    started = []
    answer = app(environ, lambda status, headers: started.append((status, headers)))
    content = b"".join(answer)
    getattr(answer, "close", int)()
    [(status, headers)] = started
    code = int(status[:3])
    assert code < 500
    return code, dict(headers), content


def shorten(value):
    return ascii(value)[:30]


READS = {"test.reads": True}


@pytest.mark.parametrize("path", PATHS, ids=shorten)
def test_paths(site, path):
    for method in ("GET", "HEAD", "POST", "OPTIONS", "FOO", "TRACE"):
        send(site, path, REQUEST_METHOD=method, **READS)


@pytest.mark.parametrize("query", QUERIES, ids=shorten)
def test_queries(site, query):
    for path in (*VIEWS, *REDIRECTED):
        send(site, path, QUERY_STRING=query, **READS)


@pytest.mark.parametrize("host", [*HOSTS, None], ids=shorten)
@pytest.mark.parametrize("trusted", [None, ["localhost", ".example.com"]])
def test_hosts(site, monkeypatch, trusted, host):
    monkeypatch.setitem(site.config, "TRUSTED_HOSTS", trusted)
    for path in ("/page", "/stream", "/urls", *REDIRECTED):
        send(site, path, HTTP_HOST=host, **READS)


@pytest.mark.parametrize("method", METHODS, ids=shorten)
def test_methods(site, method):
    for path in (*VIEWS, *CONDITIONAL, *REDIRECTED):
        send(site, path, REQUEST_METHOD=method, **READS)


@pytest.mark.parametrize("name", HEADERS)
def test_headers(site, name):
    for value in HEADERS[name]:
        for path in ("/page", "/stream", *CONDITIONAL):
            send(site, path, **{name: value}, **READS)


@pytest.mark.parametrize("hops", [0, dict.fromkeys(map(str.lower, FORWARDED), 1)])
@pytest.mark.parametrize("name", FORWARDED)
def test_proxies(site, monkeypatch, name, hops):
    monkeypatch.setitem(site.config, "PROXY_HOPS", hops)
    for host, value in itertools.product(
        ["localhost", "[::1]:5", None], FORWARDED[name]
    ):
        for path in ("/page", "/urls", "/slash"):
            changes = {f"HTTP_X_FORWARDED_{name}": value, "HTTP_HOST": host}
            send(site, path, **changes, **READS)


@pytest.mark.parametrize(("kind", "body"), BODIES, ids=shorten)
@pytest.mark.parametrize("reads", [{}, READS], ids=["", "read before"])
def test_bodies(site, reads, kind, body):
    chunked = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    for path in ("/body", "/json", "/form", "/page"):
        for changes in ({}, chunked):
            send(site, path, body, CONTENT_TYPE=kind, **changes, **reads)


@pytest.mark.parametrize("length", LENGTHS, ids=shorten)
@pytest.mark.parametrize("ends", [False, True])
def test_lengths(site, ends, length):
    changes = {"CONTENT_LENGTH": length, "wsgi.input_terminated": ends}
    for path in VIEWS:
        send(site, path, b"a=b", CONTENT_TYPE=FORM, **changes, **READS)


def test_conditions_and_ranges_together(site):
    dates = HEADERS["HTTP_IF_RANGE"] + HEADERS["HTTP_IF_MODIFIED_SINCE"]
    spans = ["bytes=0-1", *HEADERS["HTTP_RANGE"]]
    for path, name, date, span in itertools.product(CONDITIONAL, DATED, dates, spans):
        send(site, path, **{name: date, "HTTP_RANGE": span})


def test_random_requests(site):
    random_ = random.Random(1)
    tokens = [*"a190=;,&%'*/:.-_[]?#@\\\" \t\x00\xff", "%ff", "\xc3\xa9", "xn--"]
    tokens += ["q=", "bytes=", "Basic ", "session=", "boundary=", "charset=", "GMT"]
    names = [name for name in HEADERS if name.startswith("HTTP_")]
    names += ["HTTP_HOST", "QUERY_STRING", "CONTENT_TYPE", "PATH_INFO"]
    for _ in range(400):
        text = "".join(random_.choices(tokens, k=random_.randrange(1, 9)))
        body = random_.choice([None, b"a=b", text.encode()])
        changes = {random_.choice(names): text}
        send(site, random_.choice(VIEWS), body, **changes, **READS)


# What is answered, where it was a 500 or worse


@pytest.mark.parametrize("path", CONDITIONAL)
@pytest.mark.parametrize("name", DATED)
def test_a_date_that_is_none_is_no_condition(site, path, name):
    assert send(site, path, **{name: FAR})[::2] == (200, b"0123456789")

    status, headers, body = send(site, path, **{name: FAR, "HTTP_RANGE": "bytes=2-3"})

    assert (status, headers["Content-Range"], body) == (206, "bytes 2-3/10", b"23")


def test_headers_that_cannot_be_read_are_absent(site):
    headers = {"Authorization": "Basic \xff", "Date": FAR, "If-Range": FAR}
    with site.test_request_context(headers=headers):
        assert request.authorization is None
        assert request.date is None
        assert request.if_range.date is None


def test_bytes_of_a_query_that_are_no_text_are_quoted(site):
    assert send(site, "/urls", QUERY_STRING="q=\xff&r=\xc3\xa9")[2].decode() == (
        "http://localhost/urls?q=%FF&r=é /urls?q=%FF&r=é http://localhost/slash/"
    )


@pytest.mark.parametrize("host", ["xn--a", "XN--A:80", "xn--"])
def test_a_host_that_is_no_name_is_empty(site, host):
    assert send(site, "/urls", HTTP_HOST=host)[2].startswith(b"http:///urls ")


class Broken(io.BytesIO):
    """Be the input of a server whose client sends rubbish between the chunks."""

    def readinto(self, buffer):
        if self.tell() == len(self.getvalue()):
            raise OSError("Invalid chunk header")
        return super().readinto(buffer)

    def read(self, size=-1):
        if self.tell() == len(self.getvalue()):
            raise OSError("Invalid chunk header")
        return super().read(size)


@pytest.mark.parametrize("limit", [None, 3, 1000])
@pytest.mark.parametrize("path", ["/body", "/json", "/form"])
def test_a_broken_input_is_a_400(site, monkeypatch, path, limit):
    monkeypatch.setitem(site.config, "MAX_CONTENT_LENGTH", limit)
    broken = {"wsgi.input": Broken(b"a=b"), "wsgi.input_terminated": True}

    status, _, _ = send(site, path, REQUEST_METHOD="POST", CONTENT_TYPE=FORM, **broken)

    assert status == 400


@pytest.mark.parametrize("length", ["3", "x", "", "100"])
def test_chunked_wins_over_a_length(site, length):
    chunked = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}

    assert (
        send(site, "/body", b"abcdef", CONTENT_LENGTH=length, **chunked)[2] == b"abcdef"
    )


def test_no_method_is_no_get(site):
    assert send(site, "/body")[0] == 200
    assert send(site, "/body", REQUEST_METHOD="")[0] == 405


def test_routes_look_at_the_method_that_was_sent(site, monkeypatch):
    class Overridden(Request):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.method = "POST"

    monkeypatch.setattr(site, "request_class", Overridden)
    for _ in range(2):
        assert send(site, "/slash/")[0] == 200
        assert send(site, "/slash/", REQUEST_METHOD="POST")[0] == 405


@pytest.mark.parametrize(
    ("name", "value", "url"),
    [
        ("PREFIX", "a", "http://localhost/a/urls"),
        ("PREFIX", "//evil.example/", "http://localhost/evil.example/urls"),
        ("PROTO", "javascript", "http://localhost/urls"),
        ("PROTO", "wss", "https://localhost/urls"),
    ],
)
def test_a_proxy_that_lets_a_client_through(site, monkeypatch, name, value, url):
    monkeypatch.setitem(site.config, "PROXY_HOPS", {"prefix": 1, "proto": 1})

    body = send(site, "/urls", **{f"HTTP_X_FORWARDED_{name}": value})[2].decode()

    assert body.startswith(f"{url} ")


# Halves of surrogate pairs, which no encoding can write

HALF = "\xed\xa0\x80"  # what the bytes of one are in an environ
QUOTED = "%ED%A0%80"


def part(names):
    text = f"--B\r\nContent-Disposition: form-data; {names}\r\n\r\nv\r\n--B--\r\n"
    changes = {"body": text.encode("latin1")}
    return changes | {"CONTENT_TYPE": "multipart/form-data; boundary=B"}


def content(kind, text):
    return {"body": text.encode("latin1"), "CONTENT_TYPE": kind}


def first(values):
    return next(iter(values))


# Where a client can put a text, and where a view finds it.
SOURCES = {
    "path": (lambda: request.view_args["rest"], {"path": f"/echo/{HALF}"}),
    "query": (lambda: request.args["q"], {"QUERY_STRING": f"q={HALF}"}),
    "query quoted": (lambda: request.args["q"], {"QUERY_STRING": f"q={QUOTED}"}),
    "name in a query": (lambda: first(request.args), {"QUERY_STRING": f"{QUOTED}=1"}),
    "url": (lambda: request.url, {"path": f"/echo/{HALF}", "QUERY_STRING": HALF}),
    "full_path": (lambda: request.full_path, {"QUERY_STRING": HALF}),
    "root_path": (lambda: request.root_path, {"SCRIPT_NAME": f"/{HALF}"}),
    "form": (lambda: request.form["a"], content(FORM, f"a={QUOTED}")),
    "name in a form": (lambda: first(request.form), content(FORM, f"{QUOTED}=1")),
    "field": (lambda: first(request.form), part(f"name*=utf-8''{QUOTED}")),
    "file": (
        lambda: request.files["a"].filename,
        part(f"name=a; filename*=utf-8''{QUOTED}"),
    ),
    "name of a file": (
        lambda: first(request.files),
        part(f"name*=utf-8''{QUOTED}; filename=a"),
    ),
    "cookie": (lambda: request.cookies["a"], {"HTTP_COOKIE": f"a={HALF}"}),
    "cookie quoted": (
        lambda: request.cookies["a"],
        {"HTTP_COOKIE": 'a="\\355\\240\\200"'},
    ),
    "name of a cookie": (lambda: first(request.cookies), {"HTTP_COOKIE": f"{HALF}=1"}),
    "header": (lambda: request.headers["X-A"], {"HTTP_X_A": HALF}),
    "host": (lambda: request.host, {"HTTP_HOST": HALF}),
    "referrer": (lambda: request.referrer, {"HTTP_REFERER": HALF}),
    "parameter": (
        lambda: request.mimetype_params["a"],
        {"CONTENT_TYPE": f"a/b; a*=utf-8''{QUOTED}"},
    ),
    "body": (lambda: request.get_data(as_text=True), content("text/plain", HALF)),
    "json": (lambda: request.json[0], content("application/json", '["\\ud800"]')),
    "json raw": (lambda: request.json[0], content("application/json", f'["{HALF}"]')),
    "name in json": (
        lambda: first(request.json),
        content("application/json", '{"\\udfff": 1}'),
    ),
}


def echo_cookie(text):
    response = erlen.make_response("")
    response.set_cookie("a", text, path=f"/{text}")
    return response


ECHOES = {
    "text": lambda text: text,
    "json": lambda text: {"text": text, text: 1},
    "header": lambda text: ("", {"X-Text": text}),
    "redirect": lambda text: erlen.redirect(text or "/"),
    "url": lambda text: erlen.url_for(
        "echo", rest=text, q=text, _anchor=text, _external=True
    ),
    "template": lambda text: erlen.render_template_string(
        "{{ t }}{{ t|tojson }}{{ t|urlencode }}{{ url_for('index', q=t) }}", t=text
    ),
    "stream": lambda text: erlen.stream_template_string("{{ t }}", t=text),
    "cookie": echo_cookie,
    "session": lambda text: session.update({text: [text]}) or "",
    "flash": lambda text: erlen.flash(text) or str(erlen.get_flashed_messages()),
    "log": lambda text: erlen.current_app.logger.warning("%s", text) or "",
    "file": lambda text: erlen.send_file(io.BytesIO(), "text/plain", True, text),
    "error": lambda text: erlen.abort(400, text),
}


@pytest.fixture
def echoing(app):
    """Return an application that sends back what is found in a request."""

    @app.route("/echo/", defaults={"rest": ""}, methods=["GET", "POST"])
    @app.route("/echo/<path:rest>", methods=["GET", "POST"])
    def echo(rest):
        how, find = request.environ["test.echo"]
        return ECHOES[how](find())

    app.add_url_rule("/", "index")
    return app


@pytest.mark.parametrize("how", ECHOES)
@pytest.mark.parametrize("source", SOURCES)
def test_half_a_pair_can_be_echoed_or_is_refused(echoing, source, how):
    find, changes = SOURCES[source]

    code, _, _ = send(
        echoing, **{"path": "/echo/"} | changes | {"test.echo": (how, find)}
    )

    refused = "json" in source or how == "error"
    assert code == (400 if refused else 302 if how == "redirect" else 200)


# JSON

OK, BAD = {200}, {400}
NESTED = {depth: b"[" * depth + b"]" * depth for depth in (10, 100, 10_000, 1_000_000)}
JSON_CODES = [
    (NESTED[10], OK),
    (NESTED[100], OK),
    (NESTED[10_000], OK | BAD),  # how deep is too deep is the interpreter's business
    (NESTED[1_000_000], BAD),
    (b'{"a":' * 1_000_000, BAD),
    (b"9" * 4_000, OK),
    (b"9" * 5_000, BAD),
    (b"-" + b"9" * 5_000, BAD),
    *((number, OK) for number in (b"NaN", b"-Infinity", b"1e999")),  # as in Flask
    *((text, BAD) for text in (b"", b"\x00", b"nan", b"{", b'"\xff"', b"\xff\xfe\xff")),
    *(("['é']".replace("'", '"').encode(f"utf-{n}"), OK) for n in ("8-sig", 16, 32)),
    (b'"' + b"a" * 10_000_000 + b'"', OK),
    (b'"' + b"a" * 10_000_000, BAD),
    # Pairs, and what only looks like half of one.
    (b'"\\ud83d\\ude00\\uD83D\\uDE00"', OK),
    (b'{"\\ud83d\\ude00": ["\\u00e9"]}', OK),
    (b'"\\\\ud800"', OK),
    ("['😀', '하']".replace("'", '"').encode(), OK),
    ("'😀'".replace("'", '"').encode("utf-16"), OK),
    # Halves.
    (b'"\\ud800"', BAD),
    (b'"\\uDFFF"', BAD),
    (b'"\\ude00\\ud83d"', BAD),
    (b'"\\\\\\ud800"', BAD),
    (b'{"a": [{"b": [1, null, "\\ud83d\\ud83d\\ude00"]}]}', BAD),
    (b'[{"a": {"\\udc00": 1}}]', BAD),
    (b'["\xed\xa0\x80"]', BAD),
    (b'["\xed\xb0\x80"]', BAD),
    ('"\ud800"'.encode("utf-16", "surrogatepass"), BAD),
    ('"\\ud800"'.encode("utf-32"), BAD),
]


def brief(value):
    return shorten(value[:30]) if isinstance(value, bytes) else None


class Bare(JSONProvider):
    """A provider that lets each error of its library through."""

    def dumps(self, obj, **kwargs):
        return json.dumps(obj, **kwargs)

    def loads(self, s, **kwargs):
        return json.loads(s, **kwargs)


@pytest.mark.parametrize(("text", "codes"), JSON_CODES, ids=brief)
@pytest.mark.parametrize("provider", [DefaultJSONProvider, Bare])
def test_json(site, monkeypatch, provider, text, codes):
    monkeypatch.setattr(site, "json", provider(site))
    for debug in (False, True):
        monkeypatch.setitem(site.config, "DEBUG", debug)
        code, _, _ = send(site, "/json", text, CONTENT_TYPE="application/json")
        assert code in codes


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize(
    "text", [it[0] for it in JSON_CODES if it[1] == BAD], ids=brief
)
def test_json_that_is_refused_is_none_in_silence(site, text, cache):
    for order in ([True, False], [False, True]):
        with site.test_request_context(data=text, content_type="application/json"):
            for silent in order if cache else order[:1]:
                if silent:
                    assert request.get_json(silent=True, cache=cache) is None
                else:
                    with pytest.raises(BadRequest):
                        request.get_json(cache=cache)


# Hosts

FOREIGN = [
    *("evil.test", "evil.test:80", "shop.test.evil.test", "evilshop.test", "shopxtest"),
    *("shop.test, evil.test", "shop.test,evil.test", "shop.test evil.test"),
    *("shop.test@evil.test", "evil.test@shop.test", "shop.test:evil", "evil.test:x"),
    *("shop.test\x00.evil.test", "evil.test#shop.test", "", None),
]


@pytest.fixture
def asking(app):
    """Return an application that asks for its host wherever it can be asked."""
    app.add_url_rule("/", "index", lambda: where())
    app.add_url_rule("/slash/", "slash", lambda: "")
    app.add_url_rule("/old", "old", redirect_to="/")

    def where(error=None):
        urls = [request.url, request.host_url, erlen.url_for("index", _external=True)]
        return " ".join(urls), getattr(error, "code", 200)

    def add_header(response):
        response.headers["X-Url"] = request.base_url
        return response

    app.register_error_handler(HTTPException, where)
    app.after_request(add_header)
    app.teardown_request(lambda exc: request.url)
    return app


@pytest.mark.parametrize("host", FOREIGN, ids=shorten)
@pytest.mark.parametrize("server_name", [None, "shop.test"])
@pytest.mark.parametrize("trusted", [["shop.test"], [".shop.test"]])
def test_no_foreign_host_is_emitted(asking, trusted, server_name, host):
    asking.config.update(TRUSTED_HOSTS=trusted, SERVER_NAME=server_name)
    send(asking, HTTP_HOST="shop.test")
    for path in ("/", "/slash", "/old", "//slash", "/nothing"):
        code, headers, content = send(asking, path, HTTP_HOST=host, SERVER_NAME="evil")
        assert code == 400
        assert b"evil" not in content
        assert "evil" not in str(headers)


@pytest.mark.parametrize("host", FOREIGN, ids=shorten)
def test_the_page_of_a_refused_host_does_not_name_it(app, host):
    app.config["TRUSTED_HOSTS"] = ["shop.test"]

    code, _, content = send(app, HTTP_HOST=host)

    assert code == 400
    assert b"evil" not in content


@pytest.mark.parametrize("host", ["shop.test", "shop.test:8000", "a.b.shop.test:1"])
def test_a_trusted_host_is_emitted_with_its_port(asking, host):
    asking.config["TRUSTED_HOSTS"] = [".shop.test"]

    code, headers, content = send(asking, HTTP_HOST=host)

    assert (code, headers["X-Url"]) == (200, f"http://{host}/")
    assert content.decode() == " ".join([f"http://{host}/"] * 3)
    assert send(asking, "/slash", HTTP_HOST=host)[1]["Location"] == (
        f"http://{host}/slash/"
    )


def test_a_configured_host_is_emitted_for_any_other(asking):
    asking.config["SERVER_NAME"] = "shop.test"

    for host in ("evil.test", "evil.test:81", None):
        content = send(asking, HTTP_HOST=host)[2]
        assert content.endswith(b" http://shop.test/")
        location = send(asking, "/slash", HTTP_HOST=host)[1]["Location"]
        assert location == "http://shop.test/slash/"


# What proxies say, and what only looks so

FORGED = {
    "X-Forwarded-For": "203.0.113.66",
    "X-Forwarded-Host": "evil.test",
    "X-Forwarded-Port": "666",
    "X-Forwarded-Prefix": "/evil",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Scheme": "https",
    "X-Forwarded-Server": "evil.test",
    "X-Forwarded-Ssl": "on",
    "X_Forwarded_For": "203.0.113.66",
    "X_Forwarded_Host": "evil.test",
    "X_Forwarded_Proto": "https",
    "Forwarded": "for=203.0.113.66;host=evil.test;proto=https",
    "Front-End-Https": "on",
    "X-Host": "evil.test",
    "X-HTTP-Method-Override": "DELETE",
    "X-Original-URL": "/evil",
    "X-Real-IP": "203.0.113.66",
    "X-Rewrite-URL": "/evil",
}
BY_HOPS = {"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"}
BY_HOPS |= {name.replace("-", "_") for name in BY_HOPS}  # one key in an environ


@pytest.fixture
def telling(asking):
    """Return an application that tells what it knows of its client."""

    @asking.get("/client")
    def client():
        session.permanent = True
        known = request.remote_addr, request.scheme, request.method, request.is_secure
        return str((*known, request.root_path, request.server))

    return asking


@pytest.mark.parametrize(
    ("hops", "name"),
    [
        (hops, name)
        for hops in (None, 0, {}, 1, {"for": 0, "prefix": 0})
        for name in FORGED
        if hops != 1 or name not in BY_HOPS
    ],
)
def test_forged_headers_change_nothing(telling, hops, name):
    telling.config["PROXY_HOPS"] = hops
    key = f"HTTP_{name.upper().replace('-', '_')}"
    for path in ("/", "/client", "/slash", "/old", "/nothing"):
        sent = [
            send(telling, path, REMOTE_ADDR="192.0.2.1", **changes)
            for changes in ({}, {key: FORGED[name]})
        ]
        for _, headers, _ in sent:
            cookie = headers.pop("Set-Cookie", "")
            assert "Secure" not in cookie
        assert sent[0] == sent[1]


def test_only_the_last_hop_is_believed(telling):
    telling.config["PROXY_HOPS"] = 1
    said = {
        "HTTP_X_FORWARDED_FOR": "203.0.113.66, 198.51.100.7",
        "HTTP_X_FORWARDED_HOST": "evil.test, shop.test",
        "HTTP_X_FORWARDED_PROTO": "gopher, https",
    }
    assert b"('198.51.100.7', 'https'" in send(telling, "/client", **said)[2]
    for path in ("/", "/slash", "/old", "/nothing"):
        _, headers, content = send(telling, path, **said)
        emitted = f"{headers} {content.decode()}"
        assert "https://shop.test/" in emitted
        assert "evil" not in emitted


@pytest.mark.parametrize(
    ("hops", "said", "secure"),
    [
        (0, None, False),
        (0, "https", False),
        (1, None, False),
        (1, "https", True),
        (1, "HTTPS", True),
        (1, "http, https", True),
        (1, "https, http", False),
        (2, "https", False),  # fewer values than hops: somebody went around one
        (2, "https, http", True),
        ({"proto": 1}, "https", True),
        ({"for": 1}, "https", False),
    ],
)
def test_flags_of_the_cookie_behind_a_proxy(telling, hops, said, secure):
    telling.config["PROXY_HOPS"] = hops

    headers = send(telling, "/client", HTTP_X_FORWARDED_PROTO=said)[1]

    _, *flags = headers["Set-Cookie"].split("; ")
    assert {*flags} >= {"HttpOnly", "SameSite=Lax"}
    assert ("Secure" in flags) is secure


# Names of files

NAMES = [
    ("a\r\nb", "a__b"),
    ("a\nSet-Cookie: b=c", '"a_Set-Cookie: b=c"'),
    ("\x00", "_"),
    ("a\x1b\x7f.txt\t", "a__.txt_"),
    ("ü\r\n.txt", "u__.txt; filename*=UTF-8''%C3%BC__.txt"),
    ("plain.txt", "plain.txt"),
]


@pytest.mark.parametrize(("name", "sent"), NAMES, ids=shorten)
def test_the_name_of_a_file_may_come_from_a_client(site, name, sent):
    with site.test_request_context():
        for response in (
            erlen.send_file(io.BytesIO(), "text/plain", download_name=name),
            erlen.send_from_directory("static", "a.txt", download_name=name),
        ):
            disposition = response.headers["Content-Disposition"]
            assert disposition == f"inline; filename={sent}"
            response.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_file_may_have_a_line_break_in_its_name(site, tmp_path):
    (tmp_path / "a\nb").touch()
    with site.test_request_context():
        response = erlen.send_from_directory(tmp_path, "a\nb")
    assert response.headers["Content-Disposition"] == "inline; filename=a_b"
    response.close()
