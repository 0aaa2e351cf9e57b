from __future__ import annotations

import asyncio
import contextlib
import sys
import types

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.asyncio import create_async_engine

from erlen import render_template
from erlen import render_template_string
from erlen_db import _statements
from erlen_db._statements import Observer
from erlen_db._statements import find_location
from erlen_db._statements import shorten


@pytest.fixture
def engine():
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    yield engine
    engine.dispose()


@pytest.fixture
def seen():
    return []


@pytest.fixture
def observer(engine, seen):
    observer = Observer(seen.append)
    observer.attach(engine)
    return observer


# What is observed


def test_what_is_sent(engine, observer, seen):
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT :x"), {"x": 1})

    [sent] = seen
    assert sent.text == "SELECT ?"
    assert sent.parameters == (1,)
    assert sent.duration == sent.end - sent.start >= 0
    assert not sent.executemany
    assert sent.context is not None


def test_what_fails_is_sent_as_well(engine, observer, seen):
    with engine.connect() as connection, pytest.raises(sa.exc.OperationalError):
        connection.execute(sa.text("SELECT * FROM nowhere"))
    assert [it.text for it in seen] == ["SELECT * FROM nowhere"]


def test_an_error_that_another_listener_translates(engine, seen):
    @event.listens_for(engine, "handle_error", retval=True)
    def translate(failure):
        return RuntimeError("away")

    Observer(seen.append).attach(engine)
    with engine.connect() as connection, pytest.raises(RuntimeError, match="away"):
        connection.execute(sa.text("SELECT * FROM nowhere"))
    assert len(seen) == 1


def test_errors_of_what_was_not_sent(engine, observer, seen, monkeypatch):
    """A statement without its values, a database that is away."""
    with engine.connect() as connection, pytest.raises(sa.exc.StatementError):
        connection.execute(sa.text("SELECT :x"))
    engine.dispose()

    def fail(*args, **kwargs):
        raise engine.dialect.dbapi.OperationalError("away")

    monkeypatch.setattr(engine.dialect, "connect", fail)
    with pytest.raises(sa.exc.OperationalError):
        engine.connect()
    assert seen == []


@pytest.mark.parametrize(
    "control", ["BEGIN IMMEDIATE", "commit", " SAVEPOINT x", "RELEASE x", "ROLLBACK"]
)
def test_the_control_of_transactions_is_no_query(engine, observer, seen, control):
    with engine.connect() as connection:
        for it in ("BEGIN", "SAVEPOINT x", control):
            # A few of them fail, which makes no difference.
            with contextlib.suppress(sa.exc.DBAPIError):
                connection.exec_driver_sql(it)
    assert seen == []


def test_what_the_dialect_asks_at_first_is_no_query(seen, monkeypatch):
    engine = sa.create_engine("sqlite://")
    asked = []

    def initialize(connection):
        asked.append(connection.scalar(sa.text("SELECT 1")))

    monkeypatch.setattr(engine.dialect, "initialize", initialize)
    observer = Observer(seen.append)
    observer.attach(sa.Engine)
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT 2"))
    observer.detach(sa.Engine)
    engine.dispose()
    assert (asked, [it.text for it in seen]) == ([1], ["SELECT 2"])


def test_no_longer(engine, observer, seen):
    observer.detach(engine)
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT 1"))
    assert seen == []


# Where it comes from


class Places:
    """Run code as if it were in a file of a folder, and keep its location."""

    def __init__(self, folder, monkeypatch):
        self.folder = folder
        monkeypatch.chdir(folder)

    def load(self, path, code, name):
        module = types.ModuleType(name)
        exec(compile(code, str(self.folder / path), "exec"), module.__dict__)
        return module


@pytest.fixture
def places(tmp_path, monkeypatch):
    return Places(tmp_path, monkeypatch)


def test_the_place_is_relative_and_has_the_function(places):
    shop = places.load("shop/views.py", "def index(f):\n    return f()\n", "shop.views")
    assert shop.index(find_location) == "shop/views.py:2 in index"


def test_a_script_has_no_function(places):
    code = "from erlen_db._statements import find_location\n\nplace = find_location()\n"
    assert places.load("script.py", code, "__main__").place == "script.py:3"


def test_libraries_are_passed_over(places, monkeypatch):
    library = places.load("lib/many.py", "def ask(f):\n    return f()\n", "many")
    monkeypatch.setattr(_statements, "_FOLDERS", (str(places.folder / "lib"),))
    _statements._is_library.cache_clear()
    code = "def index(ask, f):\n    return ask(f)\n"
    shop = places.load("shop.py", code, "shop")
    generated = {}
    exec("def made(f): return ask(f)", {"ask": library.ask}, generated)  # "<string>"

    assert shop.index(generated["made"], find_location) == "shop.py:2 in index"


def test_an_application_among_the_libraries(places, app, monkeypatch):
    monkeypatch.setattr(_statements, "_FOLDERS", ("/",))
    _statements._is_library.cache_clear()
    code = "def ask(f):\n    return f()\n"
    acme = places.load("acme/views.py", code, "acme.views")
    other = places.load("many.py", code, "many")

    def ask():
        return acme.ask(lambda: other.ask(find_location))

    assert ask() == "many.py:2 in ask"
    with app.app_context():
        assert ask() == "acme/views.py:2 in ask"
    _statements._is_library.cache_clear()


def test_nobody_asks(monkeypatch):
    monkeypatch.setattr(_statements, "_frames", lambda: iter(()))
    assert find_location() == "<unknown>"


def test_the_place_in_a_template(app, tmp_path):
    (tmp_path / "it.html").write_text("{# 1 #}\n\n{{ place() }}")
    app.template_folder = str(tmp_path)
    with app.test_request_context():
        place = render_template("it.html", place=find_location)
        assert place.strip() == f"{tmp_path}/it.html:3"
        place = render_template_string("\n{{ place()|safe }}", place=find_location)
        assert place.strip() == "<template>:2"


def test_over_the_border_of_a_greenlet():
    engine = create_async_engine("sqlite+aiosqlite://")
    names = []
    Observer(lambda sent: names.extend(_names())).attach(engine.sync_engine)

    async def view():
        async with engine.connect() as connection:
            await connection.execute(sa.text("SELECT 1"))
        await engine.dispose()

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(view())
    assert names.index("_end") < names.index("greenlet_spawn") < names.index("view")


def _names():
    return [it.f_code.co_name for it in _statements._frames()]


def test_without_greenlets(monkeypatch):
    monkeypatch.setitem(sys.modules, "greenlet", None)
    assert " in test_without_greenlets" in find_location()


@pytest.mark.parametrize(
    ("statement", "line"),
    [
        ("SELECT a,\n       b\nFROM t", "SELECT a, b FROM t"),
        ("x" * 300, "x" * 300),
        ("x" * 301, "x" * 299 + "…"),
    ],
)
def test_statements_are_shortened(statement, line):
    assert shorten(statement) == line
