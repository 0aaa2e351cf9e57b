"""The test client, session transactions, the runner and the environ builder."""

from __future__ import annotations

import os

import click
import pytest

import erlen
from erlen import Erlen
from erlen import g
from erlen import has_app_context
from erlen import has_request_context
from erlen import jsonify
from erlen import redirect
from erlen import request
from erlen import session
from erlen.cli import ScriptInfo
from erlen.testing import EnvironBuilder
from erlen.testing import ErlenClient
from erlen.testing import ErlenCliRunner


@pytest.fixture
def app(app):
    @app.get("/url")
    def url():
        return request.url

    @app.get("/n")
    def n():
        session["n"] = session.get("n", 0) + 1
        return str(session["n"])

    @app.route("/echo", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    def echo():
        return jsonify(
            method=request.method,
            json=request.get_json(silent=True),
            form=request.form,
            args=request.args,
            header=request.headers.get("X-A"),
        )

    app.get("/first", endpoint="first")(lambda: redirect("/second"))
    app.get("/second", endpoint="second")(lambda: redirect("/url?end=1"))
    return app


# --- requests


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
def test_one_method_for_each_verb(client, method):
    found = getattr(client, method)(
        "/echo?q=1", json={"a": 1}, headers={"X-A": "b"}
    ).json

    assert found == {
        "method": method.upper(),
        "json": {"a": 1},
        "form": {},
        "args": {"q": "1"},
        "header": "b",
    }


def test_response_has_json_and_text(client):
    response = client.get("/echo")

    assert response.json["method"] == "GET"
    assert response.get_json() == response.json
    assert response.text == response.get_data(as_text=True)


@pytest.mark.parametrize(
    ("path", "kwargs", "url"),
    [
        ("/url", {}, "http://localhost/url"),
        ("/url?a=b", {}, "http://localhost/url?a=b"),
        ("https://shop.test/url", {}, "https://shop.test/url"),
        ("http://shop.test:81/url?a=b", {}, "http://shop.test:81/url?a=b"),
        ("/url", {"base_url": "https://shop.test"}, "https://shop.test/url"),
        ("/url", {"base_url": "http://x.test/root"}, "http://x.test/root/url"),
        ("/url", {"subdomain": "ada"}, "http://ada.localhost/url"),
        ("/url", {"url_scheme": "https"}, "https://localhost/url"),
        ("/url", {"query_string": {"a": "b c"}}, "http://localhost/url?a=b+c"),
    ],
)
def test_address_of_a_request(client, path, kwargs, url):
    assert client.get(path, **kwargs).text.replace("%20", "+") == url


def test_first_slash_of_a_path_may_be_left_out(app):
    assert app.test_client().get("url").text == "http://localhost/url"


@pytest.mark.parametrize(
    ("config", "path", "url"),
    [
        ({"SERVER_NAME": "shop.test"}, "/url", "http://shop.test/url"),
        ({"PREFERRED_URL_SCHEME": "https"}, "/url", "https://localhost/url"),
        ({"APPLICATION_ROOT": "/root"}, "/url", "http://localhost/root/url"),
        (
            {
                "SERVER_NAME": "shop.test:8000",
                "APPLICATION_ROOT": "/root/",
                "PREFERRED_URL_SCHEME": "https",
            },
            "/url",
            "https://shop.test:8000/root/url",
        ),
        (
            {"SERVER_NAME": "shop.test"},
            "http://other.test/url",
            "http://other.test/url",
        ),
    ],
)
def test_base_url_comes_from_the_configuration(app, config, path, url):
    app.config.update(config)

    assert app.test_client().get(path).text == url


def test_redirects_are_followed_on_demand(client):
    assert client.get("/first").status_code == 302

    response = client.get("/first", follow_redirects=True)

    assert response.text == "http://localhost/url?end=1"
    assert [step.location for step in response.history] == ["/second", "/url?end=1"]
    assert response.request.path == "/url"


def test_request_of_a_response(client):
    response = client.get("/echo?q=1")

    assert response.request.path == "/echo"
    assert response.request.args["q"] == "1"


def test_cookies_are_kept(client):
    assert [client.get("/n").text for _ in range(3)] == ["1", "2", "3"]


def test_cookies_may_be_off(app):
    client = app.test_client(use_cookies=False)

    assert [client.get("/n").text for _ in range(2)] == ["1", "1"]


def test_two_clients_have_two_jars(app):
    one, two = app.test_client(), app.test_client()

    assert [one.get("/n").text, one.get("/n").text, two.get("/n").text] == [
        "1",
        "2",
        "1",
    ]


def test_cookies_can_be_set_and_read(app, client):
    app.get("/cookie", endpoint="cookie")(lambda: request.cookies.get("a", "none"))

    client.set_cookie("a", "b")
    assert client.get("/cookie").text == "b"
    assert client.get_cookie("a").value == "b"
    client.delete_cookie("a")
    assert client.get("/cookie").text == "none"


def test_environment_that_every_request_gets(app, wsgi_client):
    app.get("/env", endpoint="env")(
        lambda: f"{request.remote_addr} {request.environ.get('MY_KEY')}"
    )
    assert wsgi_client.get("/env").text == "127.0.0.1 None"

    wsgi_client.environ_base["REMOTE_ADDR"] = "10.0.0.1"
    wsgi_client.environ_base["MY_KEY"] = "mine"
    assert wsgi_client.get("/env").text == "10.0.0.1 mine"

    given = wsgi_client.get("/env", environ_base={"REMOTE_ADDR": "10.0.0.2"})
    assert given.text.startswith("10.0.0.2")


def test_user_agent_of_the_client(app, client):
    app.get("/agent", endpoint="agent")(lambda: request.user_agent.string)

    assert client.get("/agent").text.startswith("Werkzeug/")
    assert client.get("/agent", headers={"User-Agent": "own"}).text == "own"


def test_builder_environ_and_request_are_taken_too(app, client):
    builder = EnvironBuilder(app, path="/url", query_string={"by": "builder"})
    assert client.open(builder).text.endswith("/url?by=builder")

    environ = EnvironBuilder(app, path="/url").get_environ()
    assert client.open(environ).text == "http://localhost/url"
    assert client.get("/url").text == "http://localhost/url"


def test_json_goes_through_the_provider(app, client):
    class Loud(type(app.json)):
        def dumps(self, obj, **kwargs):
            return super().dumps(obj, **kwargs).replace("quiet", "LOUD")

    app.json = Loud(app)

    assert client.post("/echo", json={"a": "quiet"}).json["json"] == {"a": "LOUD"}


# --- contexts


def test_block_keeps_the_context_until_the_next_request(app):
    with app.test_client() as client:
        client.get("/url?n=1")
        assert request.args["n"] == "1"
        g.mark = 1

        client.get("/url?n=2")
        assert request.args["n"] == "2"
        assert "mark" not in g

        client.get("/n")
        assert session["n"] == 1
    assert not has_request_context()
    assert not has_app_context()


def test_without_a_block_nothing_is_kept(client):
    client.get("/url")

    assert not has_request_context()


def test_block_keeps_the_context_of_a_failing_request(app):
    @app.get("/fail")
    def fail():
        g.mark = "set"
        raise LookupError

    app.config["PROPAGATE_EXCEPTIONS"] = False
    with app.test_client() as client:
        assert client.get("/fail").status_code == 500
        assert request.path == "/fail"
        assert g.mark == "set"
    assert not has_request_context()


def test_block_keeps_the_last_context_of_followed_redirects(app):
    with app.test_client() as client:
        client.get("/first", follow_redirects=True)
        assert request.path == "/url"


def test_blocks_cannot_be_nested(app):
    with app.test_client() as client, pytest.raises(RuntimeError, match="nest"):
        client.__enter__()


def test_block_gives_the_client(app):
    client = app.test_client()

    with client as entered:
        assert entered is client
        assert client.preserve_context is True
    assert client.preserve_context is False


def test_two_clients_may_be_open_at_once(app):
    with app.test_client() as one, app.test_client() as two:
        one.get("/url?n=1")
        two.get("/url?n=2")
        assert request.args["n"] == "2"
    assert not has_request_context()


# --- session transactions


def test_transaction_reads_and_writes_the_session(app, client):
    with client.session_transaction() as stored:
        stored["n"] = 41
        assert not has_request_context()

    assert client.get("/n").text == "42"
    with client.session_transaction() as stored:
        assert stored["n"] == 42


def test_transaction_in_a_block_leaves_the_context_alone(app):
    with app.test_client() as client:
        client.get("/url?n=1")
        with client.session_transaction() as stored:
            stored["n"] = 5
            assert request.args["n"] == "1"
        assert request.args["n"] == "1"
        assert client.get("/n").text == "6"


def test_transaction_takes_arguments_of_a_request(app, client):
    app.config.update(SESSION_COOKIE_PATH="/only", APPLICATION_ROOT="/only")

    with client.session_transaction("/only/x") as stored:
        stored["n"] = 1

    assert client.get_cookie("session", path="/only") is not None


def write_in_transaction(client, error=None):
    with client.session_transaction() as stored:
        stored["n"] = 1
        if error:
            raise error


def test_transaction_needs_cookies(app):
    with pytest.raises(TypeError, match=r"(?i)cookies"):
        write_in_transaction(app.test_client(use_cookies=False))


def test_transaction_needs_a_session(app, client):
    class Nothing(type(app.session_interface)):
        def open_session(self, app, request):
            return None

    app.session_interface = Nothing()

    with pytest.raises(RuntimeError, match=r"(?i)session"):
        write_in_transaction(client)


def test_transaction_without_a_secret_key():
    with pytest.raises(RuntimeError, match=r"(?i)session|secret"):
        write_in_transaction(Erlen("keyless").test_client())


def test_nothing_is_stored_when_the_block_fails(client):
    with pytest.raises(LookupError):
        write_in_transaction(client, LookupError())

    assert client.get("/n").text == "1"


# --- classes


def test_client_and_its_application(app):
    client = app.test_client()

    assert client.application is app
    assert isinstance(client, ErlenClient)


def test_class_of_the_client(app):
    class Own(ErlenClient):
        def __init__(self, *args, **kwargs):
            self.token = kwargs.pop("token", None)
            super().__init__(*args, **kwargs)

        def open(self, *args, **kwargs):
            headers = {"X-A": self.token} if self.token else None
            return super().open(*args, headers=headers, **kwargs)

    app.test_client_class = Own

    assert app.test_client(token="t").get("/echo").json["header"] == "t"
    assert app.test_client().get("/echo").json["header"] is None


def test_class_of_the_runner(app):
    class Own(ErlenCliRunner):
        pass

    app.test_cli_runner_class = Own

    assert type(app.test_cli_runner()) is Own


# --- the environ builder


def test_environ_builder(app):
    app.config["SERVER_NAME"] = "shop.test"
    builder = EnvironBuilder(app, "/x?a=b", method="POST", json={"b": 1, "a": 2})

    environ = builder.get_environ()

    assert builder.app is app
    assert environ["HTTP_HOST"] == "shop.test"
    assert environ["PATH_INFO"] == "/x"
    assert environ["QUERY_STRING"] == "a=b"
    assert environ["CONTENT_TYPE"] == "application/json"
    assert builder.json_dumps({"b": 1, "a": 2}) == app.json.dumps({"a": 2, "b": 1})


def test_environ_builder_with_two_base_urls(app):
    for extra in ({"subdomain": "a"}, {"url_scheme": "https"}):
        with pytest.raises(AssertionError, match="base_url"):
            EnvironBuilder(app, base_url="http://x.test", **extra)


# --- the runner


def test_runner_invokes_commands_of_the_application(app):
    @app.cli.command("hello")
    @click.argument("name")
    def hello(name):
        click.echo(f"Hello {name} from {erlen.current_app.name}")

    runner = app.test_cli_runner()

    result = runner.invoke(args=["hello", "Ada"])

    assert result.output == f"Hello Ada from {app.name}\n"
    assert result.exit_code == 0
    assert runner.app is app
    assert not has_app_context()


def test_runner_invokes_a_command_directly(app):
    @app.cli.command()
    def direct():
        click.echo(erlen.current_app.name)

    assert app.test_cli_runner().invoke(direct).output == f"{app.name}\n"


def test_runner_takes_a_script_info_of_one_s_own(app):
    other = Erlen("other")

    @app.cli.command()
    def direct():
        click.echo(erlen.current_app.name)

    info = ScriptInfo(create_app=lambda: other)

    assert app.test_cli_runner().invoke(direct, obj=info).output == "other\n"


def test_runner_options_are_click_s(app):
    @app.cli.command()
    def env():
        click.echo(os.environ["OWN"])

    runner = app.test_cli_runner(env={"OWN": "from the runner"})

    assert runner.invoke(args=["env"]).output == "from the runner\n"
