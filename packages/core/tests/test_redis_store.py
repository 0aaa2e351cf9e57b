from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from erlen import Erlen
from erlen import request
from erlen import session
from erlen._redis_store import RedisSessionStore
from erlen.sessions import SessionStoreError

PASSWORD = "p4ssw0rd"


@pytest.fixture
def redis():
    return pytest.importorskip("redis")


@pytest.fixture
def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def test_a_missing_library_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis", None)

    with pytest.raises(RuntimeError, match=r'pip install "erlen\[redis\]"'):
        RedisSessionStore("redis://localhost")


@pytest.mark.parametrize(
    ("scheme", "kind"),
    [
        ("redis", "Connection"),
        ("REDIS", "Connection"),
        ("valkey", "Connection"),
        ("rediss", "SSLConnection"),
        ("valkeys", "SSLConnection"),
        ("unix", "UnixDomainSocketConnection"),
    ],
)
def test_all_schemes_are_understood(redis, scheme, kind):
    store = RedisSessionStore(f"{scheme}://ada:{PASSWORD}@/run/5", 0.25)
    pool = store._client.connection_pool
    options = pool.connection_kwargs

    assert pool.connection_class is getattr(redis, kind)
    assert options["socket_timeout"] == options["socket_connect_timeout"] == 0.25
    assert options["password"] == PASSWORD
    assert options["protocol"] == 2
    assert PASSWORD not in repr(store)


def test_nothing_is_tried_twice(redis):
    store = RedisSessionStore("redis://localhost")
    tried = []

    def fail():
        tried.append(1)
        raise redis.ConnectionError

    with pytest.raises(redis.ConnectionError):
        store._client.connection_pool.connection_kwargs["retry"].call_with_retry(
            fail, lambda exc: None
        )
    assert tried == [1]


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{PASSWORD}/x@localhost",
        f"redis://[{PASSWORD}",
        f"redis://localhost?max_connections={PASSWORD}",
        f"http://{PASSWORD}@localhost",
    ],
)
@pytest.mark.usefixtures("redis")
def test_a_wrong_url_is_refused_without_its_password(url):
    with pytest.raises(ValueError, match="SESSION_STORE is no URL of Redis") as info:
        RedisSessionStore(url)

    assert PASSWORD not in str(info.value)
    assert info.value.__cause__ is None
    assert info.value.__suppress_context__


@pytest.mark.usefixtures("redis")
def test_each_method_is_one_command(monkeypatch):
    store = RedisSessionStore("redis://localhost")
    asked = []
    answers = [b"value", True, None, 1, 0, 1]

    def answer(*command):
        asked.append((command[0], command[-1]))
        return answers.pop(0)

    monkeypatch.setattr(store._client, "execute_command", answer)

    assert store.get("key") == b"value"
    assert store.replace("key", None, b"new", 5) is True
    assert store.replace("key", None, b"new", 5) is False
    assert store.replace("key", b"old", b"new", 5) is True
    assert store.replace("key", b"old", b"new", 5) is False
    assert store.delete("key") is None
    assert asked == [
        ("GET", "key"),
        *(("SET", "NX"), ("SET", "NX")),
        *(("EVAL", 5), ("EVAL", 5)),
        ("DEL", "key"),
    ]


@pytest.mark.usefixtures("redis")
def test_a_server_that_is_not_there_is_a_503(caplog, free_port):
    app = Erlen(__name__)
    app.config["SESSION_STORE"] = f"redis://ada:{PASSWORD}@127.0.0.1:{free_port}"
    app.add_url_rule("/", "index", lambda: session.update(a=1) or "done")
    app.add_url_rule("/plain", "plain", lambda: "plain")
    client = app.test_client()

    assert client.get("/plain").status_code == 200
    response = client.get("/")
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "5"
    (record,) = caplog.records
    assert "ConnectionError" in record.getMessage()
    assert PASSWORD not in caplog.text


# With a server of their own, which they kill and freeze


class Server:
    def __init__(self, port):
        self.port = port
        self.url = f"redis://:{PASSWORD}@127.0.0.1:{port}/1"
        self.process = None

    def start(self):
        command = [
            *("redis-server", "--port", str(self.port), "--bind", "127.0.0.1"),
            *("--save", "", "--appendonly", "no", "--requirepass", PASSWORD),
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        store = RedisSessionStore(self.url, 1)
        for _ in range(500):
            try:
                store.get("x")
            except SessionStoreError:
                time.sleep(0.01)
            else:
                break
        store._client.close()

    def send(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.send(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def server(redis, free_port):
    if shutil.which("redis-server") is None:
        if os.environ.get("CI"):
            pytest.fail("redis-server is not installed")
        pytest.skip("redis-server is not installed")
    server = Server(free_port)
    server.start()
    yield server
    server.send(signal.SIGCONT)
    server.kill()


def make_app(server):
    app = Erlen(__name__)
    app.config.update(SESSION_STORE=server.url)
    app.add_url_rule("/plain", "plain", lambda: "plain")

    @app.get("/put/<name>")
    def put(name):
        request.environ.get("test.view", str)()
        session["name"] = name
        return name

    @app.get("/")
    def index():
        return session.get("name", "stranger")

    return app


@pytest.fixture
def app(server):
    app = make_app(server)
    yield app
    app.session_interface.store._client.close()


def ask(client, path="/"):
    """Return status, body, and how long it took."""
    start = time.perf_counter()
    response = client.get(path)
    return response.status_code, response.text, time.perf_counter() - start


@pytest.mark.service
def test_sessions_live_in_the_server(server, app, redis):
    client = app.test_client()
    client.get("/put/ada")

    assert ask(client)[:2] == (200, "ada")
    admin = redis.Redis.from_url(server.url)
    for _ in "12":
        (key,) = admin.keys()
        assert key.startswith(b"erlen:session:")
        assert 31 * 86400 - 5 <= admin.ttl(key) <= 31 * 86400
        admin.persist(key)
        client.get("/put/bob")
    admin.close()


@pytest.mark.service
def test_a_connection_that_the_server_closed_costs_no_request(server, app, redis):
    client = app.test_client()
    client.get("/put/ada")
    admin = redis.Redis.from_url(server.url)
    for _ in range(20):
        assert admin.client_kill_filter(_type="normal", skipme=True) == 1
        assert ask(client)[:2] == (200, "ada")
    admin.close()


@pytest.mark.service
def test_a_server_that_is_killed_and_comes_back(server, app):
    client = app.test_client()
    client.get("/put/ada")
    server.kill()
    for _ in range(20):
        assert ask(client, "/plain")[0] == 200
        status, _, seconds = ask(client)
        assert status == 503
        assert seconds < 0.3
        assert ask(client, "/put/bob")[0] == 503
    server.start()
    # It kept nothing on a disk.
    assert ask(client)[:2] == (200, "stranger")
    assert ask(client, "/put/bob")[0] == 200
    assert ask(client)[:2] == (200, "bob")


@pytest.mark.service
def test_a_server_that_is_frozen_and_thawed(server, app):
    client = app.test_client()
    client.get("/put/ada")
    new = app.test_client()
    worst = 0.0
    server.send(signal.SIGSTOP)
    for _ in range(20):
        assert ask(client, "/plain")[0] == 200
        for path in "/", "/put/bob":
            status, _, seconds = ask(client, path)
            assert status == 503
            worst = max(worst, seconds)
    status, _, seconds = ask(new, "/put/bob")
    assert status == 503
    assert max(worst, seconds) < 0.3
    server.send(signal.SIGCONT)
    for _ in range(20):
        # No answer is taken for another's: what came too late is dropped.
        assert ask(client)[:2] == (200, "ada")


@pytest.mark.service
def test_a_server_that_freezes_before_the_session_is_saved(server, app):
    client = app.test_client()
    client.get("/put/ada")
    freeze = {"test.view": lambda: session.get("name") and server.send(signal.SIGSTOP)}

    response = client.get("/put/bob", environ_overrides=freeze)
    assert response.status_code == 503
    server.send(signal.SIGCONT)
    assert ask(client)[0] == 200
    assert ask(client, "/put/eve")[0] == 200
    assert ask(client)[1] == "eve"


@pytest.mark.service
def test_threads_go_on_without_a_session_and_find_theirs_again(server, app):
    names = [f"user-{number}" for number in range(8)]
    clients = {name: app.test_client() for name in names}
    for name, client in clients.items():
        client.get(f"/put/{name}")
    counts = {200: 0, 503: 0}
    wrong = []
    stop = threading.Event()

    def run(name):
        while not stop.is_set():
            status, text, seconds = ask(clients[name])
            counts[status] += 1
            if ask(clients[name], "/plain")[0] != 200 or (
                status == 200 and text != name
            ):
                wrong.append((status, text, seconds))

    threads = [threading.Thread(target=run, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for _ in range(3):
        time.sleep(0.2)
        server.send(signal.SIGSTOP)
        time.sleep(0.5)
        server.send(signal.SIGCONT)
    time.sleep(0.2)
    stop.set()
    for thread in threads:
        thread.join()

    assert wrong == []
    assert counts[200] > 0
    assert counts[503] > 0
    assert [ask(client)[1] for client in clients.values()] == names


@pytest.mark.service
def test_a_wrong_password_is_a_503_that_does_not_tell_it(server, app, caplog):
    app.config["SESSION_STORE"] = server.url.replace(PASSWORD, f"{PASSWORD}-wrong")

    assert ask(app.test_client(), "/put/ada")[0] == 503
    assert "AuthenticationError" in caplog.text
    assert PASSWORD not in caplog.text


@pytest.mark.service
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_workers_that_are_forked_have_connections_of_their_own(server, tmp_path):
    script = tmp_path / "forks.py"
    script.write_text(
        f"""
import os
from erlen._redis_store import RedisSessionStore
store = RedisSessionStore({server.url!r}, 1)
store.replace("parent", None, b"parent", 60)
children = []
for name in map(str, range(4)):
    pid = os.fork()
    if not pid:
        ok = store.replace(name, None, name.encode(), 60)
        for _ in range(500):
            ok = ok and store.get(name) == name.encode()
        os._exit(0 if ok else 1)
    children.append(pid)
for _ in range(500):
    assert store.get("parent") == b"parent"
assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
"""
    )
    subprocess.run([sys.executable, script], check=True)
