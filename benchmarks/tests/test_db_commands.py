"""The command `db`: tables for people, JSON for machines, demands that are checked."""

from __future__ import annotations

import json

import pytest
from benchmarks.__main__ import main
from benchmarks.db import commands
from benchmarks.db import peers
from benchmarks.db import writers
from benchmarks.rounds import Contestant

ROW = ["--scenario", "row", "--rounds", "1"]


def test_json(capsys):
    assert main(["db", *ROW, "--peer", "raw", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["rounds"], facts["gc"], facts["database"]) == (1, "on", "sqlite")
    (scenario,) = facts["scenarios"]
    assert (scenario["scenario"], scenario["glue"]) == ("row", None)
    (raw,) = scenario["peers"]
    assert raw["microseconds"] > 0
    assert raw["share_of_raw"] == 1.0
    assert raw["times_django"] is None


def test_table_and_missing_peers(capsys, monkeypatch):
    entry = peers.Entry("django_peer", ("no-such-distribution",))
    monkeypatch.setitem(peers.PEERS, "django", entry)
    assert main(["db", *ROW, "--peer", "raw", "--peer", "django"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("row a row by its key, as JSON\npeer")
    assert "Medians of 1 rounds, cpu time" in out
    assert err == "skipped: django lacks no-such-distribution\n"


def test_glue_is_the_median_of_the_differences():
    times = {"by-hand": [10.0, 20.0, 30.0], "erlen-db": [19.0, 31.0, 50.0]}
    contestants = [Contestant(name, None, times=own) for name, own in times.items()]
    assert commands.glue(contestants) == 11.0
    assert commands.glue(contestants[:1]) is None


def test_demands_are_held_against_the_figures():
    ours = {"peer": "erlen-db", "times_django": 1.4, "times_flask_sqlalchemy": 1.4}
    results = [
        {"scenario": "row", "glue": 15.5, "peers": [ours]},
        {"scenario": "fortunes", "glue": None, "peers": [{"peer": "raw"}]},
    ]
    assert list(commands.demands(results)) == [
        "row: times_flask_sqlalchemy at least 1.5: 1.40, NOT MET",
        "row: times_django at least 1.0: 1.40, met",
        "row: glue at most 15.0: 15.50, NOT MET",
    ]


@pytest.mark.parametrize(
    "arguments", [["--scenario", "s1"], ["--peer", "flask"], ["readers"]]
)
def test_wrong_arguments_are_refused(arguments):
    with pytest.raises(SystemExit, match="2"):
        main(["db", *arguments])


def test_table_of_writers(capsys, monkeypatch):
    def run(**settings):
        assert settings == {"rounds": 2, "seconds": 1}
        return {
            "sqlalchemy": writers.Written(
                *("sqlalchemy", None, 1, [10_000.0, 10_000.0]),
                acknowledged=250,
                kept=200,
                failed=3,
                waits=[0.001] * 99 + [0.5],
            ),
            "erlen-db": writers.Written(
                *("erlen-db", None, 1, [1_000.0, 1_000.0]),
                acknowledged=2000,
                kept=2000,
                waits=[0.001] * 100,
            ),
        }

    monkeypatch.setattr(writers, "run", run)
    monkeypatch.setattr(writers, "missing", list)
    monkeypatch.setattr(writers, "versions", dict)
    arguments = ["db", "writers", "--rounds", "2", "--seconds", "1"]
    assert main(arguments) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[2].split() == (
        ["sqlalchemy", "100", "0%", "1.0", "3", "50", "1.0", "1.0", "500"]
    )
    assert out[3].split() == (
        ["erlen-db", "1000", "0%", "10.0", "0", "0", "1.0", "1.0", "1"]
    )
    assert main([*arguments, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [peer["lost"] for peer in facts["peers"]] == [50, 0]


def test_what_writers_lack_is_told(capsys, monkeypatch):
    monkeypatch.setattr(writers, "NEEDS", ("erlen", "no-such-distribution"))
    assert main(["db", "writers"]) == 1
    assert capsys.readouterr().err == "not installed: no-such-distribution\n"


def test_writers_write(monkeypatch):
    if writers.missing():
        pytest.skip(f"not installed: {', '.join(writers.missing())}")
    written = writers.run(rounds=1, seconds=1, processes=2, threads=2)
    assert list(written) == ["sqlalchemy", "erlen-db"]
    ours = written["erlen-db"].facts()
    assert ours["acknowledged"] > 0
    assert (ours["lost"], ours["failed"]) == (0, 0)


def test_a_writer_that_does_not_start_is_told(tmp_path):
    path = tmp_path / "counter.sqlite"
    with pytest.raises(writers.WriterError, match="ValueError"):
        writers._write("erlen-db", path, "no number", 1, 1)
