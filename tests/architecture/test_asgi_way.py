"""The page about a plain GET over ASGI lists its calls, and no environ is made."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from benchmarks import trace
from benchmarks.asgi.door import Door
from benchmarks.asgi.scenarios import SCENARIOS
from benchmarks.scenarios import TEXT
from tests.architecture.source import ROOT

from erlen import Erlen

PAGE = ROOT / "docs" / "how-it-works" / "asgi.md"


async def view():
    return TEXT


@pytest.fixture
def traced():
    app = Erlen(__name__)
    app.get("/")(view)
    own = [trace.package_folder("erlen"), Path(__file__)]
    with Door() as door:
        return door.traced(app.asgi, SCENARIOS["s1"].exchanges[0], own)


def test_the_page_lists_the_calls_in_order(traced):
    steps = re.findall(
        r"^\d+\. `(.+?)` in (?:`(.+?)`|your module)", PAGE.read_text(), re.MULTILINE
    )
    calls = [(call.name, call.file) for call in traced.calls]
    calls[calls.index(("view", Path(__file__).name))] = ("view", "")
    assert steps == calls


def test_the_page_shows_every_module_of_the_door():
    rows = re.findall(r"^\| (`_.+?) \|", PAGE.read_text(), re.MULTILINE)
    named = set(re.findall(r"`(\w+)`", " ".join(rows)))
    package = ROOT / "packages" / "core" / "src" / "erlen"
    assert named <= {path.stem for path in package.glob("_*.py")}
    assert {path.stem for path in package.glob("_asgi*.py")} - named == {"_asgi_client"}
