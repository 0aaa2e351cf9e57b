"""What requests get while a database is away, busy, frozen or cut off.

The numbers that are small are for each run, those under `fuzz` are the whole of
what is promised.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from datetime import timedelta

import pytest
import sqlalchemy as sa

from erlen import Erlen
from erlen import request
from erlen_db import SQLAlchemy
from erlen_db._engines import make_async_engine
from erlen_db.errors import DatabaseUnavailable

pytestmark = pytest.mark.service

WRITERS = 12
SECONDS = {
    "SQLALCHEMY_CONNECT_TIMEOUT": timedelta(seconds=2),  # libpq's least
    "SQLALCHEMY_STATEMENT_TIMEOUT": timedelta(seconds=1),
    "SQLALCHEMY_POOL_TIMEOUT": timedelta(seconds=1),
}
# For a connection, a ping of an old one and a new one for it, and a statement.
DEADLINE = 1 + 2 + 2 + (1 + 2)


def make(url, **settings):
    """Return an application with a table and a view for each thing to be done."""
    app = Erlen(__name__)
    app.config.update(SQLALCHEMY_DATABASE_URI=url, **SECONDS)
    app.config.update(settings)
    db = SQLAlchemy(app)
    row = sa.Table("row", db.metadata, sa.Column("name", sa.String(40), unique=True))

    @app.post("/<name>")
    def write(name):
        with db.transaction() as session:
            session.execute(sa.insert(row).values(name=name))
        return name

    @app.get("/")
    def read():
        return str(db.session.scalar(sa.select(sa.func.count()).select_from(row)))

    @app.get("/sleep/<seconds>")
    def sleep(seconds):
        function = "pg_sleep" if "postgresql" in url else "sleep"
        db.session.execute(sa.text(f"SELECT {function}({float(seconds)})"))
        if "then" in request.args:
            db.session.execute(sa.text("SELECT 1"))
        return "slept"

    with app.app_context():
        db.drop_all()
        db.create_all()
    return app, db, row


def find_pool(app, db):
    with app.app_context():
        return db.engine.pool


class Load:
    """Threads that send requests until the end, each with a client of its own."""

    def __init__(self, app, threads, make_request):
        self.answers = []  # (start, end, status)
        self.done = []
        self._app = app
        self._make_request = make_request
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(number,))
            for number in range(threads)
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, thread):
        client = self._app.test_client()
        number = 0
        while not self._stop.is_set():
            name = f"{thread}-{number}"
            start = time.monotonic()
            response = self._make_request(client, name)
            self.answers.append((start, time.monotonic(), response.status_code))
            if response.status_code == 200:
                self.done.append(name)
            number += 1

    @property
    def statuses(self):
        return {status for *_, status in self.answers}

    @property
    def longest(self):
        return max(end - start for start, end, _ in self.answers)

    def errors_after(self, moment):
        return [it for it in self.answers if it[0] >= moment and it[2] != 200]


class Asking:
    """Threads that send one request each."""

    def __init__(self, app, path, threads):
        self._app = app
        self._path = path
        self._answers = []
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def _run(self):
        start = time.monotonic()
        status = self._app.test_client().get(self._path).status_code
        self._answers.append((status, time.monotonic() - start))

    def wait(self):
        """Return the statuses, and how long the longest took."""
        for thread in self._threads:
            thread.join()
        return [it for it, _ in self._answers], max(it for _, it in self._answers)


def ask_all(app):
    """Send a request from each thread, and return the statuses."""
    return Asking(app, "/", WRITERS).wait()[0]


# --- a pool that is too small


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)  # it is the pool's
@pytest.mark.parametrize(
    "seconds", [pytest.param(3, id="short"), pytest.param(60, marks=pytest.mark.fuzz)]
)
def test_who_gets_no_connection_is_told_so_in_time(server, seconds, capsys):
    app, db, _ = make(server.url())
    with Load(app, 40, lambda client, _: client.get("/sleep/0.8")) as load:
        time.sleep(seconds)
    end = time.monotonic()

    assert load.statuses == {200, 503}
    assert load.longest < 1 + 0.8 + 1
    assert ask_all(app) == [200] * WRITERS
    assert time.monotonic() - end < 1
    assert find_pool(app, db).checkedout() == 0
    figures = {it: [a[2] for a in load.answers].count(it) for it in load.statuses}
    show(capsys, f"pool of 15, {seconds} s: {figures}, longest {load.longest:.2f} s")


# --- a server that goes away and comes back


def restart(server):
    server.stop()
    server.start()


def terminate_clients(server):
    server.terminate_clients()


def kill(server):
    server.kill()
    server.start()


ROUNDS = [pytest.param(1, id="once"), pytest.param(20, marks=pytest.mark.fuzz)]


@pytest.mark.parametrize("rounds", ROUNDS)
def test_a_restart_while_nobody_asks_goes_unnoticed(server, rounds):
    app, _, _ = make(server.url())
    for _ in range(rounds):
        assert ask_all(app) == [200] * WRITERS
        restart(server)
        assert ask_all(app) == [200] * WRITERS


@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.parametrize("outage", [restart, terminate_clients, kill])
def test_nothing_that_was_acknowledged_is_lost(server, outage, rounds, capsys):
    lost, late, statuses, written, refused = 0, [], set(), 0, 0
    app, db, row = make(server.url())
    for number in range(rounds):
        with Load(
            *(app, WRITERS),
            lambda client, name, number=number: client.post(f"/{number}-{name}"),
        ) as load:
            time.sleep(0.3)
            outage(server)
            back = time.monotonic()
            time.sleep(1)
        late += load.errors_after(back + 0.5)
        statuses |= load.statuses
        refused += [it[2] for it in load.answers].count(503)
        with app.app_context():
            kept = set(db.session.scalars(sa.select(row.c.name)))
        lost += len({f"{number}-{it}" for it in load.done} - kept)
        written += len(load.done)

    show(
        capsys,
        f"{outage.__name__}, {rounds} rounds, {WRITERS} writers: {written} written,"
        f" {refused} refused, {lost} lost, {len(late)} late errors, {statuses}",
    )
    assert lost == 0
    assert late == []
    assert statuses <= {200, 503}
    assert find_pool(app, db).checkedout() == 0


def show(capsys, line):
    """Show the figures of a run."""
    with capsys.disabled():
        sys.stdout.write(f"\n  {line}\n")


# --- a network that is not what it should be


@pytest.mark.parametrize(
    "rounds", [pytest.param(1, id="once"), pytest.param(10, marks=pytest.mark.fuzz)]
)
@pytest.mark.parametrize("mode", ["freeze", "drip", "reset", "slow"])
def test_no_request_takes_longer_than_it_may(server, cutter, mode, rounds, capsys):
    app, db, _ = make(server.url(port=cutter.port))
    pool = find_pool(app, db)
    longest, seen = 0, []
    for _ in range(rounds):
        assert ask_all(app) == [200] * WRITERS
        # With the others they are 15, as many as the pool has.
        first = Asking(app, "/sleep/0.4?then=1", 3)
        time.sleep(0.2)
        cutter.reset() if mode == "reset" else setattr(cutter, "mode", mode)
        then = Asking(app, "/", WRITERS)
        for asking in (first, then):
            statuses, seconds = asking.wait()
            longest = max(longest, seconds)
            seen += statuses
        cutter.mode = "pass"

        assert pool.checkedout() == 0
        assert ask_all(app) == [200] * WRITERS
    show(
        capsys,
        f"{mode}, {rounds} rounds: longest {longest:.2f} s,"
        f" { {it: seen.count(it) for it in set(seen)} }",
    )
    assert longest < DEADLINE
    assert set(seen) <= {200, 503}
    if mode == "slow":
        assert 503 not in seen
    else:
        assert 503 in seen


@pytest.mark.parametrize("mode", ["freeze", "drip", "reset"])
def test_no_task_waits_longer_than_it_may(server, cutter, mode, capsys):
    app, _, _ = make(server.url())
    outcomes = []

    async def ask(engine, statement="SELECT 1"):
        start = time.monotonic()
        try:
            async with engine.connect() as connection:
                for _ in "12":
                    await connection.execute(sa.text(statement))
            outcome = "answer"
        except DatabaseUnavailable:
            outcome = "unavailable"
        outcomes.append((outcome, time.monotonic() - start))
        return outcome

    async def run():
        url = server.url(port=cutter.port)
        engine = make_async_engine(app, None, {"url": url})
        warm = [ask(engine) for _ in range(WRITERS)]
        assert set(await asyncio.gather(*warm)) == {"answer"}
        function = "pg_sleep" if "postgresql" in url else "sleep"
        slow = [ask(engine, f"SELECT {function}(0.4)") for _ in range(3)]
        under_way = asyncio.gather(*slow)
        await asyncio.sleep(0.2)
        cutter.reset() if mode == "reset" else setattr(cutter, "mode", mode)
        await asyncio.gather(*(ask(engine) for _ in range(WRITERS)))
        await under_way
        cutter.mode = "pass"
        assert engine.pool.checkedout() == 0
        assert await ask(engine) == "answer"
        await engine.dispose()

    asyncio.run(run())
    longest = max(seconds for _, seconds in outcomes)
    refused = [outcome for outcome, _ in outcomes].count("unavailable")
    show(capsys, f"{mode}, async: longest {longest:.2f} s, {refused} refused")
    assert refused == WRITERS + 3
    assert longest < DEADLINE
