"""The example Hedgerow served for a browser, and what is looked for on its pages."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import typing as t
import urllib.request
from pathlib import Path

if t.TYPE_CHECKING:
    import collections.abc as cabc

EXAMPLES = Path(__file__).parents[2] / "examples"
WIDTHS = [320, 360, 768]
# Alone on the machine, as root, and without asking the network for anything.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


class Site:
    """The development server with a notebook in a folder of its own."""

    def __init__(self, folder: Path, *options: str, **settings: str) -> None:
        factory = (
            f"{EXAMPLES}/hedgerow/hedgerow:create_app(instance_path={str(folder)!r})"
        )
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        self.folder = folder
        self.log = folder / "server.log"
        erlen = [sys.executable, "-m", "erlen", "--app", factory]
        self._command = [*erlen, "run", f"--port={port}", *options]
        self._environ = os.environ | settings
        self.start()

    def start(self) -> None:
        """Serve, on the same port as before."""
        with self.log.open("ab") as output:
            self._server = subprocess.Popen(
                self._command, stdout=output, stderr=output, env=self._environ
            )
        for _ in range(150):
            assert self._server.poll() is None, self.log.read_text()
            try:
                urllib.request.urlopen(self.address).close()
            except OSError:
                time.sleep(0.2)
            else:
                return
        told = self.log.read_text()
        self.stop()
        raise AssertionError(f"The server does not answer: {told}")

    def stop(self) -> None:
        """End the server, which has had no trouble so far."""
        trouble = self.log.read_text()
        self._server.terminate()
        self._server.wait()
        # Streams that are still open are cut off, which uvicorn tells at length.
        self.log.write_text("")
        assert "Traceback" not in trouble, trouble


@contextlib.contextmanager
def serve(folder: Path, *options: str, **settings: str) -> cabc.Iterator[Site]:
    """Serve in a block."""
    site = Site(folder, *options, **settings)
    try:
        yield site
    finally:
        site.stop()


@contextlib.contextmanager
def launch() -> cabc.Iterator[t.Any]:
    """Start the machine's own Chromium."""
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert path, "Install Chromium (Debian's package is `chromium`) or set CHROMIUM."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


def axe(page: t.Any) -> list[str]:
    """Return what axe-core finds in dark and in light, a line for each element."""
    from axe_playwright_python.sync_playwright import Axe

    found: list[str] = []
    for mode in ("dark", "light"):
        page.emulate_media(color_scheme=mode)
        options = {"runOnly": {"type": "tag", "values": RULES}}
        answer = Axe().run(page, options=options).response
        assert len(answer["passes"]) > 20  # it did look
        found += [
            f"{mode}: {rule['id']}: {node['html']}: {node['failureSummary']}"
            for rule in answer["violations"]
            for node in rule["nodes"]
        ]
    return found


def overflow(page: t.Any) -> int:
    """Return by how many pixels the page can be moved sideways."""
    root = "document.documentElement"
    moved: int = page.evaluate(f"{root}.scrollWidth - {root}.clientWidth")
    return moved
