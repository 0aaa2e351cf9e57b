"""The test client, the command runner and the environ builder."""

from __future__ import annotations

import copy
import gc
import io
import json
from importlib.metadata import version

import click
import pytest
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response as BaseResponse

import erlen
from erlen import Erlen
from erlen import g
from erlen import request
from erlen import session
from erlen._commands import ScriptInfo
from erlen.json.provider import DefaultJSONProvider
from erlen.sessions import SecureCookieSessionInterface
from erlen.testing import EnvironBuilder
from erlen.testing import ErlenClient
from erlen.testing import ErlenCliRunner
from erlen.testing import FlaskClient
from erlen.testing import FlaskCliRunner


class ShoutingJSON(DefaultJSONProvider):
    def dumps(self, obj, **kwargs):
        return super().dumps(obj, **kwargs).upper()

    def loads(self, s, **kwargs):
        return {"read by": "ShoutingJSON"}


@pytest.fixture
def log(app):
    """Log the teardown functions that run."""
    calls = []
    app.teardown_request(lambda exc: calls.append(("request", exc)))
    app.teardown_appcontext(lambda exc: calls.append(("app", exc)))
    return calls


def test_aliases():
    assert FlaskClient is ErlenClient
    assert FlaskCliRunner is ErlenCliRunner


# The environ builder


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ({}, "http localhost  / "),
        ({"path": "/x?a=1"}, "http localhost  /x a=1"),
        ({"path": "/x?"}, "http localhost  /x "),
        ({"path": "/x#there"}, "http localhost  /x "),
        ({"path": "/x", "subdomain": "api"}, "http api.localhost  /x "),
        ({"path": "/x", "url_scheme": "https"}, "https localhost  /x "),
        ({"path": "https://b.test/x?q=1"}, "https b.test  /x q=1"),
        ({"path": "//b.test/x"}, "http b.test  /x "),
        ({"path": "//b.test/x", "subdomain": "api"}, "http b.test  /x "),
        ({"path": "ftp://b.test/x", "url_scheme": "https"}, "ftp b.test  /x "),
        ({"path": "/x", "base_url": "https://c.test/root"}, "https c.test /root /x "),
    ],
)
def test_builder_places_the_request(app, args, expected):
    environ = EnvironBuilder(app, **args).get_environ()
    assert _place(environ) == expected


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ({"path": "/x"}, "https a.test:90 /root /x "),
        ({"path": "/x", "subdomain": "api"}, "https api.a.test:90 /root /x "),
        ({"path": "http://b.test/x"}, "http b.test /root /x "),
        ({"path": "/x", "base_url": "http://c.test"}, "http c.test  /x "),
    ],
)
def test_builder_reads_the_configuration(app, args, expected):
    app.config.update(
        SERVER_NAME="a.test:90", APPLICATION_ROOT="/root", PREFERRED_URL_SCHEME="https"
    )
    environ = EnvironBuilder(app, **args).get_environ()
    assert _place(environ) == expected


def _place(environ):
    keys = ("wsgi.url_scheme", "HTTP_HOST", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING")
    return " ".join(environ[key] for key in keys)


@pytest.mark.parametrize("extra", [{"subdomain": "a"}, {"url_scheme": "https"}])
def test_builder_refuses_two_places(app, extra):
    with pytest.raises(AssertionError, match="base_url"):
        EnvironBuilder(app, "/", "http://localhost", **extra)


def test_builder_dumps_json_as_the_application_does(app):
    app.json = ShoutingJSON(app)
    builder = EnvironBuilder(app, method="POST", json={"a": "b"})
    assert builder.get_environ()["wsgi.input"].read() == b'{"A": "B"}'


# The client


def test_responses_have_text_and_json(app, client):
    app.get("/")(lambda: {"a": [1]})
    resp = client.get("/")
    assert resp.json == {"a": [1]}
    assert json.loads(resp.text) == {"a": [1]}
    assert client.application is app


def test_responses_read_json_as_the_application_does(app, client):
    app.json = ShoutingJSON(app)
    app.get("/")(lambda: {"a": 1})
    app.get("/away", endpoint="away")(lambda: ({}, 302, {"Location": "/"}))
    resp = client.get("/away", follow_redirects=True)
    for answer in (*resp.history, resp):
        assert answer.json == {"read by": "ShoutingJSON"}


def test_follow_redirects(app, client):
    app.get("/")(lambda: request.method)
    app.post("/see", endpoint="see")(lambda: erlen.redirect("/again", 303))
    app.get("/again", endpoint="again")(lambda: erlen.redirect("/"))
    resp = client.post("/see", follow_redirects=True)
    assert resp.text == "GET"
    assert [answer.status_code for answer in resp.history] == [303, 302]
    assert [answer.request.path for answer in resp.history] == ["/see", "/again"]


def test_environ_base(app, client):
    app.get("/")(lambda: f"{request.remote_addr} {request.user_agent}")
    agent = f"Werkzeug/{version('werkzeug')}"
    assert client.get("/").text == f"127.0.0.1 {agent}"
    base = {"REMOTE_ADDR": "10.0.0.1"}
    assert client.get("/", environ_base=base).text == f"10.0.0.1 {agent}"
    assert client.get("/", headers={"User-Agent": "me"}).text == "127.0.0.1 me"
    client.environ_base["REMOTE_ADDR"] = "10.0.0.2"
    assert client.get("/").text == f"10.0.0.2 {agent}"


def test_open_takes_builders_environs_and_requests(app, client):
    app.post("/")(lambda: f"{request.args['a']} {request.remote_addr}")
    builder = EnvironBuilder(app, "/?a=1", method="POST")
    assert client.open(builder).text == "1 127.0.0.1"
    environ = builder.get_environ()
    before = environ.copy()
    assert client.open(environ).text == "1 127.0.0.1"
    assert environ == before
    resp = client.open("/?a=2", method="POST")
    assert client.open(resp.request).text == "2 127.0.0.1"


def test_own_response_class(app):
    class Mine(erlen.Response):
        charm = "mine"

    app.response_class = Mine
    app.get("/")(lambda: "")
    resp = app.test_client().get("/")
    assert isinstance(resp, Mine)
    assert resp.charm == "mine"


def test_builder_of_the_client_closes_its_files(app, client):
    app.post("/")(lambda: request.files["f"].read())
    file = io.BytesIO(b"content")
    assert client.post("/", data={"f": (file, "name.txt")}).data == b"content"
    assert file.closed


# Contexts


def test_block_keeps_the_context_until_the_next_request(app, client):
    @app.get("/<name>")
    def view(name):
        g.name = name
        session["name"] = name
        return ""

    with client:
        for name in ("a", "b"):
            client.get(f"/{name}")
            assert (g.name, session["name"]) == (name, name)
            assert request.path == f"/{name}"
            assert erlen.has_app_context()
    assert not erlen.has_request_context()
    assert not erlen.has_app_context()


def test_kept_context_is_torn_down_again(app, client, log):
    app.get("/")(lambda: "")
    once = [("request", None), ("app", None)]
    with client:
        client.get("/")
        assert log == once
        client.get("/")
        assert log == once * 3
    assert log == once * 4


def test_request_outside_a_block_keeps_nothing(app, client):
    app.get("/")(lambda: "")
    client.get("/")
    assert not erlen.has_app_context()


def test_redirects_keep_the_last_context_only(app, client, log):
    app.get("/")(lambda: "")
    app.get("/away", endpoint="away")(lambda: erlen.redirect("/"))
    with client:
        client.get("/away", follow_redirects=True)
        assert request.path == "/"
    assert log == [("request", None), ("app", None)] * 3
    assert not erlen.has_request_context()


def test_request_that_raises_keeps_nothing(app, client):
    app.get("/")(lambda: "")
    app.get("/boom", endpoint="boom")(lambda: 1 // 0)
    with client:
        client.get("/")
        with pytest.raises(ZeroDivisionError):
            client.get("/boom")
        assert not erlen.has_request_context()
        client.get("/")
        assert request.path == "/"
    assert not erlen.has_request_context()


def test_request_of_a_block_sent_again_outside_keeps_nothing(app, client):
    app.get("/")(lambda: "")
    with client:
        resp = client.get("/")
    client.open(resp.request)
    assert not erlen.has_request_context()


def test_block_in_itself_is_refused(app, client):
    with client:
        with (
            pytest.raises(RuntimeError, match="Cannot nest client invocations"),
            client,
        ):
            pass
        assert client.preserve_context
    assert not client.preserve_context


# Sessions


def test_session_transaction(app, client):
    app.get("/")(lambda: dict(session))
    with client.session_transaction() as sess:
        assert not erlen.has_app_context()
        sess["a"] = (1, 2)
    with client.session_transaction() as sess:
        assert sess["a"] == (1, 2)
        sess["b"] = 3
    assert client.get("/").json == {"a": [1, 2], "b": 3}


def test_session_transaction_takes_what_a_request_takes(app):
    client = app.test_client()
    app.config["SESSION_COOKIE_DOMAIN"] = "shop.test"
    with client.session_transaction("/", base_url="http://shop.test") as sess:
        sess["a"] = 1
    assert client.get_cookie("session", "shop.test") is not None


def test_session_transaction_that_raises_saves_nothing(client):
    with pytest.raises(ZeroDivisionError), client.session_transaction() as sess:
        sess["a"] = 1 // 0
    assert client.get_cookie("session") is None


def test_session_transaction_needs_cookies(app):
    client = app.test_client(use_cookies=False)
    with pytest.raises(TypeError, match="use_cookies"), client.session_transaction():
        pass


def test_session_transaction_needs_a_session(app, client):
    app.secret_key = None
    with (
        pytest.raises(RuntimeError, match="did not open a session"),
        client.session_transaction(),
    ):
        pass


def test_session_transaction_does_not_save_a_null_session(app, client):
    class Nulls(SecureCookieSessionInterface):
        def open_session(self, app, request):
            return self.make_null_session(app)

    app.session_interface = Nulls()
    with client.session_transaction() as sess:
        assert sess.get("a") is None
    assert client.get_cookie("session") is None


# Validation


def _lax(environ, start_response):
    start_response("200 OK", [])
    return [b""]


def test_validation_is_opt_in(app):
    app.wsgi_app = _lax
    assert app.test_client().get("/").data == b""
    with pytest.raises(AssertionError, match="No Content-Type header"):
        app.test_client(validate=True).get("/")


def test_validation_shares_the_cookies(app, client):
    app.get("/")(lambda: session.setdefault("a", "1"))
    client.get("/")
    assert client.get_cookie("session") is not None
    with client.session_transaction() as sess:
        assert sess["a"] == "1"


@pytest.mark.parametrize(
    "send",
    [
        {"data": b"body", "content_type": "text/plain"},
        {"data": {"a": "b"}},
        {"data": {"a": (io.BytesIO(b"body"), "a.txt")}},
        {"json": {"a": "b"}},
        {"data": b"body", "environ_overrides": {"wsgi.input_terminated": True}},
        {},
    ],
)
def test_validation_lets_bodies_be_read(app, client, send):
    @app.post("/")
    def view():
        return str(len(request.form) + len(request.files) + len(request.get_data()))

    assert client.post("/", **copy.deepcopy(send)).status_code == 200


@pytest.mark.parametrize("method", ["get", "head", "options", "post"])
@pytest.mark.parametrize("code", [200, 204, 304, 404])
def test_validation_allows_all_that_the_core_answers(app, client, method, code):
    app.route("/", methods=["GET", "POST"])(lambda: ("", code))
    assert getattr(client, method)("/").status_code in {code, 200}


class Body:
    """A body of two chunks that counts how often it is closed."""

    def __init__(self, last=b"b"):
        self.chunks = iter([b"a", last])
        self.closed = 0

    def __iter__(self):
        return self

    def __next__(self):
        chunk = next(self.chunks)
        if chunk is None:
            raise BadRequest
        return chunk

    def close(self):
        self.closed += 1


@pytest.fixture
def body(app):
    body = Body()
    app.get("/")(lambda: BaseResponse(body, direct_passthrough=True))
    return body


def test_validation_closes_a_body_that_was_read(client, body):
    assert client.get("/").data == b"ab"
    gc.collect()
    assert body.closed == 1


def test_validation_closes_a_body_that_is_dropped(client, body):
    client.get("/")
    gc.collect()
    assert body.closed == 1


def test_validation_closes_a_body_with_its_response(client, body):
    resp = client.get("/")
    assert next(iter(resp.response)) == b"a"
    resp.close()
    assert body.closed == 1


def test_validation_closes_a_buffered_body(client, body):
    assert client.get("/", buffered=True).data == b"ab"
    assert body.closed == 1


def test_validation_closes_a_body_that_raises(app, client):
    body = Body(last=None)
    app.get("/")(lambda: BaseResponse(body, direct_passthrough=True))
    resp = client.get("/")
    with pytest.raises(BadRequest):
        _ = resp.data
    resp.close()
    assert body.closed == 1


# The runner of commands


def test_runner_runs_commands_in_the_application_context(app):
    @app.cli.command("greet")
    @click.argument("name")
    def greet(name):
        click.echo(f"{name} of {erlen.current_app.name}")

    result = app.test_cli_runner().invoke(args=["greet", "me"])
    assert (result.exit_code, result.output) == (0, f"me of {app.name}\n")


def test_runner_takes_another_command_and_another_object(app):
    @click.command()
    @click.pass_obj
    def show(obj):
        click.echo(obj.load_app().name)

    runner = ErlenCliRunner(app, env={"A": "1"})
    assert runner.app is app
    assert runner.invoke(show).output == f"{app.name}\n"
    info = ScriptInfo(create_app=lambda: Erlen("other"))
    assert runner.invoke(show, obj=info).output == "other\n"
