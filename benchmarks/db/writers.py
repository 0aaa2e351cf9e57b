"""Writers in several processes and threads on one SQLite file, with defaults.

Each request reads a counter, adds one and commits, through an Erlen application as a
threaded worker runs it. An update is lost when its answer was 200 and the counter
does not have it in the end.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import typing as t
from dataclasses import dataclass
from dataclasses import field
from importlib import metadata
from pathlib import Path

from benchmarks import door
from benchmarks import peers
from benchmarks.rounds import Contestant
from benchmarks.rounds import rotations
from benchmarks.scenarios import JSON_TYPE
from benchmarks.scenarios import Answer
from benchmarks.scenarios import Exchange

if t.TYPE_CHECKING:
    import collections.abc as cabc
    from wsgiref.types import WSGIApplication

PROCESSES: t.Final = 4
THREADS: t.Final = 16
DEFAULTS: t.Final = "sqlalchemy"
PEERS: t.Final = (DEFAULTS, "erlen-db")
NEEDS: t.Final = ("erlen", "erlen-db", "sqlalchemy")
ROOT: t.Final = Path(__file__).parents[2]
# How long after the end a writer may still wait for its turn, in seconds.
PATIENCE: t.Final = 60


class WriterError(Exception):
    """A process did not start, or did not end."""


@dataclass
class Written(Contestant):
    """What the writers of one peer did in all rounds.

    Attributes:
        acknowledged: Updates that were answered with 200.
        kept: Those that the counter has.
        failed: Answers with another status.
        waits: How long each answer took, in seconds.
    """

    acknowledged: int = 0
    kept: int = 0
    failed: int = 0
    waits: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        """Updates that were acknowledged, each second."""
        return 1e6 / self.microseconds

    def facts(self) -> dict[str, float]:
        """Return what is no ratio, in milliseconds where it is time."""
        waits = sorted(self.waits)
        last = len(waits) - 1
        return {
            "acknowledged": self.acknowledged,
            "failed": self.failed,
            "lost": self.acknowledged - self.kept,
            "p50": waits[last // 2] * 1e3,
            "p99": waits[last * 99 // 100] * 1e3,
            "slowest": waits[last] * 1e3,
        }


def missing() -> list[str]:
    """Name the distributions that are not installed."""
    return [name for name in NEEDS if not peers.installed(name)]


def versions() -> dict[str, str]:
    """Return the versions of what is measured."""
    return {name: metadata.version(name) for name in NEEDS}


def run(
    *, rounds: int, seconds: int, processes: int = PROCESSES, threads: int = THREADS
) -> dict[str, Written]:
    """Let the writers of each peer write in turn, `rounds` times.

    Args:
        rounds: How often each peer has its turn.
        seconds: How long each time.
        processes: How many write at once.
        threads: How many in each of them.
    """
    written = {name: Written(name, None) for name in PEERS}
    for order in rotations(PEERS, rounds):
        for name in order:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "counter.sqlite"
                _make(path)
                said = _write(name, path, seconds, processes, threads)
                _add(written[name], said, _read(path))
    return written


def _make(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as own:
        own.execute("CREATE TABLE counter (id INTEGER PRIMARY KEY, number INTEGER)")
        own.execute("INSERT INTO counter VALUES (1, 0)")
        own.commit()


def _read(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path, timeout=PATIENCE)) as own:
        return int(own.execute("SELECT number FROM counter").fetchone()[0])


def _write(
    name: str, path: Path, seconds: int, processes: int, threads: int
) -> list[dict[str, t.Any]]:
    """Start the processes, let them begin together, and gather what they say."""
    command = (sys.executable, "-m", __name__, name, str(path), str(seconds))
    started = [
        subprocess.Popen(
            (*command, str(threads)),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]
    try:
        for process in started:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise WriterError(process.communicate(timeout=PATIENCE)[1])
        for process in started:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [process.communicate(timeout=seconds + PATIENCE) for process in started]
    finally:
        for process in started:
            if process.poll() is None:
                process.kill()
                process.communicate()
    return [json.loads(out) for out, _ in said]


def _add(written: Written, said: cabc.Sequence[dict[str, t.Any]], kept: int) -> None:
    acknowledged = sum(process["acknowledged"] for process in said)
    # Until the last writer was through: those who wait for a lock end late.
    seconds = max(process["seconds"] for process in said)
    written.times.append(seconds * 1e6 / (acknowledged or 1))
    written.acknowledged += acknowledged
    written.kept += kept
    for process in said:
        written.failed += process["failed"]
        written.waits += process["waits"]


def application(name: str, url: str) -> WSGIApplication:
    """Build the application of one of `PEERS`, with its defaults."""
    return by_erlen_db(url) if name == "erlen-db" else by_hand(url)


def by_hand(url: str) -> WSGIApplication:
    """Make a session by hand from an engine with SQLAlchemy's defaults."""
    from sqlalchemy import create_engine
    from sqlalchemy.orm import Session

    from benchmarks.db.peers.models import Counter
    from erlen import Erlen

    app = Erlen(__name__)
    engine = create_engine(url)

    @app.post("/")
    def add_one() -> dict[str, t.Any]:
        with Session(engine) as session:
            counter = session.get_one(Counter, 1)
            counter.number += 1
            session.commit()
            return {"added": 1}

    return app


def by_erlen_db(url: str) -> WSGIApplication:
    """Use erlen-db's session, with its defaults."""
    from benchmarks.db.peers.erlen_peer import Counter
    from benchmarks.db.peers.erlen_peer import db
    from erlen import Erlen

    app = Erlen(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    db.init_app(app)

    @app.post("/")
    def add_one() -> dict[str, t.Any]:
        counter = db.session.get_one(Counter, 1)
        counter.number += 1
        db.session.commit()
        return {"added": 1}

    return app


@dataclass
class _Tally:
    """What one thread did."""

    acknowledged: int = 0
    failed: int = 0
    waits: list[float] = field(default_factory=list)


def serve(name: str, path: str, seconds: float, threads: int) -> dict[str, t.Any]:
    """Write in `threads` threads for `seconds`, and return the tally of all."""
    app = application(name, f"sqlite:///{path}")
    app.logger.disabled = True  # type: ignore[attr-defined] # thousands of tracebacks
    tallies = [_Tally() for _ in range(threads)]
    print("ready", flush=True)
    sys.stdin.readline()
    start = time.monotonic()
    end = start + seconds
    started = [
        threading.Thread(target=_ask, args=(app, tally, end)) for tally in tallies
    ]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    return {
        "seconds": time.monotonic() - start,
        "acknowledged": sum(tally.acknowledged for tally in tallies),
        "failed": sum(tally.failed for tally in tallies),
        "waits": [wait for tally in tallies for wait in tally.waits],
    }


def _ask(app: WSGIApplication, tally: _Tally, end: float) -> None:
    exchange = Exchange("/", Answer(200, JSON_TYPE, b'{"added": 1}'), "POST")
    while (start := time.monotonic()) < end:
        answer, _ = door.ask(app, exchange.environ())
        tally.waits.append(time.monotonic() - start)
        if answer.status == 200:
            tally.acknowledged += 1
        else:
            tally.failed += 1


if __name__ == "__main__":
    _, _name, _path, _seconds, _threads = sys.argv
    print(json.dumps(serve(_name, _path, float(_seconds), int(_threads))))
