"""Take the README's pictures of a fresh notebook: `python screenshots/take.py`.

Needs Playwright's Python package, Debian's chromium and `erlen[uvicorn]`.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from threading import Thread
from typing import Any

import uvicorn
from playwright.sync_api import sync_playwright

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
PEOPLE = [
    ("Nell Hartley", "talk-light", "light", {"width": 1080, "height": 1000}),
    ("Tomasz Wójcik", "talk-dark", "dark", {"width": 1080, "height": 1000}),
    ("Amir Sadiq", "talk-phone", "light", PHONE),
]
TALK = [
    ("Nell Hartley", "Something small and brown on the weir. Not a wren: it bobbed."),
    ("Tomasz Wójcik", "Bobbed how? Like a wagtail, or as if it were curtseying?"),
    ("Nell Hartley", "Curtseying. To nobody in particular."),
    ("Tomasz Wójcik", "White bib?"),
    ("Nell Hartley", "A bib like a waiter's!"),
    (
        "Amir Sadiq",
        "Nine years on that bridge, and none. One day in bed, and it comes.",
    ),
    ("Tomasz Wójcik", "Get well, Amir. Nell, write it down!"),
]


def main() -> None:
    """Serve the example from a temporary folder and visit its pages."""
    sys.path.insert(0, str(HERE.parent))
    from hedgerow import create_app

    with tempfile.TemporaryDirectory() as folder:
        app = create_app(instance_path=folder)
        found = app.test_client().get("/api/sightings?q=kingfisher").get_json()
        kingfisher = found["items"][0]["id"]
        listener = socket.create_server(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            app.asgi, log_level="error", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        Thread(target=asyncio.run, args=[server.serve([listener])], daemon=True).start()
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
                    base_url=address,
                    color_scheme=mode,
                    viewport=size,
                )
                page.goto(path.format(kingfisher=kingfisher))
                page.evaluate("document.fonts.ready")
                if path == "/":
                    page.locator("[data-state=live]").wait_for()
                page.screenshot(path=HERE / f"{name}.png")
                page.close()
            take_the_talk(browser, address)
            browser.close()
        server.should_exit = True


def take_the_talk(browser: Any, address: str) -> None:
    """Let three people meet, and take what each of them sees."""
    pages = {}
    for name, file, mode, size in PEOPLE:
        page = browser.new_page(base_url=address, color_scheme=mode, viewport=size)
        page.goto("/talk/bird")
        page.get_by_label("Your name").fill(name)
        page.get_by_role("button", name="Join in").click()
        page.locator("[data-state=live]").wait_for()
        pages[name] = page, file
    for name, words in TALK:
        page, _ = pages[name]
        page.get_by_label("Say something").fill(words)
        page.keyboard.press("Enter")
        page.get_by_text(words).wait_for()
    for page, file in pages.values():
        page.get_by_text(TALK[-1][1]).wait_for()
        page.locator("h1").scroll_into_view_if_needed()
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=HERE / f"{file}.png")


if __name__ == "__main__":
    main()
