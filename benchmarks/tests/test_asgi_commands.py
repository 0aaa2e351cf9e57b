"""The commands of ASGI: tables for people, JSON for machines, servers that end."""

from __future__ import annotations

import json
import shutil
import socket

import pytest
from benchmarks import report
from benchmarks.__main__ import main
from benchmarks.asgi import commands
from benchmarks.asgi import peers
from benchmarks.asgi import sockets
from benchmarks.asgi.scenarios import SCENARIOS
from benchmarks.rounds import Contestant

RAW = ["--peer", "raw", "--rounds", "1"]


def test_json(capsys):
    arguments = ["--scenario", "s1", "--peer", "raw", "--rounds", "2", "--json"]
    assert main(["asgi", *arguments]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["rounds"], facts["gc"], facts["loop"]) == (2, "on", "asyncio")
    (scenario,) = facts["scenarios"]
    assert (scenario["scenario"], scenario["clock"]) == ("s1", "cpu")
    (raw,) = scenario["peers"]
    assert raw["microseconds"] > 0
    assert raw["share_of_raw"] == 1.0
    assert raw["times_starlette"] is None


def test_table_and_missing_peers(capsys, monkeypatch):
    table = ("quart_peer", "no-such-distribution")
    monkeypatch.setitem(peers.PEERS, "quart", table)
    raw = peers.load(["raw"])[0][0].module
    monkeypatch.setattr(raw, "NEEDS", {"s2": "no-such-distribution"}, raising=False)
    scenarios = ["--scenario", "s1", "--scenario", "s2"]
    main(["asgi", *scenarios, "--peer", "quart", *RAW, "--clock", "wall"])
    out, err = capsys.readouterr()
    assert out.startswith("s1 text: a view returns a short str, wall time\npeer")
    assert "100.0%" in out
    assert "Medians of 1 rounds, asyncio" in out
    assert err.splitlines() == [
        "skipped: quart is not installed",
        "skipped: raw in s2: no-such-distribution is not installed",
    ]


def test_views_in_threads_are_timed_by_both_clocks(capsys):
    pytest.importorskip("starlette")
    arguments = ["--scenario", "sync", "--peer", "starlette", "--rounds", "1"]
    assert main(["asgi", *arguments]) == 0
    out = capsys.readouterr().out
    assert "sync text, from a view without async, cpu time" in out
    assert "sync text, from a view without async, wall time" in out
    assert out.count("Starlette's cost") == 2


def test_cost_is_the_other_way_round_than_speed():
    times = {"starlette": [2.0, 4.0], "erlen": [1.0, 2.0]}
    contestants = [Contestant(name, None, times=own) for name, own in times.items()]
    starlette, erlen = report.rows(contestants, commands.IN_PROCESS)
    assert erlen["times_starlette"] == 2.0
    assert erlen["cost_of_starlette"] == 0.5
    assert starlette["cost_of_starlette"] == 1.0


@pytest.mark.parametrize(
    "arguments",
    [
        ["asgi", "--loop", "x"],
        ["asgi", "--scenario", "s99"],
        ["sockets", "--scenario", "s4"],
        ["sockets", "--peer", "raw"],
        ["sockets", "--seconds", "0"],
    ],
)
def test_wrong_arguments_are_refused(arguments):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)


def test_what_wrk_lacks_is_told(capsys, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setitem(sockets.NEEDS, "granian", ("no-such-distribution",))
    assert main(["sockets", "--server", "granian"]) == 1
    assert capsys.readouterr().err == "not installed: wrk, no-such-distribution\n"


def test_table_of_sockets(capsys, monkeypatch):
    monkeypatch.setattr(sockets, "missing_tools", lambda servers: [])

    def run(name, scenario, names, **settings):
        assert settings == {"rounds": 2, "seconds": 1, "connections": 8}
        assert names == ["raw", "erlen"]
        return [
            sockets.Loaded("raw", None, times=[100.0, 100.0]),
            sockets.Loaded("erlen", None, times=[200.0, 200.0]),
        ]

    monkeypatch.setattr(sockets, "run", run)
    monkeypatch.setattr(sockets, "PEERS", ("raw", "erlen"))
    arguments = ["--rounds", "2", "--seconds", "1", "--connections", "8"]
    scenario = ["--server", "uvicorn", "--scenario", "s1"]
    assert main(["sockets", *scenario, *arguments]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "uvicorn: s1 text: a view returns a short str"
    assert out[2].split()[:3] == ["raw", "10000", "0%"]
    assert out[5] == "Erlen in all of them"
    assert out[7].split()[:4] == ["uvicorn", "s1", "5000", "0%"]
    assert main(["sockets", *scenario, *arguments, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["scenarios"][0]["server"] == "uvicorn"
    assert facts["scenarios"][0]["peers"][0]["per_second"] == pytest.approx(10000)


@pytest.mark.parametrize("name", sockets.SERVERS)
def test_a_server_answers_and_ends(name):
    pytest.importorskip(name)
    with sockets.serving(name, "raw", "s3") as port:
        sockets.check(port, SCENARIOS["s3"].exchanges)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_a_server_that_does_not_start_is_told():
    pytest.importorskip("uvicorn")
    with (
        pytest.raises(sockets.ServerError, match=r"does not listen:(.|\n)*KeyError"),
        sockets.serving("uvicorn", "no-such-peer", "s1"),
    ):
        raise AssertionError


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Latency 1ms\nRequests/sec:  12345.67\nTransfer/sec: 1MB\n", 12345.67),
        ("Requests/sec:   9.5\n", 9.5),
    ],
)
def test_what_wrk_says_is_read(said, expected):
    assert sockets.rate(said) == expected


@pytest.mark.parametrize(
    "said",
    [
        "",
        "unable to connect to 127.0.0.1:1 Connection refused",
        "Requests/sec:  0.00\n",
        "  Non-2xx or 3xx responses: 3\nRequests/sec:  12345.67\n",
        "  Socket errors: connect 0, read 1\nRequests/sec:  12345.67\n",
    ],
)
def test_trouble_of_wrk_is_told(said):
    with pytest.raises(sockets.LoadError, match="wrk says"):
        sockets.rate(said)
