"""The development server: dotenv files, banner, and who sees the debugger."""

from __future__ import annotations

import functools
import http.client
import io
import os
import socket
import sys
import threading
from types import SimpleNamespace

import pytest
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.serving import make_server
from werkzeug.test import create_environ

import erlen
from erlen import _devserver
from erlen._devserver import LocalDebugger
from erlen._devserver import SettingError
from erlen._devserver import allowed_clients
from erlen._devserver import load_dotenv
from erlen._devserver import show_server_banner


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Work in an empty folder, with an environment of its own."""
    monkeypatch.chdir(tmp_path)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ERLEN_", "FLASK_", "WERKZEUG_"))
    }
    monkeypatch.setattr(os, "environ", kept)
    return tmp_path


@pytest.fixture
def without_dotenv(monkeypatch):
    monkeypatch.setitem(sys.modules, "dotenv", None)


# Dotenv files


def test_load_dotenv_prefers_what_is_set_already(place):
    pytest.importorskip("dotenv")
    os.environ["D"] = "environment"
    (place / ".flaskenv").write_text("A=flaskenv\nB=flaskenv\nC=flaskenv\nD=flaskenv\n")
    (place / ".env").write_text("B=env\nC=env\nD=env\n")
    (place / "given").write_text(
        "C=gegeben \N{WHITE SMILING FACE}\nD=given\nE\n", "utf-8"
    )
    assert load_dotenv("given") is True
    values = {name: os.environ.get(name) for name in "ABCDE"}
    assert values == {
        "A": "flaskenv",
        "B": "env",
        "C": "gegeben \N{WHITE SMILING FACE}",
        "D": "environment",
        "E": None,
    }


def test_load_dotenv_looks_upwards_and_stays_where_it_is(place, monkeypatch):
    pytest.importorskip("dotenv")
    (place / ".env").write_text("A=env\n")
    (place / "below").mkdir()
    monkeypatch.chdir(place / "below")
    assert load_dotenv() is True
    assert os.environ["A"] == "env"
    assert os.getcwd() == str(place / "below")


def test_load_dotenv_without_defaults(place):
    pytest.importorskip("dotenv")
    (place / ".env").write_text("A=env\n")
    (place / "given").write_text("B=given\n")
    assert load_dotenv(load_defaults=False) is False
    assert load_dotenv("missing", load_defaults=False) is False
    assert load_dotenv("given", load_defaults=False) is True
    assert "A" not in os.environ


def test_load_dotenv_without_files(capsys):
    assert load_dotenv() is False
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("without_dotenv")
@pytest.mark.parametrize(
    ("files", "arguments", "tip"),
    [
        ([], {}, False),
        ([".env"], {}, True),
        ([".flaskenv"], {}, True),
        ([".env"], {"load_defaults": False}, False),
        ([], {"path": "given"}, True),
    ],
)
def test_load_dotenv_without_its_library(place, capsys, files, arguments, tip):
    for file in files:
        (place / file).write_text("A=env\n")
    assert load_dotenv(**arguments) is False
    assert ('pip install "erlen[dotenv]"' in capsys.readouterr().err) is tip


# The banner


@pytest.mark.parametrize(
    ("debug", "path", "lines"),
    [
        (True, "site:app", [" * Serving Erlen app 'site:app'", " * Debug mode: on"]),
        (False, None, [" * Debug mode: off"]),
        (None, None, []),
    ],
)
def test_banner(capsys, debug, path, lines):
    show_server_banner(debug, path)
    assert capsys.readouterr().out.splitlines() == lines


def test_banner_is_shown_once(capsys):
    os.environ["WERKZEUG_RUN_MAIN"] = "true"
    show_server_banner(True, "site")
    assert not capsys.readouterr().out


# What `app.run` does


@pytest.fixture
def served(monkeypatch):
    """Collect what `run_simple` is called with."""
    calls = []

    def run_simple(host, port, app, **options):
        calls.append(((host, port), app, options))

    monkeypatch.setattr(_devserver, "run_simple", run_simple)
    return calls


def test_run_defaults(app, served, capsys):
    app.run()
    assert served == [
        (
            ("127.0.0.1", 5000),
            app,
            {"use_reloader": False, "use_debugger": False, "threaded": True},
        )
    ]
    assert capsys.readouterr().out == (
        f" * Serving Erlen app '{app.name}'\n * Debug mode: off\n"
    )


@pytest.mark.parametrize(
    ("server_name", "arguments", "expected"),
    [
        (None, {}, ("127.0.0.1", 5000)),
        (None, {"host": "::", "port": "90"}, ("::", 90)),
        ("a.test", {}, ("a.test", 5000)),
        ("a.test:81", {}, ("a.test", 81)),
        ("[::1]:81", {}, ("::1", 81)),
        ("a.test:81", {"host": "", "port": 0}, ("a.test", 0)),
        ("a.test:81", {"host": "b.test"}, ("b.test", 81)),
    ],
)
def test_run_takes_its_place_from_the_server_name(
    app, served, server_name, arguments, expected
):
    app.config["SERVER_NAME"] = server_name
    app.run(**arguments)
    assert served[0][0] == expected


@pytest.mark.parametrize(
    ("environment", "file", "arguments", "expected"),
    [
        ({}, "", {}, None),
        ({}, "", {"debug": True}, True),
        ({"ERLEN_DEBUG": "1"}, "", {}, True),
        ({"FLASK_DEBUG": "1"}, "", {}, True),
        ({"ERLEN_DEBUG": "1"}, "", {"debug": False}, False),
        ({}, "ERLEN_DEBUG=1", {}, True),
        ({}, "ERLEN_DEBUG=1", {"load_dotenv": False}, None),
        ({"ERLEN_SKIP_DOTENV": "1"}, "ERLEN_DEBUG=1", {}, None),
    ],
)
@pytest.mark.parametrize("before", [False, True])
def test_run_sets_debug(
    app, served, place, before, environment, file, arguments, expected
):
    pytest.importorskip("dotenv")
    os.environ.update(environment)
    (place / ".env").write_text(file)
    app.debug = before
    app.run(**arguments)
    assert app.debug is (before if expected is None else expected)
    assert served[0][2]["use_reloader"] is app.debug


def test_run_under_the_debugger(app, served):
    app.run("a.test", debug=True, use_reloader=False, threaded=False, use_evalex=False)
    _, debugger, options = served[0]
    assert isinstance(debugger, LocalDebugger)
    assert "a.test" in debugger.trusted_hosts
    assert debugger.evalex is False
    assert options == {
        "use_reloader": False,
        "use_debugger": False,
        "threaded": False,
    }


def test_run_checks_the_clients_first(app, served):
    app.config["DEBUG_ALLOWED_CLIENTS"] = ["everybody"]
    with pytest.raises(SettingError, match="DEBUG_ALLOWED_CLIENTS: 'everybody'"):
        app.run(debug=True)
    assert not served


@pytest.mark.parametrize("reloaded", [False, True])
def test_run_is_ignored_under_the_command_line(app, served, capsys, reloaded):
    os.environ["ERLEN_RUN_FROM_CLI"] = "true"
    if reloaded:
        os.environ["WERKZEUG_RUN_MAIN"] = "true"
    app.run()
    assert not served
    assert ("Ignoring a call to 'app.run()'" in capsys.readouterr().err) is not reloaded


# Over ASGI


class Server:
    """Stand in for uvicorn's server."""

    started = True
    interrupted = False

    def __init__(self, config):
        self.config = config
        config.server = self

    def run(self, sockets):
        self.config.address = sockets[0].getsockname()
        sockets[0].close()
        if self.interrupted:
            raise KeyboardInterrupt


@pytest.fixture
def uvicorn(monkeypatch):
    """Stand in for uvicorn; the list has what it was given."""
    configs = []

    def config(app, **options):
        configs.append(SimpleNamespace(app=app, **options))
        return configs[-1]

    module = SimpleNamespace(Config=config, Server=type("Own", (Server,), {}))
    monkeypatch.setitem(sys.modules, "uvicorn", module)
    return configs


def test_asgi(uvicorn, capsys):
    _devserver.serve_asgi("door", "127.0.0.1", 0, debug=True, name="site")
    (config,) = uvicorn
    assert config.app == "door"
    assert config.interface == "asgi3"
    assert config.proxy_headers is False
    assert config.ssl_context_factory is None
    out, err = capsys.readouterr()
    assert out == " * Serving Erlen app 'site'\n * Debug mode: on\n"
    assert f" * Running on http://127.0.0.1:{config.address[1]} (ASGI)" in err
    assert "The debugger in the browser is for WSGI only" in err
    assert "WARNING: This is a development server." in err


def test_asgi_without_debug(uvicorn, capsys):
    _devserver.serve_asgi("door", "127.0.0.1", 0, debug=False)
    assert "debugger" not in capsys.readouterr().err


def test_asgi_ends_by_the_keyboard(uvicorn):
    sys.modules["uvicorn"].Server.interrupted = True
    _devserver.serve_asgi("door", "127.0.0.1", 0, debug=False)


def test_asgi_that_does_not_start(uvicorn):
    sys.modules["uvicorn"].Server.started = False
    with pytest.raises(SystemExit) as info:
        _devserver.serve_asgi("door", "127.0.0.1", 0, debug=False)
    assert info.value.code == 1


def test_asgi_under_the_reloader(uvicorn, monkeypatch, capsys):
    calls = []

    def run_with_reloader(work, **options):
        calls.append(options)
        work()

    monkeypatch.setattr("werkzeug._reloader.run_with_reloader", run_with_reloader)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        os.environ["WERKZEUG_RUN_MAIN"] = "true"
        os.environ["WERKZEUG_SERVER_FD"] = str(os.dup(listener.fileno()))
        _devserver.serve_asgi(
            *("door", "127.0.0.1", 1), debug=True, use_reloader=True, extra_files=["a"]
        )
    assert calls == [{"extra_files": ["a"]}]
    assert uvicorn[0].address[1] == port
    assert capsys.readouterr() == ("", "")


def test_asgi_on_ipv6(uvicorn, capsys):
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    _devserver.serve_asgi("door", "::1", 0, debug=False)
    assert " * Running on http://[::1]:" in capsys.readouterr().err


def test_asgi_on_a_taken_port(uvicorn):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(SettingError, match=f"port {port}: Address already in use"):
            _devserver.serve_asgi("door", "127.0.0.1", port, debug=False)
    assert not uvicorn


def test_asgi_without_its_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(SettingError, match=r'pip install "erlen\[uvicorn\]"'):
        _devserver.serve_asgi("door", "127.0.0.1", 0, debug=False)


CONTEXT = object()


@pytest.mark.parametrize(
    ("given", "made"),
    [("adhoc", "made up"), (("a.crt", "a.key"), "a.crt a.key"), (CONTEXT, CONTEXT)],
)
def test_asgi_over_tls(uvicorn, monkeypatch, capsys, given, made):
    serving = _devserver.serving
    monkeypatch.setattr(serving, "generate_adhoc_ssl_context", lambda: "made up")
    monkeypatch.setattr(serving, "load_ssl_context", "{} {}".format)
    _devserver.serve_asgi("door", "127.0.0.1", 0, debug=False, ssl_context=given)
    assert uvicorn[0].ssl_context_factory("config", "default") == made
    assert " * Running on https://" in capsys.readouterr().err


# Who sees the debugger


@pytest.mark.parametrize(
    "entries",
    [
        "10.0.0.7",
        ["10.0.0.7"],
        ("10.0.0.0/8", "fe80::/10"),
        ["10.1.2.3/8"],
        [],
        None,
        "",
    ],
)
def test_allowed_clients(entries):
    networks = allowed_clients({"DEBUG_ALLOWED_CLIENTS": entries})
    assert len(networks) == len([entries] if entries == "10.0.0.7" else entries or ())


@pytest.mark.parametrize("entries", ["10.0.0", ["10.0.0.7", "host"], [5], [None]])
def test_allowed_clients_refuses(entries):
    with pytest.raises(
        SettingError, match=r"DEBUG_ALLOWED_CLIENTS: .* neither"
    ) as info:
        allowed_clients({"DEBUG_ALLOWED_CLIENTS": entries})
    assert isinstance(info.value, ValueError)


def serve(wsgi_app, environ):
    """Call an application as a server does, which sends nothing before the end."""
    started = []

    def start_response(status, headers, exc_info=None):
        assert exc_info or not started
        started.append(status[:3])

    body = wsgi_app(environ, start_response)
    page = b"".join(body).decode()
    body.close()
    return started[-1], page


@pytest.fixture
def ask(app):
    """Ask a debugged application for a page, as a client at some address."""
    app.testing = False
    app.debug = True

    @app.get("/")
    def boom():
        secret_word = "hidden"  # noqa: F841 - frames would show it
        raise LookupError("what went wrong")

    def ask(
        path="/", address="127.0.0.1", host="localhost", wsgi_app=None, **overrides
    ):
        errors = io.StringIO()
        environ = create_environ(
            path,
            errors_stream=errors,
            environ_overrides={"REMOTE_ADDR": address, "HTTP_HOST": host, **overrides},
        )
        debugger = LocalDebugger(wsgi_app or app, app.config)
        return *serve(debugger, environ), errors.getvalue()

    return ask


def sees_frames(answer):
    status, page, errors = answer
    assert status == "500"
    assert "LookupError: what went wrong" in errors
    assert ("boom" in page) is ("what went wrong" in page) is ("secret" in page.lower())
    assert ("DEBUG_ALLOWED_CLIENTS" in errors) is ("boom" not in page)
    return "boom" in page


@pytest.mark.parametrize(
    ("address", "allowed", "expected"),
    [
        ("127.0.0.1", [], True),
        ("127.8.9.10", [], True),
        ("::1", [], True),
        ("::ffff:127.0.0.1", [], True),
        ("10.0.0.7", [], False),
        ("::ffff:10.0.0.7", [], False),
        ("fe80::1%eth0", [], False),
        ("<local>", [], False),
        ("", [], False),
        ("10.0.0.7", ["10.0.0.8", "10.0.0.7"], True),
        ("::ffff:10.0.0.7", ["10.0.0.0/24"], True),
        ("10.0.1.7", ["10.0.0.0/24"], False),
        ("fe80::1%eth0", ["fe80::/10"], True),
        ("10.0.0.7", ["fe80::/10"], False),
    ],
)
def test_debugger_answers_loopback_and_named_networks(
    app, ask, address, allowed, expected
):
    app.config["DEBUG_ALLOWED_CLIENTS"] = allowed
    assert sees_frames(ask(address=address)) is expected


@pytest.mark.parametrize(
    ("host", "settings", "expected"),
    [
        ("localhost:5000", {}, True),
        ("app.localhost", {}, True),
        ("127.0.0.1:5000", {}, True),
        ("[::1]:5000", {}, True),
        ("192.168.0.9:5000", {}, True),
        ("evil.test", {}, False),
        ("127.0.0.1.evil.test", {}, False),
        ("[::1", {}, False),
        ("", {}, False),
        ("shop.test:5000", {"SERVER_NAME": "shop.test:5000"}, True),
        ("api.shop.test", {"SERVER_NAME": "shop.test"}, True),
        ("evilshop.test", {"SERVER_NAME": "shop.test"}, False),
        ("shop.test", {"TRUSTED_HOSTS": ["shop.test"]}, True),
    ],
)
def test_debugger_answers_own_hosts_only(app, ask, host, settings, expected):
    app.config.update(settings)
    assert sees_frames(ask(host=host, wsgi_app=_failing)) is expected


def _failing(environ, start_response):
    secret_word = "hidden"  # noqa: F841 - frames would show it
    boom()


def boom():
    raise LookupError("what went wrong")


def test_debugger_needs_an_address_and_a_host(ask):
    status, page, _ = ask(wsgi_app=_without("REMOTE_ADDR"))
    assert (status, "boom" in page) == ("500", False)
    status, page, _ = ask(wsgi_app=_without("HTTP_HOST"))
    assert (status, "boom" in page) == ("500", False)


def _without(key):
    def app(environ, start_response):
        del environ[key]
        boom()

    return app


@pytest.mark.parametrize(
    ("address", "forwarded", "allowed", "expected"),
    [
        ("127.0.0.1", "127.0.0.2", [], True),
        ("127.0.0.1", "10.0.0.7", [], False),
        ("127.0.0.1", "10.0.0.7", ["10.0.0.7"], True),
        ("10.0.0.7", "127.0.0.1", [], False),
        ("10.0.0.7", "127.0.0.1", ["10.0.0.7"], True),
    ],
)
@pytest.mark.parametrize("outside", [False, True])
def test_debugger_believes_no_proxy_alone(
    app, ask, outside, address, forwarded, allowed, expected
):
    app.config["DEBUG_ALLOWED_CLIENTS"] = allowed
    header = {"HTTP_X_FORWARDED_FOR": forwarded}
    if outside:
        debugger = LocalDebugger(app, app.config)
        environ = create_environ(
            "/",
            errors_stream=io.StringIO(),
            environ_overrides={"REMOTE_ADDR": address, **header},
        )
        status, page = serve(ProxyFix(debugger), environ)
        assert status == "500"
        assert ("boom" in page) is expected
    else:
        app.wsgi_app = ProxyFix(app.wsgi_app)
        assert sees_frames(ask(address=address, **header)) is expected


def test_forwarding_headers_open_nothing(ask):
    headers = {"HTTP_X_FORWARDED_FOR": "127.0.0.1", "HTTP_FORWARDED": "for=127.0.0.1"}
    assert sees_frames(ask(address="10.0.0.7", **headers)) is False


@pytest.mark.parametrize(
    "path", ["/console", "/?__debugger__=yes&cmd=resource&f=debugger.js"]
)
def test_debugger_has_no_console_for_others(app, ask, path):
    app.view_functions["boom"] = lambda: "the page"
    status, page, _ = ask(path)
    assert status == "200"
    assert "the page" not in page
    _, page, _ = ask(path, address="10.0.0.7")
    assert "the page" in page or "Not Found" in page


def test_console_has_the_application(app):
    debugger = LocalDebugger(app, app.config)
    assert debugger.console_init_func() == {"app": app}


def test_answers_pass_the_debugger(app, ask):
    closed = []

    @app.get("/ok")
    def ok():
        response = erlen.make_response("fine")
        response.call_on_close(functools.partial(closed.append, 1))
        return response

    for address in ("127.0.0.1", "10.0.0.7"):
        assert ask("/ok", address=address) == ("200", "fine", "")
    assert closed == [1, 1]


def test_error_behind_a_started_answer(app, ask):
    def half(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        boom()

    status, page, _ = ask(wsgi_app=half, address="10.0.0.7")
    assert (status, "boom" in page) == ("500", False)


def test_frames_stay_hidden_over_a_socket(app, ask):
    debugger = LocalDebugger(app, app.config)
    server = make_server("127.0.0.1", 0, debugger, threaded=True)
    server.log = lambda *args: None
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        seen = [_get(server.port, host) for host in ("localhost", "evil.test")]
    finally:
        server.shutdown()
        thread.join()
    assert [status for status, _ in seen] == [500, 500]
    assert ["what went wrong" in page for _, page in seen] == [True, False]


def _get(port, host):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/", headers={"Host": host})
    response = connection.getresponse()
    page = response.read().decode()
    connection.close()
    return response.status, page
