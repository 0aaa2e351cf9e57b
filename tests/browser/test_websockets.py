"""What the WebSocket of a real browser makes of the ASGI door."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import threading

import pytest

from erlen import Erlen
from erlen import session
from erlen import websocket

pytestmark = pytest.mark.browser

TALK = """url => new Promise(done => {
    const heard = [], socket = new WebSocket(url, ["tea", "coffee"])
    socket.onopen = () => { heard.push(socket.protocol); socket.send("é☕") }
    socket.onmessage = event => {
        heard.push(event.data)
        if (heard.length == 3) socket.send("enough")
    }
    socket.onerror = () => heard.push("error")
    socket.onclose = event => done([...heard, event.code, event.reason])
})"""


@pytest.fixture(scope="module")
def address():
    uvicorn = pytest.importorskip("uvicorn")
    pytest.importorskip("websockets")
    app = Erlen(__name__)
    app.secret_key = "a key for tests only"
    app.add_url_rule("/", "index", lambda: session.update(name="Ada") or "tea")

    @app.websocket("/talk")
    async def talk():
        await websocket.accept("coffee")
        await websocket.send(session.get("name", "nobody"))
        async for message in websocket:
            if message == "enough":
                await websocket.close(4000, "as you like")
            else:
                await websocket.send(message)

    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    config = uvicorn.Config(app.asgi, log_level="error", ws="websockets-sansio")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([sock])))
    thread.start()
    yield f"127.0.0.1:{sock.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    sock.close()


@pytest.fixture(scope="module")
def page():
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        if os.environ.get("CI"):
            pytest.fail("chromium is not installed")
        pytest.skip("chromium is not installed")
    arguments = ["--no-sandbox", "--headless=new", "--disable-background-networking"]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield browser.new_page()
        browser.close()


def test_a_page_of_this_site_talks(page, address):
    page.goto(f"http://{address}/")
    assert page.evaluate(TALK, f"ws://{address}/talk") == [
        *("coffee", "Ada", "é☕"),
        *(4000, "as you like"),
    ]


def test_a_page_of_another_site_does_not(page, address):
    page.goto("about:blank")
    assert page.evaluate(TALK, f"ws://{address}/talk") == ["error", 1006, ""]
    page.goto(f"http://{address.replace('127.0.0.1', 'localhost')}/")
    assert page.evaluate(TALK, f"ws://{address}/talk") == ["error", 1006, ""]
