"""Layer 4: `/healthz` and `/readyz` of `erlen serve --health`, for both doors.

They answer before the application. What it needs is asked for at most once at a
time, and what was found is kept for a second: these pages are for everybody.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor

from ._checks import Health
from ._checks import check_health

if t.TYPE_CHECKING:
    import collections.abc as cabc

    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIApplication
    from _typeshed.wsgi import WSGIEnvironment

    from ._environ import Receive
    from ._environ import Scope
    from ._environ import Send

ALIVE = "/healthz"
READY = "/readyz"

#: Seconds that a result is kept, and that all functions together may take.
KEPT = 1.0
LIMIT = 5.0

_STATUS = {200: "200 OK", 503: "503 Service Unavailable"}


class _Run:
    """One round of all health functions, in a thread of its own."""

    def __init__(self, app: t.Any) -> None:
        self._app = app
        self._answers: dict[str, Health] = {}
        self._said = False
        self.began = time.monotonic()
        self.ended: float | None = None
        self.done = threading.Event()
        # A daemon, as one that hangs must not keep the process.
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        try:
            check_health(self._app, self._answers)
        finally:
            self.ended = time.monotonic()
            self.done.set()

    def read(self) -> dict[str, bool]:
        """Return what is there; what has not answered is not.

        Why goes to the application's log, once: strangers read the page.
        """
        answers = {**self._answers}
        found = {
            name: name in answers and answers[name].ok for name in self._app._health
        }
        if not self._said and not all(found.values()):
            self._said = True
            reasons = {
                name: answers[name].error if name in answers else "no answer in time"
                for name, ok in found.items()
                if not ok
            }
            self._app.logger.warning("Not ready: %s", reasons)
        return found


class Readiness:
    """Whether all that an application needs is there.

    Args:
        app: The application, with functions of `app.add_health`.
    """

    def __init__(self, app: t.Any) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._run: _Run | None = None

    def ask(self) -> dict[str, bool]:
        """Return the state of each, of now or of less than a second ago.

        It waits for five seconds at most.
        """
        with self._lock:
            run = self._run
            if run is None or (run.ended and time.monotonic() - run.ended >= KEPT):
                run = self._run = _Run(self._app)
        run.done.wait(max(0, run.began + LIMIT - time.monotonic()))
        return run.read()


def _ready_page(found: dict[str, bool]) -> tuple[int, str, bytes]:
    ok = all(found.values())
    checks = [{"name": name, "ok": it} for name, it in found.items()]
    page = json.dumps({"ok": ok, "checks": checks})
    return (200 if ok else 503), "application/json", page.encode()


_ALIVE_PAGE = (200, "text/plain; charset=utf-8", b"ok")


def _headers(kind: str, page: bytes) -> list[tuple[str, str]]:
    return [
        ("Content-Type", kind),
        ("Content-Length", str(len(page))),
        ("Cache-Control", "no-store"),
    ]


class WsgiHealth:
    """A WSGI application with the two pages in front of another.

    Args:
        application: The other one.
        readiness: Asked for `/readyz`.
    """

    def __init__(self, application: WSGIApplication, readiness: Readiness) -> None:
        self._application = application
        self._readiness = readiness

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> cabc.Iterable[bytes]:
        """Answer a question about health, or hand the request on."""
        path, method = environ.get("PATH_INFO"), environ["REQUEST_METHOD"]
        if path not in {ALIVE, READY} or method not in {"GET", "HEAD"}:
            return self._application(environ, start_response)
        found = _ALIVE_PAGE if path == ALIVE else _ready_page(self._readiness.ask())
        status, kind, page = found
        start_response(_STATUS[status], _headers(kind, page))
        return [page] if method == "GET" else []


class AsgiHealth:
    """An ASGI application with the two pages in front of another.

    Args:
        application: The other one.
        readiness: Asked for `/readyz`, off the event loop.
    """

    def __init__(self, application: t.Any, readiness: Readiness) -> None:
        self._application = application
        self._readiness = readiness
        # Its own thread: who floods the page must not fill those of the application.
        self._thread = ThreadPoolExecutor(1, "erlen-health")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a question about health, or hand the connection on."""
        path, method = scope.get("path"), scope.get("method")
        if path not in {ALIVE, READY} or method not in {"GET", "HEAD"}:
            await self._application(scope, receive, send)
            return
        status, kind, page = _ALIVE_PAGE
        if path == READY:
            loop = asyncio.get_running_loop()
            found = await loop.run_in_executor(self._thread, self._readiness.ask)
            status, kind, page = _ready_page(found)
        headers = [
            (name.lower().encode(), value.encode())
            for name, value in _headers(kind, page)
        ]
        head = {"type": "http.response.start", "status": status, "headers": headers}
        await send(head)
        body = page if method == "GET" else b""
        await send({"type": "http.response.body", "body": body})
