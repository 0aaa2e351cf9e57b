"""Where a real browser ends that is sent to a `safe_redirect_target`."""

from __future__ import annotations

import os
import runpy
import shutil
import threading
from pathlib import Path

import pytest
from werkzeug.serving import make_server

from erlen import Erlen
from erlen import redirect
from erlen import request
from erlen import url_for
from erlen.helpers import safe_redirect_target

pytestmark = pytest.mark.browser

# The table of the core's tests, and the rules by which they judge.
TABLE = runpy.run_path(
    str(Path(__file__).parents[2] / "packages/core/tests/test_redirect_targets.py")
)
VALUES = [*TABLE["ATTACKS"], *TABLE["HONEST"], *TABLE["HONEST_BY_HTTP"]]
SITE = "http://shop.example"
RESOLVE = """([all, base]) => all.map(it => {
    try {
        const url = new URL(it, base)
        return url.protocol.startsWith("http") ? url.origin : url.protocol
    } catch { return null }
})"""


@pytest.fixture(scope="module")
def server():
    """A server that redirects to each value of the table, and notes who was asked."""
    app = Erlen(__name__)
    app.testing = True
    app.hosts, app.sent = [], set()
    app.add_url_rule("/", "index", lambda: "tea")

    @app.before_request
    def note():
        app.hosts.append(request.host)

    @app.get(f"{TABLE['LOGIN']}/<int:number>")
    def login(number):
        if number in app.sent:  # by "?page=2" and "#a" back to here
            return "tea"
        app.sent.add(number)
        return redirect(safe_redirect_target(VALUES[number]) or url_for("index"))

    @app.get("/bare/<int:number>")
    def bare(number):
        return redirect(VALUES[number])

    @app.errorhandler(404)
    def anywhere(error):
        return "tea"

    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def page(server):
    """A page in a browser for which every host is the server."""
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert path, "Install Chromium (Debian's package is `chromium`) or set CHROMIUM."
    flags = [
        *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update"),
        *("--disable-sync", "--disable-features=HttpsUpgrades"),
        f"--host-resolver-rules=MAP * 127.0.0.1:{server.port}",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        page = browser.new_page()
        page.set_default_timeout(15_000)
        page.goto(SITE)
        yield page
        browser.close()


def location(app, path):
    """Return what the server sends for a path, None where that is an error."""
    try:
        return app.test_client().get(path, base_url=SITE).headers["Location"]
    except ValueError:
        return None


def test_chromium_stays_where_it_is_sent(server, page):
    server.app.sent.clear()
    sent = [location(server.app, f"{TABLE['LOGIN']}/{it}") for it in range(len(VALUES))]
    found = page.evaluate(RESOLVE, [sent, SITE + TABLE["LOGIN"]])
    assert {*found} == {SITE, "https://shop.example"}


def test_chromium_judges_as_the_tests_of_the_core_do(server, page):
    """Also about what would be sent without the function: most of it leaves."""
    sent = [location(server.app, f"/bare/{it}") for it in range(len(VALUES))]
    sent = [it for it in [*sent, *VALUES] if it and it.isascii()]
    judged = [TABLE["browse"](it, ("http", "shop.example", 80)) for it in sent]
    found = page.evaluate(RESOLVE, [sent, f"{SITE}/bare/0"])
    differ = {
        it: (ours, theirs)
        for it, ours, theirs in zip(sent, map(name_page, judged), found, strict=True)
        if ours != theirs and not it.startswith("filesystem:")  # which it does not know
    }
    assert differ == {}
    assert sum(it not in {SITE, None} for it in found) > 150


def name_page(page):
    """Write what the judge found as the browser writes it."""
    if page is None:
        return None
    scheme, host, port = page
    usual = {"http": 80, "https": 443}
    if scheme not in usual:
        return f"{scheme}:"
    return f"{scheme}://{host}" + f":{port}" * (port != usual[scheme])


def test_chromium_follows_and_nobody_else_is_asked(server, page):
    server.app.hosts.clear()
    server.app.sent.clear()
    asked = 0
    for number, value in enumerate(VALUES):
        if value in TABLE["HONEST"] and value.lower().startswith("https:"):
            continue  # this server speaks http
        page.goto(f"{SITE}{TABLE['LOGIN']}/{number}")
        assert page.url.startswith(f"{SITE}/"), value
        assert page.url == f"{SITE}/" or value not in TABLE["ATTACKS"]
        asked += 1
    assert {*server.app.hosts} == {"shop.example"}
    assert asked > 200

    # Without the function, the same browser does ask others.
    page.goto(f"{SITE}/bare/{VALUES.index('//evil.example')}")
    assert page.url == "http://evil.example/"
    assert "evil.example" in server.app.hosts
