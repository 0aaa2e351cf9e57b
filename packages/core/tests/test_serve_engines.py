"""What the process of `erlen serve` is; engines are replaced by what they are told."""

from __future__ import annotations

import dataclasses
import importlib
import io
import json
import pickle
import signal
import subprocess
import sys
from types import ModuleType
from types import SimpleNamespace

import pytest

from erlen import Erlen
from erlen import _serve_engines
from erlen._access_log import AsgiAccessLog
from erlen._access_log import WsgiAccessLog
from erlen._health import AsgiHealth
from erlen._health import WsgiHealth
from erlen._serve_engines import FAILED
from erlen._serve_engines import Options
from erlen._serve_engines import load
from erlen._serve_engines import loads

OPTIONS = Options(
    engine="granian",
    interface="wsgi",
    host="127.0.0.1",
    port=8000,
    workers=2,
    threads=None,
    timeout=7,
    access_log=False,
    trust_request_id=True,
    health=False,
    app="site_to_serve",
    factory=None,
    set_debug_flag=True,
)
SITE = "from erlen import Erlen\napp = Erlen(__name__)\n"


def with_(**changes):
    return dataclasses.replace(OPTIONS, **changes)


@pytest.fixture(autouse=True)
def site(tmp_path, monkeypatch):
    """Return the file of the application."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("ERLEN_DEBUG", "FLASK_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "site_to_serve.py"
    file.write_text(SITE)
    importlib.invalidate_caches()
    yield file
    sys.modules.pop("site_to_serve", None)


# Loading


def test_load_gives_the_application():
    assert load(OPTIONS) is sys.modules["site_to_serve"].app


def test_load_over_asgi_sets_the_threads():
    door = load(with_(interface="asgi", threads=3))
    app = sys.modules["site_to_serve"].app
    assert door is app.asgi
    assert app.config["ASGI_THREADS"] == 3


def test_load_over_asgi_leaves_the_setting():
    load(with_(interface="asgi"))
    assert sys.modules["site_to_serve"].app.config["ASGI_THREADS"] == 40


@pytest.mark.parametrize(
    ("interface", "log", "health"),
    [("wsgi", WsgiAccessLog, WsgiHealth), ("asgi", AsgiAccessLog, AsgiHealth)],
)
def test_what_is_put_around_it(interface, log, health):
    served = load(with_(interface=interface, access_log=True, health=True))
    assert type(served) is health
    assert type(served._application) is log
    assert served._application._trust_id is True


def test_load_runs_the_start_up_over_wsgi(site, capsys):
    site.write_text(f"{SITE}@app.on_startup\ndef begin(): print('begun')\n")
    load(OPTIONS)
    assert capsys.readouterr().out == "begun\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import nowhere", "Error: Erlen tried to import 'site_to_serve'"),
        ("import sys; sys.exit(0)", "SystemExit: 0"),
        (f"{SITE}@app.on_startup\ndef f(): raise LookupError('no tea')", "no tea"),
        ("", "Failed to find Erlen application"),
    ],
)
def test_load_ends_the_process(site, capsys, text, said):
    site.write_text(f"{text}\n")
    with pytest.raises(SystemExit) as info:
        load(OPTIONS)
    assert info.value.code == FAILED
    assert said in capsys.readouterr().err


def test_load_calls_a_factory(site, monkeypatch):
    monkeypatch.syspath_prepend(site.parent)
    site.write_text(f"{SITE}class A:\n    def create():\n        return app\n")
    importlib.import_module("site_to_serve")
    app = load(with_(app=None, factory="site_to_serve:A.create"))
    assert isinstance(app, Erlen)


def test_options_go_through_json_and_pickle():
    text = json.dumps(dataclasses.asdict(OPTIONS))
    assert Options(**json.loads(text)) == pickle.loads(pickle.dumps(OPTIONS)) == OPTIONS


@pytest.mark.parametrize(
    ("host", "address"), [("127.0.0.1", "127.0.0.1:8000"), ("::1", "[::1]:8000")]
)
def test_address(host, address):
    assert with_(host=host).address == address


# The process


def test_main_runs_the_engine(monkeypatch):
    command = _serve_engines.command(OPTIONS)
    monkeypatch.setattr(sys, "argv", ["-c", *command[3:]])
    monkeypatch.setitem(_serve_engines._ENGINES, "granian", lambda given: given.port)
    with pytest.raises(SystemExit) as info:
        _serve_engines.main()
    assert info.value.code == 8000


def test_main_checks(monkeypatch):
    command = _serve_engines.command(OPTIONS, "--check")
    monkeypatch.setattr(sys, "argv", ["-c", *command[3:]])
    _serve_engines.main()
    assert "site_to_serve" in sys.modules


@pytest.mark.parametrize("text", [SITE, "import nowhere\n"])
def test_loads_tries_in_a_process(site, capfd, text):
    site.write_text(text)
    good = text is SITE
    assert loads(OPTIONS) is good
    assert "site_to_serve" not in sys.modules
    assert ("nothing was reloaded" in capfd.readouterr().err) is not good


# The engines


@pytest.fixture
def checked(monkeypatch):
    """Decide what a reload finds."""
    codes = []

    def run(command, check):
        assert command[-1] == "--check"
        return SimpleNamespace(returncode=codes.pop())

    monkeypatch.setattr(subprocess, "run", run)
    return codes


def install(monkeypatch, name, **members):
    module = ModuleType(name)
    vars(module).update(members)
    monkeypatch.setitem(sys.modules, name, module)
    return module


@pytest.fixture
def granian(monkeypatch):
    """Stand in for granian; `said` is what it is told."""
    said = []

    class Granian:
        def __init__(self, target, **options):
            said.append(options)
            self.wrks = []

        def on_startup(self, hook):
            hook()

        def serve(self, **options):
            said.append(options["target_loader"]())
            said.append(self)

        def signal_handler_reload(self):
            said.append("reload")

        def shutdown(self, code):
            raise SystemExit(code)

        def _respawn_workers(self, workers, *args):
            said.append(workers)
            self.respawned_wrks = dict.fromkeys(workers, 1.0)

    console = {"stream": "ext://sys.stdout"}
    install(
        monkeypatch,
        "granian",
        Granian=Granian,
        constants=SimpleNamespace(Interfaces=str),
        log=SimpleNamespace(
            LogLevels=SimpleNamespace(warning="warning"),
            LOGGING_CONFIG={"handlers": {"console": console}},
        ),
    )
    before = signal.getsignal(signal.SIGHUP)
    yield said
    signal.signal(signal.SIGHUP, before)
    assert console == {"stream": "ext://sys.stdout"}


@pytest.mark.parametrize(
    ("interface", "threads", "blocking"),
    [("wsgi", None, 4), ("wsgi", 2, 2), ("asgi", 2, None)],
)
def test_granian(granian, interface, threads, blocking):
    assert _serve_engines.run_granian(with_(interface=interface, threads=threads)) == 0
    told = granian[0]
    assert told["log_dictconfig"]["handlers"]["console"]["stream"] == "ext://sys.stderr"
    assert {name: told[name] for name in told if name != "log_dictconfig"} == {
        "address": "127.0.0.1",
        "port": 8000,
        "interface": interface,
        "workers": 2,
        "blocking_threads": blocking,
        "log_level": "warning",
        "workers_kill_timeout": 7,
        "respawn_failed_workers": True,
    }
    app = sys.modules["site_to_serve"].app
    assert granian[1] is (app if interface == "wsgi" else app.asgi)


def test_a_signal_ends_what_loads():
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    with _serve_engines.stoppable():
        assert [signal.getsignal(it) for it in numbers] == [signal.SIG_DFL] * 2
    assert [signal.getsignal(number) for number in numbers] == before


def test_granian_reloads_what_can_be_loaded(granian, checked):
    _serve_engines.run_granian(OPTIONS)
    checked[:] = [0, 1]
    signal.raise_signal(signal.SIGHUP)
    assert "reload" not in granian
    signal.raise_signal(signal.SIGHUP)
    assert granian[-1] == "reload"


@pytest.mark.parametrize("code", [None, 0, -9])
def test_granian_replaces_workers(granian, code):
    _serve_engines.run_granian(OPTIONS)
    server = granian[2]
    inner = SimpleNamespace() if code is None else SimpleNamespace(exitcode=code)
    server.wrks.append(SimpleNamespace(inner=inner))
    server._respawn_workers([0])
    assert granian[-1] == [0]
    # When they began is what granian knows a loop of crashes by; a reload is none.
    assert server.respawned_wrks == ({} if code is None else {0: 1.0})


def test_granian_ends_where_a_worker_gives_up(granian):
    _serve_engines.run_granian(OPTIONS)
    server = granian[2]
    server.wrks.append(SimpleNamespace(inner=SimpleNamespace(exitcode=3)))
    with pytest.raises(SystemExit) as info:
        server._respawn_workers([0])
    assert info.value.code == FAILED


class HaltServer(BaseException):
    pass


@pytest.fixture
def gunicorn(monkeypatch):
    """Stand in for gunicorn; `said` is what it is told."""
    said = []

    class BaseApplication:
        def __init__(self):
            settings = {}
            self.cfg = SimpleNamespace(set=settings.__setitem__)
            self.load_config()
            said.append(settings)

    class Arbiter:
        halts = 0

        def __init__(self, application):
            self.application = application

        def run(self):
            said.append(self.application.load())
            self.handle_hup()
            self.halt(exit_status=3)

        def handle_hup(self):
            said.append("reload")

        def halt(self, exit_status):
            self.halts += 1
            if self.halts < 3:
                raise HaltServer
            raise SystemExit(exit_status)

    install(monkeypatch, "gunicorn")
    install(monkeypatch, "gunicorn.app")
    install(monkeypatch, "gunicorn.app.base", BaseApplication=BaseApplication)
    install(monkeypatch, "gunicorn.arbiter", Arbiter=Arbiter)
    install(monkeypatch, "gunicorn.errors", HaltServer=HaltServer)
    return said


@pytest.mark.parametrize(
    ("interface", "threads", "kind", "expected"),
    [
        ("wsgi", None, "gthread", 4),
        ("wsgi", 2, "gthread", 2),
        ("asgi", 2, "asgi", 1),
    ],
)
@pytest.mark.parametrize("code", [0, 1])
def test_gunicorn(gunicorn, checked, interface, threads, kind, expected, code):
    checked[:] = [code]
    with pytest.raises(SystemExit) as info:
        _serve_engines.run_gunicorn(with_(interface=interface, threads=threads))
    assert info.value.code == 3
    app = sys.modules["site_to_serve"].app
    assert gunicorn[0] == {
        "bind": "127.0.0.1:8000",
        "workers": 2,
        "worker_class": kind,
        "threads": expected,
        "graceful_timeout": 7,
        "loglevel": "error",
        "forwarded_allow_ips": "",
        "control_socket_disable": True,
    }
    assert gunicorn[1] is (app if interface == "wsgi" else app.asgi)
    assert gunicorn[2:] == ["reload"] * (code == 0)


def test_gunicorn_ends(gunicorn, checked, monkeypatch):
    arbiter = sys.modules["gunicorn.arbiter"].Arbiter
    monkeypatch.setattr(arbiter, "run", lambda self: None)
    assert _serve_engines.run_gunicorn(OPTIONS) == 0


@pytest.mark.parametrize(
    ("codes", "expected"), [([0, None], 0), ([0, FAILED], FAILED), ([-9], 0)]
)
def test_uvicorn(monkeypatch, codes, expected):
    said = []

    class Config:
        def __init__(self, app, **options):
            said.append(options)
            said.append(app())

        def bind_socket(self):
            return "socket"

    class Multiprocess:
        def __init__(self, config, sockets):
            assert sockets == ["socket"]

        def init_processes(self):
            self.processes = [
                SimpleNamespace(exitcode=code, child_conn=io.BytesIO())
                for code in codes
            ]

        def run(self):
            self.init_processes()
            said.append([process.child_conn.closed for process in self.processes])

    install(monkeypatch, "uvicorn", Config=Config)
    install(monkeypatch, "uvicorn.supervisors", Multiprocess=Multiprocess)
    options = with_(engine="uvicorn", interface="asgi")
    assert _serve_engines.run_uvicorn(options) == expected
    app = sys.modules["site_to_serve"].app
    assert said[1:] == [app.asgi, [True] * len(codes)]
    assert said[0] == {
        "factory": True,
        "interface": "asgi3",
        "host": "127.0.0.1",
        "port": 8000,
        "workers": 2,
        "timeout_graceful_shutdown": 7,
        "log_level": "error",
        "access_log": False,
        "proxy_headers": False,
        "server_header": False,
    }
