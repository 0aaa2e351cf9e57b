from __future__ import annotations

import asyncio
import gc
import os
import threading
import traceback

import pytest

from erlen import Erlen
from erlen import broadcast as module
from erlen.broadcast import Broadcast
from erlen.broadcast import BroadcastUnavailable
from erlen.broadcast import Message
from erlen.broadcast import Stopping
from erlen.broadcast import SubscriberTooSlow
from erlen.broadcast import SubscriptionClosed
from erlen.broadcast import stopping


@pytest.fixture
def broadcast():
    broadcast = Broadcast()
    yield broadcast
    assert broadcast._rooms == {}, "a subscription was left behind"


class Listener(threading.Thread):
    """Reads a subscription in a thread."""

    def __init__(self, subscription):
        super().__init__()
        self.subscription = subscription
        self.heard = []
        self.start()

    def run(self):
        self.heard.extend(self.subscription)

    def end(self):
        self.subscription.close()
        self.join(30)
        assert not self.is_alive()


def test_messages_come_in_order_from_the_channels_that_were_asked_for(broadcast):
    broadcast.publish("news", "too early")
    with broadcast.subscribe("news", "chat", "news") as subscription:
        broadcast.publish("news", {"a": [1, None]})
        broadcast.publish("other", 0)
        broadcast.publish("chat", "text")
        broadcast.publish("news", None)

        assert subscription.channels == ("news", "chat")
        assert subscription.get() == Message("news", {"a": [1, None]})
        channel, data = subscription.get(0)
        assert (channel, data) == ("chat", "text")
        assert subscription.get(0) == ("news", None)
        assert subscription.get(0) is None
        assert repr(subscription) == "<Subscription of 'news', 'chat'>"


def test_each_gets_a_value_of_its_own(broadcast):
    value = {"names": ["ada"]}
    with broadcast.subscribe("a") as first, broadcast.subscribe("a") as second:
        broadcast.publish("a", value)
        first.get().data["names"].append("eve")

        assert second.get().data == value == {"names": ["ada"]}


def test_values_are_written_by_the_provider_of_the_application(broadcast):
    app = Erlen(__name__)
    app.json.default = lambda value: "known"
    with broadcast.subscribe("a") as subscription:
        with app.app_context():
            broadcast.publish("a", object())
        with pytest.raises(TypeError, match="not JSON serializable"):
            broadcast.publish("a", b"bytes")

        assert subscription.get(0).data == "known"
        assert subscription.get(0) is None


def test_threads_and_event_loops_reach_each_other(broadcast):
    listener = Listener(broadcast.subscribe("to thread"))

    async def talk():
        loop = asyncio.get_running_loop()
        async with broadcast.subscribe("to loop") as subscription:
            await broadcast.apublish("to thread", 1)
            await loop.run_in_executor(None, broadcast.publish, "to loop", 2)
            first = await anext(subscription)
            waiting = asyncio.create_task(subscription.aget(30))
            await asyncio.sleep(0)
            await loop.run_in_executor(None, broadcast.publish, "to loop", 3)
            return first, await waiting, await subscription.aget(0.001)

    first, second, third = asyncio.run(talk())
    assert (first, second, third) == (("to loop", 2), ("to loop", 3), None)
    while not listener.heard:
        listener.join(0.001)
    listener.end()
    assert listener.heard == [("to thread", 1)]


def test_many_threads_lose_nothing(broadcast):
    broadcast.backlog = 10_000
    subscriptions = [broadcast.subscribe("a") for _ in range(3)]
    listeners = [Listener(it) for it in subscriptions]

    def publish(name):
        for number in range(200):
            broadcast.publish("a", [name, number])
            broadcast.subscribe("a", "b").close()

    threads = [threading.Thread(target=publish, args=(it,)) for it in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for listener in listeners:
        while len(listener.heard) < 800:
            listener.join(0.001)
        listener.end()
        for name in range(4):
            mine = [it.data[1] for it in listener.heard if it.data[0] == name]
            assert mine == list(range(200))


def test_closing_ends_the_loops_that_read(broadcast):
    subscription = broadcast.subscribe("a")
    listener = Listener(subscription)
    listener.end()
    assert list(subscription) == []
    with pytest.raises(SubscriptionClosed, match="Subscribe again"):
        subscription.get()

    async def read():
        async with broadcast.subscribe("a") as subscription:
            broadcast.publish("a", "never read")
            subscription.close()
            return [message async for message in subscription]

    assert asyncio.run(read()) == []


def test_a_broadcast_that_is_closed_ends_all_and_can_be_used_again(broadcast):
    listeners = [Listener(broadcast.subscribe("a", "b")) for _ in "12"]
    broadcast.close()
    for listener in listeners:
        listener.join(30)
        assert not listener.is_alive()
    with broadcast.subscribe("a") as subscription:
        broadcast.publish("a", 1)
        assert subscription.get().data == 1


def test_who_does_not_keep_up_is_let_go_with_what_was_kept():
    broadcast = Broadcast(backlog=2)
    slow, quick = broadcast.subscribe("a"), broadcast.subscribe("a")
    for number in range(4):
        broadcast.publish("a", number)
        assert quick.get().data == number

    assert broadcast._rooms == {"a": (quick,)}
    assert [slow.get().data, slow.get().data] == [0, 1]
    for _ in "12":
        with pytest.raises(SubscriberTooSlow, match="backlog=1000"):
            slow.get()
    slow._put("a", "7")  # by one who had found it before
    with pytest.raises(SubscriberTooSlow):
        next(slow)
    slow.close()
    assert list(slow) == []
    quick.close()

    async def read():
        async with broadcast.subscribe("a") as subscription:
            for number in range(3):
                broadcast.publish("a", number)
            return [message async for message in subscription]

    with pytest.raises(SubscriberTooSlow):
        asyncio.run(read())
    assert broadcast._rooms == {}


def test_a_loop_that_has_closed_does_not_stop_the_others(broadcast):
    subscription = broadcast.subscribe("a")
    loop = asyncio.new_event_loop()
    task = loop.create_task(subscription.aget())
    loop.run_until_complete(asyncio.sleep(0))
    wakers = dict(subscription._waiters._wakers)
    task.cancel()
    loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    subscription._waiters._wakers.update(wakers)
    loop.close()

    with broadcast.subscribe("a") as other:
        broadcast.publish("a", 1)
        assert other.get().data == subscription.get().data == 1
    subscription.close()


def test_a_message_that_is_no_json_is_left_out(broadcast, caplog):
    with broadcast.subscribe("a") as subscription:
        broadcast._deliver("a", b"{")
        broadcast._deliver("a", b"\xff")
        broadcast._deliver("a", b"1")

        assert subscription.get().data == 1
    assert [it.getMessage()[:27] for it in caplog.records] == [
        "A message on 'a' is no JSON"
    ] * 2


def test_finalizers_may_call_everything_in_the_middle_of_anything(broadcast):
    other = broadcast.subscribe("other")

    def members():
        with broadcast.subscribe("a", "b") as subscription:
            try:
                yield subscription
            finally:
                broadcast.publish("other", "left")

    generator = members()
    next(generator)
    with broadcast._locked():  # a finalizer that interrupts who holds the lock
        del generator
        gc.collect()
        assert set(broadcast._rooms) == {"a", "b", "other"}
        assert other.get(0).data == "left"
    assert set(broadcast._rooms) == {"other"}
    other.close()


def test_who_is_told_to_stop_closes_what_he_waits_for(broadcast):
    stop = Stopping()
    token = stopping.set(stop)
    try:
        subscription = broadcast.subscribe("a")
        assert subscription.get(0) is None
        stop.stop()
        assert list(subscription) == []
        late = broadcast.subscribe("a")
        assert list(late) == []
        Stopping().stop()
    finally:
        stopping.reset(token)


@pytest.mark.parametrize("channels", [(), (1,), ("a", None)])
def test_channels_are_text(broadcast, channels):
    with pytest.raises(TypeError, match="names of channels, one at least"):
        broadcast.subscribe(*channels)


@pytest.mark.parametrize("settings", [{"backlog": 0}, {"timeout": 0}])
def test_limits_leave_something(settings):
    with pytest.raises(ValueError, match="from 1 on, and more than 0 seconds"):
        Broadcast(**settings)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://secret", "the scheme 'http'"),
        ("secret", "no scheme"),
        ("", "no scheme"),
    ],
)
def test_other_urls_are_refused_without_being_shown(url, words):
    with pytest.raises(
        ValueError, match=f"{words}. Known are memory://, redis://"
    ) as info:
        Broadcast(url)
    assert "secret" not in str(info.value)


def test_the_scheme_may_have_any_letters():
    assert Broadcast("MEMORY://")._relay is None


def test_a_server_that_is_away_is_a_503():
    app = Erlen(__name__)

    @app.get("/")
    def index():
        raise BroadcastUnavailable

    response = app.test_client().get("/")
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "5"
    assert "Live updates are unavailable" in response.text


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_starts_without_subscriptions_and_works(broadcast):
    inherited = broadcast.subscribe("a")
    broadcast._lock.acquire()  # by a thread that the child does not have
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:  # pragma: no cover - in the child, which leaves no data
        try:
            with broadcast.subscribe("a") as subscription:
                broadcast.publish("a", 1)
                mine = subscription.get(0).data
            answer = f"{mine} {list(inherited)} {broadcast._rooms}"
        except BaseException:  # noqa: BLE001  # the parent shows it
            answer = traceback.format_exc()
        os.write(write, answer.encode())
        os._exit(0)
    broadcast._lock.release()
    os.close(write)
    os.waitpid(pid, 0)
    with open(read, closefd=True) as answer:
        assert answer.read() == "1 [] {}"
    with inherited:
        broadcast.publish("a", 2)
        assert inherited.get(0).data == 2


def test_what_a_fork_does(broadcast):
    inherited = broadcast.subscribe("a", "b")
    module._after_fork()
    assert broadcast._rooms == {}
    assert list(inherited) == []
