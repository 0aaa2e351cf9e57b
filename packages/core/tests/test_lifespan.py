"""The life of an application over WSGI, whose servers tell nothing of it."""

from __future__ import annotations

import gc
import multiprocessing
import subprocess
import sys
import threading
import weakref

import pytest

from erlen import Erlen
from erlen import current_app
from erlen._lifespan import end_here


@pytest.fixture
def registered(monkeypatch):
    """Return what is kept for the end of the process, in place of keeping it."""
    registered = []
    monkeypatch.setattr("atexit.register", lambda *args: registered.append(args))
    return registered


def test_it_begins_before_the_first_request(app, wsgi_client, registered):
    pytest.importorskip("asgiref")
    steps = []

    @app.on_startup
    def one():
        steps.append(("one", current_app.name == app.name))

    @app.on_startup
    async def two():
        steps.append(("two", current_app.name == app.name))

    app.before_request(lambda: steps.append("hook"))
    app.add_url_rule("/", "index", lambda: steps.append("view") or "x")

    for _ in range(2):
        assert wsgi_client.get("/").text == "x"
    assert steps == [("one", True), ("two", True), *["hook", "view"] * 2]
    assert registered == []


def test_functions_are_returned(app):
    def function():
        """Do nothing."""

    assert app.on_startup(function) is function
    assert app.on_shutdown(function) is function


def test_a_start_that_fails_is_tried_again(app, wsgi_client):
    tries = []

    @app.on_startup
    def begin():
        tries.append(1)
        if len(tries) < 2:
            raise ValueError("no database")

    app.add_url_rule("/", "index", lambda: "x")

    with pytest.raises(ValueError, match="no database"):
        wsgi_client.get("/")
    assert wsgi_client.get("/").text == "x"
    assert len(tries) == 2


def test_it_begins_once_for_concurrent_requests(app):
    begun = []
    together = threading.Barrier(5)

    @app.on_startup
    def begin():
        begun.append(threading.current_thread())

    def ask():
        together.wait(10)
        texts.append(app.test_client().get("/").text)

    app.add_url_rule("/", "index", lambda: "x")
    texts = []
    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert texts == ["x"] * 5
    assert len(begun) == 1


def test_who_waits_for_the_start_does_not_begin_again(app):
    begun, waits, texts = [], threading.Event(), []

    @app.on_startup
    def begin():
        begun.append(1)
        thread.start()
        assert waits.wait(10)

    def ask():
        waits.set()
        texts.append(app.test_client().get("/").text)

    thread = threading.Thread(target=ask)
    app.add_url_rule("/", "index", lambda: "x")

    assert app.test_client().get("/").text == "x"
    thread.join(10)
    assert (begun, texts) == ([1], ["x"])


def test_a_start_may_ask_the_application(app, registered):
    # It is not there yet for itself: the request inside begins it once more.
    depth = []

    @app.on_startup
    def begin():
        depth.append(1)
        if len(depth) == 1:
            assert app.test_client().get("/").text == "x"

    app.add_url_rule("/", "index", lambda: "x")

    assert app.test_client().get("/").text == "x"
    assert len(depth) == 2


def test_the_end_is_that_of_the_process(app, wsgi_client, registered, caplog):
    pytest.importorskip("asgiref")
    steps = []
    app.on_shutdown(lambda: steps.append("first"))

    @app.on_shutdown
    async def second():
        steps.append(f"second {current_app.name == app.name}")

    @app.on_shutdown
    def third():
        steps.append("third")
        raise ValueError("at the end")

    app.add_url_rule("/", "index", lambda: "x")
    wsgi_client.get("/")
    ((function, *args),) = registered
    assert steps == []

    function(*args)
    function(*args)

    assert steps == ["third", "second True", "first"]
    assert [record.exc_info[0] for record in caplog.records] == [ValueError]
    assert "third" in caplog.text


def test_what_has_not_begun_does_not_end(app):
    called = []
    app.on_shutdown(lambda: called.append(1))
    end_here(weakref.ref(app))
    assert called == []


def test_an_application_that_is_dropped_does_not_end_later(registered):
    app = Erlen("short")
    app.on_shutdown(print)
    app.add_url_rule("/", "index", lambda: "x")
    app.test_client().get("/")
    reference = weakref.ref(app)
    del app
    gc.collect()
    assert reference() is None
    end_here(reference)


@pytest.mark.parametrize("method", ["on_startup", "on_shutdown"])
def test_it_is_declared_before_the_first_request(app, wsgi_client, method):
    wsgi_client.get("/")
    with pytest.raises(AssertionError, match=method):
        getattr(app, method)(print)


# In processes of their own


HEAD = """
from erlen import Erlen
app = Erlen("x")
app.on_startup(lambda: print("begin", flush=True))
app.on_shutdown(lambda: print("end", flush=True))

@app.get("/")
def view():
    return "x"

def ask():
    for _ in range(2):
        print(app.test_client().get("/").text, flush=True)
"""

CHILD = """
import gc
import multiprocessing
if __name__ == "__main__":
    child = multiprocessing.get_context({method!r}).Process(target=ask)
    child.start()
    child.join()
    assert child.exitcode == 0
"""

METHODS = [
    method
    for method in ("fork", "spawn")
    if method in multiprocessing.get_all_start_methods()
]


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("ask()", ["begin", "x", "x", "end"]),
        ("", []),
        *(
            (CHILD.format(method=method), ["begin", "x", "x", "end"])
            for method in METHODS
        ),
    ],
)
def test_a_process_begins_and_ends_once(tmp_path, code, lines):
    file = tmp_path / "program.py"
    file.write_text(HEAD + code)
    done = subprocess.run(
        [sys.executable, str(file)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.split() == lines
    assert done.stderr == ""


def test_a_child_of_multiprocessing_has_a_way_of_its_own(app, registered, monkeypatch):
    finalizers = []
    monkeypatch.setattr("multiprocessing.process.parent_process", lambda: "a parent")
    monkeypatch.setattr(
        "multiprocessing.util.Finalize",
        lambda obj, function, args, exitpriority: finalizers.append((function, args)),
    )
    app.on_shutdown(print)
    app.add_url_rule("/", "index", lambda: "x")

    app.test_client().get("/")

    assert finalizers == [(end_here, (weakref.ref(app),))]
    assert (end_here, weakref.ref(app)) in registered


def test_multiprocessing_is_not_imported_for_it(app, registered, monkeypatch):
    monkeypatch.delitem(sys.modules, "multiprocessing.process", raising=False)
    app.on_shutdown(print)
    app.add_url_rule("/", "index", lambda: "x")

    app.test_client().get("/")

    assert "multiprocessing.process" not in sys.modules
    assert len(registered) == 1
