"""Servers for the whole of these tests: one of each kind, started when asked for."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import sys

import pytest

_spec = importlib.util.spec_from_file_location(
    "erlen_db_fault_servers", pathlib.Path(__file__).with_name("servers.py")
)
servers = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = servers
_spec.loader.exec_module(servers)


# Of MariaDB and of async engines, what is run each time: that of which the drivers
# make a difference. The rest is under `fuzz`.
_SMALL = (
    *("unnoticed[mariadb", "lost[mariadb-kill", "[mariadb-drip"),
    "task_waits_longer_than_it_may[postgresql-freeze",
)


@pytest.hookimpl(tryfirst=True)  # before they are chosen by their markers
def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent != pathlib.Path(__file__).parent:
            continue
        rare = "[mariadb" in item.name or "no_task" in item.name
        if rare and not any(it in item.name for it in _SMALL):
            item.add_marker(pytest.mark.fuzz)


def _open(kind):
    if not kind.is_installed():
        text = f"{kind.__name__} is not installed"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(text)
    server = kind()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def _postgresql():
    pytest.importorskip("psycopg")
    yield from _open(servers.PostgreSQL)


@pytest.fixture(scope="session")
def _mariadb():
    pytest.importorskip("pymysql")
    yield from _open(servers.MariaDB)


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request):
    """Return a server of each kind, which runs when a test begins."""
    server = request.getfixturevalue(f"_{request.param}")
    if server.process.poll() is not None:
        server.start()
    return server


@pytest.fixture
def cutter(server):
    cutter = servers.Cutter(server.port)
    yield cutter
    cutter.close()
