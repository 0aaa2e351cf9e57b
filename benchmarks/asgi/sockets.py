"""wrk against ASGI servers: what is left of the differences behind a socket.

All peers' servers are started and asked once, then each round loads one after the
other, in rotated order; those that are not loaded sleep.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import typing as t
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from benchmarks import peers as tables
from benchmarks.asgi.scenarios import Response
from benchmarks.rounds import Contestant
from benchmarks.rounds import rotations

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from benchmarks.asgi.scenarios import Exchange
    from benchmarks.asgi.scenarios import Scenario

SCENARIOS: t.Final = ("s1", "s2", "s3", "sync")
PEERS: t.Final = (
    *("falcon", "starlette", "litestar", "fastapi", "quart", "blacksheep", "erlen"),
)
# The variables of the environment that `served` reads.
PEER: t.Final = "BENCHMARKS_PEER"
SCENARIO: t.Final = "BENCHMARKS_SCENARIO"
ROOT: t.Final = Path(__file__).parents[2]
# Seconds in which a server must answer, and in which it must be gone.
PATIENCE: t.Final = 30.0

# Each as installed with the extras that its manual recommends, with one worker. The
# access log, which only uvicorn writes by default, is off.
SERVERS: t.Final[dict[str, tuple[str, ...]]] = {
    "uvicorn": ("--no-access-log", "--log-level", "warning"),
    "granian": ("--interface", "asgi", "--no-access-log", "--log-level", "warning"),
}
# What must be installed for a server to run as its users run it.
NEEDS: t.Final = {
    "uvicorn": ("uvicorn", "httptools", "uvloop"),
    "granian": ("granian",),
}


class LoadError(Exception):
    """wrk reported something else than answers."""


class ServerError(Exception):
    """A server did not start, or did not end when it was asked to."""


@dataclass
class Loaded(Contestant):
    """A peer behind a server."""

    @property
    def per_second(self) -> float:
        """Requests per second, the median."""
        return 1e6 / self.microseconds


def missing_tools(servers: cabc.Iterable[str]) -> list[str]:
    """Name what is needed for `servers` and not installed."""
    needed = [name for server in servers for name in NEEDS[server]]
    absent = [name for name in needed if not tables.installed(name)]
    return absent if shutil.which("wrk") else ["wrk", *absent]


def versions() -> dict[str, str]:
    """Return the versions of the servers and of what they run on."""
    names = dict.fromkeys(name for names in NEEDS.values() for name in names)
    return {name: metadata.version(name) for name in names if tables.installed(name)}


def run(
    server: str,
    scenario: Scenario,
    peers: cabc.Sequence[str],
    *,
    rounds: int,
    seconds: int,
    connections: int,
) -> list[Loaded]:
    """Load each peer in turn, `rounds` times.

    Args:
        server: One of `SERVERS`.
        scenario: What is asked.
        peers: Who answers.
        rounds: How often each peer is loaded.
        seconds: How long each time.
        connections: How many wrk keeps open.

    Raises:
        WrongAnswerError: A peer's answer is not the scenario's.
        LoadError: There were errors, or answers with another status than 200.
        ServerError: A server did not start or did not end.
    """
    with contextlib.ExitStack() as stack:
        script = stack.enter_context(_script(scenario.exchanges))
        ports: dict[str, int] = {}
        for peer in peers:
            ports[peer] = stack.enter_context(serving(server, peer, scenario.key))
        for port in ports.values():
            check(port, scenario.exchanges)
            load(port, script, 1, connections)
        loaded = [Loaded(peer, None) for peer in ports]
        for order in rotations(loaded, rounds):
            for one in order:
                port = ports[one.peer]
                check(port, scenario.exchanges[:1])
                rate = load(port, script, seconds, connections)
                one.times.append(1e6 / rate)
    return loaded


@contextlib.contextmanager
def serving(server: str, peer: str, key: str) -> cabc.Iterator[int]:
    """Start a server of its own for one peer, and stop it at the end.

    Returns:
        The port on 127.0.0.1 on which it answers.
    """
    port = _free_port()
    environment = {**os.environ, PEER: peer, SCENARIO: key}
    command = (
        *(sys.executable, "-m", server, "benchmarks.asgi.served:app"),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *SERVERS[server],
    )
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            _await_port(process, port, log)
            yield port
        finally:
            _end(process)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _await_port(process: subprocess.Popen[bytes], port: int, log: t.IO[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.05)
    log.seek(0)
    raise ServerError(f"{process.args!r} does not listen:\n{log.read()}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise ServerError(f"{process.args!r} did not end when asked to.") from None


def check(port: int, exchanges: cabc.Iterable[Exchange]) -> None:
    """Ask each exchange once over one connection.

    Raises:
        WrongAnswerError: An answer differs from the one that is accepted.
    """
    with contextlib.closing(
        http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    ) as connection:
        for exchange in exchanges:
            connection.request(exchange.method, exchange.path)
            answer = connection.getresponse()
            body = answer.read()
            headers = tuple(
                (name.lower(), value) for name, value in answer.getheaders()
            )
            exchange.check(Response(answer.status, headers, body))


def load(port: int, script: str, seconds: int, connections: int) -> float:
    """Let wrk ask for the paths of `script`, and return the requests per second.

    Raises:
        LoadError: There were errors, or answers with another status than 200.
    """
    # One thread: with a second one it would take the core of the server.
    command = (
        *("wrk", "--threads", "1", "--connections", str(connections)),
        *("--duration", f"{seconds}s", "--script", script),
        f"http://127.0.0.1:{port}/",
    )
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    return rate(said.stdout + said.stderr)


def rate(report: str) -> float:
    """Read the requests per second from what wrk wrote.

    Raises:
        LoadError: There were errors, or answers with another status than 200.
    """
    found = re.search(r"^Requests/sec:\s+([\d.]+)", report, re.MULTILINE)
    trouble = re.search(r"Non-2xx|Socket errors", report)
    if found is None or trouble or not float(found[1]):
        raise LoadError(f"wrk says:\n{report}")
    return float(found[1])


@contextlib.contextmanager
def _script(exchanges: cabc.Iterable[Exchange]) -> cabc.Iterator[str]:
    """Write a script for wrk that asks for each path in turn."""
    paths = ",".join(json.dumps(exchange.path) for exchange in exchanges)
    text = f"""\
local requests, turn = {{}}, 0
init = function()
  for number, path in ipairs({{{paths}}}) do
    requests[number] = wrk.format("GET", path)
  end
end
request = function()
  turn = turn % #requests + 1
  return requests[turn]
end
"""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(text)
        file.flush()
        yield file.name
