"""Each database's peer answers each scenario rightly, and writes what it says."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks import peers as distributions
from benchmarks.asgi import door as asgi_door
from benchmarks.db import databases
from benchmarks.db import door
from benchmarks.db import peers
from benchmarks.db.scenarios import SCENARIOS
from benchmarks.scenarios import WrongAnswerError


def load(name):
    present, lacking = peers.load([name])
    if lacking:
        pytest.skip(f"{name} lacks {', '.join(lacking[name])}")
    return present[0]


@pytest.fixture
def the_door():
    with asgi_door.Door() as inner:
        yield door.Door(inner)


@pytest.fixture
def served(request, tmp_path, the_door):
    peer = load(request.param)
    with contextlib.ExitStack() as stack:
        made = databases.opened("sqlite", tmp_path, peer.name)
        peer.open(stack.enter_context(made), stack)
        yield peer.served


each_peer = pytest.mark.parametrize("served", peers.PEERS, indirect=True)
raw = pytest.mark.parametrize("served", ["raw"], indirect=True)


@each_peer
def test_answers_are_right(served, the_door):
    for scenario in SCENARIOS.values():
        # Twice: what is made at first use must not change the answer.
        the_door.check(served, scenario.exchanges[:2] * 2)


@each_peer
def test_a_table_grows_by_one_row_for_each_request(served, the_door):
    seconds = the_door.seconds(served, SCENARIOS["insert"], 7, lambda: 0.0)
    assert seconds == 0.0


@raw
def test_a_wrong_answer_is_told(served, the_door):
    exchange = replace(SCENARIOS["row"].exchanges[0], body=b"{}")
    with pytest.raises(WrongAnswerError, match="body: expected"):
        the_door.check(served, [exchange])


@raw
def test_what_was_not_stored_is_told(served, the_door):
    exchange = replace(SCENARIOS["update"].exchanges[0], stored=-1)
    with pytest.raises(WrongAnswerError, match="stored: expected -1, got 1001"):
        the_door.check(served, [exchange])


@raw
def test_rows_that_are_missing_are_told(served, the_door):
    reads = replace(SCENARIOS["row"], grows="entry")
    with pytest.raises(WrongAnswerError, match="row: 3 asked, 0 stored"):
        the_door.seconds(served, reads, 3, lambda: 0.0)


@raw
def test_what_is_not_there_is_404(served, the_door):
    nowhere = replace(SCENARIOS["row"].exchanges[0], path="/nowhere/1", body=b"{}")
    the_door.check(served, [replace(nowhere, status=404)])


def test_each_row_is_changed_twice_to_something_else():
    exchanges = SCENARIOS["update"].exchanges
    stored = [(exchange.query, exchange.stored) for exchange in exchanges]
    assert len(set(stored)) == len(stored)


def test_a_missing_peer_is_told_with_what_it_lacks(monkeypatch):
    entry = peers.Entry("other", ("sqlalchemy", "no-such-distribution"))
    monkeypatch.setitem(peers.PEERS, "other", entry)
    monkeypatch.setattr(
        distributions, "installed", lambda name: name != "no-such-distribution"
    )
    present, lacking = peers.load(["raw", "other"])
    assert [peer.name for peer in present] == ["raw"]
    assert lacking == {"other": ["no-such-distribution"]}


def source(name):
    return (Path(peers.__file__).parent / name).read_text("utf-8")


def lines(text):
    # Sorted, and without the title: the import's place among the others may differ.
    return sorted(line for line in text.splitlines()[1:] if line)


def test_the_erlen_peer_is_the_flask_peer_with_its_imports_changed():
    changed = source("flask_peer.py").replace("flask_sqlalchemy", "erlen_db")
    changed = changed.replace("from flask ", "from erlen ").replace("Flask", "Erlen")
    # erlen-db sets them by itself.
    kept = [line for line in lines(changed) if "pragmas" not in line]
    assert kept == lines(source("erlen_peer.py"))


def views(name):
    text = source(name)
    return "".join(text[text.index("@app.get") :].split())


def test_async_peers_are_the_others_with_async_and_await():
    erlen = views("erlen_async.py").replace("db.async_session", "db.session")
    fastapi = views("fastapi_async.py")
    for text, other in ((erlen, "erlen_peer.py"), (fastapi, "fastapi_peer.py")):
        assert text.replace("asyncdef", "def").replace("await", "") == views(other)
