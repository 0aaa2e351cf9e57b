"""What the EventSource of a real browser makes of an event stream."""

from __future__ import annotations

import os
import shutil
import threading

import pytest
from werkzeug.serving import make_server

from erlen import Erlen
from erlen.broadcast import Broadcast
from erlen.sse import Event
from erlen.sse import EventStream
from erlen.sse import last_event_id

pytestmark = pytest.mark.browser

COUNT = """() => new Promise(done => {
    const heard = [], source = new EventSource("/count")
    source.addEventListener("tick", event => {
        heard.push([event.lastEventId, event.data])
        if (heard.length == 4) { source.close(); done(heard) }
    })
})"""
LISTEN = """() => new Promise(done => {
    const source = new EventSource("/listen")
    source.onopen = () => fetch("/say", {method: "POST"})
    source.onmessage = event => { source.close(); done([event.data, event.lastEventId]) }
})"""
TEXT = "one\ntwo é☕\n\n four "


@pytest.fixture(scope="module")
def server():
    app = Erlen(__name__)
    app.testing = True
    broadcast = Broadcast()
    app.add_url_rule("/", "index", lambda: "tea")

    @app.get("/count")
    def count():
        first = int(last_event_id() or 0) + 1
        numbers = range(first, first + 2)  # after which the browser comes again
        return EventStream(
            (Event(TEXT, event="tick", id=number) for number in numbers), retry=10
        )

    @app.get("/listen")
    def listen():
        return EventStream(broadcast.subscribe("a"), heartbeat=0.1)

    @app.post("/say")
    def say():
        broadcast.publish("a", {"text": TEXT})
        return "", 204

    server = make_server("127.0.0.1", 0, app, threaded=True)
    server.broadcast = broadcast
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def page(server):
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        if os.environ.get("CI"):
            pytest.fail("chromium is not installed")
        pytest.skip("chromium is not installed")
    arguments = ["--no-sandbox", "--disable-background-networking"]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.port}/")
        yield page
        browser.close()


def test_it_comes_again_with_the_id_of_the_last_event(page):
    assert page.evaluate(COUNT) == [[str(number), TEXT] for number in range(1, 5)]


def test_what_is_published_when_it_has_opened_arrives(page, server):
    data, last_id = page.evaluate(LISTEN)
    assert (data, last_id) == ('{"text": "one\\ntwo \\u00e9\\u2615\\n\\n four "}', "")
    while server.broadcast._rooms:  # until a heartbeat has found nobody
        page.wait_for_timeout(20)
