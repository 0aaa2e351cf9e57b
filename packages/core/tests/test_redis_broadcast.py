from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
import uuid

import pytest

from erlen import _redis_broadcast
from erlen.broadcast import Broadcast
from erlen.broadcast import BroadcastUnavailable
from erlen.broadcast import SubscriptionClosed

PASSWORD = "p4ssw0rd"


@pytest.fixture
def redis():
    return pytest.importorskip("redis")


@pytest.fixture
def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@pytest.fixture
def away(redis, free_port):
    """A broadcast whose server is not there."""
    broadcast = Broadcast(f"redis://:{PASSWORD}@127.0.0.1:{free_port}", timeout=0.2)
    yield broadcast
    broadcast.close()
    assert broadcast._relay._reader is None


def until(check):
    """Wait until something is so, which a test that fails never sees."""
    end = time.monotonic() + 30
    while not check():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_missing_library_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis", None)

    with pytest.raises(RuntimeError, match=r'pip install "erlen\[redis\]"'):
        Broadcast("redis://localhost")


@pytest.mark.usefixtures("redis")
@pytest.mark.parametrize("scheme", ["redis", "REDISS", "valkey", "valkeys", "unix"])
def test_all_schemes_are_understood(scheme):
    broadcast = Broadcast(f"{scheme}://ada:{PASSWORD}@/run/5", timeout=0.25)
    pool = broadcast._relay._client.connection_pool

    assert pool.connection_kwargs["socket_timeout"] == 0.25
    assert PASSWORD not in repr(broadcast)
    assert "erlen-broadcast" not in [it.name for it in threading.enumerate()]


@pytest.mark.usefixtures("redis")
def test_a_wrong_url_is_refused_without_its_password():
    with pytest.raises(ValueError, match="Its URL is no URL of Redis") as info:
        Broadcast(f"redis://:{PASSWORD}/x@localhost")
    assert PASSWORD not in str(info.value)


def test_publishing_to_a_server_that_is_away_is_a_503(away, caplog):
    with pytest.raises(BroadcastUnavailable) as info:
        away.publish("a", 1)
    assert isinstance(info.value.__cause__, away._relay.error)

    async def publish():
        await away.apublish("a", 1)

    with pytest.raises(BroadcastUnavailable):
        asyncio.run(publish())
    assert len(caplog.records) == 2
    assert PASSWORD not in caplog.text


def test_with_waits_for_the_server_and_a_plain_subscription_does_not(away, caplog):
    subscription = away.subscribe("a")
    assert subscription.get(0) is None
    with pytest.raises(BroadcastUnavailable), away.subscribe("b"):
        pytest.fail("it was not in force")

    async def enter():
        async with away.subscribe("c"):
            pytest.fail("it was not in force")

    with pytest.raises(BroadcastUnavailable):
        asyncio.run(enter())
    assert set(away._rooms) == {"a"}
    subscription.close()
    until(lambda: away._relay._reader is None)
    # It was tried more than once, and said once.
    (record,) = caplog.records
    assert "is away, messages are lost: ConnectionError" in record.getMessage()
    with pytest.raises(SubscriptionClosed):
        subscription.get()


@pytest.mark.usefixtures("redis")
def test_a_bell_that_nobody_hears_does_no_harm():
    reader = _redis_broadcast._Reader(Broadcast("redis://localhost")._relay)
    for _ in range(100_000):
        reader.wake()
    reader._hush()
    reader.disconnect()
    reader.wake()


@pytest.mark.usefixtures("redis")
def test_closing_in_the_thread_that_listens_does_not_wait_for_itself():
    broadcast = Broadcast("redis://localhost")
    relay = broadcast._relay
    relay._reader = reader = _redis_broadcast._Reader(relay)
    reader.thread = threading.current_thread()
    broadcast.close()
    reader.disconnect()


@pytest.mark.usefixtures("redis")
def test_a_fork_leaves_thread_and_connection_to_its_parent():
    relay = Broadcast("redis://localhost")._relay
    relay.refresh()
    relay._reader = reader = _redis_broadcast._Reader(relay)
    relay.start_over()
    assert relay._reader is None
    assert reader._ear.fileno() == reader._bell.fileno() == -1


def test_closing_waits_for_the_thread_that_listens(away):
    subscription = away.subscribe("a")
    reader = away._relay._reader
    away.close()
    assert not reader.thread.is_alive()
    assert list(subscription) == []


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


@pytest.fixture
def make(server):
    """Make a broadcast as a process of its own would have it."""
    made = []

    def make(**settings):
        made.append(Broadcast(server.url, **{"timeout": 5, **settings}))
        return made[-1]

    def answers():
        try:
            make_admin(server).ping()
        except Exception:  # noqa: BLE001  # its errors are redis-py's
            return False
        return True

    until(answers)
    yield make
    for broadcast in made:
        broadcast.close()
        until(lambda broadcast=broadcast: broadcast._relay._reader is None)
    until(lambda: "erlen-broadcast" not in {it.name for it in threading.enumerate()})


def make_admin(server):
    redis = pytest.importorskip("redis")
    return redis.Redis.from_url(server.url, socket_timeout=5)


@pytest.mark.service
def test_processes_are_one_room(make, server):
    first, second = make(), make()
    with first.subscribe("a", "b") as one, second.subscribe("a") as other:
        first.publish("a", {"n": 1})
        second.publish("b", "é")
        assert one.get(30) == ("a", {"n": 1})
        assert one.get(30) == ("b", "é")
        assert other.get(30) == ("a", {"n": 1})
        with make_admin(server) as admin:
            names = admin.pubsub_channels()
            assert sorted(names) == [b"erlen:broadcast:a", b"erlen:broadcast:b"]
            assert admin.client_list(_type="pubsub").__len__() == 2
            admin.publish("erlen:broadcast:a", '"from elsewhere"')
        assert other.get(30).data == "from elsewhere"
    until(lambda: first._relay._reader is second._relay._reader is None)


@pytest.mark.service
def test_all_subscriptions_share_one_connection_and_one_thread(make, server):
    broadcast = make()
    admin = make_admin(server)
    subscriptions = [broadcast.subscribe(f"c{it % 3}") for it in range(9)]
    for subscription in subscriptions:
        subscription.__enter__()
    assert len(admin.client_list(_type="pubsub")) == 1
    assert [it.name for it in threading.enumerate()].count("erlen-broadcast") == 1
    for subscription in subscriptions[1:]:
        subscription.close()
    until(lambda: admin.pubsub_channels() == [b"erlen:broadcast:c0"])
    with broadcast.subscribe("c0", "c1") as again:
        broadcast.publish("c1", 1)
        assert again.get(30).data == 1
    until(lambda: broadcast._relay._reader.confirmed == {"c0"})
    subscriptions[0].close()
    until(lambda: admin.client_list(_type="pubsub") == [])
    admin.close()


@pytest.mark.service
def test_prefixes_keep_applications_apart(make):
    first, second = make(), make(prefix="other:")
    with first.subscribe("a") as one, second.subscribe("a") as other:
        first.publish("a", 1)
        second.publish("a", 2)
        assert (one.get(30).data, other.get(30).data) == (1, 2)
        assert other.get(0) is None


@pytest.mark.service
def test_event_loops_hear_and_publish(make):
    broadcast = make()

    async def talk():
        async with broadcast.subscribe("a") as subscription:
            await broadcast.apublish("a", 1)
            return await subscription.aget(30)

    assert asyncio.run(talk()).data == 1


@pytest.mark.service
def test_a_server_that_is_killed_and_comes_back(make, server, caplog):
    caplog.set_level(logging.WARNING)
    broadcast = make()
    with broadcast.subscribe("a", "b") as subscription:
        broadcast.publish("a", 1)
        assert subscription.get(30).data == 1
        server.kill()
        with pytest.raises(BroadcastUnavailable):
            broadcast.publish("a", "lost")
        until(lambda: not broadcast._relay.listens_to(["a"]))
        time.sleep(0.5)  # several tries
        server.start()
        until(lambda: broadcast._relay.listens_to(["a", "b"]))
        broadcast.publish("b", 2)
        assert subscription.get(30) == ("b", 2)
    told = [it.getMessage()[:28] for it in caplog.records]
    assert told.count("The broadcast server is away") == 1
    assert told.count("The broadcast server is back") == 1
    assert PASSWORD not in caplog.text


@pytest.mark.service
def test_a_server_that_says_nothing_any_more_is_noticed(make, server, monkeypatch):
    monkeypatch.setattr(_redis_broadcast, "PING", 0.05)
    broadcast = make(timeout=0.5)
    with broadcast.subscribe("a") as subscription:
        time.sleep(0.3)  # some questions and answers
        assert broadcast._relay.listens_to(["a"])
        server.send(signal.SIGSTOP)
        until(lambda: not broadcast._relay.listens_to(["a"]))
        server.send(signal.SIGCONT)
        until(lambda: broadcast._relay.listens_to(["a"]))
        broadcast.publish("a", 1)
        assert subscription.get(30).data == 1


@pytest.mark.service
def test_an_error_of_the_server_is_said(make, server, caplog):
    admin = make_admin(server)
    rules = {"enabled": True, "passwords": ["+pw"], "commands": ["+@all"]}
    admin.acl_setuser("nobody", channels=["other:*"], **rules)
    admin.close()
    server.url = server.url.replace("://:", "://nobody:").replace(PASSWORD, "pw")
    broadcast = make(timeout=0.5)
    with pytest.raises(BroadcastUnavailable), broadcast.subscribe("a"):
        pytest.fail("it may not")
    assert "NoPermissionError" in caplog.text
    with pytest.raises(BroadcastUnavailable):
        broadcast.publish("a", 1)
    with make(prefix="other:").subscribe("a"):
        """This one may."""


@pytest.mark.service
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_has_a_thread_and_connections_of_its_own(make):
    broadcast = make()
    token = uuid.uuid4().hex
    with broadcast.subscribe("a") as subscription:
        broadcast.publish("a", 0)
        assert subscription.get(30).data == 0
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:  # pragma: no cover - in the child, which leaves no data
            answer = ""
            try:
                with broadcast.subscribe("b") as mine:
                    broadcast.publish("b", token)
                    answer = f"{mine.get(30).data} {list(subscription)}"
                    broadcast.publish("a", "from the child")
            except BaseException:  # noqa: BLE001  # the parent shows it
                answer = traceback.format_exc()
            os.write(write, answer.encode())
            os._exit(0)
        os.close(write)
        with open(read, closefd=True) as answer:
            assert answer.read() == f"{token} []"
        os.waitpid(pid, 0)
        assert subscription.get(30).data == "from the child"
        broadcast.publish("a", 2)
        assert subscription.get(30).data == 2


@pytest.mark.service
def test_a_fork_without_subscriptions_has_nothing_to_leave(make):
    broadcast = make()
    broadcast._start_over()
    with broadcast.subscribe("a") as subscription:
        broadcast.publish("a", 1)
        assert subscription.get(30).data == 1
