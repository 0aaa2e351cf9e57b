"""WebSockets through real servers: messages, ends from both sides, kills and stops."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.servers

SITE = """
import asyncio
from erlen import Erlen, abort, websocket

app = Erlen(__name__)


def note(*words):
    with open("notes", "a") as file:
        print(*words, file=file)


app.teardown_request(lambda exc: note("teardown", websocket.path, type(exc).__name__))


@app.websocket("/echo")
async def echo():
    await websocket.accept(websocket.subprotocols[0] if websocket.subprotocols else None)
    async for message in websocket:
        await websocket.send(message)


@app.websocket("/push")
async def push():
    while True:
        await websocket.send("tick")
        await asyncio.sleep(0.02)


@app.websocket("/wait")
async def wait():
    await websocket.accept()
    await asyncio.Event().wait()


@app.websocket("/close")
async def close():
    await websocket.accept()
    await websocket.close(4001, "enough")


@app.websocket("/abort")
async def refuse():
    abort(401, "who are you?")


@app.websocket("/fail")
async def fail():
    await websocket.accept()
    1 / 0


asgi = app.asgi
"""
CLIENT = """
import sys, time
from websockets.sync.client import connect
with connect(sys.argv[1]):
    print("open", flush=True)
    time.sleep(60)
"""
UVICORN = ("uvicorn", "site_of_sockets:asgi", "--timeout-graceful-shutdown", "1")
SERVERS = {
    "websockets": (*UVICORN, "--ws", "websockets-sansio", "--port"),
    "wsproto": (*UVICORN, "--ws", "wsproto", "--port"),
    "hypercorn": ("hypercorn", "site_of_sockets:asgi", "--graceful-timeout", "1", "-b"),
    "granian": ("granian", "site_of_sockets:asgi", "--interface", "asgi", "--port"),
}


class Server:
    def __init__(self, folder, name):
        self.folder = folder
        self.name = name
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        address = f"127.0.0.1:{self.port}" if name == "hypercorn" else str(self.port)
        self.url = f"ws://127.0.0.1:{self.port}"
        self.origin = f"http://127.0.0.1:{self.port}"
        with (folder / "out").open("w") as out:
            command = [sys.executable, "-m", *SERVERS[name], address]
            self.process = subprocess.Popen(
                command, cwd=folder, stdout=out, stderr=out, start_new_session=True
            )

    def answers(self):
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def until(self, condition):
        for _ in range(300):
            if found := condition():
                return found
            time.sleep(0.1)
        raise AssertionError((self.folder / "out").read_text())

    def torn(self, line):
        """Wait for a teardown, and see that it is one."""
        notes = self.folder / "notes"

        def found():
            return notes.exists() and notes.read_text().count(line)

        assert self.until(found) == 1
        notes.unlink()


@pytest.fixture(params=SERVERS)
def server(request, tmp_path):
    if os.environ.get("CI") != "true":
        pytest.importorskip("websockets")
        pytest.importorskip(SERVERS[request.param][0])
        pytest.importorskip(request.param)
    (tmp_path / "site_of_sockets.py").write_text(SITE)
    server = Server(tmp_path, request.param)
    try:
        server.until(server.answers)
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):  # and its workers
            os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait(60)


def ended(connection):
    """Receive until the end, and return its code and reason."""
    from websockets.exceptions import ConnectionClosed

    try:
        while True:
            connection.recv(timeout=30)
    except ConnectionClosed as exc:
        return exc.rcvd and (exc.rcvd.code, exc.rcvd.reason)


def test_a_thousand_messages_come_back(server):
    from websockets.sync.client import connect

    url = f"{server.url}/echo"
    with connect(url, subprotocols=["a", "b"], origin=server.origin) as connection:
        assert connection.subprotocol == "a"
        for number in range(1000):
            connection.send(str(number))
            assert connection.recv() == str(number)
        connection.send(b"\0")
        assert connection.recv() == b"\0"
    server.torn("teardown /echo NoneType")


def test_both_sides_close(server):
    from websockets.sync.client import connect

    with connect(f"{server.url}/close") as connection:
        assert ended(connection) == (4001, "enough")
    server.torn("teardown /close NoneType")
    with connect(f"{server.url}/fail") as connection:
        assert ended(connection)[0] == 1011
    server.torn("teardown /fail ZeroDivisionError")


@pytest.mark.parametrize(
    ("path", "status", "origin"),
    [
        ("/abort", 401, None),
        ("/nothing", 404, None),
        ("/echo", 403, "http://evil.test"),
    ],
)
def test_a_rejection_has_its_status(server, path, status, origin):
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    with pytest.raises(InvalidStatus) as caught:
        connect(server.url + path, origin=origin)
    assert caught.value.response.status_code == status
    assert b"<!doctype html>" in caught.value.response.body


@pytest.mark.parametrize("path", ["/echo", "/push"])
def test_a_client_that_is_killed_is_torn_down(server, path):
    command = [sys.executable, "-c", CLIENT, server.url + path]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as client:
        assert client.stdout.readline() == b"open\n"
        client.kill()
    server.torn(f"teardown {path} NoneType")


@pytest.mark.parametrize(
    ("path", "outcomes"),
    [("/echo", ["NoneType", "CancelledError"]), ("/wait", ["CancelledError"])],
)
def test_a_server_that_stops_ends_them(server, path, outcomes):
    if server.name == "hypercorn" and sys.version_info >= (3, 12):
        pytest.skip("hypercorn does not stop there, whatever the application is")
    from websockets.sync.client import connect

    with connect(server.url + path) as connection:
        server.process.send_signal(signal.SIGTERM)
        end = ended(connection)
    # granian says nothing.
    assert end is None if server.name == "granian" else end[0] in {1001, 1012}
    server.process.wait(60)
    notes = (server.folder / "notes").read_text().splitlines()
    assert len(notes) == 1
    assert notes[0] in {f"teardown {path} {outcome}" for outcome in outcomes}
