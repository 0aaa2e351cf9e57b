"""Stands where a server would: hands over a request and takes the answer."""

from __future__ import annotations

import gc
import time
import typing as t
from itertools import cycle
from itertools import islice

from benchmarks.scenarios import Answer

if t.TYPE_CHECKING:
    import collections.abc as cabc
    from wsgiref.types import StartResponse
    from wsgiref.types import WSGIApplication
    from wsgiref.types import WSGIEnvironment

    from benchmarks.scenarios import Exchange
    from benchmarks.scenarios import Scenario

Clock = t.Callable[[], float]
CLOCKS: t.Final[dict[str, Clock]] = {
    "cpu": time.process_time,
    "wall": time.perf_counter,
}


def take(
    app: WSGIApplication, environ: WSGIEnvironment, start_response: StartResponse
) -> bytes:
    """Call `app` once, iterate its answer and close it, and return the body."""
    chunks = app(environ, start_response)
    body = b"".join(chunks)
    if hasattr(chunks, "close"):
        chunks.close()
    return body


def ask(app: WSGIApplication, environ: WSGIEnvironment) -> tuple[Answer, str | None]:
    """Call `app` once.

    Returns:
        The answer, and its Content-Length as sent (None when none was).
    """
    heads: list[tuple[str, dict[str, str]]] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], _exc_info: object = None
    ) -> t.Callable[[bytes], object]:
        heads.append((status, {name.lower(): value for name, value in headers}))
        return refuse_write

    body = take(app, environ, start_response)
    status, headers = heads[-1]
    answer = Answer(int(status[:3]), headers.get("content-type", ""), body)
    return answer, headers.get("content-length")


def check(app: WSGIApplication, exchanges: cabc.Iterable[Exchange]) -> None:
    """Ask each exchange once.

    Raises:
        WrongAnswerError: An answer differs from the one that is accepted.
    """
    for exchange in exchanges:
        exchange.check(*ask(app, exchange.environ()))


def seconds(
    app: WSGIApplication, scenario: Scenario, calls: int, clock: Clock
) -> float:
    """Time `calls` requests, the scenario's exchanges in turn.

    Each call gets a fresh copy of its environ, the answer is iterated and closed
    as gunicorn does it. The garbage collector runs as it would in service, from a
    clean slate: what one peer left behind is not charged to the next.

    Returns:
        Seconds that they took altogether, by `clock`.
    """
    environs = [exchange.environ() for exchange in scenario.exchanges]
    turns = islice(cycle(environs), calls)
    gc.collect()
    start = clock()
    for environ in turns:
        chunks = app(environ.copy(), start_and_forget)
        for _ in chunks:
            pass
        if hasattr(chunks, "close"):
            chunks.close()
    return clock() - start


def refuse_write(data: bytes) -> None:
    """Stand in for WSGI's `write`, which none of the peers needs."""
    raise NotImplementedError("No peer is expected to call write().")


def start_and_forget(
    _status: str, _headers: list[tuple[str, str]], _exc_info: object = None
) -> t.Callable[[bytes], object]:
    """Take the head of an answer as a server would, and drop it."""
    return refuse_write
