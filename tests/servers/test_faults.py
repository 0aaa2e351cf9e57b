"""What clients and signals do to real servers, and that the application gets over it.

A run of the whole, with all numbers and a line for each figure, is asked for by
FULL=true; it takes about twenty minutes.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

pytestmark = pytest.mark.servers

FULL = os.environ.get("FULL") == "true"

SITE = """
import asyncio, gc, os, threading, time
from erlen import Erlen, Response, request, stream_with_context
from erlen.sse import EventStream
from erlen.views import reads_stream

app = Erlen(__name__)
app.config["ASGI_THREADS"] = 4
files = {
    name: os.open(name, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for name in ("began", "torn", "opened", "closed", "whole")
}
four = threading.Barrier(4)


def note(name):
    os.write(files[name], b".")


@app.before_request
async def begin():
    note("began")


@app.teardown_request
def tear(exc):
    note("torn")


@app.get("/pid")
def pid():
    return str(os.getpid())


@app.get("/collect")
def collect():
    return str(gc.collect())


@app.get("/meet")
def meet():
    four.wait(30)
    return "met"


def measure():
    if request.is_json:
        size = len(str(request.get_json()))
    elif request.mimetype == "multipart/form-data":
        size = len(request.files["file"].read())
    elif request.mimetype == "application/x-www-form-urlencoded":
        size = len(request.form["word"])
    else:
        size = len(request.get_data())
    note("whole")
    return str(size)


@app.post("/upload/sync")
def upload():
    return measure()


@app.post("/upload/async")
async def upload_async():
    return measure()


@app.post("/upload/stream")
def upload_stream():
    size = sum(map(len, iter(lambda: request.stream.read(65536), b"")))
    note("whole")
    return str(size)


@app.post("/upload/chunks")
@reads_stream
async def upload_chunks():
    size = 0
    async for chunk in request.chunks():
        size += len(chunk)
    note("whole")
    return str(size)


@app.post("/unread")
async def unread():
    return "not read"


@app.post("/unread/sync")
def unread_sync():
    return "not read"


def endless(piece, pause=0):
    note("opened")
    try:
        while True:
            yield piece
            time.sleep(pause)
    finally:
        note("closed")


async def endless_async(piece, pause=0):
    note("opened")
    try:
        while True:
            yield piece
            await asyncio.sleep(pause)
    finally:
        note("closed")


piece = b"x" * 65536
app.get("/stream/sync")(lambda: Response(endless(piece)))
app.get("/stream/async", endpoint="a")(lambda: Response(endless_async(piece)))
app.get("/context/sync", endpoint="b")(
    lambda: Response(stream_with_context(endless(piece)))
)
app.get("/context/async", endpoint="c")(
    lambda: Response(stream_with_context(endless_async(piece)))
)
app.get("/events/sync", endpoint="d")(
    lambda: EventStream(endless("tea", 0.01))
)
app.get("/events/async", endpoint="e")(
    lambda: EventStream(endless_async("tea", 0.01))
)


@app.before_request
def see():
    if "See" in request.headers:
        return [request.method, request.path, request.host, len(request.get_data())]


@app.route("/<path:path>", methods=["GET", "POST"])
def other(path):
    return path


@app.route("/folder/")
def folder():
    return "folder"


asgi = app.asgi
"""


class Server:
    """A process that serves; `port` is given to it, `said` is what it wrote."""

    def __init__(self, folder, name, *command, text=SITE):
        self.folder = folder
        self.name = name
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        (folder / "site_of_faults.py").write_text(text)
        with (folder / "out").open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *(it.format(self.port) for it in command)],
                cwd=folder,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    @property
    def said(self):
        return (self.folder / "out").read_text(errors="replace")

    def count(self, name):
        """Say how often the application has noted something."""
        return (self.folder / name).stat().st_size

    def has_torn_all(self):
        return self.count("began") == self.count("torn")

    def has_begun_more_than(self, began):
        return self.count("began") > began

    def until(self, condition, what=""):
        """Wait, for half a minute at most, until something is there; return it."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if found := condition():
                    return found
            if self.process.poll() is not None:
                break
            time.sleep(0.005)
        raise AssertionError(f"{what or condition} did not come: {self.said[-5000:]}")

    def start(self):
        self.pid = int(self.until(lambda: self.get("/pid")))
        self.own = self.temporary()  # gunicorn's workers have one
        return self

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", path, headers={"Connection": "close"})
            return connection.getresponse().read().decode()

    def send(self, *pieces, half=None, answers=1):
        """Send bytes; return status and body of each answer, up to so many.

        Args:
            pieces: The bytes, sent one after another.
            half: When this is true, the direction to the server is closed.
            answers: How many are waited for.
        """
        found = []
        with self.connect() as it, contextlib.suppress(ConnectionError):
            for piece in pieces:
                it.sendall(piece)
            if half is not None:
                self.until(half)
                it.shutdown(socket.SHUT_WR)
            with (
                it.makefile("rb") as file,
                contextlib.suppress(http.client.HTTPException),
            ):
                for _ in range(answers):
                    response = http.client.HTTPResponse(_Kept(file))
                    try:
                        response.begin()
                        found.append((response.status, response.read()))
                    finally:
                        response.fp = None  # it is not the response's to close
        return found

    def meet(self):
        """See that four requests run at the same time: no thread is stuck."""
        met = []
        threads = [
            threading.Thread(target=lambda: met.append(self.get("/meet")))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert met == ["met"] * 4

    def descriptors(self):
        """List what the worker has open."""
        found = []
        for link in Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.append(str(link.readlink()))
        return found

    def temporary(self):
        """List the temporary files that are open."""
        return [it for it in self.descriptors() if it.endswith("(deleted)")]

    def rest(self, open_files=None):
        """Wait until nothing goes on, and no more is open than there was."""
        self.until(self.has_torn_all, "teardown")
        self.until(lambda: self.count("opened") == self.count("closed"), "close")
        if self.name in {"gunicorn", "granian-wsgi"}:
            # asgiref leaves the errors of async views to the collector.
            self.get("/collect")
        if open_files is not None:
            self.until(lambda: len(self.descriptors()) <= open_files, "a descriptor")
        assert self.temporary() == self.own
        self.meet()

    def stop(self):
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # and its workers
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(30)


class _Kept:
    """The file of a connection, for answers that come one after another."""

    def __init__(self, file):
        self.file = file

    def makefile(self, mode):
        return self

    def __getattr__(self, name):
        return getattr(self.file, name)

    def close(self):
        """Leave it open."""


GUNICORN = ("gunicorn", "site_of_faults:app", "-k", "gthread", "--threads", "4", "-b")
GRANIAN = ("granian", "--host", "127.0.0.1", "--port", "{}", "--no-ws", "--interface")
UVICORN = (
    "uvicorn",
    "site_of_faults:asgi",
    "--port",
    "{}",
    "--no-access-log",
    "--http",
)
SERVERS = {
    "gunicorn": (*GUNICORN, "127.0.0.1:{}"),
    "granian-wsgi": (*GRANIAN, "wsgi", "--blocking-threads", "4", "site_of_faults:app"),
    "granian-asgi": (*GRANIAN, "asgi", "site_of_faults:asgi"),
    "h11": (*UVICORN, "h11"),
    "httptools": (*UVICORN, "httptools"),
    "hypercorn": ("hypercorn", "site_of_faults:asgi", "-b", "127.0.0.1:{}"),
}


@pytest.fixture(scope="module", params=SERVERS)
def server(request, tmp_path_factory):
    name = request.param
    if os.environ.get("CI") != "true":
        pytest.importorskip(SERVERS[name][0])
        pytest.importorskip("httptools" if name == "httptools" else "erlen")
    server = Server(tmp_path_factory.mktemp(name), name, *SERVERS[name])
    try:
        yield server.start()
    finally:
        server.stop()


def show(*figures):
    if FULL:
        print(*figures, sep=", ")  # noqa: T201  # what a full run is for


# Clients that go away

ABORTED = [
    *("POST /upload/sync", "POST /upload/async", "POST /upload/stream"),
    *("POST /upload/chunks", "GET /stream/sync", "GET /stream/async"),
    *("GET /context/sync", "GET /context/async", "GET /events/sync"),
    "GET /events/async",
]
START = (
    b'--tea\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    + bytes(1_500_000)
)


def leave(server, line, late):
    """Reset a connection in the middle of an upload, or of an answer."""
    began = server.count("began")
    with server.connect() as it:
        it.sendall(f"{line} HTTP/1.1\r\nHost: a.test\r\n".encode())
        if line.startswith("POST"):
            it.sendall(
                b"Content-Type: multipart/form-data; boundary=tea\r\n"
                b"Content-Length: 4000000\r\n\r\n" + START
            )
        else:
            it.sendall(b"\r\n")
        server.until(lambda: server.has_begun_more_than(began), line)
        if late and line.startswith("GET"):
            assert it.recv(1000).startswith(b"HTTP/1.1 200")
        elif late:
            time.sleep(0.01)
        it.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_clients_that_reset_leave_nothing_behind(server):
    for line in ABORTED:
        leave(server, line, True)
    server.rest()
    open_files = len(server.descriptors())
    times = 60 if FULL else 4
    for number in range(times):
        for line in ABORTED:
            leave(server, line, number % 2)
            assert server.get("/pid") == str(server.pid)
    server.rest(open_files)
    assert "Traceback" not in server.said
    show(
        server.name,
        f"{times * len(ABORTED)} resets",
        f"{open_files} descriptors as before",
    )


# Bodies that end too early

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
MULTIPART = "multipart/form-data; boundary=tea"
RAW = "application/octet-stream"
FILE = START[:70] + b"abc\r\n--tea--\r\n"


def sized(kind, body, size):
    return f"Content-Type: {kind}\r\nContent-Length: {size}\r\n\r\n".encode() + body


def chunked(kind, body, size=None):
    head = f"Content-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head.encode() + b"%x\r\n%s\r\n" % (size or len(body), body)


# What comes would be a whole body, were it not said that there is more.
CUT = {
    "nothing": sized(RAW, b"", 9),
    "bytes": sized(RAW, b"abc", 9),
    "form": sized(FORM, b"word=tea", 20),
    "json": sized(JSON, b"[1]", 9),
    "multipart": sized(MULTIPART, FILE, len(FILE) + 9),
    "chunked bytes": chunked(RAW, b"abc"),
    "chunked form": chunked(FORM, b"word=tea"),
    "chunked json": chunked(JSON, b"[1]"),
    "chunked multipart": chunked(MULTIPART, FILE),
    "chunk cut": chunked(RAW, b"abc", 9),
}
BROKEN = {
    "chunk too long": chunked(RAW, b"abc", 2) + b"0\r\n\r\n",
    "chunk without a size": chunked(RAW, b"abc") + b"tea\r\nabc\r\n0\r\n\r\n",
}
WHOLE = {
    "no byte": sized(RAW, b"", 0),
    "bytes": sized(RAW, b"abc", 3),
    "chunks": chunked(RAW, b"abc") + b"0\r\n\r\n",
    "chunks, form": chunked(FORM, b"word=tea") + b"0\r\n\r\n",
    "multipart": sized(MULTIPART, FILE, len(FILE)),
}
# It ends a chunked body that is cut or broken as if it was whole: seen with 2.8.7.
TELLS_NO_CUT = {"granian-wsgi"}
READERS = ["sync", "async", "stream", "chunks"]


def upload(server, reader, rest, **options):
    """Upload; return the answers, and how many bodies the views took for whole."""
    whole = server.count("whole")
    head = f"POST /upload/{reader} HTTP/1.1\r\nHost: a.test\r\n".encode()
    answers = server.send(head + rest, **options)
    server.until(server.has_torn_all)
    return answers, server.count("whole") - whole


@pytest.mark.parametrize("reader", READERS)
def test_a_body_cut_short_is_never_taken_for_whole(server, reader):
    outcomes = []
    for _ in range(25 if FULL else 1):
        for name, rest in {**CUT, **BROKEN}.items():
            began = server.count("began")
            # It has reached the application before the client leaves.
            half = partial(server.has_begun_more_than, began) if name in CUT else None
            answers, whole = upload(server, reader, rest, half=half)
            outcomes.append(answers[0][0] if answers else None)
            if server.name not in TELLS_NO_CUT or "chunk" not in name:
                assert (whole, outcomes[-1]) in [(0, 400), (0, None)], name
            assert outcomes[-1] in {None, 200, 400}, name
            assert server.get("/pid") == str(server.pid)
        for rest in WHOLE.values():
            answers, whole = upload(server, reader, rest)
            assert (answers[0][0], whole) == (200, 1)
    assert "Traceback" not in server.said
    show(server.name, reader, *(f"{it}: {outcomes.count(it)}" for it in set(outcomes)))


@pytest.mark.parametrize(
    "path", [*(f"/upload/{it}" for it in READERS), "/unread", "/unread/sync"]
)
@pytest.mark.parametrize("body", ["sized", "chunked"])
def test_requests_that_follow_on_the_connection_are_answered_in_order(
    server, path, body
):
    hidden = b"GET /hidden HTTP/1.1\r\nHost: a.test\r\n\r\n" * 2000
    rest = {
        "sized": sized(RAW, hidden, len(hidden)),
        "chunked": chunked(RAW, hidden) + b"0\r\n\r\n",
    }[body]
    answers = server.send(
        f"POST {path} HTTP/1.1\r\nHost: a.test\r\n".encode() + rest,
        *(b"GET /%d HTTP/1.1\r\nHost: a.test\r\n\r\n" % it for it in range(3)),
        answers=4,
    )
    first = str(len(hidden)) if "upload" in path else "not read"
    expected = [(200, it.encode()) for it in (first, "0", "1", "2")]
    # What nobody reads may make a server reset the connection instead.
    assert answers == (expected if "upload" in path else expected[: len(answers)])
    assert server.get("/pid") == str(server.pid)


# Requests that nobody sends by accident


def ask(target, *lines, method="GET", version="HTTP/1.1", host="a.test", body=b""):
    lines = (f"{method} {target} {version}", f"Host: {host}", "See: 1", *lines)
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def post(*lines, body=b"abc", **options):
    return ask("/a", *lines, method="POST", body=body, **options)


def seen(path="/a", method="GET", host="a.test", size=0):
    return [method, path, host, size]


CHUNKS = b"3\r\nabc\r\n0\r\n\r\n"
POSTED = seen(method="POST", size=3)
NONE: dict[str, list[str]] = {}
ALL = dict.fromkeys(SERVERS, seen())
BY_GRANIAN = dict.fromkeys(["granian-wsgi", "granian-asgi"])
BY_H11 = dict.fromkeys(["h11", "hypercorn"])


def by(servers, *what, **more):
    return dict.fromkeys(servers, seen(*what, **more))


# What the application sees behind each server that lets the request through.
HOSTILE = {
    "two lengths": (post("Content-Length: 3", "Content-Length: 5"), NONE),
    "a length with a sign": (post("Content-Length: +3"), NONE),
    "a length below zero": (post("Content-Length: -1"), NONE),
    "a length with an underscore": (post("Content-Length: 0_3"), NONE),
    "a length and chunks": (
        post("Content-Length: 6", "Transfer-Encoding: chunked", body=CHUNKS),
        dict.fromkeys([*BY_GRANIAN, *BY_H11], POSTED),
    ),
    "length zero and chunks": (
        post("Transfer-Encoding: chunked", "Content-Length: 0", body=CHUNKS),
        dict.fromkeys([*BY_GRANIAN, *BY_H11], POSTED),
    ),
    "a coding of no name": (post("Transfer-Encoding: xchunked", body=CHUNKS), NONE),
    "a space before the colon": (
        post("Transfer-Encoding : chunked", "Content-Length: 0", body=CHUNKS),
        NONE,
    ),
    "a chunk below zero": (
        post("Transfer-Encoding: chunked", body=b"-3\r\nabc\r\n0\r\n\r\n"),
        by(TELLS_NO_CUT, method="POST"),
    ),
    "a host behind the chunks": (
        post(
            "Transfer-Encoding: chunked",
            body=CHUNKS[:-2] + b"Host: evil.test\r\n\r\n",
        ),
        # uvicorn takes it for one more header.
        dict.fromkeys([*BY_GRANIAN, *BY_H11], POSTED)
        | by(["httptools"], "/a", "POST", "", 3),
    ),
    "NUL in a header": (ask("/a", "X: a\0b"), NONE),
    "CR in a header": (ask("/a", "X: a\rb"), NONE),
    "NUL in the path": (ask("/a\0b"), NONE),
    "quoted NUL in the path": (ask("/a%00b"), by(SERVERS, "/a\0b")),
    "a header in two lines": (ask("/a", "X: a\r\n b"), by(BY_H11)),
    "a header without a name": (ask("/a", ": a"), NONE),
    "underscore for hyphen": (ask("/a", "Content_Length: 5"), ALL),
    "another host in the URL": (
        ask("http://evil.test/a"),
        # These do not take it apart.
        ALL | by(BY_H11, "/http://evil.test/a"),
    ),
    "two hosts": (
        ask("/a", "Host: evil.test"),
        by([*BY_GRANIAN, "httptools"], host=""),
    ),
    "a host with a path": (ask("/a", host="a.test/evil"), by(SERVERS, host="")),
    "a host with a user": (ask("/a", host="a@evil.test"), by(SERVERS, host="")),
    "a host of bytes": (ask("/a", host="\xff\xfe"), by(SERVERS, host="")),
    "no host": (ask("/a", host=""), by(SERVERS, host="")),
    "a method of no name": (ask("/a", method="BREW"), by(SERVERS, method="BREW")),
    "a method in small letters": (ask("/a", method="get"), ALL),
    "a method with a sign": (ask("/a", method="G@T"), NONE),
    "two slashes": (ask("//evil.test/a"), by(SERVERS, "/evil.test/a")),
    "quoted slashes": (ask("/%2F%2Fevil.test%2fa"), by(SERVERS, "/evil.test/a")),
    "dots": (ask("/a/../%2e%2e/b"), by(SERVERS, "/a/../../b")),
    "a backslash": (ask("/\\evil.test"), by(SERVERS, "/\\evil.test")),
    "a bad quote": (ask("/a%zz"), by(SERVERS, "/a%zz")),
    "a fragment": (ask("/a#b"), ALL | by(BY_H11, "/a#b")),
    "bytes in the path": (ask("/\xff"), NONE),
    "quoted bytes in the path": (ask("/%ff%e9"), by(SERVERS, "/\ufffd\ufffd")),
    "a quoted surrogate": (ask("/%ed%a0%80"), by(SERVERS, "/" + "\ufffd" * 3)),
    "quoted bytes in the query": (ask("/a?%ff=%e9"), ALL),
    "bytes in headers": (ask("/a", "X: \xff", "Cookie: \xff=\xe9", "Date: \xe9"), ALL),
    "64 kB of a header": (ask("/a", "X: " + "a" * 65536), ALL),
    "200 headers": (ask("/a", *(f"X{it}: a" for it in range(200))), ALL),
    "HTTP/0.9": (b"GET /a\r\nHost: a.test\r\nSee: 1\r\n\r\n", by(["httptools"])),
    "HTTP/3.0": (ask("/a", version="HTTP/3.0"), by(BY_H11)),
    "bare LF": (ask("/a").replace(b"\r", b""), by([*BY_GRANIAN, *BY_H11])),
    "a tab for a space": (ask("/a").replace(b" ", b"\t", 2), NONE),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", NONE),
}
REFUSED = {400, 405, 414, 417, 431, 501}


@pytest.mark.parametrize("name", HOSTILE)
def test_both_doors_see_the_same_hostile_request(server, name):
    raw, outcomes = HOSTILE[name]
    ((status, body),) = server.send(raw)
    assert status in {200, *REFUSED}
    if status == 200:
        assert json.loads(body) == outcomes.get(server.name)
    # And what the tables and the error pages do with it.
    ((status, body),) = server.send(
        raw.replace(b"See: 1\r\n", b"").replace(b"See: 1\n", b"")
    )
    assert status in {200, 404, *REFUSED}
    assert server.get("/pid") == str(server.pid)
    assert "Traceback" not in server.said


# Signals

WORK = """
import asyncio, os, time
from erlen import Erlen, Response

app = Erlen(__name__)
notes = os.open("notes", os.O_CREAT | os.O_WRONLY | os.O_APPEND)


def note(word, number=0):
    os.write(notes, f"{word} {number} {os.getpid()}\\n".encode())


def after(number):
    time.sleep(0.05)
    note("after", number)


app.on_startup(lambda: note("up"))
app.on_shutdown(lambda: note("down"))


def begin(number):
    note("began", number)
    app.after_response(after, number)


@app.get("/sync/<number>")
def work(number):
    begin(number)
    time.sleep(0.1)
    return number


@app.get("/async/<number>")
async def work_async(number):
    begin(number)
    await asyncio.sleep(0.1)
    return number


@app.get("/stream/<number>")
def stream(number):
    begin(number)

    def parts():
        for digit in number:
            yield digit
            time.sleep(0.03)

    return Response(parts())
"""
ENGINES = [
    ("granian", "--wsgi"),
    ("granian", "--asgi"),
    ("gunicorn", "--wsgi"),
    ("gunicorn", "--asgi"),
    ("uvicorn", "--asgi"),
]


class Load:
    """Clients that ask, each request on a connection of its own, until it is over."""

    def __init__(self, server):
        self.server = server
        self.answered = set()
        self.refused = []
        self.over = False
        self.threads = [
            threading.Thread(target=self.ask, args=(it,)) for it in range(6)
        ]
        for thread in self.threads:
            thread.start()

    def ask(self, first):
        number = 1000 + first
        while not self.over:
            path = ("sync", "async", "stream")[number % 3]
            try:
                assert self.server.get(f"/{path}/{number}") == str(number)
                self.answered.add(str(number))
            except (AssertionError, OSError, http.client.HTTPException) as exc:
                self.refused.append((number, repr(exc)))
                time.sleep(0.01)
            number += len(self.threads) + 1

    def end(self):
        self.over = True
        for thread in self.threads:
            thread.join()


class Notes:
    """What the application has written, by word: number and process of each line."""

    def __init__(self, server):
        self.lines = [
            line.split() for line in (server.folder / "notes").read_text().splitlines()
        ]

    def of(self, word):
        return [line[1:] for line in self.lines if line[0] == word]

    def live(self, killed=()):
        ended = {pid for _, pid in self.of("down")}
        return {pid for _, pid in self.of("up")} - ended - {*killed}


@pytest.fixture(params=ENGINES, ids=" ".join)
def serve(request, tmp_path_factory):
    name, interface = request.param
    if os.environ.get("CI") != "true":
        pytest.importorskip(name)
    servers = []

    def serve(*arguments, text=WORK):
        server = Server(
            tmp_path_factory.mktemp(name),
            f"{name} {interface}",
            *("erlen", "--app", "site_of_faults", "serve", "--engine", name, interface),
            *("--port", "{}", "--no-access-log", *arguments),
            text=text,
        )
        servers.append(server)
        return server

    yield serve
    for server in servers:
        server.stop()


def test_signals_lose_no_request_in_flight(serve):
    size = 2 if FULL else 1  # replaced one after the other, which takes time
    begun = refused = 0
    for _ in range(20 if FULL else 1):
        server = serve("--workers", str(size))
        load = Load(server)
        killed = set()
        try:
            refused += disturb(server, load, size, killed)
        finally:
            load.end()
        notes = Notes(server)
        spared = {number for number, pid in notes.of("began") if pid not in killed}
        begun += len(spared)
        assert spared <= load.answered, load.refused
        done = [number for number, pid in notes.of("after") if pid not in killed]
        assert sorted(done) == sorted(spared)
        ups = {pid for _, pid in notes.of("up")}
        assert sorted(pid for _, pid in notes.of("down")) == sorted(ups - killed)
        assert "Traceback" not in server.said
    show(server.name, f"{begun} begun, 0 lost", f"{refused} not accepted by SIGHUP")


def disturb(server, load, size, killed):
    """Kill, reload, kill and stop; return how many the reload did not accept."""

    def serving(known=()):
        """Wait for as many that serve, and are none of those."""

        def found():
            pids = {pid for _, pid in Notes(server).of("began")} - killed - {*known}
            return len(pids) >= size and pids

        return server.until(found)

    old = serving()
    killed.add(min(old))
    os.kill(int(min(old)), signal.SIGKILL)
    old = serving()
    already = len(load.refused)
    server.process.send_signal(signal.SIGHUP)
    server.until(lambda: not Notes(server).live(killed) & old)
    new = serving(old)
    refused = len(load.refused) - already
    killed.add(min(new))
    os.kill(int(min(new)), signal.SIGKILL)
    serving(old)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(60) == 0, server.said
    return refused


# An application that cannot start

FAILS = """
import time
from erlen import Erlen

app = Erlen(__name__)


@app.on_startup
async def begin():
    open("tried", "w").close()
    raise RuntimeError("no tea today")


asgi = app.asgi
"""
ASGI_SERVERS = [it for it in SERVERS if it not in {"gunicorn", "granian-wsgi"}]


@pytest.mark.parametrize("name", ASGI_SERVERS)
def test_a_start_that_fails_ends_the_server(name, tmp_path):
    if os.environ.get("CI") != "true":
        pytest.importorskip(SERVERS[name][0])
        pytest.importorskip("httptools" if name == "httptools" else "erlen")
    # hypercorn's parent process forgets with which code a worker ended: have none.
    more = ["-w", "0"] if name == "hypercorn" else []
    ends_soon(Server(tmp_path, name, *SERVERS[name], *more, text=FAILS))


def test_a_start_that_fails_ends_erlen_serve(serve):
    ends_soon(serve(text=FAILS))


SLOW = """
import os, time

open(f"{os.getpid()}.began", "w").close()
time.sleep(0.5)

from erlen import Erlen

app = Erlen(__name__)
"""


def test_a_server_that_has_not_begun_is_stopped(serve):
    server = serve("--timeout", "20", text=SLOW)
    server.until(lambda: len([*server.folder.glob("*.began")]) == 2)  # the worker
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(10) == 0
    assert "Traceback" not in server.said


def ends_soon(server):
    """See that the process ends with the traceback, two seconds after it at most."""
    try:
        assert server.process.wait(60) != 0
        took = time.time() - (server.folder / "tried").stat().st_mtime
    finally:
        server.stop()
    assert "Traceback" in server.said
    assert "RuntimeError: no tea today" in server.said
    assert took < 2
    show(server.name, f"ends {took:.2f} s after its start failed")
