"""Each peer answers each ASGI scenario rightly; what is missing is named."""

from __future__ import annotations

import inspect
import re
import tomllib
from dataclasses import replace

import pytest
from benchmarks import peers as wsgi_peers
from benchmarks.asgi import peers
from benchmarks.asgi.door import Door
from benchmarks.asgi.scenarios import SCENARIOS
from benchmarks.asgi.scenarios import TEMPLATES
from benchmarks.asgi.scenarios import Answer
from benchmarks.asgi.sockets import ROOT

# Their modules have the function, or they take no part.
WITHOUT = {
    "raw": {"sync"},
    "falcon": {"s7", "s8", "sync"},
    "blacksheep": {"sync"},
}


def load(name):
    present, skipped = peers.load([name])
    if skipped:
        pytest.skip(f"{name} is not installed")
    return present[0]


@pytest.fixture
def door():
    with Door() as opened:
        yield opened


@pytest.mark.parametrize("key", SCENARIOS)
@pytest.mark.parametrize("name", peers.PEERS)
def test_answers_are_right(name, key, door):
    peer = load(name)
    lacking = peer.missing(key)
    if lacking is not None:
        pytest.skip(f"{lacking} is not installed")
    app = peer.build(key)
    if app is None:
        pytest.skip(f"{name} takes no part in {key}")
    # Twice: what is made at first use must not change the answer.
    door.check(app, SCENARIOS[key].exchanges * 2)


@pytest.mark.parametrize("name", peers.PEERS)
def test_who_takes_no_part_is_known(name):
    module = load(name).module
    without = {key for key in SCENARIOS if not hasattr(module, key)}
    assert without == WITHOUT.get(name, set())


@pytest.mark.parametrize("name", peers.PEERS)
def test_routes_that_are_not_asked_for_are_there(name, door):
    app = load(name).build("s3")
    exchange = SCENARIOS["s3"].exchanges[7]
    nowhere = replace(exchange, path="/nowhere/7", answer=Answer(404, None, None))
    door.check(app, [nowhere])
    if name != "raw":
        for path in ("/collection-99", "/collection-99/5/parts"):
            assert door.ask(app, replace(exchange, path=path)).status == 200


@pytest.mark.parametrize("name", [name for name in peers.PEERS if name != "raw"])
def test_views_are_async_except_in_the_scenario_without(name):
    module = load(name).module
    for key in SCENARIOS:
        if hasattr(module, key):
            source = inspect.getsource(getattr(module, key))
            views = re.findall(r"(async )?def (?:index|items|item|on_\w+)\(", source)
            assert set(views) <= {"" if key == "sync" else "async "}, key


def test_a_scenario_that_lacks_a_distribution_is_not_built(monkeypatch):
    peer = load("raw")
    monkeypatch.setattr(peer.module, "NEEDS", {"s1": "no-such-distribution"}, False)
    assert peer.missing("s1") == "no-such-distribution"
    assert peer.build("s1") is None
    assert peer.missing("s2") is None
    assert peer.build("s2") is not None


@pytest.mark.parametrize("name", peers.PEERS)
def test_what_a_peer_needs_is_in_the_group_of_the_benchmarks(name):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    lines = project["dependency-groups"]["bench"]
    # Erlen is here, and brings the last two.
    there = {re.split(r"[\[<>=]", line)[0] for line in lines}
    there |= {"erlen", "itsdangerous", "jinja2"}
    distribution = peers.PEERS[name][1]
    needed = set(getattr(load(name).module, "NEEDS", {}).values())
    assert needed | ({distribution} if distribution else set()) <= there


def test_a_missing_peer_is_named(monkeypatch):
    monkeypatch.setitem(peers.PEERS, "other", ("other_peer", "no-such-distribution"))
    present, skipped = peers.load(["raw", "other"])
    assert [peer.name for peer in present] == ["raw"]
    assert skipped == ["other"]


def test_both_templates_are_the_same():
    assert (TEMPLATES / "rows.html").read_text("utf-8") == (
        TEMPLATES / "rows.jinja"
    ).read_text("utf-8")


@pytest.mark.parametrize("key", ["s1", "s2", "s3"])
def test_erlen_is_written_as_under_wsgi(key):
    under_wsgi = inspect.getsource(
        getattr(wsgi_peers.load(["erlen"])[0][0].module, key)
    )
    over_asgi = inspect.getsource(getattr(load("erlen").module, key))
    assert under_wsgi == over_asgi.replace("async def", "def").replace(
        "return app.asgi", "return app"
    ).replace("ASGIApp", "WSGIApplication")
