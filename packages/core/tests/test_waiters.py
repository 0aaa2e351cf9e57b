from __future__ import annotations

import asyncio
import sys
import threading
import types

import pytest

from erlen._waiters import Waiters
from erlen._waiters import in_event_loop


class Box:
    """Something to wait for; it says when it is looked into."""

    def __init__(self, *found):
        self.found = list(found)
        self.looked = threading.Semaphore(0)

    def check(self):
        self.looked.release()
        return self.found.pop(0) if self.found else None


def test_what_is_there_is_returned_at_once():
    waiters = Waiters()

    assert waiters.wait(Box("it").check, None) == "it"
    assert asyncio.run(waiters.wait_async(Box("it").check, None)) == "it"


@pytest.mark.parametrize("timeout", [0, -1, 0.01])
def test_what_does_not_come_in_time_is_none(timeout):
    waiters = Waiters()

    assert waiters.wait(Box().check, timeout) is None
    assert asyncio.run(waiters.wait_async(Box().check, timeout)) is None
    assert waiters._wakers == {}


@pytest.mark.parametrize("timeout", [None, 30])
def test_what_comes_just_before_one_can_be_woken_is_found(timeout):
    waiters = Waiters()

    assert waiters.wait(Box(None, "it").check, timeout) == "it"
    assert asyncio.run(waiters.wait_async(Box(None, "it").check, timeout)) == "it"
    assert waiters._wakers == {}


def test_threads_and_loops_are_woken_together():
    waiters, boxes, results = Waiters(), [Box(), Box()], []
    ways = [
        lambda: waiters.wait(boxes[0].check, None),
        lambda: asyncio.run(waiters.wait_async(boxes[1].check, 30)),
    ]
    threads = [
        threading.Thread(target=lambda way=way: results.append(way())) for way in ways
    ]
    for thread in threads:
        thread.start()
    for box in boxes:
        for _ in "12":  # before, and when it can be woken
            assert box.looked.acquire(timeout=30)
    waiters.wake()  # for nothing
    for box in boxes:
        for _ in "12":
            assert box.looked.acquire(timeout=30)
        box.found.append("it")
    waiters.wake()
    for thread in threads:
        thread.join(30)

    assert results == ["it", "it"]
    assert waiters._wakers == {}


def test_waiting_in_an_event_loop_without_letting_it_go_on_is_refused():
    async def wait(found, limit):
        return Waiters().wait(Box(*found).check, limit)

    with pytest.raises(RuntimeError, match="async for and aget"):
        asyncio.run(wait([], None))
    assert asyncio.run(wait([], 0)) is None
    assert asyncio.run(wait(["it"], None)) == "it"


@pytest.mark.parametrize("patched", [True, False])
def test_greenlets_may_wait_beside_an_event_loop(monkeypatch, patched):
    monkey = types.SimpleNamespace(is_module_patched=lambda name: patched)
    monkeypatch.setitem(sys.modules, "gevent.monkey", monkey)

    async def ask():
        return in_event_loop()

    assert asyncio.run(ask()) is not patched
    assert in_event_loop() is False


def test_a_loop_that_has_closed_is_left_alone():
    waiters = Waiters()
    loop = asyncio.new_event_loop()
    task = loop.create_task(waiters.wait_async(Box().check, None))
    loop.run_until_complete(asyncio.sleep(0))
    wakers = dict(waiters._wakers)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    assert waiters._wakers == {}
    waiters._wakers = wakers
    loop.close()

    waiters.wake()
    assert waiters._wakers == {}


def test_one_who_is_woken_and_cancelled_at_once_is_cancelled():
    async def wait():
        waiters = Waiters()
        task = asyncio.create_task(waiters.wait_async(Box().check, None))
        await asyncio.sleep(0)
        waiters.wake()
        task.cancel()
        await asyncio.wait((task,))
        return task.cancelled(), waiters._wakers

    assert asyncio.run(wait()) == (True, {})


def test_two_may_wake_at_once():
    waiters = Waiters()

    class Emptied(dict):
        def popitem(self):
            self.clear()
            raise KeyError

    waiters._wakers = Emptied(one=None)
    waiters.wake()
    assert waiters._wakers == {}
