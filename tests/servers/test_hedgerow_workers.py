"""The example Hedgerow with two workers that Redis makes one room."""

from __future__ import annotations

import contextlib
import http.client
import http.cookiejar
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

pytestmark = pytest.mark.servers

EXAMPLE = Path(__file__).parents[2] / "examples" / "hedgerow"
REDIS = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")
SITE = """
import os
from hedgerow import create_app, live
from erlen import request

# Nobody looks without a call: what arrives came through Redis.
live.PATIENCE = 600.0
app = create_app({"DEMO_DATA": False}, os.getcwd())


@app.before_request
def note():
    with open("notes", "a") as file:
        print(os.getpid(), request.path, file=file)
"""
MOST = 40  # connections until both workers have one


@pytest.fixture
def site(tmp_path):
    """The address of two workers, whose notes are in `tmp_path`."""
    ci = os.environ.get("CI") == "true"
    if not ci:
        pytest.importorskip("websockets")
        pytest.importorskip("uvicorn")
    redis = pytest.importorskip("redis")
    try:
        redis.Redis.from_url(REDIS).ping()
    except redis.ConnectionError as exc:
        if ci:
            raise
        pytest.skip(f"no Redis at REDIS_URL: {exc}")
    (tmp_path / "two_workers.py").write_text(SITE)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "erlen", "--app", "two_workers", "serve"]
    options = ["--engine=uvicorn", "--workers=2", "--timeout=1", f"--port={port}"]
    path = os.pathsep.join([str(EXAMPLE), str(tmp_path)])
    settings = {"PYTHONPATH": path, "ERLEN_BROADCAST": REDIS}
    with (tmp_path / "out").open("w") as out:
        process = subprocess.Popen(
            [*command, *options],
            cwd=tmp_path,
            env=os.environ | settings,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        for _ in range(300):
            assert process.poll() is None, (tmp_path / "out").read_text()
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"127.0.0.1:{port}"
        assert "Traceback" not in (tmp_path / "out").read_text()
    finally:
        with contextlib.suppress(ProcessLookupError):  # and its workers
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)


def sign_in(site, name):
    """Say a name on the page; return the cookie of the session."""
    jar = http.cookiejar.CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    page = browser.open(f"http://{site}/talk/bird").read().decode()
    token = re.search('name="csrf_token" value="([^"]+)"', page)[1]
    form = urllib.parse.urlencode({"csrf_token": token, "name": name}).encode()
    browser.open(f"http://{site}/talk/bird", form).close()
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in jar)


def worker(folder, path):
    """Return the process that got the last request for this path."""
    lines = (folder / "notes").read_text().splitlines()
    return next(line.split()[0] for line in reversed(lines) if line.endswith(path))


def join_both(stack, site, folder, cookie):
    """Open the room until each worker has a connection; return one of each."""
    from websockets.sync.client import connect

    found = {}
    for _ in range(MOST):
        headers = {"Cookie": cookie}
        url = f"ws://{site}/talk/bird/live"
        ws = stack.enter_context(connect(url, additional_headers=headers))
        told(ws, "people")
        found[worker(folder, "/talk/bird/live")] = ws
        if len(found) == 2:
            return found.values()
    raise AssertionError(f"One worker took {MOST} connections.")


def told(ws, kind):
    while kind not in (news := json.loads(ws.recv(timeout=10))):
        pass
    return news[kind]


def feed_of_each(stack, site, folder):
    """Open the feed until each worker has a connection; return one of each."""
    found = {}
    for _ in range(MOST):
        client = http.client.HTTPConnection(site, timeout=10)
        stack.callback(client.close)
        client.request("GET", "/api/feed?after=0")
        answer = client.getresponse()
        assert answer.readline() == b"retry: 1000\n"
        found[worker(folder, "/api/feed")] = answer
        if len(found) == 2:
            return found.values()
    raise AssertionError(f"One worker took {MOST} connections.")


def test_messages_cross_workers(site, tmp_path):
    cookie, other = sign_in(site, "Nell"), sign_in(site, "Amir")
    with contextlib.ExitStack() as stack:
        here, there = join_both(stack, site, tmp_path, cookie)
        here.send(json.dumps({"text": "Is it on?", "key": "1"}))
        for ws in (here, there):
            assert [it["text"] for it in told(ws, "messages")] == ["Is it on?"]
        there.send(json.dumps({"text": "It is.", "key": "2"}))
        for ws in (there, here):
            assert [it["text"] for it in told(ws, "messages")] == ["It is."]
        with contextlib.ExitStack() as amir:
            join_both(amir, site, tmp_path, other)
            for ws in (here, there):
                assert told(ws, "people") == ["Amir", "Nell"]
        for ws in (here, there):
            assert told(ws, "people") == ["Nell"]


def test_sightings_cross_workers(site, tmp_path):
    sighting = {
        "species": "Wren",
        "kind": "bird",
        "count": 1,
        "seen_on": "2026-01-31",
        "place": "Weir Bridge",
        "observer": "Nell",
    }
    with contextlib.ExitStack() as stack:
        feeds = feed_of_each(stack, site, tmp_path)
        for number in (1, 2):
            client = http.client.HTTPConnection(site, timeout=10)
            stack.callback(client.close)
            kind = {"Content-Type": "application/json"}
            client.request("POST", "/api/sightings", json.dumps(sighting), kind)
            assert client.getresponse().status == 201
            for feed in feeds:
                while not (line := feed.readline()).startswith(b"id:"):
                    pass
                assert line == f"id: {number}\n".encode()
