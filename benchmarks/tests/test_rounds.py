"""Rounds rotate, every peer is timed once in each, ratios are taken in the round."""

from __future__ import annotations

import gc
from collections import Counter
from types import SimpleNamespace

import pytest
from benchmarks import rounds
from benchmarks.peers import Peer
from benchmarks.scenarios import Answer
from benchmarks.scenarios import Exchange
from benchmarks.scenarios import Scenario
from benchmarks.scenarios import WrongAnswerError

SCENARIO = Scenario("x", "", (Exchange("/", Answer(200, "text/plain", b"x")),))


def peer(name, log, body=b"x"):
    def app(environ, start_response):
        log.append(name)
        head = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
        start_response("200 OK", head)
        return [body]

    return Peer(name, "", SimpleNamespace(x=lambda: app))


def clock():
    """Advance by a millisecond each time it is read."""
    state = iter(range(10**9))
    return lambda: next(state) / 1000


def test_rotation_gives_each_item_each_place_equally_often():
    orders = list(rounds.rotations("abc", 6))
    assert orders[:4] == [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"], orders[0]]
    places = Counter(
        (place, name) for order in orders for place, name in enumerate(order)
    )
    assert set(places.values()) == {2}
    assert list(rounds.rotations("", 2)) == [[], []]


def test_each_round_times_every_peer_once_in_rotated_order():
    log = []
    results = rounds.run(
        SCENARIO, [peer(name, log) for name in "abc"], rounds=4, clock=clock()
    )
    assert [len(result.times) for result in results] == [4, 4, 4]
    order = [
        name for name, last in zip(log, [None, *log], strict=False) if name != last
    ]
    # Warming up goes through the peers once, then come the rounds.
    assert order == list("abc" + "abc" + "bca" + "cab" + "abc")[: len(order)]


def test_answers_are_checked_before_they_are_timed():
    log = []
    wrong = peer("b", log, body=b"y")
    with pytest.raises(WrongAnswerError, match="body"):
        rounds.run(SCENARIO, [peer("a", log), wrong], rounds=1, clock=clock())
    assert log.count("b") == 1


def test_an_answer_that_turns_wrong_is_not_timed():
    log = []

    def app(environ, start_response):
        log.append(environ)
        body = b"x" if len(log) < 1000 else b"y"
        head = [("Content-Type", "text/plain"), ("Content-Length", "1")]
        start_response("200 OK", head)
        return [body]

    turning = Peer("a", "", SimpleNamespace(x=lambda: app))
    with pytest.raises(WrongAnswerError):
        rounds.run(SCENARIO, [turning], rounds=99, slice_seconds=0.001, clock=clock())


def test_a_peer_that_takes_no_part_is_left_out():
    absent = Peer("b", "", SimpleNamespace())
    results = rounds.run(SCENARIO, [peer("a", []), absent], rounds=1, clock=clock())
    assert [result.peer for result in results] == ["a"]


def test_the_collector_is_on_and_keeps_nothing_frozen():
    states = []

    def app(environ, start_response):
        states.append(gc.isenabled())
        head = [("Content-Type", "text/plain"), ("Content-Length", "1")]
        start_response("200 OK", head)
        return [b"x"]

    watching = Peer("a", "", SimpleNamespace(x=lambda: app))
    rounds.run(SCENARIO, [watching], rounds=1, clock=clock())
    assert all(states)
    assert gc.get_freeze_count() == 0


def test_figures():
    fast = rounds.Contestant("fast", None, times=[1.0, 2.0, 4.0])
    slow = rounds.Contestant("slow", None, times=[10.0, 30.0, 80.0])
    assert fast.microseconds == 2.0
    assert fast.spread == (3.0 - 1.5) / 2.0
    assert fast.times_faster_than(slow) == 15.0
    assert rounds.Contestant("once", None, times=[1.0]).spread == 0.0
