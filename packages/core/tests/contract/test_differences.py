"""Where Erlen differs from Flask on purpose: safer defaults, each with its switch."""

from __future__ import annotations

import os

import pytest
from click.testing import CliRunner

import erlen
from erlen import Erlen
from erlen import Response
from erlen import has_app_context
from erlen import has_request_context
from erlen import render_template_string
from erlen import request
from erlen import send_from_directory
from erlen import session
from erlen import stream_with_context

# --- names


def test_the_one_renamed_name():
    assert "Erlen" in erlen.__all__
    assert not hasattr(erlen, "Flask")
    assert not hasattr(erlen.app, "Flask")


def test_versions():
    assert erlen.FLASK_API == "3.1"
    assert erlen.__version__.count(".") == 2


def test_every_exported_name_exists():
    assert [name for name in erlen.__all__ if not hasattr(erlen, name)] == []


# --- cookies


def cookie_of(app, base_url):
    app.add_url_rule("/write", "write", lambda: session.update(a=1) or "")
    return app.test_client().get("/write", base_url=base_url).headers["Set-Cookie"]


@pytest.mark.parametrize(
    ("config", "base_url", "secure"),
    [
        ({}, "http://shop.test", False),
        ({}, "https://shop.test", True),
        ({"SESSION_COOKIE_SECURE": None}, "https://shop.test", True),
        ({"SESSION_COOKIE_SECURE": True}, "http://shop.test", True),
        ({"SESSION_COOKIE_SECURE": False}, "https://shop.test", False),
    ],
)
def test_cookie_is_secure_when_the_request_is(app, config, base_url, secure):
    app.config.update(config)

    assert ("; Secure" in cookie_of(app, base_url)) is secure


@pytest.mark.parametrize(
    ("config", "part"),
    [
        ({}, "; SameSite=Lax"),
        ({"SESSION_COOKIE_SAMESITE": "Strict"}, "; SameSite=Strict"),
        ({"SESSION_COOKIE_SAMESITE": "None"}, "; SameSite=None"),
    ],
)
def test_cookie_is_lax(app, config, part):
    app.config.update(config)

    assert part in cookie_of(app, "http://shop.test")


def test_defaults_of_the_cookie():
    config = Erlen(__name__).config

    assert config["SESSION_COOKIE_SAMESITE"] == "Lax"
    assert config["SESSION_COOKIE_SECURE"] is None


@pytest.mark.parametrize("fallbacks", ["old key", b"old key"])
def test_fallback_keys_given_as_a_string_are_refused(app, fallbacks):
    app.config["SECRET_KEY_FALLBACKS"] = fallbacks
    app.get("/", endpoint="index")(lambda: session.get("a", ""))

    with pytest.raises((TypeError, ValueError), match="SECRET_KEY_FALLBACKS"):
        app.test_client().get("/")


# --- teardown


@pytest.mark.parametrize("which", ["teardown_request", "teardown_appcontext"])
def test_every_teardown_runs_even_when_one_raises(app, client, which):
    ran = []

    def failing(exc):
        ran.append("failing")
        raise LookupError("teardown")

    app.teardown_request(lambda exc: ran.append("request"))
    app.teardown_appcontext(lambda exc: ran.append("application"))
    getattr(app, which)(failing)
    app.get("/", endpoint="index")(lambda: "view")

    with pytest.raises(LookupError, match="teardown"):
        client.get("/")

    assert sorted(ran) == ["application", "failing", "request"]
    assert not has_request_context()
    assert not has_app_context()


@pytest.mark.parametrize("items", [0, 1, 2])
def test_client_that_leaves_a_stream_leaves_no_context(app, items):
    trace = []
    app.teardown_request(lambda exc: trace.append("teardown"))

    @app.get("/")
    def view():
        def generate():
            try:
                for _ in range(5):
                    yield request.path
            finally:
                trace.append("closed")

        return stream_with_context(generate())

    environ = app.test_request_context("/").request.environ
    body = app(environ, lambda status, headers: None)
    stream = iter(body)
    taken = [next(stream) for _ in range(items)]
    body.close()

    assert taken == [b"/"] * items
    assert trace.count("teardown") == 1
    assert not has_request_context()
    assert not has_app_context()


# --- headers


BAD_TEXT = ["a\rb", "a\nb", "a\r\nX-Evil: 1", "a\x00b"]


@pytest.mark.parametrize("text", BAD_TEXT)
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda text: ("", {"X-A": text}), id="value"),
        pytest.param(lambda text: ("", {text: "x"}), id="name"),
        pytest.param(lambda text: ("", f"200 {text}"), id="reason"),
        pytest.param(lambda text: Response(content_type=text), id="content type"),
        pytest.param(lambda text: Response(mimetype=text), id="mimetype"),
        pytest.param(lambda text: Response(headers=[("X-A", text)]), id="response"),
    ],
)
def test_line_breaks_are_refused_in_every_part_of_a_header(app, client, make, text):
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.get("/", endpoint="index")(lambda: make(text))

    response = client.get("/")

    assert "X-Evil" not in response.headers
    assert response.status in {"500 INTERNAL SERVER ERROR", "200 OK"}
    for name, value in response.headers:
        assert not set("\r\n\x00") & set(name + value)


@pytest.mark.parametrize("code", [204, 304])
@pytest.mark.parametrize("value", ["", {"a": 1}])
def test_no_content_no_content_type(app, client, code, value):
    app.get("/", endpoint="index")(lambda: (value, code))

    response = client.get("/")

    assert "Content-Type" not in response.headers
    assert response.data == b""


# --- escaping


@pytest.mark.parametrize(
    "name",
    [
        "a.html.j2",
        "a.html.jinja",
        "a.html.jinja2",
        "a.jinja2",
        "a.rss",
        "a.atom",
        "A.HTML",
        "a.Htm",
        "a.XML",
    ],
)
def test_more_names_are_escaped(app, name):
    assert app.select_jinja_autoescape(name) is True


@pytest.mark.parametrize("name", ["a.txt", "a.txt.j2", "a.css", "a.sql"])
def test_other_names_are_not(app, name):
    assert app.select_jinja_autoescape(name) is False


def test_escaping_can_be_chosen(app):
    class Site(Erlen):
        def select_jinja_autoescape(self, filename):
            return False

    with Site("site").app_context():
        assert render_template_string("{{ x }}", x="<") == "<"


# --- bodies and files


def test_body_that_is_shorter_than_announced_is_a_400(app):
    app.post("/", endpoint="index")(lambda: request.get_data())
    app.config["PROPAGATE_EXCEPTIONS"] = False
    context = app.test_request_context("/", method="POST", data=b"short")
    environ = {**context.request.environ, "CONTENT_LENGTH": "10"}
    started = []

    body = app(environ, lambda status, headers: started.append(status))
    b"".join(body)

    assert started[0].startswith("400 ")


@pytest.fixture
def linked(tmp_path):
    static = tmp_path / "static"
    (static / "sub").mkdir(parents=True)
    (static / "inside.txt").write_text("inside")
    (tmp_path / "secret.txt").write_text("secret")
    try:
        os.symlink(tmp_path / "secret.txt", static / "out.txt")
        os.symlink(tmp_path, static / "folder")
        os.symlink(static / "inside.txt", static / "sub" / "in.txt")
    except OSError:
        pytest.skip("no symbolic links here")
    return tmp_path


@pytest.mark.parametrize(
    ("path", "status"),
    [("out.txt", 404), ("folder/secret.txt", 404), ("sub/in.txt", 200)],
)
def test_static_files_never_follow_a_link_out_of_their_folder(linked, path, status):
    app = Erlen("site", root_path=str(linked))

    with app.test_client().get(f"/static/{path}") as response:
        assert response.status_code == status


@pytest.mark.parametrize(("name", "status"), [("out.txt", 404), ("sub/in.txt", 200)])
def test_send_from_directory_neither(linked, app, name, status):
    app.get("/", endpoint="index")(lambda: send_from_directory(linked / "static", name))

    with app.test_client().get("/") as response:
        assert response.status_code == status


# --- proxies


FORWARDED = {
    "X-Forwarded-For": "198.51.100.7, 10.0.0.2",
    "X-Forwarded-Proto": "http, https",
    "X-Forwarded-Host": "evil.test, shop.test",
}


@pytest.mark.parametrize(
    ("hops", "found"),
    [
        (0, "127.0.0.1 http localhost"),
        (1, "10.0.0.2 https shop.test"),
        (2, "198.51.100.7 http evil.test"),
    ],
)
def test_proxy_hops(app, hops, found):
    app.config["PROXY_HOPS"] = hops
    app.get("/", endpoint="index")(
        lambda: f"{request.remote_addr} {request.scheme} {request.host}"
    )

    assert app.test_client().get("/", headers=FORWARDED).text == found


def test_no_proxy_is_trusted_by_default(app, client):
    app.get("/", endpoint="index")(
        lambda: f"{request.remote_addr} {request.scheme} {request.host}"
    )

    assert client.get("/", headers=FORWARDED).text == "127.0.0.1 http localhost"


# --- development


@pytest.fixture
def debugged(app, monkeypatch):
    """Return a function that asks what `run --debug` would serve."""
    caught = []
    monkeypatch.delenv("ERLEN_RUN_FROM_CLI", raising=False)
    monkeypatch.setattr(
        "erlen._devserver.run_simple",
        lambda host, port, app, **options: caught.append(app),
    )

    @app.get("/")
    def fail():
        raise LookupError("the secret")

    def ask(address):
        app.run(debug=True, use_reloader=False, load_dotenv=False)
        environ = app.test_request_context("/").request.environ
        environ["REMOTE_ADDR"] = address
        started = []
        body = caught[-1](environ, lambda *args: started.append(args[0]))
        text = b"".join(body).decode()
        close = getattr(body, "close", None)
        if close:
            close()
        return started[-1][:3], text

    return ask


@pytest.mark.parametrize(
    ("clients", "address", "shown"),
    [
        ((), "127.0.0.1", True),
        ((), "::1", True),
        ((), "172.17.0.1", False),
        (("172.17.0.0/16",), "172.17.0.1", True),
        (("172.17.0.0/16",), "192.0.2.1", False),
    ],
)
def test_debugger_answers_the_loopback_and_named_networks(
    app, debugged, clients, address, shown
):
    app.config["DEBUG_ALLOWED_CLIENTS"] = clients

    status, text = debugged(address)

    assert status == "500"
    assert ("the secret" in text) is shown


def test_command_line_shows_the_error_of_the_user_first(tmp_path, monkeypatch):
    (tmp_path / "site_with_error.py").write_text("import a_module_nobody_has\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("ERLEN_RUN_FROM_CLI", "")  # so that what is set is undone

    result = CliRunner().invoke(erlen.cli.cli, ["-A", "site_with_error", "routes"])

    assert result.exit_code != 0
    assert "a_module_nobody_has" in result.output
    assert "site_with_error.py" in result.output
    for word in ("Usage:", "No such command"):
        assert word not in result.output
