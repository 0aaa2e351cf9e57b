"""What a view may return, and what `make_response`, `redirect` and files make of it."""

from __future__ import annotations

import io
import json
import os
from datetime import UTC
from datetime import datetime

import pytest
import werkzeug.wrappers
from markupsafe import Markup

from erlen import Erlen
from erlen import Response
from erlen import jsonify
from erlen import make_response
from erlen import redirect
from erlen import send_file
from erlen import send_from_directory


def answer(app, value):
    app.add_url_rule("/", "index", lambda: value() if callable(value) else value)
    return app.test_client().get("/")


class Anything:
    """A WSGI application that is no response."""

    def __call__(self, environ, start_response):
        start_response("201 Created", [("X-Raw", environ["PATH_INFO"])])
        return [b"raw"]


@pytest.mark.parametrize(
    ("value", "body", "mimetype"),
    [
        ("text ü", "text ü".encode(), "text/html"),
        (b"\xff", b"\xff", "text/html"),
        (bytearray(b"\xfe"), b"\xfe", "text/html"),
        ("", b"", "text/html"),
        (Markup("<b>"), b"<b>", "text/html"),
        ({"a": 1}, b'{"a":1}\n', "application/json"),
        ([1, "b"], b'[1,"b"]\n', "application/json"),
        ({}, b"{}\n", "application/json"),
        ([], b"[]\n", "application/json"),
        (lambda: (c for c in "abc"), b"abc", "text/html"),
        (lambda: iter([b"a", b"b"]), b"ab", "text/html"),
        (lambda: Response("own", mimetype="text/plain"), b"own", "text/plain"),
        (lambda: werkzeug.wrappers.Response("other"), b"other", "text/plain"),
        (lambda: jsonify(a=1), b'{"a":1}\n', "application/json"),
    ],
)
def test_value_of_a_view(app, value, body, mimetype):
    response = answer(app, value)

    assert response.status_code == 200
    assert response.data == body
    assert response.mimetype == mimetype


def test_wsgi_application_is_a_value(app):
    response = answer(app, Anything)

    assert response.status_code == 201
    assert (response.data, response.headers["X-Raw"]) == (b"raw", "/")


def test_text_is_utf8_html(app):
    assert answer(app, "x").content_type == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("value", "status", "header"),
    [
        (("x", 201), "201 CREATED", None),
        (("x", "299 Own Words"), "299 Own Words", None),
        (("x", 201, {"X-A": "1"}), "201 CREATED", "1"),
        (("x", {"X-A": "1"}), "200 OK", "1"),
        (("x", [("X-A", "1")]), "200 OK", "1"),
        (("x", 202, [("X-A", "1")]), "202 ACCEPTED", "1"),
        (({"a": 1}, 201), "201 CREATED", None),
        (([1], 201, {"X-A": "1"}), "201 CREATED", "1"),
        ((b"", 204), "204 NO CONTENT", None),
    ],
)
def test_tuple(app, value, status, header):
    response = answer(app, value)

    assert response.status == status
    assert response.headers.get("X-A") == header


def test_headers_of_a_tuple_beat_those_of_the_value(app):
    response = answer(app, ("x", {"Content-Type": "text/plain"}))

    assert response.headers.getlist("Content-Type") == ["text/plain"]


@pytest.mark.parametrize(
    "headers",
    [
        {"X-A": ["1", "2"]},
        [("X-A", "1"), ("X-A", "2")],
        werkzeug.datastructures.Headers([("X-A", "1"), ("X-A", "2")]),
    ],
)
def test_header_with_several_values(app, headers):
    assert answer(app, ("x", headers)).headers.getlist("X-A") == ["1", "2"]


@pytest.mark.parametrize("cls", [Response, werkzeug.wrappers.Response])
def test_tuple_with_a_response_updates_that_response(app, cls):
    inner = cls("x", 400, {"X-A": "inner", "X-B": "kept"})

    response = answer(app, (inner, 418, {"X-A": "outer"}))

    assert response.status_code == 418
    assert response.headers.getlist("X-A") == ["outer"]
    assert response.headers["X-B"] == "kept"


def test_tuple_with_a_response_and_headers_keeps_the_status(app):
    inner = Response("x", 400)

    response = answer(app, (inner, {"X-A": "1"}))

    assert (response.status_code, response.headers["X-A"]) == (400, "1")


def test_response_is_passed_on_as_it_is(app):
    response = Response("x")

    with app.test_request_context():
        assert app.make_response(response) is response
        assert make_response(response) is response
        assert app.make_response((response, 201)) is response


def test_response_of_another_class_is_coerced(app):
    with app.test_request_context():
        made = app.make_response(werkzeug.wrappers.Response("x", 201))

    assert type(made) is app.response_class
    assert made.status_code == 201


WRONG = [
    (None, "returned None|None"),
    (1, "int"),
    (1.5, "float"),
    (object(), "object"),
    (True, "bool"),
    (("x",), "tuple"),
    ((), "tuple"),
    (("x", 1, {}, None), "tuple"),
    ((None, 200), "None"),
    ((None,), "tuple"),
]


@pytest.mark.parametrize(("value", "words"), WRONG)
def test_what_is_no_response(app, value, words):
    with pytest.raises(
        TypeError, match=rf"(?s)did not return a valid response.*{words}"
    ):
        answer(app, lambda: value)


def test_error_of_a_wrong_value_names_the_endpoint(app):
    @app.get("/", endpoint="the-endpoint")
    def the_view():
        return None

    with pytest.raises(TypeError, match=r"the-endpoint|the_view"):
        app.test_client().get("/")


@pytest.mark.parametrize("code", [204, 304])
def test_answer_without_a_body_by_its_status(app, code):
    response = answer(app, ("", code))

    assert response.data == b""
    assert response.status_code == code


# --- make_response


@pytest.mark.parametrize(
    ("args", "body", "status"),
    [
        ((), b"", 200),
        (("x",), b"x", 200),
        (("x", 201), b"x", 201),
        (("x", 201, {"X-A": "1"}), b"x", 201),
        ((("x", 201),), b"x", 201),
        (({"a": 1},), b'{"a":1}\n', 200),
        (([1], 404), b"[1]\n", 404),
    ],
)
def test_make_response(app, args, body, status):
    with app.test_request_context():
        response = make_response(*args)

    assert type(response) is Response
    assert (response.data, response.status_code) == (body, status)


def test_make_response_can_be_changed_before_it_is_returned(app):
    def view():
        response = make_response("x")
        response.headers["X-A"] = "1"
        response.set_cookie("a", "b")
        return response

    response = answer(app, view)

    assert response.headers["X-A"] == "1"
    assert response.headers["Set-Cookie"].startswith("a=b")


# --- classes


def test_class_of_responses(app):
    class Own(Response):
        default_mimetype = "application/xml"

    app.response_class = Own
    response = answer(app, "<a/>")

    assert response.mimetype == "application/xml"
    assert isinstance(response, Own)
    with app.test_request_context():
        assert type(make_response("x")) is Own
        assert type(jsonify(1)) is Own


def test_defaults_of_the_class():
    assert Response.default_mimetype == "text/html"
    assert Response.autocorrect_location_header is False


def test_json_of_a_response(app):
    response = Response('{"a": 1}', mimetype="application/json")

    with app.app_context():
        assert response.is_json
        assert response.json == {"a": 1}
        assert response.get_json() == {"a": 1}
    assert Response("x").is_json is False


def test_max_cookie_size_comes_from_the_configuration(app):
    app.config["MAX_COOKIE_SIZE"] = 50
    response = Response()
    assert response.max_cookie_size == 4093

    with app.app_context():
        assert response.max_cookie_size == 50
        with pytest.warns(UserWarning, match="too large"):
            response.set_cookie("a", "x" * 100)

    app.config["MAX_COOKIE_SIZE"] = 0
    with app.app_context():
        response.set_cookie("a", "x" * 5000)


def test_json_module_is_the_provider_s(app):
    class Loud(type(app.json)):
        def loads(self, text, **kwargs):
            return {"loud": super().loads(text, **kwargs)}

    app.json = Loud(app)
    app.get("/", endpoint="index")(lambda: [1])

    assert app.test_client().get("/").json == {"loud": [1]}


# --- redirect


@pytest.mark.parametrize(
    ("args", "code", "location"),
    [
        (("/x",), 302, "/x"),
        (("/x", 303), 303, "/x"),
        (("https://e.test/x?a=b#c",), 302, "https://e.test/x?a=b#c"),
        (("/ü x",), 302, "/%C3%BC%20x"),
        (("relative",), 302, "relative"),
    ],
)
def test_redirect(app, args, code, location):
    response = answer(app, lambda: redirect(*args))

    assert response.status_code == code
    assert response.location == location
    assert 'href="' in response.text


def test_redirect_escapes_its_page(app):
    response = answer(app, lambda: redirect('/"><script>'))

    assert "<script>" not in response.text


def test_redirect_outside_of_an_application():
    assert redirect("/x").location == "/x"


def test_redirect_asks_the_application():
    class Site(Erlen):
        def redirect(self, location, code=302):
            return super().redirect(f"{location}?mine", 307)

    app = Site("site")
    response = answer(app, lambda: redirect("/x"))

    assert (response.status_code, response.location) == (307, "/x?mine")


def test_redirect_makes_a_response_of_the_application_s_class(app):
    class Own(Response):
        pass

    app.response_class = Own
    with app.app_context():
        assert type(redirect("/x")) is Own
    assert type(redirect("/x", Response=werkzeug.wrappers.Response)) is (
        werkzeug.wrappers.Response
    )


# --- files


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.txt").write_text("content of a")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.html").write_text("<b>")
    (tmp_path.parent / "secret.txt").write_text("secret")
    os.utime(tmp_path / "a.txt", (1_700_000_000, 1_700_000_000))
    return tmp_path


@pytest.fixture
def sent(app, folder):
    """Return a function that has a request answered by a file."""
    opened = []

    def send(view, *args, **kwargs):
        app.add_url_rule("/", "index", view)
        opened.append(app.test_client().get("/", *args, **kwargs))
        return opened[-1]

    yield send
    for response in opened:
        response.close()


def test_send_file(sent, folder):
    response = sent(lambda: send_file(folder / "a.txt"))

    assert response.text == "content of a"
    assert response.content_type == "text/plain; charset=utf-8"
    assert response.content_length == 12
    assert response.last_modified == datetime.fromtimestamp(1_700_000_000, UTC)
    assert response.get_etag()[0]
    assert "Content-Disposition" in response.headers
    assert response.cache_control.no_cache
    assert response.cache_control.max_age is None


def test_send_file_takes_a_path_relative_to_the_root(app, folder):
    app.root_path = str(folder)

    with app.test_request_context():
        response = send_file("sub/b.html")
        response.direct_passthrough = False
        assert response.data == b"<b>"
        response.close()


def test_send_file_takes_a_file_object(sent):
    response = sent(lambda: send_file(io.BytesIO(b"x"), download_name="name.json"))

    assert response.data == b"x"
    assert response.mimetype == "application/json"


def test_send_file_of_a_file_object_needs_a_type_or_a_name(app):
    with (
        app.test_request_context(),
        pytest.raises((TypeError, ValueError), match="mimetype"),
    ):
        send_file(io.BytesIO())


def test_send_file_refuses_text_files(app):
    with app.test_request_context(), pytest.raises(ValueError, match="binary"):
        send_file(io.StringIO("x"), mimetype="text/plain")


@pytest.mark.parametrize(
    ("options", "header"),
    [
        ({}, "inline; filename=a.txt"),
        ({"as_attachment": True}, "attachment; filename=a.txt"),
        (
            {"as_attachment": True, "download_name": "b c.txt"},
            'attachment; filename="b c.txt"',
        ),
        (
            {"as_attachment": True, "download_name": "ü.txt"},
            "attachment; filename=u.txt; filename*=UTF-8''%C3%BC.txt",
        ),
    ],
)
def test_disposition(sent, folder, options, header):
    response = sent(lambda: send_file(folder / "a.txt", **options))

    assert response.headers["Content-Disposition"] == header


@pytest.mark.parametrize(
    ("options", "config", "age"),
    [
        ({}, None, None),
        ({}, 60, 60),
        ({"max_age": 5}, 60, 5),
        ({"max_age": lambda name: 9 if name.endswith("a.txt") else 0}, 60, 9),
        ({"max_age": 0}, 60, 0),
    ],
)
def test_max_age(app, sent, folder, options, config, age):
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = config

    response = sent(lambda: send_file(folder / "a.txt", **options))

    assert response.cache_control.max_age == age


def test_max_age_of_a_subclass(folder):
    class Site(Erlen):
        def get_send_file_max_age(self, filename):
            return 3 if filename.endswith("a.txt") else None

    app = Site("site", root_path=str(folder))
    with app.test_request_context(), send_file("a.txt") as response:
        assert response.cache_control.max_age == 3


def test_conditional_request(sent, folder, app):
    etag = sent(lambda: send_file(folder / "a.txt")).headers["ETag"]

    with app.test_client().get("/", headers={"If-None-Match": etag}) as response:
        assert response.status_code == 304
        assert response.data == b""


def test_range_request(sent, folder):
    response = sent(lambda: send_file(folder / "a.txt"), headers={"Range": "bytes=3-5"})

    assert response.status_code == 206
    assert response.data == b"ten"
    assert response.headers["Content-Range"] == "bytes 3-5/12"


def test_options_of_send_file(sent, folder):
    response = sent(
        lambda: send_file(
            folder / "a.txt",
            mimetype="text/x-own",
            etag="fixed",
            last_modified=1_600_000_000,
            conditional=False,
        )
    )

    assert response.mimetype == "text/x-own"
    assert response.get_etag() == ("fixed", False)
    assert response.last_modified.year == 2020


def test_x_sendfile(app, sent, folder):
    app.config["USE_X_SENDFILE"] = True

    response = sent(lambda: send_file(folder / "a.txt"))

    assert response.headers["X-Sendfile"] == str(folder / "a.txt")
    assert response.data == b""


def test_sent_file_is_closed_with_the_response(sent):
    file = io.BytesIO(b"x")
    response = sent(lambda: send_file(file, mimetype="text/plain"))

    response.close()

    assert file.closed


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("a.txt", 200),
        ("sub/b.html", 200),
        ("absent.txt", 404),
        ("sub", 404),
        ("../secret.txt", 404),
        ("sub/../../secret.txt", 404),
        ("", 404),
    ],
)
def test_send_from_directory(sent, folder, name, status):
    assert sent(lambda: send_from_directory(folder, name)).status_code == status


def test_send_from_directory_relative_to_the_root(app, sent, folder):
    app.root_path = str(folder)

    response = sent(lambda: send_from_directory("sub", "b.html", as_attachment=True))

    assert response.data == b"<b>"
    assert response.headers["Content-Disposition"].startswith("attachment")


def test_send_from_directory_with_null_bytes(sent, folder):
    assert sent(lambda: send_from_directory(folder, "a\x00.txt")).status_code == 404


def test_json_body_matches_the_json_module(app):
    assert json.loads(answer(app, {"ü": [1.5, None, True]}).data) == {
        "ü": [1.5, None, True]
    }
