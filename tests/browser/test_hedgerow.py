"""The example Hedgerow in a real browser: for every reader, in both modes, at any width."""

from __future__ import annotations

import json
import urllib.request

import pytest
from tests.browser.hedgerow import EXAMPLES
from tests.browser.hedgerow import WIDTHS
from tests.browser.hedgerow import axe
from tests.browser.hedgerow import launch
from tests.browser.hedgerow import overflow
from tests.browser.hedgerow import serve

pytestmark = pytest.mark.browser

PICTURE = EXAMPLES / "hedgerow/hedgerow/demo/kingfisher.png"
PAGES = {
    "notebook": "/",
    "second page": "/?page=2",
    "search": "/?kind=bird&q=owl&since=2020-01-01",
    "nothing found": "/?q=phoenix",
    "species": "/species",
    "kind": "/species?kind=insect",
    "new": "/sightings/new",
    "sighting": "/sightings/{owl}",
    "edit": "/sightings/{owl}/edit",
    "talk": "/talk",
    "a room": "/talk/bird",
    "settings": "/settings",
    "400": "/?page=0",
    "404": "/nowhere",
    "405": "/theme",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The address of the development server, with demo data in a folder of its own."""
    with serve(tmp_path_factory.mktemp("hedgerow")) as site:
        yield site.address


@pytest.fixture(scope="module")
def owl(site):
    """The number of a sighting that has a picture."""
    with urllib.request.urlopen(f"{site}/api/sightings?q=barn+owl") as answer:
        return json.load(answer)["items"][0]["id"]


@pytest.fixture(scope="module")
def browser():
    with launch() as browser:
        yield browser


@pytest.fixture
def open_page(site, browser, owl):
    """A function that opens a page; when the test ends, no console had an error."""
    contexts = []
    problems = []

    def open_page(path, width=1280):
        viewport = {"width": width, "height": 800}
        ctx = browser.new_context(base_url=site, viewport=viewport)
        contexts.append(ctx)
        ctx.set_default_timeout(15_000)
        page = ctx.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: note(page, message))
        page.goto(path.format(owl=owl))
        return page

    def note(page, message):
        # A page that is an error by itself is logged as such.
        if message.type in {"error", "warning"} and message.location["url"] != page.url:
            problems.append(message.text)

    yield open_page
    for ctx in contexts:
        ctx.close()
    assert problems == []


def focused(page):
    """Return what has the focus, after checking that a sighted reader can see it."""
    found = page.evaluate(
        """() => {
            const element = document.activeElement, box = element.getBoundingClientRect();
            const shown = element.closest("label") || element;
            return {
                id: element.id,
                text: (element.ariaLabel || element.innerText || "").trim(),
                outline: getComputedStyle(element).outlineStyle,
                visible: box.width > 5 && box.height > 5 && box.bottom > 0,
            }
        }"""
    )
    assert found["outline"] != "none", found
    assert found["visible"], found
    return found


def tab_to(page, *, id=None, text=None):
    """Press Tab until the element has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        found = focused(page)
        if found["id"] == id or (text and found["text"] == text):
            return
    pytest.fail(f"Tab never reaches {id or text}")


@pytest.mark.parametrize("path", PAGES.values(), ids=PAGES)
def test_every_page(open_page, path):
    page = open_page(path)
    assert axe(page) == []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        assert overflow(page) == 0, width


def test_pages_with_mistakes(open_page):
    page = open_page("/sightings/new")
    page.get_by_role("button", name="Write it down").click()
    assert page.title().startswith("Error: ")
    assert axe(page) == []
    page = open_page("/sightings/{owl}")
    page.get_by_role("button", name="Attach").click()
    assert page.title().startswith("Error: ")
    page.get_by_text("Strike it out", exact=True).click()
    assert axe(page) == []


def test_long_words_do_not_stick_out(open_page):
    page = open_page("/sightings/new", width=360)
    for label in ("What did you see?", "Where?", "Your name"):
        page.get_by_label(label).fill("Xyz" * 20)
    page.get_by_label("Note").fill("x" * 500)
    page.get_by_role("radio", name="Fungi").check()
    page.get_by_role("button", name="Write it down").click()
    assert page.get_by_role("status").is_visible()
    assert overflow(page) == 0
    for path in ("/", "/species", "/sightings/new"):
        page.goto(path)
        assert overflow(page) == 0, path


def test_a_sighting_by_keyboard_alone(open_page):
    page = open_page("/")
    page.keyboard.press("Tab")
    assert focused(page)["text"] == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"

    page.goto("/")
    tab_to(page, text="New sighting")
    page.keyboard.press("Enter")
    page.wait_for_url("**/sightings/new")

    # Sent empty, the form leads from the summary to the first field.
    page.get_by_label("What did you see?").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".summary")
    assert page.evaluate("document.activeElement.className") == "summary"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert focused(page)["id"] == "species"

    page.keyboard.type("Waxwing")
    tab_to(page, id="kind")
    page.keyboard.press("ArrowLeft")  # around to the last: birds
    tab_to(page, id="count")
    page.keyboard.press("ArrowUp")
    tab_to(page, id="place")
    page.keyboard.type("The allotments")
    tab_to(page, id="observer")
    page.keyboard.type("Bea Okafor")
    tab_to(page, id="note")
    page.keyboard.type("On the rowan, tame as hens.")
    tab_to(page, text="Write it down")
    page.keyboard.press("Space")

    page.wait_for_selector("[role=status]")
    assert page.get_by_role("status").inner_text() == "Waxwing is in the notebook."
    assert page.get_by_role("heading", level=1).inner_text() == "Waxwing"
    assert "How many\n2" in page.locator("dl").inner_text()


def test_upload_look_download_and_delete(open_page, tmp_path):
    paper = tmp_path / "survey.pdf"
    paper.write_bytes(b"%PDF-1.4 not much %%EOF")
    page = open_page("/?q=glow-worm")
    page.locator(".entry a").first.click()
    for path, caption in [(PICTURE, "Not a glow-worm"), (paper, "The survey")]:
        page.get_by_label("File").set_input_files(path)
        page.get_by_label("Caption").fill(caption)
        page.get_by_role("button", name="Attach").click()
        assert page.get_by_role("status").inner_text() == "The attachment is kept."
    picture = page.get_by_alt_text("Not a glow-worm")
    picture.evaluate("picture => picture.decode()")  # fails when it is broken
    with page.expect_download() as download:
        page.get_by_role("link", name="The survey").click()
    assert download.value.suggested_filename == "survey.pdf"
    assert download.value.path().read_bytes() == paper.read_bytes()
    assert axe(page) == []
    page.get_by_role("button", name="Delete kingfisher.png").click()
    assert picture.count() == 0


def test_a_broken_picture_is_refused(open_page, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(PICTURE.read_bytes()[:5000])
    page = open_page("/sightings/{owl}")
    page.get_by_label("File").set_input_files(broken)
    page.get_by_label("Caption").fill("Half an owl")
    page.get_by_role("button", name="Attach").click()
    assert "Must be a whole JPEG" in page.locator("#file-error").inner_text()
    assert page.get_by_label("Caption").input_value() == "Half an owl"


def test_a_file_over_the_limit_gets_a_page(open_page, tmp_path):
    huge = tmp_path / "huge.png"
    huge.write_bytes(b"x" * 7_000_000)
    page = open_page("/sightings/{owl}")
    page.get_by_label("File").set_input_files(huge)
    page.get_by_label("Caption").fill("Too much")
    page.get_by_role("button", name="Attach").click()
    heading = page.get_by_role("heading", level=1)
    assert heading.inner_text() == "Too heavy for the notebook"


def test_the_export_is_saved(open_page):
    page = open_page("/?kind=bird")
    with page.expect_download() as download:
        page.get_by_role("link", name="These as CSV").click()
    assert download.value.suggested_filename == "hedgerow.csv"
    lines = download.value.path().read_text(encoding="utf-8").splitlines()
    assert len(lines) > 100
    assert all(",bird," in line for line in lines[1:])


def test_the_theme_is_kept(open_page):
    page = open_page("/species?kind=bird")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(ground)
    with page.expect_navigation():  # to the address where it is
        page.get_by_role("button", name="Dark theme").click()
    assert page.url.endswith("/species?kind=bird")
    assert page.evaluate(ground) != light
    page.goto("/")
    assert page.evaluate(ground) != light
    assert axe(page) == []
    with page.expect_navigation():
        page.get_by_role("button", name="Automatic theme").click()
    assert page.evaluate(ground) == light


def test_still_and_printed(open_page):
    page = open_page("/")
    page.emulate_media(reduced_motion="reduce")
    scroll = "getComputedStyle(document.documentElement).scrollBehavior"
    assert page.evaluate(scroll) == "auto"
    page.emulate_media(media="print")
    assert not page.get_by_role("navigation", name="Main").is_visible()
    assert page.get_by_role("heading", level=1).is_visible()
