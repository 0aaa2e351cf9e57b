"""Take the README's pictures of a fresh notebook: `python screenshots/take.py`.

Needs Playwright's Python package and Debian's chromium.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from threading import Thread

from playwright.sync_api import sync_playwright
from werkzeug.serving import make_server

HERE = Path(__file__).parent
DESKTOP = {"width": 1080, "height": 800}
PHONE = {"width": 360, "height": 740}
PICTURES = [
    ("notebook-light", "/", "light", DESKTOP),
    ("notebook-dark", "/", "dark", DESKTOP),
    ("notebook-phone", "/", "light", PHONE),
    ("sighting-light", "/sightings/{kingfisher}", "light", DESKTOP),
    ("sighting-phone", "/sightings/{kingfisher}", "dark", PHONE),
    ("species-dark", "/species", "dark", DESKTOP),
    ("form-phone", "/sightings/new", "light", PHONE),
]


def main() -> None:
    """Serve the example from a temporary folder and visit its pages."""
    sys.path.insert(0, str(HERE.parent))
    from hedgerow import create_app

    with tempfile.TemporaryDirectory() as folder:
        app = create_app(instance_path=folder)
        found = app.test_client().get("/api/sightings?q=kingfisher").get_json()
        kingfisher = found["items"][0]["id"]
        server = make_server("127.0.0.1", 0, app, threaded=True)
        Thread(target=server.serve_forever, daemon=True).start()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"),
                args=[
                    "--no-sandbox",
                    "--disable-gpu",
                    "--disable-background-networking",
                ],
            )
            for name, path, mode, size in PICTURES:
                page = browser.new_page(
                    base_url=f"http://127.0.0.1:{server.port}",
                    color_scheme=mode,
                    viewport=size,
                )
                page.goto(path.format(kingfisher=kingfisher), wait_until="networkidle")
                page.screenshot(path=HERE / f"{name}.png")
                page.close()
            browser.close()
        server.shutdown()


if __name__ == "__main__":
    main()
