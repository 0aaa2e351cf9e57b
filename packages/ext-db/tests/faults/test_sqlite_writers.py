"""SQLite under several processes, each with several writers."""

from __future__ import annotations

import contextlib
import json
import pathlib
import sqlite3
import subprocess
import sys

import pytest

pytestmark = pytest.mark.service

WORKERS = 4
WRITERS = 16
_WORKER = str(pathlib.Path(__file__).with_name("counting.py"))


def command(path, seconds):
    url = f"sqlite:///{path}"
    return [sys.executable, _WORKER, url, str(seconds), str(WRITERS)]


@pytest.mark.parametrize(
    "seconds", [pytest.param(2, id="short"), pytest.param(30, marks=pytest.mark.fuzz)]
)
def test_no_update_is_lost_and_nobody_finds_it_locked(tmp_path, seconds, capsys):
    path = tmp_path / "app.db"
    subprocess.run(command(path, 0), check=True)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    answers = []
    with contextlib.ExitStack() as stack:
        workers = [
            stack.enter_context(subprocess.Popen(command(path, seconds), **pipes))
            for _ in range(WORKERS)
        ]
        for worker in workers:
            worker.stdin.write("go\n")
            worker.stdin.flush()
        for worker in workers:
            answers += json.loads(worker.communicate()[0])
    times = sorted(time for _, time in answers)
    counted = [status for status, _ in answers].count(200)
    connection = sqlite3.connect(path)
    ((kept,),) = connection.execute("SELECT number FROM counter")
    connection.close()
    with capsys.disabled():
        sys.stdout.write(
            f"\n  {WORKERS} x {WRITERS} writers, {seconds} s: {counted} counted,"
            f" {counted - kept} lost, {len(answers) - counted} failed,"
            f" p50 {1000 * times[len(times) // 2]:.0f} ms,"
            f" p99 {1000 * times[len(times) * 99 // 100]:.0f} ms,"
            f" longest {1000 * times[-1]:.0f} ms\n"
        )

    assert kept == counted == len(answers)
