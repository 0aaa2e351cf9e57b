"""`erlen serve` and `erlen run --asgi` with real engines, processes and signals."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

pytestmark = pytest.mark.servers

SITE = """
import os, time
from erlen import Erlen, Response, request

from erlen import websocket

app = Erlen(__name__)
app.add_url_rule("/pid", "pid", lambda: str(os.getpid()))
app.add_url_rule("/id", "id", lambda: request.environ["erlen.request_id"])


@app.get("/slow")
def slow():
    open("began", "w").close()
    time.sleep(float(request.args["seconds"]))
    return "the whole answer"


@app.get("/stream")
def stream():
    def parts():
        open("began", "w").close()
        for part in "abc":
            yield part
            time.sleep(0.2)

    return Response(parts())


@app.websocket("/echo")
async def echo():
    while True:
        await websocket.send(await websocket.receive())


def create_app():
    return app
"""
FAILS_TO_START = """
@app.on_startup
def begin():
    raise RuntimeError("no tea today")
"""
# The second process that imports it fails: the workers, and not who looks first.
FAILS_LATER = """
try:
    open("first", "x").close()
except FileExistsError:
    raise RuntimeError("no tea today")
"""
ENGINES = [
    ("granian", "--wsgi"),
    ("granian", "--asgi"),
    ("gunicorn", "--wsgi"),
    ("gunicorn", "--asgi"),
    ("uvicorn", "--asgi"),
]


@pytest.fixture(params=ENGINES, ids=" ".join)
def engine(request):
    name, interface = request.param
    if os.environ.get("CI") != "true":
        pytest.importorskip(name)
    return ["--engine", name, interface]


class Server:
    """A running `erlen`; `said` and `log` are its standard error and output."""

    def __init__(self, folder, arguments):
        self.folder = folder
        with (folder / "err").open("w") as err, (folder / "out").open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "erlen", *arguments],
                cwd=folder,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def said(self):
        return (self.folder / "err").read_text()

    @property
    def log(self):
        return (self.folder / "out").read_text()

    def until(self, condition):
        """Wait, for a minute at most, until something is there, and return it."""
        for _ in range(600):
            with contextlib.suppress(OSError, http.client.HTTPException):
                if found := condition():
                    return found
            time.sleep(0.1)
        raise AssertionError(f"nothing came: {self.said}{self.log}")

    def start(self):
        place = r"http://127\.0\.0\.1:(\d+)"
        self.port = int(self.until(lambda: re.search(place, self.said))[1])
        self.until(lambda: self.get("/pid"))
        return self

    def get(self, path, **headers):
        return self.ask(path, headers)[1]

    def ask(self, path, headers=()):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", path, headers=dict(headers))
            response = connection.getresponse()
            return response, response.read().decode()

    def in_flight(self, path):
        """Ask in a thread; return what has the answer when that has ended."""
        answers = []

        def work():
            with contextlib.suppress(OSError, http.client.HTTPException):
                answers.append(self.get(path))

        ask = threading.Thread(target=work)
        ask.start()
        self.until((self.folder / "began").exists)
        return lambda: (ask.join(60), answers)[1]

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(60)


@pytest.fixture
def run(tmp_path):
    """Start `erlen` in a folder with the application; all processes end with us."""
    servers = []

    def run(*arguments, text=SITE, app="site_to_serve"):
        (tmp_path / "site_to_serve.py").write_text(text)
        server = Server(tmp_path, ["--app", app, *arguments])
        servers.append(server)
        return server

    yield run
    for server in servers:
        if server.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.process.pid, signal.SIGKILL)
            server.process.wait(60)


@pytest.fixture
def serve(run, engine):
    def serve(*arguments, **options):
        return run("serve", *engine, "--port", "0", *arguments, **options)

    return serve


def test_a_request_in_flight_gets_its_whole_answer(serve):
    server = serve().start()
    answers = server.in_flight("/slow?seconds=0.5")
    assert server.stop() == 0
    assert answers() == ["the whole answer"]


def test_a_stream_in_flight_gets_its_end(serve):
    server = serve().start()
    answers = server.in_flight("/stream")
    assert server.stop() == 0
    assert answers() == ["abc"]


def test_ctrl_c_ends_with_zero(serve):
    assert serve("--workers", "2").start().stop(signal.SIGINT) == 0


def test_ids_log_and_health(serve):
    server = serve("--health").start()
    response, text = server.ask("/id", {"X-Request-ID": "mine"})
    identity = response.headers["X-Request-ID"]
    assert text == identity != "mine"
    server.get("/a%20b%0Ac?word=secret")
    assert server.get("/healthz") == "ok"
    assert json.loads(server.get("/readyz")) == {"ok": True, "checks": []}
    assert server.stop() == 0
    _, line, other = server.log.splitlines()
    assert re.fullmatch(
        rf"\S+ {identity} 127\.0\.0\.1 GET /id 200 {len(identity)} [\d.]+ms", line
    )
    assert " GET /a%20b%0Ac 404 207 " in other
    assert "process" in server.said


def test_a_factory_without_a_log(serve):
    server = serve("--no-access-log", app="site_to_serve:create_app()").start()
    assert server.ask("/pid")[0].headers["X-Request-ID"] is None
    assert server.stop() == 0
    assert server.log == ""


@pytest.mark.parametrize("engine", ENGINES[1::2] + ENGINES[4:], indirect=True)
def test_websockets_have_a_line_and_an_id(serve):
    if os.environ.get("CI") != "true":
        pytest.importorskip("websockets")
    from websockets.sync.client import connect

    server = serve().start()
    with connect(f"ws://127.0.0.1:{server.port}/echo") as socket:
        socket.send("tea")
        assert socket.recv() == "tea"
        seen = socket.response.headers.get("X-Request-ID")
    pattern = r" (\w+) 127\.0\.0\.1 WEBSOCKET /echo 1000 3 "
    identity = server.until(lambda: re.search(pattern, server.log))[1]
    # granian leaves out the headers that come with the acceptance.
    assert seen == (None if "granian" in server.said else identity)
    assert server.stop() == 0


@pytest.mark.parametrize("text", [FAILS_TO_START, FAILS_LATER])
def test_a_worker_that_cannot_start_ends_all(serve, text):
    server = serve("--workers", "2", text=SITE + text)
    assert server.process.wait(60) != 0
    assert "no tea today" in server.said


def test_an_application_that_cannot_be_imported_is_shown_once(serve):
    server = serve("--workers", "2", text="import nowhere\n")
    assert server.process.wait(60) == 1
    assert server.said.count("No module named 'nowhere'") == 1


def test_a_worker_that_is_killed_is_replaced(serve):
    server = serve("--workers", "2").start()
    first = server.get("/pid")
    os.kill(int(first), signal.SIGKILL)
    seen = set()

    def two_others():
        seen.add(server.get("/pid"))
        return len(seen - {first}) > 1

    server.until(two_others)
    assert server.stop() == 0


def test_sighup_reloads_what_can_be_loaded(serve, tmp_path):
    server = serve().start()
    before = server.get("/pid")
    site = tmp_path / "site_to_serve.py"
    site.write_text("import nowhere\n")
    server.process.send_signal(signal.SIGHUP)
    server.until(lambda: re.search("workers stay|keeping worker", server.said))
    assert server.get("/pid") == before
    site.write_text(f"{SITE}# again\n")
    server.process.send_signal(signal.SIGHUP)
    server.until(lambda: server.get("/pid") != before)
    assert server.stop() == 0


def test_a_request_that_takes_too_long_is_left(serve):
    server = serve("--timeout", "1").start()
    answers = server.in_flight("/slow?seconds=30")
    server.stop()
    assert answers() in ([], [""])


def test_run_over_asgi_survives_a_broken_application(run, tmp_path):
    if os.environ.get("CI") != "true":
        pytest.importorskip("uvicorn")
    # Without watchdog files are compared, which no limit of the machine disturbs.
    (tmp_path / "watchdog.py").write_text("raise ImportError")
    server = run("run", "--asgi", "--debug", "--port", "0").start()
    site = tmp_path / "site_to_serve.py"
    for number, (text, path, said) in enumerate(
        [
            ("import nowhere\n", "/pid", "could not be loaded"),
            (SITE.replace("the whole answer", "new"), "/slow?seconds=0", "new"),
        ]
    ):
        site.write_text(text)
        stamp = time.time() + 10 * (number + 1)
        os.utime(site, (stamp, stamp))
        server.until(lambda path=path, said=said: said in server.get(path))
    assert "No module named 'nowhere'" in server.said
    assert "The debugger in the browser is for WSGI only" in server.said
    os.killpg(server.process.pid, signal.SIGTERM)
    server.process.wait(60)
