"""The command line: a table for people, JSON for machines, a trace for readers."""

from __future__ import annotations

import json

import pytest
from benchmarks import peers
from benchmarks import report
from benchmarks.__main__ import main
from benchmarks.rounds import Contestant


def test_json(capsys):
    assert main(["--scenario", "s1", "--peer", "raw", "--rounds", "2", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["rounds"] == 2
    assert facts["gc"] == "on"
    (scenario,) = facts["scenarios"]
    assert scenario["scenario"] == "s1"
    (raw,) = scenario["peers"]
    assert raw["microseconds"] > 0
    assert raw["share_of_raw"] == 1.0
    assert raw["times_flask"] is None


def test_table_and_missing_peers(capsys, monkeypatch):
    monkeypatch.setitem(peers.PEERS, "flask", ("flask_peer", "no-such-distribution"))
    main(["--scenario", "s1", "--peer", "raw", "--peer", "flask", "--rounds", "1"])
    out, err = capsys.readouterr()
    assert out.startswith("s1 text")
    assert "100.0%" in out
    assert err == "skipped: flask is not installed\n"


def test_table_is_aligned_and_says_what_is_faster():
    times = {"raw": 1.0, "flask": 60.0, "falcon": 3.0, "erlen": 4.0}
    lines = report.rows([Contestant(k, None, times=[v]) for k, v in times.items()])
    assert report.table("s1 text", lines).splitlines() == [
        "s1 text",
        "peer    us/request  spread  x Flask  x Falcon  of raw",
        "raw           1.00      0%    60.00      3.00  100.0%",
        "flask        60.00      0%     1.00      0.05    1.7%",
        "falcon        3.00      0%    20.00      1.00   33.3%",
        "erlen         4.00      0%    15.00      0.75   25.0%",
    ]


@pytest.mark.parametrize(
    "arguments", [["--rounds", "0"], ["--scenario", "s99"], ["trace", "--peer", "x"]]
)
def test_wrong_arguments_are_refused(arguments):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)


def test_trace_of_the_raw_callable(capsys):
    assert main(["trace", "--peer", "raw"]) == 0
    call, summary = capsys.readouterr().out.splitlines()
    assert call.endswith("s1.<locals>.app")
    assert summary == "1 own calls, 1 files, 0 switches of file; 0 library calls"


def test_trace_of_a_missing_peer(capsys, monkeypatch):
    monkeypatch.setitem(peers.PEERS, "erlen", ("erlen_peer", "no-such-distribution"))
    assert main(["trace"]) == 1
    assert "erlen is not installed" in capsys.readouterr().err


def test_trace_of_the_raw_callable_over_asgi(capsys):
    assert main(["trace", "--peer", "raw", "--door", "asgi"]) == 0
    *calls, summary = capsys.readouterr().out.splitlines()
    assert [call.split()[-1] for call in calls] == ["s1.<locals>.app", "_send"]
    assert summary == "2 own calls, 1 files, 0 switches of file; 0 library calls"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--door", "asgi", "--peer", "flask"], "flask is no peer over asgi"),
        (["--peer", "quart"], "quart is no peer over wsgi"),
        (["--peer", "raw", "--scenario", "s7"], "raw takes no part in s7"),
    ],
)
def test_what_cannot_be_traced_is_told(arguments, reason, capsys):
    assert main(["trace", *arguments]) == 1
    assert capsys.readouterr().err == f"{reason}\n"
