"""The request: limits, JSON bodies, forms, files and what debugging adds."""

from __future__ import annotations

import io

import pytest
from werkzeug.exceptions import BadRequest
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.exceptions import UnsupportedMediaType

from erlen import Erlen
from erlen import Request
from erlen import jsonify
from erlen import request
from erlen.debughelpers import DebugFilesKeyError


def test_query_form_files_headers_and_cookies(app, client):
    @app.post("/<int:n>")
    def view(n):
        return jsonify(
            args=request.args.to_dict(flat=False),
            form=request.form.to_dict(flat=False),
            file=request.files["f"].read().decode(),
            name=request.files["f"].filename,
            header=request.headers["X-A"],
            cookie=request.cookies["c"],
            values=sorted(request.values),
            method=request.method,
            path=request.path,
            full_path=request.full_path,
            url=request.url,
            base_url=request.base_url,
            host=request.host,
            scheme=request.scheme,
            remote_addr=request.remote_addr,
            is_secure=request.is_secure,
            agent=request.user_agent.string,
            mimetype=request.mimetype,
        )

    client.set_cookie("c", "d")
    found = client.post(
        "/3?a=1&a=2&u=%C3%BC",
        data={"x": ["1", "2"], "f": (io.BytesIO(b"content"), "name.txt")},
        headers={"X-A": "b", "User-Agent": "test agent"},
    ).json

    assert found == {
        "args": {"a": ["1", "2"], "u": ["ü"]},
        "form": {"x": ["1", "2"]},
        "file": "content",
        "name": "name.txt",
        "header": "b",
        "cookie": "d",
        "values": ["a", "u", "x"],
        "method": "POST",
        "path": "/3",
        "full_path": "/3?a=1&a=2&u=%C3%BC",
        "url": "http://localhost/3?a=1&a=2&u=ü",
        "base_url": "http://localhost/3",
        "host": "localhost",
        "scheme": "http",
        "remote_addr": "127.0.0.1",
        "is_secure": False,
        "agent": "test agent",
        "mimetype": "multipart/form-data",
    }


def test_url_encoded_form(app, client):
    app.post("/", endpoint="index")(lambda: jsonify(request.form))

    assert client.post("/", data={"a": "ü & b"}).json == {"a": "ü & b"}


def test_raw_body(app, client):
    app.post("/", endpoint="index")(
        lambda: b"|".join((request.get_data(), request.data))
    )

    assert client.post("/", data=b"\x00raw").data == b"\x00raw|\x00raw"


def test_body_as_a_stream(app, client):
    app.post("/", endpoint="index")(lambda: request.stream.read(3))

    assert client.post("/", data=b"abcdef").data == b"abc"


def test_args_are_immutable(app):
    with app.test_request_context("/?a=1"), pytest.raises(TypeError, match="immutable"):
        request.args["a"] = 2


# --- JSON


@pytest.mark.parametrize(
    "mimetype",
    ["application/json", "application/json; charset=utf-8", "application/vnd.x+json"],
)
def test_json_body(app, mimetype):
    with app.test_request_context(
        method="POST", data='{"ü": [1, null]}'.encode(), content_type=mimetype
    ):
        assert request.is_json
        assert request.json == {"ü": [1, None]}
        assert request.get_json() == {"ü": [1, None]}


@pytest.mark.parametrize("mimetype", [None, "text/plain", "text/json"])
def test_wrong_media_type_is_a_415(app, client, mimetype):
    app.post("/", endpoint="index")(lambda: jsonify(request.json))

    response = client.post("/", data="{}", content_type=mimetype)

    assert response.status_code == 415
    with app.test_request_context(method="POST", data="{}", content_type=mimetype):
        with pytest.raises(UnsupportedMediaType):
            request.get_json()
        assert request.get_json(silent=True) is None
        assert request.get_json(force=True) == {}


@pytest.mark.parametrize("body", [b"", b"{", b"not json", b"\xff", b"{'a': 1}"])
def test_broken_json_is_a_400(app, client, body):
    app.post("/", endpoint="index")(lambda: jsonify(request.json))

    response = client.post("/", data=body, content_type="application/json")

    assert response.status_code == 400
    with app.test_request_context(
        method="POST", data=body, content_type="application/json"
    ):
        assert request.get_json(silent=True) is None


@pytest.mark.parametrize(("debug", "detailed"), [(True, True), (False, False)])
def test_reason_of_broken_json_is_told_in_debug_only(app, client, debug, detailed):
    app.debug = debug
    app.post("/", endpoint="index")(lambda: jsonify(request.json))

    response = client.post("/", data="{", content_type="application/json")

    assert response.status_code == 400
    assert ("Failed to decode JSON" in response.text) is detailed


def test_json_failure_may_be_handled_by_a_subclass(app, client):
    class Own(Request):
        def on_json_loading_failed(self, e):
            return {"failed": e is not None}

    app.request_class = Own
    app.post("/", endpoint="index")(lambda: jsonify(request.json))

    assert client.post("/", data="{", content_type="application/json").json == {
        "failed": True
    }


def test_json_is_parsed_once(app):
    loaded = []

    class Counting(type(app.json)):
        def loads(self, text, **kwargs):
            loaded.append(text)
            return super().loads(text, **kwargs)

    app.json = Counting(app)
    with app.test_request_context(method="POST", json={"a": 1}):
        assert request.json is request.get_json()
        request.get_json(cache=False)

    assert len(loaded) == 2


# --- limits


def test_content_length_over_the_limit_is_a_413(app, client):
    app.config["MAX_CONTENT_LENGTH"] = 10
    app.post("/form", endpoint="form")(lambda: jsonify(request.form))
    app.post("/data", endpoint="data")(lambda: request.get_data())
    app.post("/json", endpoint="json")(lambda: jsonify(request.json))

    assert client.post("/data", data=b"x" * 10).status_code == 200
    assert client.post("/data", data=b"x" * 11).status_code == 413
    assert client.post("/form", data={"a": "x" * 20}).status_code == 413
    assert client.post("/json", json=["x" * 20]).status_code == 413


def test_view_that_does_not_read_is_not_hindered_by_the_limit(app, client):
    app.config["MAX_CONTENT_LENGTH"] = 1
    app.post("/", endpoint="index")(lambda: "fine")

    assert client.post("/", data=b"long").text == "fine"


def multipart(fields=0, size=0):
    data = {f"f{n}": "x" for n in range(fields)}
    if size:
        data["big"] = "x" * size
    return {"data": data, "content_type": "multipart/form-data"}


@pytest.mark.parametrize(
    ("config", "body", "status"),
    [
        ({}, multipart(fields=1000), 200),
        ({}, multipart(fields=1001), 413),
        ({"MAX_FORM_PARTS": 2}, multipart(fields=2), 200),
        ({"MAX_FORM_PARTS": 2}, multipart(fields=3), 413),
        ({"MAX_FORM_PARTS": None}, multipart(fields=1001), 200),
        ({}, multipart(size=500_000), 200),
        ({}, multipart(size=500_001), 413),
        ({"MAX_FORM_MEMORY_SIZE": 100_000}, multipart(size=100_000), 200),
        ({"MAX_FORM_MEMORY_SIZE": 100_000}, multipart(size=100_001), 413),
        ({"MAX_FORM_MEMORY_SIZE": None}, multipart(size=500_001), 200),
    ],
)
def test_limits_of_multipart_forms(app, client, config, body, status):
    app.config.update(config)
    app.post("/", endpoint="index")(lambda: str(len(request.form)))

    assert client.post("/", **body).status_code == status


def test_memory_limit_is_not_for_files(app, client):
    app.config["MAX_FORM_MEMORY_SIZE"] = 100_000
    app.post("/", endpoint="index")(lambda: request.files["f"].read())

    response = client.post("/", data={"f": (io.BytesIO(b"x" * 200_000), "f.bin")})

    assert len(response.data) == 200_000


@pytest.mark.parametrize(
    ("name", "key", "wide"),
    [
        ("max_content_length", "MAX_CONTENT_LENGTH", 10_000),
        ("max_form_memory_size", "MAX_FORM_MEMORY_SIZE", 10_000),
        ("max_form_parts", "MAX_FORM_PARTS", 10_000),
    ],
)
def test_limit_of_the_request_wins_over_the_configuration(app, client, name, key, wide):
    app.config[key] = 5 if key == "MAX_FORM_PARTS" else 20
    body = multipart(fields=10, size=30)

    @app.post("/configured")
    def configured():
        return str(getattr(request, name))

    @app.post("/given")
    def given():
        setattr(request, name, wide)
        return f"{getattr(request, name)} {len(request.form)}"

    @app.post("/narrow")
    def narrow():
        setattr(request, name, 1)
        return str(len(request.form))

    app.post("/plain", endpoint="plain")(lambda: str(len(request.form)))

    assert client.post("/configured").text == str(app.config[key])
    assert client.post("/plain", **body).status_code == 413
    assert client.post("/given", **body).text == f"{wide} 11"
    assert client.post("/plain", **body).status_code == 413
    app.config[key] = None
    assert client.post("/narrow", **body).status_code == 413


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_content_length", None),
        ("max_form_memory_size", 500_000),
        ("max_form_parts", 1_000),
    ],
)
def test_limits_without_an_application(name, value):
    assert getattr(Request({}), name) == value


def test_error_of_a_limit_is_the_usual_one(app):
    app.config["MAX_CONTENT_LENGTH"] = 1
    with (
        app.test_request_context(method="POST", data=b"xx"),
        pytest.raises(RequestEntityTooLarge),
    ):
        request.get_data()


# --- what a request knows of itself


def test_fresh_request_knows_no_rule():
    fresh = Request({"REQUEST_METHOD": "GET"})

    assert fresh.url_rule is None
    assert fresh.view_args is None
    assert fresh.routing_exception is None
    assert fresh.endpoint is None
    assert fresh.blueprint is None
    assert fresh.blueprints == []


def test_class_of_requests(app, client):
    class Own(Request):
        @property
        def shout(self):
            return self.path.upper()

    app.request_class = Own
    app.get("/x", endpoint="x")(lambda: request.shout)

    assert client.get("/x").text == "/X"


def test_class_of_requests_of_a_subclass():
    class Own(Request):
        pass

    class Site(Erlen):
        request_class = Own

    with Site("site").test_request_context() as ctx:
        assert type(ctx.request) is Own


def test_broken_method_of_bad_requests_is_untouched(app, client):
    app.get("/", endpoint="index")(lambda: request.args["absent"])

    assert client.get("/").status_code == 400
    with app.test_request_context("/"), pytest.raises(BadRequest):
        request.args["absent"]


# --- debugging


def test_file_in_a_form_without_enctype_is_explained_in_debug(app, client):
    app.debug = True
    app.post("/", endpoint="index")(lambda: request.files["upload"].read())

    with pytest.raises(DebugFilesKeyError) as caught:
        client.post("/", data={"upload": "index.txt"})

    assert isinstance(caught.value, KeyError)
    assert "multipart/form-data" in str(caught.value)
    assert "'index.txt'" in str(caught.value)
    assert "'upload'" in str(caught.value)


def test_file_that_is_missing_for_other_reasons_is_not_explained(app, client):
    app.config.update(DEBUG=True, TRAP_BAD_REQUEST_ERRORS=False)
    app.post("/", endpoint="index")(lambda: request.files["upload"].read())

    assert client.post("/", data={"other": "x"}).status_code == 400
    app.debug = False
    assert client.post("/", data={"upload": "index.txt"}).status_code == 400
