"""What is live in the example Hedgerow, in real browsers: two people, and restarts."""

from __future__ import annotations

import json
import re
import sys
import urllib.request

import pytest
from tests.browser.hedgerow import EXAMPLES
from tests.browser.hedgerow import WIDTHS
from tests.browser.hedgerow import axe
from tests.browser.hedgerow import launch
from tests.browser.hedgerow import overflow
from tests.browser.hedgerow import serve

pytestmark = pytest.mark.browser

# Where the parts of the page are that what is live must not move.
PLACES = """() => [...document.querySelectorAll(".ink, .ink > div, #sightings, .talk > *, footer")]
    .filter(part => !part.matches("template, .newer"))
    .map(part => { const {x, y, width, height} = part.getBoundingClientRect()
                   return [part.className, x, y + scrollY, width, height] })"""
HIDE = """hidden => {
    Object.defineProperty(document, "hidden", {value: hidden, configurable: true})
    document.dispatchEvent(new Event("visibilitychange"))
}"""
SIGHTING = {
    "species": "Dipper",
    "kind": "bird",
    "count": 2,
    "seen_on": "2026-01-31",
    "place": "Weir Bridge",
    "observer": "Nell Hartley",
}


@pytest.fixture
def site(tmp_path):
    """The notebook, empty, over ASGI."""
    pytest.importorskip("uvicorn")
    pytest.importorskip("websockets")
    with serve(tmp_path, "--asgi", ERLEN_DEMO_DATA="false") as site:
        yield site


@pytest.fixture
def wsgi_site(tmp_path):
    with serve(tmp_path, ERLEN_DEMO_DATA="false") as site:
        yield site


@pytest.fixture(scope="module")
def browser():
    with launch() as browser:
        yield browser


@pytest.fixture
def meet(browser):
    """A function that opens a page for somebody, in a browser profile of its own.

    When the test ends, no console had an error, but for those of a server that was
    away.
    """
    contexts = []
    problems = []

    def meet(site, path, width=1280, **options):
        viewport = {"width": width, "height": 800}
        ctx = browser.new_context(base_url=site.address, viewport=viewport, **options)
        contexts.append(ctx)
        ctx.set_default_timeout(15_000)
        page = ctx.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: note(message))
        page.goto(path)
        return page

    def note(message):
        away = re.search(
            "ERR_(CONNECTION|INCOMPLETE|EMPTY)|WebSocket is closed", message.text
        )
        if message.type in {"error", "warning"} and not (away and meet.may_be_away):
            problems.append(message.text)

    meet.may_be_away = False
    yield meet
    for ctx in contexts:
        ctx.close()
    assert problems == []


@pytest.fixture
def join(meet):
    """A function that opens a room and gives a name there."""

    def join(site, name, path="/talk/bird", **options):
        page = meet(site, path, **options)
        page.get_by_label("Your name").fill(name)
        page.get_by_role("button", name="Join in").click()
        live(page)
        return page

    return join


def live(page):
    page.locator(".pulse[data-state=live]").wait_for()


def lost(page):
    page.get_by_text("Connection lost, trying again").wait_for()


def say(page, text):
    page.get_by_label("Say something").fill(text)
    page.keyboard.press("Enter")


def hear(page, *texts):
    """Wait for the last of these words; they are all that was said, in this order."""
    words = page.get_by_role("log").locator(".words")
    words.filter(has_text=texts[-1]).wait_for()
    assert words.all_inner_texts() == list(texts)


def here(page, *names):
    page.get_by_text(f"{len(names)} here: {', '.join(names)}").wait_for()


def write(site, species):
    body = json.dumps({**SIGHTING, "species": species}).encode()
    kind = {"Content-Type": "application/json"}
    url = f"{site.address}/api/sightings"
    urllib.request.urlopen(urllib.request.Request(url, body, kind)).close()


def ink(page, *species):
    """Wait for fresh ink; this is all that is shown, the newest first."""
    lines = page.locator(".ink li")
    lines.first.filter(has_text=species[0]).wait_for()
    assert lines.locator("a").all_inner_texts() == list(species)


def test_two_people_talk(site, join):
    nell = join(site, "Nell")
    amir = join(site, "Amir", width=360)
    here(nell, "Amir", "you")
    here(amir, "you", "Nell")
    places = [page.evaluate(PLACES) for page in (nell, amir)]
    say(nell, "A dipper <b>on</b> the weir")
    hear(amir, "A dipper <b>on</b> the weir")
    say(amir, "Where?")
    hear(nell, "A dipper <b>on</b> the weir", "Where?")
    assert nell.locator("li.mine .words").all_inner_texts() == [
        "A dipper <b>on</b> the weir"
    ]
    assert nell.get_by_label("Say something").input_value() == ""
    assert [page.evaluate(PLACES) for page in (nell, amir)] == places
    for page in (nell, amir):
        assert axe(page) == []
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            assert overflow(page) == 0, width


def test_one_leaves_and_comes_again(site, join, meet):
    nell, amir = join(site, "Nell"), join(site, "Amir")
    here(nell, "Amir", "you")
    state = amir.context.storage_state()
    amir.context.close()
    here(nell, "you")
    say(nell, "Are you there?")
    hear(nell, "Are you there?")
    amir = meet(site, "/talk/bird", storage_state=state)
    hear(amir, "Are you there?")
    here(nell, "Amir", "you")
    say(amir, "Again")
    hear(nell, "Are you there?", "Again")


def test_the_talk_survives_a_restart(site, join, meet):
    meet.may_be_away = True
    nell, amir = join(site, "Nell"), join(site, "Amir")
    say(nell, "one")
    hear(amir, "one")
    places = nell.evaluate(PLACES)
    site.stop()
    lost(nell)
    assert nell.evaluate(PLACES) == places
    lost(amir)
    say(nell, "two")
    assert axe(nell) == []
    site.start()
    live(nell)
    live(amir)
    say(amir, "three")
    for page in (nell, amir):
        hear(page, "one", "two", "three")


def test_too_fast(site, join):
    nell = join(site, "Nell")
    for number in range(6):
        say(nell, f"No. {number}")
    nell.get_by_role("alert").get_by_text("Not so fast").wait_for()
    assert nell.get_by_label("Say something").input_value() == "No. 5"
    hear(nell, *(f"No. {number}" for number in range(5)))
    assert axe(nell) == []


def test_who_reads_further_up_is_left_there(site, join):
    nell = join(site, "Nell")
    for name in ("Amir", "Bea", "Joan"):
        page = join(site, name)
        for number in range(5):
            say(page, f"{name} {number}")
        nell.get_by_text(f"{name} 4", exact=True).wait_for()
    log = nell.get_by_role("log")
    assert log.evaluate("log => (log.scrollTop = -10_000, log.scrollTop)") < -40
    first = round(nell.get_by_text("Amir 0", exact=True).bounding_box()["y"])
    say(join(site, "Tomasz"), "the newest")
    nell.get_by_role("button", name="New messages").wait_for()
    now = round(nell.get_by_text("Amir 0", exact=True).bounding_box()["y"])
    assert now == first
    assert axe(nell) == []
    nell.get_by_role("button", name="New messages").click()
    nell.get_by_role("button", name="New messages").wait_for(state="hidden")
    assert log.evaluate("log => log.scrollTop") > -40
    assert nell.evaluate("document.activeElement.name") == "text"


def test_fresh_ink(site, meet):
    write(site, "Wren")
    page = meet(site, "/?q=nothing", reduced_motion="no-preference")
    phone = meet(site, "/", width=320, reduced_motion="reduce")
    live(page)
    live(phone)
    places = [it.evaluate(PLACES) for it in (page, phone)]
    page.evaluate("window.mark = 'not loaded anew'")
    for species in ("Robin", "<b>Dipper</b>", "x" * 80):
        write(site, species)
    for it in (page, phone):
        ink(it, "x" * 80, "<b>Dipper</b>", "Robin")
    assert [it.evaluate(PLACES) for it in (page, phone)] == places
    for it in (page, phone):
        assert overflow(it) == 0
        it.evaluate("Promise.all(document.getAnimations().map(it => it.finished))")
        assert axe(it) == []
    name = "getComputedStyle(document.querySelector('.fresh')).animationName"
    assert page.evaluate(name) == "dry"
    assert phone.evaluate(name) == "none"
    assert page.evaluate("mark") == "not loaded anew"
    page.get_by_role("link", name="<b>Dipper</b>").click()
    assert page.get_by_role("heading", level=1).inner_text() == "<b>Dipper</b>"


def test_fresh_ink_survives_a_restart(site, meet):
    meet.may_be_away = True
    page = meet(site, "/")
    asked = []
    page.on("request", lambda request: asked.append(request.all_headers()))
    live(page)
    write(site, "Wren")
    ink(page, "Wren")
    site.stop()
    lost(page)
    write_offline(site, "Robin")
    write_offline(site, "Dipper")
    site.start()
    live(page)
    ink(page, "Dipper", "Robin", "Wren")  # each of them once
    write(site, "Ouzel")
    ink(page, "Ouzel", "Dipper", "Robin")
    assert "1" in {headers.get("last-event-id") for headers in asked}


def write_offline(site, species):
    """Write a sighting down while nobody serves the notebook."""
    sys.path.insert(0, str(EXAMPLES / "hedgerow"))
    try:
        from hedgerow import create_app

        app = create_app({"DEMO_DATA": False}, str(site.folder))
        sighting = {**SIGHTING, "species": species}
        answer = app.test_client().post("/api/sightings", json=sighting)
        assert answer.status_code == 201
    finally:
        sys.path.remove(str(EXAMPLES / "hedgerow"))


def test_a_page_in_the_background_holds_no_connection(site, meet):
    page = meet(site, "/")
    live(page)
    page.evaluate(HIDE, True)
    write(site, "Wren")
    write(site, "Robin")
    page.evaluate(HIDE, False)
    ink(page, "Robin", "Wren")


def test_over_wsgi(wsgi_site, meet):
    page = meet(wsgi_site, "/")
    live(page)
    write(wsgi_site, "Wren")
    ink(page, "Wren")

    page = meet(wsgi_site, "/talk/bird", width=320)
    page.get_by_label("Your name").fill("Nell")
    page.get_by_role("button", name="Join in").click()
    page.get_by_text("run --asgi").wait_for()
    say(page, "By post")
    hear(page, "By post")
    assert page.locator(".pulse").inner_text() == ""
    assert axe(page) == []
    assert overflow(page) == 0


def test_without_javascript(site, meet):
    page = meet(site, "/talk/bird", java_script_enabled=False)
    page.get_by_label("Your name").fill("Nell")
    page.get_by_role("button", name="Join in").click()
    say(page, "By post")
    hear(page, "By post")
