"""Running the workspace's own scripts, and servers that they start."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import typing as t
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UV = ROOT / ".tools" / "bin" / "uv"
PATIENCE = 120  # seconds until a server that does not answer is a failure


def environ(**settings: str) -> dict[str, str]:
    """Return the environment of somebody who has no virtual environment active."""
    ours = {
        "PYTHONPATH",
        "PYTEST_CURRENT_TEST",
        "VIRTUAL_ENV",
        "COVERAGE_PROCESS_START",
    }
    return {k: v for k, v in os.environ.items() if k not in ours} | settings


def run(*command: str | Path, cwd: Path = ROOT, **settings: str) -> str:
    """Run a command and return what it printed.

    Raises:
        AssertionError: It failed; the error shows all that it printed.
    """
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environ(**settings),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextlib.contextmanager
def serving(
    *command: str | Path, cwd: Path, log: Path, **settings: str
) -> t.Iterator[str]:
    """Start a server on a free port, and yield its address when it answers."""
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=cwd,
            env=environ(ERLEN_RUN_PORT=str(port), **settings),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for_answer(address, process, log)
            yield address
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=10)


def wait_for_answer(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when something answers at `address`, whatever it says."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except urllib.error.HTTPError as exc:
            exc.close()
        except OSError:
            assert process.poll() is None, f"it ended:\n{log.read_text()}"
            assert time.monotonic() < deadline, f"no answer:\n{log.read_text()}"
            time.sleep(0.1)
            continue
        return
