"""The end of a process waits for what goes on after its responses."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from erlen import _later


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """Return what is called at the end; nothing is waited for yet."""
    registered = []
    monkeypatch.setattr("atexit.register", lambda *args: registered.append(args))
    monkeypatch.setattr(_later, "_process", None)
    yield registered
    _later._expected.clear()
    _later._running.clear()


@pytest.fixture
def naps(monkeypatch):
    """Count the naps of the end, and do in each what was put here."""
    naps = []
    steps = {}

    def sleep(seconds):
        naps.append(seconds)
        steps.pop(len(naps), int)()

    monkeypatch.setattr("time.sleep", sleep)
    return naps, steps


def test_it_is_registered_once_in_each_process(registered, monkeypatch):
    def work():
        """Do nothing."""

    for _ in range(2):
        _later.expect(work)
    assert registered == [(_later.wait,)]
    monkeypatch.setattr("os.getpid", lambda: -1)
    _later.expect(work)
    assert registered == [(_later.wait,)] * 2
    assert [*_later._expected] == [work]


def test_nothing_is_nothing_to_wait_for(naps):
    def work():
        """Do nothing."""

    _later.expect(work)
    _later.run(work)
    _later.wait()
    assert naps[0] == []


def test_what_runs_is_waited_for(naps):
    counted, steps = naps
    steps[3] = _later._running.clear

    def work():
        _later.wait()

    _later.expect(work)
    _later.run(work)
    assert len(counted) == 3


def test_what_fails_has_ended(naps):
    with pytest.raises(ZeroDivisionError):
        _later.run(lambda: 1 / 0)
    _later.wait()
    assert naps[0] == []


@pytest.mark.parametrize(("runs", "most"), [(True, _later.PATIENCE), (False, 1.0)])
def test_nothing_is_waited_for_for_ever(naps, runs, most):
    def work():
        """Do nothing."""

    _later.expect(work)
    if runs:
        _later._running.add(work)
    _later.wait()
    assert sum(naps[0]) == pytest.approx(most, abs=0.02)


def test_a_response_that_was_thrown_away_is_not_waited_for(naps):
    def work():
        """Do nothing."""

    _later.expect(work)
    del work
    gc.collect()
    _later.wait()
    assert naps[0] == []


SCRIPT = """
import threading, time
from erlen import Erlen

app = Erlen(__name__)
began = threading.Event()
app.on_shutdown(lambda: print("shutdown"))


def work():
    began.set()
    time.sleep(0.2)
    print("work", flush=True)


app.add_url_rule("/", "index", lambda: app.after_response(work) or "x")
client = app.test_client(door="wsgi")
threading.Thread(target=lambda: client.get("/").close(), daemon=True).start()
began.wait(30)
"""


def test_a_process_ends_after_it():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["work", "shutdown"]
    assert done.stderr == ""
