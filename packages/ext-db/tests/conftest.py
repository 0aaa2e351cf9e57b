"""The one `app`, `db` and `client` of this package's tests."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import os
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import sqlalchemy as sa

from erlen import Erlen
from erlen_db import SQLAlchemy
from erlen_db import extension

try:
    from erlen_db import _async
except ImportError:  # without its extra
    _async = None

_numbers = itertools.count()

HERE = Path(__file__).parent

#: What a test needs whose source has such words.
NEEDS = {
    "aiosqlite": re.compile(r"async|await"),
    "greenlet": re.compile(r"greenlet"),
    "psycopg": re.compile(r"psycopg|postgresql"),
    "pymysql": re.compile(r"mariadb|mysql"),
}
MISSING = {module: words for module, words in NEEDS.items() if not find_spec(module)}


def pytest_collection_modifyitems(items):
    """Skip what needs a driver that is not there: each extra is tested alone, too."""
    for item in items if MISSING else ():
        if HERE in item.path.parents:
            source = f"{item.nodeid}\n{inspect.getsource(item.function)}"
            for module, words in MISSING.items():
                if words.search(source):
                    reason = f"could not import {module!r}"
                    item.add_marker(pytest.mark.skip(reason=reason))


#: The servers of the tests that are marked `service`.
SERVERS = {
    "postgresql": os.environ.get(
        "POSTGRESQL_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/test"
    ),
    "mariadb": os.environ.get(
        "MARIADB_URL", "mysql+pymysql://root@127.0.0.1:3306/test"
    ),
}


@pytest.fixture(scope="session")
def connect():
    """Return what makes a plain engine by a name: sqlite (in memory), or a server.

    A server that is not there skips the test, and fails it in CI.
    """

    def connect(name):
        if name == "sqlite":
            # Under ASGI, views are in threads.
            args = {"check_same_thread": False}
            return sa.create_engine(
                "sqlite://", poolclass=sa.StaticPool, connect_args=args
            )
        engine = sa.create_engine(SERVERS[name])
        try:
            engine.connect().close()
        except sa.exc.OperationalError as exc:
            engine.dispose()
            if os.environ.get("CI"):
                raise
            pytest.skip(f"no {name} at {name.upper()}_URL: {exc.orig}")
        return engine

    return connect


@pytest.fixture
def tmp_path(tmp_path_factory):
    """Return an empty folder, in a third of the time of pytest's own."""
    return tmp_path_factory.mktemp(f"db{next(_numbers)}", numbered=False)


@pytest.fixture(autouse=True)
def _no_connection_is_left(monkeypatch):
    """Dispose of all engines that a test made."""
    engines, async_engines = [], []

    def note(module, name, made):
        make = getattr(module, name)

        def noting(*args):
            made.append(make(*args))
            return made[-1]

        monkeypatch.setattr(module, name, noting)

    async def dispose():
        for engine in async_engines:
            await engine.dispose()

    note(extension, "make_engine", engines)
    if _async is not None:
        note(_async, "make_async_engine", async_engines)
    yield
    for engine in engines:
        engine.dispose()
    if async_engines:
        asyncio.run(dispose())


@pytest.fixture
def app(tmp_path):
    """Return an application whose database is in memory; `db` sets it up."""
    app = Erlen("acme", instance_path=str(tmp_path))
    app.config.update(
        TESTING=True,
        SECRET_KEY="a key for tests only, long enough",
        SQLALCHEMY_DATABASE_URI="sqlite://",
    )
    return app


@pytest.fixture
def db(app):
    """Return an extension for `app`."""
    return SQLAlchemy(app)


@pytest.fixture(params=["wsgi", "asgi"])
def client(app, request):
    """Return a client of `app`, of each door."""
    return app.test_client(validate=True, door=request.param)
