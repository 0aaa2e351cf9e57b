"""A plain GET stays inside its budget, and the page about it lists its calls."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from benchmarks import trace
from benchmarks.scenarios import Answer
from benchmarks.scenarios import Exchange
from tests.architecture.source import ROOT

from erlen import Erlen

PAGE = ROOT / "docs" / "how-it-works" / "request.md"
EXCHANGE = Exchange("/", Answer(200, "text/html; charset=utf-8", b"Hello, World!"))

CALLS = 20
FILES = 8
SWITCHES = 16


def view():
    return "Hello, World!"


@pytest.fixture
def traced():
    app = Erlen(__name__)
    app.get("/")(view)
    return trace.record(app, EXCHANGE, [trace.package_folder("erlen"), Path(__file__)])


def test_a_plain_get_is_inside_its_budget(traced):
    assert len(traced.calls) <= CALLS, trace.text(traced)
    assert len(traced.files) <= FILES, trace.text(traced)
    assert traced.switches <= SWITCHES, trace.text(traced)


def test_the_page_lists_the_calls_in_order(traced):
    steps = re.findall(
        r"^\d+\. `(.+?)` in (?:`(.+?)`|your module)", PAGE.read_text(), re.MULTILINE
    )
    calls = [(call.name, call.file) for call in traced.calls]
    calls[calls.index(("view", Path(__file__).name))] = ("view", "")
    assert steps == calls
