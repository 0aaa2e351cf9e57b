"""Nothing that a client sends becomes a 500."""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import random

import pytest
from werkzeug.exceptions import HTTPException

import erlen
from erlen import Blueprint
from erlen import Erlen
from erlen import Request
from erlen import request
from erlen import session

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
