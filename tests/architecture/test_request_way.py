"""A plain GET stays inside its budget, and the page about it lists its calls."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks import trace
from benchmarks.scenarios import Answer
from benchmarks.scenarios import Exchange
from erlen import Erlen
from tests.architecture.source import ROOT

PAGE = ROOT / "docs" / "how-it-works" / "request.md"
EXCHANGE = Exchange("/", Answer(200, "text/html; charset=utf-8", b"Hello, World!"))

CALLS = 20
FILES = 8
SWITCHES = 16


@pytest.fixture
def traced():
    app = Erlen(__name__)

    @app.get("/")
    def view():
        return "Hello, World!"

    return trace.record(app, EXCHANGE, [trace.package_folder("erlen"), Path(__file__)])


def test_a_plain_get_is_inside_its_budget(traced):
    found = len(traced.calls), len(traced.files), traced.switches
    assert [it <= limit for it, limit in zip(found, (CALLS, FILES, SWITCHES), strict=True)], found


def test_the_page_lists_the_calls_in_order(traced):
    listed = re.findall(r"^\d+\. `([\w.]+)` in `([\w/.]+)`", PAGE.read_text(), re.M)
    calls = [(call.name.split(".")[-1], call.file) for call in traced.calls]
    assert [(name, f"{file}") for name, file in listed] == calls
