"""Each peer answers each scenario rightly; one that is missing is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks import door
from benchmarks import peers
from benchmarks.scenarios import SCENARIOS


def load(name):
    present, skipped = peers.load([name])
    if skipped:
        pytest.skip(f"{name} is not installed")
    return present[0]


@pytest.mark.parametrize("key", SCENARIOS)
@pytest.mark.parametrize("name", peers.PEERS)
def test_answers_are_right(name, key):
    app = load(name).build(key)
    if app is None:
        pytest.skip(f"{name} takes no part in {key}")
    door.check(app, SCENARIOS[key].exchanges)


@pytest.mark.parametrize("name", peers.PEERS)
def test_routes_that_are_not_asked_for_are_there(name):
    app = load(name).build("s3")
    exchange = SCENARIOS["s3"].exchanges[7]
    missing = {**exchange.environ(), "PATH_INFO": "/nowhere/7"}
    assert door.ask(app, missing)[0].status == 404
    if name != "raw":
        for path in ("/collection-99", "/collection-99/5/parts"):
            environ = {**exchange.environ(), "PATH_INFO": path}
            assert door.ask(app, environ)[0].status == 200


def test_every_scenario_has_its_raw_callable():
    raw = load("raw")
    assert [key for key in SCENARIOS if raw.build(key) is None] == []


def test_a_peer_without_the_function_takes_no_part():
    assert load("raw").build("s0") is None


def test_a_missing_peer_is_named(monkeypatch):
    monkeypatch.setitem(peers.PEERS, "other", ("other_peer", "no-such-distribution"))
    present, skipped = peers.load(["raw", "other"])
    assert [peer.name for peer in present] == ["raw"]
    assert skipped == ["other"]


def lines(name):
    text = (Path(peers.__file__).parent / f"{name}.py").read_text("utf-8")
    # Sorted, and without the title: the import's place among the others may differ.
    return sorted(line for line in text.splitlines()[1:] if line)


def test_the_erlen_peer_is_the_flask_peer_with_its_import_changed():
    changed = [
        line.replace("from flask ", "from erlen ").replace("Flask", "Erlen")
        for line in lines("flask_peer")
    ]
    assert sorted(changed) == lines("erlen_peer")
