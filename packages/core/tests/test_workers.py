from __future__ import annotations

import asyncio
import contextvars
import itertools
import subprocess
import sys
import threading
from collections import deque

import pytest

from erlen import _workers
from erlen._workers import Workers
from erlen._workers import finish_at_once

word = contextvars.ContextVar("word", default="none")


def make(size=1):
    return Workers(size, asyncio.get_running_loop())


def fail(error):
    raise error


# A call


def test_a_call_is_made_in_a_thread_that_keeps_no_process_alive(run):
    async def main():
        return await make().run(threading.current_thread)

    thread = run(main())
    assert thread is not threading.current_thread()
    assert thread.daemon


@pytest.mark.parametrize("error", [None, ValueError("x"), SystemExit("x")])
def test_what_comes_of_it(run, error):
    async def main():
        return await make().run(
            fail if error else divmod, *([error] if error else (7, 2))
        )

    if error is None:
        assert run(main()) == (3, 1)
    else:
        with pytest.raises(type(error)) as caught:
            run(main())
        assert caught.value is error


def test_the_thread_is_free_again_whatever_was_raised(run):
    async def main():
        workers = make()
        with pytest.raises(ValueError, match="x"):
            await workers.run(fail, ValueError("x"))
        return await workers.run(str, 1)

    assert run(main()) == "1"


def test_threads_are_used_again(run):
    async def main():
        workers = make(3)
        return {await workers.run(threading.get_ident) for _ in range(5)}

    assert len(run(main())) == 1


# Context variables


def test_context_variables_go_there_and_come_back(run):
    def work():
        seen = word.get()
        word.set("there")
        return seen

    async def main():
        word.set("here")
        return await make().run(work), word.get()

    assert run(main()) == ("here", "there")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_context_variables_come_back_with_an_error(run, error):
    def work():
        word.set("there")
        raise error

    async def main():
        with pytest.raises(error):
            await make().run(work)
        return word.get()

    assert run(main()) == "there"


def test_tasks_do_not_mix_their_variables(run):
    async def one(workers, number):
        word.set(number)
        await workers.run(word.set, number * 10)
        return word.get()

    async def main():
        workers = make(2)
        return await asyncio.gather(*(one(workers, number) for number in range(9)))

    assert run(main()) == [number * 10 for number in range(9)]


# The line


@pytest.mark.parametrize("size", [1, 2, 3])
def test_never_more_at_a_time(run, size):
    running, most = 0, 0
    lock = threading.Lock()
    together = threading.Barrier(size)

    def work():
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(10)
        with lock:
            running -= 1
        return 1

    async def main():
        workers = make(size)
        calls = [workers.run(work) for _ in range(size * 8)]
        return sum(await asyncio.gather(*calls))

    assert run(main()) == size * 8
    assert most <= size


def test_first_come_first_served(run):
    order = []

    async def main():
        workers = make()
        await asyncio.gather(*(workers.run(order.append, n) for n in range(20)))

    run(main())
    assert order == [*range(20)]


class Held:
    """A call that runs until it is let go."""

    def __init__(self, workers, *, at_any_rate=False):
        self.runs = asyncio.Event()
        self.loop = workers.loop
        self.end = threading.Event()
        self.task = asyncio.ensure_future(workers.hop(at_any_rate, self.work))
        self.calls = 0

    def work(self):
        self.calls += 1
        word.set("held")
        self.loop.call_soon_threadsafe(self.runs.set)
        assert self.end.wait(10)
        return "done"


@pytest.fixture
def held():
    """Return what makes held calls, which all end with the test."""
    made = []

    def hold(*args, **kwargs):
        made.append(Held(*args, **kwargs))
        return made[-1]

    yield hold
    for it in made:
        it.end.set()


def test_who_is_cancelled_in_line_is_not_called(run, held):
    async def main():
        workers = make()
        first, second, third = held(workers), held(workers), held(workers)
        await first.runs.wait()
        second.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second.task
        first.end.set()
        third.end.set()
        assert await third.task == "done"
        assert second.calls == 0
        return await workers.run(str, "free")

    assert run(main()) == "free"


def test_who_has_to_go_at_any_rate_stays_in_line(run, held):
    async def main():
        workers = make()
        first, second = held(workers), held(workers, at_any_rate=True)
        await first.runs.wait()
        for _ in range(3):
            second.task.cancel()
            await asyncio.sleep(0)
        assert not second.task.done()
        first.end.set()
        second.end.set()
        with pytest.raises(asyncio.CancelledError):
            await second.task
        assert second.calls == 1
        return await workers.run(str, "free")

    assert run(main()) == "free"


@pytest.mark.parametrize("times", [1, 2])
def test_a_call_that_runs_is_waited_for(run, held, times):
    async def main():
        call = held(make())
        await call.runs.wait()

        async def watch():
            try:
                await call.task
            finally:
                seen.append(call.task.cancelled())

        seen = []
        watching = asyncio.ensure_future(watch())
        for _ in range(times):
            call.task.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert not call.task.done()
        call.end.set()
        with pytest.raises(asyncio.CancelledError):
            await watching
        return seen

    assert run(main()) == [True]


def test_a_cancellation_that_comes_with_the_end(run, held):
    async def main():
        workers = make()
        loop, told = workers.loop, threading.Event()
        call = held(workers)
        await call.runs.wait()
        tell = loop.call_soon_threadsafe

        def told_soon(function):
            tell(function)
            told.set()

        loop.call_soon_threadsafe = told_soon
        call.end.set()
        assert told.wait(10)  # the loop stands still, and does both next
        call.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call.task
        return await workers.run(str, "free")

    assert run(main()) == "free"


def test_what_a_cancelled_call_did_to_the_context_counts(run, held):
    async def main():
        workers = make()
        end, runs = threading.Event(), asyncio.Event()

        def work():
            word.set("there")
            workers.loop.call_soon_threadsafe(runs.set)
            end.wait(10)

        async def call():
            try:
                await workers.run(work)
            except asyncio.CancelledError:
                return word.get()

        task = asyncio.ensure_future(call())
        await runs.wait()
        task.cancel()
        end.set()
        return await task

    assert run(main()) == "there"


def test_the_system_has_no_more_threads(run, monkeypatch):
    async def main():
        workers = make()
        with monkeypatch.context() as patch:
            patch.setattr(_workers, "_resting", deque())
            patch.setattr(
                threading.Thread, "start", lambda self: fail(RuntimeError("no"))
            )
            with pytest.raises(RuntimeError, match="no"):
                await workers.run(str, 1)
        return await workers.run(str, 1)

    assert run(main()) == "1"


# The end of a thread


class Resting(deque):
    """The resting threads; tells of each that leaves."""

    def __init__(self):
        super().__init__()
        self.left = threading.Event()

    def remove(self, thread):
        try:
            super().remove(thread)
        finally:
            self.left.set()


@pytest.fixture
def resting(monkeypatch):
    """Return threads that rest for a moment only."""
    resting = Resting()
    monkeypatch.setattr(_workers, "_resting", resting)
    monkeypatch.setattr(_workers, "_REST", 0.001)
    return resting


def test_a_thread_that_rests_for_long_ends(run, resting):
    async def main():
        return await make().run(threading.current_thread)

    thread = run(main())
    thread.join(10)
    assert not thread.is_alive()
    assert not resting


def test_a_thread_that_is_taken_at_its_end_goes_on(run, resting):
    async def main():
        workers = make()
        thread = _workers._Thread()  # is not among the resting: somebody has taken it
        thread.start()
        assert await asyncio.to_thread(resting.left.wait, 10)
        resting.append(thread)
        return thread, await workers.run(threading.current_thread)

    for attempt in itertools.count():
        taken, used = run(main())
        if taken is used:
            break
        assert attempt < 100


def test_a_loop_that_was_closed_ends_no_thread(run):
    loop = asyncio.new_event_loop()
    began, end = threading.Event(), threading.Event()

    def work():
        began.set()
        end.wait(10)
        return threading.current_thread()

    call = Workers(1, loop).run(work)
    call.send(None)
    began.wait(10)
    thread = None
    loop.close()
    call.close()
    before = {*_workers._resting}
    end.set()
    while not thread:
        thread = {*_workers._resting} - before

    async def main():
        return await make().run(threading.current_thread)

    assert run(main()) in thread


FORK = """
import asyncio, os
from erlen._workers import Workers

async def main():
    return await Workers(1, asyncio.get_running_loop()).run(str, 1)

asyncio.run(main())
child = os.fork()
if not child:
    os._exit(asyncio.run(asyncio.wait_for(main(), 10)) != "1")
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="needs fork")
def test_a_forked_process_has_threads_of_its_own():
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], check=True, timeout=60)


# From a worker to the loop


def test_a_worker_waits_for_the_loop(run):
    async def later():
        await asyncio.sleep(0)
        return asyncio.get_running_loop()

    async def main():
        workers = make()
        return await workers.run(lambda: workers.wait_for(later())), workers.loop

    assert len({*run(main())}) == 1


@pytest.mark.parametrize("fails", [False, True])
def test_context_variables_go_to_the_loop_and_come_back(run, fails):
    async def later():
        seen.append(word.get())
        word.set("loop")
        if fails:
            raise ValueError

    def work(workers):
        word.set("worker")
        try:
            workers.wait_for(later())
        except ValueError:
            assert fails
        return word.get()

    async def main():
        workers = make()
        return await workers.run(work, workers), word.get()

    seen = []
    assert run(main()) == ("loop", "loop")
    assert seen == ["worker"]


def test_where_this_is(run):
    async def main():
        workers = make()
        other = Workers(1, None)
        there = await workers.run(workers.is_here)
        return workers.is_here(), there, other.is_here(), workers

    here, there, other, workers = run(main())
    assert (here, there, other) == (True, False, False)
    assert not workers.is_here()


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("depth", [1, 3])
def test_who_waits_for_the_loop_works_for_it_meanwhile(run, count, depth):
    # Each worker waits for a coroutine that needs one: none is left.
    def work(workers, depth):
        threads = {threading.current_thread()}
        if depth:
            threads |= workers.wait_for(later(workers, depth - 1))
        return threads

    async def later(workers, depth):
        return await workers.run(work, workers, depth)

    async def main():
        workers = make(count)
        calls = [workers.run(work, workers, depth) for _ in range(count * 3)]
        return await asyncio.wait_for(asyncio.gather(*calls), 20)

    for threads in run(main()):
        assert len(threads) == 1


def test_what_comes_of_work_for_a_coroutine(run):
    def work():
        word.set("work")
        raise ValueError("x")

    async def later(workers):
        word.set("loop")
        with pytest.raises(ValueError, match="x"):
            await workers.run(work)
        return word.get(), await workers.run(str, 1)

    async def main():
        workers = make()
        said = await workers.run(lambda: workers.wait_for(later(workers)))
        return said, word.get()

    assert run(main()) == (("work", "1"), "work")


def test_a_task_that_goes_on_longer_finds_another_thread(run):
    async def longer(workers, go):
        await go.wait()
        return await workers.run(str, "longer")

    async def later(workers, go):
        return [asyncio.ensure_future(longer(workers, go))]

    async def main():
        workers, go = make(), asyncio.Event()
        (task,) = await workers.run(lambda: workers.wait_for(later(workers, go)))
        go.set()
        return await asyncio.wait_for(task, 10)

    assert run(main()) == "longer"


def test_a_cancellation_does_not_keep_a_worker_from_its_work(run, held):
    ended = []

    async def later(workers):
        try:
            await workers.run(ended.append, "first")
            runs.set()
            await go.wait()
            await workers.run(ended.append, "second")
        finally:
            ended.append("end")

    async def main():
        workers = make()
        task = asyncio.ensure_future(
            workers.run(lambda: workers.wait_for(later(workers)))
        )
        await runs.wait()
        task.cancel()
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await workers.run(str, "free")

    runs, go = asyncio.Event(), asyncio.Event()
    assert run(main()) == "free"
    assert ended == ["first", "second", "end"]


# At once


def test_a_coroutine_that_does_not_wait_is_finished():
    async def quick():
        return 1

    async def failing():
        raise ValueError("x")

    assert finish_at_once(quick()) == 1
    with pytest.raises(ValueError, match="x"):
        finish_at_once(failing())


def test_a_coroutine_that_waits_is_refused_and_closed():
    ended = []

    async def slow_values():
        try:
            await asyncio.sleep(0)
        finally:
            ended.append(True)

    with pytest.raises(RuntimeError, match=r"slow_values.*asyncio\.to_thread"):
        finish_at_once(slow_values())
    assert ended == [True]
