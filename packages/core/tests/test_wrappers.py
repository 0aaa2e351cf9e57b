from __future__ import annotations

import io
import itertools
import json
import tempfile
from datetime import UTC
from datetime import datetime
from http import HTTPStatus
from wsgiref.validate import validator

import pytest
from werkzeug.datastructures import Headers
from werkzeug.exceptions import ClientDisconnected
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.routing import Rule
from werkzeug.test import EnvironBuilder
from werkzeug.test import create_environ
from werkzeug.wrappers import Request as WerkzeugRequest
from werkzeug.wrappers import Response as WerkzeugResponse

from erlen import Request
from erlen import Response
from erlen import request
from erlen import wrappers
from erlen.views import MethodView
from erlen.views import reads_stream

# What a request derives from its environ


ENVIRONS = {
    "usual": {},
    "query": {"QUERY_STRING": "a=1&a=2&b=%C3%BC"},
    "query of bytes": {"QUERY_STRING": "ü=ü".encode().decode("latin1")},
    "path": {"PATH_INFO": "/a/b"},
    "path of bytes": {"PATH_INFO": "/ü".encode().decode("latin1")},
    "path of bad bytes": {"PATH_INFO": "/\xff"},
    "path without slash": {"PATH_INFO": "a"},
    "path of slashes": {"PATH_INFO": "//a//"},
    "no path": {"PATH_INFO": ""},
    "root": {"SCRIPT_NAME": "/root"},
    "root with slash": {"SCRIPT_NAME": "/root/"},
    "root of bytes": {"SCRIPT_NAME": "/ü".encode().decode("latin1")},
    "scheme": {"wsgi.url_scheme": "https", "SERVER_PORT": "443"},
    "other port": {"SERVER_PORT": "8080", "HTTP_HOST": "shop.test:8080"},
    "unix socket": {"SERVER_NAME": "/run/x.sock", "SERVER_PORT": ""},
    "odd port": {"SERVER_PORT": "none"},
    "client": {"REMOTE_ADDR": "192.0.2.1", "HTTP_X_FORWARDED_FOR": "10.0.0.1"},
    "method": {"REQUEST_METHOD": "put"},
    "headers": {"HTTP_X_A": "1", "CONTENT_TYPE": "text/plain", "CONTENT_LENGTH": "3"},
    "cookie": {"HTTP_COOKIE": "a=1; b=2"},
}

OPTIONAL = [
    *("PATH_INFO", "SCRIPT_NAME", "QUERY_STRING", "SERVER_NAME", "SERVER_PORT"),
    *("REQUEST_METHOD", "wsgi.url_scheme", "HTTP_HOST"),
]

DERIVED = [
    *("method", "scheme", "server", "root_path", "path", "query_string", "remote_addr"),
    *("args", "url", "base_url", "full_path", "url_root", "host", "host_url"),
    *("script_root", "is_secure", "access_route", "cookies", "mimetype"),
    *("content_length", "max_form_memory_size", "max_form_parts"),
    *("max_content_length", "shallow"),
]


@pytest.mark.parametrize("changes", ENVIRONS.values(), ids=ENVIRONS)
def test_a_request_derives_what_werkzeugs_does(changes):
    environ = create_environ(base_url="http://shop.test") | changes

    ours, theirs = Request(environ), WerkzeugRequest(environ)

    for name in DERIVED:
        assert getattr(ours, name) == getattr(theirs, name), name
    assert list(ours.headers) == list(theirs.headers)
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("key", OPTIONAL)
def test_a_request_derives_what_werkzeugs_does_without_a_key(key):
    environ = create_environ()
    del environ[key]

    ours, theirs = Request(environ), WerkzeugRequest(environ)

    for name in DERIVED:
        assert getattr(ours, name) == getattr(theirs, name), name


DATE_TIME = datetime(2026, 11, 22, 20, tzinfo=UTC)
DATE = "Sun, 22 Nov 2026 20:00:00 GMT"

#: Headers that Werkzeug reads, and how the same can be broken.
READ = {
    "authorization": ("Basic YWRhOng=", ["Basic \xff", "Basic \xc3\xa9"]),
    "date": (DATE, ["Sun, 22 Nov 99999999999999999999 20:00:00 GMT"]),
    "if_modified_since": (DATE, ["22 Nov 99999999999999999999 20:00:00"]),
    "if_unmodified_since": (DATE, ["22 Nov 99999999999999999999 20:00:00"]),
    "if_range": (DATE, ["22 Nov 99999999999999999999 20:00:00"]),
}


def requests_with(name, value):
    environ = create_environ() | {f"HTTP_{name.upper()}": value}
    return Request(environ), WerkzeugRequest(environ)


@pytest.mark.parametrize("name", READ)
def test_headers_are_read_as_werkzeug_does(name):
    ours, theirs = requests_with(name, READ[name][0])

    found = getattr(ours, name)

    assert str(found) == str(getattr(theirs, name))
    assert getattr(Request, name).__doc__ == getattr(WerkzeugRequest, name).__doc__
    if name != "authorization":
        assert found


def test_headers_are_read_one_by_one():
    environ = create_environ()
    environ |= {f"HTTP_{name.upper()}": value for name, (value, _) in READ.items()}
    ours, theirs = Request(environ), WerkzeugRequest(environ)

    for _ in range(2):
        found = [str(getattr(ours, name)) for name in READ]
        assert found == [str(getattr(theirs, name)) for name in READ]


@pytest.mark.parametrize(
    ("name", "value"), [(name, bad) for name in READ for bad in READ[name][1]]
)
def test_headers_that_werkzeug_cannot_read_are_as_if_absent(name, value):
    broken = requests_with(name, value)[0]

    absent = getattr(Request(create_environ()), name)
    assert str(getattr(broken, name)) == str(absent)


@pytest.mark.parametrize(
    ("query", "quoted"),
    [("a=\xff", b"a=%FF"), ("a=\xff&b=\xc3\xbc", b"a=%FF&b=\xc3\xbc")],
)
def test_bytes_of_a_query_that_are_no_text_are_quoted(query, quoted):
    req = Request(create_environ() | {"QUERY_STRING": query})

    assert req.query_string == quoted
    assert set(req.args) <= {"a", "b"}


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("xn--bcher-kva.test", "xn--bcher-kva.test"),
        ("xn--bcher-kva.test:81", "xn--bcher-kva.test:81"),
        ("xn--a", ""),
        ("XN--a.test:81", ""),
        ("a..b", "a..b"),
    ],
)
def test_a_host_that_no_url_can_have_is_none(host, found):
    req = Request(create_environ() | {"HTTP_HOST": host})

    assert req.host == found
    assert req.url


def test_a_new_request_derives_nothing_yet():
    environ = create_environ()

    assert vars(Request(environ)).keys() == {"environ", "method"}
    assert environ["werkzeug.request"].environ is environ


@pytest.mark.parametrize(
    ("options", "populated"),
    [({}, True), ({"populate_request": False}, False), ({"shallow": True}, False)],
)
def test_the_environ_knows_its_request(options, populated):
    environ = create_environ()

    req = Request(environ, **options)

    assert (environ.get("werkzeug.request") is req) is populated


@pytest.mark.parametrize("read", ["stream", "data", "form", "json"])
def test_a_shallow_request_does_not_read_its_body(read):
    environ = create_environ(method="POST", json={})

    with pytest.raises(RuntimeError, match="shallow=True"):
        getattr(Request(environ, shallow=True), read)


# What routing found


@pytest.mark.parametrize(
    ("endpoint", "blueprint", "blueprints"),
    [
        (None, None, []),
        ("index", None, []),
        ("shop.index", "shop", ["shop"]),
        ("shop.admin.index", "shop.admin", ["shop.admin", "shop"]),
        ("a.b.c.d", "a.b.c", ["a.b.c", "a.b", "a"]),
    ],
)
def test_a_request_knows_its_blueprints(endpoint, blueprint, blueprints):
    req = Request(create_environ())
    if endpoint is not None:
        req.url_rule = Rule("/", endpoint=endpoint)

    assert req.endpoint == endpoint
    assert req.blueprint == blueprint
    assert req.blueprints == blueprints


# Limits of a body


def form_of(*sizes):
    return {
        "data": {f"field{n}": "x" * size for n, size in enumerate(sizes)},
        "content_type": "multipart/form-data",
    }


#: Setting, its value, what is sent, and what the text says of it.
LIMITS = [
    ("MAX_CONTENT_LENGTH", 9, {"data": b"0123456789"}, "more than 9 bytes"),
    ("MAX_CONTENT_LENGTH", 9, {"json": "0123456789"}, "more than 9 bytes"),
    ("MAX_CONTENT_LENGTH", 9, {"data": {"a": "01234567"}}, "more than 9 bytes"),
    ("MAX_CONTENT_LENGTH", 99, form_of(100), "more than 99 bytes"),
    ("MAX_FORM_MEMORY_SIZE", 99, form_of(5, 100), "a field of more than 99 bytes"),
    # Read in several pieces, each of them smaller than the limit.
    (
        "MAX_FORM_MEMORY_SIZE",
        100_000,
        form_of(300_000),
        "a field of more than 100000 bytes",
    ),
    ("MAX_FORM_PARTS", 2, form_of(1, 1, 1), "more than 2 parts"),
]


def limits(test):
    """Test each limit, with a Content-Length and in chunks."""
    test = pytest.mark.parametrize("in_chunks", [False, True])(test)
    return pytest.mark.parametrize(("setting", "value", "options", "words"), LIMITS)(
        test
    )


@pytest.fixture
def read(app):
    """Answer how much of a body there is, after what `read.first` does."""

    @app.post("/")
    def read_all():
        read_all.first()
        if request.is_json:
            return f"{len(request.get_json())}"
        form = sum(map(len, request.form.values()))
        return f"{form + len(request.get_data())}"

    read_all.first = lambda: None
    return read_all


def post(app, options, in_chunks):
    environ = EnvironBuilder(method="POST", **options).get_environ()
    if in_chunks:  # as a server does that takes the chunks apart
        del environ["CONTENT_LENGTH"]
        environ["HTTP_TRANSFER_ENCODING"] = "chunked"
        environ["wsgi.input_terminated"] = True
    return app.test_client().open(environ)


@limits
@pytest.mark.usefixtures("read")
def test_a_413_names_the_limit_and_how_to_change_it(
    app, setting, value, options, words, in_chunks
):
    app.config[setting] = value

    response = post(app, options, in_chunks)

    assert response.status_code == 413
    assert f"The request body has {words}." in response.text
    assert f" {setting} in the configuration" in response.text
    assert f" request.{setting.lower()} for one view" in response.text


@limits
def test_a_view_may_lift_a_limit(app, read, setting, value, options, words, in_chunks):
    app.config[setting] = value
    read.first = lambda: setattr(request, setting.lower(), 1_000_000)

    response = post(app, options, in_chunks)

    assert response.status_code == 200
    assert int(response.text) >= 3


@limits
def test_a_view_may_set_a_limit(app, read, setting, value, options, words, in_chunks):
    read.first = lambda: setattr(request, setting.lower(), value)

    response = post(app, options, in_chunks)

    assert response.status_code == 413
    assert words in response.text


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("max_content_length", None),
        ("max_form_memory_size", 500_000),
        ("max_form_parts", 1_000),
    ],
)
def test_a_limit_is_the_requests_or_the_settings_or_werkzeugs(app, name, default):
    req = Request(create_environ())
    assert getattr(req, name) == default

    app.config[name.upper()] = 7
    with app.app_context():
        assert getattr(req, name) == 7
        setattr(req, name, 0)
        assert getattr(req, name) == 0
        setattr(req, name, None)
        assert getattr(req, name) == 7


def test_a_limit_that_says_what_it_is_is_left_as_it_is(app, client):
    class Own(Request):
        def _get_file_stream(self, *args, **kwargs):
            raise RequestEntityTooLarge("No room for files.")

    app.request_class = Own
    app.post("/")(lambda: f"{request.files}")

    response = client.post("/", data={"file": (io.BytesIO(b"x"), "x.txt")})

    assert response.status_code == 413
    assert "No room for files." in response.text


# Bodies that are cut short


@pytest.mark.parametrize("terminated", [False, True])
@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/plain", b"0123456789"),
        ("application/json", b'{"a": 1}'),
        ("application/x-www-form-urlencoded", b"a=1&b=2"),
        ("multipart/form-data; boundary=b", b"--b\r\n\r\n"),
    ],
)
@pytest.mark.usefixtures("read")
def test_a_body_that_is_cut_short_is_a_400(app, content_type, body, terminated):
    environ = create_environ(method="POST", data=body, content_type=content_type)
    environ["CONTENT_LENGTH"] = "20"
    if terminated:
        environ["wsgi.input_terminated"] = True

    response = app.test_client().open(environ)

    assert response.status_code == 400


@pytest.mark.parametrize("terminated", [False, True])
@pytest.mark.parametrize("limit", [None, 100])
def test_a_stream_ends_where_the_body_ends(terminated, limit):
    environ = create_environ(method="POST", data=b"0123456789")
    environ["CONTENT_LENGTH"] = "5"
    if terminated:
        environ["wsgi.input_terminated"] = True
    req = Request(environ)
    req.max_content_length = limit

    assert req.stream.read() == b"01234"
    assert ("wsgi.input_terminated" in req.environ) is terminated


def test_a_stream_that_ends_early_says_so():
    environ = create_environ(method="POST", data=b"0123")
    environ["CONTENT_LENGTH"] = "5"

    with pytest.raises(ClientDisconnected):
        Request(environ).stream.read()


# JSON and forms


@pytest.mark.parametrize(
    ("debug", "told"), [(None, False), (False, False), (True, True)]
)
def test_why_json_is_bad_is_told_while_debugging_only(app, client, debug, told):
    app.debug = debug
    app.post("/")(lambda: request.json)

    response = client.post("/", data="{", content_type="application/json")

    assert response.status_code == 400
    assert ("Failed to decode" in response.text) is told


class Library:
    """What reads JSON, and counts how often."""

    def __init__(self):
        self.reads = 0

    def loads(self, text):
        self.reads += 1
        return json.loads(text)


def outcomes(request_class, body, kind, calls):
    library = Library()
    seen = []
    request = request_class(create_environ(method="POST", data=body, content_type=kind))
    request.json_module = library
    for force, silent, cache in calls:
        try:
            seen.append(request.get_json(force, silent, cache))
        except HTTPException as exc:
            seen.append(exc.code)
    return seen, library.reads


@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
@pytest.mark.parametrize("body", [b'{"a": 1}', b"null", b"{", b"\xff"])
def test_json_is_read_and_kept_as_in_werkzeug(body, kind):
    class Ours(Request):
        def on_json_loading_failed(self, e):
            return "failed" if isinstance(e, ValueError) else "other type"

    class Theirs(WerkzeugRequest):
        on_json_loading_failed = Ours.on_json_loading_failed

    options = [*itertools.product([False, True], repeat=3)]
    for calls in itertools.product(options, repeat=2):
        for ours, theirs in ((Request, WerkzeugRequest), (Ours, Theirs)):
            expected = outcomes(theirs, body, kind, calls)
            assert outcomes(ours, body, kind, calls) == expected


def test_json_of_another_type_is_a_415(app, client):
    app.post("/")(lambda: request.json)

    assert client.post("/", data="{}").status_code == 415


@pytest.mark.parametrize("debug", [False, True])
def test_json_that_is_too_deep_for_any_provider_is_a_400(app, client, debug):
    def loads(text):
        raise RecursionError

    app.debug = debug
    app.json.loads = loads
    app.post("/")(lambda: request.json)
    app.post("/silent", endpoint="silent")(
        lambda: f"{request.get_json(silent=True)} {request.get_json(silent=True)}"
    )

    response = client.post("/", json=[])

    assert response.status_code == 400
    assert ("nested too deeply" in response.text) is debug
    assert client.post("/silent", json=[]).text == "None None"


@pytest.mark.parametrize(
    ("debug", "data", "explained"),
    [
        (True, {"file": "x.txt"}, True),
        (False, {"file": "x.txt"}, False),
        (True, {"other": (io.BytesIO(b"x"), "x.txt")}, False),
    ],
)
def test_a_form_that_cannot_carry_files_is_explained(app, debug, data, explained):
    app.debug = debug

    with (
        app.test_request_context(method="POST", data=data),
        pytest.raises(KeyError) as caught,
    ):
        request.files["file"]

    assert ('enctype="multipart/form-data"' in str(caught.value)) is explained


def test_a_form_is_parsed_once(app, monkeypatch):
    parsed = []
    original = WerkzeugRequest.make_form_data_parser
    monkeypatch.setattr(
        WerkzeugRequest,
        "make_form_data_parser",
        lambda self: parsed.append(1) or original(self),
    )

    with app.test_request_context(method="POST", data={"a": "1"}):
        assert request.form["a"] == request.values["a"] == "1"
        assert not request.files
        assert request.data == b""

    assert parsed == [1]


@pytest.mark.parametrize(
    ("read", "needed"), [("get_data", False), ("_load_form_data", True)]
)
def test_closing_is_needed_where_a_form_was_parsed(read, needed):
    req = Request(create_environ(method="POST", data="x"))

    getattr(req, read)()
    assert req._needs_close is needed


def test_closing_is_needed_where_a_subclass_closes_more(app, client):
    class Usual(Request):
        pass

    class Own(Request):
        def close(self):
            closed.append(self.path)
            super().close()

    closed = []
    app.get("/")(lambda: "")
    app.request_class = Own

    client.get("/")

    assert not Usual._needs_close
    assert closed == ["/"]


def test_uploaded_files_are_closed_with_the_request(app, client):
    @app.post("/")
    def upload():
        files.append(request.files["file"])
        return ""

    files = []
    client.post("/", data={"file": (io.BytesIO(b"x"), "x.txt")})

    assert files[0].stream.closed


# Responses: the short ways give what Werkzeug's way gives


class Plain(WerkzeugResponse):
    """Werkzeug's own, with what Erlen documents."""

    default_mimetype = "text/html"
    autocorrect_location_header = False


def send(response, environ, check):
    """Send a response as a server does, and say what went out."""
    started = []
    body = check(response)(
        environ, lambda *args: started.append(args) or (lambda data: None)
    )
    try:
        return *started[0], b"".join(body)
    finally:
        getattr(body, "close", int)()


def same(make, check=validator, **environ):
    """Compare what Erlen's class and Werkzeug's send; ours goes to a strict server."""
    environ = create_environ() | environ
    status, headers, body = send(make(Plain), environ, lambda response: response)
    if status[:3] in {"204", "304"}:  # the documented difference
        headers = [pair for pair in headers if pair[0].lower() != "content-type"]
    assert send(make(Response), environ, check) == (status, headers, body)


BODIES = {
    "text": lambda: "hello",
    "unicode": lambda: "h\xfc",
    "empty text": lambda: "",
    "bytes": lambda: b"hello",
    "empty bytes": lambda: b"",
    "none": lambda: None,
    "list": lambda: ["he", "llo"],
    "list of bytes": lambda: [b"he", b"llo"],
    "list of one": lambda: [b"hello"],
    "list of one text": lambda: ["hello"],
    "empty list": list,
    "tuple": lambda: (b"hello",),
    "iterator": lambda: iter(["he", "llo"]),
    "generator": lambda: (letter for letter in "hello"),
    "file": lambda: io.BytesIO(b"hello"),
}

STATUSES = [
    *(None, 200, 201, 299, 404, 500, 100, 102, 199, 204, 304, HTTPStatus.ACCEPTED),
    *("200", "200 OK", "200 Fine", "204 No Content", "299 Own", "404 not found"),
]

HEADERS = [
    None,
    {},
    {"X-A": "1"},
    [("X-A", "1"), ("X-A", "2")],
    Headers({"X-A": "ü"}),
    {"Content-Type": "text/plain"},
    {"content-type": "text/plain"},
    {"Content-Length": "5"},
    {"content-length": "5"},
    {"Location": "/ü?a=ü"},
    {"Location": "http://shop.test/"},
    {"Content-Location": "/ü"},
    {"Set-Cookie": "a=1"},
    {"X-A": 1},
]

METHODS = ["GET", "HEAD"]

SEQUENCES = [BODIES["text"], BODIES["list"], BODIES["list of one"]]


@pytest.mark.parametrize("status", STATUSES, ids=repr)
def test_every_status_is_sent_as_werkzeug_does(status):
    for make, method in itertools.product(BODIES.values(), METHODS):
        same(lambda cls: cls(make(), status), REQUEST_METHOD=method)  # noqa: B023


@pytest.mark.parametrize("headers", HEADERS, ids=repr)
def test_every_body_is_sent_as_werkzeug_does(headers):
    for make, method in itertools.product(BODIES.values(), METHODS):
        same(lambda cls: cls(make(), headers=headers), REQUEST_METHOD=method)  # noqa: B023


@pytest.mark.parametrize(
    "options",
    [
        {"mimetype": "text/plain"},
        {"mimetype": "image/png"},
        {"mimetype": "application/json"},
        {"mimetype": "text/html; charset=latin1"},
        {"mimetype": ""},
        {"content_type": "text/plain"},
        {"content_type": "text/plain; charset=latin1"},
        {"mimetype": "text/plain", "content_type": "image/png"},
        {"mimetype": "text/plain", "headers": {"Content-Type": "image/png"}},
    ],
    ids=repr,
)
def test_every_type_is_sent_as_werkzeug_does(options):
    for make in BODIES.values():
        same(lambda cls: cls(make(), **options))  # noqa: B023


CHANGES = {
    "header": lambda r: r.headers.add("X-A", "1"),
    "header of a new name": lambda r: r.headers.__setitem__("X-A", "1"),
    "type": lambda r: setattr(r, "content_type", "text/plain"),
    "mimetype": lambda r: setattr(r, "mimetype", "text/plain"),
    "no type": lambda r: r.headers.setdefault("Content-Type", "x/y"),
    "length": lambda r: setattr(r, "content_length", 5),
    "no length": lambda r: r.headers.pop("Content-Length", None),
    "status": lambda r: setattr(r, "status", "299 Own"),
    "status and back": lambda r: [setattr(r, "status_code", n) for n in (404, 200)],
    "status of no body": lambda r: setattr(r, "status_code", 204),
    "status line of its own": lambda r: setattr(r, "status", "200 Fine"),
    "cookie": lambda r: r.set_cookie("a", "b"),
    "no cookie": lambda r: r.delete_cookie("a"),
    "data": lambda r: r.set_data("other"),
    "data by name": lambda r: setattr(r, "data", b"other"),
    "body": lambda r: setattr(r, "response", [b"other"]),
    "body of two": lambda r: r.response.append(b"more"),
    "body of text": lambda r: setattr(r, "response", ["other"]),
    "no body": lambda r: setattr(r, "response", []),
    "stream": lambda r: r.stream.write(b"more"),
    "etag": lambda r: r.add_etag(),
    "frozen": lambda r: r.freeze(),
    "sequence": lambda r: r.make_sequence(),
    "location": lambda r: setattr(r, "location", "/ü"),
    "cache": lambda r: setattr(r.cache_control, "max_age", 5),
    "vary": lambda r: r.vary.add("Cookie"),
    "allow": lambda r: r.allow.update(["GET"]),
    "headers, a dict": lambda r: setattr(r, "headers", dict(OTHERS)),
    "headers": lambda r: setattr(r, "headers", Headers(OTHERS)),
    "headers, pairs": lambda r: setattr(r, "headers", OTHERS),
}

OTHERS = [("X-A", "1"), ("Content-Type", "text/plain")]


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_change_is_sent_as_werkzeug_does(change):
    def make(cls):
        response = cls(body())
        change(response)
        return response

    for start, method in itertools.product(SEQUENCES, METHODS):
        body = start
        same(make, REQUEST_METHOD=method)


@pytest.mark.parametrize(
    "environ",
    [
        {"HTTP_IF_NONE_MATCH": "*"},
        {"HTTP_RANGE": "bytes=1-2"},
        {"HTTP_RANGE": "bytes=0-0"},
        {"HTTP_IF_MODIFIED_SINCE": DATE},
        {"HTTP_IF_UNMODIFIED_SINCE": DATE},
        {"HTTP_IF_RANGE": DATE, "HTTP_RANGE": "bytes=1-2"},
    ],
)
def test_conditional_responses_are_sent_as_werkzeug_does(environ):
    def make(cls):
        response = cls("hello")
        response.add_etag()
        response.last_modified = DATE_TIME
        response.date = DATE_TIME  # else both have the second in which they are made
        return response.make_conditional(
            create_environ() | environ, accept_ranges=True, complete_length=5
        )

    same(make, **environ)


@pytest.mark.parametrize("as_request", [False, True])
@pytest.mark.parametrize(
    "name", ["HTTP_IF_MODIFIED_SINCE", "HTTP_IF_UNMODIFIED_SINCE", "HTTP_IF_RANGE"]
)
def test_a_date_that_is_none_is_no_condition(name, as_request):
    environ = create_environ() | {name: READ["date"][1][0], "HTTP_RANGE": "bytes=1-2"}
    response = Response("hello")
    response.last_modified = DATE_TIME

    given = response.make_conditional(
        Request(environ) if as_request else environ, True, 5
    )

    assert given is response
    assert (response.status_code, response.data) == (206, b"el")


# Responses of subclasses


def subclass(namespace, mixed_in):
    """Make the same subclass of either class, directly or by a mixin."""

    def make(base):
        if mixed_in:
            return type("Own", (type("Mixin", (), namespace), base), {})
        return type("Own", (base,), namespace)

    return make


def with_header(self, environ):
    headers = WerkzeugResponse.get_wsgi_headers(self, environ)
    headers["X-Own"] = "1"
    return headers


def with_status(self, environ):
    body, _, headers = WerkzeugResponse.get_wsgi_response(self, environ)
    return body, "299 Own", headers


def set_upper(self, value):
    WerkzeugResponse.set_data(self, value.upper())


def set_own(self, value):
    WerkzeugResponse.status.fset(self, "299 Own")


OVERRIDES = {
    "nothing": {},
    "default_status": {"default_status": 299},
    "default_mimetype": {"default_mimetype": "application/json"},
    "automatically_set_content_length": {"automatically_set_content_length": False},
    "autocorrect_location_header": {"autocorrect_location_header": True},
    "implicit_sequence_conversion": {"implicit_sequence_conversion": False},
    "max_cookie_size": {"max_cookie_size": 0},
    "get_wsgi_headers": {"get_wsgi_headers": with_header},
    "get_wsgi_response": {"get_wsgi_response": with_status},
    "get_app_iter": {"get_app_iter": lambda self, environ: iter([b"own"])},
    "iter_encoded": {"iter_encoded": lambda self: iter([b"own"])},
    "calculate_content_length": {"calculate_content_length": lambda self: None},
    "set_data": {"set_data": set_upper},
    "data": {"data": property(lambda self: b"own", set_upper)},
    "status": {"status": property(lambda self: "299 Own", set_own)},
    "status_code": {
        "status_code": property(lambda self: 299, lambda self, value: None),
    },
    "_clean_status": {"_clean_status": lambda self, value: ("299 Own", 299)},
    "response": {
        "response": property(lambda self: [b"own"], lambda self, value: None),
    },
    "is_sequence": {"is_sequence": False},
    "headers": {
        "headers": property(
            lambda self: Headers({"Content-Type": "x/y"}), lambda self, value: None
        ),
    },
}


@pytest.mark.parametrize("mixed_in", [False, True])
@pytest.mark.parametrize("namespace", OVERRIDES.values(), ids=OVERRIDES)
def test_every_subclass_sends_as_werkzeugs_would(namespace, mixed_in):
    ours, theirs = map(subclass(namespace, mixed_in), (Response, Plain))
    classes = {Response: ours, Plain: theirs}

    for options, body, method in itertools.product(
        [{}, {"status": 404}, {"headers": {"Location": "/x"}}], SEQUENCES, METHODS
    ):
        same(lambda cls: classes[cls](body(), **options), REQUEST_METHOD=method)  # noqa: B023


def test_a_class_without_a_mimetype_sends_none():
    ours, theirs = map(subclass({"default_mimetype": None}, False), (Response, Plain))
    classes = {Response: ours, Plain: theirs}

    for body in SEQUENCES:
        # The strict server wants one.
        same(lambda cls: classes[cls](body()), lambda response: response)  # noqa: B023


def test_a_mimetype_that_is_set_later_holds_at_once():
    class Own(Response):
        pass

    assert Own("x").mimetype == "text/html"
    Own.default_mimetype = "text/plain"

    assert Own("x").mimetype == "text/plain"
    assert Own("x", mimetype="text/csv").mimetype == "text/csv"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("status", [200, 204, 304, 404])
@pytest.mark.parametrize("body", SEQUENCES)
def test_what_waits_for_the_close_is_called_once(body, status, method):
    class Own(Response):
        def close(self):
            closed.append("close")
            super().close()

    for cls, expected in ((Response, ["call"]), (Own, ["close", "call"])):
        closed = []
        response = cls(body(), status)
        response.call_on_close(lambda: closed.append("call"))  # noqa: B023
        send(response, create_environ(method=method), validator)
        assert closed == expected


def test_a_class_that_closes_more_is_always_closed():
    class Own(Response):
        def close(self):
            closed.append(self)

    closed = []
    response = Own("x")

    send(response, create_environ(), validator)

    assert closed == [response]


# The short ways themselves


@pytest.fixture
def way(monkeypatch):
    """Note which responses were made and sent by Werkzeug's ways."""
    taken = []

    def note(name):
        original = getattr(WerkzeugResponse, name)

        def noted(self, *args, **kwargs):
            taken.append(name)
            return original(self, *args, **kwargs)

        monkeypatch.setattr(WerkzeugResponse, name, noted)

    note("__init__")
    note("get_wsgi_headers")
    return taken


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: Response("x"), []),
        (lambda: Response(b"x", mimetype="text/plain"), []),
        (lambda: Response("x", 404), ["__init__"]),
        (lambda: Response("x", headers={"X-A": "1"}), ["__init__"]),
        (lambda: Response(["x"]), ["__init__", "get_wsgi_headers"]),
        (lambda: Response("x", 204), ["__init__", "get_wsgi_headers"]),
        (
            lambda: Response("", 302, {"Location": "/"}),
            ["__init__", "get_wsgi_headers"],
        ),
    ],
)
def test_plain_responses_take_the_short_ways(way, make, expected):
    send(make(), create_environ(), validator)

    assert way == expected


def test_a_plain_response_makes_its_headers_when_they_are_touched():
    response = Response("x")
    send(response, create_environ(), validator)
    assert "headers" not in vars(response)

    assert list(response.headers) == [
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Length", "1"),
    ]
    assert type(response.headers) is Headers


@pytest.mark.parametrize("touch", [False, True])
def test_a_response_can_be_sent_again_whatever_the_server_did(touch):
    def spoil(status, headers, exc_info=None):
        started.append((status, headers.copy()))
        headers.clear()

    started = []
    response = Response("x")
    if touch:
        response.headers["X-A"] = "1"

    bodies = [b"".join(response(create_environ(), spoil)) for _ in range(2)]

    assert bodies == [b"x", b"x"]
    assert started[0] == started[1]
    assert len(started[0][1]) == 2 + touch


def test_the_header_of_a_mimetype_is_remembered_for_each_class():
    class Own(Response):
        pass

    for number in range(3 * wrappers._TYPES):
        response = Own("x", mimetype=f"text/x-{number}")
        assert response.content_type == f"text/x-{number}; charset=utf-8"

    assert len(Own._type_fields) == wrappers._TYPES
    assert Own._type_fields is not Response._type_fields


@pytest.fixture
def clean(monkeypatch):
    """Forget which headers were found clean, and count what is looked at."""
    known, looked = set(), []
    check = wrappers._check_header
    monkeypatch.setattr(wrappers, "_clean", known)
    monkeypatch.setattr(
        wrappers, "_check_header", lambda pair: looked.append(pair) or check(pair)
    )
    return known, looked


def test_a_clean_header_is_looked_at_once(clean):
    _, looked = clean

    for _ in range(3):
        send(Response("x", 404, {"X-A": "1"}), create_environ(), validator)
        send(Response(["x"], 404, {"X-A": "1"}), create_environ(), validator)

    assert sorted(looked) == [
        ("Content-Length", "1"),
        ("Content-Type", "text/html; charset=utf-8"),
        ("X-A", "1"),
        ("status", "404 NOT FOUND"),
    ]


def test_the_memory_of_clean_headers_is_bounded(clean, monkeypatch):
    known, _ = clean
    monkeypatch.setattr(wrappers, "_CLEAN_SIZE", 8)
    sizes = []

    for number in range(40):
        send(Response("x", headers={"X-A": f"{number}"}), create_environ(), validator)
        sizes.append(len(known))

    assert max(sizes) <= 8
    assert ("X-A", "39") in known


@pytest.mark.parametrize("name", ["Set-Cookie", "set-cookie", "Location"])
def test_values_that_are_each_clients_own_are_not_remembered(clean, name):
    known, _ = clean

    send(Response("x", headers={name: "/secret"}), create_environ(), validator)

    assert name.lower() not in {header.lower() for header, _ in known}


# Headers that would break a response apart


BAD = ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b"]


def append(name, value):
    """Put a header past Werkzeug's own check, as an extension might."""
    response = Response("x")
    response.headers._list.append((name, value))
    return response


def changed(change):
    response = Response("x")
    change(response)
    return response


FORGED = {
    "value": lambda bad: Response("x", headers={"X-A": bad}),
    "name": lambda bad: Response("x", headers={bad: "1"}),
    "value by the back door": lambda bad: append("X-A", bad),
    "name by the back door": lambda bad: append(bad, "1"),
    "location": lambda bad: append("Location", bad),
    "status": lambda bad: Response("x", f"200 {bad}"),
    "status later": lambda bad: changed(lambda r: setattr(r, "status", f"200 {bad}")),
    "status of no body": lambda bad: Response("", f"204 {bad}"),
    "content type": lambda bad: Response("x", content_type=f"text/{bad}"),
    "mimetype": lambda bad: Response("x", mimetype=f"text/{bad}"),
    "mimetype of a list": lambda bad: Response(["x"], mimetype=f"text/{bad}"),
    "mimetype later": lambda bad: changed(lambda r: setattr(r, "mimetype", bad)),
    "charset": lambda bad: Response("x", mimetype=f"text/html; charset={bad}"),
    "cookie name": lambda bad: changed(lambda r: r.set_cookie(bad, "1")),
    "cookie value": lambda bad: changed(lambda r: r.set_cookie("a", bad)),
    "cookie path": lambda bad: changed(lambda r: r.set_cookie("a", path=bad)),
    "cookie domain": lambda bad: changed(lambda r: r.set_cookie("a", domain=bad)),
    "cookie by hand": lambda bad: append("Set-Cookie", f"a={bad}"),
    "etag": lambda bad: changed(lambda r: r.set_etag(bad)),
}

#: Those that Werkzeug writes in a way that is harmless.
ESCAPED = {"location", "cookie name", "cookie value", "cookie path", "cookie domain"}


def forged(part, bad, method):
    """Send a forged header, and say what went out."""
    started = []
    try:
        response = FORGED[part](bad)
        response(create_environ(method=method), lambda *args: started.extend(args))
    except ValueError:
        assert started == []
    else:
        assert part in ESCAPED
    return repr(started)


@pytest.mark.parametrize("part", FORGED)
def test_nothing_is_sent_of_a_forged_header(part):
    for bad, method in itertools.product(BAD, METHODS):
        sent = forged(part, bad, method)
        assert not [break_ for break_ in ("\\r", "\\n", "\\x00") if break_ in sent]


def test_the_error_of_a_forged_header_names_it_and_the_cure():
    with pytest.raises(ValueError, match="Clean the value where it is set") as caught:
        append("X-A", "a\r\nb")(create_environ(), None)

    assert "'X-A' has a line break or a NUL" in str(caught.value)
    assert repr("a\r\nb") in str(caught.value)


@pytest.mark.parametrize("part", sorted(FORGED.keys() - ESCAPED))
def test_the_client_gets_a_500_without_the_forged_header(app, client, part):
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.log_exception = lambda exc_info: None
    app.get("/<int:number>")(lambda number: FORGED[part](BAD[number]))

    for number in range(len(BAD)):
        response = client.get(f"/{number}")
        assert response.status == "500 INTERNAL SERVER ERROR"
        names = {name.lower() for name, _ in response.headers}
        assert names == {"content-type", "content-length"}


# What responses get from the application


def test_the_size_of_cookies_that_warns_is_a_setting(app):
    assert Response().max_cookie_size == 4093
    app.config["MAX_COOKIE_SIZE"] = 7

    with app.app_context():
        response = Response()
        assert response.max_cookie_size == 7
        with pytest.warns(UserWarning, match="The 'a' cookie is too large"):
            response.set_cookie("a", "1234567")


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("body", SEQUENCES)
def test_what_has_no_content_has_no_type(body, status):
    response = Response(body(), status, mimetype="text/plain")

    _, headers, text = send(response, create_environ(), validator)

    assert text == b""
    assert not {"Content-Type", "Content-Length"} & dict(headers).keys()
    assert response.mimetype == "text/plain"


# Over ASGI


def test_a_request_knows_its_scope(app, ask):
    seen = []
    app.add_url_rule("/", "index", lambda: seen.append(request.scope) or "x")

    answer = ask(app)
    app.test_client(door="wsgi").get("/")

    assert seen[0] is answer.scope
    assert seen[1] is None


def echo(kind):
    """Make a view that returns the body, as text of bytes."""

    def plain():
        return repr(request.get_data())

    async def native():
        return repr(request.get_data())

    @reads_stream
    async def in_chunks():
        return repr(b"".join([chunk async for chunk in request.chunks()]))

    @reads_stream
    async def loading():
        await request.load_body()
        return repr(request.get_data())

    return {"plain": plain, "native": native, "chunks": in_chunks, "load": loading}[
        kind
    ]


READERS = ["plain", "native", "chunks", "load"]


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("version", ["2", "3"])
def test_a_body_may_come_unannounced_over_later_http(app, exchange, run, kind, version):
    app.add_url_rule("/", "index", echo(kind), methods=["POST"])
    asked = exchange(app, method="POST", http_version=version)
    asked.messages.get_nowait()
    asked.come(b"ab")
    asked.come(b"c", more=False)

    assert run(asked.run()).text == "b'abc'"


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("body", [None, b"", b"abc", [b"ab", b"c"], [b"a" * 2**20]])
def test_bodies_of_each_kind(app, ask, kind, body):
    app.add_url_rule("/", "index", echo(kind), methods=["POST"])
    whole = b"".join(body) if isinstance(body, list) else body or b""

    assert ask(app, method="POST", body=body).text == repr(whole)


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("body", [b"abcd", [b"ab", b"cd"]])
@pytest.mark.parametrize(("limit", "status"), [(3, 413), (4, 200)])
def test_limits_of_bodies(app, client, kind, body, limit, status):
    if kind in {"native", "chunks", "load"}:
        pytest.importorskip("asgiref")
    app.config["MAX_CONTENT_LENGTH"] = limit
    app.add_url_rule("/", "index", echo(kind), methods=["POST"])

    if isinstance(body, list):
        given = {"input_stream": io.BytesIO(b"".join(body))}
        given["environ_base"] = {"wsgi.input_terminated": True}
    else:
        given = {"data": body}
    answer = client.post("/", **given)

    assert answer.status_code == status
    assert ("MAX_CONTENT_LENGTH" in answer.text) is (status == 413)


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("leaves", [False, True])
def test_a_body_that_is_shorter_than_announced(app, exchange, run, kind, leaves):
    app.add_url_rule("/", "index", echo(kind), methods=["POST"])
    asked = exchange(app, method="POST", headers={"content-length": "9"})
    asked.messages.get_nowait()
    asked.come(b"abc", more=leaves)
    if leaves:
        asked.leave()

    assert run(asked.run()).status == 400


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("names", [1, -1])
def test_chunks_win_over_a_length(app, exchange, run, kind, names):
    app.add_url_rule("/", "index", echo(kind), methods=["POST"])
    # As uvicorn with h11 and hypercorn let it through.
    headers = [("content-length", "0"), ("transfer-encoding", "chunked")][::names]
    asked = exchange(app, method="POST", headers=dict(headers))
    asked.messages.get_nowait()
    asked.come(b"abc", more=False)

    assert run(asked.run()).text == repr(b"abc")


def test_a_method_in_small_letters(app, exchange, run):
    app.add_url_rule("/", "index", lambda: request.method, methods=["PATCH"])
    assert run(exchange(app, method="patch").run()).text == "PATCH"


def test_chunks_stop_at_the_limit(app, exchange, run):
    app.config["MAX_CONTENT_LENGTH"] = 3
    found = []

    @app.post("/")
    @reads_stream
    async def view():
        chunks = request.chunks()
        found.append(await anext(chunks))
        return await anext(chunks)

    asked = exchange(app, method="POST", body=[b"ab", b"cd", b"ef"])
    assert run(asked.run()).status == 413
    assert found == [b"ab"]
    assert asked.messages.qsize() == 1


@pytest.mark.parametrize("size", [10, 100_000])
def test_chunks_go_on_behind_what_a_hook_has_read(app, ask, size):
    @app.before_request
    def begin():
        request.first = request.stream.read(2)

    @app.post("/")
    @reads_stream
    async def view():
        rest = [chunk async for chunk in request.chunks()]
        return request.first + b"".join(rest)

    assert ask(app, method="POST", body=b"x" * size).data == b"x" * size
    assert (
        ask(app, method="POST", body=[b"x" * (size - 5), b"x" * 5]).data == b"x" * size
    )


def test_loading_over_wsgi_is_nothing(app, wsgi_client):
    pytest.importorskip("asgiref")

    @app.post("/")
    async def view():
        await request.load_body()
        return request.data

    assert wsgi_client.post("/", data=b"abc").text == "abc"


@pytest.mark.parametrize("fails", [False, True])
def test_what_was_read_ahead_is_closed_with_the_request(app, ask, monkeypatch, fails):
    app.config["PROPAGATE_EXCEPTIONS"] = False
    monkeypatch.setattr(app.logger, "disabled", True)
    files = []
    make = tempfile.TemporaryFile
    monkeypatch.setattr(
        "tempfile.TemporaryFile", lambda *args: files.append(make(*args)) or files[-1]
    )

    @app.post("/")
    async def view():
        assert not fails
        return str(len(request.data))

    answer = ask(app, method="POST", body=b"x" * 600_000)

    assert answer.status == (500 if fails else 200)
    assert [file.closed for file in files] == [True]


def test_an_async_view_behind_a_sync_function_has_the_body(app, ask):
    class Posts(MethodView):
        async def get(self):
            return repr(request.get_data())

        async def post(self):
            return repr(request.get_data())

    app.add_url_rule("/", view_func=Posts.as_view("posts"))

    assert ask(app, method="POST", body=b"abc").text == "b'abc'"
    assert ask(app).text == "b''"


def test_two_hosts_are_none(app, exchange, run):
    app.add_url_rule("/", "index", lambda: f"<{request.host}>")
    for _ in range(2):
        asked = exchange(app)
        asked.scope["headers"] += [(b"host", b"evil.test"), (b"host", b"third.test")]
        run(asked.run())
        assert "evil.test" not in asked.text


def test_headers_of_sizes_are_not_kept_without_end(monkeypatch):
    monkeypatch.setattr(wrappers, "_SIZES", 2)

    class Own(Response):
        """A response, with headers of its own kept."""

    for size in range(5):
        assert Own("x" * size).headers["Content-Length"] == str(size)
    assert len(Own._sized_fields) == 2


# Asynchronous bodies


async def pieces():
    yield "a"
    yield b"b"


def test_an_asynchronous_body_over_wsgi():
    response = Response(pieces())
    assert response.is_streamed
    assert response.get_data() == b"ab"
    assert response.get_data(as_text=True) == "ab"


def test_an_asynchronous_body_is_closed_with_its_response():
    ended = []

    async def later():
        try:
            yield "a"
            yield "b"
        finally:
            ended.append(True)

    with Response(later()) as response:
        assert next(response.iter_encoded()) == b"a"
        assert ended == []
    assert ended == [True]
